use axum::http::Method;
use serde_json::{Value, json};

use super::world::{ANNA, DENIED, World, fare};
use crate::api::Role;

#[tokio::test]
async fn a_charge_is_read_and_only_support_and_operations_see_its_attempts() {
    let world = World::new().await;
    let bought = world.bought("k1", &fare(ANNA)).await;
    let path = format!("/v1/charges/{}", bought.reference());
    assert_eq!(world.get(&path).send().await.json(), bought.json());
    assert_eq!(world.get(&path).by(Role::Finance).send().await.json(), bought.json());
    let support = world.get(&path).by(Role::Support).send().await;
    insta::assert_json_snapshot!(support.redacted()["attempts"], @r#"
    [
      {
        "carrier": "beeline",
        "carrier_id": "[…]",
        "number": 1,
        "opened_at": "[time]",
        "state": "charged"
      }
    ]
    "#);
}

#[tokio::test]
async fn charges_are_listed_newest_first_in_pages_without_a_gap() {
    let world = World::new().await;
    let mut bought = Vec::new();
    for n in 0..5 {
        let body = json!({"msisdn": format!("+770510000{n:02}"), "vehicle": if n % 2 == 0 { "1234" } else { "1235" }});
        bought.push(world.bought(&format!("k{n}"), &body).await.json()["reference"].clone());
    }
    bought.reverse();
    let mut found = Vec::new();
    let mut path = "/v1/charges?limit=2".to_owned();
    for round in 0.. {
        let page = world.get(&path).send().await.json();
        let charges = page["charges"].as_array().expect("charges").clone();
        assert!(charges.len() == if round < 2 { 2 } else { 1 }, "{page}");
        found.extend(charges.into_iter().map(|charge| charge["reference"].clone()));
        match page.get("next_cursor").and_then(Value::as_str) {
            Some(cursor) => path = format!("/v1/charges?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(found, bought);
}

#[tokio::test]
async fn charges_are_found_by_number_vehicle_state_and_time() {
    let world = World::new().await;
    let before = world.gateway.now();
    world.bought("k1", &fare(ANNA)).await;
    world.bought("k2", &json!({"msisdn": ANNA, "vehicle": "1235"})).await;
    world.bought("k3", &fare(DENIED)).await;
    let count = async |query: String| {
        let answer = world.get(&format!("/v1/charges?{query}")).by(Role::Support).send().await;
        answer.json()["charges"].as_array().map(Vec::len)
    };
    let later = before.plus(std::time::Duration::from_secs(60));
    assert_eq!(count(String::new()).await, Some(3));
    assert_eq!(count("msisdn=87051111111".into()).await, Some(2));
    assert_eq!(count("msisdn=%2B77051111111&vehicle=1235".into()).await, Some(1));
    assert_eq!(count("state=declined".into()).await, Some(1));
    assert_eq!(count(format!("from={before}&until={later}")).await, Some(3));
    assert_eq!(count(format!("from={later}")).await, Some(0));
    assert_eq!(count(format!("until={before}")).await, Some(0));
}

#[tokio::test]
async fn a_journal_tells_what_happened_in_order() {
    let world = World::new().await;
    let bought = world.bought("k1", &fare(ANNA)).await;
    let path = format!("/v1/charges/{}/journal", bought.reference());
    let answer = world.get(&path).by(Role::Support).send().await.redacted();
    let steps: Vec<Value> = answer["entries"]
        .as_array()
        .expect("entries")
        .iter()
        .map(|entry| json!([entry["version"], entry["from"], entry["to"]]))
        .collect();
    insta::assert_json_snapshot!(steps, @r#"
    [
      [
        1,
        null,
        "processing"
      ],
      [
        2,
        "processing",
        "processing"
      ],
      [
        3,
        "processing",
        "charged"
      ]
    ]
    "#);
    let none = world.get("/v1/charges/0199f1a2-7c00-7000-8000-000000000001/journal").by(Role::Support).send().await;
    assert_eq!(none.problem(), (404, "not_found".into()));
}

#[tokio::test]
async fn a_doubt_is_settled_by_a_person_with_a_reason_and_only_once() {
    let world = World::new().await;
    let reference = world.in_doubt("k1").await;
    let path = format!("/v1/charges/{reference}/resolution");
    let resolve = |body: Value| world.call(Method::POST, &path).by(Role::Operations).json(&body).send();
    for (body, pointer) in [
        (json!({"as": "charged", "because": "  "}), "/because"),
        (json!({"as": "perhaps", "because": "x"}), "/as"),
        (json!({"as": "charged"}), "/because"),
    ] {
        let answer = resolve(body.clone()).await;
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{body}");
    }
    let settled = resolve(json!({"as": "charged", "because": "the carrier's books, page 7"})).await;
    assert_eq!((settled.status.as_u16(), &settled.json()["state"]), (200, &json!("charged")), "{settled:?}");
    assert!(settled.json()["ticket"]["short_code"].is_string());
    let journal = world.get(&format!("/v1/charges/{reference}/journal")).by(Role::Operations).send().await;
    assert!(journal.text().contains("the carrier's books, page 7") && journal.text().contains("operations"));

    let again = resolve(json!({"as": "not_charged", "because": "no"})).await;
    assert_eq!(again.problem(), (409, "conflict".into()));
    let nowhere = "/v1/charges/0199f1a2-7c00-7000-8000-000000000001/resolution";
    let unknown = world.call(Method::POST, nowhere).by(Role::Operations);
    let unknown = unknown.json(&json!({"as": "charged", "because": "x"})).send().await;
    assert_eq!(unknown.problem(), (404, "not_found".into()));
}

#[tokio::test]
async fn m12_while_in_doubt_the_same_purchase_is_answered_as_processing_and_not_charged_again() {
    let world = World::new().await;
    let reference = world.in_doubt("k1").await;
    let again = world.buy("k2", &fare(ANNA)).send().await;
    assert_eq!((again.status.as_u16(), again.reference()), (202, reference));
    assert_eq!(again.json()["repeat_of"], json!(reference));
}
