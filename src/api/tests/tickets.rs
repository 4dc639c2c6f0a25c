use axum::http::Method;
use serde_json::{Value, json};

use super::world::{ANNA, World, fare};
use crate::{
    api::Role,
    clock::Timestamp,
    ticket::{KeySet, Revocations, Verdict, Verifier, qr},
};

async fn ticket(world: &World) -> String {
    format!("/v1/tickets/{}", world.bought("k1", &fare(ANNA)).await.reference())
}

#[tokio::test]
async fn a_ticket_is_json_unless_another_form_is_asked_for() {
    let world = World::new().await;
    let path = ticket(&world).await;
    let answer = world.get(&path).send().await;
    insta::assert_json_snapshot!(answer.redacted(), @r#"
    {
      "amount": {
        "currency": "KZT",
        "minor": 8000
      },
      "city": "almaty",
      "expires_at": "[time]",
      "fare_class": "regular",
      "issued_at": "[time]",
      "msisdn": "+77051111111",
      "passengers": 1,
      "qr_text": "SB1:[…]",
      "reference": "[reference]",
      "route": "92",
      "short_code": "[…]",
      "state": "active",
      "vehicle": "1234"
    }
    "#);
}

#[tokio::test]
async fn a_ticket_in_each_form_is_the_same_ticket_and_verifies_with_the_published_keys() {
    let world = World::new().await;
    let path = ticket(&world).await;
    let form = async |accept: &str| {
        let answer = world.get(&path).header("accept", accept).send().await;
        assert!(answer.header("content-type").starts_with(accept), "{answer:?}");
        answer
    };
    let text = form("text/plain").await;
    let cwt = form("application/cwt").await;
    assert_eq!(qr::from_text(text.text()).expect("a ticket's text"), cwt.body);

    let jwks = world.get("/v1/keys").by(Role::Inspection).send().await;
    assert_eq!(jwks.header("cache-control"), "private, max-age=300");
    let keys = KeySet::keys_from_jwks(&jwks.json()).expect("keys");
    let now = world.gateway.now();
    let set = KeySet { issued_at: now, expires_at: Timestamp::MAX, keys };
    let verdict = Verifier::new(set).verify(&cwt.body, now, Some("1234"), &Revocations::default());
    assert!(matches!(verdict, Verdict::Valid(_)), "{verdict:?}");

    let svg = form("image/svg+xml").await;
    assert!(svg.text().contains("<svg"), "{}", svg.text());
    let jwt = form("application/jwt").await;
    let claims = jwt.text().split('.').nth(1).expect("three parts");
    let claims: Value =
        serde_json::from_slice(&data_encoding::BASE64URL_NOPAD.decode(claims.as_bytes()).expect("base64url"))
            .expect("JSON");
    assert_eq!(json!(path), json!(format!("/v1/tickets/{}", claims["jti"].as_str().expect("a reference"))));

    let png = form("image/png").await;
    let width = |png: &[u8]| u32::from_be_bytes(png[16..20].try_into().expect("four bytes"));
    assert!(png.body.starts_with(b"\x89PNG\r\n\x1a\n"), "{:?}", png.body);
    let path_with_scale = |scale: &str| format!("{path}?scale={scale}");
    let small = world.get(&path_with_scale("1")).header("accept", "image/png").send().await;
    assert_eq!(width(&png.body), width(&small.body) * 8);
    for scale in ["0", "33", "x"] {
        let refused = world.get(&path_with_scale(scale)).header("accept", "image/png").send().await;
        assert_eq!(refused.problem(), (400, "bad_request".into()), "{scale}");
    }

    let none = world.get(&path).header("accept", "image/jpeg").send().await;
    assert_eq!(none.problem(), (406, "not_acceptable".into()));
}

#[tokio::test]
async fn the_tickets_of_a_number_are_active_or_past() {
    let world = World::new().await;
    ticket(&world).await;
    world.bought("k2", &json!({"msisdn": ANNA, "vehicle": "1235"})).await;
    let list = async |query: &str| {
        let answer = world.get(&format!("/v1/tickets?{query}")).by(Role::Support).send().await.json();
        let tickets = answer["tickets"].as_array().expect("tickets").iter();
        tickets.map(|ticket| ticket["vehicle"].as_str().expect("a code").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(list("msisdn=87051111111").await, ["1235", "1234"]);
    assert_eq!(list("msisdn=87051111111&state=active&limit=1").await, ["1235"]);
    assert_eq!(list("msisdn=87051111111&state=past").await, [""; 0]);
    assert_eq!(list("msisdn=87050000000").await, [""; 0]);
}

#[tokio::test]
async fn eligibility_says_why_with_every_rule() {
    let world = World::new().await;
    let of = async |number: &str| world.get(&format!("/v1/eligibility?msisdn={number}")).send().await.redacted();
    let allowed = of("87051111111").await;
    assert_eq!((&allowed["allowed"], &allowed["carrier"]), (&json!(true), &json!("beeline")));
    insta::assert_json_snapshot!(of("87052222222").await, @r#"
    {
      "allowed": false,
      "carrier": "beeline",
      "carrier_by": "prefix",
      "findings": [
        {
          "basis": {
            "kind": "deny_list",
            "list": "thieves"
          },
          "declines": true,
          "rule": "denied_number"
        },
        {
          "basis": {
            "age_seconds": null,
            "counted_as": "unknown",
            "fact": null,
            "kind": "fact",
            "max_age_seconds": 86400,
            "name": "corporate_number",
            "when_unknown": "allow"
          },
          "declines": false,
          "rule": "corporate_number",
          "silent": [
            {
              "why": "not_configured"
            }
          ]
        },
        {
          "basis": {
            "age_seconds": null,
            "counted_as": "unknown",
            "fact": null,
            "kind": "fact",
            "max_age_seconds": 120,
            "name": "credit_debt",
            "when_unknown": "allow"
          },
          "declines": false,
          "rule": "credit_debt",
          "silent": [
            {
              "why": "not_configured"
            }
          ]
        },
        {
          "basis": {
            "age_seconds": null,
            "counted_as": "unknown",
            "fact": null,
            "kind": "fact",
            "max_age_seconds": 120,
            "name": "no_top_up_since_activation",
            "when_unknown": "allow"
          },
          "declines": false,
          "rule": "no_top_up_since_activation",
          "silent": [
            {
              "why": "not_configured"
            }
          ]
        },
        {
          "basis": {
            "age_seconds": null,
            "counted_as": "unknown",
            "fact": null,
            "kind": "fact",
            "max_age_seconds": 120,
            "name": "initial_balance_unused",
            "when_unknown": "allow"
          },
          "declines": false,
          "rule": "initial_balance_unused",
          "silent": [
            {
              "why": "not_configured"
            }
          ]
        },
        {
          "basis": {
            "age_seconds": null,
            "counted_as": "unknown",
            "fact": null,
            "kind": "fact",
            "max_age_seconds": 900,
            "name": "recent_sim_swap",
            "when_unknown": "allow"
          },
          "declines": false,
          "rule": "recent_sim_swap",
          "silent": [
            {
              "why": "not_configured"
            }
          ]
        }
      ],
      "judged_at": "[time]",
      "msisdn": "+77052222222",
      "reason": "denied_number"
    }
    "#);
    insta::assert_json_snapshot!(of("87470000000").await, @r#"
    {
      "allowed": false,
      "findings": [],
      "judged_at": "[time]",
      "msisdn": "+77470000000",
      "reason": "no_route"
    }
    "#);
}

#[tokio::test]
async fn a_carrier_is_paused_and_resumed_by_operations() {
    let world = World::new().await;
    let list = async || world.get("/v1/carriers").by(Role::Support).send().await.json();
    let set = async |path: &str| world.call(Method::POST, path).by(Role::Operations).send().await;
    assert_eq!(
        list().await,
        json!({"carriers": [{
            "name": "beeline",
            "up": true,
            "paused": false,
            "breaker_open": false,
            "throttled": false,
            "binds": [{"name": "smsbus", "up": true, "detail": "up"}],
            "short_number": "2505",
        }]})
    );
    for _ in 0..2 {
        assert_eq!(set("/v1/carriers/beeline/pause").await.json()["paused"], true);
    }
    let declined = world.bought("k1", &fare(ANNA)).await.json();
    assert_eq!((&declined["state"], &declined["reason"]), (&json!("declined"), &json!("carrier_unavailable")));
    assert_eq!(set("/v1/carriers/beeline/resume").await.json()["paused"], false);
    assert_eq!(world.bought("k2", &fare(ANNA)).await.json()["state"], "charged");
    assert_eq!(set("/v1/carriers/nobody/pause").await.problem(), (404, "not_found".into()));
}
