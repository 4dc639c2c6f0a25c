//! Bodies, as strictly as the files describe them: what they do not have is a violation. Amounts stay the digits that were
//! sent.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

use crate::{
    clock::Timestamp,
    msisdn::Msisdn,
    simulator::{
        http::{
            CamaraConfig,
            amount::{self, AmountError},
            callbacks::Sink,
            desk::Call,
            failure::Failure,
        },
        subscribers::Refusal,
    },
};

/// `CreatePayment` and `BodyAmountReservationTransactionForReserveInput`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PaymentRequest {
    pub(super) amount_transaction: AmountTransaction,
    pub(super) sink: Option<String>,
    pub(super) sink_credential: Option<SinkCredential>,
}

/// `AmountTransactionInput`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AmountTransaction {
    pub(super) phone_number: Option<String>,
    pub(super) client_correlator: Option<String>,
    pub(super) payment_amount: PaymentAmount,
    pub(super) reference_code: String,
}

/// `PaymentAmountForCharge` and `PaymentAmountForReserve`; answers repeat it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PaymentAmount {
    pub(super) charging_information: ChargingInformation,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) charging_meta_data: Option<ChargingMetaData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) payment_details: Option<Vec<PaymentItem>>,
}

/// `ChargingInformation`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ChargingInformation {
    pub(super) amount: Box<RawValue>,
    pub(super) currency: String,
    pub(super) description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) is_tax_included: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tax_amount: Option<Box<RawValue>>,
}

/// `ChargingMetaData`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ChargingMetaData {
    #[serde(skip_serializing_if = "Option::is_none")]
    merchant_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) merchant_identifier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fee: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purchase_category_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_id: Option<String>,
}

/// `PaymentItem`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PaymentItem {
    id: String,
    amount: Box<RawValue>,
    currency: String,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_tax_included: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tax_amount: Option<Box<RawValue>>,
}

/// `CreateTotalRefund` and `CreatePartialRefund`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RefundRequest {
    #[serde(rename = "type")]
    pub(super) kind: RefundKind,
    pub(super) reason: Option<String>,
    pub(super) sink: Option<String>,
    pub(super) sink_credential: Option<SinkCredential>,
    pub(super) amount_transaction: RefundTransaction,
}

/// All of it, or a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum RefundKind {
    Total,
    Partial,
}

/// `AmountTransactionTotalRefund` and `AmountTransactionPartialRefund`; answers repeat it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RefundTransaction {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_correlator: Option<String>,
    pub(super) refund_amount: RefundAmount,
    pub(super) reference_code: String,
}

/// `RefundAmountTotalRefund` and `RefundAmountPartialRefund`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RefundAmount {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) charging_information: Option<ChargingInformation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) charging_meta_data: Option<ChargingMetaData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refund_details: Option<Vec<RefundItem>>,
}

/// `RefundItem`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RefundItem {
    pub(super) payment_item_id: String,
    amount: Box<RawValue>,
    currency: String,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_tax_included: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tax_amount: Option<Box<RawValue>>,
}

/// `SinkCredential`: of its kinds, only the access token is supported.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SinkCredential {
    credential_type: String,
    access_token: Option<String>,
    access_token_expires_utc: Option<String>,
    access_token_type: Option<String>,
}

/// `PhoneNumber`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PhoneNumber {
    pub(super) phone_number: Option<String>,
}

/// `ValidatePayment`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ValidatePayment {
    pub(super) authorization_id: String,
    pub(super) code: String,
}

/// Reads a JSON body. Errors: what is wrong with it, and where.
pub(super) fn read<T: DeserializeOwned>(call: &Call) -> Result<T, Failure> {
    if call.media_type() != "application/json" {
        return Err(Failure::Malformed(format!("Content-Type {:?}, not application/json", call.media_type())));
    }
    let malformed = |error: serde_json::Error| Failure::Malformed(error.to_string());
    let whole: Value = serde_json::from_slice(&call.body).map_err(malformed)?;
    // No property of these files may be null, and an option of serde's takes one.
    if has_null(&whole) {
        return Err(Failure::Malformed("a property is null".to_owned()));
    }
    serde_json::from_slice(&call.body).map_err(malformed)
}

/// The number that a request names. Errors: none, not one, or one that cannot be this carrier's.
pub(super) fn number(text: Option<&str>) -> Result<Msisdn, Failure> {
    let text = text.ok_or(Failure::NoSubscriber)?;
    let digits = text.strip_prefix('+').unwrap_or_default();
    let e164 = (5..=15).contains(&digits.len())
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !e164 {
        return Err(Failure::Malformed("phoneNumber: not of the pattern".to_owned()));
    }
    text.parse().map_err(|_| Failure::Refused(Refusal::NotOurSubscriber))
}

impl PaymentAmount {
    /// The amount in tiyn. Errors: what is wrong with it or beside it.
    pub(super) fn check(&self) -> Result<i64, Failure> {
        let fee = self.charging_meta_data.as_ref().and_then(|meta| meta.fee.as_ref());
        if let Some(fee) = fee {
            number_of("fee", fee)?;
        }
        for item in self.payment_details.iter().flatten() {
            check_item(&item.amount, &item.currency, item.tax_amount.as_deref())?;
        }
        if self.payment_details.as_ref().is_some_and(Vec::is_empty) {
            return Err(Failure::Malformed("paymentDetails: no items".to_owned()));
        }
        self.charging_information.check()
    }

    pub(super) fn merchant(&self) -> Option<String> {
        self.charging_meta_data.as_ref().and_then(|meta| meta.merchant_identifier.clone())
    }

    pub(super) fn items(&self) -> Vec<String> {
        self.payment_details.iter().flatten().map(|item| item.id.clone()).collect()
    }
}

impl RefundAmount {
    /// The amount in tiyn, if there is one. Errors: what is wrong with it or beside it.
    pub(super) fn check(&self) -> Result<Option<i64>, Failure> {
        for item in self.refund_details.iter().flatten() {
            check_item(&item.amount, &item.currency, item.tax_amount.as_deref())?;
        }
        self.charging_information.as_ref().map(ChargingInformation::check).transpose()
    }
}

impl ChargingInformation {
    fn check(&self) -> Result<i64, Failure> {
        if let Some(tax) = &self.tax_amount {
            number_of("taxAmount", tax)?;
        }
        if self.currency != "KZT" {
            return Err(Failure::Currency);
        }
        match number_of("amount", &self.amount)? {
            0 => Err(Failure::Malformed("amount: below 0.001".to_owned())),
            minor => Ok(minor),
        }
    }
}

fn check_item(amount: &RawValue, currency: &str, tax: Option<&RawValue>) -> Result<(), Failure> {
    if number_of("amount of an item", amount)? == 0 {
        return Err(Failure::Malformed("amount of an item: below 0.001".to_owned()));
    }
    if let Some(tax) = tax {
        number_of("taxAmount of an item", tax)?;
    }
    if currency == "KZT" { Ok(()) } else { Err(Failure::Currency) }
}

fn number_of(name: &str, raw: &RawValue) -> Result<i64, Failure> {
    amount::from_json_number(raw.get()).map_err(|error| match error {
        AmountError::Syntax => Failure::Malformed(format!("{name}: {} is no amount", raw.get())),
        AmountError::TooFine => Failure::Malformed(format!("{name}: {} is finer than a tiyn", raw.get())),
        AmountError::TooLarge => Failure::AmountTooLarge,
    })
}

/// Where callbacks go, if anywhere. Errors: a sink or a credential that the files refuse.
pub(super) fn sink(
    url: Option<&str>,
    credential: Option<&SinkCredential>,
    config: &CamaraConfig,
    call: &Call,
) -> Result<Option<Sink>, Failure> {
    let token = credential.map(SinkCredential::token).transpose()?;
    let Some(url) = url else { return Ok(None) };
    let url = reqwest::Url::parse(url).map_err(|_| Failure::Sink)?;
    let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match url.scheme() {
        "https" => {}
        "http" if config.plain_sinks && loopback => {}
        _ => return Err(Failure::Sink),
    }
    let correlator = super::errors::correlator(call).map(str::to_owned);
    Ok(Some(Sink { url, token, correlator }))
}

impl SinkCredential {
    fn token(&self) -> Result<(String, Timestamp), Failure> {
        match self.credential_type.as_str() {
            "ACCESSTOKEN" => {}
            "PLAIN" | "REFRESHTOKEN" => return Err(Failure::SinkCredential),
            other => return Err(Failure::Malformed(format!("credentialType: {other:?}"))),
        }
        if self.access_token_type.as_deref() != Some("bearer") {
            return Err(Failure::SinkToken);
        }
        let missing = |name: &str| Failure::Malformed(format!("sinkCredential: no {name}"));
        let token = self.access_token.clone().ok_or_else(|| missing("accessToken"))?;
        let until = self.access_token_expires_utc.as_deref().ok_or_else(|| missing("accessTokenExpiresUtc"))?;
        let until = until.parse().map_err(|error| Failure::Malformed(format!("accessTokenExpiresUtc: {error}")))?;
        Ok((token, until))
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(members) => members.values().any(has_null),
        _ => false,
    }
}
