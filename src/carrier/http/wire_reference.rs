use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};

use super::document::{WireForm, WireReferenceSection};
use crate::charge::Reference;

/// The bytes behind a wire reference: ours, and the number of the attempt.
const BYTES: usize = 17;

/// How a carrier is given our reference: one text of reference and attempt, the same each time, and read back where the form allows it.
#[derive(Clone, Debug)]
pub struct WireReferences {
    form: WireForm,
    prefix: String,
}

impl WireReferences {
    /// As the profile says. Errors: key and reason.
    pub(super) fn new(section: &WireReferenceSection) -> Result<WireReferences, (&'static str, String)> {
        let references = WireReferences { form: section.form, prefix: section.prefix.clone() };
        if !section.prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
            return Err(("prefix", "letters, digits, '.', '_' and '-' only".into()));
        }
        let length = references.write(Reference::from_bytes([0xFF; 16]), u16::from(u8::MAX)).len();
        if length > section.length_max {
            let form = references.form;
            return Err(("length_max", format!("{form:?} with this prefix needs {length} characters")));
        }
        Ok(references)
    }

    /// The text for attempt `number` of the charge `reference`; of a refund, with number 1.
    pub fn write(&self, reference: Reference, number: u16) -> String {
        // A charge has 16 attempts at most; a number that does not fit would only lose its way back.
        let number = u8::try_from(number).unwrap_or(u8::MAX);
        let mut bytes = [0; BYTES];
        bytes[..16].copy_from_slice(reference.as_bytes());
        bytes[16] = number;
        let body = match self.form {
            // Of one length, so that a carrier that cuts it short makes no other number of it.
            WireForm::Uuid => format!("{reference}-{number:02}"),
            WireForm::Hex => HEXLOWER.encode(&bytes),
            WireForm::Base32 => BASE32_NOPAD.encode(&bytes).to_ascii_lowercase(),
            WireForm::Base64url => BASE64URL_NOPAD.encode(&bytes),
            WireForm::Digits => format!("{:039}{number:03}", u128::from_be_bytes(*reference.as_bytes())),
            WireForm::DigitsOfHash => digits_of_hash(&bytes),
        };
        format!("{}{body}", self.prefix)
    }

    /// The charge or refund and the number of the attempt that `text` was made of. `None`: it was not made here, or its form cannot be
    /// read back.
    pub fn read(&self, text: &str) -> Option<(Reference, u16)> {
        let body = text.strip_prefix(self.prefix.as_str())?;
        let decoded = match self.form {
            WireForm::Uuid => {
                let (reference, number) = body.rsplit_once('-')?;
                (reference.parse().ok()?, number.parse::<u8>().ok()?)
            }
            WireForm::Hex => from_bytes(&HEXLOWER.decode(body.as_bytes()).ok()?)?,
            WireForm::Base32 => from_bytes(&BASE32_NOPAD.decode(body.to_ascii_uppercase().as_bytes()).ok()?)?,
            WireForm::Base64url => from_bytes(&BASE64URL_NOPAD.decode(body.as_bytes()).ok()?)?,
            WireForm::Digits => {
                let (reference, number) = body.split_at_checked(39)?;
                (Reference::from_bytes(reference.parse::<u128>().ok()?.to_be_bytes()), number.parse::<u8>().ok()?)
            }
            WireForm::DigitsOfHash => return None,
        };
        let (reference, number) = (decoded.0, u16::from(decoded.1));
        // One charge has one text: what only resembles it was not made here.
        (self.write(reference, number) == text).then_some((reference, number))
    }
}

fn from_bytes(bytes: &[u8]) -> Option<(Reference, u8)> {
    let (number, reference) = bytes.split_last()?;
    Some((Reference::from_bytes(reference.try_into().ok()?), *number))
}

/// Eighteen digits, which fit a signed integer of 64 bits wherever the carrier keeps one.
fn digits_of_hash(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let head = hash.iter().take(8).fold(0_u64, |head, byte| head << 8 | u64::from(*byte));
    format!("{:018}", head % 1_000_000_000_000_000_000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FORMS: [(WireForm, usize); 6] = [
        (WireForm::Uuid, 40),
        (WireForm::Hex, 34),
        (WireForm::Base32, 28),
        (WireForm::Base64url, 23),
        (WireForm::Digits, 42),
        (WireForm::DigitsOfHash, 18),
    ];

    fn references(form: WireForm, prefix: &str, length_max: usize) -> Result<WireReferences, (&'static str, String)> {
        WireReferences::new(&WireReferenceSection { form, prefix: prefix.into(), length_max })
    }

    #[test]
    fn a_form_that_is_longer_than_the_carrier_allows_is_refused_at_load() {
        for (form, length) in FORMS {
            assert!(references(form, "", length).is_ok(), "{form:?}");
            assert_eq!(references(form, "", length - 1).expect_err("too long").0, "length_max", "{form:?}");
            assert_eq!(references(form, "SB-", length).expect_err("too long").0, "length_max", "{form:?}");
        }
        assert_eq!(references(WireForm::Hex, "a b", 64).expect_err("a space").0, "prefix");
    }

    #[test]
    fn the_forms_look_as_documented() {
        let reference: Reference = "0190163d-8694-739b-aea5-966c26f8ad90".parse().expect("a UUID");
        let write = |form| references(form, "", 64).expect("it fits").write(reference, 2);
        assert_eq!(write(WireForm::Uuid), "0190163d-8694-739b-aea5-966c26f8ad90-02");
        assert_eq!(write(WireForm::Hex), "0190163d8694739baea5966c26f8ad9002");
        assert_eq!(write(WireForm::Base32).len(), 28);
        assert_eq!(write(WireForm::Base64url).len(), 23);
        assert_eq!(write(WireForm::Digits).len(), 42);
        assert_eq!(write(WireForm::DigitsOfHash).len(), 18);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_and_no_other_text_does(bytes: [u8; 16], number in 1_u16..=16, noise in "\\PC{0,60}") {
            let reference = Reference::from_bytes(bytes);
            for (form, _) in FORMS {
                let references = references(form, "SB-", 64).expect("it fits");
                let text = references.write(reference, number);
                prop_assert_eq!(references.write(reference, number), text.clone());
                let expected = (form != WireForm::DigitsOfHash).then_some((reference, number));
                prop_assert_eq!(references.read(&text), expected);
                prop_assert_eq!(references.read(&format!("{text}0")), None);
                if noise != text {
                    prop_assert_eq!(references.read(&noise).filter(|read| *read == (reference, number)), None);
                }
            }
        }
    }
}
