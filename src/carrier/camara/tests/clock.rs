//! What is known of the carrier's clock, and what a list is worth by it.

use reqwest::header::HeaderMap;

use super::{
    super::clock::CarrierClock,
    recovery::{LIST, list, others},
    *,
};
use crate::carrier::{NoSlot, web::Answer};

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
    assert!(!clock.was_asked() && clock.now().is_none());
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
        assert!(clock.was_asked() && clock.now().is_none(), "{status} {date:?}");
    }
    let clock = CarrierClock::default();
    clock.hear(&answer(502, Some("Sun, 01 Mar 2026 07:30:00 GMT")));
    assert!(!clock.was_asked(), "that may be the clock of a proxy");
}

#[tokio::test]
async fn nothing_is_charged_before_the_carriers_clock_was_seen_and_one_asks_for_all() {
    let scene = Scene::new("").await;
    assert!(!scene.carrier.knows_time());
    scene.server.says_with(LIST, 200, dated(NOW), "[]");
    let learn = || scene.carrier.learn_time(LONG);
    let learnt = tokio::join!(learn(), learn(), learn());
    assert_eq!(learnt, (Ok(()), Ok(()), Ok(())));
    assert_eq!(scene.server.lines(), ["GET /carrier-billing/v0.5/payments?page=1&perPage=1"]);
    assert!(scene.carrier.knows_time());
    let shown = scene.carrier.time().unwrap();
    assert!(shown >= NOW && shown < NOW.plus(LONG));
}

#[tokio::test]
async fn a_carrier_that_answers_nothing_is_asked_for_the_time_again_and_not_charged() {
    let scene = Scene::new("").await;
    scene.server.hangs_up(LIST);
    scene.server.says_with(LIST, 200, dated(NOW), "[]");
    assert_eq!(scene.carrier.learn_time(LONG).await, Ok(()));
    assert_eq!(scene.server.lines().len(), 2);

    let silent = Scene::new("").await;
    silent.server.hangs_up(LIST);
    assert_eq!(silent.carrier.learn_time(Duration::from_millis(100)).await, Err(NoSlot::InTime));
}

/// The wall clock was ten minutes ahead when the request was sent: the list is asked for in the carrier's time.
#[tokio::test]
async fn m05_what_is_looked_for_is_looked_for_in_the_carriers_time() {
    let scene = Scene::new("").await;
    let mut charge = in_doubt(&scene.charge());
    charge.attempts[0].opened_at = NOW.plus(Duration::from_secs(600));
    charge.attempts[0].in_doubt_since = Some(NOW.plus(Duration::from_secs(601)));
    scene.server.says(LIST, 200, list(&[payment("succeeded", &[])]));
    let finding = scene.carrier.query(&charge, attempt(&charge)).await;
    assert_eq!(finding, Some(Finding::Charged { carrier_id: some_id(), amount: Some(Money::kzt(8_000)) }));
    assert!(scene.server.lines()[0].contains("gte=2026-03-01T07%3A29%3A30.000Z"), "{:?}", scene.server.lines());
}

/// The wall clock went back after the opening: the end of the window is no earlier than what was sent could begin.
#[tokio::test]
async fn m05_a_clock_that_goes_back_makes_the_window_no_shorter() {
    let scene = Scene::new("").await;
    let mut charge = in_doubt(&scene.charge());
    charge.attempts[0].in_doubt_since = Some(NOW);
    // Six seconds at most until it is sent, a minute inside the carrier, thirty seconds either side, and thirty for the order.
    scene.server.says(LIST, 200, list(&others(1, 156)));
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
    assert_eq!(finding, Some(Finding::NotFound { complete: false }));
    scene.server.says(LIST, 200, list(&[payment("succeeded", &[])]));
    let finding = scene.carrier.query(&charge, attempt(&charge)).await;
    assert!(matches!(finding, Some(Finding::Charged { .. })), "{finding:?}");
}
