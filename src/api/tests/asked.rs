//! Money back, and one-time passwords: what is refused, and what the same request twice comes to.

use axum::http::Method;
use serde_json::{Value, json};

use super::world::{ANNA, Answer, World, fare, msisdn};
use crate::{api::Role, charge::Reference};

async fn refund(world: &World, reference: Reference, key: &str, body: &Value) -> Answer {
    let path = format!("/v1/charges/{reference}/refunds");
    world.call(Method::POST, &path).by(Role::Finance).header("idempotency-key", key).json(body).send().await
}

async fn charged(world: &World) -> Reference {
    let answer = world.bought("k1", &fare(ANNA)).await;
    assert_eq!(answer.json()["state"], "charged");
    answer.reference()
}

#[tokio::test]
async fn m14_parts_go_back_up_to_what_was_taken_and_not_a_tiyn_more() {
    let world = World::new().await;
    let reference = charged(&world).await;
    let part = refund(&world, reference, "a", &json!({"amount_minor": 3_000})).await;
    assert_eq!((part.status.as_u16(), part.json()["amount"]["minor"].as_i64()), (202, Some(3_000)), "{part:?}");
    // This carrier cannot give back: it is on the refund list.
    assert_eq!(part.json()["state"], "owed");
    for beyond in [5_001, 8_000, i64::MAX] {
        let answer = refund(&world, reference, &format!("beyond {beyond}"), &json!({"amount_minor": beyond})).await;
        assert_eq!(answer.problem(), (409, "conflict".into()), "{beyond}");
    }
    let rest = refund(&world, reference, "b", &json!({})).await;
    assert_eq!((rest.status.as_u16(), rest.json()["amount"]["minor"].as_i64()), (202, Some(5_000)));
    let more = refund(&world, reference, "c", &json!({"amount_minor": 1})).await;
    assert_eq!(more.problem(), (409, "conflict".into()));
    let charge = world.get(&format!("/v1/charges/{reference}")).send().await.json();
    assert_eq!(charge["state"], "refund_owed", "{charge}");
    assert_eq!(world.simulator.ledger().total_of(msisdn(ANNA)).minor, 8_000);
}

#[tokio::test]
async fn m15_the_same_key_is_the_same_refund_and_another_amount_under_it_is_a_conflict() {
    let world = World::new().await;
    let reference = charged(&world).await;
    let first = refund(&world, reference, "a", &json!({"amount_minor": 3_000})).await;
    let again = refund(&world, reference, "a", &json!({"amount_minor": 3_000})).await;
    assert_eq!((again.status.as_u16(), again.json()), (202, first.json()));
    // Everything that is left is another amount as well.
    for body in [json!({"amount_minor": 2_000}), json!({})] {
        let other = refund(&world, reference, "a", &body).await;
        assert_eq!(other.problem(), (409, "idempotency_key_conflict".into()), "{body}");
    }
    // Its scope is the caller: under another's name it is another refund.
    let path = format!("/v1/charges/{reference}/refunds");
    let call = world.call(Method::POST, &path).by(Role::Support).header("idempotency-key", "a");
    let others = call.json(&json!({"amount_minor": 3_000})).send().await;
    assert_eq!(others.status, 202);
    assert_ne!(others.json()["id"], first.json()["id"]);
}

#[tokio::test]
async fn many_refunds_at_once_never_come_to_more_than_was_taken() {
    let world = World::new().await;
    let reference = charged(&world).await;
    let bodies: Vec<Value> = (0..8).map(|_| json!({"amount_minor": 3_000})).collect();
    let keys: Vec<String> = (0..8).map(|n| format!("k{n}")).collect();
    let asking = keys.iter().zip(&bodies).map(|(key, body)| refund(&world, reference, key, body));
    let mut accepted = 0;
    for answer in join_all(asking).await {
        match answer.status.as_u16() {
            202 => accepted += 1,
            _ => assert_eq!(answer.problem(), (409, "conflict".into())),
        }
    }
    assert_eq!(accepted, 2, "of 8,000 tiyn only twice 3,000 fit");
}

/// All of them, interleaved.
async fn join_all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, done) in &mut waiting {
            if done.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(context)
            {
                *done = Some(output);
            }
        }
        let all = waiting.iter().all(|(_, done)| done.is_some());
        if all { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    waiting.into_iter().filter_map(|(_, done)| done).collect()
}

#[tokio::test]
async fn who_may_give_money_back_and_who_may_enter_a_password() {
    let world = World::new().await;
    let reference = charged(&world).await;
    for (path, may) in [
        (format!("/v1/charges/{reference}/refunds"), &[Role::Ticketing, Role::Support, Role::Finance][..]),
        (format!("/v1/charges/{reference}/otp"), &[Role::Ticketing]),
    ] {
        // A body that nobody may send: who gets so far has the right.
        let call = |role: Role| world.call(Method::POST, &path).by(role).header("idempotency-key", "k");
        for role in Role::ALL {
            let status = call(role).json(&json!({"nonsense": true})).send().await.status.as_u16();
            assert_eq!(status == 403, !may.contains(&role), "{path} {role:?}: {status}");
        }
        assert_eq!(call(Role::Finance).unknown().json(&json!({})).send().await.status, 401);
    }
    let charge = world.get(&format!("/v1/charges/{reference}")).send().await.json();
    assert_eq!(charge["state"], "charged");
}

#[tokio::test]
async fn a_refund_that_is_not_one_is_refused_and_nothing_goes_back() {
    let world = World::new().await;
    let reference = charged(&world).await;
    let path = format!("/v1/charges/{reference}/refunds");
    let call = || world.call(Method::POST, &path).by(Role::Finance);
    let without_key = call().json(&json!({})).send().await;
    assert_eq!(without_key.status, 400, "{without_key:?}");
    for key in ["", "ключ", &"k".repeat(256)] {
        let answer = call().header("idempotency-key", key).json(&json!({})).send().await;
        assert_eq!(answer.status, 400, "{key:?} {answer:?}");
    }
    for body in [
        "",
        "{",
        "null",
        "[]",
        "0",
        r#"{"amount_minor": "1"}"#,
        r#"{"amount_minor": 1.5}"#,
        r#"{"amount_minor": 0}"#,
        r#"{"amount_minor": -1}"#,
        r#"{"amount_minor": 9223372036854775808}"#,
        r#"{"amount_minor": 1, "amount_minor": 2}"#,
        r#"{"amount": 1}"#,
    ] {
        let call = call().header("idempotency-key", "k").header("content-type", "application/json");
        let answer = call.body(body.to_owned()).send().await;
        assert!(matches!(answer.problem().0, 400 | 422), "{body} {answer:?}");
    }
    let charge = world.gateway.store().charge(reference).await.expect("the store").expect("the charge");
    assert!(charge.refunds.is_empty());
}

#[tokio::test]
async fn what_is_not_there_or_was_never_charged_gives_nothing_back_and_waits_for_no_password() {
    let world = World::new().await;
    let nobodys = Reference::new(world.gateway.now(), [7; 10]);
    for body in [json!({}), json!({"amount_minor": 100})] {
        assert_eq!(refund(&world, nobodys, "k", &body).await.problem(), (404, "not_found".into()));
    }
    let otp = |reference: Reference| {
        world.call(Method::POST, &format!("/v1/charges/{reference}/otp")).json(&json!({"otp": "4711"})).send()
    };
    assert_eq!(otp(nobodys).await.problem(), (404, "not_found".into()));
    for path in ["/v1/charges/nonsense/refunds", "/v1/charges/nonsense/otp"] {
        let call = world.call(Method::POST, path).header("idempotency-key", "k");
        assert!(matches!(call.json(&json!({})).send().await.status.as_u16(), 400 | 404), "{path}");
    }

    let doubtful = world.in_doubt("k").await;
    assert_eq!(refund(&world, doubtful, "k", &json!({})).await.problem(), (409, "conflict".into()));
    assert_eq!(otp(doubtful).await.problem(), (409, "conflict".into()));
}
