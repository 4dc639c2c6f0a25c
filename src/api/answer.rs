//! What charges and tickets look like from outside.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    charge::{CarrierName, Channel, Charge, Reason, Reference, Refund, RefundState, State, Validation},
    clock::Timestamp,
    money::Money,
    msisdn::Msisdn,
    passenger::Language,
    store::StoredTicket,
    ticket::qr,
    transit::{VehicleCode, Zone},
};

/// A sum of money.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Amount {
    /// Minor units: tiyn for KZT, so 80 tenge are 8000.
    #[schema(example = 8000)]
    minor: i64,
    /// ISO 4217.
    #[schema(example = "KZT")]
    currency: &'static str,
}

impl From<Money> for Amount {
    fn from(money: Money) -> Amount {
        Amount { minor: money.minor, currency: money.currency.code() }
    }
}

/// A charge: one purchase, taken or not from one phone balance.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Charge)]
pub(super) struct ChargeAnswer {
    /// Its name for life, and its ticket's.
    #[schema(value_type = uuid::Uuid)]
    reference: Reference,
    /// Where it stands.
    #[schema(value_type = StateCode)]
    state: &'static str,
    /// Why it ended without money. A code of `docs/errors`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "insufficient_balance")]
    reason: Option<Reason>,
    /// What is taken for all its passengers.
    amount: Amount,
    /// The passengers that this charge pays for.
    passengers: u8,
    /// The charge that paid for the passengers before, if this one adds to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    adds_to: Option<AddsTo>,
    /// Whose balance pays, in E.164.
    #[schema(value_type = String, example = "+77051234567")]
    msisdn: Msisdn,
    /// The vehicle code.
    #[schema(value_type = String, example = "1234")]
    vehicle: VehicleCode,
    /// The city's id.
    city: String,
    /// The route's id.
    route: String,
    /// The agency's id.
    agency: String,
    /// The fare class.
    fare_class: String,
    /// The zone that was paid for, on a route with zones.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u8>, minimum = 1, maximum = 9)]
    zone: Option<Zone>,
    /// The caller's id of the trip, if one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    trip: Option<String>,
    /// How it came in: `sms` or `api`.
    #[schema(example = "api")]
    channel: &'static str,
    /// The language in which the passenger is answered.
    #[schema(value_type = String, example = "kk")]
    language: Language,
    /// When the request reached the gateway.
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
    /// By when the passenger must have the ticket. What succeeds later goes back.
    #[schema(value_type = String, format = DateTime)]
    ticket_deadline: Timestamp,
    /// When the money was known to be taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    charged_at: Option<Timestamp>,
    /// Since when nobody knows whether the money was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    in_doubt_since: Option<Timestamp>,
    /// What went back or will go back, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    refunded_amount: Option<Amount>,
    /// Its refunds, the newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    refunds: Vec<RefundAnswer>,
    /// The purchase that took its place after its deadline.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    superseded_by: Option<Reference>,
    /// Only in the answer to a purchase: the same number in the same vehicle had bought already, and this is that charge.
    /// Nothing more is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    repeat_of: Option<Reference>,
    /// How the subscriber is to agree, while it is `awaiting_otp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    validation: Option<ValidationAnswer>,
    /// Its ticket, once it is charged. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<TicketSummary>,
    /// The tries to take the money. Only for support and operations.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<Vec<AttemptSummary>>,
}

/// How the subscriber is to agree to a charge.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "by", rename_all = "snake_case")]
#[schema(as = Validation)]
enum ValidationAnswer {
    /// By a one-time password that the carrier sends: `POST /v1/charges/{reference}/otp` passes it on.
    Password,
    /// On a page of the carrier's, which the app has to open.
    Page {
        /// Its address.
        #[schema(example = "https://carrier.example/agree/358y24t2")]
        url: String,
    },
}

impl ValidationAnswer {
    fn of(charge: &Charge) -> Option<ValidationAnswer> {
        let attempt = charge.last_attempt().filter(|_| charge.state == State::AwaitingOtp)?;
        Some(match &attempt.validation {
            Some(Validation::Page { url }) => ValidationAnswer::Page { url: url.clone() },
            Some(Validation::Password { .. }) | None => ValidationAnswer::Password,
        })
    }
}

/// The charge that paid for the passengers before.
#[derive(Debug, Serialize, ToSchema)]
struct AddsTo {
    /// That charge.
    #[schema(value_type = uuid::Uuid)]
    reference: Reference,
    /// Passengers who had paid before.
    passengers: u8,
}

/// A refund of a charge.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Refund)]
pub(super) struct RefundAnswer {
    /// Its name for life.
    #[schema(value_type = uuid::Uuid)]
    id: Reference,
    /// What goes back.
    amount: Amount,
    /// Where it stands.
    state: RefundStateCode,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
}

/// Where a refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RefundStateCode {
    /// The carrier is being asked, or has not told the outcome yet.
    Processing,
    /// The carrier may have done it; it is being found out.
    InDoubt,
    /// The carrier cannot or would not: it is on the refund list.
    Owed,
    /// The carrier gave the money back.
    Done,
    /// What was owed was paid back in another way.
    PaidOut,
}

impl From<&Refund> for RefundAnswer {
    fn from(refund: &Refund) -> RefundAnswer {
        RefundAnswer {
            id: refund.reference,
            amount: refund.amount.into(),
            state: match refund.state {
                RefundState::Requested | RefundState::Waiting | RefundState::Accepted => RefundStateCode::Processing,
                RefundState::InDoubt => RefundStateCode::InDoubt,
                RefundState::Owed => RefundStateCode::Owed,
                RefundState::Done => RefundStateCode::Done,
                RefundState::PaidOut => RefundStateCode::PaidOut,
            },
            opened_at: refund.opened_at,
        }
    }
}

/// One try to take the money.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AttemptSummary {
    /// 1 for the first.
    number: u16,
    /// Where it was sent.
    #[schema(value_type = String)]
    carrier: CarrierName,
    /// What became of it: `open`, `not_sent`, `rejected`, `accepted`, `charged` or `in_doubt`.
    state: &'static str,
    /// When it was opened.
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
    /// The carrier's own id, once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    carrier_id: Option<String>,
}

/// The ticket of a charge.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TicketSummary {
    /// Eight characters for a plain phone.
    #[schema(example = "7K3M9QXA")]
    short_code: String,
    /// From then on it is no longer valid.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// When it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
    /// The signed ticket as the text of its QR code: `SB1:` and base45 of the CWT.
    qr_text: String,
    /// Where it can be fetched, in the form that `Accept` names.
    #[schema(example = "/v1/tickets/0199f1a2-7c00-7000-8000-000000000001")]
    link: String,
}

/// The states of a charge. Not final: `processing`, `awaiting_otp`, `in_doubt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum StateCode {
    /// Waiting to be sent, or for the carrier's answer.
    Processing,
    /// The carrier asks the subscriber for a one-time password.
    AwaitingOtp,
    /// The money was taken and the ticket issued.
    Charged,
    /// Our rules said no; nothing was sent.
    Declined,
    /// The carrier definitely said no; nothing was taken.
    Rejected,
    /// The request may have reached the carrier, and no evidence says what came of it.
    InDoubt,
    /// The whole amount is on its way back.
    Refunding,
    /// The whole amount is owed to the passenger.
    RefundOwed,
    /// The whole amount went back.
    Refunded,
}

impl StateCode {
    /// The code: `in_doubt`.
    pub(super) const fn code(self) -> &'static str {
        match self {
            StateCode::Processing => "processing",
            StateCode::AwaitingOtp => "awaiting_otp",
            StateCode::Charged => "charged",
            StateCode::Declined => "declined",
            StateCode::Rejected => "rejected",
            StateCode::InDoubt => "in_doubt",
            StateCode::Refunding => "refunding",
            StateCode::RefundOwed => "refund_owed",
            StateCode::Refunded => "refunded",
        }
    }
}

impl ChargeAnswer {
    /// A charge without what only some answers have.
    pub(super) fn new(charge: Charge) -> ChargeAnswer {
        let refunded = charge.refunded_amount();
        let validation = ValidationAnswer::of(&charge);
        let order = charge.order;
        ChargeAnswer {
            reference: charge.reference,
            state: charge.state.code(),
            reason: charge.state.reason(),
            amount: order.amount.into(),
            passengers: order.passengers,
            adds_to: order.extends.map(|e| AddsTo { reference: e.reference, passengers: e.passengers }),
            msisdn: order.msisdn,
            vehicle: order.vehicle,
            city: order.city,
            route: order.route,
            agency: order.agency,
            fare_class: order.fare_class,
            zone: order.zone,
            trip: order.trip.map(|trip| trip.id),
            channel: match order.channel {
                Channel::Sms { .. } => "sms",
                Channel::Api { .. } | Channel::ApiForSms { .. } => "api",
            },
            language: order.language,
            received_at: order.received_at,
            ticket_deadline: charge.terms.ticket_deadline,
            charged_at: charge.charged_at,
            in_doubt_since: charge.in_doubt_since,
            refunded_amount: refunded.is_positive().then(|| refunded.into()),
            refunds: charge.refunds.iter().map(RefundAnswer::from).collect(),
            superseded_by: charge.superseded_by,
            repeat_of: None,
            validation,
            ticket: None,
            attempts: None,
        }
    }

    /// As the answer to a purchase that was a repeat.
    pub(super) fn marked_as_repeat(mut self) -> ChargeAnswer {
        self.repeat_of = Some(self.reference);
        self
    }

    /// With its ticket.
    pub(super) fn with_ticket(mut self, ticket: Option<StoredTicket>) -> ChargeAnswer {
        self.ticket = ticket.map(TicketSummary::new);
        self
    }

    /// With its attempts.
    pub(super) fn with_attempts(mut self, attempts: Vec<AttemptSummary>) -> ChargeAnswer {
        self.attempts = Some(attempts);
        self
    }
}

impl AttemptSummary {
    /// Those of a charge.
    pub(super) fn all(charge: &Charge) -> Vec<AttemptSummary> {
        charge
            .attempts
            .iter()
            .map(|attempt| AttemptSummary {
                number: attempt.number,
                carrier: attempt.carrier.clone(),
                state: attempt.state.code(),
                opened_at: attempt.opened_at,
                carrier_id: attempt.carrier_id.clone(),
            })
            .collect()
    }
}

impl TicketSummary {
    fn new(ticket: StoredTicket) -> TicketSummary {
        TicketSummary {
            qr_text: qr::to_text(&ticket.cwt),
            link: format!("/v1/tickets/{}", ticket.reference),
            short_code: ticket.short_code,
            expires_at: ticket.expires_at,
            revoked_at: ticket.revoked_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charge::State;

    #[test]
    fn the_states_are_those_of_the_charge() {
        let reason = Reason::Barred;
        let states = [
            (State::Processing, StateCode::Processing),
            (State::AwaitingOtp, StateCode::AwaitingOtp),
            (State::Charged, StateCode::Charged),
            (State::Declined(reason), StateCode::Declined),
            (State::Rejected(reason), StateCode::Rejected),
            (State::InDoubt, StateCode::InDoubt),
            (State::Refunding, StateCode::Refunding),
            (State::RefundOwed, StateCode::RefundOwed),
            (State::Refunded, StateCode::Refunded),
        ];
        for (state, code) in states {
            assert_eq!(state.code(), code.code());
            assert_eq!(serde_json::to_value(code).expect("a plain enum"), code.code());
        }
    }
}
