//! The script. Every outcome that a charge can have, one after the other; each scene fails if it ends otherwise.

use tokio::task::JoinSet;

use super::{
    DemoError, Verdict,
    audit::{self, Told, receivable},
    carriers::RESPONSE_TIMEOUT_MS,
    cast::{
        AIGUL, COMPANY_CAR, CarrierId, DANA, DEBTOR, DURING_THE_OUTAGE, EARLY_RECEIPT, EMPTY_PURSE, GIFT_BALANCE,
        LATE_RESPONSE, LOST_RESPONSE, MARAT, NEVER_TOPPED_UP, NEW_SIM, Passenger, THROTTLED, crowd,
    },
    inspection,
    stage::{Stage, expect, secret, send, short_code, until},
    story::Story,
};
use crate::{
    charge::Reference,
    money::Money,
    simulator::{Condition, Fault, Subscriber},
};

/// The bus of most scenes: 80 tenge.
const BUS: &str = "1234";
/// The bus of the rush hour.
const FULL_BUS: &str = "1235";
const FARE_TENGE: i64 = 80;
/// Comfortably more than the gateway waits for a response.
const LATE_MS: u64 = RESPONSE_TIMEOUT_MS + 400;

/// Plays the whole morning, and says what came of it.
///
/// Errors: something did not go by the script; with the last lines of the daemon's log.
pub(super) async fn play(story: Story) -> Result<Verdict, DemoError> {
    story.chapter("smsbusd demo: a morning with two simulated carriers on loopback, and a real daemon");
    let mut stage = Stage::set(story).await?;
    match scenes(&mut stage).await {
        Ok(verdict) => Ok(verdict),
        Err(error) => Err(stage.with_log(error)),
    }
}

async fn scenes(stage: &mut Stage) -> Result<Verdict, DemoError> {
    the_doors_open(stage);
    a_ticket_by_sms(stage).await?;
    a_ticket_by_app(stage).await?;
    those_who_do_not_get_one(stage).await?;
    the_five_refusals(stage).await?;
    carriers_have_a_bad_day(stage).await?;
    killed_at_rush_hour(stage).await?;
    let told = the_daemon_stops(stage).await?;
    inspection::play(stage, &told, AIGUL, BUS, FULL_BUS)?;
    the_books(stage, &told).await
}

fn the_doors_open(stage: &Stage) {
    let pid = stage.daemon.pid().unwrap_or_default();
    stage.story.note("kcell takes the money when it accepts a message, beeline when the phone has it.");
    stage.story.note(&format!("smsbusd runs as process {pid}, bound to both, with SQLite in a temporary folder."));
}

async fn a_ticket_by_sms(stage: &Stage) -> Result<(), DemoError> {
    stage.story.chapter("Aigul sends the bus's code to 2505");
    let charge = stage.buys(AIGUL, BUS, "charged").await?;
    stage.expect_taken(AIGUL, FARE_TENGE)?;

    stage.story.note("She sends it again. The same number on the same bus gets the same ticket.");
    stage.writes(AIGUL, BUS, short_code(&charge)).await?;
    stage.expect_taken(AIGUL, FARE_TENGE)?;

    stage.story.note("Her son gets on: *2 means two passengers in total, so one more is paid for.");
    stage.buys(AIGUL, "1234*2", "charged").await?;
    stage.expect_taken(AIGUL, 2 * FARE_TENGE)
}

async fn a_ticket_by_app(stage: &Stage) -> Result<(), DemoError> {
    stage.story.chapter("Marat pays in an app, and chooses his language");
    stage.writes(MARAT, "ENG", "English").await?;
    let shown = stage.pays(MARAT, BUS).await?;
    let charge = stage.settles(shown, "charged").await?;

    stage.story.note("The app asks once more, with another key: a repeat.");
    let again = stage.pays(MARAT, BUS).await?;
    expect(again.repeat_of == Some(charge.reference), || format!("no repeat: {again:?}"))?;

    stage.story.note("БИЛЕТ brings the ticket by SMS as well, in the language he chose.");
    stage.writes(MARAT, "БИЛЕТ", &format!("Ticket {}", short_code(&charge))).await?;
    stage.writes(MARAT, "ҚАЗ", "қазақша").await?;
    stage.writes(MARAT, "БИЛЕТ", &format!("Билет {}", short_code(&charge))).await?;
    stage.expect_taken(MARAT, FARE_TENGE)
}

async fn those_who_do_not_get_one(stage: &Stage) -> Result<(), DemoError> {
    stage.story.chapter("A wrong code, and an empty purse");
    stage.writes(DANA, "9999", "9999").await?;
    stage.writes(DANA, "Где автобус?", "1234*2").await?;
    stage.expect_taken(DANA, 0)?;

    stage.carrier(EMPTY_PURSE).set_subscriber(EMPTY_PURSE.msisdn(), Subscriber::with_balance(7_900))?;
    stage.buys(EMPTY_PURSE, BUS, "rejected").await?;
    stage.story.note("She tops up, and tries again.");
    stage.carrier(EMPTY_PURSE).set_subscriber(EMPTY_PURSE.msisdn(), Subscriber::with_balance(50_000))?;
    stage.buys(EMPTY_PURSE, BUS, "charged").await?;
    stage.expect_taken(EMPTY_PURSE, FARE_TENGE)
}

async fn the_five_refusals(stage: &Stage) -> Result<(), DemoError> {
    stage.story.chapter("The five refusals");
    stage.story.note("Three are on the operator's number lists, so nothing is sent to the carrier.");
    for passenger in [COMPANY_CAR, DEBTOR, NEW_SIM] {
        stage.buys(passenger, BUS, "declined").await?;
        stage.expect_taken(passenger, 0)?;
    }
    stage.story.note("Two only their carriers know. What a carrier refused for is remembered: it is not asked twice.");
    for (passenger, condition) in
        [(NEVER_TOPPED_UP, Condition::NoTopUpSinceActivation), (GIFT_BALANCE, Condition::InitialBalanceUnused)]
    {
        let subscriber = Subscriber::with_balance(100_000).and(condition);
        stage.carrier(passenger).set_subscriber(passenger.msisdn(), subscriber)?;
        stage.buys(passenger, BUS, "rejected").await?;
        let shown = stage.pays(passenger, BUS).await?;
        stage.settles(shown, "declined").await?;
        stage.expect_taken(passenger, 0)?;
    }
    Ok(())
}

async fn carriers_have_a_bad_day(stage: &Stage) -> Result<(), DemoError> {
    stage.story.chapter("The carriers have a bad day");
    stage.story.mishap("kcell", "says \"too fast\" twice (ESME_RTHROTTLED)");
    stage.fault(THROTTLED, 2, Fault::Throttle)?;
    stage.buys(THROTTLED, BUS, "charged").await?;

    stage.story.mishap("beeline", "sends the receipt before the response");
    stage.fault(EARLY_RECEIPT, 1, Fault::ReceiptBeforeResponse)?;
    stage.buys(EARLY_RECEIPT, BUS, "charged").await?;

    stage.story.mishap("kcell", &format!("answers after {LATE_MS} ms; the gateway waits for {RESPONSE_TIMEOUT_MS} ms"));
    stage.fault(LATE_RESPONSE, 1, Fault::DelayResponse { ms: LATE_MS })?;
    stage.fault(LATE_RESPONSE, 1, Fault::NoReceipt)?;
    let shown = stage.pays(LATE_RESPONSE, BUS).await?;
    stage.settles(shown, "charged").await?;

    stage.story.mishap("beeline", "loses its response; only the receipt tells that the money was taken");
    stage.fault(LOST_RESPONSE, 1, Fault::DropResponse)?;
    stage.fault(LOST_RESPONSE, 1, Fault::LateReceipt { ms: LATE_MS })?;
    let shown = stage.pays(LOST_RESPONSE, BUS).await?;
    stage.settles(shown, "charged").await?;

    stage.story.note("Whatever the carriers did: one fare is taken from each, and each has a ticket.");
    for passenger in [THROTTLED, EARLY_RECEIPT, LATE_RESPONSE, LOST_RESPONSE] {
        stage.expect_taken(passenger, FARE_TENGE)?;
    }
    Ok(())
}

/// Everybody pays at once, the carriers have every request and have answered none, and the daemon is killed. Phones that are
/// off hold the receipts back until it runs again: so nothing here depends on who is faster.
async fn killed_at_rush_hour(stage: &mut Stage) -> Result<(), DemoError> {
    let crowd: Vec<(Passenger, String)> = crowd().into_iter().map(|passenger| (passenger, secret::<16>())).collect();
    stage.story.chapter(&format!("Rush hour: {} passengers pay at once, and the daemon is killed", crowd.len()));
    for (passenger, _) in &crowd {
        let phone_off = Subscriber::with_balance(100_000).and(Condition::PhoneOff);
        stage.carrier(*passenger).set_subscriber(passenger.msisdn(), phone_off)?;
        stage.fault(*passenger, 1, Fault::DropResponse)?;
    }
    let opened = pay_and_be_cut_off(stage, &crowd).await?;

    stage.story.passenger_says(DURING_THE_OUTAGE, &format!("{BUS} (nobody listens)"));
    let carrier = stage.carrier(DURING_THE_OUTAGE).clone();
    let waiting = tokio::spawn(async move { send(&carrier, DURING_THE_OUTAGE, BUS).await });

    stage.restart().await?;
    ask_again_with_the_same_keys(stage, &crowd, &opened).await?;
    the_receipts_settle_it(stage, &crowd).await?;

    waiting.await.map_err(|error| DemoError::Otherwise(error.to_string()))??;
    let charge = stage.ends(DURING_THE_OUTAGE, 0, "charged").await?;
    stage.reads(DURING_THE_OUTAGE, 0, short_code(&charge)).await?;
    stage.expect_taken(DURING_THE_OUTAGE, FARE_TENGE)
}

/// The references of the charges that were opened before the kill.
async fn pay_and_be_cut_off(stage: &mut Stage, crowd: &[(Passenger, String)]) -> Result<Vec<Reference>, DemoError> {
    let count = crowd.len();
    let struck =
        |stage: &Stage| CarrierId::ALL.map(|carrier| stage.carriers.of(carrier).stats().faults).iter().sum::<u64>();
    let struck_before = struck(stage);
    let mut asking = JoinSet::new();
    for (passenger, key) in crowd.iter().cloned() {
        let api = stage.api.clone();
        asking.spawn(async move { api.buy(passenger, FULL_BUS, &key).await });
    }
    stage.story.said(&format!("{count} apps →"), &format!("[pay] on bus {FULL_BUS}: POST /v1/charges"));
    // Each request meets its fault once it is at its carrier.
    until("both carriers have every request", async || {
        Ok((struck(stage) == struck_before + count as u64).then_some(()))
    })
    .await?;
    stage.story.mishap("carriers", &format!("have all {count} requests, and have answered none"));
    let opened = stage.api.charges(&format!("vehicle={FULL_BUS}")).await?;

    let pid = stage.daemon.pid().unwrap_or_default();
    stage.daemon.kill().await?;
    stage.story.mishap("kill -9", &format!("process {pid} is gone"));
    // Requests die with it, or were answered "in doubt" just before.
    while asking.join_next().await.is_some() {}
    Ok(opened.into_iter().map(|charge| charge.reference).collect())
}

async fn ask_again_with_the_same_keys(
    stage: &Stage,
    crowd: &[(Passenger, String)],
    opened: &[Reference],
) -> Result<(), DemoError> {
    let pid = stage.daemon.pid().unwrap_or_default();
    let in_doubt = stage.api.charges("state=in_doubt").await?.len();
    stage.story.said("gateway", &format!("process {pid} runs on the same database: {in_doubt} charges are in doubt"));
    expect(in_doubt == crowd.len(), || format!("{in_doubt} charges are in doubt, not {}", crowd.len()))?;

    stage.story.note("The apps ask again, with the same keys. The charges are the same ones, and nothing is sent.");
    for (passenger, key) in crowd {
        let charge = stage.api.buy(*passenger, FULL_BUS, key).await?;
        expect(opened.contains(&charge.reference), || format!("a second charge for one key: {charge:?}"))?;
    }
    Ok(())
}

async fn the_receipts_settle_it(stage: &Stage, crowd: &[(Passenger, String)]) -> Result<(), DemoError> {
    stage.story.note("The phones are reached, and the carriers send their receipts.");
    for (passenger, _) in crowd {
        let mut subscriber = stage.carrier(*passenger).subscriber(passenger.msisdn());
        subscriber.conditions.remove(&Condition::PhoneOff);
        stage.carrier(*passenger).set_subscriber(passenger.msisdn(), subscriber)?;
    }
    for (passenger, _) in crowd {
        until("the receipts settle the charges", async || {
            let charges = stage.api.charges_of(*passenger).await?;
            Ok(charges.iter().any(|charge| charge.state == "charged").then_some(()))
        })
        .await?;
        stage.expect_taken(*passenger, FARE_TENGE)?;
    }
    stage.story.said("gateway", &format!("{} charged, each once; nothing is in doubt", crowd.len()));
    Ok(())
}

async fn the_daemon_stops(stage: &mut Stage) -> Result<Told, DemoError> {
    stage.story.chapter("The inspector gets on");
    let told = Told::by(&stage.api).await?;
    stage.daemon.stop().await?;
    stage.story.note("The daemon has drained and stopped: whatever is verified now is verified without it.");
    Ok(told)
}

async fn the_books(stage: &Stage, told: &Told) -> Result<Verdict, DemoError> {
    let story = &stage.story;
    story.chapter("The books are compared");
    let balances = audit::our_balances(&stage.files.database()).await?;
    let verdict = audit::audit(told, &stage.carriers, &balances);
    story.block(&format!("{:<12}{:>24}{:>24}", "", "the carrier's own books", "our ledger"));
    for carrier in CarrierId::ALL {
        let theirs = stage.carriers.of(carrier).ledger().total();
        story.block(&books_line(carrier.name(), theirs, Money::kzt(receivable(&balances, carrier))));
    }
    story.block(&books_line("together", Money::kzt(verdict.carrier_ledger), Money::kzt(verdict.gateway_ledger)));
    story.block(&format!(
        "\ncharged {}, tickets {}, verified offline {}, rejected {}, in doubt {}",
        verdict.charged, verdict.tickets, verdict.tickets_verified, verdict.rejected, verdict.in_doubt
    ));
    for (reason, count) in &verdict.declined {
        story.block(&format!("declined {count}: {reason}"));
    }
    story.verdict(verdict.is_clean());
    Ok(verdict)
}

fn books_line(name: &str, theirs: Money, ours: Money) -> String {
    let equal = if theirs == ours { "equal" } else { "DIFFERENT" };
    format!("{name:<12}{:>24}{:>24}{equal:>12}", theirs.to_string(), ours.to_string())
}
