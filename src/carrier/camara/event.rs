//! Events of the carrier: CloudEvents 1.0 in structured mode, with the access token that we gave with the request.
//!
//! An event is a reason to ask, and no proof: it names neither amount nor subscriber, so the payment itself is retrieved. Only a
//! denial is taken at its word, because nothing but the event tells its reason, and a false one takes no money.

use serde::Deserialize;
use serde_json::json;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::meaning::{ID_CHARS_MAX, Meanings, bounded};
use crate::{
    carrier::{About, Callback, CallbackAnswer, CallbackRequest, Notice, Refusal, transcript},
    charge::{ATTEMPTS_MAX, Attempt, CarrierName, Reference},
    clock::Timestamp,
};

/// The longest event that is read.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// The longest `source` of an event.
const SOURCE_CHARS_MAX: usize = 500;

const PAYMENT_TYPES: &str = "org.camaraproject.carrier-billing.v0.payment-";
const REFUND_TYPES: &str = "org.camaraproject.carrier-billing-refund.v0.refund-";

#[derive(Deserialize)]
struct CloudEvent {
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    specversion: String,
    datacontenttype: Option<String>,
    time: String,
    data: Option<Data>,
}

/// `BasicEvent`, and what `PaymentDenied` adds.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    payment_id: String,
    status: String,
    description: Option<String>,
    denial_reason: Option<String>,
}

/// Checks and reads an event. Errors: it is not believed, or cannot be read; nothing may come of it.
pub(super) fn read(
    carrier: &CarrierName,
    tokens: &[Zeroizing<String>],
    meanings: &Meanings,
    request: &CallbackRequest<'_>,
) -> Result<Callback, Refusal> {
    if !is_authenticated(tokens, request.header("authorization")) {
        return Err(refusal(401, "UNAUTHENTICATED", "unauthenticated", "no access token of ours"));
    }
    let unreadable = |why: &str| refusal(400, "INVALID_ARGUMENT", "unreadable", why);
    if request.method != "POST" {
        return Err(refusal(405, "METHOD_NOT_ALLOWED", "unreadable", "events come by POST"));
    }
    let media_type = request.header("content-type").map(|text| text.split(';').next().unwrap_or(text).trim());
    if !media_type.is_some_and(|text| text.eq_ignore_ascii_case("application/cloudevents+json")) {
        return Err(unreadable("the content is not application/cloudevents+json"));
    }
    if request.body.len() > BODY_BYTES_MAX {
        return Err(unreadable("the event is too long"));
    }
    let event: CloudEvent = serde_json::from_slice(request.body).map_err(|error| unreadable(&error.to_string()))?;
    check(&event).map_err(unreadable)?;
    let data = || {
        let data = event.data.as_ref().ok_or_else(|| unreadable("an event without data"))?;
        check_data(data).map_err(unreadable)?;
        Ok::<_, Refusal>(data)
    };
    let words = transcript::of_body(request.body, |body| {
        tokens.iter().fold(body, |body, token| transcript::without(body, token))
    });
    let notices = match kind_of(&event.kind) {
        Some(Kind::Payment(kind)) => {
            vec![Notice { words, ..notice(carrier, meanings, request.path, &event, kind, data()?) }]
        }
        Some(Kind::Refund) => {
            data()?;
            let id = format!("{} {}", event.source, event.id);
            let about = refund_in(request.path);
            // An event at another address is of a sink that we did not give. The question comes when it is due.
            about
                .map(|about| Notice { carrier: carrier.clone(), id, about, finding: None, words })
                .into_iter()
                .collect()
        }
        None => {
            let why = format!("events of type {:?} are not taken", bounded(&event.kind));
            return Err(refusal(400, "INVALID_ARGUMENT", "unknown_type", &why));
        }
    };
    Ok(Callback { notices, answer: CallbackAnswer::bare(204) })
}

/// Every token is compared, each in a time that does not depend on where it differs.
fn is_authenticated(tokens: &[Zeroizing<String>], authorization: Option<&str>) -> bool {
    let Some((scheme, shown)) = authorization.and_then(|value| value.split_once(' ')) else { return false };
    let shown = shown.trim_start().as_bytes();
    let fits = |found: subtle::Choice, token: &Zeroizing<String>| found | token.as_bytes().ct_eq(shown);
    let found = tokens.iter().filter(|token| !token.is_empty()).fold(subtle::Choice::from(0), fits);
    bool::from(found) && scheme.eq_ignore_ascii_case("bearer")
}

fn check(event: &CloudEvent) -> Result<(), &'static str> {
    let fits = |text: &str, max| !text.is_empty() && text.len() <= max;
    let is_json = |kind: &String| kind.split(';').next().is_some_and(|kind| kind.trim() == "application/json");
    match event {
        event if event.specversion != "1.0" => Err("specversion is not 1.0"),
        event if !fits(&event.id, ID_CHARS_MAX) => Err("id is empty, or too long"),
        event if !fits(&event.source, SOURCE_CHARS_MAX) => Err("source is empty, or too long"),
        event if event.time.parse::<Timestamp>().is_err() => Err("time is no date and time with a time zone"),
        event if !event.datacontenttype.as_ref().is_none_or(is_json) => Err("datacontenttype is not application/json"),
        _ => Ok(()),
    }
}

fn check_data(data: &Data) -> Result<(), &'static str> {
    if data.payment_id.is_empty() || data.payment_id.len() > ID_CHARS_MAX {
        return Err("data.paymentId is empty, or too long");
    }
    if !matches!(data.status.as_str(), "succeeded" | "failed") {
        return Err("data.status is neither succeeded nor failed");
    }
    Ok(())
}

enum Kind<'a> {
    Payment(&'a str),
    Refund,
}

fn kind_of(kind: &str) -> Option<Kind<'_>> {
    match (kind.strip_prefix(PAYMENT_TYPES), kind.strip_prefix(REFUND_TYPES)) {
        (Some(kind @ ("pending-validation" | "reserved" | "completed" | "cancelled" | "denied")), _) => {
            Some(Kind::Payment(kind))
        }
        (_, Some("completed" | "denied" | "in-bill")) => Some(Kind::Refund),
        _ => None,
    }
}

fn notice(
    carrier: &CarrierName,
    meanings: &Meanings,
    path: &str,
    event: &CloudEvent,
    kind: &str,
    data: &Data,
) -> Notice {
    let id = format!("{} {}", event.source, event.id);
    let by_payment = About::CarrierId(data.payment_id.clone());
    let is_denial = kind == "denied" && data.status == "failed";
    if is_denial {
        // Only for the payment that it names: its id must be known as ours.
        let why = data.denial_reason.as_deref().or(data.description.as_deref()).unwrap_or_default();
        let finding = Some(meanings.of_denial(why));
        return Notice { carrier: carrier.clone(), id, about: by_payment, finding, words: String::new() };
    }
    let about = attempt_in(path).unwrap_or(by_payment);
    Notice { carrier: carrier.clone(), id, about, finding: None, words: String::new() }
}

/// `payments/WIRE-REFERENCE`, as every sink ends that we give.
fn attempt_in(path: &str) -> Option<About> {
    let (reference, attempt) = parse_wire_reference(path.strip_prefix("payments/")?)?;
    Some(About::Attempt { reference, attempt })
}

/// `charges/REFERENCE/refunds/REFUND`, as every sink ends that we give for a refund.
fn refund_in(path: &str) -> Option<About> {
    let (charge, refund) = path.strip_prefix("charges/")?.split_once("/refunds/")?;
    Some(About::Refund { reference: charge.parse().ok()?, refund: refund.parse().ok()? })
}

/// What an attempt is told by at the carrier: the charge's reference and the attempt's number.
pub(super) fn wire_reference(charge: Reference, attempt: u16) -> String {
    format!("{charge}-{attempt}")
}

/// Reads what [`wire_reference`] writes, and nothing else.
pub(super) fn parse_wire_reference(text: &str) -> Option<(Reference, u16)> {
    let (reference, number) = text.rsplit_once('-')?;
    let (reference, number): (Reference, u16) = (reference.parse().ok()?, number.parse().ok()?);
    (wire_reference(reference, number) == text).then_some((reference, number))
}

/// Whether a payment with this reference can be of the attempt: it is its own; or, where the books were put back since, that of an attempt
/// of the same charge that followed it.
pub(super) fn may_be_of(attempt: &Attempt, reference: &str) -> bool {
    if reference == attempt.wire_reference {
        return true;
    }
    let (Some((charge, number)), Some((theirs, later))) =
        (parse_wire_reference(&attempt.wire_reference), parse_wire_reference(reference))
    else {
        return false;
    };
    attempt.was_lost_sight_of() && charge == theirs && later > number
}

/// What the payment of an attempt may bear: see [`may_be_of`].
pub(super) fn references_of(attempt: &Attempt) -> Vec<String> {
    let mut references = vec![attempt.wire_reference.clone()];
    if attempt.was_lost_sight_of()
        && let Some((charge, number)) = parse_wire_reference(&attempt.wire_reference)
    {
        let last = u16::try_from(ATTEMPTS_MAX).unwrap_or(u16::MAX);
        references.extend((number..last).map(|before| wire_reference(charge, before + 1)));
    }
    references
}

fn refusal(status: u16, code: &str, kind: &'static str, why: &str) -> Refusal {
    let body = json!({ "status": status, "code": code, "message": why });
    let content_type = Some("application/json".to_owned());
    Refusal {
        answer: CallbackAnswer { status, content_type, body: body.to_string().into_bytes() },
        kind,
        why: why.into(),
    }
}
