//! Messages that are handed to the ticket service, over real sockets at both ends.

use std::time::Duration;

use super::{
    ticket_service::{Answer, Request, TicketService},
    world::{Setting, World},
};
use crate::{
    charge::{Channel, Reason, State},
    gateway::{Purchase, PurchaseError, Purchased},
    simulator::Fault,
    store::KeyGuard,
};

const ANNA: &str = "+77051111111";
const BULAT: &str = "+77052222222";
const NOT_SOLD: &str = "билет не оформлен";

fn world_with(service: &TicketService, answer_seconds: u64, sqlite: bool) -> World {
    World::new(Setting { mo_webhook: service.config(answer_seconds), sqlite, ..Setting::default() })
}

/// The first request about a number.
fn request_of(world: &World, service: &TicketService, number: &str) -> Request {
    world.until("it is handed over", |_| service.requests_of(number).into_iter().next())
}

/// The purchase that a request asks for, as the ticket service would make it.
fn purchase_for(world: &World, request: &Request) -> Purchase {
    let data = &request.body["data"];
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let passengers = data["purchase"]["passengers"].as_u64().and_then(|n| u8::try_from(n).ok()).expect("a number");
    let vehicle = text(&data["purchase"]["vehicle"]);
    let purchase = world.request(&text(&data["msisdn"]), &vehicle, passengers, &request.id);
    let zone = data["purchase"]["zone"].as_u64().and_then(|n| u8::try_from(n).ok()).map(|n| n.try_into());
    Purchase { zone: zone.map(|zone| zone.expect("a zone")), ..purchase }
}

fn buy(world: &World, purchase: Purchase) -> Result<Purchased, PurchaseError> {
    world.run(world.gateway().purchase(purchase))
}

fn not_sold(world: &World, number: &str) -> usize {
    world.texts(number).iter().filter(|text| text.contains(NOT_SOLD)).count()
}

#[test]
fn a_message_is_posted_signed_and_the_charge_with_its_id_answers_it() {
    for sqlite in [false, true] {
        let service = TicketService::start([]);
        let world = world_with(&service, 2, sqlite);
        world.sms(ANNA, "3000 2*2");
        let request = request_of(&world, &service, ANNA);
        assert!(request.is_signed(), "{request:?}");
        assert_eq!(request.line, "POST /purchases HTTP/1.1");
        let age = world.gateway().now().unix_ms() / 1_000 - request.timestamp;
        assert!((0..10).contains(&age), "{request:?}");
        let data = &request.body["data"];
        assert_eq!((&request.body["type"], &data["mo"]), (&"purchase.requested".into(), &request.id.clone().into()));
        let purchase = serde_json::json!({ "vehicle": "3000", "zone": 2, "passengers": 2 });
        assert_eq!((&data["purchase"], &data["text"]), (&purchase, &"3000 2*2".into()));

        let charge = buy(&world, purchase_for(&world, &request)).expect("a charge").charge().clone();
        assert!(matches!(&charge.order.channel, Channel::ApiForSms { carrier, .. } if carrier.as_str() == "beeline"));
        assert_eq!(data["received_at"], charge.order.received_at.to_string(), "the passenger waits since then");
        world.until_state(ANNA, "charged");
        let ticket = world.run(world.gateway().store().ticket(charge.reference)).expect("the store").expect("one");
        assert!(world.until_texts(ANNA, 1)[0].contains(&ticket.short_code));
        std::thread::sleep(Duration::from_millis(2_300));
        assert_eq!((world.texts(ANNA).len(), service.requests().len()), (1, 1), "nothing else is said or asked");
        world.audit();
    }
}

#[test]
fn a_ticket_service_that_is_down_slow_or_confused_gets_the_same_again_until_it_takes_it() {
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
    let world = world_with(&service, 20, false);
    world.sms(ANNA, "1234");
    std::thread::sleep(Duration::from_millis(150));
    service.go_up();
    world.until("it is taken", |_| (service.requests().len() == script.len()).then_some(()));
    std::thread::sleep(Duration::from_millis(300));
    let requests = service.requests();
    assert_eq!(requests.len(), script.len(), "taken is taken");
    for request in &requests {
        assert!(request.is_signed() && request.line.starts_with("POST /purchases "), "{request:?}");
        assert_eq!((&request.id, &request.raw_body), (&requests[0].id, &requests[0].raw_body));
    }
    assert_eq!(world.texts(ANNA), [""; 0]);
    buy(&world, purchase_for(&world, &requests[0])).expect("a charge");
    world.until_state(ANNA, "charged");
    world.until_texts(ANNA, 1);
    world.audit();
}

#[test]
fn without_a_charge_in_time_the_passenger_is_told_and_a_later_one_is_refused() {
    for answer in [Answer::Status(200), Answer::Status(500), Answer::Silence] {
        let service = TicketService::start([answer; 99]);
        let world = world_with(&service, 1, true);
        world.sms(ANNA, "123 авс 02");
        let request = request_of(&world, &service, ANNA);
        let told = world.until_texts(ANNA, 1);
        assert!(told[0].contains("Деньги не списаны") && told[0].contains(NOT_SOLD) && told[0].contains("123ABC02"));
        let asked = service.requests().len();
        let late = Purchase { vehicle: "1234".parse().expect("a code"), ..world.request(ANNA, "1234", 1, &request.id) };
        for _ in 0..2 {
            assert!(matches!(buy(&world, late.clone()), Err(PurchaseError::MoAnswered)));
        }
        assert_eq!((world.charges(ANNA), world.taken(ANNA)), (Vec::new(), 0));
        assert!(service.requests().len() <= asked + 1, "nobody is asked any more");
        // The same text again is another message.
        world.sms(ANNA, "123 авс 02");
        let second = world.until("it is handed over", |_| {
            service.requests_of(ANNA).into_iter().find(|second| second.id != request.id)
        });
        buy(&world, world.request(ANNA, "1234", 1, &second.id)).expect("a charge");
        world.until_state(ANNA, "charged");
        assert_eq!(not_sold(&world, ANNA), 1);
        world.audit();
    }
}

#[test]
fn whoever_asks_twice_gets_the_same_charge_and_nobody_else_gets_one() {
    let service = TicketService::start([]);
    let world = world_with(&service, 20, false);
    world.sms(ANNA, "1234");
    let request = request_of(&world, &service, ANNA);
    let purchase = purchase_for(&world, &request);
    let another = Purchase { msisdn: BULAT.parse().expect("a number"), ..purchase.clone() };
    assert!(matches!(buy(&world, another), Err(PurchaseError::AnotherNumber)));
    let first = buy(&world, purchase.clone()).expect("a charge");
    assert!(matches!(first, Purchased::New(_)), "{first:?}");
    let second = buy(&world, purchase.clone()).expect("a charge");
    assert!(matches!(&second, Purchased::Replayed { charge, .. } if charge.reference == first.charge().reference));
    let other_body = KeyGuard { body_sha256: [9; 32], ..purchase.guard.clone() };
    let other_body = buy(&world, Purchase { guard: other_body, ..purchase.clone() });
    assert!(matches!(other_body, Err(PurchaseError::KeyConflict(_))), "{other_body:?}");
    // In another vehicle, since in this one it would be a repeat.
    let guard = KeyGuard { caller: "another-service".into(), ..purchase.guard.clone() };
    let channel = Channel::Api { caller: "another-service".into() };
    let other = Purchase { guard, channel, vehicle: "1235".parse().expect("a code"), ..purchase };
    assert!(matches!(buy(&world, other), Err(PurchaseError::MoAnswered)));
    world.until_state(ANNA, "charged");
    assert_eq!(world.until_texts(ANNA, 1).len(), 1);
    world.audit();
}

#[test]
fn a_key_that_names_no_message_that_was_handed_over_is_a_key_like_any_other() {
    let service = TicketService::start([]);
    let world = world_with(&service, 20, false);
    // The id of a message that was answered by us.
    world.sms(BULAT, "ПОМОЩЬ");
    world.until_texts(BULAT, 1);
    for key in ["019ca84c-a0c0-7123-8456-789abcdef012", "c9bf9e57-1685-4c89-bafb-ff5af830be8a", "k"] {
        let number = format!("+7705{:07}", key.len());
        let bought = world.bought(&number, "1234", key);
        assert!(bought.state == State::Charged && matches!(bought.order.channel, Channel::Api { .. }), "{bought:?}");
        assert_eq!(world.texts(&number), [""; 0], "who buys in an app reads it there");
    }
}

#[test]
fn what_is_no_purchase_or_can_be_no_purchase_is_answered_by_us_at_once() {
    let service = TicketService::start([]);
    let world = world_with(&service, 20, false);
    for (n, (text, words)) in [
        ("ПОМОЩЬ", "Отправьте код"),
        ("БИЛЕТ", "Действующего билета нет"),
        ("привет", "Код не распознан"),
        ("9999", "9999 не найден"),
        ("3000", "цена зависит от зоны"),
        ("1234*99", "Число пассажиров"),
        ("РУС", "Язык: русский"),
    ]
    .into_iter()
    .enumerate()
    {
        world.sms(ANNA, text);
        let told = world.until_texts(ANNA, n + 1);
        assert!(told[n].contains(words), "{text}: {told:?}");
    }
    assert_eq!(service.requests().len(), 0);
}

#[test]
fn a_charge_that_comes_to_nothing_and_a_repeat_are_told_by_sms_as_well() {
    let rules = toml::from_str("limits = { currency = \"KZT\", daily_minor = 8000 }").expect("rules");
    let service = TicketService::start([]);
    let world = World::new(Setting { mo_webhook: service.config(20), rules, ..Setting::default() });
    world.sms(ANNA, "1234");
    let first = request_of(&world, &service, ANNA);
    buy(&world, purchase_for(&world, &first)).expect("a charge");
    let ticket = world.until_texts(ANNA, 1)[0].clone();
    let next = |text: &str, known: usize| {
        world.sms(ANNA, text);
        world.until("it is handed over", |_| service.requests_of(ANNA).get(known).cloned())
    };
    // The same vehicle again: the ticket again, under the new key for good.
    let second = next("1234", 1);
    let repeat = buy(&world, purchase_for(&world, &second)).expect("a charge");
    assert!(matches!(repeat, Purchased::Repeat(_)), "{repeat:?}");
    assert_eq!(world.until_texts(ANNA, 2)[1], ticket);
    let replayed = buy(&world, purchase_for(&world, &second)).expect("a charge");
    assert!(matches!(replayed, Purchased::Replayed { repeat: true, .. }), "{replayed:?}");
    // Another vehicle passes the limit.
    let third = next("1235", 2);
    let declined = buy(&world, purchase_for(&world, &third)).expect("a charge");
    assert_eq!(declined.charge().state, State::Declined(Reason::DailyLimit));
    let told = world.until_texts(ANNA, 3);
    assert!(told[2].contains("дневной лимит"), "{told:?}");
    assert_eq!(world.taken(ANNA), 8_000);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(world.texts(ANNA).len(), 3);
}

#[test]
fn m15_a_message_that_repeats_what_is_processing_stands_for_it_for_ever_once_its_passenger_is_told() {
    for sqlite in [false, true] {
        let service = TicketService::start([]);
        let world = world_with(&service, 20, sqlite);
        world.fault(ANNA, Fault::DelayResponse { ms: 500 });
        let first = world.purchase(ANNA, "1234", 1, "in the app").expect("a charge").charge().reference;
        world.sms(ANNA, "1234*2");
        let request = request_of(&world, &service, ANNA);
        let repeat = buy(&world, purchase_for(&world, &request)).expect("a repeat");
        assert!(matches!(&repeat, Purchased::Repeat(charge) if charge.state == State::Processing), "{repeat:?}");
        world.until_state(ANNA, "charged");
        // An app that waited is told of a charged one. Whoever asks once more must hear the same.
        for _ in 0..2 {
            let replayed = buy(&world, purchase_for(&world, &request)).expect("a replay");
            let charge = replayed.charge();
            assert!(matches!(replayed, Purchased::Replayed { repeat: true, .. }), "{replayed:?}");
            assert_eq!((charge.reference, charge.state), (first, State::Charged));
        }
        assert_eq!(world.taken(ANNA), 8_000);
        world.audit();
    }
}

#[test]
fn killed_while_it_waits_the_message_is_posted_again_and_bought_once() {
    for sqlite in [false, true] {
        let service = TicketService::start([]);
        let mut setting = Setting { mo_webhook: service.config(6), sqlite, ..Setting::default() };
        setting.gateway.ticket_deadline_seconds = 7;
        let mut world = World::new(setting);
        world.sms(ANNA, "1234");
        let request = request_of(&world, &service, ANNA);
        world.kill();
        world.start();
        world.until("it is posted again", |_| (service.requests().len() == 2).then_some(()));
        assert_eq!(service.requests()[1].raw_body, request.raw_body);
        let purchase = purchase_for(&world, &request);
        buy(&world, purchase.clone()).expect("a charge");
        world.kill();
        world.start();
        assert!(matches!(buy(&world, purchase), Ok(Purchased::Replayed { .. })));
        world.settle_by_the_carriers_books();
        assert_eq!(not_sold(&world, ANNA), 0);
        world.audit();
    }
}

#[test]
fn killed_past_the_deadline_the_passenger_is_told_by_the_next_process() {
    let service = TicketService::start([]);
    let mut world = world_with(&service, 1, true);
    world.sms(ANNA, "1234");
    let request = request_of(&world, &service, ANNA);
    world.kill();
    std::thread::sleep(Duration::from_millis(1_100));
    world.start();
    // Nobody is sold to in the moment between the start and the answer either.
    assert!(matches!(buy(&world, purchase_for(&world, &request)), Err(PurchaseError::MoAnswered)));
    world.until("the passenger is told", |world| (not_sold(world, ANNA) == 1).then_some(()));
    assert_eq!((world.charges(ANNA), world.taken(ANNA)), (Vec::new(), 0));
}

#[test]
fn killed_again_and_again_around_the_deadline_each_message_ends_as_a_charge_or_as_not_sold_and_never_as_both() {
    const NUMBERS: usize = 24;
    let service = TicketService::start([]);
    let mut setting = Setting { mo_webhook: service.config(1), sqlite: true, ..Setting::default() };
    setting.gateway.ticket_deadline_seconds = 8;
    let mut world = World::new(setting);
    let numbers: Vec<String> = (0..NUMBERS).map(|n| format!("+7705{n:07}")).collect();
    for number in &numbers {
        world.sms(number, "1234");
    }
    let requests: Vec<Request> = numbers.iter().map(|number| request_of(&world, &service, number)).collect();
    // Charges come for all of them, again and again, before and after the deadline, and the process is killed in between.
    for round in 0..5 {
        for request in &requests {
            let (gateway, purchase) = (world.gateway().clone(), purchase_for(&world, request));
            let spread = Duration::from_millis(rand::random_range(0..400));
            world.spawn(async move {
                tokio::time::sleep(spread).await;
                if round > 0 || rand::random_bool(0.3) {
                    let _killed = gateway.purchase(purchase).await;
                }
            });
        }
        std::thread::sleep(Duration::from_millis(250));
        world.kill();
        world.start();
    }
    world.settle_by_the_carriers_books();
    let (mut sold, mut told) = (0, 0);
    for (number, request) in numbers.iter().zip(&requests) {
        world.until("it is answered", |world| {
            let mo = world.run(world.gateway().store().mo(request.id.parse().expect("an id"))).expect("the store");
            mo.expect("it is kept").answered_at
        });
        let charges = world.charges(number);
        assert!(charges.len() <= 1, "{charges:?}");
        if charges.is_empty() {
            // A process that ends while it sends may send it twice.
            world.until("the passenger is told", |world| (not_sold(world, number) >= 1).then_some(()));
            assert_eq!(world.taken(number), 0);
            told += 1;
        } else {
            sold += 1;
            assert_eq!(not_sold(&world, number), 0, "{charges:?}");
        }
    }
    assert_eq!(sold + told, NUMBERS);
    world.audit();
}

#[cfg(feature = "failpoints")]
mod killed {
    use super::{
        super::kill_points::{hold, kill_and_start},
        *,
    };

    #[test]
    fn before_the_hand_over_was_durable_it_is_handed_over_by_the_next_process() {
        let service = TicketService::start([]);
        let mut world = world_with(&service, 25, true);
        let held = hold("gateway-before-hand-over");
        world.sms(ANNA, "1234");
        std::thread::sleep(Duration::from_millis(200));
        kill_and_start(&mut world, held);
        let request = request_of(&world, &service, ANNA);
        buy(&world, purchase_for(&world, &request)).expect("a charge");
        world.until_state(ANNA, "charged");
        world.audit();
    }

    #[test]
    fn whoever_handed_it_over_and_stopped_there_is_not_needed_for_the_rest() {
        let service = TicketService::start([]);
        let mut world = world_with(&service, 25, true);
        let held = hold("gateway-after-hand-over");
        world.sms(ANNA, "1234");
        let request = request_of(&world, &service, ANNA);
        kill_and_start(&mut world, held);
        world.until("it is posted again", |_| (service.requests().len() == 2).then_some(()));
        buy(&world, purchase_for(&world, &request)).expect("a charge");
        world.until_state(ANNA, "charged");
        world.audit();
    }

    #[test]
    fn a_charge_that_comes_while_the_passenger_is_about_to_be_told_wins_or_loses_and_not_both() {
        let service = TicketService::start([]);
        let mut world = world_with(&service, 1, true);
        let held = hold("gateway-before-not-sold");
        world.sms(ANNA, "1234");
        let request = request_of(&world, &service, ANNA);
        // In time, and before the answer that is written at the deadline.
        let charge = buy(&world, purchase_for(&world, &request)).expect("a charge").charge().clone();
        std::thread::sleep(Duration::from_millis(1_300));
        kill_and_start(&mut world, held);
        world.until("it is charged", |world| {
            let state = world.charge(charge.reference).state;
            (state == State::Charged || state == State::InDoubt).then_some(())
        });
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(not_sold(&world, ANNA), 0);
        world.settle_by_the_carriers_books();
        world.audit();
    }

    #[test]
    fn killed_before_the_answer_was_durable_it_is_told_once_by_the_next_process() {
        let service = TicketService::start([]);
        let mut world = world_with(&service, 1, true);
        let held = hold("gateway-before-not-sold");
        world.sms(ANNA, "1234");
        request_of(&world, &service, ANNA);
        std::thread::sleep(Duration::from_millis(1_300));
        assert_eq!(world.texts(ANNA), [""; 0]);
        kill_and_start(&mut world, held);
        world.until("the passenger is told", |world| (not_sold(world, ANNA) == 1).then_some(()));
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(not_sold(&world, ANNA), 1);
    }
}
