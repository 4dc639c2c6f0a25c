//! Why a request is not carried out, in the carrier's own words. Each interface has its own way to say it.

use crate::simulator::subscribers::Refusal;

/// Why nothing came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The request breaks the specification; what and where.
    Malformed(String),
    /// No credentials, wrong ones, or such as have expired.
    Unauthenticated,
    /// Good credentials, but not for this.
    Forbidden,
    /// No subscriber is named.
    NoSubscriber,
    /// The subscriber may not pay.
    Refused(Refusal),
    /// Below the least amount.
    AmountTooSmall,
    /// Above the greatest amount.
    AmountTooLarge,
    /// This number has paid too much in all.
    ThresholdPassed,
    /// Not a currency of this carrier.
    Currency,
    /// The key against doing it twice was used before.
    Duplicate,
    /// The key was used before for something else.
    OtherContent,
    /// No such payment, or not this client's.
    NotFound,
    /// It was confirmed before.
    Confirmed,
    /// It was cancelled before.
    Cancelled,
    /// It was validated before, or needs no validation.
    Validated,
    /// It was denied, or waits for something else.
    NotInThatState,
    /// The validation is not that of this payment.
    WrongAuthorization,
    /// Not the code that the phone received.
    WrongCode,
    /// The last wrong code: the payment is denied now.
    ValidationFailed,
    /// Not paid yet, or never, so nothing can be given back.
    NotPaid,
    /// Taxes are not treated as in the payment.
    TaxMismatch,
    /// Items are not those of the payment.
    DetailsMismatch,
    /// Not an address that callbacks can go to.
    Sink,
    /// A kind of credential that callbacks cannot show.
    SinkCredential,
    /// Not a bearer token.
    SinkToken,
    /// A number outside its range.
    OutOfRange,
    /// A time that ends before it begins.
    DateRange,
    /// More records than a list may have.
    TooManyRecords,
    /// More than remains of the payment.
    RefundTooLarge,
    /// Nothing of the payment can be given back any more.
    NotRefundable,
    /// The subscriber cannot be given anything.
    RefundDenied,
    /// Too many requests.
    Throttled {
        /// When to ask again, in seconds.
        retry_after_s: u32,
    },
    /// The carrier is at one of its bounds.
    Full,
    /// Something broke: this 5xx.
    Broken(u16),
}

impl Failure {
    /// Why a refused subscriber may not pay, for the text that goes with a code.
    pub(super) const fn why(refusal: Refusal) -> &'static str {
        match refusal {
            Refusal::InsufficientBalance => "insufficient balance",
            Refusal::CorporateNumber => "corporate number",
            Refusal::CreditDebt => "unpaid trust payment",
            Refusal::NoTopUpSinceActivation => "no top-up since activation",
            Refusal::InitialBalanceUnused => "initial balance unused",
            Refusal::RecentSimSwap => "SIM replaced recently",
            Refusal::OwnAccountEmpty => "merchant account empty",
            Refusal::NotOurSubscriber => "not our subscriber",
            Refusal::Barred => "barred",
        }
    }
}
