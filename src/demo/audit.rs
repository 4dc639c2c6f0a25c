//! The audit: what the API tells, what the carriers' own books say, and what stands in our ledger.

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;

use super::{
    DemoError,
    api::{Api, ApiCharge},
    carriers::Carriers,
    cast::CarrierId,
};
use crate::{
    charge::Reference,
    clock::{Clock, Timestamp},
    ledger::Account,
    money::Money,
    simulator::Simulator,
    store::{Balance, Store},
    ticket::{KeySet, Verdict as TicketVerdict, Verifier},
};

/// What came of the morning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Charges in the state `charged`.
    pub charged: usize,
    /// Charges that our rules declined, by reason.
    pub declined: BTreeMap<String, usize>,
    /// Charges that a carrier rejected.
    pub rejected: usize,
    /// Charges whose outcome nobody knows.
    pub in_doubt: usize,
    /// Charges that have a ticket.
    pub tickets: usize,
    /// Tickets that are valid on their vehicle by the published keys alone.
    pub tickets_verified: usize,
    /// What the carriers took by their own books, in tiyn.
    pub carrier_ledger: i64,
    /// What the carriers owe by our ledger, in tiyn.
    pub gateway_ledger: i64,
    /// Whether both say the same of each carrier and of each charge, no charge was taken twice, and our ledger adds up to
    /// nothing.
    pub balanced: bool,
    /// Charges that have not ended, in doubt or not.
    #[serde(skip)]
    pub undecided: usize,
    /// PDUs of the gateway that the carriers found malformed.
    #[serde(skip)]
    pub malformed: u64,
}

impl Verdict {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.balanced
            && self.in_doubt == 0
            && self.undecided == 0
            && self.malformed == 0
            && self.tickets == self.charged
            && self.tickets_verified == self.charged
    }
}

/// What the running daemon tells of the morning over its API.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) charges: Vec<ApiCharge>,
    /// The text of the QR code.
    pub(super) tickets: BTreeMap<Reference, String>,
    pub(super) keys: KeySet,
}

impl Told {
    /// Asks for everything.
    pub(super) async fn by(api: &Api) -> Result<Told, DemoError> {
        let charges = api.charges("").await?;
        let mut tickets = BTreeMap::new();
        for charge in &charges {
            if let Some(text) = api.ticket(charge.reference).await? {
                tickets.insert(charge.reference, text);
            }
        }
        let keys = KeySet::keys_from_jwks(&api.keys().await?)?;
        let expires_at = keys.iter().map(|key| key.not_after).max().unwrap_or(Timestamp::MIN);
        Ok(Told { charges, tickets, keys: KeySet { issued_at: Clock::System.now(), expires_at, keys } })
    }

    /// A device that knows the keys and has no network.
    pub(super) fn verifier(&self) -> Verifier {
        Verifier::new(self.keys.clone())
    }

    fn verifies(&self, charge: &ApiCharge, now: Timestamp) -> bool {
        let Some(text) = self.tickets.get(&charge.reference) else { return false };
        let verdict = self.verifier().verify_text(text, now, Some(&charge.vehicle), &Default::default());
        matches!(verdict, TicketVerdict::Valid(contents) if contents.reference == charge.reference.uuid())
    }
}

/// Our ledger's balances, read from the database of a daemon that has stopped.
pub(super) async fn our_balances(database: &Path) -> Result<Vec<Balance>, DemoError> {
    let store = Store::open(&format!("sqlite://{}", database.display())).await?;
    let balances = store.balances().await;
    store.close().await;
    Ok(balances?)
}

/// What one carrier owes us by our ledger, in tiyn.
pub(super) fn receivable(balances: &[Balance], carrier: CarrierId) -> i64 {
    let account = Account::CarrierReceivable(carrier.name().into());
    balances.iter().filter(|balance| balance.account == account).map(|balance| balance.minor).sum()
}

/// Compares everything with everything.
pub(super) fn audit(told: &Told, carriers: &Carriers, balances: &[Balance]) -> Verdict {
    let simulators = CarrierId::ALL.map(|carrier| carriers.of(carrier));
    let now = Clock::System.now();
    let mut verdict = Verdict {
        tickets: told.tickets.len(),
        tickets_verified: told.charges.iter().filter(|charge| told.verifies(charge, now)).count(),
        carrier_ledger: simulators.iter().map(|simulator| simulator.ledger().total().minor).sum(),
        gateway_ledger: CarrierId::ALL.map(|carrier| receivable(balances, carrier)).iter().sum(),
        undecided: told.charges.iter().filter(|charge| !charge.is_final()).count(),
        malformed: simulators.iter().map(|simulator| simulator.stats().malformed).sum(),
        ..Verdict::default()
    };
    for charge in &told.charges {
        match charge.state.as_str() {
            "charged" => verdict.charged += 1,
            "rejected" => verdict.rejected += 1,
            "in_doubt" => verdict.in_doubt += 1,
            "declined" => *verdict.declined.entry(charge.reason.clone().unwrap_or_default()).or_default() += 1,
            _ => {}
        }
    }
    let carriers_agree = CarrierId::ALL
        .iter()
        .all(|carrier| carriers.of(*carrier).ledger().total() == Money::kzt(receivable(balances, *carrier)));
    verdict.balanced = carriers_agree
        && balances.iter().map(|balance| balance.minor).sum::<i64>() == 0
        && simulators.iter().all(|simulator| simulator.ledger().charged_twice().is_empty())
        && told.charges.iter().all(|charge| taken_for(charge, &simulators) == owed_for(charge));
    verdict
}

/// What the carriers took under the reference of one charge, in tiyn.
fn taken_for(charge: &ApiCharge, simulators: &[&Simulator]) -> i64 {
    let ledgers = simulators.iter().map(|simulator| simulator.ledger());
    ledgers
        .flat_map(|ledger| ledger.entries_for(charge.reference.uuid()).cloned().collect::<Vec<_>>())
        .map(|e| e.amount.minor)
        .sum()
}

/// What they should have taken, in tiyn.
fn owed_for(charge: &ApiCharge) -> i64 {
    if charge.charged_at.is_some() { charge.amount.minor } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean() -> Verdict {
        let declined = BTreeMap::from([("credit_debt".to_owned(), 1)]);
        let (charged, ledger) = (3, 24_000);
        Verdict {
            charged,
            declined,
            tickets: charged,
            tickets_verified: charged,
            carrier_ledger: ledger,
            gateway_ledger: ledger,
            balanced: true,
            ..Verdict::default()
        }
    }

    #[test]
    fn a_verdict_is_clean_only_if_nothing_at_all_is_wrong() {
        assert!(clean().is_clean());
        for spoiled in [
            Verdict { balanced: false, ..clean() },
            Verdict { in_doubt: 1, ..clean() },
            Verdict { undecided: 1, ..clean() },
            Verdict { malformed: 1, ..clean() },
            Verdict { tickets: 2, ..clean() },
            Verdict { tickets: 4, ..clean() },
            Verdict { tickets_verified: 2, ..clean() },
        ] {
            assert!(!spoiled.is_clean(), "{spoiled:?}");
        }
    }

    #[test]
    fn the_verdict_is_written_as_it_was_agreed() {
        let written = serde_json::to_string(&clean()).expect("JSON");
        let expected = r#"{"charged":3,"declined":{"credit_debt":1},"rejected":0,"in_doubt":0,"tickets":3,"tickets_verified":3,"carrier_ledger":24000,"gateway_ledger":24000,"balanced":true}"#;
        assert_eq!(written, expected);
    }
}
