//! An inspector's device: it has fetched the published keys, and has no network.

use std::time::Duration;

use super::{
    DemoError,
    audit::Told,
    cast::Passenger,
    stage::{Stage, expect},
};
use crate::{
    clock::{Clock, Timestamp},
    ticket::{KeySet, Verdict, Verifier, qr},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Draws the first ticket of `passenger`, bought on `bus`, and shows it to four inspectors.
pub(super) fn play(
    stage: &Stage,
    told: &Told,
    passenger: Passenger,
    bus: &str,
    other_bus: &str,
) -> Result<(), DemoError> {
    let story = &stage.story;
    let first =
        stage.carrier(passenger).ledger().entries_of(passenger.msisdn()).next().and_then(|entry| entry.reference);
    let text =
        told.tickets.iter().find(|(reference, _)| Some(reference.uuid()) == first).map(|(_, text)| text.as_str());
    let Some(text) = text else {
        return Err(DemoError::Otherwise(format!("{} has no ticket to show", passenger.name)));
    };
    let cose = qr::from_text(text).map_err(|error| DemoError::Otherwise(error.to_string()))?;
    story.note(&format!("{} shows her ticket: {} bytes, signed.", passenger.name, cose.len()));
    story.picture(&qr::TicketQr::new(&cose)?.to_terminal());

    let now = Clock::System.now();
    let verifier = told.verifier();
    let asks = |who: &str, verifier: &Verifier, text: &str, at: Timestamp, vehicle: &str, expected: &str| {
        let verdict = verifier.verify_text(text, at, Some(vehicle), &Default::default());
        let said = in_words(&verdict);
        story.said(who, &said);
        expect(said.starts_with(expected), || format!("{who}: {said}, not {expected}"))
    };
    asks(&format!("on bus {bus}"), &verifier, text, now, bus, "valid")?;
    asks(&format!("on bus {other_bus}"), &verifier, text, now, other_bus, "other vehicle")?;
    asks("tomorrow", &verifier, text, now.plus(DAY), bus, "expired")?;
    asks("a forgery", &verifier, &forged(&cose), now, bus, "invalid")?;
    let strangers = Verifier::new(KeySet { keys: Vec::new(), ..told.keys.clone() });
    asks("without its key", &strangers, text, now, bus, "cannot tell")
}

fn in_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Valid(ticket) => format!(
            "valid: bus {}, route {}, passengers {}, {}",
            ticket.vehicle, ticket.route, ticket.passengers, ticket.amount
        ),
        Verdict::Expired(ticket) => format!("expired at {}", ticket.expires_at),
        Verdict::OtherVehicle(ticket) => format!("other vehicle: it was bought on bus {}", ticket.vehicle),
        Verdict::Invalid(fault) => format!("invalid: {fault}"),
        Verdict::CannotTell(doubt) => format!("cannot tell: {doubt}"),
    }
}

/// The same ticket with the last bit of its signature turned.
fn forged(cose: &[u8]) -> String {
    let mut bytes = cose.to_vec();
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    qr::to_text(&bytes)
}
