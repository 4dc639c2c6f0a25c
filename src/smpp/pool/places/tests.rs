use super::*;

/// A rate that no test reaches.
const FAST: u32 = 100_000;

fn link(window: usize) -> LinkPlacesConfig {
    let (commands, _never_read) = mpsc::unbounded_channel();
    LinkPlacesConfig { window, tps: None, rests: false, commands }
}

fn config(windows: &[usize]) -> PlacesConfig {
    let links = windows.iter().map(|window| link(*window)).collect();
    let breaker = BreakerConfig { failures_max: 3, pause: PAUSE, pause_max: PAUSE };
    PlacesConfig { tps: FAST, breaker, waiting_max: 10, links }
}

const PAUSE: Duration = Duration::from_secs(5);

/// All links open.
fn open(config: PlacesConfig) -> Arc<Places> {
    let places = Arc::new(Places::new(config));
    for link in 0..places.commands.len() {
        places.set_open(link, true);
    }
    tokio::spawn(places.clone().keep_time());
    places
}

fn places(windows: &[usize]) -> Arc<Places> {
    open(config(windows))
}

fn soon() -> Instant {
    now() + Duration::from_millis(20)
}

fn response(status: CommandStatus) -> SubmitOutcome {
    SubmitOutcome::Response { status, message_id: None }
}

const TIMED_OUT: SubmitOutcome = SubmitOutcome::InDoubt { cause: DoubtCause::Timeout };
const LOST: SubmitOutcome = SubmitOutcome::InDoubt { cause: DoubtCause::LinkLost };

fn waiting(places: &Arc<Places>, lane: Lane) -> oneshot::Receiver<Slot> {
    places.enqueue(lane, now() + Duration::from_secs(60)).unwrap()
}

#[tokio::test]
async fn a_dropped_slot_is_free_again() {
    let places = places(&[1]);
    let slot = places.try_reserve().unwrap();
    assert!(places.try_reserve().is_none());
    drop(slot);
    assert!(places.try_reserve().is_some());
}

#[tokio::test]
async fn the_priority_lane_is_served_first_and_each_lane_in_order() {
    let places = places(&[1]);
    let held = places.try_reserve().unwrap();
    let mut normal = [waiting(&places, Lane::Normal), waiting(&places, Lane::Normal)];
    let mut priority = waiting(&places, Lane::Priority);
    drop(held);
    let first = priority.try_recv().unwrap();
    assert!(normal[0].try_recv().is_err());
    drop(first);
    let second = normal[0].try_recv().unwrap();
    assert!(normal[1].try_recv().is_err());
    drop(second);
    assert!(normal[1].try_recv().is_ok());
}

#[tokio::test]
async fn who_gives_up_waiting_takes_no_place() {
    let places = places(&[1]);
    let held = places.try_reserve().unwrap();
    assert_eq!(places.reserve(Lane::Normal, soon()).await.unwrap_err(), ReserveError::Deadline);
    let mut patient = waiting(&places, Lane::Normal);
    drop(held);
    assert!(patient.try_recv().is_ok());
}

#[tokio::test]
async fn the_queue_is_bounded_and_forgets_those_who_gave_up() {
    let places = open(PlacesConfig { waiting_max: 2, ..config(&[0]) });
    let first = waiting(&places, Lane::Normal);
    let _second = waiting(&places, Lane::Priority);
    assert_eq!(places.reserve(Lane::Priority, soon()).await.unwrap_err(), ReserveError::Busy);
    drop(first);
    assert_eq!(places.reserve(Lane::Priority, soon()).await.unwrap_err(), ReserveError::Deadline);
}

#[tokio::test]
async fn a_link_that_is_down_and_a_pool_that_is_paused_give_no_places_and_an_ended_one_says_so() {
    let places = places(&[1]);
    places.set_open(0, false);
    assert!(places.try_reserve().is_none());
    let mut waiter = waiting(&places, Lane::Normal);
    places.set_paused(true);
    places.set_open(0, true);
    assert!(waiter.try_recv().is_err());
    places.set_paused(false);
    drop(waiter.try_recv().unwrap());
    places.end();
    assert_eq!(places.reserve(Lane::Normal, soon()).await.unwrap_err(), ReserveError::Ended);
    places.set_open(0, true);
    assert!(places.try_reserve().is_none(), "the end is final");
}

#[tokio::test]
async fn load_spreads_over_the_links_that_are_up() {
    let places = places(&[2, 2, 0]);
    let slots: Vec<Slot> = std::iter::from_fn(|| places.try_reserve()).collect();
    let mut links: Vec<usize> = slots.iter().map(|slot| slot.link).collect();
    assert_eq!(slots.len(), 4);
    assert_ne!(links[0], links[1], "the second message takes the emptier window");
    links.sort_unstable();
    assert_eq!(links, [0, 0, 1, 1], "a receiver has no places");
    drop(slots);
    places.set_open(0, false);
    let slots: Vec<Slot> = std::iter::from_fn(|| places.try_reserve()).collect();
    assert!(slots.len() == 2 && slots.iter().all(|slot| slot.link == 1));
}

#[tokio::test]
async fn a_ticket_overtakes_charges_that_wait_for_the_contracts_rate() {
    let places = open(PlacesConfig { tps: 20, ..config(&[100]) });
    let burst: Vec<Slot> = std::iter::from_fn(|| places.try_reserve()).collect();
    assert_eq!(burst.len(), 2, "a tenth of a second's worth");
    let mut charge = waiting(&places, Lane::Normal);
    let ticket = places.reserve(Lane::Priority, now() + Duration::from_secs(5)).await;
    assert!(ticket.is_ok());
    assert!(charge.try_recv().is_err(), "its turn comes a twentieth of a second later");
    assert!(charge.await.is_ok());
}

#[tokio::test]
async fn a_link_that_has_used_up_its_own_rate_leaves_the_rest_to_the_others() {
    let slow = LinkPlacesConfig { tps: Some(1), ..link(100) };
    let places = open(PlacesConfig { links: vec![slow, link(10)], ..config(&[]) });
    let slots: Vec<Slot> = std::iter::from_fn(|| places.try_reserve()).collect();
    assert_eq!(slots.iter().filter(|slot| slot.link == 0).count(), 1);
    assert_eq!(slots.iter().filter(|slot| slot.link == 1).count(), 10);
}

#[tokio::test]
async fn case_35_a_throttled_message_slows_the_pool_down_and_time_wins_the_rate_back() {
    for status in [CommandStatus::THROTTLED, CommandStatus::QUEUE_FULL] {
        let places = open(PlacesConfig { tps: 100, ..config(&[100]) });
        let began = now();
        let slots: Vec<Slot> = std::iter::from_fn(|| places.try_reserve()).take(10).collect();
        assert!(!slots.is_empty());
        for slot in slots {
            slot.settle(&response(status));
        }
        let standing = places.standing();
        assert!(standing.throttled && standing.rate_milli == 50_000, "{standing:?}");
        assert!(standing.sends(), "slower, not stopped");
        let mut turns = 0;
        while began.elapsed() < Duration::from_millis(500) {
            turns += usize::from(places.reserve(Lane::Normal, now() + Duration::from_secs(3)).await.is_ok());
        }
        assert!((10..=26).contains(&turns), "fifty a second, not a hundred: {turns} in half a second");
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        drop(places.try_reserve());
        assert!(places.standing().rate_milli > standing.rate_milli);
    }
}

#[tokio::test]
async fn what_would_come_too_late_is_said_at_once() {
    let places = open(PlacesConfig { tps: 1, ..config(&[1]) });
    let _burst = places.try_reserve().unwrap();
    let queue: Vec<_> = (0..5).map(|_| waiting(&places, Lane::Normal)).collect();
    let asked = now();
    let error = places.reserve(Lane::Normal, asked + Duration::from_secs(4)).await.unwrap_err();
    assert_eq!(error, ReserveError::TooLate);
    assert!(asked.elapsed() < Duration::from_secs(1), "not only when the deadline has passed");
    drop(queue);
}

#[tokio::test]
async fn a_carrier_that_answers_nothing_is_left_alone_and_one_answer_brings_it_back() {
    let breaker = BreakerConfig { failures_max: 3, pause: Duration::from_millis(50), pause_max: PAUSE };
    let places = open(PlacesConfig { breaker, ..config(&[10]) });
    for _ in 0..3 {
        places.try_reserve().unwrap().settle(&TIMED_OUT);
    }
    assert!(!places.standing().sends());
    assert!(places.try_reserve().is_none());
    let trial = places.reserve(Lane::Normal, now() + Duration::from_secs(5)).await.unwrap();
    assert!(places.try_reserve().is_none(), "one trial at a time");
    trial.settle(&response(CommandStatus::OK));
    assert_eq!(places.standing().breaker, BreakerState::Closed);
    assert!(places.try_reserve().is_some());
}

#[tokio::test]
async fn a_lost_link_is_one_failure_however_many_messages_it_had() {
    let places = places(&[10]);
    let in_flight: Vec<Slot> = std::iter::from_fn(|| places.try_reserve()).collect();
    for slot in in_flight {
        slot.settle(&LOST);
    }
    places.session_ended(0);
    places.set_open(0, true);
    assert_eq!(places.standing().breaker, BreakerState::Closed);
    for _ in 0..2 {
        places.try_reserve().unwrap().settle(&LOST);
        places.session_ended(0);
        places.set_open(0, true);
    }
    assert!(matches!(places.standing().breaker, BreakerState::Open { .. }), "three links in a row");
}

#[tokio::test]
async fn those_who_gave_up_are_nobody_ahead() {
    let places = open(PlacesConfig { tps: 1, ..config(&[1]) });
    let _burst = places.try_reserve().unwrap();
    let _ahead = waiting(&places, Lane::Normal);
    let gave_up: Vec<_> = (0..8).map(|_| waiting(&places, Lane::Normal)).collect();
    drop(gave_up);
    let one_more = places.enqueue(Lane::Normal, now() + Duration::from_secs(4));
    assert!(one_more.is_ok(), "one is ahead, not nine: {one_more:?}");
}

#[tokio::test]
async fn an_smsc_that_unbinds_instead_of_answering_is_a_failure_for_each_session() {
    let places = places(&[10]);
    for _ in 0..3 {
        let in_flight: Vec<Slot> = std::iter::from_fn(|| places.try_reserve()).collect();
        assert!(!in_flight.is_empty());
        for slot in in_flight {
            slot.settle(&SubmitOutcome::InDoubt { cause: DoubtCause::Unbind });
        }
        places.session_ended(0);
        places.set_open(0, true);
    }
    assert!(matches!(places.standing().breaker, BreakerState::Open { .. }));
}

#[tokio::test]
async fn how_long_answers_take_is_measured_and_what_would_wait_for_too_many_is_refused() {
    let places = places(&[1]);
    assert_eq!(places.expected_answer(), Duration::ZERO);
    let slot = places.try_reserve().unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    slot.settle(&response(CommandStatus::OK));
    assert!(places.expected_answer() >= Duration::from_millis(200));
    let _held = places.try_reserve().unwrap();
    let _ahead: Vec<_> = (0..5).map(|_| waiting(&places, Lane::Normal)).collect();
    let refused = places.enqueue(Lane::Normal, now() + Duration::from_millis(900)).unwrap_err();
    assert_eq!(refused, ReserveError::TooLate, "five ahead, a fifth of a second each");
    assert!(places.enqueue(Lane::Priority, now() + Duration::from_millis(900)).is_ok(), "nobody ahead in this lane");
}
