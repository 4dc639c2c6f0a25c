use std::time::{Duration, Instant};

use serde_json::json;

use super::world::{ANNA, DENIED, Setting, World, fare, msisdn};
use crate::{
    api::Role,
    simulator::{DelayRange, Subscriber},
    store::KeyGuard,
};

#[tokio::test]
async fn a_purchase_that_waits_is_answered_with_its_ticket() {
    let world = World::new().await;
    let answer = world.bought("k1", &fare(ANNA)).await;
    assert_eq!((answer.status.as_u16(), answer.header("preference-applied")), (201, "wait=10"));
    assert_eq!(answer.header("location"), format!("/v1/charges/{}", answer.reference()));
    assert_eq!(answer.header("cache-control"), "no-store");
    insta::assert_json_snapshot!(answer.redacted(), @r#"
    {
      "agency": "green",
      "amount": {
        "currency": "KZT",
        "minor": 8000
      },
      "channel": "api",
      "charged_at": "[time]",
      "city": "almaty",
      "fare_class": "regular",
      "language": "ru",
      "msisdn": "+77051111111",
      "passengers": 1,
      "received_at": "[time]",
      "reference": "[reference]",
      "route": "92",
      "state": "charged",
      "ticket": {
        "expires_at": "[time]",
        "link": "/v1/tickets/[reference]",
        "qr_text": "SB1:[…]",
        "short_code": "[…]"
      },
      "ticket_deadline": "[time]",
      "vehicle": "1234"
    }
    "#);
    assert_eq!(world.simulator.ledger().total_of(msisdn(ANNA)).minor, 8_000);
}

#[tokio::test]
async fn a_purchase_that_does_not_wait_is_accepted_and_found_later() {
    let mut setting = Setting::default();
    setting.simulator.response_delay_ms = DelayRange::exactly(150);
    let world = World::with(setting).await;
    let answer = world.buy("k1", &fare(ANNA)).send().await;
    assert_eq!((answer.status.as_u16(), answer.json()["state"].as_str()), (202, Some("processing")));
    assert!(answer.json().get("ticket").is_none() && answer.header("preference-applied").is_empty());
    // Not final, so not cached as final (M15).
    let again = world.buy("k1", &fare(ANNA)).send().await;
    assert_eq!((again.status.as_u16(), again.reference()), (202, answer.reference()));
    assert!(again.json().get("repeat_of").is_none());
    let replay = world.bought("k1", &fare(ANNA)).await;
    assert_eq!((replay.status.as_u16(), replay.json()["state"].as_str()), (200, Some("charged")));
    let read = world.get(answer.header("location")).send().await;
    assert_eq!(read.json(), replay.json());
}

#[tokio::test]
async fn waiting_ends_when_the_configured_patience_does() {
    let mut setting = Setting::default();
    setting.api.wait_seconds_max = 1;
    setting.simulator.response_delay_ms = DelayRange::exactly(300);
    let world = World::with(setting).await;
    let answer = world.buy("k1", &fare(ANNA)).header("prefer", "wait=3600").send().await;
    assert_eq!((answer.status.as_u16(), answer.header("preference-applied")), (201, "wait=1"));

    world.simulator.set_fault(crate::simulator::FaultRule::always(crate::simulator::Fault::Throttle)).expect("a rule");
    let begun = Instant::now();
    let answer = world.buy("k2", &json!({"msisdn": ANNA, "vehicle": "1235"})).header("prefer", "wait=60").send().await;
    assert_eq!((answer.status.as_u16(), answer.json()["state"].as_str()), (202, Some("processing")));
    assert!((Duration::from_millis(900)..Duration::from_secs(5)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn m15_the_same_key_and_body_is_replayed_and_charges_once() {
    let world = World::new().await;
    let first = world.bought("k1", &fare(ANNA)).await;
    // Another spelling of the same content.
    let same = json!({"vehicle": "1234", "passengers": 1, "msisdn": "8 705 111-11-11"});
    for _ in 0..3 {
        let replay = world.buy("k1", &same).send().await;
        assert_eq!((replay.status.as_u16(), replay.json()), (200, first.json()));
    }
    assert_eq!(world.simulator.ledger().total_of(msisdn(ANNA)).minor, 8_000);
}

#[tokio::test]
async fn m15_the_same_key_with_another_body_is_a_conflict_whatever_the_body_is() {
    let world = World::new().await;
    world.bought("k1", &fare(ANNA)).await;
    for other in [
        json!({"msisdn": ANNA, "vehicle": "1235"}),
        json!({"msisdn": ANNA, "vehicle": "1234", "passengers": 2}),
        json!({"msisdn": "+77053333333", "vehicle": "1234"}),
        json!({"msisdn": ANNA, "vehicle": "9999"}),
        json!({"msisdn": "+77470000000", "vehicle": "1234"}),
    ] {
        let answer = world.buy("k1", &other).send().await;
        assert_eq!(answer.problem(), (409, "idempotency_key_conflict".into()), "{other}");
    }
    assert_eq!(world.simulator.ledger().total().minor, 8_000);
}

#[tokio::test]
async fn m15_another_body_is_a_conflict_also_while_the_charge_is_processing() {
    let mut setting = Setting::default();
    setting.simulator.response_delay_ms = DelayRange::exactly(200);
    let world = World::with(setting).await;
    assert_eq!(world.buy("k1", &fare(ANNA)).send().await.status, 202);
    let answer = world.buy("k1", &json!({"msisdn": ANNA, "vehicle": "1234", "passengers": 2})).send().await;
    assert_eq!(answer.problem(), (409, "idempotency_key_conflict".into()));
}

#[tokio::test]
async fn m15_a_rejection_is_replayed_for_ever_and_a_new_try_is_a_new_key() {
    let world = World::new().await;
    world.simulator.set_subscriber(msisdn(ANNA), Subscriber::with_balance(100)).expect("room");
    let poor = world.bought("k1", &fare(ANNA)).await;
    assert_eq!(poor.status, 201);
    insta::assert_json_snapshot!(
        [&poor.redacted()["state"], &poor.redacted()["reason"], &poor.redacted()["ticket"]],
        @r#"
    [
      "rejected",
      "insufficient_balance",
      null
    ]
    "#
    );
    world.simulator.set_subscriber(msisdn(ANNA), Subscriber::with_balance(20_000)).expect("room");
    let replay = world.bought("k1", &fare(ANNA)).await;
    assert_eq!((replay.status.as_u16(), replay.json()), (200, poor.json()));
    assert_eq!(world.bought("k2", &fare(ANNA)).await.json()["state"], "charged");
}

#[tokio::test]
async fn m13_the_same_number_in_the_same_vehicle_again_is_a_repeat() {
    let world = World::new().await;
    let first = world.bought("k1", &fare(ANNA)).await;
    let repeat = world.bought("k2", &fare(ANNA)).await;
    assert_eq!(repeat.status, 200);
    assert_eq!(repeat.json()["repeat_of"], first.json()["reference"]);
    assert_eq!(repeat.json()["ticket"], first.json()["ticket"]);
    // The key of the repeat stands for it from now on.
    let replay = world.bought("k2", &fare(ANNA)).await;
    assert_eq!((replay.status, replay.json()), (repeat.status, repeat.json()));
    assert_eq!(world.simulator.ledger().total_of(msisdn(ANNA)).minor, 8_000);
}

#[tokio::test]
async fn m15_a_repeat_that_waited_for_the_outcome_is_kept_under_its_key() {
    let mut setting = Setting::default();
    setting.simulator.response_delay_ms = DelayRange::exactly(150);
    let world = World::with(setting).await;
    let first = world.buy("k1", &fare(ANNA)).send().await;
    assert_eq!((first.status.as_u16(), first.json()["state"].as_str()), (202, Some("processing")));
    let repeat = world.bought("k2", &fare(ANNA)).await;
    assert_eq!((repeat.status.as_u16(), repeat.json()["state"].as_str()), (200, Some("charged")));
    assert_eq!(repeat.json()["repeat_of"], json!(first.reference()));
    // Otherwise it would buy for itself once the window is over.
    let guard = KeyGuard { caller: Role::Ticketing.code().into(), key: "k2".into(), body_sha256: [0; 32] };
    let kept = world.gateway.store().key(&guard).await.expect("the store");
    assert_eq!(kept, Some((first.reference(), false, true)));
}

#[tokio::test]
async fn m13_two_passengers_after_one_charge_the_second_only() {
    let world = World::new().await;
    let first = world.bought("k1", &fare(ANNA)).await;
    let two = json!({"msisdn": ANNA, "vehicle": "1234", "passengers": 2});
    let second = world.bought("k2", &two).await;
    assert_eq!(second.status, 201);
    assert_eq!(second.json()["adds_to"], json!({"reference": first.json()["reference"], "passengers": 1}));
    assert_eq!((&second.json()["passengers"], &second.json()["amount"]["minor"]), (&json!(1), &json!(8_000)));
    let again = world.bought("k3", &two).await;
    assert_eq!((again.status.as_u16(), &again.json()["repeat_of"]), (200, &second.json()["reference"]));
    assert_eq!(world.simulator.ledger().total_of(msisdn(ANNA)).minor, 16_000);
}

#[tokio::test]
async fn a_number_on_a_list_is_declined_and_nothing_is_sent() {
    let world = World::new().await;
    let answer = world.bought("k1", &fare(DENIED)).await;
    assert_eq!(answer.status, 201);
    assert_eq!((&answer.json()["state"], &answer.json()["reason"]), (&json!("declined"), &json!("denied_number")));
    assert_eq!(world.simulator.stats().submits, 0);
}

#[tokio::test]
async fn a_vehicle_can_be_named_by_its_plate() {
    let world = World::new().await;
    let answer = world.bought("k1", &json!({"msisdn": ANNA, "vehicle": "123 авс 02"})).await;
    assert_eq!(answer.json()["vehicle"], "1234");
}

#[tokio::test]
async fn what_nobody_can_buy_is_refused_and_the_key_is_not_used_up() {
    let world = World::new().await;
    for (body, code) in [
        (json!({"msisdn": ANNA, "vehicle": "9999"}), "unknown_vehicle"),
        (json!({"msisdn": ANNA, "vehicle": "999 ZZZ 02"}), "unknown_vehicle"),
        (json!({"msisdn": ANNA, "vehicle": "1234", "fare_class": "gold"}), "fare_not_found"),
        (json!({"msisdn": "+77470000000", "vehicle": "1234"}), "no_route"),
    ] {
        assert_eq!(world.buy("k1", &body).send().await.problem(), (422, code.into()), "{body}");
    }
    assert_eq!(world.bought("k1", &fare(ANNA)).await.status, 201);
}

#[tokio::test]
async fn keys_of_two_callers_are_two_keys() {
    let mut setting = Setting::default();
    setting.api.tokens.get_mut("support").expect("a caller").roles.insert(Role::Ticketing);
    let world = World::with(setting).await;
    let first = world.bought("k1", &fare(ANNA)).await;
    let other = world.buy("k1", &json!({"msisdn": ANNA, "vehicle": "1235"})).by(Role::Support).send().await;
    assert!(other.status.is_success(), "{other:?}");
    assert_ne!(other.reference(), first.reference());
}

#[tokio::test]
async fn a_caller_who_hangs_up_cancels_nothing() {
    let mut setting = Setting::default();
    setting.simulator.response_delay_ms = DelayRange::exactly(100);
    let world = World::with(setting).await;
    let body = fare(ANNA);
    let impatient = world.buy("k1", &body).header("prefer", "wait=10").send();
    assert!(tokio::time::timeout(Duration::from_millis(30), impatient).await.is_err());
    let replay = world.bought("k1", &fare(ANNA)).await;
    assert_eq!(replay.json()["state"], "charged");
    assert_eq!(world.simulator.ledger().total_of(msisdn(ANNA)).minor, 8_000);
}

#[tokio::test]
async fn without_a_key_that_signs_nothing_is_sold() {
    let setting = Setting { keys_end: crate::clock::Timestamp::from_unix_seconds(1_700_000_001), ..Setting::default() };
    let world = World::with(setting).await;
    let answer = world.buy("k1", &fare(ANNA)).send().await;
    assert_eq!(answer.problem(), (503, "unavailable".into()));
    assert_eq!(answer.header("retry-after"), "1");
    assert!(answer.json().get("detail").is_none());
    assert_eq!(world.simulator.stats().submits, 0);
}
