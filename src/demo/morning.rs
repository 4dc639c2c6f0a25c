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
    stage::{Stage, expect, secret, send, until},
    story::Story,
};
use crate::{
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
    stage.story.chapter("Aigul (kcell) sends the bus's code to 2505");
    let first = stage.writes(AIGUL, BUS, 1).await?;
    stage.ends(AIGUL, "charged").await?;
    stage.expect_taken(AIGUL, FARE_TENGE)?;

    stage.story.note("She sends it again. The same number on the same bus gets the same ticket.");
    let again = stage.writes(AIGUL, BUS, 1).await?;
    let codes = [&first, &again].map(|texts| texts.first().and_then(|text| short_code(text)));
    expect(codes[0].is_some() && codes[0] == codes[1], || format!("two tickets: {first:?} {again:?}"))?;
    stage.expect_taken(AIGUL, FARE_TENGE)?;

    stage.story.note("Her son gets on: *2 means two passengers in total, so one more is paid for.");
    stage.writes(AIGUL, "1234*2", 1).await?;
    stage.ends(AIGUL, "charged").await?;
    stage.expect_taken(AIGUL, 2 * FARE_TENGE)
}

async fn a_ticket_by_app(stage: &Stage) -> Result<(), DemoError> {
    stage.story.chapter("Marat (beeline) pays in an app, and chooses his language");
    stage.writes(MARAT, "ENG", 1).await?;
    let heard = stage.inbox(MARAT).len();
    let charge = stage.pays(MARAT, BUS).await?;
    expect(charge.state == "charged", || format!("the charge of Marat is {}", charge.state))?;
    stage.hears(MARAT, heard, 1).await?;

    stage.story.note("The app asks once more, with another key: a repeat.");
    let again = stage.pays(MARAT, BUS).await?;
    expect(again.repeat_of == Some(charge.reference), || format!("no repeat: {again:?}"))?;

    stage.story.note("He has deleted the message: БИЛЕТ sends the ticket again.");
    stage.writes(MARAT, "БИЛЕТ", 1).await?;
    stage.writes(MARAT, "ҚАЗ", 1).await?;
    stage.writes(MARAT, "БИЛЕТ", 1).await?;
    stage.expect_taken(MARAT, FARE_TENGE)
}

async fn those_who_do_not_get_one(stage: &Stage) -> Result<(), DemoError> {
    stage.story.chapter("A wrong code, and an empty purse");
    stage.writes(DANA, "9999", 1).await?;
    stage.writes(DANA, "Где автобус?", 1).await?;
    stage.expect_taken(DANA, 0)?;

    stage.carrier(EMPTY_PURSE).set_subscriber(EMPTY_PURSE.msisdn(), Subscriber::with_balance(7_900))?;
    stage.writes(EMPTY_PURSE, BUS, 1).await?;
    stage.ends(EMPTY_PURSE, "rejected").await?;
    stage.story.note("She tops up, and tries again.");
    stage.carrier(EMPTY_PURSE).set_subscriber(EMPTY_PURSE.msisdn(), Subscriber::with_balance(50_000))?;
    stage.writes(EMPTY_PURSE, BUS, 1).await?;
    stage.ends(EMPTY_PURSE, "charged").await?;
    stage.expect_taken(EMPTY_PURSE, FARE_TENGE)
}

async fn the_five_refusals(stage: &Stage) -> Result<(), DemoError> {
    stage.story.chapter("The five refusals");
    stage.story.note("Three are on the operator's number lists, so nothing is sent to the carrier.");
    for passenger in [COMPANY_CAR, DEBTOR, NEW_SIM] {
        stage.writes(passenger, BUS, 1).await?;
        stage.ends(passenger, "declined").await?;
        stage.expect_taken(passenger, 0)?;
    }
    stage.story.note("Two only their carriers know. What a carrier refused for is remembered: it is not asked twice.");
    for (passenger, condition) in
        [(NEVER_TOPPED_UP, Condition::NoTopUpSinceActivation), (GIFT_BALANCE, Condition::InitialBalanceUnused)]
    {
        let subscriber = Subscriber::with_balance(100_000).and(condition);
        stage.carrier(passenger).set_subscriber(passenger.msisdn(), subscriber)?;
        stage.writes(passenger, BUS, 1).await?;
        stage.ends(passenger, "rejected").await?;
        let asked = stage.carrier(passenger).stats().submits;
        let heard = stage.inbox(passenger).len();
        let charge = stage.pays(passenger, BUS).await?;
        expect(charge.state == "declined", || format!("the second charge of {} is {}", passenger.name, charge.state))?;
        stage.hears(passenger, heard, 1).await?;
        expect(stage.carrier(passenger).stats().submits == asked + 1, || "a carrier was asked twice".into())?;
        stage.expect_taken(passenger, 0)?;
    }
    Ok(())
}

async fn carriers_have_a_bad_day(stage: &Stage) -> Result<(), DemoError> {
    stage.story.chapter("The carriers have a bad day");
    stage.story.mishap("kcell", "answers \"too fast\" twice (ESME_RTHROTTLED)");
    stage.fault(THROTTLED, 2, Fault::Throttle)?;
    one_fare_all_the_same(stage, THROTTLED).await?;

    stage.story.mishap("beeline", "sends the receipt before the response");
    stage.fault(EARLY_RECEIPT, 1, Fault::ReceiptBeforeResponse)?;
    one_fare_all_the_same(stage, EARLY_RECEIPT).await?;

    stage.story.mishap("kcell", &format!("answers after {LATE_MS} ms; the gateway gives it {RESPONSE_TIMEOUT_MS} ms"));
    stage.fault(LATE_RESPONSE, 1, Fault::DelayResponse { ms: LATE_MS })?;
    stage.fault(LATE_RESPONSE, 1, Fault::NoReceipt)?;
    one_fare_all_the_same(stage, LATE_RESPONSE).await?;

    stage.story.mishap("beeline", "loses the response; only the receipt tells that the money was taken");
    stage.fault(LOST_RESPONSE, 1, Fault::DropResponse)?;
    stage.fault(LOST_RESPONSE, 1, Fault::LateReceipt { ms: LATE_MS })?;
    one_fare_all_the_same(stage, LOST_RESPONSE).await
}

/// Whatever the carrier does: one fare is taken, and one ticket comes.
async fn one_fare_all_the_same(stage: &Stage, passenger: Passenger) -> Result<(), DemoError> {
    let heard = stage.inbox(passenger).len();
    let charge = stage.pays(passenger, BUS).await?;
    if charge.state != "charged" {
        stage.ends(passenger, "charged").await?;
    }
    stage.hears(passenger, heard, 1).await?;
    stage.expect_taken(passenger, FARE_TENGE)
}

/// Everybody pays at once, the carriers have every request and have answered none, and the daemon is killed. Phones that are
/// off hold the receipts back until it runs again: so nothing here depends on who is faster.
async fn killed_at_rush_hour(stage: &mut Stage) -> Result<(), DemoError> {
    let crowd = crowd();
    let count = crowd.len();
    stage.story.chapter(&format!("Rush hour: {count} passengers pay at once, and the daemon is killed"));
    for passenger in &crowd {
        let phone_off = Subscriber::with_balance(100_000).and(Condition::PhoneOff);
        stage.carrier(*passenger).set_subscriber(passenger.msisdn(), phone_off)?;
        stage.fault(*passenger, 1, Fault::DropResponse)?;
    }
    let struck =
        |stage: &Stage| CarrierId::ALL.map(|carrier| stage.carriers.of(carrier).stats().faults).iter().sum::<u64>();
    let struck_before = struck(stage);

    let keys: Vec<(Passenger, String)> = crowd.iter().map(|passenger| (*passenger, secret::<16>())).collect();
    let mut asking = JoinSet::new();
    for (passenger, key) in keys.clone() {
        let api = stage.api.clone();
        asking.spawn(async move { api.buy(passenger, FULL_BUS, &key).await });
    }
    until("both carriers have every request", async || {
        Ok((struck(stage) == struck_before + count as u64).then_some(()))
    })
    .await?;
    let before = references(stage).await?;
    stage.story.mishap("carriers", &format!("have all {count} requests, and have answered none"));

    let pid = stage.daemon.pid().unwrap_or_default();
    stage.daemon.kill().await?;
    stage.story.mishap("kill -9", &format!("process {pid} is gone"));
    // Their requests die with it, or were answered "in doubt" just before.
    while asking.join_next().await.is_some() {}

    stage.story.from_passenger(DURING_THE_OUTAGE.name, &format!("{BUS} (nobody listens)"));
    let carrier = stage.carrier(DURING_THE_OUTAGE).clone();
    let waiting = tokio::spawn(async move { send(&carrier, DURING_THE_OUTAGE, BUS).await });

    stage.restart().await?;
    let pid = stage.daemon.pid().unwrap_or_default();
    let in_doubt = stage.api.charges("state=in_doubt").await?.len();
    stage.story.said("gateway", &format!("process {pid} runs on the same database: {in_doubt} charges are in doubt"));
    expect(in_doubt == count, || format!("{in_doubt} charges are in doubt, not {count}"))?;

    stage.story.note("The apps ask again, with the same keys. The charges are the same ones, and nothing is sent.");
    for (passenger, key) in &keys {
        let charge = stage.api.buy(*passenger, FULL_BUS, key).await?;
        expect(before.contains(&charge.reference), || format!("a second charge for one key: {charge:?}"))?;
    }
    stage.story.note("The phones are reached, and the carriers send their receipts.");
    for passenger in &crowd {
        let mut subscriber = stage.carrier(*passenger).subscriber(passenger.msisdn());
        subscriber.conditions.remove(&Condition::PhoneOff);
        stage.carrier(*passenger).set_subscriber(passenger.msisdn(), subscriber)?;
    }
    for passenger in &crowd {
        until("the receipts settle the charges", async || {
            let charges = stage.api.charges_of(*passenger).await?;
            Ok(charges.iter().any(|charge| charge.state == "charged").then_some(()))
        })
        .await?;
        stage.expect_taken(*passenger, FARE_TENGE)?;
    }
    stage.story.said("gateway", &format!("{count} charged, each once; nothing is in doubt"));

    waiting.await.map_err(|error| DemoError::Otherwise(error.to_string()))??;
    stage.hears(DURING_THE_OUTAGE, 0, 1).await?;
    stage.ends(DURING_THE_OUTAGE, "charged").await?;
    until("every passenger has the ticket", async || {
        Ok(crowd.iter().all(|passenger| !stage.inbox(*passenger).is_empty()).then_some(()))
    })
    .await
}

/// The charges on the full bus.
async fn references(stage: &Stage) -> Result<Vec<crate::charge::Reference>, DemoError> {
    let charges = stage.api.charges(&format!("vehicle={FULL_BUS}")).await?;
    Ok(charges.into_iter().map(|charge| charge.reference).collect())
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
    story.block(&format!("{:<12}{:>24}{:>24}{:>12}", "", "the carrier's own books", "our ledger", ""));
    for carrier in CarrierId::ALL {
        let theirs = stage.carriers.of(carrier).ledger().total();
        story.block(&books_line(carrier.name(), theirs, Money::kzt(receivable(&balances, carrier))));
    }
    story.block(&books_line("together", Money::kzt(verdict.carrier_ledger), Money::kzt(verdict.gateway_ledger)));
    let declined = verdict.declined.iter().map(|(reason, count)| format!("{reason} {count}")).collect::<Vec<_>>();
    story.block(&format!(
        "\ncharged {}, tickets {}, verified offline {}, rejected {}, in doubt {}\ndeclined: {}",
        verdict.charged,
        verdict.tickets,
        verdict.tickets_verified,
        verdict.rejected,
        verdict.in_doubt,
        declined.join(", "),
    ));
    story.verdict(verdict.is_clean());
    Ok(verdict)
}

fn books_line(name: &str, theirs: Money, ours: Money) -> String {
    let equal = if theirs == ours { "equal" } else { "DIFFERENT" };
    format!("{name:<12}{:>24}{:>24}{equal:>12}", theirs.to_string(), ours.to_string())
}

/// The first word of eight capital letters and digits in a ticket's message.
fn short_code(text: &str) -> Option<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .find(|word| word.len() == 8 && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()))
}
