use std::time::Duration;

use axum::body::to_bytes;

use super::world::{ANNA, Call, World, fare};
use crate::{api::Role, carrier::TraceLine};

fn traced<'a>(world: &'a World, query: &str) -> Call<'a> {
    world.get(&format!("/v1/carriers/beeline/trace{query}")).by(Role::Operations)
}

#[tokio::test]
async fn a_trace_tells_the_pdus_of_a_purchase_and_nothing_that_must_not_be_seen() {
    let world = World::new().await;
    let trace = traced(&world, "?seconds=600").begin().await;
    assert_eq!(trace.status(), 200);
    assert_eq!(trace.headers()["content-type"], "application/x-ndjson");
    assert_eq!(world.bought("k1", &fare(ANNA)).await.json()["state"], "charged");
    // The receipt of the charged message.
    world.simulator_acknowledged(1).await;
    // It ends with the gateway, long before its time.
    world.gateway.stop(Duration::from_secs(5)).await;
    let body = to_bytes(trace.into_body(), 1 << 20).await.expect("a whole body");
    let text = String::from_utf8(body.to_vec()).expect("UTF-8");
    let lines: Vec<TraceLine> = text.lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
    let commands: Vec<&str> = lines
        .iter()
        .map(|line| match line {
            TraceLine::Pdu { bind, pdu, .. } => {
                assert!(!bind.is_empty() && pdu.is_sound(), "{pdu}");
                &*pdu.command
            }
            TraceLine::Lost { .. } => "lost",
        })
        .collect();
    for command in ["submit_sm", "submit_sm_resp", "deliver_sm", "deliver_sm_resp", "unbind", "unbind_resp"] {
        assert!(commands.contains(&command), "{command}: {commands:?}");
    }
    assert!(text.contains("+7705***1111"), "{text}");
    for secret in ["7051111111", "SB1:", "билет", "Билет"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[tokio::test]
async fn only_what_is_asked_for_is_told() {
    let world = World::new().await;
    let trace = traced(&world, "?seconds=600&command=submit_sm").begin().await;
    let elsewhere = traced(&world, "?seconds=600&bind=nowhere").begin().await;
    world.bought("k1", &fare(ANNA)).await;
    world.gateway.stop(Duration::from_secs(5)).await;
    let text = to_bytes(trace.into_body(), 1 << 20).await.expect("a whole body");
    let text = String::from_utf8(text.to_vec()).expect("UTF-8");
    assert!(text.contains("\"submit_sm\"") && text.contains("\"submit_sm_resp\""), "{text}");
    assert!(text.lines().all(|line| line.contains("\"submit_sm")), "{text}");
    assert_eq!(to_bytes(elsewhere.into_body(), 1 << 20).await.expect("a whole body").len(), 0);
}

#[tokio::test]
async fn traces_are_bounded_in_time_and_number_and_who_goes_makes_room() {
    let world = World::new().await;
    let short = tokio::time::Instant::now();
    assert_eq!(traced(&world, "?seconds=1").send().await.status, 200);
    assert!(short.elapsed() >= Duration::from_secs(1));
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(traced(&world, "").begin().await);
    }
    assert_eq!(traced(&world, "").send().await.problem(), (429, "too_many_requests".into()));
    open.pop();
    for _ in 0..500 {
        let trace = traced(&world, "").begin().await;
        if trace.status() == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody makes room");
}

#[tokio::test]
async fn a_trace_of_nothing_is_refused() {
    let world = World::new().await;
    for query in ["?seconds=0", "?seconds=3601", "?seconds=x", "?command=submit", "?verbose=1"] {
        assert_eq!(traced(&world, query).send().await.problem(), (400, "bad_request".into()), "{query}");
    }
    let nobody = world.get("/v1/carriers/moon/trace").by(Role::Operations).send().await;
    assert_eq!(nobody.problem(), (404, "not_found".into()));
}
