//! The GSM 03.38 default alphabet (3GPP TS 23.038 section 6.2.1) and its packing (section 6.1.2).

use super::charset::Missing;

/// Introduces a character of the extension table.
const ESCAPE: u8 = 0x1B;
const CARRIAGE_RETURN: u8 = 0x0D;
const COMMERCIAL_AT: u8 = 0x00;

/// The default alphabet by septet. The place of ESCAPE holds a space, as the specification shows an escape that stands alone.
const BASIC: [char; 128] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å', //
    'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', ' ', 'Æ', 'æ', 'ß', 'É', //
    ' ', '!', '"', '#', '¤', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/', //
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':', ';', '<', '=', '>', '?', //
    '¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', //
    'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§', //
    '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', //
    'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à', //
];

/// The extension table: what a septet means after ESCAPE.
const EXTENSION: [(u8, char); 10] = [
    (0x0A, '\u{C}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2F, '\\'),
    (0x3C, '['),
    (0x3D, '~'),
    (0x3E, ']'),
    (0x40, '|'),
    (0x65, '€'),
];

/// No septet: marks a hole in [`SEPTETS`].
const NONE: u8 = 0xFF;

/// [`BASIC`] the other way round, for the characters below U+0100. The Greek capitals are searched for.
const SEPTETS: [u8; 256] = {
    let mut septets = [NONE; 256];
    let mut septet: u8 = 0;
    while septet < 128 {
        let character = BASIC[septet as usize] as usize;
        if character < 256 && septet != ESCAPE {
            septets[character] = septet;
        }
        septet += 1;
    }
    septets
};

/// One character in septets: itself, or behind an escape.
#[derive(Clone, Copy)]
enum Septets {
    Basic(u8),
    Extended(u8),
}

fn septets_of(character: char) -> Option<Septets> {
    let basic = match u8::try_from(character) {
        Ok(latin) => Some(SEPTETS[usize::from(latin)]).filter(|septet| *septet != NONE),
        Err(_) => BASIC.iter().position(|c| *c == character).and_then(|at| u8::try_from(at).ok()),
    };
    basic.map(Septets::Basic).or_else(|| {
        let (septet, _) = EXTENSION.iter().find(|(_, c)| *c == character)?;
        Some(Septets::Extended(*septet))
    })
}

/// How many septets the character takes: one, two behind an escape, none if the alphabet does not have it.
pub(super) fn septet_count(character: char) -> Option<usize> {
    septets_of(character).map(|septets| match septets {
        Septets::Basic(_) => 1,
        Septets::Extended(_) => 2,
    })
}

/// The text in septets, one in each octet.
pub(super) fn encode(text: &str) -> Result<Vec<u8>, Missing> {
    let mut septets = Vec::with_capacity(text.len());
    for (position, character) in text.chars().enumerate() {
        match septets_of(character).ok_or(Missing { character, position })? {
            Septets::Basic(septet) => septets.push(septet),
            Septets::Extended(septet) => septets.extend([ESCAPE, septet]),
        }
    }
    Ok(septets)
}

/// The characters of `septets`, and whether anything was wrong with them.
///
/// An extension that nobody defined shows the character of the default table, as the specification asks of a phone. An octet
/// over 0x7F becomes U+FFFD. An escape at the very end is dropped.
pub(super) fn decode(septets: impl Iterator<Item = u8>) -> (String, bool) {
    let mut text = String::with_capacity(septets.size_hint().0);
    let mut flawed = false;
    let mut escaped = false;
    for septet in septets {
        if septet == ESCAPE && !escaped {
            escaped = true;
            continue;
        }
        let extension = if escaped { EXTENSION.iter().find(|(code, _)| *code == septet) } else { None };
        let character = match extension {
            Some((_, character)) => *character,
            None => {
                flawed |= escaped;
                BASIC.get(usize::from(septet)).copied().unwrap_or_else(|| {
                    flawed = true;
                    char::REPLACEMENT_CHARACTER
                })
            }
        };
        text.push(character);
        escaped = false;
    }
    (text, flawed || escaped)
}

/// The bits that bring a text behind a header of `header_octets` to a septet's border.
pub(super) const fn fill_bits(header_octets: usize) -> usize {
    (7 - (header_octets * 8) % 7) % 7
}

/// Eight septets into seven octets, behind `fill_bits` empty bits. Where seven bits would be left over, which would read as one
/// more character, they hold a carriage return (3GPP TS 23.038 section 6.1.2.3.1).
pub(super) fn pack(septets: &[u8], fill_bits: usize) -> Vec<u8> {
    let spare_bits = (8 - (septets.len() * 7 + fill_bits) % 8) % 8;
    let padding = (spare_bits == 7).then_some(CARRIAGE_RETURN);
    let mut octets = Vec::with_capacity(septets.len());
    let (mut held, mut held_bits) = (0_u16, fill_bits);
    for septet in septets.iter().copied().chain(padding) {
        held |= u16::from(septet & 0x7F) << held_bits;
        held_bits += 7;
        if held_bits >= 8 {
            octets.push(held.to_le_bytes()[0]);
            held >>= 8;
            held_bits -= 8;
        }
    }
    if held_bits > 0 {
        octets.push(held.to_le_bytes()[0]);
    }
    octets
}

/// The septets in `octets`, behind `fill_bits` bits that mean nothing.
///
/// SMPP gives the length in octets, so a last septet that fills the last octet to its end may be padding: a carriage return or
/// zeros (which would read `@`) there are taken for it.
pub(super) fn unpack(octets: &[u8], fill_bits: usize) -> Vec<u8> {
    let bits = (octets.len() * 8).saturating_sub(fill_bits);
    let mut septets = Vec::with_capacity(bits / 7);
    let (mut held, mut held_bits, mut skip) = (0_u16, 0_usize, fill_bits);
    for octet in octets.iter().copied() {
        held |= u16::from(octet) << held_bits;
        held_bits += 8;
        let skipped = skip.min(held_bits);
        held >>= skipped;
        held_bits -= skipped;
        skip -= skipped;
        while held_bits >= 7 {
            septets.push(held.to_le_bytes()[0] & 0x7F);
            held >>= 7;
            held_bits -= 7;
        }
    }
    if held_bits == 0 && matches!(septets.last(), Some(&CARRIAGE_RETURN | &COMMERCIAL_AT)) {
        septets.pop();
    }
    septets
}
