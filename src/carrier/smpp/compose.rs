//! How what we send is written: the charged message, the text for a passenger, the id in a status query.

use std::time::Duration;

use crate::{
    carrier::{
        CarrierConfig, SmppProfile,
        tariff::{self, TariffError},
    },
    charge::{Attempt, Charge},
    clock::Timestamp,
    msisdn::Msisdn,
    smpp::{
        Address, SubmitSm,
        receipt::IdBase,
        text::{Alphabet, encode},
    },
};

/// The most that `short_message` holds (SMPP 3.4, 5.2.22).
const SHORT_MESSAGE_OCTETS_MAX: usize = 254;
/// `registered_delivery`: a receipt for success and failure (SMPP 3.4, 5.2.17).
const RECEIPT_WANTED: u8 = 1;

/// The message by which the carrier takes the fare of `charge`. `text` is what the phone shows.
///
/// Errors: the amount has no tariff, or a value of it does not fit its type.
pub(super) fn charged_message(
    config: &CarrierConfig,
    charge: &Charge,
    attempt: &Attempt,
    text: &str,
    now: Timestamp,
) -> Result<SubmitSm, TariffError> {
    let profile = &config.smpp;
    let message =
        message(config, charge.order.msisdn, text, profile.validity_period, charge.terms.ticket_deadline, now);
    let message = match attempt.wire_reference.parse() {
        Ok(number) if profile.user_message_reference => message.with_user_message_reference(number),
        _ => message,
    };
    tariff::apply(&profile.tariffs, charge, message)
}

/// A message from our short number, valid until `until`.
pub(super) fn message(
    config: &CarrierConfig,
    msisdn: Msisdn,
    text: &str,
    with_validity: bool,
    until: Timestamp,
    now: Timestamp,
) -> SubmitSm {
    let destination = Address::international(msisdn.e164().to_string());
    let mut message = SubmitSm::new(Address::short_code(config.short_number.clone()), destination);
    let (data_coding, octets) = encoded(text);
    message.data_coding = data_coding;
    // What is too long for the field goes into the parameter made for it (SMPP 3.4, 5.3.2.32).
    if octets.len() <= SHORT_MESSAGE_OCTETS_MAX {
        message.short_message = octets.into();
    } else {
        message = message.with_message_payload(octets);
    }
    message.registered_delivery = RECEIPT_WANTED;
    if with_validity {
        message.validity_period = relative_time(until.since(now));
    }
    message
}

/// Our normal form of an id, written back the way that the carrier wrote it in its response.
pub(super) fn id_as_written(profile: &SmppProfile, normal: &str) -> String {
    match (profile.message_id.response, normal.parse::<u128>()) {
        (IdBase::Hex, Ok(number)) => format!("{number:X}"),
        _ => normal.to_owned(),
    }
}

/// `data_coding` and octets: ASCII where the text is, UCS-2 otherwise. (The GSM alphabet is not used on the way out: what
/// `data_coding` 0 means differs by carrier, and our texts are Cyrillic or short.)
fn encoded(text: &str) -> (u8, Vec<u8>) {
    const DATA_CODING_IA5: u8 = 0x01;
    const DATA_CODING_UCS2: u8 = 0x08;
    match encode(text, Alphabet::Ascii) {
        Ok(octets) => (DATA_CODING_IA5, octets),
        Err(_) => (DATA_CODING_UCS2, encode(text, Alphabet::Ucs2).unwrap_or_default()),
    }
}

/// A relative time of SMPP (3.4, 7.1.1.2): `000000hhmmss000R`, at least one second and less than 100 hours.
fn relative_time(span: Duration) -> String {
    let seconds = span.as_secs().clamp(1, 99 * 3_600);
    format!("000000{:02}{:02}{:02}000R", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_time_is_written_as_the_specification_says() {
        assert_eq!(relative_time(Duration::from_secs(60)), "000000000100000R");
        assert_eq!(relative_time(Duration::from_secs(3_661)), "000000010101000R");
        assert_eq!(relative_time(Duration::ZERO), "000000000001000R");
        assert_eq!(relative_time(Duration::MAX), "000000990000000R");
    }

    #[test]
    fn a_text_goes_out_as_ascii_or_ucs2() {
        assert_eq!(encoded("OK 1"), (1, b"OK 1".to_vec()));
        assert_eq!(encoded("Қ"), (8, vec![0x04, 0x9A]));
    }
}
