//! The script. Every outcome that a charge can have, one after the other; each scene fails if it ends otherwise.

use super::{
    DemoError, Verdict,
    audit::{self, Told},
    bad_day,
    cast::{AIGUL, BUS, BY_CALLBACK, CarrierId, DANA, EMPTY_PURSE, FARE_TENGE, MARAT, OTHER_BUS, WITH_PASSWORD},
    credentials::secret,
    inspection,
    refusals::{self, Sources},
    rush_hour,
    stage::{Stage, expect, short_code, until},
    story::Story,
};
use crate::{money::Money, simulator::Subscriber};

/// What the carrier sends to a phone when it wants to know who pays.
const PASSWORD: &str = "352673";

/// Plays the whole morning, and says what came of it.
///
/// Errors: something did not go by the script; with the last lines of the daemon's log.
pub(super) async fn play(story: Story) -> Result<Verdict, DemoError> {
    story.chapter("smsbusd demo: a morning with a simulated carrier of each kind on loopback, and a real daemon");
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
    carriers_over_http(stage).await?;
    those_who_do_not_get_one(stage).await?;
    let sources = refusals::play(stage).await?;
    bad_day::play(stage).await?;
    rush_hour::play(stage).await?;
    let told = the_daemon_stops(stage).await?;
    inspection::play(stage, &told, AIGUL, BUS, OTHER_BUS)?;
    the_books(stage, &told, sources).await
}

fn the_doors_open(stage: &Stage) {
    for (carrier, how) in [
        (CarrierId::Kcell, "SMPP: takes the money when it accepts a message"),
        (CarrierId::Beeline, "SMPP: takes the money when the phone has the message"),
        (CarrierId::Tele2, "CAMARA, in two steps: holds the amount, then takes it"),
        (CarrierId::Altel, "a form, by profile: says \"in progress\", then calls back"),
    ] {
        stage.story.said(carrier.name(), how);
    }
    let pid = stage.daemon.pid().unwrap_or_default();
    stage.story.note(&format!("smsbusd runs as process {pid}, bound to all, with SQLite in a temporary folder."));
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

async fn carriers_over_http(stage: &Stage) -> Result<(), DemoError> {
    stage.story.chapter("Two carriers that are charged over HTTP: Bolat by SMS, Asel in an app");
    stage.buys(BY_CALLBACK, BUS, "charged").await?;
    stage.expect_taken(BY_CALLBACK, FARE_TENGE)?;
    until("altel's callback is taken", async || {
        Ok((stage.carrier(BY_CALLBACK).stats().http.callbacks_acknowledged == 1).then_some(()))
    })
    .await?;
    stage.story.note("Altel's signed callback told that the money was taken. The ticket goes by SMS all the same.");

    let subscriber = Subscriber::with_balance(100_000).with_otp(PASSWORD);
    stage.carrier(WITH_PASSWORD).set_subscriber(WITH_PASSWORD.msisdn(), subscriber)?;
    let shown = stage.pays(WITH_PASSWORD, BUS).await?;
    expect(shown.state == "awaiting_otp", || format!("no password is wanted: {shown:?}"))?;
    stage.expect_taken(WITH_PASSWORD, 0)?;
    stage.story.note("Tele2 sends a password to her phone. She mistypes it, and tries again.");
    for (entered, state) in [("111111", "awaiting_otp"), (PASSWORD, "charged")] {
        stage.story.passenger_says(WITH_PASSWORD, &format!("enters {entered}: POST /v1/charges/…/otp"));
        let charge = stage.api.enter_password(shown.reference, entered).await?;
        stage.tell(&charge);
        expect(charge.state == state, || format!("after {entered}: {charge:?}"))?;
    }
    stage.expect_taken(WITH_PASSWORD, FARE_TENGE)?;

    stage.story.note("It was the wrong bus. The ticket service gives the fare back: POST /v1/charges/…/refunds");
    stage.api.refund(shown.reference, &secret::<16>()).await?;
    let refunded = until("the money went back", async || {
        Ok(Some(stage.api.charge(shown.reference).await?).filter(|charge| charge.state == "refunded"))
    });
    stage.tell(&refunded.await?);
    stage.expect_taken(WITH_PASSWORD, 0)
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

async fn the_daemon_stops(stage: &mut Stage) -> Result<Told, DemoError> {
    stage.story.chapter("The inspector gets on");
    let told = Told::by(&stage.api).await?;
    stage.daemon.stop().await?;
    stage.story.note("The daemon has drained and stopped: whatever is verified now is verified without it.");
    Ok(told)
}

async fn the_books(stage: &Stage, told: &Told, sources: Sources) -> Result<Verdict, DemoError> {
    let story = &stage.story;
    story.chapter("The books are compared");
    let books = audit::our_books(&stage.files.database()).await?;
    let verdict = audit::audit(told, &stage.carriers, &books, sources);
    story.block(&format!("{:<12}{:>24}{:>24}", "", "the carrier's own books", "our ledger"));
    for carrier in CarrierId::ALL {
        let both = verdict.carriers.get(carrier.name()).copied().unwrap_or_default();
        story.block(&books_line(carrier.name(), both.carrier, both.gateway));
    }
    story.block(&books_line("together", verdict.carrier_ledger, verdict.gateway_ledger));
    story.block(&format!(
        "\ncharged {}, tickets {}, verified offline {}, refunded {}, rejected {}, in doubt {}",
        verdict.charged,
        verdict.tickets,
        verdict.tickets_verified,
        verdict.refunded,
        verdict.rejected,
        verdict.in_doubt
    ));
    for (reason, count) in &verdict.declined {
        let by = verdict.sources.get(reason).into_iter().flatten().cloned().collect::<Vec<_>>().join(", ");
        story.block(format!("declined {count}: {reason:<28}{by}").trim_end());
    }
    story.block("");
    for ((account, currency), minor) in &books.balances {
        let amount = Money::new(i64::try_from(*minor).unwrap_or(i64::MAX), *currency).to_string();
        story.block(&format!("{:<36}{amount:>24}", account.to_string()));
    }
    let in_order = if books.flaws_total == 0 { "in order" } else { "NOT IN ORDER" };
    story.block(&format!(
        "\nledger check: {in_order}; {} entries and {} lines in {} blocks, each with the hash of the last",
        books.entries, books.lines, books.blocks
    ));
    for flaw in &books.flaws {
        story.block(&flaw.to_string());
    }
    story.verdict(verdict.is_clean());
    Ok(verdict)
}

/// Both in tiyn.
fn books_line(name: &str, theirs: i64, ours: i64) -> String {
    let equal = if theirs == ours { "equal" } else { "DIFFERENT" };
    let [theirs, ours] = [theirs, ours].map(|minor| Money::kzt(minor).to_string());
    format!("{name:<12}{theirs:>24}{ours:>24}{equal:>12}")
}
