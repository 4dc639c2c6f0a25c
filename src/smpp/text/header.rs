/// The bit of `esm_class` that announces a user data header (SMPP 3.4 section 5.2.12).
pub(super) const UDH_INDICATOR: u8 = 0x40;

const CONCATENATED_8_BIT: u8 = 0x00;
const CONCATENATED_16_BIT: u8 = 0x08;

/// What a user data header says, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserDataHeader {
    /// How many octets it takes, its own length octet included.
    pub octets: usize,
    /// Which part of a longer message this is.
    pub concatenation: Option<Concatenation>,
    /// An element was cut short, or a part number made no sense; such an element is ignored.
    pub flawed: bool,
}

/// Which part of a longer message this is. From a user data header, or from the three SAR TLVs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Concatenation {
    /// The same in all parts.
    pub reference_number: ReferenceNumber,
    /// Of how many parts the message consists; at least 1.
    pub total: u8,
    /// Which one this is: 1 … `total`.
    pub part: u8,
}

/// The number that the parts of one message share. An 8-bit number and a 16-bit number are never the same message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReferenceNumber {
    /// Information element 0x00.
    Bits8(u8),
    /// Information element 0x08, or `sar_msg_ref_num`.
    Bits16(u16),
}

impl UserDataHeader {
    /// Takes the header off a message's octets. `None` if they are shorter than the header claims to be.
    ///
    /// Of several concatenation elements the last counts (3GPP TS 23.040 section 9.2.3.24).
    pub fn split(message: &[u8]) -> Option<(UserDataHeader, &[u8])> {
        let (length, rest) = message.split_first()?;
        let (mut elements, body) = rest.split_at_checked(usize::from(*length))?;
        let mut header = UserDataHeader { octets: usize::from(*length) + 1, concatenation: None, flawed: false };
        while let [id, length, rest @ ..] = elements {
            let Some((value, rest)) = rest.split_at_checked(usize::from(*length)) else { break };
            elements = rest;
            let parsed = match (*id, value) {
                (CONCATENATED_8_BIT, [n, total, part]) => Concatenation::new(ReferenceNumber::Bits8(*n), *total, *part),
                (CONCATENATED_16_BIT, [high, low, total, part]) => {
                    Concatenation::new(ReferenceNumber::Bits16(u16::from_be_bytes([*high, *low])), *total, *part)
                }
                (CONCATENATED_8_BIT | CONCATENATED_16_BIT, _) => None,
                _ => continue,
            };
            header.flawed |= parsed.is_none();
            header.concatenation = parsed.or(header.concatenation);
        }
        header.flawed |= !elements.is_empty();
        Some((header, body))
    }
}

impl Concatenation {
    /// `None` if there are no parts, or `part` is not one of them.
    pub const fn new(reference_number: ReferenceNumber, total: u8, part: u8) -> Option<Concatenation> {
        if part >= 1 && part <= total { Some(Concatenation { reference_number, total, part }) } else { None }
    }

    /// From `sar_msg_ref_num` (0x020C), `sar_total_segments` (0x020E) and `sar_segment_seqnum` (0x020F).
    pub const fn from_sar(reference_number: u16, total: u8, part: u8) -> Option<Concatenation> {
        Concatenation::new(ReferenceNumber::Bits16(reference_number), total, part)
    }

    /// The whole user data header that says this, its length octet first: 6 or 7 octets.
    pub fn to_header(&self) -> Vec<u8> {
        match self.reference_number {
            ReferenceNumber::Bits8(n) => vec![5, CONCATENATED_8_BIT, 3, n, self.total, self.part],
            ReferenceNumber::Bits16(n) => {
                let [high, low] = n.to_be_bytes();
                vec![6, CONCATENATED_16_BIT, 4, high, low, self.total, self.part]
            }
        }
    }
}
