//! The refund list, and what people decide about refunds.

use axum::http::Method;
use serde_json::{Value, json};

use super::world::{ANNA, Answer, World, fare};
use crate::{api::Role, charge::Reference};

/// A charge of this number, of which `minor` are asked back. This carrier cannot give back: it is owed.
async fn owed(world: &World, number: &str, minor: Option<i64>) -> (Reference, Value) {
    let bought = world.bought(number, &fare(number)).await;
    assert_eq!(bought.json()["state"], "charged");
    let body = minor.map_or(json!({}), |minor| json!({"amount_minor": minor}));
    let path = format!("/v1/charges/{}/refunds", bought.reference());
    let asked =
        world.call(Method::POST, &path).by(Role::Finance).header("idempotency-key", "k").json(&body).send().await;
    assert_eq!(asked.status, 202, "{asked:?}");
    (bought.reference(), asked.json()["id"].clone())
}

async fn list(world: &World, query: &str) -> Answer {
    world.get(&format!("/v1/refunds{query}")).by(Role::Finance).send().await
}

fn ids(answer: &Answer) -> Vec<Value> {
    let listed = answer.json()["refunds"].as_array().expect("refunds").clone();
    listed.into_iter().map(|refund| refund["id"].clone()).collect()
}

#[tokio::test]
async fn m14_the_refund_list_tells_how_much_how_old_and_why_parts_too() {
    let world = World::new().await;
    let (charge, whole) = owed(&world, ANNA, None).await;
    let (_, part) = owed(&world, "+77051112222", Some(3_000)).await;
    let answer = list(&world, "").await;
    assert_eq!(ids(&answer), [whole.clone(), part]);
    let first = answer.json()["refunds"][0].clone();
    assert_eq!(first["charge"], json!(charge));
    assert!(first["age_seconds"].as_u64().is_some_and(|age| age < 60), "{first}");
    let mut second = answer.redacted()["refunds"][1].clone();
    second.as_object_mut().expect("an object").remove("age_seconds").expect("an age");
    let expected = json!({
        "id": "[reference]", "charge": "[reference]", "state": "owed", "amount": {"minor": 3_000, "currency": "KZT"},
        "msisdn": "+77051112222", "vehicle": "1234", "agency": second["agency"], "carrier": "beeline",
        "opened_at": "[time]", "because": "not_refundable",
    });
    assert_eq!(second, expected);
    for (query, count) in [
        ("?state=owed", 2),
        ("?state=in_doubt", 0),
        ("?state=requested", 0),
        ("?carrier=beeline", 2),
        ("?carrier=kcell", 0),
        ("?older_than=3600", 0),
        ("?older_than=0", 2),
        ("?state=owed&carrier=beeline&older_than=0&limit=1", 1),
    ] {
        assert_eq!(ids(&list(&world, query).await).len(), count, "{query}");
    }
    let page = list(&world, "?limit=1").await.json();
    let cursor = page["next_cursor"].as_str().expect("a next page");
    let next = list(&world, &format!("?limit=1&cursor={cursor}")).await;
    assert_ne!(ids(&next)[0], whole);
    assert_eq!(next.json().get("next_cursor"), None);
    for wrong in ["?state=done", "?older_than=-1", "?older_than=soon", "?carrier=A!", "?limit=0", "?nonsense=1"] {
        assert_eq!(list(&world, wrong).await.problem(), (400, "bad_request".into()), "{wrong}");
    }
}

#[tokio::test]
async fn m14_what_is_owed_is_settled_once_by_a_person_with_a_reason() {
    let world = World::new().await;
    let (charge, id) = owed(&world, ANNA, None).await;
    let id = id.as_str().expect("an id").to_owned();
    let path = format!("/v1/charges/{charge}/refunds/{id}/resolution");
    let resolve = |body: Value| world.call(Method::POST, &path).by(Role::Finance).json(&body).send();
    for (body, pointer) in [
        (json!({"as": "paid_otherwise", "because": " "}), "/because"),
        (json!({"as": "perhaps", "because": "x"}), "/as"),
        (json!({"because": "x"}), "/as"),
    ] {
        assert_eq!(resolve(body.clone()).await.json()["errors"][0]["pointer"], pointer, "{body}");
    }
    let owed_already = resolve(json!({"as": "not_refunded", "because": "it was refused"})).await;
    assert_eq!(owed_already.problem(), (409, "conflict".into()));
    let paid = resolve(json!({"as": "paid_otherwise", "because": "in cash, receipt 17"})).await;
    assert_eq!((paid.status.as_u16(), &paid.json()["state"]), (200, &json!("paid_out")), "{paid:?}");
    for again in ["paid_otherwise", "refunded", "not_refunded"] {
        let answer = resolve(json!({"as": again, "because": "x"})).await;
        assert_eq!(answer.problem(), (409, "conflict".into()), "{again}");
    }
    let shown = world.get(&format!("/v1/charges/{charge}")).send().await.json();
    assert_eq!((&shown["state"], &shown["refunds"][0]["state"]), (&json!("refunded"), &json!("paid_out")));
    assert_eq!(ids(&list(&world, "").await).len(), 0);
    let journal = world.get(&format!("/v1/charges/{charge}/journal")).by(Role::Operations).send().await;
    let journal = journal.text();
    assert!(journal.contains("in cash, receipt 17") && journal.contains("finance"), "{journal}");
}

#[tokio::test]
async fn a_refund_or_a_charge_that_is_not_ours_cannot_be_settled() {
    let world = World::new().await;
    let (charge, id) = owed(&world, ANNA, None).await;
    let id = id.as_str().expect("an id").to_owned();
    let nobodys = Reference::new(world.gateway.now(), [7; 10]);
    let body = json!({"as": "refunded", "because": "x"});
    for path in [
        format!("/v1/charges/{charge}/refunds/{nobodys}/resolution"),
        format!("/v1/charges/{nobodys}/refunds/{id}/resolution"),
        format!("/v1/charges/{charge}/refunds/nonsense/resolution"),
        format!("/v1/charges/{charge}/refunds/{charge}/resolution"),
    ] {
        let answer = world.call(Method::POST, &path).by(Role::Operations).json(&body).send().await;
        assert_eq!(answer.problem(), (404, "not_found".into()), "{path}");
    }
    let shown = world.get(&format!("/v1/charges/{charge}")).send().await.json();
    assert_eq!(shown["state"], "refund_owed");
}
