//! Requests in both of their forms. What a specification does not have is a violation.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::simulator::http::{
    Operation,
    amount::{self, AmountError},
    callbacks::Sink,
    desk::Call,
    failure::Failure,
    form::Form,
};

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    /// `amountTransaction`
    Amount,
    /// `amountReservationTransaction`
    Reservation,
}

/// What a request asks for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) wish: Wish,
    pub(super) end_user_id: String,
    pub(super) reference: String,
    pub(super) description: String,
    pub(super) correlator: Option<String>,
    /// `referenceSequence`, of reservations.
    sequence: Option<String>,
    pub(super) callback_data: Option<String>,
    pub(super) sink: Option<Sink>,
}

/// By `transactionOperationStatus`.
#[derive(Clone, Debug)]
pub(super) enum Wish {
    /// `Charged`: in one step, or what is held.
    Charge { amount_minor: i64 },
    /// `Refunded`; `original` is the `originalServerReferenceCode`.
    Refund { amount_minor: i64, original: String },
    /// `Reserved`: the first amount, or more.
    Reserve { amount_minor: i64 },
    /// `Released`
    Release,
}

impl Wish {
    /// What it is called where operations are counted. A charge of what is held is told by [`Asked::operation`].
    fn in_one_step(&self) -> Operation {
        match self {
            Wish::Charge { .. } => Operation::Charge,
            Wish::Refund { .. } => Operation::Refund,
            Wish::Reserve { .. } => Operation::Reserve,
            Wish::Release => Operation::Cancel,
        }
    }
}

/// The names that forms and objects have in common, as the specification writes them.
const FIELDS: [&str; 18] = [
    "endUserId",
    "transactionOperationStatus",
    "referenceCode",
    "referenceSequence",
    "clientCorrelator",
    "originalServerReferenceCode",
    "description",
    "currency",
    "amount",
    "code",
    "onBehalfOf",
    "purchaseCategoryCode",
    "channel",
    "taxAmount",
    "serviceId",
    "productId",
    "notifyURL",
    "callbackData",
];

/// A body in JSON.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Body {
    amount_transaction: Option<Transaction>,
    amount_reservation_transaction: Option<Transaction>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Transaction {
    end_user_id: String,
    transaction_operation_status: String,
    reference_code: Option<String>,
    reference_sequence: Option<Box<RawValue>>,
    client_correlator: Option<String>,
    original_server_reference_code: Option<String>,
    payment_amount: Option<PaymentAmount>,
    #[serde(rename = "notifyURL")]
    notify_url: Option<String>,
    callback_data: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PaymentAmount {
    charging_information: ChargingInformation,
    charging_meta_data: Option<ChargingMetaData>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChargingInformation {
    amount: Box<RawValue>,
    currency: String,
    description: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChargingMetaData {
    #[serde(rename = "onBehalfOf")]
    _on_behalf_of: Option<String>,
    #[serde(rename = "purchaseCategoryCode")]
    _purchase_category_code: Option<String>,
    #[serde(rename = "channel")]
    _channel: Option<String>,
    #[serde(rename = "taxAmount")]
    _tax_amount: Option<Box<RawValue>>,
    #[serde(rename = "serviceId")]
    _service_id: Option<String>,
    #[serde(rename = "productId")]
    _product_id: Option<String>,
}

/// The values, whichever form they came in.
#[derive(Debug, Default)]
struct Values {
    end_user_id: String,
    status: String,
    reference: Option<String>,
    sequence: Option<String>,
    correlator: Option<String>,
    original: Option<String>,
    amount: Option<String>,
    currency: Option<String>,
    description: Option<String>,
    notify_url: Option<String>,
    callback_data: Option<String>,
}

impl Asked {
    /// Reads a request at `resource`, or at a reservation that is there. Errors: what is wrong with it.
    pub(super) fn read(call: &Call, resource: Resource, there: bool) -> Result<Asked, Failure> {
        let values = match call.media_type().as_str() {
            "application/x-www-form-urlencoded" => from_form(call)?,
            "application/json" => from_json(call, resource)?,
            other => return Err(Failure::Malformed(format!("Content-Type {other:?}"))),
        };
        let wish = values.wish(resource, there)?;
        let missing = |name: &str| Failure::Malformed(format!("{name}: missing"));
        let released = matches!(wish, Wish::Release);
        let text = |value: Option<String>, name: &str| match value.filter(|text| !text.is_empty()) {
            Some(text) => Ok(text),
            None if released => Ok(String::new()),
            None => Err(missing(name)),
        };
        let sink = values.notify_url.as_deref().map(notify_address).transpose()?;
        Ok(Asked {
            wish,
            end_user_id: values.end_user_id,
            reference: text(values.reference, "referenceCode")?,
            description: text(values.description, "description")?,
            correlator: values.correlator,
            sequence: values.sequence,
            callback_data: values.callback_data,
            sink,
        })
    }

    /// What it is counted and struck as; `id` is that of a reservation that is there.
    pub(super) fn operation(&self, id: Option<&str>) -> Operation {
        match (&self.wish, id) {
            (Wish::Charge { .. }, Some(_)) => Operation::Confirm,
            (wish, _) => wish.in_one_step(),
        }
    }

    /// What the stored answer is found by. Without a correlator, a step of a reservation is known by its sequence number.
    pub(super) fn replay_key(&self, id: Option<&str>) -> Option<String> {
        match (&self.correlator, id, &self.sequence) {
            (Some(correlator), _, _) => Some(format!("correlator {correlator}")),
            (None, Some(id), Some(sequence)) => Some(format!("sequence {id} {sequence}")),
            _ => None,
        }
    }
}

impl Values {
    fn wish(&self, resource: Resource, there: bool) -> Result<Wish, Failure> {
        let wrong = || Failure::Malformed(format!("transactionOperationStatus: {:?} at this address", self.status));
        // A refund and a release say what they are about.
        Ok(match (self.status.as_str(), resource, there) {
            ("Charged", Resource::Amount, _) | ("Charged", Resource::Reservation, true) => {
                Wish::Charge { amount_minor: self.amount_minor()? }
            }
            ("Refunded", Resource::Amount, _) => {
                let original = self.original.clone().filter(|text| !text.is_empty());
                let missing = || Failure::Malformed("originalServerReferenceCode: missing".to_owned());
                Wish::Refund { amount_minor: self.amount_minor()?, original: original.ok_or_else(missing)? }
            }
            ("Reserved", Resource::Reservation, _) => Wish::Reserve { amount_minor: self.amount_minor()? },
            ("Released", Resource::Reservation, true) => Wish::Release,
            _ => return Err(wrong()),
        })
    }

    fn amount_minor(&self) -> Result<i64, Failure> {
        let text = self.amount.as_deref().ok_or_else(|| Failure::Malformed("amount: missing".to_owned()))?;
        match self.currency.as_deref() {
            Some("KZT") => {}
            Some(_) => return Err(Failure::Currency),
            None => return Err(Failure::Malformed("currency: missing".to_owned())),
        }
        match amount::from_decimal(text) {
            Ok(0) => Err(Failure::Malformed("amount: nothing".to_owned())),
            Ok(minor) => Ok(minor),
            Err(AmountError::TooLarge) => Err(Failure::AmountTooLarge),
            Err(AmountError::Syntax | AmountError::TooFine) => {
                Err(Failure::Malformed(format!("amount: {text:?} is no amount in tiyn")))
            }
        }
    }
}

fn from_form(call: &Call) -> Result<Values, Failure> {
    let form = Form::read(call).map_err(Failure::Malformed)?;
    form.only(&FIELDS).map_err(Failure::Malformed)?;
    let field = |name: &str| form.get(name).map(str::to_owned);
    Ok(Values {
        end_user_id: form.need("endUserId").map_err(Failure::Malformed)?.to_owned(),
        status: form.need("transactionOperationStatus").map_err(Failure::Malformed)?.to_owned(),
        reference: field("referenceCode"),
        sequence: field("referenceSequence"),
        correlator: field("clientCorrelator"),
        original: field("originalServerReferenceCode"),
        amount: field("amount"),
        currency: field("currency"),
        description: field("description"),
        notify_url: field("notifyURL"),
        callback_data: field("callbackData"),
    })
}

fn from_json(call: &Call, resource: Resource) -> Result<Values, Failure> {
    let body: Body = serde_json::from_slice(&call.body).map_err(|error| Failure::Malformed(error.to_string()))?;
    let transaction = match (resource, body.amount_transaction, body.amount_reservation_transaction) {
        (Resource::Amount, Some(transaction), None) | (Resource::Reservation, None, Some(transaction)) => transaction,
        _ => return Err(Failure::Malformed("not the object of this address".to_owned())),
    };
    let charging = transaction.payment_amount.map(|amount| {
        let _ = amount.charging_meta_data;
        amount.charging_information
    });
    let mut values = Values {
        end_user_id: transaction.end_user_id,
        status: transaction.transaction_operation_status,
        reference: transaction.reference_code,
        sequence: transaction.reference_sequence.map(|raw| digits(&raw)),
        correlator: transaction.client_correlator,
        original: transaction.original_server_reference_code,
        notify_url: transaction.notify_url,
        callback_data: transaction.callback_data,
        ..Values::default()
    };
    if let Some(charging) = charging {
        values.amount = Some(digits(&charging.amount));
        values.currency = Some(charging.currency);
        values.description = Some(charging.description);
    }
    Ok(values)
}

/// Implementations write numbers as numbers and as strings.
fn digits(raw: &RawValue) -> String {
    serde_json::from_str::<String>(raw.get()).unwrap_or_else(|_| raw.get().to_owned())
}

fn notify_address(text: &str) -> Result<Sink, Failure> {
    let url = reqwest::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.ok_or_else(|| Failure::Malformed(format!("notifyURL: {text:?}")))?;
    Ok(Sink { url, token: None, correlator: None })
}
