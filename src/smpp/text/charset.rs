//! ASCII, ISO 8859-1, ISO 8859-5 and UCS-2.

/// A character that an alphabet does not have, and its place in characters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Missing {
    pub(super) character: char,
    pub(super) position: usize,
}

fn encode_single(text: &str, octet_of: impl Fn(char) -> Option<u8>) -> Result<Vec<u8>, Missing> {
    text.chars()
        .enumerate()
        .map(|(position, character)| octet_of(character).ok_or(Missing { character, position }))
        .collect()
}

/// ASCII; an octet over 0x7F is a flaw and becomes U+FFFD.
pub(super) fn decode_ascii(octets: &[u8]) -> (String, bool) {
    let character = |octet: &u8| if octet.is_ascii() { char::from(*octet) } else { char::REPLACEMENT_CHARACTER };
    (octets.iter().map(character).collect(), !octets.is_ascii())
}

pub(super) fn encode_ascii(text: &str) -> Result<Vec<u8>, Missing> {
    encode_single(text, |c| u8::try_from(c).ok().filter(u8::is_ascii))
}

/// ISO 8859-1: the first 256 code points of Unicode.
pub(super) fn decode_latin1(octets: &[u8]) -> String {
    octets.iter().copied().map(char::from).collect()
}

pub(super) fn encode_latin1(text: &str) -> Result<Vec<u8>, Missing> {
    encode_single(text, |c| u8::try_from(c).ok())
}

/// What 0xA0 … 0xFF are in ISO 8859-5: Unicode's Cyrillic block, moved, but for four signs.
fn cyrillic(octet: u8) -> char {
    match octet {
        0x00..=0xA0 | 0xAD => char::from(octet),
        0xF0 => '№',
        0xFD => '§',
        _ => char::from_u32(u32::from(octet) - 0xA0 + 0x400).unwrap_or(char::REPLACEMENT_CHARACTER),
    }
}

pub(super) fn decode_cyrillic(octets: &[u8]) -> String {
    octets.iter().copied().map(cyrillic).collect()
}

pub(super) fn encode_cyrillic(text: &str) -> Result<Vec<u8>, Missing> {
    encode_single(text, |c| {
        let octet = match c {
            '№' => 0xF0,
            '§' => 0xFD,
            '\u{400}'..='\u{45F}' => u8::try_from(u32::from(c) - 0x400 + 0xA0).ok()?,
            _ => u8::try_from(c).ok()?,
        };
        (cyrillic(octet) == c).then_some(octet)
    })
}

/// UCS-2, read as UTF-16: big-endian unless a byte order mark says otherwise; the mark is taken off.
///
/// Flaws: little-endian order, an odd last octet (dropped), half a surrogate pair (U+FFFD).
pub(super) fn decode_ucs2(octets: &[u8]) -> (String, bool) {
    let (pairs, rest) = octets.as_chunks::<2>();
    let (read, pairs): (fn([u8; 2]) -> u16, _) = match pairs {
        [[0xFE, 0xFF], after @ ..] => (u16::from_be_bytes, after),
        [[0xFF, 0xFE], after @ ..] => (u16::from_le_bytes, after),
        _ => (u16::from_be_bytes, pairs),
    };
    let mut flawed = !rest.is_empty() || octets.starts_with(&[0xFF, 0xFE]);
    let text = char::decode_utf16(pairs.iter().copied().map(read))
        .map(|unit| {
            unit.unwrap_or_else(|_| {
                flawed = true;
                char::REPLACEMENT_CHARACTER
            })
        })
        .collect();
    (text, flawed)
}

/// UTF-16, big-endian, without a byte order mark.
pub(super) fn encode_ucs2(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}
