//! Everybody pays at once, the carriers have every request and have answered none, and the daemon is killed.
//!
//! Nothing here depends on who is faster: until the daemon runs again, phones that are off hold the receipts back, callbacks are
//! lost, and whoever is asked over HTTP is out of order.

use tokio::task::JoinSet;

use super::{
    DemoError,
    cast::{BUS, CarrierId, DURING_THE_OUTAGE, FARE_TENGE, OTHER_BUS, Passenger, crowd},
    credentials::secret,
    stage::{Stage, expect, send, short_code, until},
};
use crate::{
    charge::Reference,
    simulator::Operation,
    simulator::{Condition, Fault, FaultRule, Subscriber},
};

/// Longer than any daemon waits, and any demo lasts.
const NEVER_MS: u64 = 600_000;
/// A passenger's balance, in tiyn.
const BALANCE_MINOR: i64 = 100_000;

/// Who pays, and the idempotency key of the purchase.
type Crowd = [(Passenger, String)];

/// Plays the kill, and what comes after it.
pub(super) async fn play(stage: &mut Stage) -> Result<(), DemoError> {
    let crowd: Vec<(Passenger, String)> = crowd().into_iter().map(|passenger| (passenger, secret::<16>())).collect();
    stage.story.chapter(&format!("Rush hour: {} passengers pay at once, and the daemon is killed", crowd.len()));
    for (passenger, _) in &crowd {
        will_not_be_answered(stage, *passenger)?;
    }
    let opened = pay_and_be_cut_off(stage, &crowd).await?;

    stage.story.passenger_says(DURING_THE_OUTAGE, &format!("{BUS} (nobody listens)"));
    let carrier = stage.carrier(DURING_THE_OUTAGE).clone();
    let waiting = tokio::spawn(async move { send(&carrier, DURING_THE_OUTAGE, BUS).await });

    stage.story.mishap("tele2, altel", "are out of order: whatever they are asked, they answer 503");
    for carrier in [CarrierId::Tele2, CarrierId::Altel] {
        let out_of_order = FaultRule::always(Fault::HttpErrorBefore { status: 503 });
        stage.carriers.of(carrier).set_fault(out_of_order)?;
    }
    stage.restart().await?;
    ask_again_with_the_same_keys(stage, &crowd, &opened).await?;
    evidence_settles_it(stage, &crowd).await?;

    waiting.await.map_err(|error| DemoError::Otherwise(error.to_string()))??;
    let charge = stage.ends(DURING_THE_OUTAGE, 0, "charged").await?;
    stage.reads(DURING_THE_OUTAGE, 0, short_code(&charge)).await?;
    stage.expect_taken(DURING_THE_OUTAGE, FARE_TENGE)
}

/// The money will be taken, as each carrier takes it, and nobody will say so.
fn will_not_be_answered(stage: &Stage, passenger: Passenger) -> Result<(), DemoError> {
    let no_answer = Fault::HttpTimeOutAfter { ms: NEVER_MS };
    match passenger.carrier() {
        CarrierId::Kcell | CarrierId::Beeline => {
            let phone_off = Subscriber::with_balance(BALANCE_MINOR).and(Condition::PhoneOff);
            stage.carrier(passenger).set_subscriber(passenger.msisdn(), phone_off)?;
            stage.fault(passenger, 1, Fault::DropResponse)
        }
        CarrierId::Tele2 => {
            stage.fault_over_http(passenger, Operation::Confirm, 1, Fault::HttpCallbackLost)?;
            stage.fault_over_http(passenger, Operation::Confirm, 1, no_answer)
        }
        CarrierId::Altel => {
            stage.fault_over_http(passenger, Operation::Charge, 1, Fault::HttpCallbackLost)?;
            stage.fault_over_http(passenger, Operation::Charge, 1, no_answer)
        }
    }
}

/// The references of the charges that were opened before the kill.
async fn pay_and_be_cut_off(stage: &mut Stage, crowd: &Crowd) -> Result<Vec<Reference>, DemoError> {
    let count = crowd.len();
    let mut asking = JoinSet::new();
    for (passenger, key) in crowd.iter().cloned() {
        let api = stage.api.clone();
        asking.spawn(async move { api.buy(passenger, OTHER_BUS, &key).await });
    }
    stage.story.said(&format!("{count} apps →"), &format!("[pay] on bus {OTHER_BUS}: POST /v1/charges"));
    // A fault is used up once its request is at its carrier.
    until("the carriers have every request", async || {
        Ok(stage.carriers.all().iter().all(|carrier| carrier.faults().is_empty()).then_some(()))
    })
    .await?;
    stage.story.mishap("carriers", &format!("have all {count} requests, and have answered none"));
    let opened = stage.api.charges(&format!("vehicle={OTHER_BUS}")).await?;

    let pid = stage.daemon.pid().unwrap_or_default();
    stage.daemon.kill().await?;
    stage.story.mishap("kill -9", &format!("process {pid} is gone"));
    // Requests die with it, or were answered "in doubt" just before.
    while asking.join_next().await.is_some() {}
    Ok(opened.into_iter().map(|charge| charge.reference).collect())
}

async fn ask_again_with_the_same_keys(stage: &Stage, crowd: &Crowd, opened: &[Reference]) -> Result<(), DemoError> {
    let pid = stage.daemon.pid().unwrap_or_default();
    let in_doubt = stage.api.charges("state=in_doubt").await?.len();
    stage.story.said("gateway", &format!("process {pid} runs on the same database: {in_doubt} charges are in doubt"));
    // On a slow machine a callback of the first step can come after the second, and has the carrier asked in time.
    let asked_in_time = stage.api.charges(&format!("vehicle={OTHER_BUS}&state=charged")).await?.len();
    expect(in_doubt > 0 && in_doubt + asked_in_time == crowd.len(), || {
        format!("{in_doubt} charges are in doubt and {asked_in_time} charged, not {} in all", crowd.len())
    })?;

    stage.story.note("The apps ask again, with the same keys. The charges are the same ones, and nothing is sent.");
    for (passenger, key) in crowd {
        let charge = stage.api.buy(*passenger, OTHER_BUS, key).await?;
        expect(opened.contains(&charge.reference), || format!("a second charge for one key: {charge:?}"))?;
    }
    Ok(())
}

async fn evidence_settles_it(stage: &Stage, crowd: &Crowd) -> Result<(), DemoError> {
    stage.story.note(
        "Phones are reached, and kcell and beeline send receipts. Tele2 and altel are in order again, and asked.",
    );
    for carrier in [CarrierId::Tele2, CarrierId::Altel] {
        stage.carriers.of(carrier).clear_faults();
    }
    for (passenger, _) in crowd {
        let mut subscriber = stage.carrier(*passenger).subscriber(passenger.msisdn());
        subscriber.conditions.remove(&Condition::PhoneOff);
        stage.carrier(*passenger).set_subscriber(passenger.msisdn(), subscriber)?;
    }
    for (passenger, _) in crowd {
        until("evidence settles the charges", async || {
            let charges = stage.api.charges_of(*passenger).await?;
            Ok(charges.iter().any(|charge| charge.state == "charged").then_some(()))
        })
        .await?;
        stage.expect_taken(*passenger, FARE_TENGE)?;
    }
    stage.story.said("gateway", &format!("{} charged, each once; nothing is in doubt", crowd.len()));
    Ok(())
}
