//! The five refusals, each with the fact that it is founded on and who said so; and a source that says nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    DemoError,
    api::{ApiCharge, ApiEligibility},
    cast::{
        BUS, COMPANY_CAR, COMPANY_PHONE, DEBTOR, FARE_TENGE, GIFT_BALANCE, NEVER_TOPPED_UP, NEW_SIM, Passenger, UNKNOWN,
    },
    known,
    sections::FACTS_BUDGET_MS,
    stage::{Stage, expect},
};
use crate::{
    clock::Clock,
    simulator::{Condition, ContractType, Fault, Operation, Subscriber, SubscriberFacts},
};

/// Who said the facts that declines were founded on, by reason.
pub(super) type Sources = BTreeMap<String, BTreeSet<String>>;

/// Enough for a fare.
const BALANCE_MINOR: i64 = 100_000;
/// How long ago a SIM was replaced.
const SWAPPED_AGO: Duration = Duration::from_secs(3 * 60 * 60);
/// Comfortably more than a purchase waits for facts.
const SLOW_MS: u64 = 20_000;
/// What a purchase may take beside waiting for facts.
const PURCHASE_MAX: Duration = Duration::from_secs(5);

/// Plays the refusals. Who said what they were founded on.
pub(super) async fn play(stage: &Stage) -> Result<Sources, DemoError> {
    let mut sources = Sources::new();
    stage.story.chapter("The five refusals, and who knows");
    told_beforehand(stage, &mut sources).await?;
    told_when_asked(stage, &mut sources).await?;
    known_to_the_carrier_only(stage, &mut sources).await?;
    why_not(stage).await?;
    nobody_says(stage).await?;
    Ok(sources)
}

async fn told_beforehand(stage: &Stage, sources: &mut Sources) -> Result<(), DemoError> {
    stage.story.note("A company's car is on the operator's number list.");
    declined(stage, COMPANY_CAR, "number_list:companies", sources).await
}

async fn told_when_asked(stage: &Stage, sources: &mut Sources) -> Result<(), DemoError> {
    let business = SubscriberFacts { contract_type: Some(ContractType::Business), ..SubscriberFacts::NONE };
    let indebted = SubscriberFacts { debt_minor: Some(50_000), ..SubscriberFacts::NONE };
    let never_topped_up = SubscriberFacts { topped_up: Some(false), ..SubscriberFacts::NONE };
    let swapped_at = Clock::System.now().minus(SWAPPED_AGO);
    let new_sim = SubscriberFacts { sim_swapped_at: Some(swapped_at), ..SubscriberFacts::NONE };
    for (passenger, note, facts, source) in [
        (
            COMPANY_PHONE,
            "Tele2 has a business contract with him, and is asked over CAMARA Tenure.",
            business,
            "camara:tele2.tenure",
        ),
        (
            DEBTOR,
            "She owes altel a trust payment of 500 tenge, as the carrier's own interface tells.",
            indebted,
            "profile:altel",
        ),
        (
            NEVER_TOPPED_UP,
            "He has never topped up, as beeline's customer system tells.",
            never_topped_up,
            "profile:beeline-crm",
        ),
        (
            NEW_SIM,
            "Kcell replaced his SIM 3 hours ago, and is asked over CAMARA SIM Swap.",
            new_sim,
            "camara:kcell-camara.sim_swap",
        ),
    ] {
        stage.story.note(note);
        let subscriber = Subscriber::with_balance(BALANCE_MINOR).with_facts(facts);
        stage.carrier(passenger).set_subscriber(passenger.msisdn(), subscriber)?;
        declined(stage, passenger, source, sources).await?;
    }
    Ok(())
}

async fn known_to_the_carrier_only(stage: &Stage, sources: &mut Sources) -> Result<(), DemoError> {
    let story = &stage.story;
    story.note(
        "She lives on the gift that came with her number. Nobody can be asked about that: tele2 itself refuses her.",
    );
    let gift = Subscriber::with_balance(BALANCE_MINOR).and(Condition::InitialBalanceUnused);
    stage.carrier(GIFT_BALANCE).set_subscriber(GIFT_BALANCE.msisdn(), gift)?;
    stage.buys(GIFT_BALANCE, BUS, "rejected").await?;
    story.note("What a carrier refused for is remembered: it is not asked twice.");
    declined(stage, GIFT_BALANCE, "carrier_rejection:tele2", sources).await
}

/// A passenger buys by SMS and is declined. Says the fact that this is founded on. Errors: `source` did not say it.
async fn declined(stage: &Stage, passenger: Passenger, source: &str, sources: &mut Sources) -> Result<(), DemoError> {
    let charge = stage.buys(passenger, BUS, "declined").await?;
    stage.expect_taken(passenger, 0)?;
    let answer = stage.api.eligibility(passenger, BUS).await?;
    expect(answer.reason == charge.reason, || format!("{:?} now, and {:?} before", answer.reason, charge.reason))?;
    let (Some(reason), Some((name, fact))) = (charge.reason, known::reason_for_decline(&answer)) else {
        return Err(DemoError::Otherwise(format!("{} was declined over no fact", passenger.name)));
    };
    let said_by = known::said_by(fact, answer.judged_at);
    stage.story.said("the fact", &format!("{}: {said_by}", known::meaning(name)));
    expect(fact.source.to_string() == source, || format!("{} said so, not {source}", fact.source))?;
    sources.entry(reason).or_default().insert(source.to_owned());
    Ok(())
}

/// Somebody at the telephone is asked why.
async fn why_not(stage: &Stage) -> Result<(), DemoError> {
    stage.story.note(&format!("{} calls support and asks why. GET /v1/eligibility:", DEBTOR.name));
    explain(stage, &stage.api.eligibility(DEBTOR, BUS).await?);
    Ok(())
}

fn explain(stage: &Stage, answer: &ApiEligibility) {
    for line in known::in_words(answer) {
        stage.story.block(&format!("    {line}"));
    }
}

/// A slow source costs the passenger's own purchase a bounded time, and decides nothing.
async fn nobody_says(stage: &Stage) -> Result<(), DemoError> {
    let story = &stage.story;
    story.mishap("beeline", &format!("its customer system takes {SLOW_MS} ms; a purchase waits {FACTS_BUDGET_MS} ms"));
    stage.fault_over_http(UNKNOWN, Operation::Facts, 100, Fault::HttpSlow { ms: SLOW_MS })?;
    // At once, so that both wait for the same question from its beginning.
    let (shown, answer) = tokio::join!(stage.pays(UNKNOWN, BUS), stage.api.eligibility(UNKNOWN, BUS));
    let charge = stage.settles(shown?, "charged").await?;
    stage.expect_taken(UNKNOWN, FARE_TENGE)?;
    expect(took(&charge) < Duration::from_millis(FACTS_BUDGET_MS) + PURCHASE_MAX, || format!("late: {charge:?}"))?;
    story.note("What is unknown declines nobody here: the carrier has the last word, and took the fare. GET /v1/eligibility, asked meanwhile:");
    explain(stage, &answer?);
    stage.carrier(UNKNOWN).clear_faults();
    Ok(())
}

fn took(charge: &ApiCharge) -> Duration {
    charge.charged_at.map_or(Duration::MAX, |charged_at| charged_at.since(charge.received_at))
}
