//! The bodies of the specification: what we send, and what of the answers we read. Fields that say nothing of the money are
//! passed over.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use url::Url;

use super::{amount, profile::CamaraProfile};
use crate::{
    charge::{Attempt, Charge, Refund, Validation},
    clock::Timestamp,
    money::Money,
    msisdn::Msisdn,
};

/// `CreatePayment`, and `BodyAmountReservationTransactionForReserveInput`: they are the same.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreatePayment<'a> {
    amount_transaction: AmountTransactionInput<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sink: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sink_credential: Option<AccessTokenCredential<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AmountTransactionInput<'a> {
    phone_number: Msisdn,
    client_correlator: &'a str,
    payment_amount: PaymentAmount<'a>,
    reference_code: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PaymentAmount<'a> {
    charging_information: ChargingInformation,
    #[serde(skip_serializing_if = "Option::is_none")]
    charging_meta_data: Option<ChargingMetaData<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChargingInformation {
    amount: Box<RawValue>,
    currency: &'static str,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_tax_included: Option<bool>,
}

#[derive(Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ChargingMetaData<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    merchant_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    merchant_identifier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purchase_category_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccessTokenCredential<'a> {
    credential_type: &'static str,
    access_token: &'a str,
    access_token_expires_utc: Timestamp,
    access_token_type: &'static str,
}

impl AccessTokenCredential<'_> {
    fn new(access_token: &str, asked_at: Timestamp) -> AccessTokenCredential<'_> {
        AccessTokenCredential {
            credential_type: "ACCESSTOKEN",
            access_token,
            access_token_expires_utc: asked_at.plus(CALLBACK_TOKEN_LIFETIME),
            access_token_type: "bearer",
        }
    }
}

/// The longest id of a validation, and the longest address of a page, in bytes.
const VALIDATION_CHARS_MAX: usize = 2_000;
/// How long after an attempt events about it may come with its token.
const CALLBACK_TOKEN_LIFETIME: std::time::Duration = std::time::Duration::from_secs(7 * 86_400);

/// The body of `createPayment` or `preparePayment`: the same bytes each time.
pub(super) fn create_payment(
    profile: &CamaraProfile,
    callback_token: Option<&str>,
    charge: &Charge,
    attempt: &Attempt,
) -> Vec<u8> {
    let callback = profile.sink.as_ref().zip(callback_token);
    let body = CreatePayment {
        amount_transaction: AmountTransactionInput {
            phone_number: charge.order.msisdn,
            client_correlator: &attempt.wire_reference,
            payment_amount: PaymentAmount {
                charging_information: charging_information(profile, charge, charge.order.amount),
                charging_meta_data: meta_data(profile),
            },
            reference_code: &attempt.wire_reference,
        },
        // Its path tells whose event it is, also where the answer with the payment's id is lost.
        sink: callback.map(|(sink, _)| below(sink, &["payments", &attempt.wire_reference]).into()),
        sink_credential: callback.map(|(_, token)| AccessTokenCredential::new(token, attempt.opened_at)),
    };
    written(&body)
}

fn charging_information(profile: &CamaraProfile, charge: &Charge, amount: Money) -> ChargingInformation {
    ChargingInformation {
        amount: amount::to_json(amount),
        currency: amount.currency.code(),
        description: profile.description.replace("{vehicle}", &charge.order.vehicle.to_string()),
        is_tax_included: profile.tax_included,
    }
}

fn meta_data(profile: &CamaraProfile) -> Option<ChargingMetaData<'_>> {
    let merchant = &profile.merchant;
    let meta_data = ChargingMetaData {
        merchant_name: merchant.name.as_deref(),
        merchant_identifier: merchant.identifier.as_deref(),
        purchase_category_code: merchant.purchase_category_code.as_deref(),
        channel: merchant.channel.as_deref(),
        service_id: merchant.service_id.as_deref(),
        product_id: merchant.product_id.as_deref(),
    };
    (meta_data != ChargingMetaData::default()).then_some(meta_data)
}

/// The body of `validatePayment`.
pub(super) fn validate_payment(authorization_id: &str, code: &str) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct ValidatePayment<'a> {
        authorization_id: &'a str,
        code: &'a str,
    }
    written(&ValidatePayment { authorization_id, code })
}

/// The body of `confirmPayment` and `cancelPayment`.
pub(super) fn phone_number(msisdn: Msisdn) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct PhoneNumber {
        phone_number: Msisdn,
    }
    written(&PhoneNumber { phone_number: msisdn })
}

/// The body of `createRefund`: total where the whole amount goes back at once, partial otherwise.
pub(super) fn create_refund(
    profile: &CamaraProfile,
    callback_token: Option<&str>,
    charge: &Charge,
    refund: &Refund,
) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct CreateRefund<'a> {
        #[serde(rename = "type")]
        kind: &'static str,
        amount_transaction: AmountTransaction<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        sink: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        sink_credential: Option<AccessTokenCredential<'a>>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct AmountTransaction<'a> {
        client_correlator: &'a str,
        refund_amount: RefundAmount<'a>,
        reference_code: &'a str,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct RefundAmount<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        charging_information: Option<ChargingInformation>,
        #[serde(skip_serializing_if = "Option::is_none")]
        charging_meta_data: Option<ChargingMetaData<'a>>,
    }
    let callback = profile.sink.as_ref().zip(callback_token);
    let (paid, given_back) = (charge.reference.to_string(), refund.reference.to_string());
    let is_total = is_total(charge, refund);
    let wire_reference = refund.wire_reference();
    let identifier = profile.merchant.identifier.as_deref();
    let body = CreateRefund {
        kind: if is_total { "total" } else { "partial" },
        amount_transaction: AmountTransaction {
            client_correlator: &wire_reference,
            refund_amount: RefundAmount {
                charging_information: (!is_total).then(|| charging_information(profile, charge, refund.amount)),
                charging_meta_data: identifier.map(|identifier| ChargingMetaData {
                    merchant_identifier: Some(identifier),
                    ..ChargingMetaData::default()
                }),
            },
            reference_code: &wire_reference,
        },
        sink: callback.map(|(sink, _)| below(sink, &["charges", &paid, "refunds", &given_back]).into()),
        sink_credential: callback.map(|(_, token)| AccessTokenCredential::new(token, refund.opened_at)),
    };
    written(&body)
}

/// Whether a refund gives back all that its attempt took.
pub(super) fn is_total(charge: &Charge, refund: &Refund) -> bool {
    refund.amount == charge.order.amount
}

fn written(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("texts, numbers and structs are JSON")
}

/// `base` with further path segments; what stands in them is encoded.
pub(super) fn below(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// Why a body cannot be read, without what stands in it: the log is no place for that.
pub(super) fn unreadable(error: &serde_json::Error) -> String {
    format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column())
}

/// `Payment`, `PaymentCreated`, and the answer to `preparePayment`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payment {
    pub(super) payment_id: String,
    pub(super) payment_status: String,
    #[serde(default)]
    pub(super) amount_transaction: Option<PaymentTransaction>,
    #[serde(default)]
    pub(super) payment_creation_date: Option<String>,
    #[serde(default)]
    pub(super) validation_info: Option<ValidationInfo>,
}

/// `AmountTransaction`: what the carrier repeats of our request.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PaymentTransaction {
    pub(super) phone_number: Option<String>,
    pub(super) client_correlator: Option<String>,
    pub(super) reference_code: Option<String>,
    pub(super) payment_amount: Option<Charged>,
}

/// `PaymentAmountForCharge`, `RefundAmountPartialRefund`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Charged {
    pub(super) charging_information: Option<ChargedAmount>,
}

/// The amount of `ChargingInformation`, as it came.
#[derive(Debug, Deserialize)]
pub(super) struct ChargedAmount {
    pub(super) amount: Box<RawValue>,
    pub(super) currency: String,
}

impl Charged {
    /// `None` if it names no amount; `Some(None)` if it names one that cannot be read.
    pub(super) fn amount(&self) -> Option<Option<Money>> {
        let charged = self.charging_information.as_ref()?;
        Some(amount::from_json(&charged.amount, &charged.currency))
    }
}

/// `ValidationInfo`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ValidationInfo {
    pub(super) authorization_id: Option<String>,
    #[serde(rename = "validationURL")]
    pub(super) validation_url: Option<String>,
}

impl ValidationInfo {
    /// How the subscriber is to agree. `None` if it does not tell, or names what cannot be one: a page is shown to people.
    pub(super) fn validation(&self) -> Option<Validation> {
        let fits = |text: &&String| (1..=VALIDATION_CHARS_MAX).contains(&text.len());
        if let Some(id) = self.authorization_id.as_ref().filter(fits) {
            return Some(Validation::Password { authorization_id: id.clone() });
        }
        let url = Url::parse(self.validation_url.as_ref().filter(fits)?).ok()?;
        (url.scheme() == "https").then(|| Validation::Page { url: url.into() })
    }
}

/// `Refund`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RefundMade {
    pub(super) refund_id: String,
    pub(super) refund_status: String,
    #[serde(default, rename = "type")]
    pub(super) kind: Option<String>,
    #[serde(default)]
    pub(super) amount_transaction: Option<RefundTransaction>,
}

/// `AmountTransactionPartialRefund`, `AmountTransactionTotalRefund`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RefundTransaction {
    pub(super) client_correlator: Option<String>,
    pub(super) reference_code: Option<String>,
    pub(super) refund_amount: Option<Charged>,
}

/// `PaymentRemainingAmount`.
#[derive(Debug, Deserialize)]
pub(super) struct RemainingAmount {
    amount: Box<RawValue>,
    currency: String,
}

impl RemainingAmount {
    pub(super) fn amount(&self) -> Option<Money> {
        amount::from_json(&self.amount, &self.currency)
    }
}

/// `ErrorInfo`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct ErrorInfo {
    pub(super) code: String,
    #[serde(default)]
    pub(super) message: String,
}

impl ErrorInfo {
    /// Reads the body of an error. `None` if it is none of CAMARA's: then a stranger on the way may have answered.
    pub(super) fn read(body: &[u8]) -> Option<ErrorInfo> {
        serde_json::from_slice(body).ok().filter(|info: &ErrorInfo| !info.code.is_empty())
    }
}
