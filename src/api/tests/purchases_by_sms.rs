//! Zones, plates, and charges for messages that were handed over.

use std::time::Duration;

use serde_json::json;

use super::world::{ANNA, Setting, World, fare, msisdn};
use crate::{
    charge::Reference,
    simulator::DelayRange,
    store::{IncomingSms, MoKind, Write},
};

/// A message of Anna's that was handed over and may be answered for so long.
async fn handed_over(world: &World, answer_within: Duration) -> Reference {
    let now = world.gateway.now();
    let sms = IncomingSms {
        id: Reference::new(now, rand::random()),
        carrier: "beeline".parse().expect("a name"),
        msisdn: msisdn(ANNA),
        destination: "2505".into(),
        text: "1234".into(),
        part: None,
        kind: MoKind::Prompt,
        fingerprint: rand::random(),
        received_at: now,
        kept_at: now,
        same_since: now,
    };
    let hand_over = Write::HandOverMo { mo: sms.id, answer_by: now.plus(answer_within) };
    let id = sms.id;
    for write in [Write::KeepMo(sms), hand_over] {
        world.gateway.store().commit(&[write]).await.expect("the store");
    }
    id
}

#[tokio::test]
async fn the_zone_is_paid_for_and_shown() {
    let world = World::new().await;
    let answer = world.bought("k1", &json!({ "msisdn": ANNA, "vehicle": "3000", "zone": 2 })).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["zone"]), (201, &json!(2)));
    assert_eq!(answer.json()["amount"]["minor"], 16_000);
    let other = world.bought("k2", &json!({ "msisdn": ANNA, "vehicle": "3000", "zone": 1 })).await;
    assert_eq!((other.status.as_u16(), &other.json()["zone"]), (200, &json!(2)));
    assert_eq!(other.json()["repeat_of"], answer.json()["reference"]);
    for (body, status, code) in [
        (json!({ "msisdn": ANNA, "vehicle": "3000" }), 422, "zone_missing"),
        (json!({ "msisdn": ANNA, "vehicle": "3000", "zone": 3 }), 422, "unknown_zone"),
        (json!({ "msisdn": ANNA, "vehicle": "1234", "zone": 1 }), 422, "zone_unexpected"),
        (json!({ "msisdn": ANNA, "vehicle": "3000", "zone": 0 }), 400, "bad_request"),
        (json!({ "msisdn": ANNA, "vehicle": "3000", "zone": "1" }), 400, "bad_request"),
    ] {
        assert_eq!(world.buy("k3", &body).send().await.problem(), (status, code.to_owned()), "{body}");
    }
}

#[tokio::test]
async fn the_zone_of_a_question_about_eligibility_is_read() {
    let world = World::new().await;
    let ask =
        async |zone: &str| world.get(&format!("/v1/eligibility?msisdn=77051111111&vehicle=3000{zone}")).send().await;
    let told = ask("&zone=2").await;
    assert_eq!((told.status.as_u16(), &told.json()["allowed"]), (200, &json!(true)));
    for (zone, reason) in [("", "zone_missing"), ("&zone=3", "unknown_zone")] {
        assert_eq!(ask(zone).await.json()["reason"], reason, "{zone}");
    }
    for wrong in ["&zone=0", "&zone=10", "&zone=", "&zone=two"] {
        let answer = ask(wrong).await;
        assert_eq!(
            (answer.problem(), &answer.json()["errors"][0]["parameter"]),
            ((400, "bad_request".to_owned()), &json!("zone"))
        );
    }
}

#[tokio::test]
async fn the_id_of_a_message_that_was_handed_over_buys_for_its_sender_alone_and_once() {
    let world = World::new().await;
    let mo = handed_over(&world, Duration::from_secs(20)).await;
    let another = world.buy(&mo.to_string(), &fare("+77052222222")).send().await;
    assert_eq!(another.problem(), (400, "bad_request".to_owned()));
    assert_eq!(another.json()["errors"][0]["pointer"], "/msisdn");
    let answer = world.bought(&mo.to_string(), &fare(ANNA)).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["channel"]), (201, &json!("api")));
    let again = world.bought(&mo.to_string(), &fare(ANNA)).await;
    assert_eq!((again.status.as_u16(), again.reference()), (200, answer.reference()));
    let kept = world.gateway.store().mo(mo).await.expect("the store").expect("the message");
    assert!(kept.answered_at.is_some());
}

#[tokio::test]
async fn past_its_moment_the_id_buys_nothing_any_more() {
    let world = World::new().await;
    let mo = handed_over(&world, Duration::ZERO).await;
    for _ in 0..2 {
        let late = world.buy(&mo.to_string(), &fare(ANNA)).send().await;
        assert_eq!(late.problem(), (409, "mo_answered".to_owned()));
    }
    assert_eq!(world.simulator.ledger().total_of(msisdn(ANNA)).minor, 0);
}

#[tokio::test]
async fn m15_the_id_of_a_message_that_had_its_answer_is_never_answered_with_a_charge_that_it_does_not_stand_for() {
    let mut setting = Setting::default();
    setting.simulator.response_delay_ms = DelayRange::exactly(250);
    let world = World::with(setting).await;
    let mo = handed_over(&world, Duration::ZERO).await.to_string();
    let told = async || world.gateway.store().mo(mo.parse().expect("an id")).await.expect("the store");
    while told().await.expect("the message").answered_at.is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let first = world.buy("k1", &fare(ANNA)).send().await;
    assert_eq!(first.json()["state"], "processing");
    // While the first is open it is a repeat; once that is charged, two would be an addition, and this key adds nothing any more.
    let two = json!({"msisdn": ANNA, "vehicle": "1234", "passengers": 2});
    for _ in 0..2 {
        assert_eq!(world.bought(&mo, &two).await.problem(), (409, "mo_answered".to_owned()));
    }
    assert_eq!(world.simulator.ledger().total_of(msisdn(ANNA)).minor, 8_000);
}
