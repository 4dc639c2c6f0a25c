use thiserror::Error;

use super::{
    charset,
    coding::{Alphabet, DefaultAlphabet, encode},
    gsm,
    header::{Concatenation, ReferenceNumber, UDH_INDICATOR},
};

/// What fits one UCS-2 segment that stands alone, in UTF-16 units.
pub const UCS2_UNITS_SINGLE: usize = 70;
/// What fits one of several UCS-2 segments, behind the longest mark that a part can have.
const UCS2_UNITS_PART: usize = 66;
/// What fits one segment of the GSM alphabet that stands alone, in septets.
const SEPTETS_SINGLE: usize = 160;
/// What fits one of several segments of the GSM alphabet, behind the same.
const SEPTETS_PART: usize = 152;

const DATA_CODING_DEFAULT: u8 = 0x00;
const DATA_CODING_UCS2: u8 = 0x08;

/// What a text takes on the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// [`Alphabet::GsmPacked`] if it has all characters, else [`Alphabet::Ucs2`].
    pub alphabet: Alphabet,
    /// The length of the whole text: septets, or UTF-16 units.
    pub units: usize,
    /// How many messages it takes; an empty text takes one.
    pub segments: usize,
}

/// Counts what `text` takes on the air, where the GSM alphabet is always packed. No surrogate pair and no escaped character is
/// cut in two, so a long text may need a segment more than its units suggest.
pub fn segments(text: &str) -> Segments {
    let alphabet = air_alphabet(text);
    let pieces = split(text, alphabet);
    Segments { alphabet, units: units(text, alphabet), segments: pieces.len() }
}

/// How the parts of a long text say which they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PartMark {
    /// By a user data header before the text (3GPP TS 23.040 section 9.2.3.24.8), which the phone itself reads: with a number of
    /// sixteen bits, so that the parts of two texts to one phone are not mixed.
    Header,
    /// By the older header (section 9.2.3.24.1), which has room for eight bits of the number.
    ShortHeader,
    /// By the three SAR parameters (SMPP 3.4 sections 5.3.2.22 to 24), of which the SMSC makes a header.
    Sar,
}

/// One message of a text, ready for `submit_sm`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What to set in `esm_class`: 0x40 where a user data header leads the octets, else 0.
    pub esm_class: u8,
    /// 0 for the carrier's default alphabet, 8 for UCS-2.
    pub data_coding: u8,
    /// At most 160 octets.
    pub short_message: Vec<u8>,
    /// What the SAR parameters have to say; only with [`PartMark::Sar`], and never for a text that is whole.
    pub sar: Option<Sar>,
}

/// The values of the SAR parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sar {
    /// `sar_msg_ref_num`.
    pub reference_number: u16,
    /// `sar_total_segments`.
    pub total: u8,
    /// `sar_segment_seqnum`, from 1.
    pub part: u8,
}

/// A text that needs more segments than allowed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the text takes {segments} segments, at most {segments_max} are allowed")]
pub struct TooManySegments {
    /// What it takes.
    pub segments: usize,
    /// What is allowed.
    pub segments_max: u8,
}

/// Encodes `text` into as few messages as it takes: in the carrier's default alphabet where that and the GSM alphabet both
/// have every character, else in UCS-2. Several parts carry `reference_number`, which should differ from
/// that of the last texts to the same number.
///
/// Errors: more than `segments_max` parts.
pub fn split_message(
    text: &str,
    default: DefaultAlphabet,
    mark: PartMark,
    reference_number: u16,
    segments_max: u8,
) -> Result<Vec<Part>, TooManySegments> {
    let (data_coding, alphabet) = wire_alphabet(text, default);
    let on_the_air = if alphabet == Alphabet::Ucs2 { Alphabet::Ucs2 } else { Alphabet::GsmPacked };
    let pieces = split(text, on_the_air);
    let segments = pieces.len();
    let total = u8::try_from(segments).ok().filter(|total| *total <= segments_max);
    let total = total.ok_or(TooManySegments { segments, segments_max })?;
    let part = |(part, piece)| {
        let header_of = |reference_number| Concatenation { reference_number, total, part }.to_header();
        let (header, sar) = match mark {
            _ if total == 1 => (Vec::new(), None),
            PartMark::Header => (header_of(ReferenceNumber::Bits16(reference_number)), None),
            PartMark::ShortHeader => (header_of(ReferenceNumber::Bits8(low_byte(reference_number))), None),
            PartMark::Sar => (Vec::new(), Some(Sar { reference_number, total, part })),
        };
        let esm_class = if header.is_empty() { 0 } else { UDH_INDICATOR };
        Part { esm_class, data_coding, short_message: append(header, piece, alphabet), sar }
    };
    Ok((1..=total).zip(pieces).map(part).collect())
}

/// `data_coding` and the octets of a text that is not split, however long it is: in the same alphabet that [`split_message`] takes.
pub fn encode_message(text: &str, default: DefaultAlphabet) -> (u8, Vec<u8>) {
    let (data_coding, alphabet) = wire_alphabet(text, default);
    (data_coding, append(Vec::new(), text, alphabet))
}

/// `data_coding`, and the alphabet that it stands for at this carrier.
///
/// A carrier whose default is Latin-1 still packs septets on the air, so both alphabets must have every character.
fn wire_alphabet(text: &str, default: DefaultAlphabet) -> (u8, Alphabet) {
    match default.alphabet() {
        alphabet if air_alphabet(text) == Alphabet::GsmPacked && encode(text, alphabet).is_ok() => {
            (DATA_CODING_DEFAULT, alphabet)
        }
        _ => (DATA_CODING_UCS2, Alphabet::Ucs2),
    }
}

const fn low_byte(number: u16) -> u8 {
    number.to_be_bytes()[1]
}

/// `piece` behind `header`. Every character is in the alphabet: the caller has tried.
fn append(mut header: Vec<u8>, piece: &str, alphabet: Alphabet) -> Vec<u8> {
    let fill_bits = gsm::fill_bits(header.len());
    let body = match alphabet {
        Alphabet::GsmPacked => gsm::encode(piece).map(|septets| gsm::pack(&septets, fill_bits)).unwrap_or_default(),
        Alphabet::Ucs2 => charset::encode_ucs2(piece),
        _ => encode(piece, alphabet).unwrap_or_default(),
    };
    header.extend(body);
    header
}

fn air_alphabet(text: &str) -> Alphabet {
    let gsm = text.chars().all(|c| gsm::septet_count(c).is_some());
    if gsm { Alphabet::GsmPacked } else { Alphabet::Ucs2 }
}

/// Septets or UTF-16 units of one character.
fn width(character: char, alphabet: Alphabet) -> usize {
    match alphabet {
        Alphabet::Ucs2 => character.len_utf16(),
        _ => gsm::septet_count(character).unwrap_or(1),
    }
}

fn units(text: &str, alphabet: Alphabet) -> usize {
    text.chars().map(|c| width(c, alphabet)).sum()
}

/// The text in pieces that fit one segment each; at least one piece.
fn split(text: &str, alphabet: Alphabet) -> Vec<&str> {
    let (single, per_part) = match alphabet {
        Alphabet::Ucs2 => (UCS2_UNITS_SINGLE, UCS2_UNITS_PART),
        _ => (SEPTETS_SINGLE, SEPTETS_PART),
    };
    if units(text, alphabet) <= single {
        return vec![text];
    }
    let mut pieces = Vec::new();
    let (mut start, mut used) = (0, 0);
    for (at, character) in text.char_indices() {
        let width = width(character, alphabet);
        if used + width > per_part {
            pieces.push(&text[start..at]);
            (start, used) = (at, 0);
        }
        used += width;
    }
    pieces.push(&text[start..]);
    pieces
}
