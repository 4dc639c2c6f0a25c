//! How a fare travels in a `submit_sm`, and how what goes back does. It differs by carrier and is configuration: the source address,
//! `service_type`, a vendor TLV of any tag and type. The same vendor tag means different things at different carriers.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    carrier::InterfaceVersion,
    charge::{Charge, Reference, Refund},
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

/// A parameter that goes with a message that takes or gives back money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlvConfig {
    /// The tag; vendors use 0x1400 to 0x3FFF.
    pub tag: u16,
    /// How the value is written.
    #[serde(rename = "type")]
    pub kind: TlvKind,
    /// The value. `{minor}`, `{major}`, `{fare_class}` and `{reference}` stand for the charge's or refund's own, and in a refund
    /// `{carrier_id}` for the id that the carrier gave the charged message. Not for the type `reference`.
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
    /// The sixteen bytes of the charge's or refund's reference.
    Reference,
}

/// Why a charge or a refund cannot be put into a message.
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
    pub fn problems(&self, version: InterfaceVersion) -> Vec<String> {
        let mut problems = Vec::new();
        if self.billing_identification.is_some() && version != InterfaceVersion::V50 {
            problems.push("billing_identification: it needs interface_version = \"5.0\"".into());
        }
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
            let reference = Reference::from_bytes([0; 16]);
            let sample =
                Priced { amount: Money::kzt(8_000), fare_class: "standard", reference, carrier_id: Some("1000001") };
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

    /// The problem of row number `n`, if it is to take money with what only a refund knows.
    pub(super) fn problem_of_charge(&self, n: usize) -> Option<String> {
        self.says(&[CARRIER_ID]).then(|| format!("tariffs[{n}]: {CARRIER_ID} is known in a refund only"))
    }

    /// Whether one of these placeholders stands in a value of the row.
    pub(super) fn says(&self, placeholders: &[&str]) -> bool {
        let billing = self.billing_identification.as_ref().map(|billing| &billing.value);
        let mut values = self.tlvs.iter().map(|tlv| &tlv.value).chain(billing);
        values.any(|value| placeholders.iter().any(|placeholder| value.contains(placeholder)))
    }

    /// Whether a message of this row looks like one of the other's, whatever the amount.
    pub(super) fn looks_like(&self, other: &TariffConfig) -> bool {
        TariffConfig { amount: other.amount.clone(), ..self.clone() } == *other
    }

    /// Where a message of this row comes from: its own source address, or the carrier's short number.
    pub(super) fn source_or(&self, short_number: &str) -> Address {
        match &self.source {
            Some(source) => Address { ton: self.source_ton, npi: self.source_npi, addr: source.clone() },
            None => Address::short_code(short_number),
        }
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

/// Puts the tariff of what is `priced` into `message`. A charge over nothing (a test number) travels without any.
///
/// Errors: no row fits, or a value does not fit its type.
pub(super) fn apply(
    tariffs: &[TariffConfig],
    priced: &Priced<'_>,
    mut message: SubmitSm,
) -> Result<SubmitSm, TariffError> {
    if priced.amount.minor == 0 {
        return Ok(message);
    }
    let tariff = tariff_for(tariffs, priced.amount)?;
    if tariff.source.is_some() {
        message.source = tariff.source_or("");
    }
    message.service_type.clone_from(&tariff.service_type);
    for tlv in &tariff.tlvs {
        message = message.with_tlv(tlv.tag, tlv.octets(priced)?);
    }
    if let Some(billing) = &tariff.billing_identification {
        let octets = [&[billing.format], priced.filled(&billing.value).as_bytes()].concat();
        message = message.with_tlv(tlv::BILLING_IDENTIFICATION, octets);
    }
    Ok(message)
}

/// Stands for the id of the charged message, as the carrier wrote it.
pub(super) const CARRIER_ID: &str = "{carrier_id}";
/// Stand for the amount.
pub(super) const AMOUNTS: [&str; 2] = ["{minor}", "{major}"];

/// What a message takes or gives back: what stands for the placeholders.
#[derive(Clone, Copy, Debug)]
pub(super) struct Priced<'a> {
    amount: Money,
    fare_class: &'a str,
    reference: Reference,
    carrier_id: Option<&'a str>,
}

impl<'a> Priced<'a> {
    pub(super) fn charge(charge: &'a Charge) -> Priced<'a> {
        let Charge { order, reference, .. } = charge;
        Priced { amount: order.amount, fare_class: &order.fare_class, reference: *reference, carrier_id: None }
    }

    /// `carrier_id` is that of the charged message.
    pub(super) fn refund(charge: &'a Charge, refund: &Refund, carrier_id: &'a str) -> Priced<'a> {
        let (amount, reference) = (refund.amount, refund.reference);
        Priced { amount, fare_class: &charge.order.fare_class, reference, carrier_id: Some(carrier_id) }
    }

    /// `value` with what its placeholders stand for.
    pub(super) fn filled(&self, value: &str) -> String {
        let value = value
            .replace("{minor}", &self.amount.minor.to_string())
            .replace("{major}", &Money::kzt(self.amount.minor).major())
            .replace("{fare_class}", self.fare_class)
            .replace("{reference}", &self.reference.to_string());
        match self.carrier_id {
            Some(id) => value.replace(CARRIER_ID, id),
            None => value,
        }
    }
}

impl TlvConfig {
    fn octets(&self, priced: &Priced<'_>) -> Result<Vec<u8>, TariffError> {
        let value = priced.filled(&self.value);
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
            TlvKind::Reference => Ok(priced.reference.as_bytes().to_vec()),
        }
    }
}
