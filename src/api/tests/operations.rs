use std::time::Duration;

use axum::http::Method;
use metrics::with_local_recorder;

use super::world::{ANNA, Setting, World, fare};
use crate::{api::Role, clock::Timestamp};

#[tokio::test]
async fn ready_is_said_with_every_check() {
    let world = World::new().await;
    assert_eq!(world.operations("/healthz").send().await.status, 200);
    let ready = world.operations("/readyz").send().await;
    assert_eq!(ready.status, 200);
    insta::assert_json_snapshot!(ready.json(), @r#"
    {
      "checks": {
        "carriers": {
          "ok": true
        },
        "not_stopping": {
          "ok": true
        },
        "signing_key": {
          "ok": true
        },
        "store": {
          "ok": true
        }
      },
      "ready": true
    }
    "#);
}

#[tokio::test]
async fn not_ready_while_no_carrier_is_up_but_alive() {
    let world = World::new().await;
    world.simulator.shutdown().await;
    world.until(|gateway| !gateway.carriers().any(|carrier| carrier.standing().up)).await;
    let ready = world.operations("/readyz").send().await;
    assert_eq!(ready.status, 503);
    insta::assert_json_snapshot!(ready.json()["checks"]["carriers"], @r#"
    {
      "detail": "beeline: no bind is up",
      "ok": false
    }
    "#);
    assert_eq!(world.operations("/healthz").send().await.status, 200);
}

#[tokio::test]
async fn not_ready_while_paused_without_a_key_or_stopping() {
    let world = World::new().await;
    world.call(Method::POST, "/v1/carriers/beeline/pause").by(Role::Operations).send().await;
    let carriers = world.operations("/readyz").send().await.json()["checks"]["carriers"].clone();
    assert_eq!(carriers, serde_json::json!({"ok": false, "detail": "beeline: paused by hand"}));

    world.gateway.stop(Duration::from_secs(2)).await;
    assert_eq!(world.operations("/readyz").send().await.json()["checks"]["not_stopping"]["ok"], false);
    let refused = world.buy("k1", &fare(ANNA)).send().await;
    assert_eq!((refused.problem(), refused.header("retry-after")), ((503, "overloaded".into()), "1"));

    let keyless = Setting { keys_end: Timestamp::from_unix_seconds(1_700_000_001), ..Setting::default() };
    let world = World::with(keyless).await;
    let ready = world.operations("/readyz").send().await;
    assert_eq!((ready.status.as_u16(), &ready.json()["checks"]["signing_key"]["ok"]), (503, &serde_json::json!(false)));
}

#[tokio::test]
async fn once_a_stop_is_announced_it_is_not_ready_sells_on_and_each_answer_ends_its_connection() {
    let world = World::new().await;
    assert_eq!(world.buy("k1", &fare(ANNA)).send().await.header("connection"), "");
    world.gateway.announce_stop();
    let ready = world.operations("/readyz").send().await;
    assert_eq!(
        (ready.status.as_u16(), &ready.json()["checks"]["not_stopping"]["ok"]),
        (503, &serde_json::json!(false))
    );
    let bought = world.bought("k2", &fare("+77052222222")).await;
    assert_eq!((bought.status.as_u16(), bought.header("connection")), (201, "close"));
    let unknown = world.call(Method::GET, "/v1/nothing").by(Role::Ticketing).send().await;
    assert_eq!((unknown.status.as_u16(), unknown.header("connection")), (404, "close"), "whatever it says");
}

#[test]
fn requests_are_counted_by_route_and_never_by_path() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let world = runtime.block_on(World::new());
    let rendered = with_local_recorder(&world.metrics, || {
        runtime.block_on(async {
            world.get("/v1/charges/0199f1a2-7c00-7000-8000-000000000001?x=+77051111111").send().await;
            world.get("/+77051111111").send().await;
            world.call(Method::from_bytes(b"BREW").expect("a method"), "/v1/charges").send().await;
            world.operations("/metrics").send().await
        })
    });
    assert_eq!(rendered.status, 200);
    let text = rendered.text();
    for line in [
        r#"http_requests_total{route="/v1/charges/{reference}",method="GET",status="404"} 1"#,
        r#"http_requests_total{route="none",method="GET",status="404"} 1"#,
        r#"http_requests_total{route="/v1/charges",method="other",status="405"} 1"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(text.contains("http_request_seconds") && !text.contains("7705"), "{text}");
}
