//! The headers that mean something here: `Idempotency-Key`, `Prefer`, `Accept`, `traceparent`.

use std::time::Duration;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts},
};
use data_encoding::HEXLOWER;

use super::error::{Code, Problem};

/// `Idempotency-Key`.
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// `Prefer` (RFC 7240).
pub(super) const PREFER: HeaderName = HeaderName::from_static("prefer");
/// `Preference-Applied` (RFC 7240).
pub(super) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// `traceparent` (W3C Trace Context).
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The longest key, in characters.
const KEY_CHARS_MAX: usize = 255;

/// The key under which a purchase is made once (M15): 1 to 255 printable ASCII characters.
#[derive(Clone, Debug)]
pub(super) struct IdempotencyKey(pub(super) String);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<IdempotencyKey, Problem> {
        let mut values = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let refuse = |why: &str| Err(Problem::new(Code::IdempotencyKeyMissing, why));
        let Some(value) = values.next() else {
            return refuse("the header Idempotency-Key is missing; make one key per purchase and keep it");
        };
        if values.next().is_some() {
            return refuse("there are two headers Idempotency-Key");
        }
        let printable = |b: &u8| matches!(b, b' '..=b'~');
        match value.to_str() {
            Ok(key) if (1..=KEY_CHARS_MAX).contains(&key.len()) && key.as_bytes().iter().all(printable) => {
                Ok(IdempotencyKey(key.to_owned()))
            }
            _ => refuse("a key has 1 to 255 printable ASCII characters"),
        }
    }
}

/// How long the caller wants to wait for the outcome: `Prefer: wait=N`, in whole seconds. `None` if he does not say, or says
/// it in a way that is not understood: a preference is never an error (RFC 7240, section 2).
pub(super) fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let preferences = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    preferences
        .flat_map(|value| value.split(','))
        .filter_map(|preference| {
            let (name, value) = preference.split(';').next()?.split_once('=')?;
            name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"').to_owned())
        })
        // Of two, the first counts.
        .next()?
        .parse()
        .ok()
        .map(Duration::from_secs)
}

/// Which of `offered` the caller likes best, by `Accept` (RFC 9110, section 12.5.1); the first of them if he does not say.
/// `None` if he wants none of them.
pub(super) fn preferred_type<'a>(headers: &HeaderMap, offered: &[&'a str]) -> Option<&'a str> {
    let accept: Vec<&str> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|v| v.split(','))
        .collect();
    if accept.iter().all(|range| range.trim().is_empty()) {
        return offered.first().copied();
    }
    let mut best: Option<(&str, u16)> = None;
    for offer in offered {
        let quality = quality_of(offer, &accept);
        if quality > best.map_or(0, |(_, quality)| quality) {
            best = Some((offer, quality));
        }
    }
    best.map(|(offer, _)| offer)
}

/// The quality that the most specific range gives to `offer`, in thousandths; 0 if none fits.
fn quality_of(offer: &str, accept: &[&str]) -> u16 {
    let (kind, _) = offer.split_once('/').unwrap_or((offer, ""));
    let mut found = (0_u8, 0_u16);
    for range in accept {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let specificity = match media.split_once('/') {
            _ if media.eq_ignore_ascii_case(offer) => 3,
            Some((of, "*")) if of.eq_ignore_ascii_case(kind) => 2,
            Some(("*", "*")) => 1,
            _ => continue,
        };
        if specificity > found.0 {
            found = (specificity, parts.find_map(quality).unwrap_or(1_000));
        }
    }
    found.1
}

/// `q=0.8` in thousandths.
fn quality(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, fraction) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    let thousandths: u16 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    Some(if whole == "0" { thousandths } else { 1_000 })
}

/// The trace that a request belongs to: the caller's, or a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trace {
    /// 32 hexadecimal digits.
    pub(super) id: String,
    /// The caller's span, 16 hexadecimal digits.
    pub(super) parent: Option<String>,
}

impl Trace {
    /// From `traceparent`: `00-TRACE-PARENT-FLAGS` in hex. What is not that is passed over, as the standard wants.
    pub(super) fn of(headers: &HeaderMap) -> Trace {
        let stated = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()).and_then(Trace::read);
        stated.unwrap_or_else(|| Trace { id: HEXLOWER.encode(&rand::random::<[u8; 16]>()), parent: None })
    }

    fn read(text: &str) -> Option<Trace> {
        let mut fields = text.trim().split('-');
        let (version, id, parent, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let hex = |field: &str, length: usize| {
            field.len() == length && field.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let all_zero = |field: &str| field.bytes().all(|b| b == b'0');
        let later_fields_fit = version != "00" || fields.next().is_none();
        let shaped = hex(version, 2) && version != "ff" && hex(id, 32) && hex(parent, 16) && hex(flags, 2);
        (shaped && later_fields_fit && !all_zero(id) && !all_zero(parent))
            .then(|| Trace { id: id.to_owned(), parent: Some(parent.to_owned()) })
    }
}

/// A header value of text that is known to be visible ASCII.
pub(super) fn visible(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_str(value).expect("a value"))).collect()
    }

    #[test]
    fn a_preference_is_read_as_rfc_7240_writes_it_and_never_an_error() {
        let wait = |values: &[&str]| preferred_wait(&headers(PREFER, values)).map(|wait| wait.as_secs());
        assert_eq!(wait(&["wait=5"]), Some(5));
        assert_eq!(wait(&["respond-async, Wait = \"7\"; x=1"]), Some(7));
        assert_eq!(wait(&["return=minimal", "wait=3", "wait=4"]), Some(3));
        for unread in [&[][..], &["wait"], &["wait=soon"], &["wait=-1"], &["waiting=3"], &["wait=99999999999999999999"]]
        {
            assert_eq!(wait(unread), None, "{unread:?}");
        }
    }

    #[test]
    fn the_best_liked_form_is_chosen() {
        let offered = ["application/json", "application/cwt", "image/svg+xml"];
        let chosen = |accept: &[&str]| preferred_type(&headers(header::ACCEPT, accept), &offered);
        assert_eq!(chosen(&[]), Some("application/json"));
        assert_eq!(chosen(&["*/*"]), Some("application/json"));
        assert_eq!(chosen(&["image/*"]), Some("image/svg+xml"));
        assert_eq!(chosen(&["application/cwt;q=0.9, application/json;q=0.5"]), Some("application/cwt"));
        assert_eq!(chosen(&["*/*;q=0.1, application/json;q=0"]), Some("application/cwt"));
        assert_eq!(chosen(&["text/html", "IMAGE/SVG+XML"]), Some("image/svg+xml"));
        assert_eq!(chosen(&["text/html"]), None);
    }

    #[test]
    fn a_trace_is_taken_up_and_a_bad_one_replaced() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let of = |text: &str| Trace::of(&headers(TRACEPARENT, &[text]));
        let taken = Trace { id: id.into(), parent: Some("00f067aa0ba902b7".into()) };
        assert_eq!(of(&format!("00-{id}-00f067aa0ba902b7-01")), taken);
        assert_eq!(of(&format!("cc-{id}-00f067aa0ba902b7-01-later")), taken);
        for bad in [
            format!("00-{id}-00f067aa0ba902b7"),
            format!("00-{id}-00f067aa0ba902b7-01-more"),
            format!("ff-{id}-00f067aa0ba902b7-01"),
            format!("00-{}-00f067aa0ba902b7-01", id.to_uppercase()),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{id}-0000000000000000-01"),
        ] {
            let trace = of(&bad);
            assert!(trace.parent.is_none() && trace.id.len() == 32 && trace.id != id, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics(text in "[ -~]{0,80}") {
            let map: HeaderMap = [PREFER, header::ACCEPT, TRACEPARENT]
                .into_iter()
                .map(|name| (name, HeaderValue::from_str(&text).expect("printable")))
                .collect();
            let _ = preferred_wait(&map);
            let _ = preferred_type(&map, &["application/json", "text/plain"]);
            prop_assert_eq!(Trace::of(&map).id.len(), 32);
        }
    }
}
