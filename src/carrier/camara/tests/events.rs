use proptest::prelude::*;

use super::super::{event, meaning::Meanings};
use super::*;
use crate::{
    carrier::{About, Callback, CallbackRequest, Notice, Refusal},
    charge::{Reason, Retry},
};

const PATH: &str = "payments/11111111-1111-1111-1111-111111111111-1";

/// An event as the file describes it.
fn event_of(kind: &str, data: &str) -> String {
    format!(
        r#"{{"id":"sd5e-uy52-88t4-za66","source":"https://notificationSendServer12.supertelco.com","type":"{kind}","specversion":"1.0","datacontenttype":"application/json","time":"2023-11-03T12:27:10Z","data":{data}}}"#
    )
}

fn payment_event(kind: &str, status: &str, more: &str) -> String {
    let data =
        format!(r#"{{"paymentId":"{PAYMENT_ID}","status":"{status}","description":"Payment Notification"{more}}}"#);
    event_of(&format!("org.camaraproject.carrier-billing.v0.payment-{kind}"), &data)
}

struct Call<'a> {
    method: &'a str,
    path: &'a str,
    authorization: &'a str,
    content_type: &'a str,
    body: &'a str,
}

fn call(body: &str) -> Call<'_> {
    Call { method: "POST", path: PATH, authorization: "Bearer new", content_type: "application/cloudevents+json", body }
}

fn read(call: &Call<'_>) -> Result<Callback, Refusal> {
    let headers = [
        ("authorization".to_owned(), call.authorization.as_bytes().to_vec()),
        ("content-type".to_owned(), call.content_type.as_bytes().to_vec()),
    ];
    let request = CallbackRequest {
        method: call.method,
        path: call.path,
        query: "",
        headers: &headers,
        body: call.body.as_bytes(),
        peer: [127, 0, 0, 1].into(),
        received_at: NOW,
    };
    let meanings = Meanings::new(&profile("http://127.0.0.1:1", ""));
    event::read(&"kcell".parse().unwrap(), &secrets().callback_tokens, &meanings, &request)
}

fn notice(call: &Call<'_>) -> Notice {
    let Callback { mut notices, answer } = read(call).unwrap();
    assert_eq!((answer.status, answer.body.len(), notices.len()), (204, 0, 1));
    notices.remove(0)
}

#[track_caller]
fn refused(call: &Call<'_>) -> (u16, &'static str) {
    let refusal = read(call).unwrap_err();
    let body: serde_json::Value = serde_json::from_slice(&refusal.answer.body).unwrap();
    assert_eq!(body["status"], refusal.answer.status);
    assert!(body["code"].is_string() && body["message"].is_string());
    (refusal.answer.status, refusal.kind)
}

#[test]
fn an_event_is_a_reason_to_ask_about_the_attempt_that_its_address_names() {
    for kind in ["pending-validation", "reserved", "completed", "cancelled"] {
        let notice = notice(&call(&payment_event(kind, "succeeded", "")));
        assert_eq!(notice.about, About::Attempt { reference: REFERENCE, attempt: 1 }, "{kind}");
        assert_eq!(notice.finding, None, "an event is no proof of payment");
        assert_eq!(notice.id, "https://notificationSendServer12.supertelco.com sd5e-uy52-88t4-za66");
    }
    for path in ["", "payments/", "payments/nobody-1", "payments/11111111-1111-1111-1111-111111111111-01", "refunds/x"]
    {
        let event = payment_event("completed", "succeeded", r#","paymentDate":"2023-11-03T12:27:08.312Z""#);
        let notice = notice(&Call { path, ..call(&event) });
        assert_eq!((notice.about, notice.finding), (About::CarrierId(PAYMENT_ID.into()), None), "{path}");
    }
}

#[test]
fn a_denial_is_taken_at_its_word_for_the_payment_that_it_names() {
    let event = payment_event("denied", "failed", r#","denialReason":"User is blocked due to pending debt""#);
    let notice = notice(&call(&event));
    assert_eq!(notice.about, About::CarrierId(PAYMENT_ID.into()));
    let finding = notice.finding.unwrap();
    assert_eq!((rejection(&finding).0, rejection(&finding).1), (Reason::CreditDebt, Retry::Never));
    assert_eq!(rejection(&finding).2, "denied: User is blocked due to pending debt");
}

#[test]
fn an_event_that_contradicts_itself_is_a_reason_to_ask() {
    for (kind, status) in [("denied", "succeeded"), ("completed", "failed"), ("cancelled", "failed")] {
        assert_eq!(notice(&call(&payment_event(kind, status, ""))).finding, None, "{kind} {status}");
    }
}

#[test]
fn only_our_tokens_are_believed_the_old_one_too() {
    let body = payment_event("completed", "succeeded", "");
    for authorization in ["Bearer new", "bearer old", "Bearer  new"] {
        assert!(read(&Call { authorization, ..call(&body) }).is_ok(), "{authorization}");
    }
    for authorization in
        ["", "new", "Bearer", "Bearer ", "Bearer newer", "Bearer ne", "Basic new", "Bearer NEW", "Bearer new old"]
    {
        assert_eq!(refused(&Call { authorization, ..call(&body) }), (401, "unauthenticated"), "{authorization}");
    }
    // Before anything else is looked at.
    assert_eq!(refused(&Call { authorization: "Bearer x", ..call("garbage") }), (401, "unauthenticated"));
}

#[test]
fn an_empty_token_opens_nothing() {
    let request = CallbackRequest {
        method: "POST",
        path: PATH,
        query: "",
        headers: &[("authorization".into(), b"Bearer ".to_vec())],
        body: b"{}",
        peer: [127, 0, 0, 1].into(),
        received_at: NOW,
    };
    let meanings = Meanings::new(&profile("http://127.0.0.1:1", ""));
    for tokens in [vec![], vec![Zeroizing::new(String::new())]] {
        let refusal = event::read(&"kcell".parse().unwrap(), &tokens, &meanings, &request).unwrap_err();
        assert_eq!(refusal.answer.status, 401);
    }
}

#[test]
fn what_is_no_such_event_is_refused() {
    let good = payment_event("completed", "succeeded", "");
    let long = good.replace("Payment Notification", &"x".repeat(70_000));
    let without = |field: &str| {
        let mut event: serde_json::Value = serde_json::from_str(&good).unwrap();
        event.as_object_mut().unwrap().remove(field);
        event.to_string()
    };
    for body in [
        String::new(),
        "[]".into(),
        good[..50].into(),
        long,
        without("id"),
        without("source"),
        without("type"),
        without("specversion"),
        without("time"),
        without("data"),
        good.replace("\"1.0\"", "\"0.3\""),
        good.replace("2023-11-03T12:27:10Z", "yesterday"),
        good.replace("application/json", "text/xml"),
        good.replace(PAYMENT_ID, ""),
        good.replace(PAYMENT_ID, &"x".repeat(300)),
        good.replace("sd5e-uy52-88t4-za66", ""),
        good.replace("\"succeeded\"", "\"perhaps\""),
        good.replace("\"AK", "{\"AK"),
    ] {
        assert_eq!(refused(&call(&body)), (400, "unreadable"), "{:.200}", body);
    }
    for content_type in ["application/json", "", "application/cloudevents-batch+json"] {
        assert_eq!(refused(&Call { content_type, ..call(&good) }), (400, "unreadable"), "{content_type}");
    }
    assert!(read(&Call { content_type: "Application/CloudEvents+JSON; charset=utf-8", ..call(&good) }).is_ok());
    assert_eq!(refused(&Call { method: "PUT", ..call(&good) }), (405, "unreadable"));
}

#[test]
fn events_of_unknown_type_are_refused() {
    for kind in [
        "org.camaraproject.carrier-billing.v0.payment-refunded",
        "org.camaraproject.carrier-billing.v1.payment-completed",
        "x",
        "",
    ] {
        let body = event_of(kind, "{}");
        assert!(matches!(refused(&call(&body)), (400, "unknown_type" | "unreadable")), "{kind}");
    }
}

#[test]
fn a_refunds_event_is_a_reason_to_ask_about_the_refund_that_its_address_names() {
    let refund = Reference::from_bytes([0x22; 16]);
    let data = r#"{"paymentId":"p","refundId":"r","status":"succeeded","description":""}"#;
    let path = format!("charges/{REFERENCE}/refunds/{refund}");
    for kind in ["completed", "denied", "in-bill"] {
        let body = event_of(&format!("org.camaraproject.carrier-billing-refund.v0.refund-{kind}"), data);
        let notice = notice(&Call { path: &path, ..call(&body) });
        assert_eq!((notice.about, notice.finding), (About::Refund { reference: REFERENCE, refund }, None), "{kind}");
        for path in [PATH, "charges/x/refunds/y", "charges/", ""] {
            assert_eq!(read(&Call { path, ..call(&body) }).unwrap().notices, [], "{path}");
        }
        let no_data = event_of(&format!("org.camaraproject.carrier-billing-refund.v0.refund-{kind}"), "{}");
        assert_eq!(refused(&Call { path: &path, ..call(&no_data) }), (400, "unreadable"));
    }
}

#[test]
fn a_wire_reference_tells_the_charge_and_the_attempt() {
    assert_eq!(event::wire_reference(REFERENCE, 1), WIRE_REFERENCE);
    assert_eq!(event::parse_wire_reference(WIRE_REFERENCE), Some((REFERENCE, 1)));
    for text in [
        "",
        "-1",
        "11111111-1111-1111-1111-111111111111",
        "11111111111111111111111111111111-1",
        "11111111-1111-1111-1111-111111111111-+1",
    ] {
        assert_eq!(event::parse_wire_reference(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn nothing_that_comes_in_is_a_charge_or_a_panic(body in "[ -~]{0,300}", path in "[ -~]{0,60}", status in "[a-z]{0,10}") {
        let wrapped = payment_event("completed", &status, &format!(",\"x\":{body:?}"));
        for body in [body.as_str(), wrapped.as_str()] {
            if let Ok(callback) = read(&Call { path: &path, ..call(body) }) {
                prop_assert!(callback.notices.iter().all(|notice| notice.finding.is_none()));
            }
        }
    }
}
