use std::time::Duration;

use axum::{
    Router,
    http::Method,
    middleware::from_fn_with_state,
    routing::{MethodRouter, get},
};
use serde_json::json;

use super::world::{ANNA, Call, Setting, World, fare};
use crate::api::{
    ApiConfig, Role,
    routes::{Api, finish},
    to_the_end::to_the_end,
};

#[tokio::test]
async fn what_is_wrong_with_a_body_is_named_by_its_place() {
    let world = World::new().await;
    let mut refusals = Vec::new();
    for body in [
        json!({"msisdn": "+79161234567", "vehicle": "1234"}),
        json!({"vehicle": "1234"}),
        json!({"msisdn": ANNA, "vehicle": "12-34-56-78-90"}),
        json!({"msisdn": ANNA, "vehicle": "1234", "passengers": 0}),
        json!({"msisdn": ANNA, "vehicle": "1234", "passengers": 300}),
        json!({"msisdn": ANNA, "vehicle": "1234", "tip": 5}),
        json!({"msisdn": ANNA, "vehicle": "1234", "trip": {"id": "7", "arrives_at": "noon"}}),
        json!({"msisdn": ANNA, "vehicle": "1234", "trip": {"id": "", "arrives_at": "2026-03-01T07:30:00Z"}}),
        json!({"msisdn": ANNA, "vehicle": "1234", "trip": {"id": "7", "arrives_at": "2026-03-01T07:30:00Z",
            "next_arrives_at": "2026-03-01T07:30:00Z"}}),
        json!({"msisdn": ANNA, "vehicle": "1234", "language": "de"}),
    ] {
        let answer = world.buy("k", &body).send().await;
        assert_eq!(answer.problem(), (400, "bad_request".into()), "{body}");
        refusals.push(answer.json()["errors"][0].take());
    }
    insta::assert_json_snapshot!(refusals, @r#"
    [
      {
        "detail": "not a mobile number of Kazakhstan: it must begin with +77",
        "pointer": "/msisdn"
      },
      {
        "detail": "must be there",
        "pointer": "/msisdn"
      },
      {
        "detail": "a vehicle is named by one to eight digits or by its state plate",
        "pointer": "/vehicle"
      },
      {
        "detail": "from 1 to 9 passengers can ride on one number",
        "pointer": "/passengers"
      },
      {
        "detail": "invalid value: integer `300`, expected u8",
        "pointer": "/passengers"
      },
      {
        "detail": "unknown field `tip`, expected one of `msisdn`, `vehicle`, `passengers`, `fare_class`, `trip`, `language`, `zone`",
        "pointer": "/tip"
      },
      {
        "detail": "not a moment in RFC 3339 (2026-03-01T07:30:00Z): failed to parse four digit integer as year: invalid digit, expected 0-9 but got n",
        "pointer": "/trip/arrives_at"
      },
      {
        "detail": "from 1 to 64 characters",
        "pointer": "/trip/id"
      },
      {
        "detail": "must be after arrives_at",
        "pointer": "/trip/next_arrives_at"
      },
      {
        "detail": "unknown variant `de`, expected one of `kk`, `ru`, `en`",
        "pointer": "/language"
      }
    ]
    "#);
    assert_eq!(world.simulator.stats().submits, 0);
}

#[tokio::test]
async fn a_problem_is_a_whole_document() {
    let world = World::new().await;
    let answer = world.buy("k", &json!({"msisdn": "1", "vehicle": "1234"})).send().await;
    insta::assert_json_snapshot!(answer.redacted(), @r#"
    {
      "code": "bad_request",
      "detail": "/msisdn: a phone number of Kazakhstan has ten digits after +7 or 8; 1 digits came",
      "errors": [
        {
          "detail": "a phone number of Kazakhstan has ten digits after +7 or 8; 1 digits came",
          "pointer": "/msisdn"
        }
      ],
      "status": 400,
      "title": "the request is not understood",
      "trace_id": "[…]",
      "type": "/errors/bad_request"
    }
    "#);
}

#[tokio::test]
async fn a_purchase_needs_a_key_of_1_to_255_printable_characters() {
    let world = World::new().await;
    let no_key = world.call(Method::POST, "/v1/charges").json(&fare(ANNA)).send().await;
    assert_eq!(no_key.problem(), (400, "idempotency_key_missing".into()));
    for key in ["", "tab\tinside", &"k".repeat(256)] {
        assert_eq!(world.buy(key, &fare(ANNA)).send().await.problem().1, "idempotency_key_missing", "{key:?}");
    }
    let two = world.buy("a", &fare(ANNA)).header("idempotency-key", "b").send().await;
    assert_eq!(two.problem().1, "idempotency_key_missing");
    assert_eq!(world.bought(&"k".repeat(255), &fare(ANNA)).await.status, 201);
}

#[tokio::test]
async fn only_json_is_read_and_only_so_much_of_it() {
    let world = World::new().await;
    let post = || world.call(Method::POST, "/v1/charges").header("idempotency-key", "k");
    let form = post().header("content-type", "application/x-www-form-urlencoded").body("msisdn=1").send().await;
    assert_eq!(form.problem(), (415, "unsupported_media_type".into()));
    assert_eq!(post().body("{}").send().await.problem(), (415, "unsupported_media_type".into()));
    let broken = post().header("content-type", "application/json; charset=utf-8").body("{\"msisdn\":").send().await;
    assert_eq!(broken.problem(), (400, "bad_request".into()));

    let large = vec![b' '; world.config.body_bytes_max + 1];
    let stated = post().header("content-type", "application/json").body(large).send().await;
    assert_eq!(stated.problem(), (413, "payload_too_large".into()));
}

#[tokio::test]
async fn what_is_not_there_and_what_cannot_be_done_are_problems_too() {
    let world = World::new().await;
    assert_eq!(world.get("/v2/charges").send().await.problem(), (404, "not_found".into()));
    let wrong = world.call(Method::DELETE, "/v1/charges").send().await;
    assert_eq!(wrong.problem(), (405, "method_not_allowed".into()));
    assert_eq!(wrong.header("allow"), "POST,GET,HEAD");
    for path in ["/v1/charges/1", "/v1/charges/%ff", "/v1/tickets/0199f1a2-7c00-7000-8000-000000000001"] {
        assert_eq!(world.get(path).send().await.problem(), (404, "not_found".into()), "{path}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_query_is_named_by_its_parameter() {
    let world = World::new().await;
    let mut refusals = Vec::new();
    for query in [
        "limit=0",
        "limit=201",
        "limit=ten",
        "msisdn=1",
        "state=paid",
        "from=now",
        "cursor=x",
        "page=2",
        "limit=1&limit=2",
    ] {
        let answer = world.get(&format!("/v1/charges?{query}")).send().await;
        assert_eq!(answer.problem(), (400, "bad_request".into()), "{query}");
        refusals.push(answer.json()["errors"][0].take());
    }
    let missing = world.get("/v1/eligibility").send().await;
    refusals.push(missing.json()["errors"][0].take());
    insta::assert_json_snapshot!(refusals, @r#"
    [
      {
        "detail": "a number from 1 to 200",
        "parameter": "limit"
      },
      {
        "detail": "a number from 1 to 200",
        "parameter": "limit"
      },
      {
        "detail": "a number from 1 to 200",
        "parameter": "limit"
      },
      {
        "detail": "a phone number of Kazakhstan has ten digits after +7 or 8; 1 digits came",
        "parameter": "msisdn"
      },
      {
        "detail": "unknown variant `paid`, expected one of `processing`, `awaiting_otp`, `charged`, `declined`, `rejected`, `in_doubt`, `refunding`, `refund_owed`, `refunded`",
        "parameter": "state"
      },
      {
        "detail": "not a moment in RFC 3339 (2026-03-01T07:30:00Z): expected four digit year (or leading sign for six digit year), but found end of input",
        "parameter": "from"
      },
      {
        "detail": "not the next_cursor of an earlier answer",
        "parameter": "cursor"
      },
      {
        "detail": "unknown field `page`, expected one of `msisdn`, `vehicle`, `state`, `from`, `until`, `cursor`, `limit`",
        "parameter": "page"
      },
      {
        "detail": "must come once",
        "parameter": "limit"
      },
      {
        "detail": "must be there",
        "parameter": "msisdn"
      }
    ]
    "#);
}

/// The layers around a handler of this test's own.
fn around(world: &World, request_seconds_max: u64, handler: MethodRouter) -> Router {
    let config = ApiConfig { request_seconds_max, wait_seconds_max: 0, ..world.config.clone() };
    let api = Api::new(config, world.gateway.clone()).expect("a sound configuration");
    finish(Router::new().route("/", handler.layer(from_fn_with_state(api, to_the_end))))
}

#[tokio::test]
async fn a_handler_that_panics_is_an_answer_like_any_other() {
    let world = World::new().await;
    let router = around(&world, 5, get(async || -> () { panic!("secret of the house") }));
    let answer = Call::new(&router, Method::GET, "/").send().await;
    assert_eq!(answer.problem(), (500, "internal".into()));
    assert!(!answer.text().contains("secret"), "{answer:?}");
}

#[tokio::test]
async fn a_handler_that_takes_too_long_goes_on_and_the_caller_is_told() {
    let world = World::new().await;
    let (sender, mut done) = tokio::sync::mpsc::channel(1);
    let slow = get(async move || {
        tokio::time::sleep(Duration::from_millis(1_300)).await;
        sender.send(()).await.expect("the test waits");
    });
    let router = around(&world, 1, slow);
    let answer = Call::new(&router, Method::GET, "/").send().await;
    assert_eq!(answer.problem(), (504, "timeout".into()));
    let finished = tokio::time::timeout(Duration::from_secs(5), done.recv()).await;
    assert_eq!(finished.expect("it goes on"), Some(()));
}

#[tokio::test]
async fn a_caller_with_too_many_requests_under_way_is_told_to_wait_and_others_are_not() {
    let mut setting = Setting::default();
    setting.api.caller_requests_max = 1;
    setting.simulator.response_delay_ms = crate::simulator::DelayRange::exactly(300);
    let world = World::with(setting).await;
    let body = fare(ANNA);
    let waiting = world.buy("k1", &body).header("prefer", "wait=10").send();
    let meanwhile = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let own = world.get("/v1/keys").send().await;
        let other = world.get("/v1/keys").by(Role::Inspection).send().await;
        (own, other)
    };
    let (bought, (own, other)) = tokio::join!(waiting, meanwhile);
    assert_eq!((own.problem(), own.header("retry-after")), ((429, "too_many_requests".into()), "1"));
    assert_eq!((other.status.as_u16(), bought.status.as_u16()), (200, 201));
    assert_eq!(world.get("/v1/keys").send().await.status, 200);
}
