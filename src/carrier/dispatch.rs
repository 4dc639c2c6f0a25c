//! What the gateway asks of a carrier, whatever its interface.

use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::time::Instant;

use super::{
    Callback, CallbackAnswer, CallbackRequest, Carrier, CarrierConfig, CarrierReceipt, NoSlot, Refusal, Sent,
    SmppCarrier, Standing, Text, Trace, TraceFilter, Urgency, smpp, web,
};
use crate::{
    charge::{Attempt, CarrierName, Charge, Contract, Evidence, EvidenceSource, Finding, Reference, Refund},
    clock::Timestamp,
    money::Money,
    process,
};

/// The right to send one charge, or what belongs to one, now. Dropping it gives the place back.
#[derive(Debug)]
pub enum SendSlot {
    /// At an SMPP carrier: a place in the window.
    Smpp(smpp::Slot),
    /// At an HTTP carrier: a request under way.
    Web(web::WebSlot),
}

/// For so long a slot may be used. Between its giving and its use lies the commit that makes durable what is sent. What takes longer than that, or a
/// process that stood still, may be past the moment at which others took over what it had: then nothing is sent.
pub const SLOT_LASTS: Duration = Duration::from_secs(5);

/// The right to send one text now. Dropping it gives the place back.
#[derive(Debug)]
pub struct TextSlot(smpp::Slot);

impl SendSlot {
    /// Whether it was given too long ago to be used.
    fn is_over(&self) -> bool {
        let given_at = match self {
            SendSlot::Smpp(slot) => slot.given_at(),
            SendSlot::Web(slot) => slot.given_at(),
        };
        process::now().saturating_duration_since(given_at) > SLOT_LASTS
    }
}

impl Carrier {
    /// The name in the configuration.
    pub fn name(&self) -> &CarrierName {
        match self {
            Carrier::Smpp(carrier) => carrier.name(),
            Carrier::Camara(carrier) => &carrier.around.name,
            Carrier::Http(carrier) => &carrier.around.name,
        }
    }

    /// The configuration.
    pub fn config(&self) -> &CarrierConfig {
        match self {
            Carrier::Smpp(carrier) => carrier.config(),
            Carrier::Camara(carrier) => &carrier.around.config,
            Carrier::Http(carrier) => &carrier.around.config,
        }
    }

    /// Where its days are cut, and in which zone its receipts are dated.
    pub fn zone(&self) -> &TimeZone {
        match self {
            Carrier::Smpp(carrier) => carrier.zone(),
            Carrier::Camara(carrier) => &carrier.around.zone,
            Carrier::Http(carrier) => &carrier.around.zone,
        }
    }

    /// The links over which texts go, if there are any.
    pub(super) fn texts(&self) -> Option<&SmppCarrier> {
        match self {
            Carrier::Smpp(carrier) => Some(carrier),
            Carrier::Camara(carrier) => carrier.around.texts.as_ref(),
            Carrier::Http(carrier) => carrier.around.texts.as_ref(),
        }
    }

    /// What the contract says, to be copied into each attempt.
    pub fn contract(&self) -> Contract {
        match self {
            Carrier::Smpp(carrier) => carrier.contract(),
            Carrier::Camara(carrier) => carrier.charging.contract(),
            Carrier::Http(carrier) => carrier.charging.contract(),
        }
    }

    /// How it stands now.
    pub fn standing(&self) -> Standing {
        match self {
            Carrier::Smpp(carrier) => carrier.standing(),
            Carrier::Camara(carrier) => carrier.standing(carrier.charging.standing()),
            Carrier::Http(carrier) => carrier.standing(carrier.charging.standing()),
        }
    }

    /// How long an answer to a charge takes, nearly always, as measured: what is sent later than that before a deadline would
    /// come too late.
    pub fn expected_answer(&self) -> Duration {
        match self {
            Carrier::Smpp(carrier) => carrier.expected_answer(),
            Carrier::Camara(carrier) => carrier.charging.expected_answer(),
            Carrier::Http(carrier) => carrier.charging.expected_answer(),
        }
    }

    /// Charges nobody from now on, or goes on. What is under way is still answered.
    pub fn set_paused(&self, paused: bool) {
        match self {
            Carrier::Smpp(carrier) => carrier.set_paused(paused),
            Carrier::Camara(carrier) => carrier.charging.set_paused(paused),
            Carrier::Http(carrier) => carrier.charging.set_paused(paused),
        }
    }

    /// Whether this amount can be charged: see [`CarrierConfig::has_tariff`].
    pub fn has_tariff(&self, amount: Money) -> bool {
        match self {
            Carrier::Smpp(carrier) => carrier.has_tariff(amount),
            Carrier::Camara(carrier) => carrier.charging.has_tariff(amount),
            Carrier::Http(carrier) => amount.currency == carrier.around.config.currency && amount.minor >= 0,
        }
    }

    /// What the attempt with this number is to be told by. Over HTTP it tells the charge and the number, so that whatever repeats
    /// it finds its owner; SMPP has only sixteen bits for it.
    pub fn wire_reference(&self, charge: Reference, attempt: u16) -> String {
        match self {
            Carrier::Smpp(carrier) => carrier.next_wire_reference(),
            Carrier::Camara(carrier) => carrier.charging.wire_reference(charge, attempt),
            Carrier::Http(carrier) => carrier.charging.wire_reference(charge, attempt),
        }
    }

    /// What the carrier's own clock shows, as its answers tell, where it must be known to tell what became of an attempt.
    pub fn time(&self) -> Option<Timestamp> {
        match self {
            Carrier::Smpp(_) | Carrier::Http(_) => None,
            Carrier::Camara(carrier) => carrier.charging.time(),
        }
    }

    /// The right to send one charge, if a place is free this instant and the contract's rate allows another.
    pub fn try_reserve(&self) -> Option<SendSlot> {
        match self {
            Carrier::Smpp(carrier) => carrier.try_reserve().map(SendSlot::Smpp),
            Carrier::Camara(carrier) => carrier.charging.try_reserve().map(SendSlot::Web),
            Carrier::Http(carrier) => carrier.charging.try_reserve().map(SendSlot::Web),
        }
    }

    /// Waits for the right to send one charge, or what belongs to one, within `patience`.
    ///
    /// Errors: there was none, or there will be none; that is said as soon as it can be known.
    pub async fn reserve(&self, patience: Duration, urgency: Urgency) -> Result<SendSlot, NoSlot> {
        match self {
            Carrier::Smpp(carrier) => carrier.reserve(patience, urgency).await.map(SendSlot::Smpp),
            Carrier::Camara(carrier) => carrier.charging.reserve(patience, urgency).await.map(SendSlot::Web),
            Carrier::Http(carrier) => carrier.charging.reserve(patience, urgency).await.map(SendSlot::Web),
        }
    }

    /// The same for an attempt to charge: only once all is known of the carrier that its proof may need later.
    pub async fn reserve_attempt(&self, patience: Duration) -> Result<SendSlot, NoSlot> {
        let until = Instant::now() + patience;
        if let Carrier::Camara(carrier) = self {
            carrier.charging.learn_time(patience).await?;
        }
        self.reserve(until.saturating_duration_since(Instant::now()), Urgency::Normal).await
    }

    /// The same, if it can be had this instant.
    pub fn try_reserve_attempt(&self) -> Option<SendSlot> {
        match self {
            Carrier::Camara(carrier) if !carrier.charging.has_answered() => None,
            _ => self.try_reserve(),
        }
    }

    /// Sends the attempt with this number, which must be durable (M1), and waits for what becomes of it. Always ends: with
    /// an answer, or with doubt. `text` is what the phone shows for it, where it shows anything: neutral, no ticket.
    pub async fn charge(
        &self,
        slot: SendSlot,
        charge: &Charge,
        attempt: &Attempt,
        text: &str,
        now: Timestamp,
    ) -> Evidence {
        if slot.is_over() {
            let id = format!("link:{}:slot_over", attempt.number);
            let source = EvidenceSource::Link;
            return Evidence { id, attempt: attempt.number, source, finding: Finding::NotSent };
        }
        // The exchanges over HTTP are several times as large as that over SMPP, and have places of their own.
        match (self, slot) {
            (Carrier::Smpp(carrier), SendSlot::Smpp(slot)) => carrier.charge(slot, charge, attempt, text, now).await,
            (Carrier::Camara(carrier), SendSlot::Web(slot)) => {
                Box::pin(carrier.charging.charge(slot, charge, attempt)).await
            }
            (Carrier::Http(carrier), SendSlot::Web(slot)) => {
                Box::pin(carrier.charging.charge(slot, charge, attempt)).await
            }
            // A slot of another carrier: nothing was sent.
            _ => {
                let id = format!("link:{}:foreign_slot", attempt.number);
                let source = EvidenceSource::Link;
                Evidence { id, attempt: attempt.number, source, finding: Finding::NotSent }
            }
        }
    }

    /// Has the carrier take what it holds for this attempt, which must be durable as asked for (M1).
    pub async fn confirm(&self, slot: SendSlot, charge: &Charge, attempt: &Attempt) -> Finding {
        match (self, slot) {
            (_, slot) if slot.is_over() => Finding::NotSent,
            (Carrier::Camara(carrier), SendSlot::Web(slot)) => carrier.charging.confirm(slot, charge, attempt).await,
            (Carrier::Http(carrier), SendSlot::Web(slot)) => carrier.charging.confirm(slot, charge, attempt).await,
            // Over SMPP nothing is held; the attempt is from a time when this carrier was charged in another way.
            _ => Finding::NotSent,
        }
    }

    /// Has the carrier give up what it holds for this attempt, which must be durable as asked for (M1).
    pub async fn cancel(&self, slot: SendSlot, charge: &Charge, attempt: &Attempt) -> Finding {
        match (self, slot) {
            (_, slot) if slot.is_over() => Finding::NotSent,
            (Carrier::Camara(carrier), SendSlot::Web(slot)) => carrier.charging.cancel(slot, charge, attempt).await,
            (Carrier::Http(carrier), SendSlot::Web(slot)) => carrier.charging.cancel(slot, charge, attempt).await,
            _ => Finding::NotSent,
        }
    }

    /// Passes on the one-time password that the subscriber has entered. [`Finding::OtpNeeded`] if it was not right.
    pub async fn validate(&self, slot: SendSlot, charge: &Charge, attempt: &Attempt, otp: &str) -> Finding {
        match (self, slot) {
            (_, slot) if slot.is_over() => Finding::Nothing,
            (Carrier::Camara(carrier), SendSlot::Web(slot)) => {
                carrier.charging.validate(slot, charge, attempt, otp).await
            }
            (Carrier::Http(carrier), SendSlot::Web(slot)) => {
                carrier.charging.validate(slot, charge, attempt, otp).await
            }
            _ => Finding::Nothing,
        }
    }

    /// Asks for the status of an attempt. `None` where the carrier cannot be asked: no query, or no id to ask by. An error of
    /// the query itself is [`Finding::Nothing`] (M8).
    pub async fn query(&self, charge: &Charge, attempt: &Attempt) -> Option<Finding> {
        match self {
            Carrier::Smpp(carrier) => carrier.query(charge, attempt).await,
            Carrier::Camara(carrier) => carrier.charging.query(charge, attempt).await,
            Carrier::Http(carrier) => carrier.charging.query(charge, attempt).await,
        }
    }

    /// Has the carrier give money back; the refund must be durable as requested. [`Finding::Charged`] means that it went back.
    pub async fn refund(&self, slot: SendSlot, charge: &Charge, refund: &Refund) -> Finding {
        match (self, slot) {
            (_, slot) if slot.is_over() => Finding::NotSent,
            (Carrier::Smpp(carrier), SendSlot::Smpp(slot)) => carrier.refund(slot, charge, refund).await,
            (Carrier::Camara(carrier), SendSlot::Web(slot)) => carrier.charging.refund(slot, charge, refund).await,
            (Carrier::Http(carrier), SendSlot::Web(slot)) => carrier.charging.refund(slot, charge, refund).await,
            _ => Finding::NotSent,
        }
    }

    /// Asks what became of a refund. `None` where the carrier cannot be asked.
    pub async fn query_refund(&self, charge: &Charge, refund: &Refund) -> Option<Finding> {
        match self {
            Carrier::Smpp(carrier) => carrier.query_refund(refund).await,
            Carrier::Camara(carrier) => carrier.charging.query_refund(charge, refund).await,
            Carrier::Http(carrier) => carrier.charging.query_refund(charge, refund).await,
        }
    }

    /// Reads a callback, and whether it is to be believed at all.
    ///
    /// Errors: it is not; nothing may come of it.
    pub fn callback(&self, request: &CallbackRequest<'_>) -> Result<Callback, Refusal> {
        match self {
            Carrier::Smpp(_) => Err(Refusal {
                answer: CallbackAnswer::bare(404),
                kind: "no_callbacks",
                why: "this carrier calls nobody back".into(),
            }),
            Carrier::Camara(carrier) => carrier.charging.callback(request),
            Carrier::Http(carrier) => carrier.charging.callback(request),
        }
    }

    /// Whether passengers can be written to through it.
    pub fn can_text(&self) -> bool {
        self.texts().is_some()
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
            // A receipt is about a text there.
            Carrier::Camara(_) | Carrier::Http(_) => false,
        }
    }

    /// The same of a refund.
    pub fn receipt_fits_refund(&self, receipt: &CarrierReceipt, charge: &Charge, refund: &Refund) -> bool {
        match self {
            Carrier::Smpp(carrier) => carrier.receipt_fits_refund(receipt, charge, refund),
            Carrier::Camara(_) | Carrier::Http(_) => false,
        }
    }

    /// Tells the PDUs of its binds from now on; `None` if it has none. Errors: too many listen already.
    pub fn trace(
        &self,
        filter: TraceFilter,
        now: Timestamp,
    ) -> Option<Result<Trace, crate::smpp::tap::TooManyListeners>> {
        self.texts().map(|texts| texts.trace(filter, now))
    }

    /// Charges nobody any more, waits for what is under way within its limits, and unbinds.
    pub async fn shut_down(&self) {
        let texts = async {
            if let Some(texts) = self.texts() {
                texts.shut_down().await;
            }
        };
        match self {
            Carrier::Smpp(_) => texts.await,
            Carrier::Camara(carrier) => {
                tokio::join!(carrier.charging.shut_down(), texts);
            }
            Carrier::Http(carrier) => {
                tokio::join!(carrier.charging.shut_down(), texts);
            }
        }
    }
}
