//! Optional parameters (SMPP 3.4, 5.3): tag, length, value.

use bytes::Bytes;

/// `receipted_message_id`: the id of the message that a delivery receipt speaks of.
pub const RECEIPTED_MESSAGE_ID: u16 = 0x001E;
/// `additional_status_info_text`: free text beside an error.
pub const ADDITIONAL_STATUS_INFO_TEXT: u16 = 0x001D;
/// `user_message_reference`: our number, which some carriers echo in receipts.
pub const USER_MESSAGE_REFERENCE: u16 = 0x0204;
/// `sar_msg_ref_num`: which long message a segment belongs to.
pub const SAR_MSG_REF_NUM: u16 = 0x020C;
/// `sar_total_segments`: how many segments the long message has.
pub const SAR_TOTAL_SEGMENTS: u16 = 0x020E;
/// `sar_segment_seqnum`: the number of this segment, from 1.
pub const SAR_SEGMENT_SEQNUM: u16 = 0x020F;
/// `sc_interface_version`: the SMPP version that the SMSC speaks.
pub const SC_INTERFACE_VERSION: u16 = 0x0210;
/// `network_error_code`: network type (1 byte) and error (2 bytes).
pub const NETWORK_ERROR_CODE: u16 = 0x0423;
/// `message_payload`: user data that is too long for `short_message`.
pub const MESSAGE_PAYLOAD: u16 = 0x0424;
/// `message_state`: the state that a delivery receipt reports.
pub const MESSAGE_STATE: u16 = 0x0427;
/// `congestion_state` (SMPP 5.0): how loaded the SMSC is, from 0 (idle) to 100 (it can take no more).
pub const CONGESTION_STATE: u16 = 0x0428;
/// `billing_identification` (SMPP 5.0): a carrier's billing data.
pub const BILLING_IDENTIFICATION: u16 = 0x060B;

/// One optional parameter, its value as it stood on the wire. Vendor tags are 0x1400–0x3FFF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tlv {
    /// What the value means; see the constants of this module.
    pub tag: u16,
    /// The raw value.
    pub value: Bytes,
}

/// The optional parameters of a PDU, in the order of the wire, each tag once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tlvs(Vec<Tlv>);

impl Tlvs {
    /// At most this many are kept of one PDU; no honest peer sends more than a dozen.
    pub const MAX: usize = 64;

    /// The raw value of `tag`.
    pub fn get(&self, tag: u16) -> Option<&Bytes> {
        self.0.iter().find(|tlv| tlv.tag == tag).map(|tlv| &tlv.value)
    }

    /// The value of `tag` as a number, whatever width from one to four bytes the peer chose. `None` for other widths.
    pub fn integer(&self, tag: u16) -> Option<u32> {
        let value = self.get(tag)?;
        (1..=4).contains(&value.len()).then(|| value.iter().fold(0, |sum, byte| (sum << 8) | u32::from(*byte)))
    }

    /// The value of `tag` as text: up to the first NUL or the end, each byte one character (Latin-1).
    pub fn text(&self, tag: u16) -> Option<String> {
        let value = self.get(tag)?;
        let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
        Some(latin1(value.get(..end).unwrap_or_default()))
    }

    /// All of them, in the order of the wire.
    pub fn iter(&self) -> impl Iterator<Item = &Tlv> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds `tlv`, unless its tag is there already: then the first stays, since it is the originator's, and what a relay
    /// on the way adds comes after it. Gives back whether it was added.
    pub(crate) fn add(&mut self, tlv: Tlv) -> bool {
        let fits = self.0.len() < Tlvs::MAX && self.get(tlv.tag).is_none();
        if fits {
            self.0.push(tlv);
        }
        fits
    }
}

impl FromIterator<Tlv> for Tlvs {
    fn from_iter<I: IntoIterator<Item = Tlv>>(tlvs: I) -> Tlvs {
        let mut all = Tlvs::default();
        for tlv in tlvs {
            all.add(tlv);
        }
        all
    }
}

/// Every byte as the character of the same number: lossless, so two different ids never become one.
pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tlvs(entries: &[(u16, &'static [u8])]) -> Tlvs {
        entries.iter().map(|(tag, value)| Tlv { tag: *tag, value: Bytes::from_static(value) }).collect()
    }

    #[test]
    fn the_first_of_two_equal_tags_wins() {
        let tlvs = tlvs(&[(MESSAGE_STATE, &[2]), (MESSAGE_STATE, &[5])]);
        assert_eq!(tlvs.integer(MESSAGE_STATE), Some(2));
        assert_eq!(tlvs.len(), 1);
    }

    #[test]
    fn a_number_may_have_any_width_up_to_four_bytes() {
        let tlvs = tlvs(&[(1, &[7]), (2, &[1, 0]), (3, &[0, 0, 1, 2]), (4, &[]), (5, &[0, 0, 0, 0, 1])]);
        assert_eq!([1, 2, 3, 4, 5, 6].map(|tag| tlvs.integer(tag)), [Some(7), Some(256), Some(258), None, None, None]);
    }

    #[test]
    fn text_ends_at_the_nul_or_at_the_end() {
        let tlvs = tlvs(&[(1, b"abc\0def"), (2, b"abc"), (3, b"\xE9")]);
        assert_eq!(tlvs.text(1).unwrap(), "abc");
        assert_eq!(tlvs.text(2).unwrap(), "abc");
        assert_eq!(tlvs.text(3).unwrap(), "é");
    }
}
