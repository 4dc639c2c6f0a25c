use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::*;

const SOON: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(20);

fn msisdn(n: u64) -> Msisdn {
    Msisdn::from_e164(77_010_000_000 + n).expect("a number")
}

fn asking(questions_max: usize, failures_max: u32) -> Asking<u32> {
    let breaker =
        BreakerConfig { failures_max, pause: Duration::from_millis(50), pause_max: Duration::from_millis(50) };
    let config = AskingConfig { questions_max, timeout: Duration::from_millis(300), budget: SOON, breaker };
    Asking::new("test".into(), config)
}

async fn wait(waiting: Result<Waiting<u32>, Silence>, patience: Duration) -> Result<u32, Silence> {
    waiting?.answer(Instant::now() + patience).await
}

fn failed() -> Result<u32, Silence> {
    Err(Silence::Failed { detail: "no".into() })
}

#[tokio::test]
async fn those_who_ask_about_one_number_at_once_wait_for_one_answer() {
    let asking = asking(8, 9);
    let (asked, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let question = || {
        let (asked, go) = (asked.clone(), go.clone());
        async move {
            asked.fetch_add(1, Ordering::SeqCst);
            go.notified().await;
            Ok(7)
        }
    };
    let waiting: Vec<_> = (0..50).map(|_| asking.begin(msisdn(1), question)).collect();
    assert_eq!(asking.under_way(), 1);
    tokio::task::yield_now().await;
    go.notify_one();
    for one in waiting {
        assert_eq!(wait(one, LONG).await, Ok(7));
    }
    assert_eq!((asked.load(Ordering::SeqCst), asking.under_way()), (1, 0));
    go.notify_one();
    assert_eq!(wait(asking.begin(msisdn(1), question), LONG).await, Ok(7));
    assert_eq!(asked.load(Ordering::SeqCst), 2, "a question that has ended answers nobody else");
}

#[tokio::test]
async fn never_more_than_so_many_questions_are_under_way() {
    let asking = asking(3, 99);
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let question = || {
        let (now, most) = (now.clone(), most.clone());
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            time::sleep(Duration::from_millis(5)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(1)
        }
    };
    let waiting: Vec<_> = (0..30).map(|n| asking.begin(msisdn(n), question)).collect();
    for one in waiting {
        assert_eq!(wait(one, LONG).await, Ok(1));
    }
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_question_that_nobody_waits_for_any_more_does_not_take_a_turn() {
    let asking = asking(1, 99);
    let (asked, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let question = || {
        let (asked, go) = (asked.clone(), go.clone());
        async move {
            asked.fetch_add(1, Ordering::SeqCst);
            go.notified().await;
            Ok(1)
        }
    };
    let first = asking.begin(msisdn(1), question);
    tokio::task::yield_now().await;
    let second = asking.begin(msisdn(2), question);
    assert_eq!(wait(second, Duration::from_millis(5)).await, Err(Silence::TimedOut));
    while asking.under_way() > 1 {
        tokio::task::yield_now().await;
    }
    go.notify_one();
    assert_eq!(wait(first, LONG).await, Ok(1));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_answer_that_comes_too_late_for_one_serves_the_next() {
    let asking = asking(1, 99);
    let slow = || async {
        time::sleep(SOON).await;
        Ok(5)
    };
    assert_eq!(wait(asking.begin(msisdn(1), slow), Duration::from_millis(1)).await, Err(Silence::TimedOut));
    assert_eq!(wait(asking.begin(msisdn(1), || async { unreachable!("it is under way") }), LONG).await, Ok(5));
}

#[tokio::test]
async fn a_question_is_given_up_after_its_time() {
    let asking = asking(1, 99);
    let begun = Instant::now();
    assert_eq!(wait(asking.begin(msisdn(1), std::future::pending), LONG).await, Err(Silence::TimedOut));
    assert!(begun.elapsed() < LONG);
    assert_eq!(wait(asking.begin(msisdn(1), || async { Ok(1) }), LONG).await, Ok(1));
}

#[tokio::test]
async fn a_source_that_fails_is_left_alone_then_tried_once() {
    let asking = asking(4, 2);
    for _ in 0..2 {
        assert_eq!(wait(asking.begin(msisdn(1), || async { Err("no".into()) }), LONG).await, failed());
    }
    let begun = Instant::now();
    let unasked = asking.begin(msisdn(1), || async { unreachable!("the breaker is open") });
    assert_eq!(wait(unasked, LONG).await, Err(Silence::BreakerOpen));
    assert!(begun.elapsed() < Duration::from_millis(50), "it costs nobody anything");
    time::sleep(Duration::from_millis(60)).await;
    let trial = asking.begin(msisdn(1), || async {
        time::sleep(Duration::from_millis(10)).await;
        Ok(3)
    });
    let beside = asking.begin(msisdn(2), || async { unreachable!("one at a time") });
    assert_eq!(wait(beside, LONG).await, Err(Silence::BreakerOpen));
    assert_eq!(wait(trial, LONG).await, Ok(3));
    assert_eq!(wait(asking.begin(msisdn(2), || async { Ok(4) }), LONG).await, Ok(4));
}

#[tokio::test]
async fn those_who_wait_their_turn_when_the_breaker_opens_are_not_asked_about() {
    let asking = asking(1, 1);
    let first = asking.begin(msisdn(1), || async {
        time::sleep(Duration::from_millis(20)).await;
        Err("no".into())
    });
    let behind: Vec<_> =
        (2..30).map(|n| asking.begin(msisdn(n), || async { unreachable!("the breaker is open") })).collect();
    assert_eq!(wait(first, LONG).await, failed());
    for one in behind {
        assert_eq!(wait(one, LONG).await, Err(Silence::BreakerOpen));
    }
    assert_eq!(asking.under_way(), 0);
}

#[tokio::test]
async fn answers_that_take_longer_than_the_budget_open_the_breaker_too() {
    let asking = asking(4, 2);
    let late = || async {
        time::sleep(SOON + Duration::from_millis(20)).await;
        Ok(1)
    };
    for _ in 0..2 {
        assert_eq!(wait(asking.begin(msisdn(1), late), LONG).await, Ok(1));
    }
    assert_eq!(wait(asking.begin(msisdn(1), late), LONG).await, Err(Silence::BreakerOpen));
}

#[tokio::test]
async fn a_question_that_panics_leaves_nobody_waiting_and_nothing_behind() {
    let asking = asking(1, 99);
    let broken = asking.begin(msisdn(1), || async { panic!("a defect") });
    let said = wait(broken, LONG).await;
    assert_eq!(said, Err(Silence::Failed { detail: "the question broke off".into() }));
    assert_eq!(asking.under_way(), 0);
    assert_eq!(wait(asking.begin(msisdn(1), || async { Ok(1) }), LONG).await, Ok(1), "its place is free again");
}
