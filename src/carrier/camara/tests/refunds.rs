use super::*;
use crate::charge::{Doubt, Reason, RefundState, Retry};

const CREATE: &str = "POST /carrier-billing-refund/v0.3/payments/AK234rfweSBuWGFUEWFGWEVWRV/refunds";
const LIST: &str = "GET /carrier-billing-refund/v0.3/payments/AK234rfweSBuWGFUEWFGWEVWRV/refunds?";
const RETRIEVE: &str = "GET /carrier-billing-refund/v0.3/payments/AK234rfweSBuWGFUEWFGWEVWRV/refunds/refund-7";
const REMAINING: &str = "GET /carrier-billing-refund/v0.3/payments/AK234rfweSBuWGFUEWFGWEVWRV/refunds/remaining-amount";
const REFUND: Reference = Reference::from_bytes([0x22; 16]);
const WIRE: &str = "22222222-2222-2222-2222-222222222222-1";

/// A charge whose refund of so many tiyn is requested.
fn refunding(scene: &Scene, minor: i64) -> (Charge, Refund) {
    let event = Event::RequestRefund { refund: REFUND, amount: Money::kzt(minor), by: None };
    let charge = step(&charged(&scene.charge()), event, NOW.plus(Duration::from_secs(1))).unwrap().next;
    let refund = charge.refunds[0].clone();
    assert_eq!(refund.state, RefundState::Requested);
    (charge, refund)
}

fn total(status: &str) -> String {
    format!(
        r#"{{"refundId":"refund-7","refundStatus":"{status}","type":"total","refundCreationDate":"2026-03-01T07:31:00Z","amountTransaction":{{"clientCorrelator":"{WIRE}","refundAmount":{{}},"referenceCode":"{WIRE}"}}}}"#
    )
}

fn partial(status: &str, amount: &str) -> String {
    let charging =
        format!(r#""refundAmount":{{"chargingInformation":{{"amount":{amount},"currency":"KZT","description":"x"}}}}"#);
    total(status).replace("total", "partial").replace(r#""refundAmount":{}"#, &charging)
}

async fn refund(scene: &Scene, (charge, refund): &(Charge, Refund)) -> Finding {
    scene.carrier.refund(scene.slot(), charge, refund).await
}

#[tokio::test]
async fn a_whole_amount_goes_back_as_a_total_refund() {
    let scene = Scene::new(r#"merchant = { identifier = "sb-1", name = "SMSBUS" }"#).await;
    let refunding = refunding(&scene, 8_000);
    scene.server.says(CREATE, 201, total("succeeded"));
    let finding = refund(&scene, &refunding).await;
    assert_eq!(finding, Finding::Charged { carrier_id: Some("refund-7".into()), amount: Some(Money::kzt(8_000)) });
    let asked = &scene.server.asked()[0];
    assert_eq!(asked.headers["x-correlator"], WIRE);
    assert_eq!(
        asked.body,
        r#"{"type":"total","amountTransaction":{"clientCorrelator":"22222222-2222-2222-2222-222222222222-1","refundAmount":{"chargingMetaData":{"merchantIdentifier":"sb-1"}},"referenceCode":"22222222-2222-2222-2222-222222222222-1"}}"#
    );
}

#[tokio::test]
async fn a_part_goes_back_as_a_partial_refund_with_its_exact_amount() {
    let scene = Scene::new("").await;
    let refunding = refunding(&scene, 2_005);
    scene.server.says(CREATE, 201, partial("processing", "20.05"));
    assert_eq!(refund(&scene, &refunding).await, Finding::Accepted { carrier_id: Some("refund-7".into()) });
    assert_eq!(
        scene.server.asked()[0].body,
        r#"{"type":"partial","amountTransaction":{"clientCorrelator":"22222222-2222-2222-2222-222222222222-1","refundAmount":{"chargingInformation":{"amount":20.05,"currency":"KZT","description":"Bus 1234"}},"referenceCode":"22222222-2222-2222-2222-222222222222-1"}}"#
    );
}

#[tokio::test]
async fn what_a_refunds_answer_says_is_read_and_what_differs_is_in_doubt() {
    let scene = Scene::new("").await;
    let refunding = refunding(&scene, 2_005);
    scene.server.says(CREATE, 201, partial("denied", "20.05"));
    assert_eq!(rejection(&refund(&scene, &refunding).await).1, Retry::Never);
    for body in [
        partial("succeeded", "20.06"),
        partial("succeeded", "20.05").replace("partial", "total"),
        partial("succeeded", "20.05").replace("22222222-2222", "32222222-2222"),
        partial("finished", "20.05"),
        "{}".into(),
    ] {
        scene.server.says(CREATE, 201, body.clone());
        assert_eq!(refund(&scene, &refunding).await, Finding::Doubtful { cause: Doubt::UnclearAnswer }, "{body}");
    }
    scene.server.hangs_up(CREATE);
    assert_eq!(refund(&scene, &refunding).await, Finding::Doubtful { cause: Doubt::LinkLost });
    scene.server.says(CREATE, 409, error(409, "ALREADY_EXISTS", "x"));
    assert_eq!(refund(&scene, &refunding).await, Finding::Doubtful { cause: Doubt::Duplicate });
    scene.server.says(CREATE, 403, error(403, "CARRIER_BILLING_REFUND.REFUND_DENIED", "Refund denied by business."));
    assert_eq!(rejection(&refund(&scene, &refunding).await).0, Reason::CarrierRefused);
}

#[tokio::test]
async fn a_refund_in_doubt_is_looked_for_among_those_of_its_payment() {
    let scene = Scene::new("").await;
    let (charge, mut asked_twice) = refunding(&scene, 8_000);
    asked_twice.tries = 2;
    let query = async || scene.carrier.query_refund(&charge, &asked_twice).await.unwrap();
    let second =
        |status: &str| total(status).replace(WIRE, &asked_twice.wire_reference()).replace("refund-7", "refund-8");
    // What an earlier request did counts, also where the last was denied for it.
    scene.server.says(LIST, 200, format!("[{},{}]", second("denied"), total("succeeded")));
    scene.server.says(LIST, 200, "[]");
    assert!(matches!(query().await, Finding::Charged { carrier_id: Some(id), .. } if id == "refund-7"));
    // That an earlier one was denied says nothing of the last.
    scene.server.says(LIST, 200, format!("[{}]", total("denied")));
    scene.server.says(LIST, 200, "[]");
    scene.server.says(REMAINING, 200, r#"{"amount":80,"currency":"KZT"}"#);
    assert_eq!(query().await, Finding::NotFound { complete: true, asked_at: None });
    scene.server.says(LIST, 200, format!("[{}]", second("denied")));
    scene.server.says(LIST, 200, "[]");
    assert_eq!(rejection(&query().await).1, Retry::Never);
    // A third was never asked for.
    scene.server.says(
        LIST,
        200,
        format!("[{}]", total("succeeded").replace(WIRE, "22222222-2222-2222-2222-222222222222-3")),
    );
    scene.server.says(LIST, 200, "[]");
    scene.server.says(REMAINING, 500, "");
    assert_eq!(query().await, Finding::NotFound { complete: true, asked_at: None });
}

#[tokio::test]
async fn a_list_without_it_is_not_believed_while_less_is_left_than_it_would_give_back() {
    let scene = Scene::new("").await;
    let (charge, refund) = refunding(&scene, 8_000);
    for (remaining, complete) in [("0", false), ("79.99", false), ("80", true), ("80.000", true)] {
        scene.server.says_with(LIST, 200, vec![("x-total-count", "0".into())], "[]");
        scene.server.says(REMAINING, 200, format!(r#"{{"amount":{remaining},"currency":"KZT"}}"#));
        let finding = scene.carrier.query_refund(&charge, &refund).await;
        assert_eq!(finding, Some(Finding::NotFound { complete, asked_at: None }), "{remaining}");
    }
    scene.server.says(LIST, 404, error(404, "NOT_FOUND", "x"));
    assert_eq!(scene.carrier.query_refund(&charge, &refund).await, Some(Finding::Nothing));
}

#[tokio::test]
async fn a_list_that_counts_less_than_it_shows_says_nothing_of_what_it_lacks() {
    let scene = Scene::new("").await;
    let (charge, refund) = refunding(&scene, 8_000);
    let another = || total("succeeded").replace(WIRE, "22222222-2222-2222-2222-222222222222-1");
    for _ in 0..8 {
        scene.server.says_with(LIST, 200, vec![("x-total-count", "0".into())], format!("[{}]", another()));
    }
    assert_eq!(scene.carrier.query_refund(&charge, &refund).await, Some(Finding::Nothing));
}

#[tokio::test]
async fn a_refund_whose_id_is_known_is_retrieved() {
    let scene = Scene::new("").await;
    let (charge, mut refund) = refunding(&scene, 8_000);
    refund.carrier_id = Some("refund-7".into());
    scene.server.says(RETRIEVE, 200, total("succeeded"));
    let finding = scene.carrier.query_refund(&charge, &refund).await.unwrap();
    assert_eq!(finding, Finding::Charged { carrier_id: Some("refund-7".into()), amount: Some(Money::kzt(8_000)) });
}

#[tokio::test]
async fn without_the_payments_id_or_the_interface_a_person_has_to_give_it_back() {
    let scene = Scene::new("").await;
    let (mut charge, refund) = refunding(&scene, 8_000);
    charge.attempts[0].carrier_id = None;
    assert_eq!(rejection(&scene.carrier.refund(scene.slot(), &charge, &refund).await).1, Retry::Never);
    assert_eq!(scene.carrier.query_refund(&charge, &refund).await, None);
    assert!(scene.server.asked().is_empty());
    let mut profile = scene.carrier.profile().clone();
    profile.refund_url = None;
    assert!(!profile.contract().can_refund);
}
