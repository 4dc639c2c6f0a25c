//! What is known of the carrier's clock, and what a list is worth by it.

use reqwest::header::HeaderMap;

use super::{
    super::clock::CarrierClock,
    recovery::{LIST, list, others},
    *,
};
use crate::carrier::{NoSlot, web::Answer};

const TIME: &str = "GET /carrier-billing/v0.5/payments/";
const LONG: Duration = Duration::from_secs(5);

fn answer(status: u16, date: Option<&str>) -> Answer {
    let mut headers = HeaderMap::new();
    if let Some(date) = date {
        headers.insert("date", date.parse().unwrap());
    }
    Answer { status, headers, body: "".into() }
}

/// An answer of a list with this date.
fn dated(at: Timestamp) -> Vec<(&'static str, String)> {
    vec![("date", at.to_http_date().unwrap())]
}

#[test]
fn it_runs_on_from_the_last_date_that_the_carrier_showed() {
    let clock = CarrierClock::default();
    assert!(!clock.has_answered() && clock.now().is_none());
    clock.hear(&answer(200, Some(&NOW.to_http_date().unwrap())));
    let shown = clock.now().unwrap();
    assert!(shown >= NOW && shown < NOW.plus(LONG));
    std::thread::sleep(Duration::from_millis(20));
    assert!(clock.now().unwrap() >= shown.plus(Duration::from_millis(20)));
    clock.hear(&answer(404, Some(&NOW.minus(LONG).to_http_date().unwrap())));
    assert!(clock.now().unwrap() < NOW, "the newest counts");
}

#[test]
fn a_carrier_that_does_not_say_the_time_was_asked_all_the_same() {
    for (status, date) in [(200, None), (200, Some("yesterday")), (403, None)] {
        let clock = CarrierClock::default();
        clock.hear(&answer(status, date));
        assert!(clock.has_answered() && clock.now().is_none(), "{status} {date:?}");
    }
    let clock = CarrierClock::default();
    clock.hear(&answer(502, Some("Sun, 01 Mar 2026 07:30:00 GMT")));
    assert!(!clock.has_answered(), "that may be the clock of a proxy");
}

#[tokio::test]
async fn nothing_is_charged_before_the_carrier_has_answered_and_one_asks_for_all() {
    let scene = Scene::new("").await;
    assert!(!scene.carrier.has_answered());
    scene.server.says_with(TIME, 404, dated(NOW), error(404, "NOT_FOUND", "no such payment"));
    let learn = || scene.carrier.learn_time(LONG);
    let learnt = tokio::join!(learn(), learn(), learn());
    assert_eq!(learnt, (Ok(()), Ok(()), Ok(())));
    assert_eq!(scene.server.lines().len(), 1, "{:?}", scene.server.lines());
    assert!(scene.carrier.has_answered());
    let shown = scene.carrier.time().unwrap();
    assert!(shown >= NOW && shown < NOW.plus(LONG));
}

#[tokio::test]
async fn a_carrier_that_does_not_answer_is_asked_again_also_when_nobody_waits_any_more() {
    let scene = Scene::new("").await;
    scene.server.hangs_up(TIME);
    scene.server.says(TIME, 503, "");
    scene.server.says_with(TIME, 403, dated(NOW), "");
    assert_eq!(scene.carrier.learn_time(Duration::from_millis(20)).await, Err(NoSlot::InTime));
    assert!(!scene.carrier.has_answered());
    assert_eq!(scene.carrier.learn_time(LONG).await, Ok(()));
    assert_eq!(scene.server.lines().len(), 3);
}

#[tokio::test]
async fn a_carrier_that_does_not_answer_opens_the_circuit_breaker() {
    let scene = Scene::new("breaker = { failures_max = 2, pause_ms = 60000, pause_ms_max = 60000 }").await;
    scene.server.hangs_up(TIME);
    scene.server.hangs_up(TIME);
    assert_eq!(scene.carrier.learn_time(LONG).await, Err(NoSlot::InTime));
    assert!(!scene.carrier.standing().takes_charges());
}

#[tokio::test]
async fn nobody_waits_for_a_carrier_that_is_shut_down() {
    let scene = Scene::new("").await;
    scene.carrier.shut_down().await;
    assert_eq!(scene.carrier.learn_time(LONG).await, Err(NoSlot::ShuttingDown));
}

/// The other interfaces may stand on other machines.
#[tokio::test]
async fn only_what_bills_tells_the_time() {
    let scene = Scene::new("").await;
    scene.server.says_with("POST /sim-swap", 200, dated(NOW), r#"{"latestSimChange":"2026-01-01T00:00:00Z"}"#);
    scene.carrier.sim_swap_date("+77011234567".parse().unwrap()).await.expect("an answer");
    assert!(!scene.carrier.has_answered());
}

/// The list is asked for from the earlier of the two clocks' times.
#[tokio::test]
async fn m05_what_is_looked_for_is_looked_for_from_what_either_clock_showed() {
    for (ours, theirs) in [(600, 0), (0, 600), (0, 0)] {
        let scene = Scene::new("").await;
        let mut charge = in_doubt(&scene.charge());
        charge.attempts[0].opened_at = NOW.plus(Duration::from_secs(ours));
        charge.attempts[0].carrier_time = Some(NOW.plus(Duration::from_secs(theirs)));
        charge.attempts[0].in_doubt_since = Some(NOW.plus(Duration::from_secs(ours + 1)));
        // The end is in the later of the two: twelve seconds until it is sent, a minute inside the carrier, thirty seconds either side,
        // and thirty for the order.
        let ahead = i64::try_from(ours.max(theirs)).unwrap();
        scene.server.says(LIST, 200, list(&others(1, ahead + 162)));
        scene.server.says(LIST, 200, list(&[payment("succeeded", &[])]));
        let finding = scene.carrier.query(&charge, attempt(&charge)).await;
        assert_eq!(finding, Some(Finding::Charged { carrier_id: some_id(), amount: Some(Money::kzt(8_000)) }));
        assert!(scene.server.lines()[0].contains("gte=2026-03-01T07%3A29%3A30.000Z"), "{:?}", scene.server.lines());
    }
}

/// The wall clock went back after the opening: the end of the window is no earlier than what was sent could begin.
#[tokio::test]
async fn m05_a_clock_that_goes_back_makes_the_window_no_shorter() {
    let scene = Scene::new("").await;
    let mut charge = in_doubt(&scene.charge());
    charge.attempts[0].in_doubt_since = Some(NOW);
    scene.server.says(LIST, 200, list(&others(1, 162)));
    scene.server.says(LIST, 200, list(&[payment("succeeded", &[])]));
    let finding = scene.carrier.query(&charge, attempt(&charge)).await;
    assert!(matches!(finding, Some(Finding::Charged { .. })), "{finding:?}");
}

/// An attempt of a carrier that never said the time, or of a version that did not ask: what is there is found, and a list that
/// lacks it says nothing.
#[tokio::test]
async fn m05_without_the_carriers_time_no_list_says_that_there_is_no_payment() {
    let scene = Scene::new("").await;
    let mut charge = in_doubt(&scene.charge());
    charge.attempts[0].carrier_time = None;
    scene.server.says(LIST, 200, "[]");
    let finding = scene.carrier.query(&charge, attempt(&charge)).await;
    assert_eq!(finding, Some(Finding::NotFound { complete: false, asked_at: None }));
    scene.server.says(LIST, 200, list(&[payment("succeeded", &[])]));
    let finding = scene.carrier.query(&charge, attempt(&charge)).await;
    assert!(matches!(finding, Some(Finding::Charged { .. })), "{finding:?}");
}
