//! One message to the ticket service: what is posted, and whether it was taken.

use std::time::Duration;

use metrics::counter;
use serde::Serialize;
use tracing::debug;

use super::{
    MoWebhookConfig, WebhookKey,
    endpoint::{Endpoint, Posting, Reply},
};
use crate::{
    carrier::web::WebClient,
    charge::{CarrierName, Reference},
    clock::Timestamp,
    msisdn::Msisdn,
    passenger::{self, Command},
    store::IncomingSms,
    transit::{VehicleName, Zone},
};

/// The way to the ticket service.
#[derive(Debug)]
pub struct MoWebhook {
    pub(super) config: MoWebhookConfig,
    pub(super) endpoint: Endpoint,
}

impl MoWebhook {
    /// With the keys that sign, the newest first, and a client that trusts whom the configuration says. `None` without a URL.
    pub fn new(config: MoWebhookConfig, keys: Vec<WebhookKey>, client: WebClient) -> Option<MoWebhook> {
        let endpoint = Endpoint::new("mo_webhook", config.address()?, keys, client, config.requests_max);
        Some(MoWebhook { config, endpoint })
    }

    pub(in crate::gateway) fn take_means_of(&self, other: &MoWebhook) {
        self.endpoint.take_means_of(&other.endpoint);
    }

    /// Posts a message once. Whether the ticket service has taken it.
    pub(super) async fn post(&self, posting: &Posting, at: Timestamp, patience: Duration) -> bool {
        let reply = self.endpoint.post(posting, at, patience).await;
        if let Reply::Refused { status, .. } = reply {
            debug!(mo = posting.id, status, "the ticket service has not taken a message");
        }
        counter!("mo_webhook_requests_total", "outcome" => reply.code()).increment(1);
        reply == Reply::Taken
    }
}

/// The body.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: Timestamp,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    mo: Reference,
    msisdn: Msisdn,
    carrier: &'a CarrierName,
    destination: &'a str,
    text: &'a str,
    received_at: Timestamp,
    answer_by: Timestamp,
    purchase: Purchase<'a>,
}

/// In the words of `POST /v1/charges`.
#[derive(Serialize)]
struct Purchase<'a> {
    vehicle: &'a VehicleName,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<Zone>,
    passengers: u8,
}

impl Posting {
    /// A message from a passenger. `None` for one that wants to buy nothing.
    pub(super) fn of_mo(sms: &IncomingSms, answer_by: Timestamp) -> Option<Posting> {
        let Wanted { vehicle, zone, passengers } = Wanted::of(sms)?;
        let event = Event {
            kind: "purchase.requested",
            timestamp: sms.received_at,
            data: Data {
                mo: sms.id,
                msisdn: sms.msisdn,
                carrier: &sms.carrier,
                destination: &sms.destination,
                text: &sms.text,
                received_at: sms.received_at,
                answer_by,
                purchase: Purchase { vehicle: &vehicle, zone, passengers },
            },
        };
        let body = serde_json::to_vec(&event).expect("text keys and finite numbers");
        Some(Posting { id: sms.id.to_string(), body: body.into() })
    }
}

/// What a message that was handed over wants to buy.
pub(super) struct Wanted {
    pub(super) vehicle: VehicleName,
    zone: Option<Zone>,
    passengers: u8,
}

impl Wanted {
    pub(super) fn of(sms: &IncomingSms) -> Option<Wanted> {
        // It was within the bound when it was handed over, whatever the bound is now.
        match passenger::parse(&sms.text, u8::MAX) {
            Ok(Command::Buy { vehicle, zone, passengers }) => Some(Wanted { vehicle, zone, passengers }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MoKind;

    #[test]
    fn the_body_says_what_the_passenger_wants_in_the_words_of_the_api() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a moment");
        let received_at = at("2026-03-01T07:30:00Z");
        let sms = IncomingSms {
            id: Reference::from_bytes(*b"\x01\x9c\xa8\x4c\xa0\xc0\x71\x23\x84\x56\x78\x9a\xbc\xde\xf0\x12"),
            carrier: "kcell".parse().expect("a name"),
            msisdn: "77011234567".parse().expect("a number"),
            destination: "2505".into(),
            text: "123 авс 02 3*2".into(),
            part: None,
            kind: MoKind::Prompt,
            fingerprint: [0; 32],
            received_at,
            kept_at: received_at,
            same_since: received_at,
        };
        let posting = Posting::of_mo(&sms, at("2026-03-01T07:30:20Z")).expect("a purchase");
        assert_eq!(posting.id, "019ca84c-a0c0-7123-8456-789abcdef012");
        insta::assert_json_snapshot!(serde_json::from_slice::<serde_json::Value>(&posting.body).expect("JSON"), @r#"
        {
          "data": {
            "answer_by": "2026-03-01T07:30:20.000Z",
            "carrier": "kcell",
            "destination": "2505",
            "mo": "019ca84c-a0c0-7123-8456-789abcdef012",
            "msisdn": "+77011234567",
            "purchase": {
              "passengers": 2,
              "vehicle": "123ABC02",
              "zone": 3
            },
            "received_at": "2026-03-01T07:30:00.000Z",
            "text": "123 авс 02 3*2"
          },
          "timestamp": "2026-03-01T07:30:00.000Z",
          "type": "purchase.requested"
        }
        "#);
        let plain =
            Posting::of_mo(&IncomingSms { text: "1234".into(), ..sms.clone() }, received_at).expect("a purchase");
        let body: serde_json::Value = serde_json::from_slice(&plain.body).expect("JSON");
        assert_eq!(body["data"]["purchase"], serde_json::json!({ "vehicle": "1234", "passengers": 1 }));
        assert!(Posting::of_mo(&IncomingSms { text: "ПОМОЩЬ".into(), ..sms }, received_at).is_none());
    }
}
