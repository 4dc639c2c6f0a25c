//! Callbacks as a test sends them: over sockets of their own, with the proofs that it chooses.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use data_encoding::HEXLOWER;
use md5::{Digest, Md5};
use serde_json::json;
use url::form_urlencoded;

use super::{CARRIER, Over, PATIENCE, World, over_http::callback_token};
use crate::{charge::Charge, simulator::CisConfig};

/// What the caller shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    None,
    /// What was agreed with this carrier.
    Right,
    Wrong,
    /// Right, at another carrier.
    Elsewhere,
}

/// What a callback says of a payment.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// Names the event, where the interface has names for them.
    pub(crate) event: String,
    pub(crate) wire_reference: String,
    /// The carrier's own id; over OneAPI the last part of the resource.
    pub(crate) carrier_id: String,
    pub(crate) number: String,
    pub(crate) amount: String,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Charged,
    /// Nothing was taken.
    NotTaken,
    Refunded,
    /// What no interface knows.
    Unheard,
}

/// A callback, ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct CallbackSent {
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Told {
    /// That the last attempt of this charge was paid.
    pub(crate) fn charged(charge: &Charge) -> Told {
        let attempt = charge.last_attempt().expect("an attempt");
        Told {
            event: "event-1".into(),
            wire_reference: attempt.wire_reference.clone(),
            carrier_id: "forged-1".into(),
            number: charge.order.msisdn.to_string(),
            amount: "80.00".into(),
            outcome: Outcome::Charged,
        }
    }

    pub(crate) fn as_sent(&self, over: Over, shown: Credential) -> CallbackSent {
        match over {
            Over::Camara { .. } => self.cloud_event(shown),
            Over::OneApi { .. } => self.one_api(shown),
            Over::Cis { .. } => self.cis(shown),
            Over::Smpp => unreachable!("it calls nobody back"),
        }
    }

    fn cloud_event(&self, shown: Credential) -> CallbackSent {
        let kind = match self.outcome {
            Outcome::Charged => "carrier-billing.v0.payment-completed",
            Outcome::NotTaken => "carrier-billing.v0.payment-denied",
            Outcome::Refunded => "carrier-billing-refund.v0.refund-completed",
            Outcome::Unheard => "carrier-billing.v0.payment-vanished",
        };
        let body = json!({
            "id": self.event, "source": "/carrier", "type": format!("org.camaraproject.{kind}"), "specversion": "1.0",
            "datacontenttype": "application/json", "time": "2026-11-22T10:00:00Z",
            "data": {
                "paymentId": self.carrier_id,
                "status": if self.outcome == Outcome::NotTaken { "failed" } else { "succeeded" },
            },
        });
        let mut headers = vec![("content-type", "application/cloudevents+json".to_owned())];
        headers.extend(token(shown).map(|token| ("authorization", format!("Bearer {token}"))));
        CallbackSent { path: format!("payments/{}", self.wire_reference), headers, body: body.to_string() }
    }

    fn one_api(&self, shown: Credential) -> CallbackSent {
        let status = match self.outcome {
            Outcome::Charged => "Charged",
            Outcome::NotTaken => "Denied",
            Outcome::Refunded => "Refunded",
            Outcome::Unheard => "Vanished",
        };
        let mut body = json!({ "amountTransaction": {
            "endUserId": format!("tel:{}", self.number),
            "paymentAmount": {
                "chargingInformation": { "amount": self.amount, "currency": "KZT" },
                "totalAmountCharged": self.amount,
            },
            "referenceCode": self.wire_reference,
            "serverReferenceCode": format!("SIM-{}", self.carrier_id),
            "resourceURL": format!("/payment/v1/tel%3A/transactions/amount/{}", self.carrier_id),
            "transactionOperationStatus": status,
        }});
        if let Some(token) = token(shown) {
            body["amountTransaction"]["callbackData"] = json!(token);
        }
        let headers = vec![("content-type", "application/json".to_owned())];
        CallbackSent { path: "payment".into(), headers, body: body.to_string() }
    }

    fn cis(&self, shown: Credential) -> CallbackSent {
        let result = match self.outcome {
            Outcome::Charged | Outcome::Refunded => "0",
            Outcome::NotTaken => "220",
            Outcome::Unheard => "999",
        };
        let account = self.number.trim_start_matches('+');
        let values = ["notify", account, &self.amount, &self.wire_reference, &self.carrier_id, result];
        let names = ["command", "account", "sum", "txn_id", "prv_txn", "result"];
        let secret = match shown {
            Credential::None => None,
            Credential::Right => Some(CisConfig::default().secret),
            Credential::Wrong => Some("wrong".to_owned()),
            Credential::Elsewhere => Some("secret-of-another".to_owned()),
        };
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(names.iter().zip(values));
        if let Some(secret) = secret {
            let signed = [&values[..], &[&secret]].concat().join(";");
            form.append_pair("sign", &HEXLOWER.encode(&Md5::digest(signed.as_bytes())));
        }
        let headers = vec![("content-type", "application/x-www-form-urlencoded".to_owned())];
        CallbackSent { path: "notify".into(), headers, body: form.finish() }
    }
}

fn token(shown: Credential) -> Option<String> {
    match shown {
        Credential::None => None,
        Credential::Right => Some(callback_token(CARRIER)),
        Credential::Wrong => Some("wrong".into()),
        Credential::Elsewhere => Some(callback_token(super::OTHER_CARRIER)),
    }
}

impl CallbackSent {
    /// As it goes over the wire.
    pub(crate) fn bytes(&self, carrier: &str) -> Vec<u8> {
        let mut text =
            format!("POST /carriers/{carrier}/{} HTTP/1.1\r\nhost: smsbus\r\nconnection: close\r\n", self.path);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("content-length: {}\r\n\r\n{}", self.body.len(), self.body));
        text.into_bytes()
    }
}

impl World {
    pub(crate) fn callbacks_address(&self) -> SocketAddr {
        self.callbacks.local_addr().expect("an address")
    }

    /// Calls back at the first carrier's address; the status of the answer.
    pub(crate) fn call_back(&self, sent: &CallbackSent) -> u16 {
        raw(self.callbacks_address(), &sent.bytes(CARRIER)).expect("an answer")
    }
}

/// Writes these bytes on a new connection; the status of the answer. `None` if there is none.
pub(crate) fn raw(address: SocketAddr, bytes: &[u8]) -> Option<u16> {
    exchange(address, bytes).map(|(status, _)| status)
}

/// Writes these bytes on a new connection, which the other side is to close; status and body of the answer. `None` if there is none.
pub(crate) fn exchange(address: SocketAddr, bytes: &[u8]) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    // Who is refused by the head alone may not get rid of the body.
    let _refused = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _reset = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    let status = text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    Some((status, body))
}
