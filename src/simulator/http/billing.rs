//! What the carrier does with payments: it takes, holds, lets go and gives back, from the same balances and into the same
//! ledger as the SMSC. No I/O: time is passed in.

use std::time::Duration;

use uuid::Uuid;

use super::{
    Answers, Interface, PaymentStatus, RefundStatus,
    failure::Failure,
    payments::{NewPayment, NewRefund, Payment, PaymentKey, Refund, Validation},
};
use crate::{
    clock::Timestamp,
    money::Money,
    simulator::{
        exchange::Exchange,
        faults::Fault,
        ledger::{LedgerEntry, RefundEntry},
        subscribers::Refusal,
    },
};

impl Exchange {
    /// Takes a payment in, and settles it at once if that is how the interface answers.
    ///
    /// Errors: why not; then there is no payment and nothing is taken.
    pub(super) fn pay(&mut self, asked: NewPayment, answers: Answers, now: Timestamp) -> Result<Payment, Failure> {
        let http = &self.config.http;
        if asked.amount_minor < http.amount_min_minor {
            return Err(Failure::AmountTooSmall);
        }
        if http.amount_max_minor.is_some_and(|most| asked.amount_minor > most) {
            return Err(Failure::AmountTooLarge);
        }
        let paid = self.payments.paid_minor(asked.msisdn);
        if http.subscriber_total_max_minor.is_some_and(|most| paid.saturating_add(asked.amount_minor) > most) {
            return Err(Failure::ThresholdPassed);
        }
        if self.payments.is_full() {
            return Err(Failure::Full);
        }
        if !self.subscribers.get(asked.msisdn).is_ours() {
            return Err(Failure::Refused(Refusal::NotOurSubscriber));
        }
        let mut payment = self.payments.begin(asked, now);
        if answers == Answers::Settled {
            self.settle(&mut payment, now)?;
        }
        self.payments.keep(payment.clone());
        Ok(payment)
    }

    /// Settles a payment that was taken in before: it is taken, held or denied. None if it is not `processing` any more.
    pub(super) fn settle_later(&mut self, key: PaymentKey, now: Timestamp) -> Option<Payment> {
        let mut payment = self.payments.get(key).filter(|payment| payment.status == PaymentStatus::Processing)?.clone();
        if let Err(failure) = self.settle(&mut payment, now) {
            payment.status = PaymentStatus::Denied;
            payment.denied = Some(failure);
        }
        self.payments.keep(payment.clone());
        Some(payment)
    }

    /// The subscriber's code. Errors: why it is not taken.
    pub(super) fn validate(
        &mut self,
        key: PaymentKey,
        authorization: &str,
        code: &str,
        tries_max: u32,
    ) -> Result<Payment, Failure> {
        let mut payment = self.payments.get(key).ok_or(Failure::NotFound)?.clone();
        let validation = match (payment.status, &mut payment.validation) {
            (PaymentStatus::PendingValidation, Some(validation)) => validation,
            (PaymentStatus::Reserved | PaymentStatus::Succeeded, _) => return Err(Failure::Validated),
            (PaymentStatus::Denied, Some(_)) => return Err(Failure::ValidationFailed),
            _ => return Err(Failure::NotInThatState),
        };
        if validation.authorization != authorization {
            return Err(Failure::WrongAuthorization);
        }
        if validation.code == code {
            payment.status = PaymentStatus::Reserved;
            self.payments.keep(payment.clone());
            return Ok(payment);
        }
        validation.tries += 1;
        let failure = match validation.tries >= tries_max {
            true => {
                payment.denied = Some(Failure::ValidationFailed);
                self.let_go(&mut payment, PaymentStatus::Denied);
                Failure::ValidationFailed
            }
            false => Failure::WrongCode,
        };
        self.payments.keep(payment);
        Err(failure)
    }

    /// Takes what is held, or a part of it and lets the rest go. Where the confirm is lost, the answer says so and nothing is
    /// done.
    ///
    /// Errors: why not; more than what is held.
    pub(super) fn confirm(
        &mut self,
        key: PaymentKey,
        part_minor: Option<i64>,
        faults: &[Fault],
        now: Timestamp,
    ) -> Result<Payment, Failure> {
        let mut payment = self.payments.get(key).ok_or(Failure::NotFound)?.clone();
        match payment.status {
            PaymentStatus::Reserved => {}
            PaymentStatus::Succeeded => return Err(Failure::Confirmed),
            PaymentStatus::Cancelled | PaymentStatus::Expired => return Err(Failure::Cancelled),
            _ => return Err(Failure::NotInThatState),
        }
        let held = payment.asked.amount_minor;
        let taken = part_minor.unwrap_or(held);
        if taken <= 0 || taken > held {
            return Err(Failure::AmountTooLarge);
        }
        if self.ledger.len() >= self.config.limits.ledger_entries_max {
            return Err(Failure::Full);
        }
        payment.asked.faults.extend(faults);
        payment.asked.amount_minor = taken;
        payment.status = PaymentStatus::Succeeded;
        payment.paid_at = Some(now);
        if !faults.contains(&Fault::HttpLost) {
            let subscriber = self.subscribers.get_mut(payment.asked.msisdn).map_err(|_| Failure::Full)?;
            subscriber.balance_minor = subscriber.balance_minor.saturating_add(held - taken);
            self.book(&payment, now);
            self.payments.keep(payment.clone());
        }
        Ok(payment)
    }

    /// Lets go what is held. Where it is lost, the answer says so and nothing is done.
    pub(super) fn cancel(&mut self, key: PaymentKey, faults: &[Fault]) -> Result<Payment, Failure> {
        let mut payment = self.payments.get(key).ok_or(Failure::NotFound)?.clone();
        match payment.status {
            PaymentStatus::Reserved | PaymentStatus::PendingValidation | PaymentStatus::Processing => {}
            PaymentStatus::Succeeded => return Err(Failure::Confirmed),
            PaymentStatus::Cancelled | PaymentStatus::Expired => return Err(Failure::Cancelled),
            PaymentStatus::Denied => return Err(Failure::NotInThatState),
        }
        if faults.contains(&Fault::HttpLost) {
            payment.status = PaymentStatus::Cancelled;
            return Ok(payment);
        }
        self.let_go(&mut payment, PaymentStatus::Cancelled);
        self.payments.keep(payment.clone());
        Ok(payment)
    }

    /// Holds more on a reservation, up to `amount_minor` in all. Errors: why not; then it holds what it held.
    pub(super) fn hold_more(&mut self, key: PaymentKey, more_minor: i64) -> Result<Payment, Failure> {
        let mut payment = self.payments.get(key).ok_or(Failure::NotFound)?.clone();
        if payment.status != PaymentStatus::Reserved {
            return Err(Failure::NotInThatState);
        }
        let all = payment.asked.amount_minor.checked_add(more_minor).ok_or(Failure::AmountTooLarge)?;
        if self.config.http.amount_max_minor.is_some_and(|most| all > most) {
            return Err(Failure::AmountTooLarge);
        }
        let subscriber = self.subscribers.get_mut(payment.asked.msisdn).map_err(|_| Failure::Full)?;
        subscriber.charge(more_minor).map_err(Failure::Refused)?;
        payment.asked.amount_minor = all;
        self.payments.keep(payment.clone());
        Ok(payment)
    }

    /// Gives money back, at once or later. Errors: why not; then there is no refund.
    pub(super) fn refund(
        &mut self,
        key: PaymentKey,
        asked: NewRefund,
        answers: Answers,
        now: Timestamp,
    ) -> Result<(Payment, Refund), Failure> {
        let mut payment = self.payments.get(key).ok_or(Failure::NotFound)?.clone();
        if payment.status != PaymentStatus::Succeeded {
            return Err(Failure::NotPaid);
        }
        let remaining = payment.remaining_minor();
        if remaining <= 0 || !self.config.http.refunds {
            return Err(Failure::NotRefundable);
        }
        let amount_minor = asked.amount_minor.unwrap_or(remaining);
        if amount_minor <= 0 || amount_minor > remaining {
            return Err(Failure::RefundTooLarge);
        }
        if self.payments.is_full() {
            return Err(Failure::Full);
        }
        let mut refund = Refund {
            id: self.payments.next_id(),
            asked,
            amount_minor,
            status: RefundStatus::Processing,
            created_at: now,
            refunded_at: None,
            denied: None,
        };
        if answers == Answers::Settled {
            self.give_back(&payment, &mut refund, now)?;
        }
        payment.refunds.push(refund.clone());
        self.payments.keep(payment.clone());
        Ok((payment, refund))
    }

    /// Settles a refund that was taken in before. None if it is not `processing` any more.
    pub(super) fn refund_later(&mut self, key: PaymentKey, id: &str, now: Timestamp) -> Option<(Payment, Refund)> {
        let mut payment = self.payments.get(key)?.clone();
        let at = payment.refunds.iter().position(|refund| refund.id == id)?;
        let mut refund = payment.refunds.get(at).filter(|refund| refund.status == RefundStatus::Processing)?.clone();
        if let Err(failure) = self.give_back(&payment, &mut refund, now) {
            refund.status = RefundStatus::Denied;
            refund.denied = Some(failure);
        }
        *payment.refunds.get_mut(at)? = refund.clone();
        self.payments.keep(payment.clone());
        Some((payment, refund))
    }

    /// Ends the reservations whose time is over. Nobody is told.
    pub(in crate::simulator) fn expire_reservations(&mut self, now: Timestamp) {
        while let Some(key) = self.payments.next_expired(now) {
            let Some(mut payment) = self.payments.get(key).cloned() else { return };
            self.let_go(&mut payment, PaymentStatus::Expired);
            self.payments.keep(payment);
            self.stats.http.reservations_expired += 1;
        }
    }

    /// Takes the amount, or holds it. Errors: why not; then nothing has changed.
    fn settle(&mut self, payment: &mut Payment, now: Timestamp) -> Result<(), Failure> {
        if self.ledger.len() >= self.config.limits.ledger_entries_max {
            return Err(Failure::Full);
        }
        if self.own_account_empty {
            return Err(Failure::Refused(Refusal::OwnAccountEmpty));
        }
        let subscriber = self.subscribers.get_mut(payment.asked.msisdn).map_err(|_| Failure::Full)?;
        subscriber.charge(payment.asked.amount_minor).map_err(Failure::Refused)?;
        if !payment.asked.two_steps {
            payment.status = PaymentStatus::Succeeded;
            payment.paid_at = Some(now);
            self.book(payment, now);
            return Ok(());
        }
        let code = subscriber.otp.clone().filter(|_| payment.asked.interface == Interface::Camara);
        payment.status = match code {
            None => PaymentStatus::Reserved,
            Some(code) => {
                let authorization = self.payments.next_id();
                payment.validation = Some(Validation { authorization, code, tries: 0 });
                PaymentStatus::PendingValidation
            }
        };
        payment.expires_at = Some(now.plus(Duration::from_millis(self.config.http.reservation_ms)));
        Ok(())
    }

    /// Writes what was taken into the ledger.
    fn book(&mut self, payment: &Payment, now: Timestamp) {
        let asked = &payment.asked;
        self.ledger.append(LedgerEntry {
            at: now,
            msisdn: asked.msisdn,
            amount: Money::kzt(asked.amount_minor),
            interface: Some(asked.interface),
            message_id: payment.id.clone(),
            user_message_reference: None,
            request_reference: Some(asked.reference.clone()),
            reference: uuid_at_begin(&asked.reference),
            tariff: String::new(),
            text: asked.particulars.description.clone(),
            faults: asked.faults.clone(),
        });
    }

    /// The subscriber has what was held again.
    fn let_go(&mut self, payment: &mut Payment, status: PaymentStatus) {
        if payment.status.holds() {
            // Its hold made the subscriber a known one, so there is room.
            if let Ok(subscriber) = self.subscribers.get_mut(payment.asked.msisdn) {
                subscriber.balance_minor = subscriber.balance_minor.saturating_add(payment.asked.amount_minor);
            }
        }
        payment.status = status;
    }

    fn give_back(&mut self, payment: &Payment, refund: &mut Refund, now: Timestamp) -> Result<(), Failure> {
        if self.ledger.len() >= self.config.limits.ledger_entries_max {
            return Err(Failure::Full);
        }
        let subscriber = self.subscribers.get_mut(payment.asked.msisdn).map_err(|_| Failure::Full)?;
        if !subscriber.is_ours() {
            return Err(Failure::RefundDenied);
        }
        subscriber.balance_minor = subscriber.balance_minor.saturating_add(refund.amount_minor);
        refund.status = RefundStatus::Succeeded;
        refund.refunded_at = Some(now);
        self.ledger.append_refund(RefundEntry {
            at: now,
            msisdn: payment.asked.msisdn,
            amount: Money::kzt(refund.amount_minor),
            interface: Some(payment.asked.interface),
            payment_id: payment.id.clone(),
            refund_id: refund.id.clone(),
            request_reference: refund.asked.reference.clone(),
            faults: refund.asked.faults.clone(),
        });
        Ok(())
    }
}

/// The UUID that a client's reference is or begins with, so that attempts of one charge count as one.
fn uuid_at_begin(reference: &str) -> Option<Uuid> {
    let begins = [Some(reference), reference.get(..36), reference.get(..32)];
    begins.into_iter().flatten().find_map(|text| Uuid::parse_str(text).ok())
}
