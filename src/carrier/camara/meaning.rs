//! What CAMARA's answers mean for the money. The first row that fits wins; what no row names is in doubt.

use std::collections::BTreeMap;

use super::{
    event,
    message::{ErrorInfo, Payment, RefundMade, RefundTransaction, ValidationInfo, is_total},
    profile::CamaraProfile,
};
use crate::{
    charge::{Attempt, Charge, Doubt, Finding, Reason, Refund, Retry},
    msisdn::Msisdn,
};

/// How much of the carrier's words is kept.
const DETAIL_CHARS_MAX: usize = 200;
/// Ids that are longer are none of a payment's.
pub(super) const ID_CHARS_MAX: usize = 200;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// `createPayment`, `preparePayment`.
    Take,
    /// `validatePayment`.
    Validate,
    /// `confirmPayment`.
    Confirm,
    /// `cancelPayment`.
    Cancel,
    /// `createRefund`.
    Refund,
}

/// What an error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    /// It did not happen, for good.
    No(Reason),
    /// It did not happen; the number is another carrier's.
    Elsewhere,
    /// It did not happen; again, with back-off.
    Again,
    /// It was denied by business: why, the words may tell.
    Denied,
    /// The password was not right; another may be tried.
    WrongOtp,
    /// The carrier was asked before (M6).
    Before,
    /// The payment was given up already.
    Cancelled,
    /// It may have happened.
    Unclear,
}

use Operation::{Cancel, Confirm, Refund as Refunding, Take, Validate};
use Reason::{Barred, CarrierAccount, CarrierRefused, MonthlyLimit, OtpExpired};
use Says::{Again, Before, Cancelled, Denied, Elsewhere, No, Unclear, WrongOtp};

/// Every error that the files name for a request that moves money, and those of CAMARA's common list that are definite.
/// An empty list of operations is all of them; an empty code is any, also none.
#[rustfmt::skip]
const ERRORS: &[(&[Operation], u16, &str, Says)] = &[
    // The request was not understood, so it did nothing. (A used correlator is told by its message: see `is_duplicate`.)
    (&[Take, Refunding],   400, "INVALID_ARGUMENT",                           No(CarrierRefused)),
    (&[Take, Refunding],   400, "OUT_OF_RANGE",                               No(CarrierRefused)),
    (&[Take, Refunding],   400, "INVALID_CREDENTIAL",                         No(CarrierRefused)),
    (&[Take, Refunding],   400, "INVALID_TOKEN",                              No(CarrierRefused)),
    (&[Take, Refunding],   400, "INVALID_SINK",                               No(CarrierRefused)),
    (&[Validate],          400, "CARRIER_BILLING.INVALID_CODE",               WrongOtp),
    (&[Validate],          400, "CARRIER_BILLING.INVALID_AUTHORIZATION_ID",   Unclear),
    (&[Validate],          400, "CARRIER_BILLING.VALIDATION_FAILED",          No(OtpExpired)),
    // RFC 9110, 15.5.2: not applied, for want of credentials. A new token was tried.
    (&[],                  401, "",                                           Again),
    (&[Take, Confirm],     403, "CARRIER_BILLING.PAYMENT_DENIED",             Denied),
    (&[Take],              403, "PERMISSION_DENIED",                          No(CarrierAccount)),
    (&[Refunding],         403, "CARRIER_BILLING_REFUND.REFUND_DENIED",       No(CarrierRefused)),
    (&[Refunding],         403, "CARRIER_BILLING_REFUND.PAYMENT_NOT_ELIGIBLE_FOR_REFUND", No(CarrierRefused)),
    (&[Refunding],         403, "PERMISSION_DENIED",                          No(CarrierAccount)),
    (&[Take],              404, "IDENTIFIER_NOT_FOUND",                       Elsewhere),
    (&[Take, Refunding],   404, "NOT_FOUND",                                  No(CarrierRefused)),
    (&[Take, Refunding],   405, "METHOD_NOT_ALLOWED",                         No(CarrierRefused)),
    (&[Take, Refunding],   406, "NOT_ACCEPTABLE",                             No(CarrierRefused)),
    (&[Take, Refunding],   415, "UNSUPPORTED_MEDIA_TYPE",                     No(CarrierRefused)),
    (&[Confirm, Cancel],   409, "CARRIER_BILLING.PAYMENT_CANCELLED",          Cancelled),
    (&[],                  409, "",                                           Before),
    (&[Take],              422, "SERVICE_NOT_APPLICABLE",                     No(Barred)),
    (&[Take],              422, "MISSING_IDENTIFIER",                         No(CarrierRefused)),
    (&[Take],              422, "UNNECESSARY_IDENTIFIER",                     No(CarrierRefused)),
    (&[Take],              422, "CARRIER_BILLING.UNAUTHORIZED_AMOUNT",        No(CarrierRefused)),
    (&[Take],              422, "CARRIER_BILLING.USER_AMOUNT_THRESHOLD_OVERPASSED", No(MonthlyLimit)),
    (&[Refunding],         422, "CARRIER_BILLING_REFUND.UNAUTHORIZED_AMOUNT", No(CarrierRefused)),
    (&[Refunding],         422, "CARRIER_BILLING_REFUND.USER_AMOUNT_THRESHOLD_OVERPASSED", No(CarrierRefused)),
    (&[Refunding],         422, "CARRIER_BILLING_REFUND.INVALID_PAYMENT_STATUS", No(CarrierRefused)),
    (&[Refunding],         422, "CARRIER_BILLING_REFUND.TAXES_MANAGEMENT_MISMATCH", No(CarrierRefused)),
    (&[Refunding],         422, "CARRIER_BILLING_REFUND.REFUND_DETAILS_MISMATCH", No(CarrierRefused)),
    (&[],                  429, "",                                           Again),
];

/// Words of a message of `400 INVALID_ARGUMENT` that mean a used correlator: the files have no code for it (M6).
const DUPLICATE_WORDS: [&str; 4] = ["clientcorrelator", "already exist", "duplicate", "still exist"];

/// The tables of one carrier.
#[derive(Clone, Debug)]
pub(super) struct Meanings {
    /// Codes and words in small letters, the longest first.
    reasons: Vec<(String, Reason)>,
    denied: Reason,
}

impl Meanings {
    pub(super) fn new(profile: &CamaraProfile) -> Meanings {
        Meanings { reasons: ordered(&profile.reasons), denied: profile.denied }
    }

    /// What an answer that is no success says of the request. `body` is what came with it.
    pub(super) fn of_error(&self, operation: Operation, status: u16, body: &[u8]) -> Finding {
        let info = ErrorInfo::read(body);
        let code = info.as_ref().map_or("", |info| info.code.as_str());
        let message = info.as_ref().map_or("", |info| info.message.as_str());
        let detail = if code.is_empty() { status.to_string() } else { format!("{status} {code}: {message}") };
        let rejected = |reason, retry| Finding::Rejected { reason, retry, detail: bounded(&detail) };
        let says = ERRORS
            .iter()
            .find(|(operations, known_status, known_code, _)| {
                (operations.is_empty() || operations.contains(&operation))
                    && *known_status == status
                    && (known_code.is_empty() || *known_code == code)
            })
            .map_or(Unclear, |(.., says)| *says);
        match says {
            No(_) if status == 400 && code == "INVALID_ARGUMENT" && is_duplicate(message) => {
                Finding::Doubtful { cause: Doubt::Duplicate }
            }
            No(reason) => rejected(self.reason(code, message).unwrap_or(reason), Retry::Never),
            Denied => rejected(self.reason(code, message).unwrap_or(self.denied), Retry::Never),
            Elsewhere => rejected(Reason::NotOurSubscriber, Retry::OtherCarrier),
            Again => rejected(Reason::CarrierUnavailable, Retry::SameCarrier),
            WrongOtp => Finding::OtpNeeded { carrier_id: None, validation: None },
            Before => Finding::Doubtful { cause: Doubt::Duplicate },
            Cancelled => Finding::Cancelled,
            Unclear => Finding::Doubtful { cause: Doubt::UnclearAnswer },
        }
    }

    /// What a denial says that came without a code: in an event, or as the status of a payment.
    pub(super) fn of_denial(&self, why: &str) -> Finding {
        let reason = self.reason("", why).unwrap_or(self.denied);
        let detail = if why.is_empty() { "denied".to_owned() } else { bounded(&format!("denied: {why}")) };
        Finding::Rejected { reason, retry: Retry::Never, detail }
    }

    /// What a payment says of the attempt whose payment it is. Errors: what it repeats is not what was asked for.
    pub(super) fn of_payment(&self, payment: &Payment, charge: &Charge, attempt: &Attempt) -> Result<Finding, String> {
        differs(payment, charge, attempt)?;
        let carrier_id = Some(payment.payment_id.clone());
        let validation = payment.validation_info.as_ref().and_then(ValidationInfo::validation);
        match payment.payment_status.as_str() {
            // Told in advance: it will be asked for, and this answer alone says how.
            "processing" if validation.is_some() => Ok(Finding::OtpNeeded { carrier_id, validation }),
            "processing" => Ok(Finding::Accepted { carrier_id }),
            "pending_validation" => Ok(Finding::OtpNeeded { carrier_id, validation }),
            "reserved" => Ok(Finding::Reserved { carrier_id }),
            "succeeded" => {
                let transaction = payment.amount_transaction.as_ref();
                let amount = transaction.and_then(|t| t.payment_amount.as_ref()?.amount()).flatten();
                Ok(Finding::Charged { carrier_id, amount })
            }
            "denied" => Ok(self.of_denial("")),
            "cancelled" => Ok(Finding::Cancelled),
            unknown => Err(format!("paymentStatus {:?} is not in the specification", bounded(unknown))),
        }
    }

    /// What a refund says of ours. Errors: what it repeats is not what was asked for.
    pub(super) fn of_refund(&self, made: &RefundMade, charge: &Charge, refund: &Refund) -> Result<Finding, String> {
        refund_differs(made, charge, refund)?;
        let carrier_id = Some(made.refund_id.clone());
        match made.refund_status.as_str() {
            "processing" => Ok(Finding::Accepted { carrier_id }),
            "succeeded" => Ok(Finding::Charged { carrier_id, amount: Some(refund.amount) }),
            "denied" => {
                let detail = "refund denied".to_owned();
                Ok(Finding::Rejected { reason: Reason::CarrierRefused, retry: Retry::Never, detail })
            }
            unknown => Err(format!("refundStatus {:?} is not in the specification", bounded(unknown))),
        }
    }

    fn reason(&self, code: &str, words: &str) -> Option<Reason> {
        let (code, words) = (code.to_lowercase(), words.to_lowercase());
        let fits = |key: &str| key == code || (!words.is_empty() && words.contains(key));
        self.reasons.iter().find(|(key, _)| fits(key)).map(|(_, reason)| *reason)
    }
}

fn ordered(reasons: &BTreeMap<String, Reason>) -> Vec<(String, Reason)> {
    let mut ordered: Vec<_> = reasons.iter().map(|(key, reason)| (key.trim().to_lowercase(), *reason)).collect();
    ordered.sort_by_key(|(key, _)| std::cmp::Reverse(key.len()));
    ordered
}

fn is_duplicate(message: &str) -> bool {
    let message = message.to_lowercase();
    DUPLICATE_WORDS.iter().any(|word| message.contains(word))
}

/// Fields that are there must be what we sent; the answer to another request must not be taken for ours.
fn differs(payment: &Payment, charge: &Charge, attempt: &Attempt) -> Result<(), String> {
    if payment.payment_id.is_empty() || payment.payment_id.len() > ID_CHARS_MAX {
        return Err("paymentId is empty, or too long".into());
    }
    if attempt.carrier_id.as_ref().is_some_and(|known| *known != payment.payment_id) {
        return Err("paymentId is another payment's".into());
    }
    let Some(transaction) = &payment.amount_transaction else { return Ok(()) };
    check_references(transaction.reference_code.as_deref(), transaction.client_correlator.as_deref(), |known| {
        event::may_be_of(attempt, known)
    })?;
    if transaction.phone_number.as_ref().is_some_and(|number| number.parse::<Msisdn>() != Ok(charge.order.msisdn)) {
        return Err("phoneNumber is another subscriber's".into());
    }
    match transaction.payment_amount.as_ref().and_then(|amount| amount.amount()) {
        Some(amount) if amount != Some(charge.order.amount) => Err("the amount is another than was asked for".into()),
        _ => Ok(()),
    }
}

fn refund_differs(made: &RefundMade, charge: &Charge, refund: &Refund) -> Result<(), String> {
    if made.refund_id.is_empty() || made.refund_id.len() > ID_CHARS_MAX {
        return Err("refundId is empty, or too long".into());
    }
    let total = is_total(charge, refund);
    if made.kind.as_deref().is_some_and(|kind| (kind == "total") != total) {
        return Err("the type of the refund is another than was asked for".into());
    }
    let Some(transaction) = &made.amount_transaction else { return Ok(()) };
    check_references(transaction.reference_code.as_deref(), transaction.client_correlator.as_deref(), |known| {
        is_a_try_of(refund, known)
    })?;
    match transaction.refund_amount.as_ref().and_then(|amount| amount.amount()) {
        Some(amount) if amount != Some(refund.amount) => Err("the amount is another than was asked for".into()),
        _ => Ok(()),
    }
}

fn check_references(
    code: Option<&str>,
    correlator: Option<&str>,
    is_ours: impl Fn(&str) -> bool,
) -> Result<(), String> {
    if code.is_some_and(|known| !is_ours(known)) {
        return Err("referenceCode is not ours".into());
    }
    if correlator.is_some_and(|known| !is_ours(known)) {
        return Err("clientCorrelator is not ours".into());
    }
    Ok(())
}

/// Whether a refund of the carrier's bears the reference of a request for this one: the last, or one before that was given up as
/// lost.
pub(super) fn bears_refund(transaction: Option<&RefundTransaction>, refund: &Refund) -> bool {
    let Some(transaction) = transaction else { return false };
    [&transaction.reference_code, &transaction.client_correlator]
        .into_iter()
        .any(|known| known.as_deref().is_some_and(|known| is_a_try_of(refund, known)))
}

fn is_a_try_of(refund: &Refund, wire_reference: &str) -> bool {
    wire_reference
        .strip_prefix(&refund.reference.to_string())
        .and_then(|rest| rest.strip_prefix('-')?.parse::<u16>().ok())
        .is_some_and(|number| (1..=refund.tries.max(1)).contains(&number))
}

/// No more of the carrier's words than fit a row.
pub(super) fn bounded(words: &str) -> String {
    words.chars().filter(|c| !c.is_control()).take(DETAIL_CHARS_MAX).collect()
}
