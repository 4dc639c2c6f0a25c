use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    charset, gsm,
    header::{self, UserDataHeader},
};

/// How characters are laid into the octets of a short message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alphabet {
    /// GSM 03.38 default alphabet, one septet in each octet.
    GsmUnpacked,
    /// GSM 03.38 default alphabet, eight septets in seven octets.
    GsmPacked,
    /// ASCII (IA5).
    Ascii,
    /// ISO 8859-1.
    Latin1,
    /// ISO 8859-5: Russian, but not Kazakh. Only ever received.
    Cyrillic,
    /// UCS-2, big-endian; read and written as UTF-16.
    Ucs2,
}

/// What `data_coding` 0, the "SMSC default alphabet", means at one carrier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefaultAlphabet {
    /// GSM 03.38, one septet in each octet: what most carriers mean.
    #[default]
    GsmUnpacked,
    /// GSM 03.38, eight septets in seven octets.
    GsmPacked,
    /// ISO 8859-1.
    Latin1,
    /// ASCII.
    Ascii,
}

impl DefaultAlphabet {
    /// The alphabet itself.
    pub const fn alphabet(self) -> Alphabet {
        match self {
            DefaultAlphabet::GsmUnpacked => Alphabet::GsmUnpacked,
            DefaultAlphabet::GsmPacked => Alphabet::GsmPacked,
            DefaultAlphabet::Latin1 => Alphabet::Latin1,
            DefaultAlphabet::Ascii => Alphabet::Ascii,
        }
    }

    /// The GSM alphabet of a coding that names it outright (message classes): packed only where 0 is packed too.
    const fn gsm(self) -> Alphabet {
        match self {
            DefaultAlphabet::GsmPacked => Alphabet::GsmPacked,
            _ => Alphabet::GsmUnpacked,
        }
    }
}

/// A text that was read from octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The characters. U+FFFD stands where octets made none.
    pub characters: String,
    /// The alphabet it was read in.
    pub alphabet: Alphabet,
    /// Something was not as the specification wants it, so the text may differ from what was written.
    pub flawed: bool,
}

/// What a short message holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Characters.
    Text(Text),
    /// Octets that are no text, or a text in a coding that no carrier here uses; kept as they came.
    Binary(Vec<u8>),
}

impl Content {
    /// The characters, if this is a text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Content::Text(text) => Some(&text.characters),
            Content::Binary(_) => None,
        }
    }
}

/// A character that the alphabet does not have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{character:?}, character {position} of the text, does not exist in {alphabet:?}")]
pub struct Unrepresentable {
    /// The character.
    pub character: char,
    /// Where it stands, counted in characters from 0.
    pub position: usize,
    /// The alphabet that was asked for.
    pub alphabet: Alphabet,
}

/// Reads a whole short message: takes off the user data header if `esm_class` announces one (bit 0x40), and decodes what
/// remains. Never fails; a header that claims more octets than there are is left in the content, which is then flawed.
pub fn decode_message(
    esm_class: u8,
    data_coding: u8,
    default: DefaultAlphabet,
    octets: &[u8],
) -> (Option<UserDataHeader>, Content) {
    if esm_class & header::UDH_INDICATOR == 0 {
        return (None, decode(data_coding, default, octets));
    }
    match UserDataHeader::split(octets) {
        Some((header, body)) => {
            let content = decode_after(data_coding, default, body, gsm::fill_bits(header.octets));
            (Some(header), content)
        }
        None => {
            let mut content = decode(data_coding, default, octets);
            if let Content::Text(text) = &mut content {
                text.flawed = true;
            }
            (None, content)
        }
    }
}

/// Reads `octets` as `data_coding` says, 0 meaning `default`. Never fails.
///
/// Message classes and message-waiting groups of 3GPP TS 23.038 section 4 are understood. Compressed text and the Japanese,
/// Korean and Hebrew codings come back as [`Content::Binary`].
pub fn decode(data_coding: u8, default: DefaultAlphabet, octets: &[u8]) -> Content {
    decode_after(data_coding, default, octets, 0)
}

fn decode_after(data_coding: u8, default: DefaultAlphabet, octets: &[u8], fill_bits: usize) -> Content {
    let Some(alphabet) = alphabet_of(data_coding, default) else {
        return Content::Binary(octets.to_vec());
    };
    let (characters, flawed) = match alphabet {
        Alphabet::GsmUnpacked => gsm::decode(octets.iter().copied()),
        Alphabet::GsmPacked => gsm::decode(gsm::unpack(octets, fill_bits).into_iter()),
        Alphabet::Ascii => charset::decode_ascii(octets),
        Alphabet::Latin1 => (charset::decode_latin1(octets), false),
        Alphabet::Cyrillic => (charset::decode_cyrillic(octets), false),
        Alphabet::Ucs2 => charset::decode_ucs2(octets),
    };
    Content::Text(Text { characters, alphabet, flawed })
}

/// The alphabet that a `data_coding` names; `None` for binary and for what is not read here.
///
/// 0x00–0x0F are SMPP's own (section 5.2.19). The rest are the groups of 3GPP TS 23.038 section 4, which carriers pass through.
const fn alphabet_of(data_coding: u8, default: DefaultAlphabet) -> Option<Alphabet> {
    match data_coding {
        0x00 => Some(default.alphabet()),
        0x01 => Some(Alphabet::Ascii),
        0x03 => Some(Alphabet::Latin1),
        0x06 => Some(Alphabet::Cyrillic),
        0x08 => Some(Alphabet::Ucs2),
        0x02..=0x0F => None,
        // General data coding, with or without a class (0x10) and automatic deletion (0x40); 0x20 is compression.
        0x10..=0x7F if data_coding & 0x20 == 0 => match data_coding & 0x0C {
            0x00 => Some(default.gsm()),
            0x08 => Some(Alphabet::Ucs2),
            _ => None,
        },
        // Message waiting, the last of them in UCS-2.
        0xC0..=0xDF => Some(default.gsm()),
        0xE0..=0xEF => Some(Alphabet::Ucs2),
        // Data coding with a message class: bit 2 tells text from octets.
        0xF0..=0xFF if data_coding & 0x04 == 0 => Some(default.gsm()),
        _ => None,
    }
}

/// Writes `text` in `alphabet`.
///
/// Errors: the first character that the alphabet does not have. UCS-2 takes every text. A packed text of eight, sixteen, …
/// septets that ends in `@` cannot be told from one that is a septet shorter, and is read back without it.
pub fn encode(text: &str, alphabet: Alphabet) -> Result<Vec<u8>, Unrepresentable> {
    let encoded = match alphabet {
        Alphabet::GsmUnpacked => gsm::encode(text),
        Alphabet::GsmPacked => gsm::encode(text).map(|septets| gsm::pack(&septets, 0)),
        Alphabet::Ascii => charset::encode_ascii(text),
        Alphabet::Latin1 => charset::encode_latin1(text),
        Alphabet::Cyrillic => charset::encode_cyrillic(text),
        Alphabet::Ucs2 => Ok(charset::encode_ucs2(text)),
    };
    encoded.map_err(|missing| Unrepresentable { character: missing.character, position: missing.position, alphabet })
}
