//! After the books were put back to an older moment: carriers that can list payments are read from that moment on. What the books do not
//! know is a break, with all that the carrier tells of it; what they know better by it becomes evidence.

use std::{sync::Arc, time::Duration};

use metrics::counter;
use tracing::{error, info, warn};

use super::{ApplyError, Inner, apply::Happening};
use crate::{
    carrier::{Carrier, LostPayment, PaymentStanding, RereadError},
    charge::{AttemptState, Charge, Event, Evidence, EvidenceSource, Finding},
    clock::Timestamp,
    store::{Generation, Outcome, ParkedReceipt, Reread, StoreError, Write},
};

/// A list is read for so long a time at once; for less, where it has too many pages.
const WINDOW: Duration = Duration::from_secs(300);
const WINDOW_MIN: Duration = Duration::from_secs(1);
/// A carrier that could not be read for so long after a restore is read no more: its statements have told since.
const REREAD_FOR: Duration = Duration::from_secs(30 * 86_400);
/// Books that begin with nothing do not tell when they ended: so far back everything that the carrier has is lost.
const NOTHING_LEFT: Duration = Duration::from_secs(7 * 86_400);
/// Between two tries, where the carrier does not answer.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Why a carrier was not read to the end.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Carrier(#[from] RereadError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Broken {
        Broken::Apply(error.into())
    }
}

/// How far a carrier was read.
struct Progress {
    at: Timestamp,
    until: Timestamp,
    payments: u64,
    unknown: u64,
}

impl Inner {
    /// Reads what carriers can tell of the time that generations have lost, in tasks of their own.
    pub(super) fn reread_carriers(self: &Arc<Self>) {
        for carrier in self.carriers.values().filter(|carrier| carrier.can_list()) {
            let is_recent = |generation: &&Generation| self.now().since(generation.began_at) < REREAD_FOR;
            for generation in self.generations.iter().filter(is_recent) {
                let (inner, carrier, generation) = (self.clone(), carrier.clone(), generation.clone());
                self.spawn(async move { inner.reread_until_done(&carrier, &generation).await });
            }
        }
    }

    async fn reread_until_done(self: Arc<Self>, carrier: &Carrier, generation: &Generation) {
        let mut pause = PAUSE_MIN;
        // What was read stays read, whatever breaks off behind it.
        let mut progress = None;
        loop {
            match self.reread_if_due(carrier, generation, &mut progress).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    let lost = generation.number;
                    warn!(carrier = %carrier.name(), generation = lost, %error, "its payments of the lost time are not read yet; soon again");
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Whether nothing is left to read.
    async fn reread_if_due(
        self: &Arc<Self>,
        carrier: &Carrier,
        generation: &Generation,
        progress: &mut Option<Progress>,
    ) -> Result<bool, Broken> {
        if self.store.has_reread(carrier.name(), generation.number).await? {
            return Ok(true);
        }
        let in_flight = Duration::from_millis(carrier.contract().in_flight_delay_ms);
        let until = generation.lost_until.plus(in_flight);
        // What was sent last may only just arrive; and another daemon may be the one that reaches the carrier.
        if self.now() < until || !self.serves(carrier) {
            return Ok(false);
        }
        let margin = Duration::from_secs(self.config.reread_margin_seconds);
        let from = generation.restored_to.unwrap_or_else(|| generation.lost_until.minus(NOTHING_LEFT)).minus(margin);
        let until = until.plus(margin).min(self.now());
        let Progress { at, until, payments, unknown } =
            progress.get_or_insert_with(|| Progress { at: from, until, payments: 0, unknown: 0 });
        let mut window = WINDOW;
        while *at <= *until {
            match carrier.payments_between(*at, at.plus(window).min(*until)).await {
                Ok(found) => {
                    let (mut more, mut lost) = (0, 0);
                    for payment in found {
                        more += 1;
                        lost += u64::from(self.weigh_lost(carrier, payment).await?);
                    }
                    (*payments, *unknown) = (*payments + more, *unknown + lost);
                    // Both ends belong to it: what lies on one is looked at twice, and counts once.
                    *at = at.plus(window);
                    window = WINDOW;
                }
                Err(RereadError::TooMany) if window > WINDOW_MIN => window /= 2,
                Err(error) => return Err(error.into()),
            }
        }
        let reread = Reread { generation: generation.number, at: self.now(), payments: *payments, unknown: *unknown };
        self.store.keep_reread(carrier.name(), &reread).await?;
        info!(
            carrier = %carrier.name(), generation = generation.number, %from, until = %*until, payments = reread.payments,
            unknown = reread.unknown, "the carrier's payments of the lost time are read"
        );
        Ok(true)
    }

    /// Takes in a payment that the carrier has. Whether the books did not know of it.
    async fn weigh_lost(self: &Arc<Self>, carrier: &Carrier, payment: LostPayment) -> Result<bool, Broken> {
        let count = |known: &'static str| {
            counter!("reread_payments_total", "carrier" => carrier.name().to_string(), "known" => known).increment(1);
        };
        match self.store.charge(payment.reference).await? {
            Some(charge) => {
                count("yes");
                self.weigh_known(carrier, charge, payment).await?;
                Ok(false)
            }
            None if payment.standing == PaymentStanding::NotTaken => Ok(false),
            None => {
                count("no");
                self.report_lost(carrier, payment).await?;
                Ok(true)
            }
        }
    }

    /// It names a charge that is there. One that is in doubt is asked about; for one that is decided otherwise it is evidence.
    async fn weigh_known(
        self: &Arc<Self>,
        carrier: &Carrier,
        charge: Charge,
        payment: LostPayment,
    ) -> Result<(), ApplyError> {
        let theirs = |number| charge.attempt(number).filter(|attempt| attempt.carrier == *carrier.name());
        if let Some(attempt) = charge.undecided_attempt().filter(|attempt| attempt.carrier == *carrier.name()) {
            let number = attempt.number;
            self.query(charge, number);
            return Ok(());
        }
        let is_known = theirs(payment.attempt).is_some_and(|attempt| {
            attempt.state == AttemptState::Charged
                && attempt.carrier_id.as_ref().is_none_or(|id| *id == payment.carrier_id)
        });
        if is_known || payment.standing != PaymentStanding::Taken {
            return Ok(());
        }
        let finding = Finding::Charged { carrier_id: Some(payment.carrier_id.clone()), amount: payment.amount };
        let evidence = Evidence {
            id: format!("reread:{}:{}", payment.attempt, payment.carrier_id),
            attempt: payment.attempt,
            source: EvidenceSource::Query,
            finding,
        };
        let happening = Happening::told(Event::Evidence(evidence), Some(payment.told.to_string()));
        let applied = self.apply(charge.reference, Some(charge), happening).await?;
        self.follow(&applied);
        Ok(())
    }

    /// It names a charge of ours that is lost: somebody paid, and the books do not know of it. Once, however often it is read.
    async fn report_lost(&self, carrier: &Carrier, payment: LostPayment) -> Result<(), StoreError> {
        let id = format!("lost:{}:{}", carrier.name(), payment.carrier_id);
        let at = self.now();
        let parked = ParkedReceipt {
            id: id.clone(),
            carrier: carrier.name().clone(),
            carrier_id: Some(payment.carrier_id),
            msisdn: None,
            body: payment.told,
            received_at: at,
        };
        // An attempt that has this id owns it.
        if let Outcome::Owned(_) = self.writer.write(Write::Park(parked)).await? {
            return Ok(());
        }
        self.writer.write(Write::ReportUnowned { id, at }).await?;
        counter!("charge_breaks_total", "kind" => "receipt_unowned").increment(1);
        error!(carrier = %carrier.name(), charge = %payment.reference, "a break: the carrier has a payment for a charge that is lost to the books");
        Ok(())
    }

    /// The generation whose lost time this moment is near enough to that a request may be a repetition of one from then.
    pub(super) fn remembers_lost_keys(&self, now: Timestamp) -> Option<&Generation> {
        let hold = Duration::from_secs(self.config.lost_keys_seconds);
        self.generations.last().filter(|last| now < last.done_at.unwrap_or(last.began_at).plus(hold))
    }
}
