//! What is done to the octets of a good PDU, so that it is one from the field.

use bytes::{BufMut, Bytes, BytesMut};

/// One thing that is wrong with a PDU (field cases 22 and 23).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    /// The last octet, the NUL of a last C-octet string, is missing.
    WithoutNul,
    /// TLVs that nobody knows; one comes twice and one, of a known tag, has the wrong length.
    OddTlvs,
    /// Octets follow that are no TLV.
    TrailingOctets,
    /// `sm_length` of a `deliver_sm` reaches past the end of the PDU.
    PastEnd,
}

/// Octets of a PDU's header.
const HEADER_OCTETS: usize = 16;
/// `language_indicator`, one octet by the specification.
const LANGUAGE_INDICATOR: u16 = 0x020D;
/// A vendor's tag that no vendor uses.
const NOBODYS_TLV: u16 = 0x3FF0;

impl Damage {
    /// The PDU with this damage; its `command_length` is right.
    pub(super) fn apply(self, pdu: &Bytes) -> Bytes {
        match self {
            Damage::WithoutNul if pdu.len() > HEADER_OCTETS => resized(&pdu.slice(..pdu.len() - 1)),
            Damage::WithoutNul => pdu.clone(),
            Damage::OddTlvs => {
                let odd = [(NOBODYS_TLV, &b"?"[..]), (LANGUAGE_INDICATOR, b"\x01\x02\x03"), (NOBODYS_TLV, b"?")];
                odd.iter().fold(pdu.clone(), |pdu, (tag, value)| with_tlv(&pdu, *tag, value))
            }
            Damage::TrailingOctets => resized(&[pdu, &b"\xDE\xAD\xBE"[..]].concat().into()),
            Damage::PastEnd => {
                let mut octets = BytesMut::from(&pdu[..]);
                if let Some(sm_length) = sm_length_at(pdu).and_then(|at| octets.get_mut(at)) {
                    *sm_length = u8::MAX - 1;
                }
                octets.freeze()
            }
        }
    }
}

/// A PDU with one more TLV at its end.
pub(super) fn with_tlv(pdu: &Bytes, tag: u16, value: &[u8]) -> Bytes {
    let mut octets = BytesMut::from(&pdu[..]);
    octets.put_u16(tag);
    // Values are a few octets.
    octets.put_u16(u16::try_from(value.len()).unwrap_or(u16::MAX));
    octets.put_slice(value);
    resized(&octets.freeze())
}

/// The same octets under their own `command_length`.
fn resized(octets: &Bytes) -> Bytes {
    let mut pdu = BytesMut::with_capacity(octets.len());
    pdu.put_u32(u32::try_from(octets.len()).unwrap_or(u32::MAX));
    pdu.put_slice(octets.get(4..).unwrap_or_default());
    pdu.freeze()
}

/// Where `sm_length` of a `deliver_sm` stands (SMPP 3.4, section 4.6.1).
fn sm_length_at(pdu: &[u8]) -> Option<usize> {
    let after_string = |at: usize| pdu.get(at..)?.iter().position(|octet| *octet == 0).map(|nul| at + nul + 1);
    let service_type = after_string(HEADER_OCTETS)?;
    let source = after_string(service_type + 2)?;
    let destination = after_string(source + 2)?;
    let schedule = after_string(destination + 3)?;
    let validity = after_string(schedule)?;
    // registered_delivery, replace_if_present_flag, data_coding, sm_default_msg_id.
    Some(validity + 4)
}

#[cfg(test)]
mod tests {
    use rusmpp::{
        CommandStatus,
        pdus::{DeliverSm, SubmitSmResp},
        types::OctetString,
    };

    use super::*;
    use crate::simulator::wire;

    fn receipt() -> Bytes {
        let message = DeliverSm::builder()
            .source_addr(wire::c_string("77010000001"))
            .destination_addr(wire::c_string("2505"))
            .short_message(OctetString::from_static_slice(b"id:7").expect("short"))
            .build();
        wire::pdu(CommandStatus::EsmeRok, 1, message)
    }

    fn declared(pdu: &[u8]) -> usize {
        pdu.first_chunk::<4>().map_or(0, |length| u32::from_be_bytes(*length) as usize)
    }

    #[test]
    fn damage_leaves_the_framing_whole() {
        for damage in [Damage::WithoutNul, Damage::OddTlvs, Damage::TrailingOctets, Damage::PastEnd] {
            let damaged = damage.apply(&receipt());
            assert_eq!(declared(&damaged), damaged.len(), "{damage:?}");
            assert_ne!(damaged, receipt(), "{damage:?}");
        }
    }

    #[test]
    fn the_length_of_the_text_is_found_and_nothing_else_is_touched() {
        let (good, bad) = (receipt(), Damage::PastEnd.apply(&receipt()));
        let differing: Vec<usize> = (0..good.len()).filter(|at| good[*at] != bad[*at]).collect();
        assert_eq!(differing, [good.len() - 5]);
        assert_eq!((good[good.len() - 5], bad[good.len() - 5]), (4, 254));
    }

    #[test]
    fn a_response_loses_the_nul_of_its_message_id() {
        let response = wire::pdu(CommandStatus::EsmeRok, 1, SubmitSmResp::new(wire::c_string("1000000"), Vec::new()));
        assert!(Damage::WithoutNul.apply(&response).ends_with(b"1000000"));
        let bare = wire::header_only(rusmpp::CommandId::SubmitSmResp, CommandStatus::EsmeRok, 1);
        assert_eq!(Damage::WithoutNul.apply(&bare), bare);
    }
}
