//! The carrier behind the SMSC: it takes submissions, charges, and brings messages to phones. No I/O and no clock: time
//! is passed in, chance is drawn from the seed, and what is to be sent is handed back.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use jiff::tz::TimeZone;
use rand::{SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};

use super::{
    config::{ChargingMoment, ConfigError, SimulatorConfig},
    faults::{Fault, FaultBook},
    ledger::{Ledger, LedgerEntry},
    message::{Message, MessageKey, MessageState, Messages, Submission},
    stats::Stats,
    subscribers::{Condition, Refusal, Subscribers},
    text::Part,
};
use crate::{clock::Timestamp, money::Money, msisdn::Msisdn};

/// A free message that reached a phone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxMessage {
    /// When it reached the phone.
    pub at: Timestamp,
    /// Its source address.
    pub from: String,
    /// What the passenger reads.
    pub text: String,
    /// Which part of a concatenated message it is; none for a whole one.
    pub part: Option<Part>,
}

/// What the SMSC does about a `submit_sm`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ruling {
    pub(super) reply: Reply,
    pub(super) reply_after: Duration,
    /// The reply waits until the receipt is acknowledged.
    pub(super) reply_after_receipt: bool,
    pub(super) reply_twice: bool,
    pub(super) octet_by_octet: bool,
    pub(super) garbage_first: bool,
    pub(super) link: LinkFate,
    /// An accepted message, and how long it is on its way to the phone.
    pub(super) accepted: Option<(MessageKey, Duration)>,
}

/// The answer to a `submit_sm`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Accepted { message_id: String },
    Status(u32),
    WrongType { message_id: String },
    Nack,
    Silence,
}

/// What happens to the connection after a `submit_sm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkFate {
    Stay,
    Reset,
    Unbind,
}

/// What becomes of a message at the phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The phone is off: ask again then.
    Later(Duration),
    /// It has ended. These receipts follow, in this order, after a pause.
    Ended { after: Duration, receipts: Vec<ReceiptDue> },
}

/// One receipt to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReceiptDue {
    pub(super) state: MessageState,
    pub(super) err: u8,
}

/// Status codes of SMPP 3.4, section 5.1.3, that the exchange answers with.
const ESME_RSYSERR: u32 = 0x08;
const ESME_RMSGQFUL: u32 = 0x14;
const ESME_RTHROTTLED: u32 = 0x58;
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
    inboxes: BTreeMap<Msisdn, VecDeque<InboxMessage>>,
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
            inboxes: BTreeMap::new(),
            rng: StdRng::seed_from_u64(config.seed),
            config,
        })
    }

    /// Rules on a `submit_sm`: accepts it, and charges it if that is the moment, or refuses it.
    pub(super) fn submit(&mut self, mut submission: Submission, now: Timestamp) -> Ruling {
        if submission.tariff.is_none() {
            submission.tariff = self.config.source_addresses.get(&submission.from).cloned();
        }
        let faults = self.faults.draw_for_submit(submission.to, submission.tariff.is_some(), &mut self.rng);
        self.stats.submits += 1;
        self.stats.faults += u64::try_from(faults.len()).unwrap_or(u64::MAX);
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
        ruling.reply_after += self.config.response_delay_ms.draw(&mut self.rng);
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
            match self.hand_over(key, &message, now) {
                Ok(()) => (MessageState::Delivered, 0),
                Err(refusal) => (MessageState::Undeliverable, refusal.err_code()),
            }
        };
        let message = self.messages.finish(key, state, err, now)?;
        Some(self.ended(&message))
    }

    /// The free messages that reached this phone, the oldest first.
    pub(super) fn inbox(&self, msisdn: Msisdn) -> Vec<InboxMessage> {
        self.inboxes.get(&msisdn).map(|inbox| inbox.iter().cloned().collect()).unwrap_or_default()
    }

    /// Whether an MO of this number is to be sent twice.
    pub(super) fn mo_is_repeated(&mut self, msisdn: Msisdn) -> bool {
        let struck = !self.faults.draw_for_mo(msisdn, &mut self.rng).is_empty();
        self.stats.faults += u64::from(struck);
        struck
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
        let message = Message {
            submission,
            faults,
            submitted_at: now,
            price_minor,
            state: MessageState::Enroute,
            err: 0,
            done_at: None,
        };
        if self.config.charging.at == ChargingMoment::Submission {
            self.charge(self.messages.next_key(), &message, now).map_err(ChargeError::command_status)?;
        }
        Ok(self.messages.accept(message))
    }

    /// The phone is on: charges if delivery is the moment, and shows a free message.
    fn hand_over(&mut self, key: MessageKey, message: &Message, now: Timestamp) -> Result<(), Refusal> {
        let to = message.submission.to;
        if self.subscribers.get(to).conditions.contains(&Condition::Unknown) {
            return Err(Refusal::NotOurSubscriber);
        }
        if self.config.charging.at == ChargingMoment::Delivery {
            self.charge(key, message, now).map_err(ChargeError::refusal)?;
        }
        if message.price_minor.is_none() {
            self.show(message, now);
        }
        Ok(())
    }

    /// Takes the price of a message, if it has one, and writes it into the ledger.
    fn charge(&mut self, key: MessageKey, message: &Message, now: Timestamp) -> Result<(), ChargeError> {
        let (Some(price_minor), Some(tariff)) = (message.price_minor, &message.submission.tariff) else {
            return Ok(());
        };
        // A charge that the ledger could not show must not be taken.
        if self.ledger.entries().len() >= self.config.limits.ledger_entries_max {
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
            message_id: key.in_response(self.config.message_id),
            user_message_reference: submission.user_message_reference,
            reference: submission.reference,
            tariff: tariff.clone(),
            text: submission.text.clone(),
        });
        Ok(())
    }

    fn show(&mut self, message: &Message, now: Timestamp) {
        let Submission { from, to, text, part, .. } = message.submission.clone();
        // Inboxes are bounded in number like balances are.
        if self.inboxes.len() >= self.config.limits.subscribers_max && !self.inboxes.contains_key(&to) {
            self.stats.inbox_dropped += 1;
            return;
        }
        let inbox = self.inboxes.entry(to).or_default();
        if inbox.len() >= self.config.limits.inbox_messages_max {
            inbox.pop_front();
            self.stats.inbox_dropped += 1;
        }
        inbox.push_back(InboxMessage { at: now, from, text, part });
    }

    fn ruling_on_accepted(&mut self, key: MessageKey, faults: &[Fault]) -> Ruling {
        let message_id = key.in_response(self.config.message_id);
        let delay = self.config.delivery_delay_ms.draw(&mut self.rng);
        let mut ruling = Ruling { accepted: Some((key, delay)), ..Ruling::plain(Reply::Accepted { message_id }) };
        for fault in faults {
            ruling.spoil(*fault);
        }
        ruling
    }

    /// The receipts of a message that has ended, with the faults that were drawn for it.
    fn ended(&self, message: &Message) -> Arrival {
        let last = ReceiptDue { state: message.state, err: message.err };
        let mut receipts = Vec::new();
        let mut after = Duration::ZERO;
        let mut copies = 1;
        for fault in &message.faults {
            match fault {
                Fault::EnrouteFirst => receipts.push(ReceiptDue { state: MessageState::Enroute, err: 0 }),
                Fault::UndeliveredFirst => receipts.push(ReceiptDue { state: MessageState::Undeliverable, err: 1 }),
                Fault::DuplicateReceipt => copies = 2,
                Fault::NoReceipt => copies = 0,
                Fault::LateReceipt { ms } => after += Duration::from_millis(*ms),
                _ => {}
            }
        }
        receipts.extend(std::iter::repeat_n(last, copies));
        if copies == 0 || !message.submission.receipts.include(message.state) {
            receipts.clear();
        }
        Arrival::Ended { after, receipts }
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

impl Ruling {
    fn plain(reply: Reply) -> Ruling {
        Ruling {
            reply,
            reply_after: Duration::ZERO,
            reply_after_receipt: false,
            reply_twice: false,
            octet_by_octet: false,
            garbage_first: false,
            link: LinkFate::Stay,
            accepted: None,
        }
    }

    fn refused(status: u32) -> Ruling {
        Ruling::plain(Reply::Status(status))
    }

    /// Faults that keep a message from being accepted at all.
    fn before_acceptance(fault: Fault) -> Option<Ruling> {
        match fault {
            Fault::DropLinkBeforeCharge => Some(Ruling { link: LinkFate::Reset, ..Ruling::plain(Reply::Silence) }),
            Fault::Throttle => Some(Ruling::refused(ESME_RTHROTTLED)),
            Fault::QueueFull => Some(Ruling::refused(ESME_RMSGQFUL)),
            Fault::SystemError { charged: false } => Some(Ruling::refused(ESME_RSYSERR)),
            Fault::Nack => Some(Ruling::plain(Reply::Nack)),
            _ => None,
        }
    }

    /// Faults in the answer to an accepted message.
    fn spoil(&mut self, fault: Fault) {
        match fault {
            Fault::DropResponse => self.reply = Reply::Silence,
            Fault::DelayResponse { ms } => self.reply_after += Duration::from_millis(ms),
            Fault::ReceiptBeforeResponse => self.reply_after_receipt = true,
            Fault::DuplicateResponse => self.reply_twice = true,
            Fault::SystemError { .. } => self.reply = Reply::Status(ESME_RSYSERR),
            Fault::EmptyMessageId => self.reply = Reply::Accepted { message_id: String::new() },
            Fault::WrongResponseType => {
                if let Reply::Accepted { message_id } = &self.reply {
                    self.reply = Reply::WrongType { message_id: message_id.clone() };
                }
            }
            Fault::DropLinkAfterSubmit => (self.reply, self.link) = (Reply::Silence, LinkFate::Reset),
            Fault::UnbindMidWindow => (self.reply, self.link) = (Reply::Silence, LinkFate::Unbind),
            Fault::GarbagePdu => self.garbage_first = true,
            Fault::Slow => self.octet_by_octet = true,
            _ => {}
        }
    }
}
