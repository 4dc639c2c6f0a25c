use std::sync::{Arc, Mutex};

use axum::http::Method;

use super::world::{ANNA, Setting, World, fare, token};
use crate::api::{Role, auth::Access, routes};

#[tokio::test]
async fn every_route_lets_in_exactly_those_whom_the_table_names() {
    let world = World::new().await;
    for route in routes::table() {
        let path = route.path.replace("{reference}", "none").replace("{refund}", "none").replace("{name}", "none");
        let call = || world.call(route.method.clone(), &path);
        let unknown = call().unknown().send().await;
        let is_open = route.access == Access::Anyone;
        assert_eq!(unknown.status == 401, !is_open, "{} {}", route.method, route.path);
        if !is_open {
            assert_eq!(unknown.problem().1, "unauthenticated");
            assert_eq!(unknown.header("www-authenticate"), "Bearer");
        }
        for role in Role::ALL {
            let answer = call().by(role).send().await;
            let allowed = match route.access {
                Access::Anyone | Access::AnyCaller => true,
                Access::OneOf(roles) => roles.contains(&role),
            };
            assert_eq!(answer.status != 403, allowed, "{role:?}: {} {}: {answer:?}", route.method, route.path);
            assert_ne!(answer.status, 401);
        }
    }
}

#[tokio::test]
async fn a_token_that_is_not_known_is_refused_and_never_shown() {
    let world = World::new().await;
    let wrong = world.get("/v1/keys").token("the token for nobody").send().await;
    assert_eq!(wrong.problem(), (401, "unauthenticated".into()));
    assert_eq!(wrong.header("www-authenticate"), "Bearer error=\"invalid_token\"");
    assert!(!wrong.text().contains("nobody"));
    for header in ["Basic dXNlcjpwYXNz", "Bearer", "Bearer ", "bearer\tx", ""] {
        let answer = world.get("/v1/keys").unknown().header("authorization", header).send().await;
        assert_eq!(answer.problem().0, 401, "{header:?}");
    }
    // The scheme is not case-sensitive (RFC 9110, section 11.1).
    let lower = format!("bearer {}", token(Role::Inspection));
    assert_eq!(world.get("/v1/keys").unknown().header("authorization", &lower).send().await.status, 200);
}

#[tokio::test]
async fn a_caller_without_the_role_is_told_which_he_lacks() {
    let world = World::new().await;
    let answer = world.buy("k", &fare(ANNA)).by(Role::Inspection).send().await;
    assert_eq!(answer.problem(), (403, "forbidden".into()));
    assert_eq!(answer.json()["detail"], "one of these roles is needed: ticketing");
    assert_eq!(world.simulator.stats().submits, 0);
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_has_a_line_for_each_request_and_neither_numbers_nor_tokens_nor_keys() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone());
    // With one subscriber alone, tracing asks the thread that first comes to a place in the code whether anybody listens there,
    // and believes it for good: a test beside this one would answer no. With two it asks them.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _logged = tracing::subscriber::set_default(subscriber.finish());
    let world = World::new().await;
    let bought = world.bought("idempotency-4711", &fare(ANNA)).await;
    world.get("/v1/eligibility?msisdn=87051111111").send().await;
    world.get("/v1/tickets?msisdn=%2B77051111111").send().await;
    world.get("/v1/eligibility?msisdn=8705111111199").send().await;
    world.get("/v1/keys").token("a wrong token").send().await;
    world.get("/77051111111").send().await;
    let text = String::from_utf8(log.0.lock().expect("no panic").clone()).expect("UTF-8");
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("answered")).collect();
    assert_eq!(lines.len(), 6, "{text}");
    assert!(lines[0].contains("ticketing"), "{}", lines[0]);
    assert!(text.contains(&bought.reference().to_string()) && text.contains("+7705***1111"), "{text}");
    for secret in ["7051111111", "the token for", "a wrong token", "idempotency-4711"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[tokio::test]
async fn a_trace_of_the_caller_is_taken_up() {
    let world = World::new().await;
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traceparent = format!("00-{id}-00f067aa0ba902b7-01");
    let answer = world.call(Method::GET, "/nowhere").header("traceparent", &traceparent).send().await;
    assert_eq!(answer.json()["trace_id"], id);
}

#[tokio::test]
async fn a_caller_who_asks_for_more_charges_a_second_than_agreed_is_told_when_to_go_on() {
    let mut setting = Setting::default();
    let caller = setting.api.tokens.get_mut("ticketing").expect("the ticket service");
    caller.charges_per_second = Some(2.try_into().expect("more than nothing"));
    let world = World::with(setting).await;
    let mut answers = Vec::new();
    for key in ["1", "2", "3", "4"] {
        answers.push(world.buy(key, &fare(&format!("+7705111222{key}"))).send().await);
    }
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!((1..=2).contains(&refused.len()), "{answers:?}");
    assert_eq!(refused[0].problem(), (429, "too_many_requests".into()));
    assert_eq!(refused[0].header("retry-after"), "1");
    // Reading is not selling, and another caller has a rate of its own.
    assert_eq!(world.get("/v1/keys").send().await.status, 200);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(world.buy("4", &fare("+77051112224")).send().await.status.is_success());
}
