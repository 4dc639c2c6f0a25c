//! Events told by webhook, over real sockets at both ends.

use std::{collections::BTreeSet, time::Duration};

use super::{
    ticket_service::{Answer, Request, TicketService},
    world::{Setting, WEBHOOK_KEYS, World},
};
use crate::{
    clock::{Clock, ManualClock},
    gateway::{
        ReplayError, ReplayWish, WebhookCondition, WebhookConfig, WebhookReport,
        events::{Event, EventFilter},
    },
    store::{EventPlace, WebhookEnd},
};

const NAME: &str = "tickets";

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("+7705{n:07}")).collect()
}

fn world_with(service: &TicketService, change: impl FnOnce(&mut WebhookConfig)) -> World {
    world_of(service, change, Setting::default())
}

fn world_of(service: &TicketService, change: impl FnOnce(&mut WebhookConfig), setting: Setting) -> World {
    let mut config = service.events_config();
    change(&mut config);
    World::new(Setting { webhooks: vec![(NAME, config)], ..setting })
}

/// Everything that happened, as the API tells it.
fn told(world: &World) -> Vec<Event> {
    let page =
        world.run(world.gateway().events(EventPlace::START, &EventFilter::default(), 10_000)).expect("the store");
    assert!(page.is_last, "more than a test makes");
    page.events
}

fn ids(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| event.id.to_string()).collect()
}

fn received(service: &TicketService) -> Vec<String> {
    service.requests().into_iter().map(|request| request.id).collect()
}

fn report(world: &World) -> WebhookReport {
    world.run(world.gateway().webhook(NAME)).expect("the store").expect("a webhook")
}

/// Buys for so many, and waits for the outcomes.
fn buy(world: &World, count: usize) {
    for number in numbers(count) {
        world.bought(&number, "1234", &format!("key of {number}"));
    }
}

/// Waits until each event was received at least once.
fn until_all_received(world: &World, service: &TicketService) {
    world.until("every event is received", |world| {
        let received: BTreeSet<String> = received(service).into_iter().collect();
        ids(&told(world)).iter().all(|id| received.contains(id)).then_some(())
    });
}

fn pause(seconds: f64) {
    std::thread::sleep(Duration::from_secs_f64(seconds));
}

#[test]
fn every_event_is_posted_once_signed_and_in_the_bytes_in_which_the_api_tells_it() {
    for sqlite in [false, true] {
        let service = TicketService::start([]);
        let world = world_of(&service, |_| {}, Setting { sqlite, ..Setting::default() });
        buy(&world, 3);
        until_all_received(&world, &service);
        let events = told(&world);
        assert_eq!(events.len(), 9, "asked for, charged, and a ticket, of each");
        let requests = service.requests();
        for event in &events {
            let same: Vec<&Request> = requests.iter().filter(|request| request.id == event.id.to_string()).collect();
            let [request] = same[..] else { panic!("{same:?}") };
            assert!(request.is_signed() && request.line == "POST /events HTTP/1.1", "{request:?}");
            assert_eq!(request.raw_body, serde_json::to_string(event).expect("JSON"));
        }
        assert_eq!(requests.len(), events.len());
        world.until("it has come to the end", |world| (report(world).entries_behind == 0).then_some(()));
        let report = report(&world);
        assert_eq!((report.condition, report.counts.waiting), (WebhookCondition::Delivering, 0));
    }
}

#[test]
fn a_receiver_that_is_down_slow_or_confused_gets_the_same_again_until_it_takes_it() {
    let script = [
        Answer::Status(500),
        Answer::Redirect,
        Answer::Close,
        Answer::Silence,
        Answer::Garbage,
        Answer::Endless,
        Answer::Status(404),
        Answer::Status(202),
    ];
    let mut service = TicketService::start(script);
    service.go_down();
    let world = world_with(&service, |config| config.requests_max = 1);
    buy(&world, 1);
    pause(0.3);
    let waiting = report(&world);
    assert_eq!((waiting.condition, waiting.counts.waiting), (WebhookCondition::Waiting, 0), "{waiting:?}");
    assert!(waiting.standing.failing_since.is_some() && waiting.next_try_at.is_some() && waiting.entries_behind > 0);
    service.go_up();
    until_all_received(&world, &service);
    let requests = service.requests();
    let first: Vec<&Request> = requests.iter().filter(|request| request.id == requests[0].id).collect();
    // One event is the fault of its receiver only as long as there is no other to compare it with.
    assert!(first.len() > 1, "{requests:?}");
    assert!(first.iter().all(|request| request.raw_body == first[0].raw_body && request.is_signed()));
    assert!(requests.iter().all(|request| request.line.starts_with("POST /events ")), "redirects are not followed");
    world.until("all is well", |world| {
        let report = report(world);
        (report.standing.failing_since.is_none() && report.counts.waiting == 0 && report.entries_behind == 0)
            .then_some(())
    });
}

#[test]
fn an_event_that_its_receiver_cannot_digest_does_not_hold_up_the_others() {
    for (answer, requests_max) in [
        (Answer::Status(500), 8),
        (Answer::Silence, 8),
        (Answer::Status(400), 8),
        (Answer::TooMany(1), 8),
        (Answer::Status(500), 1),
        (Answer::TooMany(1), 1),
    ] {
        let service = TicketService::start([]);
        service.dislike("charge.processing", answer);
        let world = world_with(&service, |config| config.requests_max = requests_max);
        buy(&world, 2);
        world.until("the others are received", |world| {
            let received: BTreeSet<String> = received(&service).into_iter().collect();
            let events = told(world);
            events.iter().all(|event| received.contains(&event.id.to_string())).then_some(())
        });
        world.until("the disliked ones are kept apart", |world| {
            let report = report(world);
            (report.counts.waiting == 2 && report.entries_behind == 0).then_some(())
        });
        let failed = report(&world).waiting;
        assert!(failed.iter().all(|failed| failed.event_type == "charge.processing" && failed.due_at.is_some()));
        service.like_all();
        world.until("they are taken after all", |world| (report(world).counts.waiting == 0).then_some(()));
        assert_eq!(received(&service).into_iter().collect::<BTreeSet<_>>(), ids(&told(&world)).into_iter().collect());
    }
}

#[test]
fn a_receiver_that_is_gone_is_sent_nothing_until_it_is_resumed_and_misses_nothing() {
    let service = TicketService::start([Answer::Status(410)]);
    let mut world = world_with(&service, |config| config.requests_max = 1);
    buy(&world, 2);
    world.until("it is disabled", |world| (report(world).condition == WebhookCondition::Disabled).then_some(()));
    assert_eq!(report(&world).standing.disabled.map(|(why, _)| why), Some(WebhookEnd::Gone));
    let asked = service.requests().len();
    buy(&world, 4);
    world.kill();
    world.start();
    pause(0.5);
    assert_eq!((service.requests().len(), report(&world).condition), (asked, WebhookCondition::Disabled));
    let resumed = world.run(world.gateway().resume_webhook(NAME)).expect("the store").expect("a webhook");
    assert_eq!(resumed.condition, WebhookCondition::Delivering);
    until_all_received(&world, &service);
    assert!(world.run(world.gateway().resume_webhook("nobody")).expect("the store").is_none());
}

#[test]
fn a_receiver_that_asks_for_time_gets_it() {
    let service = TicketService::start([Answer::TooMany(3)]);
    let world = world_with(&service, |config| config.requests_max = 1);
    buy(&world, 1);
    world.until("it is asked", |_| (!service.requests().is_empty()).then_some(()));
    pause(2.5);
    assert_eq!(service.requests().len(), 1, "a pause of a second would be over long ago");
    until_all_received(&world, &service);
}

#[test]
fn while_its_receiver_is_dead_a_webhook_keeps_nothing_but_its_cursor() {
    let mut service = TicketService::start([]);
    service.go_down();
    let mut world = world_of(&service, |_| {}, Setting { sqlite: true, ..Setting::default() });
    let before = report(&world).standing.cursor;
    buy(&world, 40);
    pause(1.5);
    let dead = report(&world);
    let all = world.run(world.gateway().store().settled_after(before)).expect("the store");
    assert_eq!((dead.counts.waiting, dead.entries_behind), (0, all), "{dead:?}");
    world.kill();
    service.go_up();
    world.start();
    until_all_received(&world, &service);
    assert_eq!(received(&service).len(), told(&world).len(), "each once");
}

#[test]
fn what_is_wanted_is_told_and_the_rest_is_passed_over() {
    let service = TicketService::start([]);
    let wanted: EventFilter = "ticket.*".parse().expect("known");
    let world = world_with(&service, |config| config.types = wanted.clone());
    buy(&world, 5);
    world.until("the tickets are told", |_| (service.requests().len() >= 5).then_some(()));
    world.until("it has come to the end", |world| (report(world).entries_behind == 0).then_some(()));
    let kinds: Vec<String> = service.requests().iter().map(|request| request.body["type"].to_string()).collect();
    assert_eq!(kinds, ["\"ticket.issued\""; 5]);
}

#[test]
fn new_keys_sign_from_the_next_request_on() {
    let service = TicketService::start([]);
    let world = world_with(&service, |_| {});
    buy(&world, 1);
    until_all_received(&world, &service);
    assert!(service.requests().iter().all(Request::is_signed));
    let [_, second] = WEBHOOK_KEYS;
    world.gateway().replace_webhook_keys(None, &world.webhooks([second]));
    let before = service.requests().len();
    world.bought("+77051111111", "1234", "another");
    until_all_received(&world, &service);
    assert!(service.requests()[before..].iter().all(|request| request.is_signed_with([second])));
}

#[test]
fn events_are_sent_once_more_under_the_ids_that_they_have() {
    let service = TicketService::start([]);
    let world = world_with(&service, |_| {});
    buy(&world, 4);
    until_all_received(&world, &service);
    world.until("it has come to the end", |world| (report(world).entries_behind == 0).then_some(()));
    let events = told(&world);
    let before = service.requests().len();
    let replay = |wish| world.run(world.gateway().replay_webhook(NAME, wish));
    let (after, until) = (events[2].cursor, events[7].cursor);
    let report_of = replay(ReplayWish::Range { after, until: Some(until) }).expect("a replay");
    assert!(report_of.standing.replay.is_some() || report(&world).standing.replay.is_none());
    world.until("it is done", |world| report(world).standing.replay.is_none().then_some(()));
    let again: BTreeSet<String> = received(&service)[before..].iter().cloned().collect();
    // Whole entries: the one in which `after` lies is sent from its beginning.
    let of_entries =
        events.iter().filter(|event| event.cursor.entry > after.whole_entries() && event.cursor.entry <= until.entry);
    assert_eq!(again, of_entries.map(|event| event.id.to_string()).collect());

    let end = EventPlace::all_of(report(&world).standing.cursor);
    let beyond = EventPlace::all_of(end.entry + 1);
    assert!(matches!(replay(ReplayWish::Range { after: beyond, until: None }), Err(ReplayError::Future(_))));
    let empty = ReplayWish::Range { after: end, until: None };
    assert!(matches!(replay(empty), Err(ReplayError::Empty { .. })));
    let unknown = world.run(world.gateway().replay_webhook("nobody", ReplayWish::GivenUp));
    assert!(matches!(unknown, Err(ReplayError::Unknown)));

    let whole = ReplayWish::Range { after: EventPlace::START, until: None };
    service.dislike("charge.charged", Answer::Silence);
    replay(whole).expect("a replay");
    world.until("it is done", |world| report(world).standing.replay.is_none().then_some(()));
    service.like_all();
    world.until("what failed in it is taken", |world| (report(world).counts.waiting == 0).then_some(()));
}

#[test]
fn a_replay_that_is_not_taken_comes_to_its_end_and_holds_up_nothing_that_is_new() {
    let service = TicketService::start([]);
    let world = world_with(&service, |_| {});
    buy(&world, 4);
    until_all_received(&world, &service);
    world.until("it has come to the end", |world| (report(world).entries_behind == 0).then_some(()));
    service.dislike_repeats(Answer::Status(500));
    let replay = |wish| world.run(world.gateway().replay_webhook(NAME, wish)).expect("a replay");
    let before = service.requests().len();
    replay(ReplayWish::Range { after: EventPlace::START, until: None });
    world.until("it is sent", |_| (service.requests().len() > before).then_some(()));
    for n in 0..3 {
        world.bought(&format!("+7705111110{n}"), "1234", &format!("new {n}"));
        let sold = std::time::Instant::now();
        until_all_received(&world, &service);
        assert!(sold.elapsed() < Duration::from_millis(400), "a hold is longer: {:?}", sold.elapsed());
    }
    world.until("it is done", |world| report(world).standing.replay.is_none().then_some(()));
    let done = report(&world);
    assert_eq!((done.condition, done.standing.failing_since), (WebhookCondition::Delivering, None));
    assert!(done.counts.waiting >= 12, "they are tried again by themselves: {done:?}");
    service.like_all();
    world.until("they are taken", |world| (report(world).counts.waiting == 0).then_some(()));
}

#[test]
fn a_replay_takes_the_place_of_the_one_that_is_under_way() {
    let service = TicketService::start([]);
    let world = world_with(&service, |config| (config.retry_seconds, config.retry_seconds_max) = (60, 60));
    buy(&world, 4);
    until_all_received(&world, &service);
    world.until("it has come to the end", |world| (report(world).entries_behind == 0).then_some(()));
    service.dislike_repeats(Answer::Status(500));
    let replay = |wish| world.run(world.gateway().replay_webhook(NAME, wish)).expect("a replay").standing.replay;
    let end = report(&world).standing.cursor;
    replay(ReplayWish::Range { after: EventPlace::START, until: None });
    let before = service.requests().len();
    world.until("it is under way", |_| (service.requests().len() > before).then_some(()));
    let last = replay(ReplayWish::Range { after: EventPlace::all_of(end - 1), until: None }).expect("under way");
    assert_eq!((last.cursor, last.until), (end - 1, end));
    pause(0.3);
    assert_eq!(report(&world).standing.replay, Some(last), "the answers to the first change nothing");
    service.like_all();
    replay(ReplayWish::Range { after: EventPlace::all_of(end - 1), until: None });
    world.until("it is done", |world| report(world).standing.replay.is_none().then_some(()));
    assert_eq!(report(&world).counts.waiting, 0);
}

#[test]
fn a_receiver_that_takes_some_and_asks_for_time_gets_it() {
    let mut service = TicketService::start([]);
    service.go_down();
    service.dislike("charge.processing", Answer::TooMany(3));
    let world = world_with(&service, |_| {});
    buy(&world, 3);
    service.go_up();
    world.until("it is asked", |_| (service.requests().len() >= 8).then_some(()));
    pause(1.5);
    assert_eq!(service.requests().len(), 8, "of nine, as many as may be under way at once");
    let waiting = report(&world);
    assert_eq!((waiting.condition, waiting.standing.failing_since), (WebhookCondition::Waiting, None));
    assert_eq!(waiting.counts.waiting, 3, "{waiting:?}");
    service.like_all();
    until_all_received(&world, &service);
    world.until("they are taken after all", |world| (report(world).counts.waiting == 0).then_some(()));
}

#[test]
fn a_dead_receiver_is_left_alone_also_where_one_request_may_be_under_way() {
    let service = TicketService::start([Answer::Status(500); 40]);
    let world = world_with(&service, |config| {
        (config.requests_max, config.retry_seconds, config.retry_seconds_max) = (1, 60, 60);
    });
    buy(&world, 2);
    world.until("two are compared", |_| (service.requests().len() >= 2).then_some(()));
    pause(1.0);
    let asked = service.requests().len();
    assert!((2..=3).contains(&asked), "one event, and then two to compare: {asked}");
    pause(5.5);
    assert_eq!(service.requests().len(), asked);
}

#[test]
fn what_is_answered_to_a_delivery_that_failed_before_counts_for_all() {
    let service = TicketService::start([]);
    service.dislike("charge.processing", Answer::Status(422));
    let world = world_with(&service, |_| {});
    buy(&world, 1);
    world.until("it has failed", |world| (report(world).counts.waiting == 1).then_some(()));
    service.dislike("charge.processing", Answer::TooMany(2));
    world.until("it asks for time", |world| (report(world).condition == WebhookCondition::Waiting).then_some(()));
    service.like_all();
    let asked = service.requests().len();
    world.bought("+77051111111", "1234", "another");
    pause(1.0);
    assert_eq!(service.requests().len(), asked);
    until_all_received(&world, &service);
    world.until("it is taken after all", |world| (report(world).counts.waiting == 0).then_some(()));

    service.dislike("charge.processing", Answer::Status(422));
    world.bought("+77051111112", "1234", "a third");
    world.until("it has failed", |world| (report(world).counts.waiting == 1).then_some(()));
    world.until("it has come to the end", |world| (report(world).entries_behind == 0).then_some(()));
    service.dislike("charge.processing", Answer::Status(410));
    world.until("it is disabled", |world| report(world).standing.disabled);
    let disabled = report(&world);
    assert_eq!(disabled.standing.disabled.map(|(why, _)| why), Some(WebhookEnd::Gone));
    assert_eq!((disabled.condition, disabled.counts.waiting), (WebhookCondition::Disabled, 1));
}

#[test]
fn who_finds_fault_with_an_event_is_up() {
    let service = TicketService::start([Answer::Status(500), Answer::Status(422)]);
    let world = world_with(&service, |config| config.types = "charge.processing".parse().expect("known"));
    buy(&world, 1);
    world.until("it takes nothing", |world| report(world).standing.failing_since);
    let failed = world.until("it finds fault", |world| Some(report(world)).filter(|report| report.counts.waiting == 1));
    assert_eq!((failed.standing.failing_since, failed.entries_behind), (None, 0));
}

#[test]
fn a_delivery_is_given_up_after_its_time_listed_and_can_be_sent_once_more() {
    let hand = ManualClock::new(Clock::System.now());
    let service = TicketService::start([]);
    service.dislike("ticket.issued", Answer::Status(422));
    let setting = Setting { clock: Clock::Manual(hand.clone()), sqlite: true, ..Setting::default() };
    let world = world_of(&service, |config| config.give_up_hours = 1, setting);
    buy(&world, 1);
    world.until("it has failed", |world| (report(world).counts.waiting == 1).then_some(()));
    hand.advance(Duration::from_secs(7_200));
    world.until("it is given up", |world| (report(world).counts.given_up == 1).then_some(()));
    let given_up = report(&world).given_up;
    let [failed] = &given_up[..] else { panic!("{given_up:?}") };
    assert_eq!(
        (failed.event_type.as_str(), failed.why.as_str(), failed.due_at),
        ("ticket.issued", "answered 422", None)
    );
    hand.advance(Duration::from_secs(7_200));
    let before = service.requests().len();
    pause(0.3);
    assert_eq!(service.requests().len(), before, "nobody tries it any more");
    service.like_all();
    world.run(world.gateway().replay_webhook(NAME, ReplayWish::GivenUp)).expect("the store");
    world.until("it is taken", |world| {
        let counts = report(world).counts;
        (counts.waiting == 0 && counts.given_up == 0).then_some(())
    });
}

#[test]
fn a_receiver_that_takes_nothing_for_too_long_is_disabled_and_goes_on_where_it_was() {
    let hand = ManualClock::new(Clock::System.now());
    let mut service = TicketService::start([]);
    service.go_down();
    let setting = Setting { clock: Clock::Manual(hand.clone()), ..Setting::default() };
    let world = world_of(&service, |config| config.give_up_hours = 1, setting);
    buy(&world, 3);
    world.until("it is failing", |world| report(world).standing.failing_since);
    hand.advance(Duration::from_secs(3_700));
    world.until("it is disabled", |world| (report(world).condition == WebhookCondition::Disabled).then_some(()));
    assert_eq!(report(&world).standing.disabled.map(|(why, _)| why), Some(WebhookEnd::GaveUp));
    service.go_up();
    world.run(world.gateway().resume_webhook(NAME)).expect("the store");
    until_all_received(&world, &service);
}

#[cfg(feature = "failpoints")]
mod killed {
    use super::*;
    use crate::gateway::tests::kill_points::{hold, kill_and_start};

    #[test]
    fn killed_between_sending_and_knowing_it_repeats_under_the_same_ids_and_skips_nothing() {
        for (sqlite, point) in [
            (true, "gateway-before-webhook-progress"),
            (false, "gateway-before-webhook-progress"),
            (true, "gateway-after-webhook-progress"),
        ] {
            let service = TicketService::start([]);
            let mut world = world_of(&service, |_| {}, Setting { sqlite, ..Setting::default() });
            let held = hold(point);
            buy(&world, 3);
            world.until("something is received", |_| (!service.requests().is_empty()).then_some(()));
            pause(0.2);
            kill_and_start(&mut world, held);
            until_all_received(&world, &service);
            let known: BTreeSet<String> = ids(&told(&world)).into_iter().collect();
            let requests = service.requests();
            assert!(requests.iter().all(|request| known.contains(&request.id)), "{point}");
            for request in &requests {
                let same = requests.iter().filter(|other| other.id == request.id);
                assert!(same.into_iter().all(|other| other.raw_body == request.raw_body), "{point}");
            }
        }
    }
}
