use serde::{Deserialize, Serialize};

/// The longest message id: `message_id` and `receipted_message_id` are C-octet strings of at most 65 octets with their NUL. What is
/// longer is cut there.
pub const MESSAGE_ID_LENGTH_MAX: usize = 65;

/// The base in which a carrier writes a message id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdBase {
    /// No number, or always written the same way: only case, blanks and the leading zeros of a decimal number are evened out.
    #[default]
    AsIs,
    /// A hexadecimal number, perhaps with `0x`.
    Hex,
    /// A decimal number.
    Decimal,
}

/// In which base one carrier writes its message ids, place by place. The usual disagreement is hexadecimal in `submit_sm_resp`
/// and decimal in the text of the receipt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MessageIdForm {
    /// In `submit_sm_resp` and `query_sm_resp`.
    pub response: IdBase,
    /// In `id:` of a receipt's text.
    pub receipt_text: IdBase,
    /// In the TLV `receipted_message_id`. Most carriers repeat the response's form here.
    pub receipt_tlv: IdBase,
}

impl IdBase {
    /// The one form of an id under which it is stored and compared: a decimal number without leading zeros, or lower-case text.
    ///
    /// An id that is no number in the declared base, or one over 128 bits, is kept as it is but for case. UUIDs are such. `None`
    /// if there is nothing but blanks and NULs: then the carrier gave no id.
    pub fn normalise(self, raw: &str) -> Option<String> {
        let blank = |c: char| c.is_whitespace() || c.is_control();
        let cut: String = raw.trim_start_matches(blank).chars().take(MESSAGE_ID_LENGTH_MAX).collect();
        let text = cut.trim_end_matches(blank).to_ascii_lowercase();
        if text.is_empty() {
            return None;
        }
        let number = match self {
            IdBase::AsIs | IdBase::Decimal => parse(&text, 10),
            IdBase::Hex => parse(text.strip_prefix("0x").unwrap_or(&text), 16),
        };
        Some(number.map_or(text, |number| number.to_string()))
    }
}

/// Digits only: the standard library would take a plus sign as well.
fn parse(text: &str, radix: u32) -> Option<u128> {
    let digits = text.chars().all(|c| c.is_digit(radix));
    if digits { u128::from_str_radix(text, radix).ok() } else { None }
}
