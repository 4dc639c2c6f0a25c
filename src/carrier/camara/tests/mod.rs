//! The adapter against a carrier over real sockets, and its tables row by row.

mod charging;
mod clock;
mod events;
mod facts;
mod listing;
mod meaning;
mod profile;
mod recovery;
mod refunds;
mod server;
mod two_steps;

use server::Server;

use super::*;
use crate::{
    carrier::{Urgency, web::WebSlot},
    charge::{
        Attempt, AttemptState, Charge, Event, Evidence, EvidenceSource, Finding, LateSuccess, Reference, Refund, Terms,
        samples, step,
    },
    clock::Timestamp,
    money::{Currency, Money},
};
use std::time::Duration;
use zeroize::Zeroizing;

const NOW: Timestamp = Timestamp::from_unix_ms(1_772_350_200_000);
const REFERENCE: Reference = Reference::from_bytes([0x11; 16]);
const WIRE_REFERENCE: &str = "11111111-1111-1111-1111-111111111111-1";
const PAYMENT_ID: &str = "AK234rfweSBuWGFUEWFGWEVWRV";

/// A profile with these further keys.
fn profile(base: &str, more: &str) -> CamaraProfile {
    let rate = if more.contains("tps") { "" } else { "tps = 1000" };
    toml::from_str(&format!(
        r#"
        billing_url = "{base}/carrier-billing/v0.5"
        refund_url = "{base}/carrier-billing-refund/v0.3"
        sim_swap_url = "{base}/sim-swap/v2"
        tenure_url = "{base}/kyc-tenure/v0.2"
        connect_timeout_ms = 1000
        response_timeout_ms = 3000
        {rate}
        {more}
        token = {{ url = "{base}/token", client_id = "smsbus", client_secret_file = "secret" }}
        reasons = {{ "pending debt" = "credit_debt", "debt" = "insufficient_balance", "CARRIER_BILLING.UNAUTHORIZED_AMOUNT" = "daily_limit" }}
        "#
    ))
    .expect("a profile")
}

fn secrets() -> CamaraSecrets {
    let token = |text: &str| Zeroizing::new(text.to_owned());
    CamaraSecrets { client_secret: token("secret"), callback_tokens: vec![token("new"), token("old")], tls: None }
}

/// A charge of 80 tenge with its first attempt open.
fn charge(profile: &CamaraProfile) -> Charge {
    let terms = Terms::new(NOW.plus(Duration::from_secs(60)), LateSuccess::Refund);
    let charge = Charge::new(REFERENCE, samples::order(NOW), terms);
    let event = Event::OpenAttempt {
        carrier: "kcell".parse().unwrap(),
        wire_reference: WIRE_REFERENCE.into(),
        contract: profile.contract(),
        carrier_time: Some(NOW),
    };
    step(&charge, event, NOW).unwrap().next
}

/// What becomes of it by this finding.
fn heard(charge: &Charge, finding: Finding) -> Charge {
    let id = format!("test:{}", charge.version);
    let evidence = Evidence { id, attempt: 1, source: EvidenceSource::Response, finding };
    step(charge, Event::Evidence(evidence), NOW.plus(Duration::from_millis(500))).unwrap().next
}

fn attempt(charge: &Charge) -> &Attempt {
    charge.attempt(1).unwrap()
}

fn in_doubt(charge: &Charge) -> Charge {
    let charge = heard(charge, Finding::Doubtful { cause: crate::charge::Doubt::Timeout });
    assert!(matches!(attempt(&charge).state, AttemptState::InDoubt { .. }));
    charge
}

fn charged(charge: &Charge) -> Charge {
    heard(charge, Finding::Charged { carrier_id: Some(PAYMENT_ID.into()), amount: None })
}

fn some_id() -> Option<String> {
    Some(PAYMENT_ID.to_owned())
}

/// A payment as the files describe it, with another value for some of its fields.
fn payment(status: &str, replace: &[(&str, &str)]) -> String {
    let mut text = format!(
        r#"{{"paymentId":"{PAYMENT_ID}","amountTransaction":{{"phoneNumber":"+77011234567","clientCorrelator":"{WIRE_REFERENCE}","paymentAmount":{{"chargingInformation":{{"amount":80,"currency":"KZT","description":"Bus 1234"}}}},"referenceCode":"{WIRE_REFERENCE}","resourceURL":"urn:payments:AK234rfweSBuWGFUEWFGWEVWRV","serverReferenceCode":"ref-serv"}},"paymentStatus":"{status}","paymentCreationDate":"2026-03-01T07:30:00.2Z","paymentDate":"2026-03-01T07:30:01+00:00"}}"#
    );
    for (from, to) in replace {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    text
}

/// `ErrorInfo`.
fn error(status: u16, code: &str, message: &str) -> String {
    serde_json::json!({ "status": status, "code": code, "message": message }).to_string()
}

#[track_caller]
fn rejection(finding: &Finding) -> (crate::charge::Reason, crate::charge::Retry, &str) {
    match finding {
        Finding::Rejected { reason, retry, detail } => (*reason, *retry, detail),
        other => panic!("{other:?}"),
    }
}

/// An open carrier and the server behind it.
struct Scene {
    server: Server,
    carrier: CamaraCarrier,
}

impl Scene {
    async fn new(more: &str) -> Scene {
        let server = Server::start().await;
        let carrier = open(&profile(&server.base(), more));
        Scene { server, carrier }
    }

    fn charge(&self) -> Charge {
        charge(self.carrier.profile())
    }

    fn slot(&self) -> WebSlot {
        self.carrier.try_reserve().expect("a slot")
    }

    async fn take(&self, charge: &Charge) -> Evidence {
        let slot = self.carrier.reserve(Duration::from_secs(5), Urgency::Normal).await.unwrap();
        self.carrier.charge(slot, charge, attempt(charge)).await
    }
}

fn open(profile: &CamaraProfile) -> CamaraCarrier {
    CamaraCarrier::open("kcell".parse().unwrap(), Currency::Kzt, profile.clone(), &secrets()).unwrap()
}
