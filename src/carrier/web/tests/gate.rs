use bytes::Bytes;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::*;
use crate::carrier::{BreakerProfile, NoSlot, Urgency};

const MS: Duration = Duration::from_millis(1);

fn gate(tps: u32, concurrency: u16) -> Gate {
    let breaker = BreakerProfile { failures_max: 3, pause_ms: 300, pause_ms_max: 60_000 };
    Gate::new("kcell".parse().unwrap(), &GateConfig { concurrency, breaker, ..GateConfig::new(tps) })
}

fn status(status: u16) -> Outcome {
    Outcome::Answer(Answer { status, headers: HeaderMap::new(), body: Bytes::new() })
}

#[tokio::test]
async fn no_more_are_under_way_than_allowed_and_a_dropped_slot_comes_back() {
    let gate = gate(1_000, 2);
    let (one, two) = (gate.try_reserve().unwrap(), gate.try_reserve().unwrap());
    assert!(gate.try_reserve().is_none());
    assert_eq!(gate.reserve(MS * 50, Urgency::Normal).await.unwrap_err(), NoSlot::InTime);
    drop(one);
    let three = gate.reserve(MS * 50, Urgency::Normal).await.unwrap();
    two.settle(&status(201));
    three.settle(&status(201));
    assert!(gate.try_reserve().is_some());
}

#[tokio::test]
async fn tickets_overtake_charges() {
    let gate = gate(1_000, 1);
    let held = gate.try_reserve().unwrap();
    let order = std::sync::Mutex::new(Vec::new());
    let wait = async |urgency, name: &'static str| {
        let slot = gate.reserve(PATIENCE, urgency).await.unwrap();
        order.lock().unwrap().push(name);
        drop(slot);
    };
    let begin = async {
        tokio::time::sleep(MS).await;
        held.settle(&status(200));
    };
    tokio::join!(wait(Urgency::Normal, "charge"), wait(Urgency::Ticket, "ticket"), begin);
    assert_eq!(*order.lock().unwrap(), ["ticket", "charge"]);
}

#[tokio::test]
async fn the_contracts_rate_is_held() {
    let gate = gate(100, 100);
    let started = std::time::Instant::now();
    for _ in 0..30 {
        gate.reserve(PATIENCE, Urgency::Normal).await.unwrap().settle(&status(201));
    }
    let took = started.elapsed();
    assert!(took >= MS * 190, "ten at once, then one in ten milliseconds: {took:?}");
}

#[tokio::test]
async fn losses_in_a_row_open_the_breaker_and_one_trial_closes_it() {
    let gate = gate(1_000, 10);
    for outcome in [Outcome::Lost(Lost::Timeout), status(500), Outcome::NotSent(NotSent::Connect("refused".into()))] {
        assert!(gate.standing().takes_charges());
        gate.try_reserve().unwrap().settle(&outcome);
    }
    let standing = gate.standing();
    assert!(standing.breaker_open && !standing.takes_charges() && !standing.up, "{standing:?}");
    assert!(gate.try_reserve().is_none());
    let started = tokio::time::Instant::now();
    let trial = gate.reserve(PATIENCE, Urgency::Normal).await.unwrap();
    assert!(started.elapsed() >= MS * 250);
    assert!(gate.try_reserve().is_none(), "one at a time");
    trial.settle(&status(403));
    assert!(gate.try_reserve().is_some() && gate.standing().sells(), "a refusal is an answer");
}

#[tokio::test]
async fn a_carrier_that_asks_for_a_pause_gets_it_and_less_afterwards() {
    let gate = gate(100, 100);
    let busy = || {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, "1".parse().unwrap())]);
        Outcome::Answer(Answer { status: 429, headers, body: Bytes::new() })
    };
    gate.try_reserve().unwrap().settle(&busy());
    let standing = gate.standing();
    assert!(standing.throttled && !standing.breaker_open, "{standing:?}");
    assert_eq!(standing.rate_milli, 50_000);
    let started = tokio::time::Instant::now();
    gate.reserve(PATIENCE, Urgency::Normal).await.unwrap().settle(&status(201));
    assert!(started.elapsed() >= MS * 950, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_pause_by_hand_holds_new_requests_only() {
    let gate = gate(100, 10);
    let held = gate.try_reserve().unwrap();
    gate.set_paused(true);
    assert!(gate.standing().paused && gate.try_reserve().is_none());
    held.settle(&status(200));
    let resume = async {
        tokio::time::sleep(MS * 100).await;
        gate.set_paused(false);
    };
    let (slot, ()) = tokio::join!(gate.reserve(PATIENCE, Urgency::Normal), resume);
    assert!(slot.is_ok());
}

#[tokio::test]
async fn who_would_wait_too_long_is_told_at_once() {
    let gate = gate(10, 1);
    let held = gate.try_reserve().unwrap();
    let waiting: Vec<_> = (0..20).map(|_| Box::pin(gate.reserve(PATIENCE, Urgency::Normal))).collect();
    let mut waiting = waiting;
    for one in &mut waiting {
        assert!(futures_poll(one).is_none());
    }
    assert_eq!(gate.reserve(MS * 500, Urgency::Normal).await.unwrap_err(), NoSlot::TooManyWait);
    assert!(
        futures_poll(&mut Box::pin(gate.reserve(MS * 500, Urgency::Ticket))).is_none(),
        "nobody is ahead of a ticket"
    );
    drop(held);
}

/// Polls once.
fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(future).poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test]
async fn the_end_tells_those_who_wait_and_waits_for_those_under_way() {
    let gate = gate(100, 1);
    let held = gate.try_reserve().unwrap();
    let settle = async {
        tokio::time::sleep(MS * 100).await;
        held.settle(&status(200));
    };
    let end = async {
        tokio::time::sleep(MS * 10).await;
        let started = tokio::time::Instant::now();
        gate.shut_down(PATIENCE).await;
        started.elapsed()
    };
    let (slot, took, ()) = tokio::join!(gate.reserve(PATIENCE, Urgency::Normal), end, settle);
    assert_eq!(slot.unwrap_err(), NoSlot::ShuttingDown);
    assert!((MS * 60..PATIENCE).contains(&took), "{took:?}");
    assert_eq!(gate.reserve(PATIENCE, Urgency::Ticket).await.unwrap_err(), NoSlot::ShuttingDown);
}

#[tokio::test]
async fn latency_is_learnt_from_answers() {
    let gate = gate(100, 1);
    assert_eq!(gate.expected_answer(), Duration::ZERO);
    let slot = gate.try_reserve().unwrap();
    tokio::time::sleep(MS * 40).await;
    slot.settle(&status(201));
    assert!(gate.expected_answer() >= MS * 40);
}
