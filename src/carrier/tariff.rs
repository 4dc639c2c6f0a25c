//! How a fare travels in a `submit_sm`. It differs by carrier and is configuration: the source address, `service_type`, a
//! vendor TLV of any tag and type. The same vendor tag means different things at different carriers.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    charge::{Charge, Reference},
    money::{Currency, Money},
    smpp::{Address, SubmitSm, tlv},
};

/// The tag allows 1,024 octets, one of which is the format. With placeholders filled in it may grow; the codec has the last word.
const BILLING_VALUE_OCTETS_MAX: usize = 900;

/// One row of a carrier's tariffs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TariffConfig {
    /// The amount that this row is for, in major units (`"80"`). Left out: every amount.
    #[serde(default)]
    pub amount: Option<String>,
    /// The source address; the carrier's short number if left out.
    #[serde(default)]
    pub source: Option<String>,
    /// Type of number of the source address (SMPP 3.4, 5.2.5); 3, network specific, suits a short number.
    #[serde(default = "network_specific")]
    pub source_ton: u8,
    /// Numbering plan of the source address (SMPP 3.4, 5.2.6).
    #[serde(default)]
    pub source_npi: u8,
    /// `service_type`, at most 5 characters.
    #[serde(default)]
    pub service_type: String,
    /// Further parameters.
    #[serde(default)]
    pub tlvs: Vec<TlvConfig>,
    /// The parameter of SMPP 5.0 that was made for it (4.8.4.5, tag 0x060B).
    #[serde(default)]
    pub billing_identification: Option<BillingIdentification>,
}

/// `billing_identification` of SMPP 5.0: an octet that names the format, and data in that format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BillingIdentification {
    /// The format; vendors use 128 to 255, the rest is reserved.
    pub format: u8,
    /// The data, at most 1023 octets. Placeholders as in [`TlvConfig::value`].
    pub value: String,
}

/// A parameter that goes with a charged message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlvConfig {
    /// The tag; vendors use 0x1400 to 0x3FFF.
    pub tag: u16,
    /// How the value is written.
    #[serde(rename = "type")]
    pub kind: TlvKind,
    /// The value. `{minor}`, `{major}`, `{fare_class}` and `{reference}` stand for the charge's own; not for `reference`.
    #[serde(default)]
    pub value: String,
}

/// How the value of a parameter is written (SMPP 3.4, 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TlvKind {
    /// Text, closed by a NUL.
    COctetString,
    /// Text as it is.
    OctetString,
    /// One byte.
    Integer1,
    /// Two bytes, big-endian.
    Integer2,
    /// Four bytes, big-endian.
    Integer4,
    /// The sixteen bytes of the charge's reference.
    Reference,
}

/// Why a charge cannot be put into a message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TariffError {
    /// No row fits the amount.
    #[error("no tariff for {0}")]
    NoTariff(Money),
    /// The value of a parameter is not what its type wants.
    #[error("TLV 0x{tag:04X}: {value:?} is not {want}")]
    Value {
        /// The parameter.
        tag: u16,
        /// The value after substitution.
        value: String,
        /// What it should be.
        want: &'static str,
    },
}

fn network_specific() -> u8 {
    3
}

impl TariffConfig {
    /// What is wrong with the row, each with its key.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(amount) = &self.amount
            && let Err(e) = Money::parse_major(amount, Currency::Kzt)
        {
            problems.push(format!("amount: {e}"));
        }
        if self.service_type.len() > 5 {
            problems.push("service_type: at most 5 characters (SMPP 3.4, 5.2.11)".into());
        }
        if self.source.as_ref().is_some_and(|source| source.is_empty() || source.len() > 20) {
            problems.push("source: 1 to 20 characters (SMPP 3.4, 5.2.8)".into());
        }
        for (n, tlv) in self.tlvs.iter().enumerate() {
            // The values that come with a charge are numbers and names; a sample shows whether the rest fits the type.
            let sample = Sample { minor: 8_000, fare_class: "standard", reference: Reference::from_bytes([0; 16]) };
            if let Err(e) = tlv.octets(&sample) {
                problems.push(format!("tlvs[{n}]: {e}"));
            }
        }
        if let Some(billing) = &self.billing_identification {
            if billing.format < 128 {
                problems.push("billing_identification.format: 128 to 255 (SMPP 5.0, 4.8.4.5)".into());
            }
            if billing.value.len() > BILLING_VALUE_OCTETS_MAX {
                problems.push(format!("billing_identification.value: at most {BILLING_VALUE_OCTETS_MAX} octets"));
            }
        }
        problems
    }

    fn fits(&self, amount: Money) -> bool {
        match &self.amount {
            None => true,
            Some(text) => Money::parse_major(text, amount.currency) == Ok(amount),
        }
    }
}

/// The first row that fits `amount`. Errors: none does.
pub(super) fn tariff_for(tariffs: &[TariffConfig], amount: Money) -> Result<&TariffConfig, TariffError> {
    tariffs.iter().find(|tariff| tariff.fits(amount)).ok_or(TariffError::NoTariff(amount))
}

/// Puts the tariff of `charge` into `message`. A charge over nothing (a test number) travels without any.
///
/// Errors: no row fits, or a value does not fit its type.
pub(super) fn apply(tariffs: &[TariffConfig], charge: &Charge, mut message: SubmitSm) -> Result<SubmitSm, TariffError> {
    let amount = charge.order.amount;
    if amount.minor == 0 {
        return Ok(message);
    }
    let tariff = tariff_for(tariffs, amount)?;
    if let Some(source) = &tariff.source {
        message.source = Address { ton: tariff.source_ton, npi: tariff.source_npi, addr: source.clone() };
    }
    message.service_type.clone_from(&tariff.service_type);
    let sample = Sample { minor: amount.minor, fare_class: &charge.order.fare_class, reference: charge.reference };
    for tlv in &tariff.tlvs {
        message = message.with_tlv(tlv.tag, tlv.octets(&sample)?);
    }
    if let Some(billing) = &tariff.billing_identification {
        let octets = [&[billing.format], filled(&billing.value, &sample).as_bytes()].concat();
        message = message.with_tlv(tlv::BILLING_IDENTIFICATION, octets);
    }
    Ok(message)
}

/// What stands for the placeholders.
struct Sample<'a> {
    minor: i64,
    fare_class: &'a str,
    reference: Reference,
}

/// `value` with what its placeholders stand for.
fn filled(value: &str, sample: &Sample<'_>) -> String {
    value
        .replace("{minor}", &sample.minor.to_string())
        .replace("{major}", &Money::kzt(sample.minor).major())
        .replace("{fare_class}", sample.fare_class)
        .replace("{reference}", &sample.reference.to_string())
}

impl TlvConfig {
    fn octets(&self, sample: &Sample<'_>) -> Result<Vec<u8>, TariffError> {
        let value = filled(&self.value, sample);
        let wrong = |want| TariffError::Value { tag: self.tag, value: value.clone(), want };
        match self.kind {
            TlvKind::COctetString if value.contains('\0') || !value.is_ascii() => Err(wrong("ASCII text without NUL")),
            TlvKind::COctetString => Ok([value.as_bytes(), &[0]].concat()),
            TlvKind::OctetString => Ok(value.into_bytes()),
            TlvKind::Integer1 => Ok(vec![value.parse::<u8>().map_err(|_| wrong("a number from 0 to 255"))?]),
            TlvKind::Integer2 => {
                Ok(value.parse::<u16>().map_err(|_| wrong("a number from 0 to 65535"))?.to_be_bytes().to_vec())
            }
            TlvKind::Integer4 => {
                Ok(value.parse::<u32>().map_err(|_| wrong("a number of four bytes"))?.to_be_bytes().to_vec())
            }
            TlvKind::Reference => Ok(sample.reference.as_bytes().to_vec()),
        }
    }
}
