//! What a phone shows and what its owner types: GSM 03.38, Latin-1 and UCS-2, in the simulator's own few lines, so that
//! a mistake in the gateway's codec cannot hide behind the same mistake here.

/// The default alphabet of GSM 03.38, section 6.2.1, by septet. 0x1B is the escape and stands for itself.
const GSM: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\u{1b}ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// The extension table, section 6.2.1.1: the septet after the escape.
const GSM_EXTENSION: [(u8, char); 10] = [
    (0x0A, '\u{c}'),
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

const ESCAPE: u8 = 0x1B;

/// `data_coding` of the SMSC's default alphabet.
pub(super) const CODING_GSM: u8 = 0;
/// `data_coding` of UCS-2.
pub(super) const CODING_UCS2: u8 = 8;

/// The text of `octets` in the alphabet that `data_coding` names. What has no text is shown as its hexadecimal octets.
pub(super) fn decode(data_coding: u8, octets: &[u8]) -> String {
    match data_coding {
        CODING_GSM | 0xF0..=0xF3 => decode_gsm(octets),
        1 | 3 => octets.iter().copied().map(char::from).collect(),
        CODING_UCS2 if octets.len().is_multiple_of(2) => {
            let units = octets.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        _ => format!("hex:{}", data_encoding::HEXLOWER.encode(octets)),
    }
}

/// The shortest alphabet that holds `text`: GSM 03.38, one septet per octet, or UCS-2.
pub(super) fn encode(text: &str) -> (u8, Vec<u8>) {
    match encode_gsm(text) {
        Some(septets) => (CODING_GSM, septets),
        None => (CODING_UCS2, text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
    }
}

/// Cuts a user data header off, if `esm_class` says that there is one.
///
/// Returns the text's octets and, for a concatenated message, its part (GSM 03.40, section 9.2.3.24.1 and .8).
pub(super) fn strip_header(esm_class: u8, octets: &[u8]) -> (&[u8], Option<Part>) {
    if esm_class & 0x40 == 0 {
        return (octets, None);
    }
    let Some((header, text)) =
        octets.split_first().and_then(|(&length, rest)| rest.split_at_checked(usize::from(length)))
    else {
        return (octets, None);
    };
    let mut elements = header;
    let mut part = None;
    while let [id, length, rest @ ..] = elements {
        let Some((value, following)) = rest.split_at_checked(usize::from(*length)) else { break };
        match (*id, value) {
            (0x00, &[reference, total, number]) => part = Some(Part { reference: reference.into(), total, number }),
            (0x08, &[high, low, total, number]) => {
                part = Some(Part { reference: u16::from_be_bytes([high, low]), total, number });
            }
            _ => {}
        }
        elements = following;
    }
    (text, part)
}

/// Which part of a concatenated message this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Part {
    /// The same in all parts.
    pub reference: u16,
    /// How many there are.
    pub total: u8,
    /// Which one this is, from 1.
    pub number: u8,
}

fn decode_gsm(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    let mut escaped = false;
    for &octet in octets {
        match octet {
            ESCAPE if !escaped => escaped = true,
            _ => {
                let extended = GSM_EXTENSION.iter().find(|(septet, _)| escaped && *septet == octet).map(|(_, c)| *c);
                // A septet that the extension table lacks is shown as in the default alphabet, as phones do.
                text.push(extended.or_else(|| GSM.chars().nth(octet.into())).unwrap_or(char::REPLACEMENT_CHARACTER));
                escaped = false;
            }
        }
    }
    text
}

fn encode_gsm(text: &str) -> Option<Vec<u8>> {
    let mut septets = Vec::with_capacity(text.len());
    for c in text.chars() {
        match GSM.chars().position(|known| known == c && known != char::from(ESCAPE)) {
            Some(septet) => septets.push(u8::try_from(septet).ok()?),
            None => {
                let (septet, _) = GSM_EXTENSION.iter().find(|(_, known)| *known == c)?;
                septets.extend([ESCAPE, *septet]);
            }
        }
    }
    Some(septets)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_default_alphabet_has_128_places() {
        assert_eq!(GSM.chars().count(), 128);
        assert_eq!(decode(0, &[0x00, 0x10, 0x1B, 0x65, 0x41, 0x7F]), "@Δ€Aà");
    }

    #[test]
    fn cyrillic_goes_as_ucs2_and_latin_as_gsm() {
        assert_eq!(encode("1234*2"), (CODING_GSM, b"1234*2".to_vec()));
        assert_eq!(encode("Билет").0, CODING_UCS2);
        assert_eq!(decode(3, &[0xE9]), "é");
        assert_eq!(decode(8, &[0x04]), "hex:04");
        assert_eq!(decode(4, &[0xFF]), "hex:ff");
    }

    #[test]
    fn a_header_is_cut_off_and_names_its_part() {
        let part = |reference| Some(Part { reference, total: 2, number: 1 });
        assert_eq!(strip_header(0x40, &[5, 0, 3, 9, 2, 1, b'A']), (&b"A"[..], part(9)));
        assert_eq!(strip_header(0x40, &[6, 8, 4, 1, 0, 2, 1, b'A']), (&b"A"[..], part(256)));
        assert_eq!(strip_header(0x40, &[200, 1]), (&[200, 1][..], None));
        assert_eq!(strip_header(0, &[5, 0]), (&[5, 0][..], None));
    }

    proptest! {
        #[test]
        fn what_is_encoded_reads_back(text in "[a-zA-Z0-9 @€{}\\[\\]ЁА-яәіңғүұқөһ🚌]{0,80}") {
            let (coding, octets) = encode(&text);
            prop_assert_eq!(decode(coding, &octets), text);
        }

        #[test]
        fn no_octets_panic(coding: u8, esm_class: u8, octets: Vec<u8>) {
            decode(coding, strip_header(esm_class, &octets).0);
        }
    }
}
