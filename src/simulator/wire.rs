//! The wire: framing, the strict codec, and what the specification asks beyond it.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use data_encoding::HEXLOWER;
use rusmpp::{
    Command, CommandId, CommandStatus, Pdu,
    decode::DecodeWithLength,
    encode::{Length, owned::Encode},
    pdus::SubmitSm,
    tlvs::{TlvTag, TlvValue},
    types::{AnyOctetString, COctetString},
};
use uuid::Uuid;

use super::{
    link::LinkId,
    message::{ReceiptsWanted, Segment, Submission},
    refunds::{RefundOrder, RefundsConfig},
    text::{self, Part},
    times,
};
use crate::clock::Timestamp;

/// Vendor TLV: the tariff code, a C-octet string.
pub const TLV_TARIFF: u16 = 0x1401;
/// Vendor TLV: the client's reference, 16 octets.
pub const TLV_REFERENCE: u16 = 0x1402;

/// `command_length` is at least a header and at most this.
const PDU_OCTETS_MAX: usize = 64 * 1024;
const HEADER_OCTETS: usize = 16;
const SEQUENCE_MAX: u32 = 0x7FFF_FFFF;

/// A `command_length` after which the stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("command_length {0} is outside 16 to {PDU_OCTETS_MAX}")]
pub(super) struct BadLength(u32);

/// A decoded PDU, and what is wrong with it all the same.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) command: Command,
    pub(super) complaint: Option<String>,
}

/// A PDU that the strict codec refuses.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Undecodable {
    pub(super) command_id: u32,
    pub(super) sequence_number: u32,
    pub(super) reason: String,
}

/// A submission that is refused before the carrier looks at it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unacceptable {
    pub(super) status: CommandStatus,
    /// Set where the client broke the protocol; else the SMSC just does not serve this.
    pub(super) complaint: Option<String>,
}

/// Takes one whole PDU off the front of `buffer`. None until it is there.
pub(super) fn split(buffer: &mut BytesMut) -> Result<Option<Bytes>, BadLength> {
    let Some(&length) = buffer.first_chunk::<4>() else { return Ok(None) };
    let command_length = u32::from_be_bytes(length);
    match usize::try_from(command_length) {
        Ok(octets) if (HEADER_OCTETS..=PDU_OCTETS_MAX).contains(&octets) => {
            Ok((buffer.len() >= octets).then(|| buffer.split_to(octets).freeze()))
        }
        _ => Err(BadLength(command_length)),
    }
}

/// Decodes one PDU as [`split`] gave it.
pub(super) fn decode(frame: &Bytes) -> Result<Decoded, Undecodable> {
    let mut header = frame.clone();
    header.advance(4.min(header.len()));
    let [command_id, command_status, sequence_number] = [(); 3].map(|()| header.try_get_u32().unwrap_or_default());
    let mut rest = BytesMut::from(frame.get(4..).unwrap_or_default());
    let length = rest.len();
    let command = Command::decode(&mut rest, length).map(|(command, _)| command).map_err(|error| Undecodable {
        command_id,
        sequence_number,
        reason: error.to_string(),
    })?;
    let id = command.id();
    let complaint = if !rest.is_empty() {
        Some(format!("{} octets after the last field", rest.len()))
    } else if (sequence_number == 0 && id != CommandId::GenericNack) || sequence_number > SEQUENCE_MAX {
        Some(format!("sequence number {sequence_number:#x} is outside 1 to 0x7fffffff"))
    } else if id.is_operation() && command_status != 0 {
        Some(format!("a request with command_status {command_status:#x}"))
    } else if command.pdu().is_none() && (id.is_operation() || command_status == 0) {
        Some("no body where there should be one".to_owned())
    } else {
        None
    };
    Ok(Decoded { command, complaint })
}

/// A PDU's octets.
pub(super) fn encode(command: &Command) -> Bytes {
    let octets = 4 + command.length();
    let mut buffer = BytesMut::with_capacity(octets);
    // Nothing that the simulator sends comes near 4 GiB.
    buffer.put_u32(u32::try_from(octets).unwrap_or(u32::MAX));
    Encode::encode(command, &mut buffer);
    buffer.freeze()
}

/// A PDU.
pub(super) fn pdu(status: CommandStatus, sequence_number: u32, pdu: impl Into<Pdu>) -> Bytes {
    encode(&Command::new(status, sequence_number, pdu))
}

/// A PDU that is nothing but its header, as error responses may be (SMPP 3.4, section 4.4.2).
pub(super) fn header_only(command_id: CommandId, status: CommandStatus, sequence_number: u32) -> Bytes {
    encode(&Command::new(status, sequence_number, Pdu::Other { command_id, body: AnyOctetString::empty() }))
}

/// `text` as a C-octet string. What does not fit is cut; what is not ASCII becomes a question mark.
pub(super) fn c_string<const MAX: usize>(text: &str) -> COctetString<1, MAX> {
    let fitting = text.chars().map(|c| if c.is_ascii() && c != '\0' { c } else { '?' }).take(MAX - 1).collect();
    COctetString::from_string(fitting).unwrap_or_default()
}

/// What a `submit_sm` asks for, at a carrier with these `refunds`. Errors: the status that refuses it.
pub(super) fn submission(
    pdu: &SubmitSm,
    refunds: Option<&RefundsConfig>,
    via: LinkId,
    now: Timestamp,
) -> Result<Submission, Unacceptable> {
    let to_as_written = pdu.destination_addr.as_str().to_owned();
    let to = Some(&to_as_written)
        .filter(|address| address.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|address| address.parse().ok())
        .ok_or(Unacceptable { status: CommandStatus::EsmeRinvdstadr, complaint: None })?;
    let validity = times::validity(pdu.validity_period.as_str(), now)
        .map_err(|error| broken(CommandStatus::EsmeRinvexpiry, format!("validity_period: {error}")))?;
    let mut submission = Submission {
        from: pdu.source_addr.as_str().to_owned(),
        to,
        to_as_written,
        text: String::new(),
        segment: None,
        tariff: None,
        reference: None,
        refund: None,
        user_message_reference: None,
        receipts: ReceiptsWanted::from_registered_delivery(pdu.registered_delivery.into()),
        validity,
        via,
    };
    let mut payload = None;
    let mut sar = Sar::default();
    for value in pdu.tlvs().iter().filter_map(|tlv| tlv.value()) {
        match value {
            TlvValue::UserMessageReference(reference) => submission.user_message_reference = Some(reference.value),
            TlvValue::MessagePayload(octets) => payload = Some(octets.value.as_ref()),
            TlvValue::SarMsgRefNum(reference) => sar.reference = Some(*reference),
            TlvValue::SarTotalSegments(total) => sar.total = Some(*total),
            TlvValue::SarSegmentSeqnum(number) => sar.number = Some(*number),
            TlvValue::BillingIdentification(octets) => submission.tariff = Some(billing(octets.as_ref())?),
            TlvValue::Other { tag: TlvTag::Other(TLV_TARIFF), value } => {
                submission.tariff = Some(c_text(value.as_ref(), TLV_TARIFF)?);
            }
            TlvValue::Other { tag: TlvTag::Other(TLV_REFERENCE), value } => {
                submission.reference = Some(reference(value)?);
            }
            _ => {}
        }
    }
    let short_message = pdu.short_message().as_ref();
    let octets = match payload {
        Some(_) if !short_message.is_empty() => {
            return Err(broken(CommandStatus::EsmeRinvmsglen, "both short_message and message_payload".to_owned()));
        }
        Some(payload) => payload,
        None => short_message,
    };
    let (octets, part) = text::strip_header(pdu.esm_class.into(), octets);
    let data_coding = pdu.data_coding.into();
    submission.text = text::decode(data_coding, octets);
    if let Some(refunds) = refunds.filter(|refunds| refunds.service_type == pdu.service_type.value().as_str()) {
        submission.refund = Some(refund(pdu, refunds, &submission.text)?);
    }
    let part = part.or(sar.part()).filter(|part| (1..=part.total).contains(&part.number));
    submission.segment = part.map(|part| Segment { part, data_coding, octets: octets.to_vec() });
    Ok(submission)
}

/// The `sar_` TLVs, which name a part together (SMPP 3.4, section 5.3.2.22 to 24).
#[derive(Clone, Copy, Default)]
struct Sar {
    reference: Option<u16>,
    total: Option<u8>,
    number: Option<u8>,
}

impl Sar {
    fn part(self) -> Option<Part> {
        Some(Part { reference: self.reference?, total: self.total?, number: self.number? })
    }
}

/// The tariff in `billing_identification`: a first octet of 0x80 and above names the vendor's format and is no part of it
/// (SMPP 5.0, section 4.8.4.3); a NUL at the end is none either.
fn billing(octets: &[u8]) -> Result<String, Unacceptable> {
    let code = match octets {
        [0x80..=0xFF, code @ ..] => code,
        code => code,
    };
    let code = code.strip_suffix(b"\0").unwrap_or(code);
    if code.is_empty() || !code.iter().all(u8::is_ascii_graphic) {
        let complaint = format!("billing_identification is no tariff: {}", HEXLOWER.encode(octets));
        return Err(broken(CommandStatus::EsmeRinvtlvval, complaint));
    }
    Ok(code.iter().copied().map(char::from).collect())
}

fn reference(octets: &[u8]) -> Result<Uuid, Unacceptable> {
    Uuid::from_slice(octets).map_err(|_| {
        broken(CommandStatus::EsmeRinvtlvlen, format!("TLV {TLV_REFERENCE:#x} has {} octets, not 16", octets.len()))
    })
}

/// What a message that gives money back names. Errors: it names no message, or an amount that is none.
fn refund(pdu: &SubmitSm, refunds: &RefundsConfig, text: &str) -> Result<RefundOrder, Unacceptable> {
    let vendor = |tag| {
        let values = pdu.tlvs().iter().filter_map(|tlv| tlv.value());
        values.into_iter().find_map(|value| match value {
            TlvValue::Other { tag: TlvTag::Other(other), value } if *other == tag => Some(c_text(value, tag)),
            _ => None,
        })
    };
    let named = match refunds.message_id_tlv {
        Some(tag) => vendor(tag).transpose()?,
        None => text.split_whitespace().next_back().map(str::to_owned),
    };
    let message_id = named
        .filter(|id| !id.is_empty())
        .ok_or_else(|| broken(CommandStatus::EsmeRmissingtlv, "a refund that names no charged message".to_owned()))?;
    let amount = refunds.amount_tlv.and_then(vendor).transpose()?;
    let amount_minor = amount
        .map(|amount| amount.parse().ok().filter(|minor| *minor > 0).ok_or(amount))
        .transpose()
        .map_err(|amount| broken(CommandStatus::EsmeRinvtlvval, format!("a refund of {amount:?} tiyn")))?;
    Ok(RefundOrder { message_id, amount_minor })
}

/// A C-octet string of a vendor TLV.
fn c_text(octets: &[u8], tag: u16) -> Result<String, Unacceptable> {
    match octets.split_last() {
        Some((0, code)) if code.iter().all(u8::is_ascii_graphic) => Ok(code.iter().copied().map(char::from).collect()),
        _ => Err(broken(
            CommandStatus::EsmeRinvtlvval,
            format!("TLV {tag:#x} is no C-octet string: {}", HEXLOWER.encode(octets)),
        )),
    }
}

fn broken(status: CommandStatus, complaint: String) -> Unacceptable {
    Unacceptable { status, complaint: Some(complaint) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusmpp::{tlvs::MessageSubmissionRequestTlvValue, types::OctetString};

    use super::*;

    #[test]
    fn pdus_are_split_off_whole_and_bad_lengths_end_the_stream() {
        let enquire_link = pdu(CommandStatus::EsmeRok, 7, Pdu::EnquireLink);
        let mut buffer = BytesMut::from(&enquire_link[..15]);
        assert_eq!(split(&mut buffer), Ok(None));
        buffer.extend_from_slice(&enquire_link[15..]);
        buffer.extend_from_slice(&enquire_link);
        assert_eq!(split(&mut buffer), Ok(Some(enquire_link.clone())));
        assert_eq!(split(&mut buffer), Ok(Some(enquire_link)));
        for length in [0, 15, 65_537, u32::MAX] {
            assert_eq!(split(&mut BytesMut::from(&length.to_be_bytes()[..])), Err(BadLength(length)));
        }
    }

    #[test]
    fn what_the_codec_lets_pass_but_the_specification_does_not_is_complained_about() {
        let complaint = |octets: &[u8]| decode(&Bytes::copy_from_slice(octets)).expect("decodes").complaint;
        let good = pdu(CommandStatus::EsmeRok, 7, Pdu::EnquireLink);
        assert_eq!(complaint(&good), None);
        let mut zero_sequence = good.to_vec();
        zero_sequence[15] = 0;
        assert!(complaint(&zero_sequence).is_some_and(|text| text.contains("sequence")));
        let mut status = good.to_vec();
        status[11] = 1;
        assert!(complaint(&status).is_some_and(|text| text.contains("command_status")));
        let body = [&good[..], b"x"].concat();
        assert!(complaint(&body).is_some_and(|text| text.contains("1 octets after")));
        let bare = header_only(CommandId::SubmitSm, CommandStatus::EsmeRok, 1);
        assert!(complaint(&bare).is_some_and(|text| text.contains("no body")));
    }

    proptest! {
        #[test]
        fn no_octets_panic(id in prop::sample::select(vec![1_u32, 2, 3, 4, 5, 9, 0x15, 0x103, 0x8000_0004, 0x8000_0005]), body: Vec<u8>) {
            let mut frame = BytesMut::new();
            frame.put_u32(u32::try_from(16 + body.len()).expect("short"));
            frame.put_u32(id);
            frame.put_u32(0);
            frame.put_u32(1);
            frame.put_slice(&body);
            if let Ok(Decoded { command, .. }) = decode(&frame.freeze())
                && let Some(Pdu::SubmitSm(submit)) = command.pdu()
            {
                let _ = submission(submit, Some(&RefundsConfig::default()), LinkId::default(), Timestamp::from_unix_seconds(0));
            }
        }

        #[test]
        fn no_damage_to_a_good_submit_sm_panics(damage in prop::collection::vec((16_usize..100, any::<u8>()), 0..6)) {
            let tlvs = [(TLV_TARIFF, &b"BUS_80\0"[..]), (TLV_REFERENCE, &[7; 16]), (0x0204, &[0, 1])].map(|(tag, octets)| {
                MessageSubmissionRequestTlvValue::Other {
                    tag: TlvTag::from(tag),
                    value: AnyOctetString::from_static_slice(octets),
                }
            });
            let submit = SubmitSm::builder()
                .destination_addr(c_string("77010000001"))
                .esm_class(0x40.into())
                .short_message(OctetString::from_static_slice(&[5, 0, 3, 9, 2, 1, b'A']).expect("short"))
                .tlvs(tlvs.into())
                .build();
            let mut octets = pdu(CommandStatus::EsmeRok, 1, submit).to_vec();
            for (at, octet) in damage {
                if let Some(place) = octets.get_mut(at) {
                    *place = octet;
                }
            }
            if let Ok(Decoded { command, .. }) = decode(&octets.into())
                && let Some(Pdu::SubmitSm(submit)) = command.pdu()
            {
                let _ = submission(submit, Some(&RefundsConfig::default()), LinkId::default(), Timestamp::from_unix_seconds(0));
            }
        }
    }
}
