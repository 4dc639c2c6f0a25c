//! Payments as they are kept: by id, by their order, by the keys against doing them twice, and by the end of reservations.

use std::collections::{BTreeSet, HashMap};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::value::RawValue;

use super::{Interface, PaymentReport, PaymentStatus, RefundReport, RefundStatus, callbacks::Sink, failure::Failure};
use crate::{clock::Timestamp, money::Money, msisdn::Msisdn, simulator::faults::Fault};

/// What a client asks to be taken.
#[derive(Clone, Debug)]
pub(super) struct NewPayment {
    pub(super) interface: Interface,
    pub(super) msisdn: Msisdn,
    pub(super) amount_minor: i64,
    pub(super) reference: String,
    pub(super) correlator: Option<String>,
    pub(super) two_steps: bool,
    pub(super) particulars: Particulars,
    pub(super) sink: Option<Sink>,
    pub(super) faults: Vec<Fault>,
}

/// What a payment says beside who and how much.
#[derive(Clone, Debug, Default)]
pub(super) struct Particulars {
    pub(super) description: String,
    pub(super) merchant: Option<String>,
    pub(super) tax_included: bool,
    /// Ids of the items.
    pub(super) items: Vec<String>,
    /// What answers repeat of the request, as JSON.
    pub(super) echo: Option<Box<RawValue>>,
}

/// A payment.
#[derive(Clone, Debug)]
pub(in crate::simulator) struct Payment {
    pub(super) key: PaymentKey,
    pub(super) id: String,
    pub(super) asked: NewPayment,
    pub(super) status: PaymentStatus,
    pub(super) created_at: Timestamp,
    pub(super) paid_at: Option<Timestamp>,
    pub(super) expires_at: Option<Timestamp>,
    /// Why it was denied.
    pub(super) denied: Option<Failure>,
    pub(super) validation: Option<Validation>,
    pub(super) refunds: Vec<Refund>,
}

/// What the subscriber's code must match.
#[derive(Clone, Debug)]
pub(super) struct Validation {
    pub(super) authorization: String,
    pub(super) code: String,
    pub(super) tries: u32,
}

/// What a client asks to be given back.
#[derive(Clone, Debug)]
pub(super) struct NewRefund {
    /// None for all that remains.
    pub(super) amount_minor: Option<i64>,
    pub(super) reference: String,
    pub(super) correlator: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) particulars: Particulars,
    pub(super) sink: Option<Sink>,
    pub(super) faults: Vec<Fault>,
}

/// A refund.
#[derive(Clone, Debug)]
pub(super) struct Refund {
    pub(super) id: String,
    pub(super) asked: NewRefund,
    pub(super) amount_minor: i64,
    pub(super) status: RefundStatus,
    pub(super) created_at: Timestamp,
    pub(super) refunded_at: Option<Timestamp>,
    pub(super) denied: Option<Failure>,
}

/// A payment's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::simulator) struct PaymentKey(usize);

/// What a key against doing it twice stands for.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// What was asked with it.
    pub(super) request: String,
    /// What came of it.
    pub(super) outcome: Result<Kept, Failure>,
}

/// A payment, or a refund of it.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) payment: PaymentKey,
    /// The refund's id.
    pub(super) refund: Option<String>,
}

/// Every payment that came over HTTP.
#[derive(Debug)]
pub(in crate::simulator) struct Payments {
    all: Vec<Payment>,
    by_id: HashMap<String, PaymentKey>,
    known: HashMap<(Interface, String), Known>,
    due: BTreeSet<(Timestamp, PaymentKey)>,
    paid_minor: HashMap<Msisdn, i64>,
    refunds: usize,
    count_max: usize,
    ids: StdRng,
}

impl Payments {
    pub(in crate::simulator) fn new(seed: u64, count_max: usize) -> Payments {
        Payments {
            all: Vec::new(),
            by_id: HashMap::new(),
            known: HashMap::new(),
            due: BTreeSet::new(),
            paid_minor: HashMap::new(),
            refunds: 0,
            count_max,
            ids: StdRng::seed_from_u64(seed),
        }
    }

    /// An id that nothing has yet: sixteen decimal digits, which every interface can carry.
    pub(super) fn next_id(&mut self) -> String {
        loop {
            let id = self.ids.random_range(1_000_000_000_000_000_u64..10_000_000_000_000_000).to_string();
            if !self.by_id.contains_key(&id) {
                return id;
            }
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.all.len() + self.refunds >= self.count_max || self.known.len() >= self.count_max
    }

    /// Begins a payment, `processing` and not kept yet.
    pub(super) fn begin(&mut self, asked: NewPayment, now: Timestamp) -> Payment {
        Payment {
            key: PaymentKey(self.all.len()),
            id: self.next_id(),
            asked,
            status: PaymentStatus::Processing,
            created_at: now,
            paid_at: None,
            expires_at: None,
            denied: None,
            validation: None,
            refunds: Vec::new(),
        }
    }

    /// Keeps a payment as it is now, a new one or one from before.
    pub(super) fn keep(&mut self, payment: Payment) {
        let key = payment.key;
        let before = self.all.get(key.0);
        let refunds_before = before.map_or(0, |before| before.refunds.len());
        if let Some((at, _)) = before.and_then(|before| Some((before.expires_at?, before.status))) {
            self.due.remove(&(at, key));
        }
        if payment.paid_at.is_some() && before.is_none_or(|before| before.paid_at.is_none()) {
            let paid = self.paid_minor.entry(payment.asked.msisdn).or_insert(0);
            *paid = paid.saturating_add(payment.asked.amount_minor);
        }
        if let Some(at) = payment.expires_at.filter(|_| payment.status.holds()) {
            self.due.insert((at, key));
        }
        self.refunds += payment.refunds.len().saturating_sub(refunds_before);
        self.by_id.insert(payment.id.clone(), key);
        match self.all.get_mut(key.0) {
            Some(place) => *place = payment,
            None => self.all.push(payment),
        }
    }

    pub(super) fn get(&self, key: PaymentKey) -> Option<&Payment> {
        self.all.get(key.0)
    }

    /// The payment of this id, if it came by this interface.
    pub(super) fn find(&self, interface: Interface, id: &str) -> Option<&Payment> {
        let payment = self.get(*self.by_id.get(id)?)?;
        (payment.asked.interface == interface).then_some(payment)
    }

    /// The payments of an interface, the oldest first.
    pub(super) fn of(&self, interface: Interface) -> impl DoubleEndedIterator<Item = &Payment> {
        self.all.iter().filter(move |payment| payment.asked.interface == interface)
    }

    /// What this number has paid in all, in tiyn.
    pub(super) fn paid_minor(&self, msisdn: Msisdn) -> i64 {
        self.paid_minor.get(&msisdn).copied().unwrap_or(0)
    }

    pub(super) fn known(&self, interface: Interface, key: &str) -> Option<&Known> {
        self.known.get(&(interface, key.to_owned()))
    }

    pub(super) fn remember(&mut self, interface: Interface, key: String, known: Known) {
        self.known.insert((interface, key), known);
    }

    /// A reservation whose time is over, if there is one.
    pub(super) fn next_expired(&self, now: Timestamp) -> Option<PaymentKey> {
        self.due.first().filter(|(at, _)| *at <= now).map(|(_, key)| *key)
    }

    pub(in crate::simulator) fn reports(&self) -> Vec<PaymentReport> {
        self.all.iter().map(Payment::report).collect()
    }
}

impl Kept {
    /// The payment and the refund as they stand now.
    pub(super) fn now(&self, payments: &Payments) -> Result<(Payment, Option<Refund>), Failure> {
        let payment = payments.get(self.payment).ok_or(Failure::NotFound)?.clone();
        let refund = self.refund.as_deref().and_then(|id| payment.refund(id)).cloned();
        Ok((payment, refund))
    }
}

impl Payment {
    /// What has neither been given back nor been asked to be, in tiyn.
    pub(super) fn remaining_minor(&self) -> i64 {
        let taken = self.refunds.iter().filter(|refund| refund.status != RefundStatus::Denied);
        taken.fold(self.asked.amount_minor, |rest, refund| rest.saturating_sub(refund.amount_minor))
    }

    pub(super) fn refund(&self, id: &str) -> Option<&Refund> {
        self.refunds.iter().find(|refund| refund.id == id)
    }

    pub(super) fn report(&self) -> PaymentReport {
        PaymentReport {
            id: self.id.clone(),
            interface: self.asked.interface,
            msisdn: self.asked.msisdn,
            amount: Money::kzt(self.asked.amount_minor),
            reference: self.asked.reference.clone(),
            correlator: self.asked.correlator.clone(),
            two_steps: self.asked.two_steps,
            status: self.status,
            created_at: self.created_at,
            paid_at: self.paid_at,
            expires_at: self.expires_at,
            refunds: self.refunds.iter().map(Refund::report).collect(),
        }
    }
}

impl Refund {
    fn report(&self) -> RefundReport {
        RefundReport {
            id: self.id.clone(),
            amount: Money::kzt(self.amount_minor),
            reference: self.asked.reference.clone(),
            correlator: self.asked.correlator.clone(),
            status: self.status,
            created_at: self.created_at,
            refunded_at: self.refunded_at,
        }
    }
}
