//! The carrier behind the SMSC: it takes submissions, charges, and brings messages to phones. No I/O and no clock: time
//! is passed in, chance is drawn from the seed, and what is to be sent is handed back.

use std::time::Duration;

use jiff::tz::TimeZone;
use rand::{SeedableRng, rngs::StdRng};

use super::{
    config::{ChargingMoment, ConfigError, DelayRange, SimulatorConfig},
    faults::{Fault, FaultBook, Strikes},
    http::{Operation, Payments, Tokens},
    ledger::{Ledger, LedgerEntry},
    message::{Message, MessageKey, MessageState, Messages, Submission},
    phones::Phones,
    receipts::{self, ReceiptDue},
    refunds::RefundRefusal,
    ruling::{ESME_RMSGQFUL, ESME_RTHROTTLED, Reply, Ruling},
    stats::Stats,
    subscribers::{Condition, Refusal, Subscribers},
};
use crate::{clock::Timestamp, money::Money, msisdn::Msisdn};

/// What becomes of a message at the phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The phone is off: ask again then.
    Later(Duration),
    /// It has ended. These receipts follow, in this order, after a pause.
    Ended { after: Duration, receipts: Vec<ReceiptDue> },
}

/// A tariff that the carrier does not have (SMPP 3.4, section 5.1.3).
const ESME_RINVTLVVAL: u32 = 0xC4;

/// How often a phone that is off is tried.
const PHONE_RETRY: Duration = Duration::from_millis(100);

/// Everything the carrier knows.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) config: SimulatorConfig,
    pub(super) zone: TimeZone,
    pub(super) subscribers: Subscribers,
    pub(super) ledger: Ledger,
    pub(super) faults: FaultBook,
    pub(super) messages: Messages,
    pub(super) stats: Stats,
    pub(super) own_account_empty: bool,
    pub(super) phones: Phones,
    pub(super) payments: Payments,
    pub(super) tokens: Tokens,
    mo_reference: u16,
    rng: StdRng,
}

impl Exchange {
    /// Errors: a configuration that cannot work.
    pub(super) fn new(config: SimulatorConfig) -> Result<Exchange, ConfigError> {
        config.validate()?;
        let mut faults = FaultBook::default();
        for rule in &config.faults {
            faults
                .add(rule.clone())
                .map_err(|problem| ConfigError::Value { key: "faults", problem: problem.to_string() })?;
        }
        Ok(Exchange {
            zone: config.zone()?,
            subscribers: Subscribers::new(
                config.subscribers.clone(),
                config.default_balance_minor,
                config.limits.subscribers_max,
            ),
            ledger: Ledger::default(),
            faults,
            messages: Messages::new(config.limits.messages_kept_max, config.limits.messages_pending_max),
            stats: Stats::default(),
            own_account_empty: false,
            phones: Phones::new(config.limits.subscribers_max, config.limits.inbox_messages_max),
            payments: Payments::new(config.seed, config.http.limits.payments_max),
            tokens: Tokens::new(config.seed, config.http.limits.tokens_max),
            mo_reference: 0,
            rng: StdRng::seed_from_u64(config.seed),
            config,
        })
    }

    /// Rules on a `submit_sm`: accepts it, and charges it if that is the moment, or refuses it.
    pub(super) fn submit(&mut self, mut submission: Submission, now: Timestamp) -> Ruling {
        if submission.tariff.is_none() {
            submission.tariff = self.config.source_addresses.get(&submission.from).cloned();
        }
        let faults = self.faults.draw_for_submit(submission.to, submission.purpose(), &mut self.rng);
        self.stats.submits += 1;
        self.stats.record_faults(&faults);
        let mut ruling = match faults.iter().find_map(|fault| Ruling::before_acceptance(*fault)) {
            Some(ruling) => ruling,
            None => match self.accept(submission, faults.clone(), now) {
                Ok(key) => self.ruling_on_accepted(key, &faults),
                Err(status) => Ruling::refused(status),
            },
        };
        match ruling.accepted {
            Some(_) => self.stats.submits_accepted += 1,
            None => self.stats.submits_refused += 1,
        }
        ruling.manner.after += self.config.response_delay_ms.draw(&mut self.rng);
        ruling
    }

    /// A submission that is refused before the carrier looks at it.
    pub(super) fn refuse(&mut self, status: u32) -> Ruling {
        self.stats.submits += 1;
        self.stats.submits_refused += 1;
        Ruling::refused(status)
    }

    /// A submission that passed a limit of the SMSC.
    pub(super) fn refuse_over_limit(&mut self, tps: bool) -> Ruling {
        if tps {
            self.stats.submits_over_tps += 1;
            self.refuse(ESME_RTHROTTLED)
        } else {
            self.stats.submits_over_window += 1;
            self.refuse(ESME_RMSGQFUL)
        }
    }

    /// A message reaches its phone, or would, if the phone were on. None if it has ended before.
    pub(super) fn arrive(&mut self, key: MessageKey, now: Timestamp) -> Option<Arrival> {
        let message = self.messages.get(key).filter(|message| message.state == MessageState::Enroute)?;
        let subscriber = self.subscribers.get(message.submission.to);
        let validity = message.submission.validity.unwrap_or(Duration::from_millis(self.config.default_validity_ms));
        let expires_at = message.submitted_at.plus(validity);
        let phone_off = subscriber.conditions.contains(&Condition::PhoneOff);
        let (state, err) = if now > expires_at || (phone_off && now >= expires_at) {
            (MessageState::Expired, 0)
        } else if phone_off {
            return Some(Arrival::Later(expires_at.since(now).min(PHONE_RETRY)));
        } else {
            let message = message.clone();
            match self.hand_over(&message, now) {
                Ok(()) => (MessageState::Delivered, 0),
                Err(err) => (MessageState::Undeliverable, err),
            }
        };
        let message = self.messages.finish(key, state, err, now)?;
        let (after, receipts) = receipts::due(&message);
        Some(Arrival::Ended { after, receipts })
    }

    /// What goes wrong with an MO of this number.
    pub(super) fn draw_for_mo(&mut self, msisdn: Msisdn) -> Vec<Fault> {
        let drawn = self.faults.draw_for_mo(msisdn, &mut self.rng);
        self.stats.record_faults(&drawn);
        drawn
    }

    /// What goes wrong with a request over HTTP.
    pub(super) fn draw_for_http(&mut self, operation: Operation, msisdn: Option<Msisdn>) -> Vec<Fault> {
        let drawn = self.faults.draw_for_http(operation, msisdn, &mut self.rng);
        self.stats.record_faults(&drawn);
        drawn
    }

    /// A delay, drawn from the seed.
    pub(super) fn draw_delay(&mut self, range: DelayRange) -> Duration {
        range.draw(&mut self.rng)
    }

    /// What the parts of the next MO have in common.
    pub(super) fn next_mo_reference(&mut self) -> u16 {
        self.mo_reference = self.mo_reference.wrapping_add(1);
        self.mo_reference
    }

    /// What goes wrong with a bind or a link.
    pub(super) fn draw_for_link(&mut self, strikes: Strikes) -> Vec<Fault> {
        let drawn = self.faults.draw_for_link(strikes, &mut self.rng);
        self.stats.record_faults(&drawn);
        drawn
    }

    /// Keeps the message, charged if submission is the moment. Errors: the `command_status` of the refusal; then
    /// nothing was charged.
    fn accept(&mut self, submission: Submission, faults: Vec<Fault>, now: Timestamp) -> Result<MessageKey, u32> {
        if self.messages.is_full() {
            return Err(ESME_RMSGQFUL);
        }
        let price_minor = match &submission.tariff {
            Some(code) => Some(*self.config.tariffs.get(code).ok_or(ESME_RINVTLVVAL)?),
            None => None,
        };
        let refunds_now = self.config.refunds.as_ref().is_some_and(|refunds| refunds.at == ChargingMoment::Submission);
        let id = self.messages.next_id(faults.contains(&Fault::ReusedMessageId));
        let message = Message {
            id,
            submission,
            faults,
            submitted_at: now,
            price_minor,
            state: MessageState::Enroute,
            err: 0,
            done_at: None,
        };
        if message.submission.refund.is_some() {
            if refunds_now {
                self.give_back_by_message(&message, now).map_err(RefundRefusal::command_status)?;
            }
        } else if self.config.charging.at == ChargingMoment::Submission {
            self.charge(&message, now).map_err(ChargeError::command_status)?;
        }
        Ok(self.messages.accept(message))
    }

    /// The phone is on: charges or gives back if delivery is the moment, and shows a free message. Errors: the network's error.
    fn hand_over(&mut self, message: &Message, now: Timestamp) -> Result<(), u8> {
        let to = message.submission.to;
        if self.subscribers.get(to).conditions.contains(&Condition::Unknown) {
            return Err(Refusal::NotOurSubscriber.err_code());
        }
        if message.submission.refund.is_some() {
            let at = self.config.refunds.as_ref().map(|refunds| refunds.at);
            return match at {
                Some(ChargingMoment::Delivery) => {
                    self.give_back_by_message(message, now).map_err(RefundRefusal::err_code)
                }
                _ => Ok(()),
            };
        }
        if self.config.charging.at == ChargingMoment::Delivery {
            self.charge(message, now).map_err(|error| error.refusal().err_code())?;
        }
        if message.price_minor.is_none() {
            self.stats.inbox_dropped += self.phones.show(&message.submission, now);
        }
        Ok(())
    }

    /// Takes the price of a message, if it has one, and writes it into the ledger.
    fn charge(&mut self, message: &Message, now: Timestamp) -> Result<(), ChargeError> {
        let (Some(price_minor), Some(tariff)) = (message.price_minor, &message.submission.tariff) else {
            return Ok(());
        };
        // A charge that the ledger could not show must not be taken.
        if self.ledger.len() >= self.config.limits.ledger_entries_max {
            return Err(ChargeError::NoRoom);
        }
        let submission = &message.submission;
        let subscriber = self.subscribers.get_mut(submission.to).map_err(|_| ChargeError::NoRoom)?;
        if self.own_account_empty {
            return Err(ChargeError::Refused(Refusal::OwnAccountEmpty));
        }
        subscriber.charge(price_minor).map_err(ChargeError::Refused)?;
        self.ledger.append(LedgerEntry {
            at: now,
            msisdn: submission.to,
            amount: Money::kzt(price_minor),
            interface: None,
            request_reference: None,
            message_id: message.id.in_response(self.config.message_id),
            user_message_reference: submission.user_message_reference,
            reference: submission.reference,
            tariff: tariff.clone(),
            text: submission.text.clone(),
            faults: message.faults.clone(),
        });
        Ok(())
    }

    fn ruling_on_accepted(&mut self, key: MessageKey, faults: &[Fault]) -> Ruling {
        let id = self.messages.get(key).map_or(key, |message| message.id);
        let message_id = id.in_response(self.config.message_id);
        let delay = self.config.delivery_delay_ms.draw(&mut self.rng);
        let mut ruling = Ruling { accepted: Some((key, delay)), ..Ruling::plain(Reply::Accepted { message_id }) };
        for fault in faults {
            ruling.spoil(*fault);
        }
        ruling
    }
}

/// Why nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChargeError {
    Refused(Refusal),
    /// The ledger or the table of subscribers is full.
    NoRoom,
}

impl ChargeError {
    fn command_status(self) -> u32 {
        match self {
            ChargeError::Refused(refusal) => refusal.command_status(),
            ChargeError::NoRoom => ESME_RMSGQFUL,
        }
    }

    fn refusal(self) -> Refusal {
        match self {
            ChargeError::Refused(refusal) => refusal,
            ChargeError::NoRoom => Refusal::Barred,
        }
    }
}
