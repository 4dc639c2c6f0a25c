//! From the SMSC to the client: MOs and receipts, each repeated with the same content until it is acknowledged, over
//! reconnects too.

use std::{sync::Arc, time::Duration};

use rusmpp::{
    pdus::DeliverSm,
    tlvs::MessageDeliveryRequestTlvValue as Tlv,
    types::{AnyOctetString, OctetString},
    values::{DataCoding, MessagePayload, Npi, Ton},
};
use tokio::time::{sleep, timeout};

use super::{
    exchange::Arrival,
    handle::{MoError, MoOutcome, MoReport},
    links::Answer,
    message::MessageKey,
    receipts,
    shared::Shared,
    text, wire,
};
use crate::msisdn::Msisdn;

/// Statuses after which a client wants the same message again: system error, queue full, throttled, RX_T_APPN.
const TEMPORARY: [u32; 4] = [0x08, 0x14, 0x58, 0x64];

/// What came of a message that was repeated until acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivered {
    Acknowledged,
    Refused(u32),
    TriesOver,
}

impl Shared {
    /// See [`super::Simulator::send_mo`]. The MO lives in a task of its own: who stops waiting does not stop it.
    pub(super) async fn send_mo(self: &Arc<Self>, msisdn: Msisdn, to: &str, text: &str) -> Result<MoReport, MoError> {
        let message = mo(msisdn, to, text)?;
        let place = Arc::clone(&self.deliveries)
            .try_acquire_owned()
            .map_err(|_| MoError::TooMany(self.config.limits.deliveries_max))?;
        let repeated = {
            let mut exchange = self.exchange();
            exchange.stats.mos += 1;
            exchange.mo_is_repeated(msisdn)
        };
        let shared = Arc::clone(self);
        let task = self.spawn(async move {
            let report = shared.see_mo_through(&message, repeated).await;
            drop(place);
            report
        });
        let stopped = MoReport { outcome: MoOutcome::ShutDown, tries: 0 };
        Ok(task.await.ok().flatten().unwrap_or(stopped))
    }

    /// Brings an accepted message to its phone and its receipts to the client.
    pub(super) async fn see_message_through(self: Arc<Self>, key: MessageKey, delay: Duration) {
        sleep(delay).await;
        let (_place, after, due) = loop {
            // The place is taken first, so that receipts nobody acknowledges hold back messages instead of piling up.
            let Ok(place) = self.deliveries.acquire().await else { return };
            let arrival = self.exchange().arrive(key, self.now());
            match arrival {
                Some(Arrival::Ended { after, receipts }) => break (place, after, receipts),
                Some(Arrival::Later(pause)) => {
                    drop(place);
                    sleep(pause).await;
                }
                None => return,
            }
        };
        if due.is_empty() {
            return;
        }
        sleep(after).await;
        for receipt in due {
            let Some(message) = receipts::write(&self.exchange(), key, receipt, self.now()) else { return };
            self.exchange().stats.receipts += 1;
            let mut tries = 0;
            let delivered = self.deliver(&message, u32::MAX, &mut tries).await;
            self.settle(delivered, false);
        }
    }

    async fn see_mo_through(&self, message: &DeliverSm, repeated: bool) -> MoReport {
        let settings = &self.config.redelivery;
        let mut tries = 0;
        let patience = Duration::from_millis(settings.mo_patience_ms);
        let delivered = timeout(patience, self.deliver(message, settings.mo_tries_max, &mut tries)).await;
        let delivered = delivered.unwrap_or(Delivered::TriesOver);
        if repeated && delivered == Delivered::Acknowledged {
            let _ = timeout(patience, self.deliver(message, settings.mo_tries_max, &mut tries)).await;
        }
        self.settle(delivered, true);
        let outcome = match delivered {
            Delivered::Acknowledged => MoOutcome::Acknowledged,
            Delivered::Refused(status) => MoOutcome::Refused(status),
            Delivered::TriesOver => MoOutcome::GivenUp,
        };
        MoReport { outcome, tries }
    }

    /// Sends until acknowledged, refused for good, or sent `tries_max` times. Only what was sent counts as a try.
    async fn deliver(&self, message: &DeliverSm, tries_max: u32, tries: &mut u32) -> Delivered {
        let settings = &self.config.redelivery;
        let within = Duration::from_millis(settings.acknowledge_within_ms);
        let mut pause = Duration::from_millis(settings.backoff_min_ms);
        let mut sent = 0;
        loop {
            let link = self.links.next_receiver().await;
            if sent > 0 {
                self.exchange().stats.redeliveries += 1;
            }
            sent += 1;
            *tries += 1;
            match link.deliver(message.clone(), within).await {
                Answer::Status(0) => return Delivered::Acknowledged,
                Answer::Status(status) if !TEMPORARY.contains(&status) => return Delivered::Refused(status),
                Answer::Status(_) | Answer::TimedOut | Answer::LinkLost => {}
            }
            if sent >= tries_max {
                return Delivered::TriesOver;
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(settings.backoff_max_ms));
        }
    }

    fn settle(&self, delivered: Delivered, is_mo: bool) {
        let stats = &mut self.exchange().stats;
        match (delivered, is_mo) {
            (Delivered::Acknowledged, true) => stats.mos_acknowledged += 1,
            (Delivered::Acknowledged, false) => stats.receipts_acknowledged += 1,
            (Delivered::Refused(_) | Delivered::TriesOver, _) => stats.deliveries_given_up += 1,
        }
    }
}

/// The `deliver_sm` of a passenger's text.
fn mo(msisdn: Msisdn, to: &str, text: &str) -> Result<DeliverSm, MoError> {
    if to.is_empty() || to.len() > 20 || !to.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(MoError::Address(to.chars().take(32).collect()));
    }
    let length = text.chars().count();
    if length > MoError::TEXT_CHARS_MAX {
        return Err(MoError::TooLong(length));
    }
    let (coding, octets) = text::encode(text);
    let message = DeliverSm::builder()
        .source_addr_ton(Ton::International)
        .source_addr_npi(Npi::Isdn)
        .source_addr(wire::c_string(&msisdn.e164().to_string()))
        .dest_addr_npi(Npi::Isdn)
        .destination_addr(wire::c_string(to))
        .esm_class(0.into())
        .data_coding(DataCoding::from(coding));
    Ok(match OctetString::from_slice(&octets) {
        // 254 octets is the most that short_message carries (SMPP 3.4, section 5.2.22).
        Ok(short_message) if octets.len() <= 254 => message.short_message(short_message).build(),
        _ => message.push_tlv(Tlv::MessagePayload(MessagePayload::new(AnyOctetString::from_vec(octets)))).build(),
    })
}
