//! The audit: what the API tells, what the carriers' own books say, and what stands in our ledger.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

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
    ledger::Audited,
    simulator::{Ledger, LedgerEntry, RefundEntry, Simulator},
    store::Store,
    ticket::{KeySet, Verdict as TicketVerdict, Verifier},
};

const CHARGED: &str = "charged";

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
    /// Charges that were taken and went back.
    pub refunded: usize,
    /// Charges in the state `charged` that have a ticket.
    pub tickets: usize,
    /// Tickets that are valid on their vehicle by the published keys alone.
    pub tickets_verified: usize,
    /// What the carriers took by their own books, less what they gave back, in tiyn.
    pub carrier_ledger: i64,
    /// The same by our ledger, in tiyn: what the carriers owe, and the fees that they keep.
    pub gateway_ledger: i64,
    /// The same for each carrier.
    pub carriers: BTreeMap<String, BothLedgers>,
    /// Who said the facts that declines were founded on, by reason.
    pub sources: BTreeMap<String, BTreeSet<String>>,
    /// Whether both say the same of each carrier and of each charge, no charge was taken twice, and our ledger adds up to
    /// nothing.
    pub balanced: bool,
    /// Charges that have not ended, in doubt or not.
    #[serde(skip)]
    pub undecided: usize,
    /// Tickets that are good although nothing was taken for them, or it went back.
    #[serde(skip)]
    pub groundless: usize,
    /// PDUs and requests of the gateway that the carriers found malformed.
    #[serde(skip)]
    pub malformed: u64,
    /// What `ledger check` finds wrong in the books.
    #[serde(skip)]
    pub flaws: u64,
}

/// What one carrier took, in tiyn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BothLedgers {
    /// By its own books, less what it gave back.
    pub carrier: i64,
    /// By our ledger.
    pub gateway: i64,
}

impl Verdict {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.balanced
            && self.in_doubt == 0
            && self.undecided == 0
            && self.groundless == 0
            && self.malformed == 0
            && self.flaws == 0
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
    /// Those that were revoked.
    revoked: BTreeSet<Reference>,
    pub(super) keys: KeySet,
}

impl Told {
    /// Asks for everything.
    pub(super) async fn by(api: &Api) -> Result<Told, DemoError> {
        let charges = api.charges("").await?;
        let (mut tickets, mut revoked) = (BTreeMap::new(), BTreeSet::new());
        for charge in &charges {
            let Some(text) = api.ticket(charge.reference).await? else { continue };
            tickets.insert(charge.reference, text);
            let shown = api.charge(charge.reference).await?;
            if shown.ticket.is_some_and(|ticket| ticket.revoked_at.is_some()) {
                revoked.insert(charge.reference);
            }
        }
        let keys = KeySet::keys_from_jwks(&api.keys().await?)?;
        let expires_at = keys.iter().map(|key| key.not_after).max().unwrap_or(Timestamp::MIN);
        Ok(Told { charges, tickets, revoked, keys: KeySet { issued_at: Clock::System.now(), expires_at, keys } })
    }

    /// A device that knows the keys and has no network.
    pub(super) fn verifier(&self) -> Verifier {
        Verifier::new(self.keys.clone())
    }

    fn verifies(&self, charge: &ApiCharge, now: Timestamp) -> bool {
        if self.revoked.contains(&charge.reference) {
            return false;
        }
        let Some(text) = self.tickets.get(&charge.reference) else { return false };
        let verdict = self.verifier().verify_text(text, now, Some(&charge.vehicle), &Default::default());
        matches!(verdict, TicketVerdict::Valid(contents) if contents.reference == charge.reference.uuid())
    }
}

/// Our books, checked as `ledger check` does it.
pub(super) async fn our_books(database: &Path) -> Result<Audited, DemoError> {
    Ok(Store::audit(&format!("sqlite://{}", database.display()), &[]).await?)
}

/// What one carrier took, by both books.
fn both_ledgers(carriers: &Carriers, carrier: CarrierId, books: &Audited) -> BothLedgers {
    let of_it = books.balances.iter().filter(|((account, _), _)| account.carrier() == Some(carrier.name()));
    let owed = of_it.map(|(_, minor)| i64::try_from(*minor).unwrap_or(i64::MAX));
    let theirs = carriers.of(carrier).ledger();
    BothLedgers { carrier: theirs.total().minor - theirs.refunded().minor, gateway: owed.sum() }
}

/// Compares everything with everything. `sources` are those of the facts behind the declines.
pub(super) fn audit(
    told: &Told,
    carriers: &Carriers,
    books: &Audited,
    sources: BTreeMap<String, BTreeSet<String>>,
) -> Verdict {
    let simulators = carriers.all();
    let ledgers: Vec<Ledger> = simulators.iter().map(|simulator| simulator.ledger()).collect();
    let each = CarrierId::ALL.map(|carrier| (carrier.name().to_owned(), both_ledgers(carriers, carrier, books)));
    let now = Clock::System.now();
    let charged: Vec<&ApiCharge> = told.charges.iter().filter(|charge| charge.state == CHARGED).collect();
    let mut verdict = Verdict {
        charged: charged.len(),
        tickets: charged.iter().filter(|charge| told.tickets.contains_key(&charge.reference)).count(),
        tickets_verified: charged.iter().filter(|charge| told.verifies(charge, now)).count(),
        carrier_ledger: each.iter().map(|(_, both)| both.carrier).sum(),
        gateway_ledger: each.iter().map(|(_, both)| both.gateway).sum(),
        carriers: each.into(),
        sources,
        undecided: told.charges.iter().filter(|charge| !charge.is_final()).count(),
        malformed: simulators.iter().map(|simulator| malformed(simulator)).sum(),
        flaws: books.flaws_total,
        ..Verdict::default()
    };
    for charge in &told.charges {
        match charge.state.as_str() {
            "rejected" => verdict.rejected += 1,
            "in_doubt" => verdict.in_doubt += 1,
            "declined" => *verdict.declined.entry(charge.reason.clone().unwrap_or_default()).or_default() += 1,
            "refunded" => verdict.refunded += 1,
            _ => {}
        }
        let good = told.tickets.contains_key(&charge.reference) && !told.revoked.contains(&charge.reference);
        verdict.groundless += usize::from(good && charge.state != CHARGED);
    }
    verdict.balanced = verdict.carriers.values().all(|both| both.carrier == both.gateway)
        && books.balances.values().sum::<i128>() == 0
        && ledgers.iter().all(|ledger| ledger.charged_twice().is_empty())
        && told.charges.iter().all(|charge| taken_for(charge, &ledgers) == owed_for(charge));
    verdict
}

/// PDUs and requests that broke their protocol.
fn malformed(simulator: &Simulator) -> u64 {
    let stats = simulator.stats();
    stats.malformed + stats.http.violations
}

/// What the carriers took under the reference of one charge, less what they gave back of it, in tiyn.
fn taken_for(charge: &ApiCharge, ledgers: &[Ledger]) -> i64 {
    let of_ledger = |ledger: &Ledger| -> i64 {
        let entries: Vec<&LedgerEntry> = ledger.entries_for(charge.reference.uuid()).collect();
        let is_of_it = |refund: &&RefundEntry| entries.iter().any(|entry| entry.message_id == refund.payment_id);
        let given_back: i64 = ledger.refunds().iter().filter(is_of_it).map(|refund| refund.amount.minor).sum();
        entries.iter().map(|entry| entry.amount.minor).sum::<i64>() - given_back
    };
    ledgers.iter().map(of_ledger).sum()
}

/// What they should have taken, in tiyn.
fn owed_for(charge: &ApiCharge) -> i64 {
    match charge.charged_at {
        Some(_) => charge.amount.minor - charge.refunded_amount.map_or(0, |refunded| refunded.minor),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean() -> Verdict {
        let declined = BTreeMap::from([("credit_debt".to_owned(), 1)]);
        let sources = BTreeMap::from([("credit_debt".to_owned(), BTreeSet::from(["profile:altel".to_owned()]))]);
        let (charged, ledger) = (3, 24_000);
        Verdict {
            charged,
            declined,
            tickets: charged,
            tickets_verified: charged,
            carrier_ledger: ledger,
            gateway_ledger: ledger,
            carriers: BTreeMap::from([("altel".to_owned(), BothLedgers { carrier: ledger, gateway: ledger })]),
            sources,
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
            Verdict { flaws: 1, ..clean() },
            Verdict { groundless: 1, ..clean() },
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
        let expected = r#"{"charged":3,"declined":{"credit_debt":1},"rejected":0,"in_doubt":0,"refunded":0,"tickets":3,"tickets_verified":3,"carrier_ledger":24000,"gateway_ledger":24000,"carriers":{"altel":{"carrier":24000,"gateway":24000}},"sources":{"credit_debt":["profile:altel"]},"balanced":true}"#;
        assert_eq!(written, expected);
    }
}
