//! The carrier's books held against ours.

use super::{World, msisdn};
use crate::{
    charge::{Charge, RefundState, State},
    gateway::Resolution,
    store::{ChargeFilter, Store},
};

impl World {
    /// A person looks into the carrier's books for every charge that is in doubt past its deadline.
    pub(crate) fn settle_by_the_carriers_books(&self) {
        self.until("everything is decided", |world| {
            let open = world.run(world.gateway().store().open_charges(1_000)).expect("the store");
            for charge in &open {
                let overdue = charge.terms.ticket_deadline < world.gateway().now();
                if overdue && charge.state == State::InDoubt {
                    let charged = world.simulator.ledger().entries_for(charge.reference.uuid()).count() > 0;
                    let resolution = Resolution { charged, by: "audit".into(), because: "the carrier's books".into() };
                    let _settled_by_then = world.run(world.gateway().resolve(charge.reference, resolution));
                }
            }
            open.is_empty().then_some(())
        });
    }

    /// What this carrier's own books say it took from the number, in tiyn.
    pub(crate) fn taken(&self, number: &str) -> i64 {
        self.simulator.ledger().total_of(msisdn(number)).minor
    }

    /// The audit: no reference charged twice; the carrier's ledger is ours; every charge has a ticket or owes a refund;
    /// our books add up to zero and say what the charges say; nothing that we sent was malformed.
    pub(crate) fn audit(&self) {
        let ledger = self.simulator.ledger();
        assert_eq!(ledger.charged_twice(), Default::default());
        let (stats, store) = (self.simulator.stats(), self.gateway().store());
        assert_eq!(stats.malformed, 0, "{:?}", stats.malformed_last);
        let charges = self.run(store.charges(&ChargeFilter::default(), 10_000)).expect("the store");
        let (mut ours, mut refunded) = (0, 0);
        for charge in &charges {
            refunded += self.audit_refunds(charge);
            let taken: i64 = ledger.entries_for(charge.reference.uuid()).map(|entry| entry.amount.minor).sum();
            let ticket = self.run(store.ticket(charge.reference)).expect("the store");
            match charge.state {
                State::Charged => assert!(ticket.is_some(), "charged without a ticket: {charge:?}"),
                State::RefundOwed | State::Refunding | State::Refunded => {}
                State::Processing | State::AwaitingOtp | State::InDoubt => panic!("still undecided: {charge:?}"),
                State::Declined(_) | State::Rejected(_) => {
                    assert!(ticket.is_none(), "a ticket for nothing: {charge:?}")
                }
            }
            let expected = if charge.charged_at.is_some() { charge.order.amount.minor } else { 0 };
            let owed: i64 = charge.refunds.iter().filter(|r| r.attempt.is_some()).map(|r| r.amount.minor).sum();
            assert_eq!(taken, expected + owed, "the carrier's books differ from ours: {charge:?}");
            ours += taken;
        }
        assert_eq!(ledger.total().minor, ours, "the carrier charged something that we know nothing of");
        self.audit_books();
        let balances = self.run(store.balances()).expect("the store");
        assert_eq!(balances.iter().map(|balance| balance.minor).sum::<i64>(), 0);
        let receivable = balances.iter().filter(|balance| balance.account.carrier().is_some());
        assert_eq!(receivable.map(|balance| balance.minor).sum::<i64>(), ours - refunded);
    }

    /// What `ledger check` says of a store that has a file.
    fn audit_books(&self) {
        if self.setting.sqlite {
            let audited = self.run(Store::audit(&self.store_url(), &[])).expect("the store");
            assert_eq!(audited.flaws, []);
        }
    }

    /// Each refund went back at most once, and is done by our books if it is by the carrier's. Returns what went back, in tiyn.
    fn audit_refunds(&self, charge: &Charge) -> i64 {
        let ledger = self.simulator.ledger();
        let mut refunded = 0;
        for refund in &charge.refunds {
            let names = [refund.reference.to_string(), refund.reference.uuid().simple().to_string()];
            let is_ours = |reference: &str| names.iter().any(|name| reference.starts_with(name));
            let back: Vec<i64> = ledger
                .refunds()
                .iter()
                .filter(|entry| is_ours(&entry.request_reference))
                .map(|entry| entry.amount.minor)
                .collect();
            match refund.state {
                RefundState::Done => assert_eq!(back, [refund.amount.minor], "{charge:?}"),
                RefundState::InDoubt => assert!(back.is_empty() || back == [refund.amount.minor], "{charge:?}"),
                _ => assert_eq!(back, [0; 0], "the carrier gave back what we know nothing of: {charge:?}"),
            }
            refunded += if refund.state == RefundState::Done { refund.amount.minor } else { 0 };
        }
        assert!(charge.refunded_amount().minor <= charge.order.amount.minor, "M14: {charge:?}");
        refunded
    }
}
