//! What the carrier took, in its own books: the judge in every test that asks whether anybody was charged twice.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{faults::Fault, http::Interface};
use crate::{clock::Timestamp, money::Money, msisdn::Msisdn};

/// One charge that the carrier took. Appended, never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// When it was taken.
    pub at: Timestamp,
    /// From whose balance.
    pub msisdn: Msisdn,
    /// How much.
    pub amount: Money,
    /// The interface by which it was charged; none for SMPP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<Interface>,
    /// The message's or payment's id as the response wrote it, even where the client never saw that response.
    pub message_id: String,
    /// `user_message_reference` (TLV 0x0204), if the client sent one.
    pub user_message_reference: Option<u16>,
    /// The reference of a request over HTTP, as the client wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_reference: Option<String>,
    /// The client's reference (vendor TLV 0x1402), if it sent one. Of a request over HTTP, the UUID that its reference is or
    /// begins with.
    pub reference: Option<Uuid>,
    /// The tariff that set the price; empty over HTTP, where the request does.
    pub tariff: String,
    /// What the charged message said, or how the request describes what is paid.
    pub text: String,
    /// What else befell that message.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

/// Money that the carrier gave back. Appended, never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundEntry {
    /// When it was given back.
    pub at: Timestamp,
    /// To whose balance.
    pub msisdn: Msisdn,
    /// How much.
    pub amount: Money,
    /// By which interface; none for SMPP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<Interface>,
    /// The carrier's id of the payment or charged message, as in [`LedgerEntry::message_id`].
    pub payment_id: String,
    /// The carrier's id of the refund; over SMPP the id of its message.
    pub refund_id: String,
    /// The client's reference of the refund; empty if it sent none.
    pub request_reference: String,
    /// What else befell that request.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

/// The carrier's books. Nothing here is idempotent: a message submitted twice is charged twice, which is the point.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    entries: Vec<LedgerEntry>,
    #[serde(default)]
    refunds: Vec<RefundEntry>,
}

impl Ledger {
    /// Every charge, the oldest first.
    pub fn entries(&self) -> &[LedgerEntry] {
        &self.entries
    }

    /// Every refund, the oldest first.
    pub fn refunds(&self) -> &[RefundEntry] {
        &self.refunds
    }

    /// Everything taken, from everybody; what was given back is still in it.
    pub fn total(&self) -> Money {
        sum(self.entries.iter().map(|entry| entry.amount))
    }

    /// What was taken from one balance; what was given back is still in it.
    pub fn total_of(&self, msisdn: Msisdn) -> Money {
        sum(self.entries_of(msisdn).map(|entry| entry.amount))
    }

    /// Everything given back, to everybody.
    pub fn refunded(&self) -> Money {
        sum(self.refunds.iter().map(|refund| refund.amount))
    }

    /// What was given back to one balance.
    pub fn refunded_of(&self, msisdn: Msisdn) -> Money {
        sum(self.refunds.iter().filter(|refund| refund.msisdn == msisdn).map(|refund| refund.amount))
    }

    /// The charges under one reference of a request over HTTP, as the client wrote it.
    pub fn entries_for_request<'a>(&'a self, reference: &'a str) -> impl Iterator<Item = &'a LedgerEntry> {
        self.entries.iter().filter(move |entry| entry.request_reference.as_deref() == Some(reference))
    }

    /// The charges of one number, the oldest first.
    pub fn entries_of(&self, msisdn: Msisdn) -> impl Iterator<Item = &LedgerEntry> {
        self.entries.iter().filter(move |entry| entry.msisdn == msisdn)
    }

    /// The charges under one reference of the client: more than one is a double charge.
    pub fn entries_for(&self, reference: Uuid) -> impl Iterator<Item = &LedgerEntry> {
        self.entries.iter().filter(move |entry| entry.reference == Some(reference))
    }

    /// References that were charged more than once, with how often.
    pub fn charged_twice(&self) -> BTreeMap<Uuid, usize> {
        let mut counts = BTreeMap::new();
        for reference in self.entries.iter().filter_map(|entry| entry.reference) {
            *counts.entry(reference).or_insert(0) += 1;
        }
        counts.retain(|_, count| *count > 1);
        counts
    }

    /// Charges of one number under the same `user_message_reference`, within `window` of one another, that say no reference:
    /// one attempt sent twice, as far as the carrier can tell. With how often, the number and the reference.
    pub fn charged_again(&self, window: Duration) -> BTreeMap<(Msisdn, u16), usize> {
        let mut last: BTreeMap<(Msisdn, u16), Timestamp> = BTreeMap::new();
        let mut again = BTreeMap::new();
        for entry in self.entries.iter().filter(|entry| entry.reference.is_none()) {
            let Some(reference) = entry.user_message_reference else { continue };
            let key = (entry.msisdn, reference);
            if last.insert(key, entry.at).is_some_and(|before| entry.at.since(before) <= window) {
                *again.entry(key).or_insert(1) += 1;
            }
        }
        again
    }

    pub(super) fn append(&mut self, entry: LedgerEntry) {
        self.entries.push(entry);
    }

    pub(super) fn append_refund(&mut self, refund: RefundEntry) {
        self.refunds.push(refund);
    }

    /// Charges and refunds.
    pub(super) fn len(&self) -> usize {
        self.entries.len() + self.refunds.len()
    }
}

fn sum(amounts: impl Iterator<Item = Money>) -> Money {
    Money::kzt(amounts.fold(0_i64, |total, amount| total.saturating_add(amount.minor)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(msisdn: &str, minor: i64, reference: Option<u128>) -> LedgerEntry {
        LedgerEntry {
            at: Timestamp::from_unix_seconds(0),
            msisdn: msisdn.parse().expect("a number"),
            amount: Money::kzt(minor),
            interface: None,
            request_reference: None,
            message_id: "1".into(),
            user_message_reference: None,
            reference: reference.map(Uuid::from_u128),
            tariff: "FARE".into(),
            text: String::new(),
            faults: vec![],
        }
    }

    #[test]
    fn totals_are_sums_and_a_reference_charged_twice_is_named() {
        let mut ledger = Ledger::default();
        for (msisdn, minor, reference) in [
            ("77010000001", 80, Some(1)),
            ("77010000002", 100, Some(2)),
            ("77010000001", 80, Some(1)),
            ("77010000001", 5, None),
        ] {
            ledger.append(entry(msisdn, minor, reference));
        }
        let first: Msisdn = "77010000001".parse().expect("a number");
        assert_eq!(ledger.total(), Money::kzt(265));
        assert_eq!(ledger.total_of(first), Money::kzt(165));
        assert_eq!(ledger.entries_of(first).count(), 3);
        assert_eq!(ledger.charged_twice(), BTreeMap::from([(Uuid::from_u128(1), 2)]));
        assert_eq!(ledger.entries_for(Uuid::from_u128(2)).count(), 1);
    }

    #[test]
    fn without_a_reference_the_same_number_and_message_reference_within_a_time_are_one_attempt() {
        let mut ledger = Ledger::default();
        for (seconds, msisdn, reference, message_reference) in [
            (0, "77010000001", None, 5),
            (1, "77010000002", None, 5),
            (2, "77010000001", None, 5),
            (3, "77010000001", Some(1), 5),
            (500, "77010000002", None, 5),
        ] {
            let at = Timestamp::from_unix_seconds(seconds);
            let user_message_reference = Some(message_reference);
            ledger.append(LedgerEntry { at, user_message_reference, ..entry(msisdn, 80, reference) });
        }
        let first: Msisdn = "77010000001".parse().expect("a number");
        assert_eq!(ledger.charged_again(Duration::from_secs(60)), BTreeMap::from([((first, 5), 2)]));
    }
}
