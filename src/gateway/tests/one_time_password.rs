//! One-time passwords over CAMARA, through the gateway and through the API over a socket.

use std::{net::SocketAddr, time::Duration};

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{
    http_faults::no_violation,
    world::{Over, PATIENCE, Setting, World, exchange, msisdn},
};
use crate::{
    api::{ApiConfig, Role, TokenConfig},
    charge::{Charge, Illegal, Reason, Reference, State},
    clock::{Clock, ManualClock},
    gateway::ApplyError,
    simulator::{Fault, FaultRule, Operation, PaymentStatus},
};

const ANNA: &str = "+77051111111";
const RIGHT: &str = "4711";

fn setting() -> Setting {
    Setting { over: Over::Camara { two_step: true }, ..Setting::default() }
}

/// A charge for which the carrier has asked the subscriber for a password.
fn awaiting(world: &World) -> Reference {
    world.simulator.set_otp(msisdn(ANNA), Some(RIGHT)).expect("room");
    let charge = world.bought(ANNA, "1234", "k");
    assert_eq!((charge.state, world.taken(ANNA)), (State::AwaitingOtp, 0));
    charge.reference
}

fn enter(world: &World, reference: Reference, otp: &str) -> Result<Charge, ApplyError> {
    world.run(world.gateway().submit_otp(reference, Zeroizing::new(otp.to_owned())))
}

fn until_charged(world: &World, reference: Reference) {
    let charge = world.until("it is charged", |world| {
        let charge = world.charge(reference);
        (charge.state == State::Charged).then_some(charge)
    });
    assert_eq!((charge.attempts.len(), world.taken(ANNA)), (1, 8_000));
    no_violation(world);
    world.audit();
}

fn held(world: &World) -> usize {
    world.simulator.payments().iter().filter(|payment| payment.status.holds()).count()
}

#[test]
fn the_right_password_takes_the_money_once_and_a_wrong_one_can_be_corrected() {
    let world = World::new(setting());
    let reference = awaiting(&world);
    assert_eq!(enter(&world, reference, "0000").expect("it waits for one").state, State::AwaitingOtp);
    assert_eq!(world.taken(ANNA), 0);
    enter(&world, reference, RIGHT).expect("it waits for one");
    until_charged(&world, reference);
    let again = enter(&world, reference, RIGHT);
    assert!(matches!(again, Err(ApplyError::Illegal(Illegal::NoOtpWanted { state: "charged" }))), "{again:?}");
    let text = format!("{:?}", world.run(world.gateway().store().journal(reference)).expect("the store"));
    assert!(!text.contains(RIGHT), "the password is in no record");
}

#[test]
fn entered_many_times_at_once_it_is_taken_once() {
    let world = World::new(setting());
    let reference = awaiting(&world);
    let entering: Vec<_> = (0..8)
        .map(|_| {
            let gateway = world.gateway().clone();
            world.spawn(async move { gateway.submit_otp(reference, Zeroizing::new(RIGHT.to_owned())).await })
        })
        .collect();
    for one in entering {
        let _too_late_is_fine = world.run(one).expect("no panic");
    }
    until_charged(&world, reference);
}

#[test]
fn too_many_wrong_passwords_end_the_charge_and_let_go_what_was_held() {
    let world = World::new(setting());
    let reference = awaiting(&world);
    for _ in 0..2 {
        assert_eq!(enter(&world, reference, "0000").expect("it waits for one").state, State::AwaitingOtp);
    }
    assert_eq!(enter(&world, reference, "0000").expect("it waits for one").state, State::Rejected(Reason::OtpExpired));
    assert!(enter(&world, reference, RIGHT).is_err());
    assert_eq!((world.taken(ANNA), held(&world)), (0, 0));
    world.audit();
}

#[test]
fn a_password_that_does_not_come_in_time_ends_the_charge_and_what_was_held_is_let_go() {
    let hand = ManualClock::new(Clock::System.now());
    let world = World::new(Setting { clock: Clock::Manual(hand.clone()), ..setting() });
    let reference = awaiting(&world);
    assert_eq!(held(&world), 1);
    hand.advance(Duration::from_secs(61));
    let late = enter(&world, reference, RIGHT);
    assert!(
        matches!(late, Err(ApplyError::Illegal(Illegal::DeadlinePassed | Illegal::NoOtpWanted { .. }))),
        "{late:?}"
    );
    let charge = world.until("it has ended", |world| {
        hand.advance(Duration::from_secs(1));
        Some(world.charge(reference)).filter(|charge| !charge.state.is_open())
    });
    assert_eq!(charge.state, State::Rejected(Reason::OtpExpired));
    assert_eq!((world.taken(ANNA), world.simulator.payments()[0].status), (0, PaymentStatus::Cancelled));
    no_violation(&world);
    world.audit();
}

#[test]
fn a_validation_whose_answer_is_lost_is_asked_about_and_one_that_was_lost_can_be_entered_again() {
    for (lost, was_done) in [
        (Fault::HttpTimeOutAfter { ms: 600 }, true),
        (Fault::HttpResetAfter, true),
        (Fault::HttpGarbage, true),
        (Fault::HttpErrorAfter { status: 500 }, true),
        (Fault::HttpTimeOutBefore { ms: 600 }, false),
        (Fault::HttpErrorBefore { status: 503 }, false),
        (Fault::HttpThrottle { retry_after_s: 0 }, false),
        (Fault::HttpForbidden, false),
        (Fault::HttpTokenExpired, false),
    ] {
        let world = World::new(setting());
        let reference = awaiting(&world);
        world.set_fault(FaultRule::for_number(msisdn(ANNA), 1, lost).on(Operation::Validate));
        let state = enter(&world, reference, RIGHT).expect("it waits for one").state;
        assert!(!state.is_not_taken(), "{lost:?}: {state:?}");
        if lost == Fault::HttpTokenExpired {
            // A token that was just got is not asked for anew: nobody hammers the token end point.
            std::thread::sleep(Duration::from_millis(1_100));
        }
        if !was_done {
            assert_eq!((world.charge(reference).state, world.taken(ANNA)), (State::AwaitingOtp, 0), "{lost:?}");
            enter(&world, reference, RIGHT).expect("it waits for one");
        }
        until_charged(&world, reference);
    }
}

#[test]
fn after_a_restart_the_password_is_passed_on_all_the_same() {
    for sqlite in [false, true] {
        let mut world = World::new(Setting { sqlite, ..setting() });
        let reference = awaiting(&world);
        world.kill();
        world.start();
        assert_eq!(world.charge(reference).state, State::AwaitingOtp);
        assert_eq!(enter(&world, reference, "0000").expect("it waits for one").state, State::AwaitingOtp);
        enter(&world, reference, RIGHT).expect("it waits for one");
        until_charged(&world, reference);
    }
}

#[test]
fn after_a_restart_past_the_deadline_nobody_is_charged_and_what_was_held_is_let_go() {
    let hand = ManualClock::new(Clock::System.now());
    let mut world = World::new(Setting { clock: Clock::Manual(hand.clone()), sqlite: true, ..setting() });
    let reference = awaiting(&world);
    world.kill();
    hand.advance(Duration::from_secs(61));
    world.start();
    assert!(enter(&world, reference, RIGHT).is_err());
    let charge = world.until("it has ended", |world| {
        hand.advance(Duration::from_secs(1));
        Some(world.charge(reference)).filter(|charge| !charge.state.is_open())
    });
    assert!(charge.state.is_not_taken(), "{charge:?}");
    assert_eq!((world.taken(ANNA), held(&world)), (0, 0));
    world.audit();
}

struct Api {
    address: SocketAddr,
    stop: CancellationToken,
}

impl Api {
    fn start(world: &World) -> Api {
        let token = |role: Role| {
            let sha256 = HEXLOWER.encode(&Sha256::digest(role.code())).parse().expect("a hash");
            (role.code().to_owned(), TokenConfig { sha256, roles: [role].into(), charges_per_second: None })
        };
        let config = ApiConfig { tokens: Role::ALL.map(token).into(), ..ApiConfig::default() };
        let (gateway, stop) = (world.gateway().clone(), CancellationToken::new());
        let listener = world.run(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let stopping = stop.clone();
        world.spawn(async move { crate::api::serve(listener, config, gateway, stopping).await.expect("it serves") });
        Api { address, stop }
    }

    fn post(&self, path: &str, role: Role, body: &str) -> (u16, Value) {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: smsbus\r\nconnection: close\r\nauthorization: Bearer {}\r\n\
             idempotency-key: k\r\nprefer: wait=10\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            role.code(),
            body.len()
        );
        let (status, answer) = exchange(self.address, head.as_bytes()).expect("an answer");
        (status, serde_json::from_str(&answer).unwrap_or(Value::Null))
    }
}

#[test]
fn a_password_is_entered_through_the_api_by_who_sells_and_by_nobody_else() {
    let world = World::new(setting());
    world.simulator.set_otp(msisdn(ANNA), Some(RIGHT)).expect("room");
    let api = Api::start(&world);
    let fare = json!({"msisdn": ANNA, "vehicle": "1234"}).to_string();
    let (status, charge) = api.post("/v1/charges", Role::Ticketing, &fare);
    assert_eq!((status, charge["state"].as_str()), (202, Some("awaiting_otp")), "{charge}");
    let reference = charge["reference"].as_str().expect("a reference").to_owned();
    let path = format!("/v1/charges/{reference}/otp");
    let body = |otp: &str| json!({ "otp": otp }).to_string();

    for role in [Role::Finance, Role::Support, Role::Inspection, Role::Operations] {
        assert_eq!(api.post(&path, role, &body(RIGHT)).0, 403, "{role:?}");
    }
    let unreadable = ["", "{", "[]", "null", "{}", r#"{"otp": 4711}"#, r#"{"otp": "4711", "x": 1}"#];
    let unusable = [body(""), body("47 11"), body("47\u{0}11"), body("٤٧١١"), body(&"1".repeat(33))];
    for bad in unreadable.iter().map(|bad| (*bad).to_owned()).chain(unusable) {
        let (status, problem) = api.post(&path, Role::Ticketing, &bad);
        assert!(matches!(status, 400 | 422) && problem["code"].is_string(), "{bad}: {status} {problem}");
        assert!(!problem.to_string().contains(RIGHT), "{problem}");
    }
    let unknown = Reference::new(world.gateway().now(), [7; 10]);
    assert_eq!(api.post(&format!("/v1/charges/{unknown}/otp"), Role::Ticketing, &body(RIGHT)).0, 404);
    assert_eq!(world.taken(ANNA), 0);

    let (status, charge) = api.post(&path, Role::Ticketing, &body("0000"));
    assert_eq!((status, charge["state"].as_str()), (202, Some("awaiting_otp")), "{charge}");
    let (status, charge) = api.post(&path, Role::Ticketing, &body(RIGHT));
    assert_eq!((status, charge["state"].as_str()), (200, Some("charged")), "{charge}");
    assert!(charge["ticket"]["qr_text"].is_string(), "{charge}");
    let (status, problem) = api.post(&path, Role::Ticketing, &body(RIGHT));
    assert_eq!((status, problem["code"].as_str()), (409, Some("conflict")), "{problem}");
    api.stop.cancel();
    let reference = reference.parse().expect("a UUID");
    let charge = world.run(world.gateway().wait(reference, PATIENCE)).expect("the store").expect("the charge").charge;
    assert_eq!((charge.state, world.taken(ANNA)), (State::Charged, 8_000));
    world.audit();
}
