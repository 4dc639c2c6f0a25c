//! One adapter per kind of carrier interface, routing, throttling, and what a carrier's answers mean for the money.
//!
//! An adapter turns a charge's attempt into bytes and what comes back into [`Evidence`]; it decides nothing. What it hears
//! without having asked (messages from passengers, receipts, late answers) it hands to the gateway as [`CarrierEvent`]s,
//! and it acknowledges nothing before the gateway has made it durable.

mod callback;
pub mod camara;
mod links;
mod meaning;
mod profile;
mod receipt;
mod routing;
mod smpp;
mod standing;
mod tariff;
mod trace;
pub mod web;

pub use callback::{About, Callback, CallbackAnswer, CallbackRequest, Notice, Refusal};
pub use links::{BindConfig, BreakerProfile, InterfaceVersion, LinkSecrets, Mode, TlsConfig};
pub use meaning::Meanings;
pub use profile::{CarrierConfig, ChargedAt, LongMessages, Meaning, SmppProfile, StatMeaning};
pub use receipt::CarrierReceipt;
pub use routing::{PrefixTable, Route, Routing, RoutingSettings};
pub use smpp::{SetupError, SmppCarrier};
pub use standing::{BindStanding, NoSlot, Standing};
pub use tariff::{BillingIdentification, TariffConfig, TariffError, TlvConfig, TlvKind};
pub use trace::{Trace, TraceFilter, TraceLine, TracedCommand};

use std::time::Duration;

use jiff::tz::TimeZone;

use crate::{
    charge::{Attempt, CarrierName, Charge, Contract, Evidence, Finding, Reference, Refund},
    clock::Timestamp,
    money::Money,
    msisdn::Msisdn,
    passenger::MoPart,
};

/// A carrier, whatever its interface. Clones share one link.
#[derive(Clone, Debug)]
pub enum Carrier {
    /// Charges by SMPP.
    Smpp(SmppCarrier),
}

/// The right to send one message now: a place in the window. Dropping it gives the place back.
#[derive(Debug)]
pub enum SendSlot {
    /// At an SMPP carrier.
    Smpp(smpp::Slot),
}

/// The right to send one text now. Dropping it gives the place back.
#[derive(Debug)]
pub struct TextSlot(smpp::Slot);

/// Who goes first when places are short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// A ticket on its way to a passenger who has paid.
    Ticket,
    /// A new charge, or a text without a ticket.
    Normal,
}

/// What became of a text for a passenger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The carrier took it.
    Submitted {
        /// The carrier's id, normalised.
        carrier_id: Option<String>,
    },
    /// Not now: the carrier was busy, or the link was lost. A text may be sent twice; it costs nobody anything.
    Later,
    /// Never: the carrier refuses this text.
    Refused {
        /// In the carrier's words.
        detail: String,
    },
}

/// A text for a passenger, as the adapter needs it.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// Its name, the same each time that it is sent: the parts of a long text are told by it, so that a phone that has some of them
    /// already takes the second try for the same message.
    pub id: Reference,
    /// To whom.
    pub msisdn: Msisdn,
    /// What it says.
    pub text: &'a str,
    /// After this moment it is worth nothing.
    pub expires_at: Timestamp,
    /// How it waits for the places that the later parts of a long text need.
    pub urgency: Urgency,
}

/// What a carrier says without being asked.
#[derive(Debug)]
pub enum CarrierEvent {
    /// A message from a passenger.
    Mo {
        /// From whom.
        msisdn: Msisdn,
        /// To which short number.
        destination: String,
        /// What it says.
        text: String,
        /// Its place, if the carrier says that it is a part: of a longer message, or the only one.
        part: Option<MoPart>,
        /// To be answered once the message is durable.
        ack: Ack,
    },
    /// A delivery receipt.
    Receipt {
        /// What it says.
        receipt: CarrierReceipt,
        /// To be answered once the receipt is durable.
        ack: Ack,
    },
    /// The answer to an attempt that had been given up as in doubt.
    Late {
        /// The charge.
        reference: Reference,
        /// What the answer says.
        evidence: Evidence,
    },
}

/// The acknowledgement of a message or receipt. Dropping it unanswered asks the carrier to deliver again.
#[derive(Debug)]
pub struct Ack(Option<crate::smpp::Responder>);

impl Ack {
    fn new(responder: crate::smpp::Responder) -> Ack {
        Ack(Some(responder))
    }

    /// It is durable here; the carrier may forget it.
    pub fn accept(mut self) {
        if let Some(responder) = self.0.take() {
            responder.answer(crate::smpp::CommandStatus::OK);
        }
    }

    /// It will never be taken: the sender or the content cannot be read.
    pub fn refuse(mut self) {
        if let Some(responder) = self.0.take() {
            responder.answer(crate::smpp::CommandStatus::PERMANENT_APP_ERROR);
        }
    }
}

impl Drop for Ack {
    fn drop(&mut self) {
        if let Some(responder) = self.0.take() {
            responder.answer(crate::smpp::CommandStatus::TEMPORARY_APP_ERROR);
        }
    }
}

impl Carrier {
    /// The name in the configuration.
    pub fn name(&self) -> &CarrierName {
        match self {
            Carrier::Smpp(carrier) => carrier.name(),
        }
    }

    /// The configuration.
    pub fn config(&self) -> &CarrierConfig {
        match self {
            Carrier::Smpp(carrier) => carrier.config(),
        }
    }

    /// What the contract says, to be copied into each attempt.
    pub fn contract(&self) -> Contract {
        match self {
            Carrier::Smpp(carrier) => carrier.contract(),
        }
    }

    /// Where its days are cut, and in which zone its receipts are dated.
    pub fn zone(&self) -> &TimeZone {
        match self {
            Carrier::Smpp(carrier) => carrier.zone(),
        }
    }

    /// How it stands now.
    pub fn standing(&self) -> Standing {
        match self {
            Carrier::Smpp(carrier) => carrier.standing(),
        }
    }

    /// How long an answer to a charge takes, nearly always, as measured: what is sent later than that before a deadline would
    /// come too late.
    pub fn expected_answer(&self) -> Duration {
        match self {
            Carrier::Smpp(carrier) => carrier.expected_answer(),
        }
    }

    /// Puts in force what of a new configuration can be without a new bind: credentials and certificates from the next
    /// connection on, the rate at once. Everything else needs a restart.
    ///
    /// Errors: what cannot be used, named by its key; it stays as it was.
    pub fn reload(&self, config: &CarrierConfig, secrets: &LinkSecrets) -> Result<(), SetupError> {
        match self {
            Carrier::Smpp(carrier) => carrier.reload(config, secrets),
        }
    }

    /// Sends nothing new from now on, or goes on. What is under way is still answered.
    pub fn set_paused(&self, paused: bool) {
        match self {
            Carrier::Smpp(carrier) => carrier.set_paused(paused),
        }
    }

    /// Whether this amount can be charged: zero can, and what has a tariff.
    pub fn has_tariff(&self, amount: Money) -> bool {
        match self {
            Carrier::Smpp(carrier) => carrier.has_tariff(amount),
        }
    }

    /// What the attempt with this number is to be told by. Over HTTP it tells the charge and the number, so that whatever repeats
    /// it finds its owner; SMPP has only sixteen bits for it.
    pub fn wire_reference(&self, _charge: Reference, _attempt: u16) -> String {
        match self {
            Carrier::Smpp(carrier) => carrier.next_wire_reference(),
        }
    }

    /// Whether passengers can be written to through it.
    pub fn can_text(&self) -> bool {
        self.texts().is_some()
    }

    /// The links over which texts go.
    fn texts(&self) -> Option<&SmppCarrier> {
        match self {
            Carrier::Smpp(carrier) => Some(carrier),
        }
    }

    /// The right to send one charge, if a place is free this instant and the contract's rate allows another.
    pub fn try_reserve(&self) -> Option<SendSlot> {
        match self {
            Carrier::Smpp(carrier) => carrier.try_reserve().map(SendSlot::Smpp),
        }
    }

    /// Waits for the right to send one charge, or what belongs to one, within `patience`.
    ///
    /// Errors: there was none, or there will be none; that is said as soon as it can be known.
    pub async fn reserve(&self, patience: Duration, urgency: Urgency) -> Result<SendSlot, NoSlot> {
        match self {
            Carrier::Smpp(carrier) => carrier.reserve(patience, urgency).await.map(SendSlot::Smpp),
        }
    }

    /// Sends the attempt with this number, which must be durable (M1), and waits for what becomes of it. Always ends: with
    /// an answer, or with doubt. `text` is what the phone shows for it: neutral, no ticket.
    pub async fn charge(
        &self,
        slot: SendSlot,
        charge: &Charge,
        attempt: &Attempt,
        text: &str,
        now: Timestamp,
    ) -> Evidence {
        match (self, slot) {
            (Carrier::Smpp(carrier), SendSlot::Smpp(slot)) => carrier.charge(slot, charge, attempt, text, now).await,
        }
    }

    /// Has the carrier take what it holds for this attempt, which must be durable as asked for (M1).
    pub async fn confirm(&self, slot: SendSlot, _charge: &Charge, _attempt: &Attempt) -> Finding {
        match (self, slot) {
            // Over SMPP nothing is held; the attempt is from a time when this carrier was charged in another way.
            (Carrier::Smpp(_), SendSlot::Smpp(_)) => Finding::NotSent,
        }
    }

    /// Has the carrier give up what it holds for this attempt, which must be durable as asked for (M1).
    pub async fn cancel(&self, slot: SendSlot, _charge: &Charge, _attempt: &Attempt) -> Finding {
        match (self, slot) {
            (Carrier::Smpp(_), SendSlot::Smpp(_)) => Finding::NotSent,
        }
    }

    /// Passes on the one-time password that the subscriber has entered. [`Finding::OtpNeeded`] if it was not right.
    pub async fn validate(&self, slot: SendSlot, _charge: &Charge, _attempt: &Attempt, _otp: &str) -> Finding {
        match (self, slot) {
            (Carrier::Smpp(_), SendSlot::Smpp(_)) => Finding::Nothing,
        }
    }

    /// Asks for the status of an attempt. `None` where the carrier cannot be asked: no query, or no id to ask by. An error of
    /// the query itself is [`Finding::Nothing`] (M8).
    pub async fn query(&self, _charge: &Charge, attempt: &Attempt) -> Option<Finding> {
        match self {
            Carrier::Smpp(carrier) => carrier.query(attempt).await,
        }
    }

    /// Has the carrier give money back; the refund must be durable as requested. [`Finding::Charged`] means that it went back.
    pub async fn refund(&self, slot: SendSlot, _charge: &Charge, _refund: &Refund) -> Finding {
        match (self, slot) {
            (Carrier::Smpp(_), SendSlot::Smpp(_)) => Finding::NotSent,
        }
    }

    /// Asks what became of a refund. `None` where the carrier cannot be asked.
    pub async fn query_refund(&self, _charge: &Charge, _refund: &Refund) -> Option<Finding> {
        match self {
            Carrier::Smpp(_) => None,
        }
    }

    /// Reads a callback, and whether it is to be believed at all.
    ///
    /// Errors: it is not; nothing may come of it.
    pub fn callback(&self, _request: &CallbackRequest<'_>) -> Result<Callback, Refusal> {
        match self {
            Carrier::Smpp(_) => Err(Refusal {
                answer: CallbackAnswer::bare(404),
                kind: "no_callbacks",
                why: "this carrier calls nobody back".into(),
            }),
        }
    }

    /// Waits for the right to send one text, within `patience`. Errors: as [`Carrier::reserve`], and where no text can be sent.
    pub async fn reserve_text(&self, patience: Duration, urgency: Urgency) -> Result<TextSlot, NoSlot> {
        let Some(texts) = self.texts() else { return Err(NoSlot::InTime) };
        texts.reserve(patience, urgency).await.map(TextSlot)
    }

    /// Sends a text that costs the passenger nothing. A long one goes in parts: the slot is for the first, the others wait for
    /// places of their own.
    pub async fn send(&self, TextSlot(slot): TextSlot, text: Text<'_>, now: Timestamp) -> Sent {
        match self.texts() {
            Some(texts) => texts.send(slot, text, now).await,
            None => Sent::Later,
        }
    }

    /// Whether this receipt, which has no known id, can be about this attempt of this charge.
    pub fn receipt_fits(&self, receipt: &CarrierReceipt, charge: &Charge, attempt: &Attempt) -> bool {
        match self {
            Carrier::Smpp(carrier) => carrier.receipt_fits(receipt, charge, attempt),
        }
    }

    /// Tells the PDUs of its binds from now on. Errors: too many listen already.
    pub fn trace(&self, filter: TraceFilter, now: Timestamp) -> Result<Trace, crate::smpp::tap::TooManyListeners> {
        match self {
            Carrier::Smpp(carrier) => carrier.trace(filter, now),
        }
    }

    /// Stops sending, waits for what is under way within the link's limit, and unbinds.
    pub async fn shut_down(&self) {
        match self {
            Carrier::Smpp(carrier) => carrier.shut_down().await,
        }
    }
}

#[cfg(test)]
pub(crate) fn test_profile(charged_at: ChargedAt) -> SmppProfile {
    let charged_at = match charged_at {
        ChargedAt::Submission => "submission",
        ChargedAt::Delivery => "delivery",
    };
    toml::from_str(&format!(
        r#"
        address = "127.0.0.1:2775"
        system_id = "smsbus"
        password_file = "password"
        charged_at = "{charged_at}"
        message_id = {{ response = "hex", receipt_text = "decimal", receipt_tlv = "hex" }}
        tariffs = [{{ tlvs = [{{ tag = 0x1401, type = "c_octet_string", value = "BUS{{major}}" }}] }}]
        [statuses]
        0x450 = {{ rejected = "insufficient_balance" }}
        0x451 = {{ rejected = "corporate_number" }}
        [errs]
        050 = "insufficient_balance"
        "#
    ))
    .expect("a profile")
}
