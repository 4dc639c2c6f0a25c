//! What a `deliver_sm` is: a receipt, or a message from a passenger.

use metrics::counter;
use tracing::warn;

use super::SmppCarrier;
use crate::{
    carrier::{Ack, CarrierEvent, CarrierReceipt},
    charge::Finding,
    msisdn::Msisdn,
    passenger::MoPart,
    smpp::{
        DeliverSm,
        receipt::{Delivery, Receipt, ReceiptTlvs, Voucher},
        text::{Concatenation, ReferenceNumber, decode_message},
        tlv::{self, Tlvs},
    },
};

impl SmppCarrier {
    pub(super) fn delivered(&self, sm: &DeliverSm, ack: Ack) -> Option<CarrierEvent> {
        let profile = &self.0.config.smpp;
        let (header, content) = decode_message(sm.esm_class, sm.data_coding, profile.default_alphabet, sm.message());
        let text = content.text().unwrap_or_default().to_owned();
        let receipted_message_id = sm.tlvs.text(tlv::RECEIPTED_MESSAGE_ID);
        let tlvs = receipt_tlvs(sm, receipted_message_id.as_deref());
        let receipt = Receipt::read(sm.esm_class, &text, &tlvs, &profile.message_id);

        let Ok(msisdn) = sm.source.addr.parse::<Msisdn>() else {
            // It can be nobody's purchase, and asking for it again would bring the same.
            warn!(carrier = %self.0.name, ton = sm.source.ton, "a message from an address that is no mobile number of Kazakhstan");
            counter!("carrier_unreadable_total", "carrier" => self.0.name.to_string(), "kind" => "source").increment(1);
            ack.refuse();
            return None;
        };
        match receipt {
            // Words alone can be written by a passenger: without the carrier's own mark they prove nothing.
            Some(receipt) if receipt.voucher != Voucher::TextOnly || profile.receipts_by_text_alone => {
                Some(CarrierEvent::Receipt { receipt: self.receipt(&receipt, msisdn, sm), ack })
            }
            _ => Some(CarrierEvent::Mo {
                msisdn,
                destination: sm.destination.addr.clone(),
                text,
                part: header.and_then(|header| header.concatenation).or_else(|| sar(&sm.tlvs)).map(part),
                ack,
            }),
        }
    }

    fn receipt(&self, receipt: &Receipt, msisdn: Msisdn, sm: &DeliverSm) -> CarrierReceipt {
        if receipt.disagreement {
            warn!(carrier = %self.0.name, state = %receipt.state, "a receipt contradicts itself");
            counter!("carrier_unreadable_total", "carrier" => self.0.name.to_string(), "kind" => "receipt")
                .increment(1);
        }
        let finding = if receipt.intermediate {
            Finding::Nothing
        } else {
            self.0.meanings.of_receipt(receipt, receipt.message_id.clone())
        };
        let delivered = match receipt.delivery() {
            Delivery::Delivered => Some(true),
            Delivery::Failed => Some(false),
            Delivery::NothingNew => None,
        };
        CarrierReceipt {
            carrier: self.0.name.clone(),
            carrier_id: receipt.message_id.clone(),
            msisdn,
            source: sm.destination.addr.clone(),
            finding,
            delivered,
            key: receipt.evidence_key(),
            submitted_at: receipt.submit_date.as_ref().and_then(|date| date.civil),
            user_message_reference: receipt.user_message_reference,
        }
    }
}

/// The place that the SAR parameters name (SMPP 3.4, 5.3.2.22 to 24); all three must be there, and make sense.
fn sar(tlvs: &Tlvs) -> Option<Concatenation> {
    let reference_number = tlvs.integer(tlv::SAR_MSG_REF_NUM)?.try_into().ok()?;
    let total = tlvs.integer(tlv::SAR_TOTAL_SEGMENTS)?.try_into().ok()?;
    let part = tlvs.integer(tlv::SAR_SEGMENT_SEQNUM)?.try_into().ok()?;
    Concatenation::from_sar(reference_number, total, part)
}

fn part(place: Concatenation) -> MoPart {
    let (reference_number, wide) = match place.reference_number {
        ReferenceNumber::Bits8(number) => (number.into(), false),
        ReferenceNumber::Bits16(number) => (number, true),
    };
    MoPart { reference_number, wide, total: place.total, number: place.part }
}

fn receipt_tlvs<'a>(sm: &DeliverSm, receipted_message_id: Option<&'a str>) -> ReceiptTlvs<'a> {
    let error = sm.tlvs.get(tlv::NETWORK_ERROR_CODE).and_then(|value| value.as_ref().try_into().ok());
    ReceiptTlvs {
        receipted_message_id,
        message_state: sm.tlvs.integer(tlv::MESSAGE_STATE).and_then(|state| state.try_into().ok()),
        network_error_code: error,
        user_message_reference: sm.tlvs.integer(tlv::USER_MESSAGE_REFERENCE).and_then(|number| number.try_into().ok()),
    }
}
