//! What happened to a charge, in words that support can read to a passenger.

use jiff::{Zoned, tz::TimeZone};
use serde::Deserialize;

use crate::{
    charge::{Event, Evidence, EvidenceSource, Finding, Reason, Reference},
    clock::Timestamp,
};

/// A charge as the API shows it; what the story needs of it.
#[derive(Debug, Deserialize)]
pub(super) struct Told {
    reference: Reference,
    state: String,
    reason: Option<Reason>,
    amount: Amount,
    passengers: u8,
    vehicle: String,
    route: String,
    agency: String,
    channel: String,
    ticket: Option<Ticket>,
    #[serde(default)]
    refunds: Vec<Refund>,
}

#[derive(Debug, Deserialize)]
struct Amount {
    minor: i64,
    currency: crate::money::Currency,
}

#[derive(Debug, Deserialize)]
struct Ticket {
    short_code: String,
    expires_at: Timestamp,
    revoked_at: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
struct Refund {
    #[serde(rename = "id")]
    reference: Reference,
    state: String,
    amount: Amount,
}

/// Its journal.
#[derive(Debug, Deserialize)]
pub(super) struct Journal {
    entries: Vec<Line>,
    #[serde(default)]
    messages: Vec<Message>,
    #[serde(default)]
    retired: Vec<RetiredMonth>,
}

#[derive(Debug, Deserialize)]
struct RetiredMonth {
    month: String,
    archived: bool,
}

#[derive(Debug, Deserialize)]
struct Line {
    at: Timestamp,
    from: Option<String>,
    to: String,
    event: Option<Event>,
    words: Option<String>,
    #[serde(default)]
    breaks: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Message {
    at: Timestamp,
    carrier: String,
    text: String,
    state: String,
}

/// The story, line by line.
pub(super) fn tell(charge: &Told, journal: &Journal, zone: &TimeZone) -> Vec<String> {
    let mut told = vec![headline(charge), subject(charge)];
    told.extend(journal.retired.iter().map(elsewhere));
    let mut steps: Vec<(Timestamp, Vec<String>)> = Vec::new();
    for line in &journal.entries {
        let mut said = vec![sentence(line, charge)];
        said.extend(line.words.iter().flat_map(|words| words.lines()).map(|words| format!("| {}", printable(words))));
        said.extend(
            line.breaks.iter().map(|found| format!("! this contradicts what was known: {}", found.replace('_', " "))),
        );
        steps.push((line.at, said));
    }
    for message in &journal.messages {
        let said = format!("text to the passenger over {} ({}): {}", message.carrier, message.state, message.text);
        steps.push((message.at, vec![said]));
    }
    steps.sort_by_key(|(at, _)| *at);
    let mut day = None;
    for (at, said) in steps {
        let local = at.zoned(zone);
        if day.replace(local.date()) != Some(local.date()) {
            told.push(format!("{} ({})", local.date(), zone.iana_name().unwrap_or("local time")));
        }
        let (first, rest) = said.split_first().expect("each step has a sentence");
        told.push(format!("  {}  {}", clock_of(&local), printable(first)));
        told.extend(rest.iter().map(|line| format!("  {:12}  {line}", "")));
    }
    told.extend(ticket(charge, zone));
    told.extend(charge.refunds.iter().map(|refund| {
        format!("refund {} of {}: {}", refund.reference, shown(&refund.amount), refund.state.replace('_', " "))
    }));
    told
}

/// The story is told without that.
fn elsewhere(RetiredMonth { month, archived }: &RetiredMonth) -> String {
    match archived {
        true => format!(
            "What happened to it in {month} is no longer here: it is in the archive, in journal-{month}.jsonl.gz."
        ),
        false => format!("What happened to it in {month} is no longer here, and was not archived."),
    }
}

/// A carrier's words must not command the terminal that they are read on.
fn printable(words: &str) -> String {
    words.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn headline(charge: &Told) -> String {
    let state = charge.state.replace('_', " ");
    let why = charge.reason.map_or(String::new(), |reason| format!(", because: {}", reason.code().replace('_', " ")));
    format!("Charge {} is {state}{why}.", charge.reference)
}

fn subject(charge: &Told) -> String {
    let riders =
        if charge.passengers == 1 { "1 passenger".to_owned() } else { format!("{} passengers", charge.passengers) };
    let Told { vehicle, route, agency, .. } = charge;
    format!("{} for {riders} on vehicle {vehicle}, route {route} of {agency}.", shown(&charge.amount))
}

fn ticket(charge: &Told, zone: &TimeZone) -> Option<String> {
    let Ticket { short_code, expires_at, revoked_at } = charge.ticket.as_ref()?;
    let shown = |at: &Timestamp| at.zoned(zone).strftime("%F %H:%M").to_string();
    Some(match revoked_at {
        Some(at) => format!("Ticket {short_code}: revoked at {}.", shown(at)),
        None => format!("Ticket {short_code}: valid until {}.", shown(expires_at)),
    })
}

fn shown(amount: &Amount) -> String {
    crate::money::Money::new(amount.minor, amount.currency).to_string()
}

fn clock_of(local: &Zoned) -> String {
    local.strftime("%H:%M:%S%.3f").to_string()
}

fn sentence(line: &Line, charge: &Told) -> String {
    let what = match &line.event {
        None => format!("asked for by {}", if charge.channel == "sms" { "SMS" } else { "the ticket service" }),
        Some(event) => of_event(event),
    };
    match &line.from {
        Some(from) if *from != line.to => format!("{what}: now {}", line.to.replace('_', " ")),
        _ => what,
    }
}

fn of_event(event: &Event) -> String {
    match event {
        Event::Decline { reason } => format!("our rules say no, and nothing is sent ({})", reason.code()),
        Event::OpenAttempt { carrier, wire_reference, .. } => {
            format!("{carrier} is asked for the money (as {wire_reference})")
        }
        Event::GiveUp => "no time is left to ask anybody".into(),
        Event::SubmitOtp => "the passenger's password is passed on".into(),
        Event::Evidence(evidence) => {
            format!("{}: {} (attempt {})", source(&evidence.source), finding(&evidence.finding), evidence.attempt)
        }
        Event::EvidenceWithoutTicket(evidence) => {
            let Evidence { source: by, finding: said, attempt, .. } = evidence;
            format!("{}: {} (attempt {attempt}); no ticket can be made", source(by), finding(said))
        }
        Event::PayOut { refund, by, because } => {
            format!("{by} has paid refund {refund} back, not by the carrier: \"{because}\"")
        }
        Event::Tick => "time has passed".into(),
        Event::TickWithoutRepetition => "time has passed, more than the clock shows: nothing is sent again".into(),
        Event::Restored { generation, perhaps: None } => {
            format!(
                "the books were put back to this moment (generation {generation}): what has become of it since is not known"
            )
        }
        Event::Restored { generation, perhaps: Some(perhaps) } => format!(
            "the books were put back to this moment (generation {generation}): {} may have been asked for the money since",
            perhaps.carrier
        ),
        Event::Supersede { by } => format!("purchase {by} takes its place, because this one came too late"),
        Event::RequestRefund { refund, amount, by } => {
            let asker = by.as_ref().map_or(String::new(), |by| format!("{by} asks: "));
            format!("{asker}{amount} are to go back (refund {refund})")
        }
        Event::RefundEvidence { refund, source: by, finding: said, .. } => {
            let said =
                if matches!(said, Finding::Charged { .. }) { "the money went back".into() } else { finding(said) };
            format!("{}, of refund {refund}: {said}", source(by))
        }
    }
}

fn source(source: &EvidenceSource) -> String {
    match source {
        EvidenceSource::Link => "our link says".into(),
        EvidenceSource::Response => "the carrier answers".into(),
        EvidenceSource::Repeat => "the carrier answers the repeated request".into(),
        EvidenceSource::Receipt => "a delivery receipt says".into(),
        EvidenceSource::Callback => "the carrier calls back".into(),
        EvidenceSource::Query => "the carrier, being asked, says".into(),
        EvidenceSource::Recovery => "after a restart".into(),
        EvidenceSource::Operator { name, because } => format!("{name} decides, because \"{because}\""),
    }
}

fn finding(finding: &Finding) -> String {
    match finding {
        Finding::NotSent => "nothing was sent".into(),
        Finding::Rejected { reason, detail, .. } if detail.is_empty() => format!("no, {}", reason.code()),
        Finding::Rejected { reason, detail, .. } => format!("no, {} ({detail})", reason.code()),
        Finding::Accepted { carrier_id } => named("taken in, the outcome is to come", carrier_id.as_deref()),
        Finding::OtpNeeded { carrier_id, .. } => named("the subscriber has to agree first", carrier_id.as_deref()),
        Finding::Reserved { carrier_id } => named("the amount is held", carrier_id.as_deref()),
        Finding::Cancelled => "what was held is given up; nothing was taken".into(),
        Finding::Charged { carrier_id, amount } => {
            let taken = amount.map_or("the money was taken".to_owned(), |amount| format!("{amount} were taken"));
            named(&taken, carrier_id.as_deref())
        }
        Finding::Doubtful { cause } => format!("it may have happened ({cause})"),
        Finding::NotFound { complete: true, .. } => "it is not in the carrier's list".into(),
        Finding::NotFound { complete: false, .. } => {
            "it was not found, which says nothing: the list was not complete, or the clock had just been set".into()
        }
        Finding::Nothing => "nothing new".into(),
    }
}

fn named(what: &str, carrier_id: Option<&str>) -> String {
    carrier_id.map_or_else(|| what.to_owned(), |id| format!("{what}, as {id}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(charge: serde_json::Value, journal: serde_json::Value) -> String {
        let charge: Told = serde_json::from_value(charge).expect("a charge");
        let journal: Journal = serde_json::from_value(journal).expect("a journal");
        tell(&charge, &journal, &TimeZone::get("Asia/Almaty").expect("a zone")).join("\n")
    }

    #[test]
    fn of_months_that_are_retired_it_is_said_where_the_story_is() {
        let charge = json!({
            "reference": "019a2b3c-0000-7000-8000-000000000001", "state": "declined", "reason": "denied_number",
            "amount": { "minor": 8000, "currency": "KZT" }, "passengers": 1, "vehicle": "1234", "route": "92",
            "agency": "green-bus", "channel": "sms", "ticket": null,
        });
        let retired = json!([{ "month": "2021-03", "archived": true }, { "month": "2021-04", "archived": false }]);
        let told = told(charge, json!({ "entries": [], "retired": retired }));
        assert!(
            told.contains("in 2021-03 is no longer here: it is in the archive, in journal-2021-03.jsonl.gz."),
            "{told}"
        );
        assert!(told.contains("in 2021-04 is no longer here, and was not archived."), "{told}");
    }

    #[test]
    fn a_doubt_that_ended_well_is_told_from_the_request_to_the_ticket() {
        let reference = "019a2b3c-0000-7000-8000-000000000001";
        let charge = json!({
            "reference": reference, "state": "charged", "amount": { "minor": 8000, "currency": "KZT" }, "passengers": 1,
            "vehicle": "1234", "route": "92", "agency": "green-bus", "channel": "sms",
            "ticket": { "short_code": "7K3M9QXA", "expires_at": "2026-03-01T04:30:00Z", "revoked_at": null },
            "refunds": [{ "id": reference, "state": "in_doubt", "amount": { "minor": 3000, "currency": "KZT" } }],
        });
        let open = json!({ "event": "open_attempt", "carrier": "beeline", "wire_reference": "7",
            "contract": { "in_flight_delay_ms": 0, "queries": null, "can_refund": false } });
        let doubt = json!({ "event": "evidence", "id": "a", "attempt": 1, "source": { "from": "link" },
            "finding": { "says": "doubtful", "cause": "timeout" } });
        let paid = json!({ "event": "evidence", "id": "b", "attempt": 1, "source": { "from": "receipt" },
            "finding": { "says": "charged", "carrier_id": "77", "amount": null } });
        let back = json!({ "event": "request_refund", "refund": reference, "amount": { "minor": 3000, "currency": "KZT" },
            "by": "finance" });
        let unpaid = json!({ "event": "evidence", "id": "c", "attempt": 1, "source": { "from": "receipt" },
            "finding": { "says": "nothing" } });
        let journal = json!({
            "entries": [
                { "version": 1, "at": "2026-03-01T03:00:00Z", "to": "processing" },
                { "version": 2, "at": "2026-03-01T03:00:00.010Z", "from": "processing", "to": "processing", "event": open },
                { "version": 3, "at": "2026-03-01T03:00:02Z", "from": "processing", "to": "in_doubt", "event": doubt },
                { "version": 4, "at": "2026-03-01T03:00:09Z", "from": "in_doubt", "to": "charged", "event": paid,
                  "words": "deliver_sm: id:77 stat:DELIVRD\nerr:\u{1b}000" },
                { "version": 5, "at": "2026-03-01T03:00:10Z", "from": "charged", "to": "charged", "event": back },
                { "version": 6, "at": "2026-03-01T03:00:11Z", "from": "charged", "to": "charged", "event": unpaid,
                  "breaks": ["rejected_after_charge"] },
            ],
            "messages": [{ "at": "2026-03-01T03:00:09.001Z", "carrier": "beeline", "text": "Билет 7K3M9QXA", "state": "delivered" }],
        });
        assert_eq!(
            told(charge, journal),
            "Charge 019a2b3c-0000-7000-8000-000000000001 is charged.\n\
             80 KZT for 1 passenger on vehicle 1234, route 92 of green-bus.\n\
             2026-03-01 (Asia/Almaty)\n\
             \x20 08:00:00.000  asked for by SMS\n\
             \x20 08:00:00.010  beeline is asked for the money (as 7)\n\
             \x20 08:00:02.000  our link says: it may have happened (timeout) (attempt 1): now in doubt\n\
             \x20 08:00:09.000  a delivery receipt says: the money was taken, as 77 (attempt 1): now charged\n\
             \x20               | deliver_sm: id:77 stat:DELIVRD\n\
             \x20               | err:\u{fffd}000\n\
             \x20 08:00:09.001  text to the passenger over beeline (delivered): Билет 7K3M9QXA\n\
             \x20 08:00:10.000  finance asks: 30 KZT are to go back (refund 019a2b3c-0000-7000-8000-000000000001)\n\
             \x20 08:00:11.000  a delivery receipt says: nothing new (attempt 1)\n\
             \x20               ! this contradicts what was known: rejected after charge\n\
             Ticket 7K3M9QXA: valid until 2026-03-01 09:30.\n\
             refund 019a2b3c-0000-7000-8000-000000000001 of 30 KZT: in doubt"
        );
    }
}
