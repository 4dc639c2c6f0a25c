//! What the carrier's own books say after a chaos: the audit that it can do alone.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ChaosConfig;
use crate::{money::Money, msisdn::Msisdn, simulator::shared::Shared};

/// What the carrier's own books say after a chaos.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChaosReport {
    /// The seed it came from.
    pub seed: u64,
    /// Whether it lasted as long as it should.
    pub completed: bool,
    /// Charges in the ledger, those from before the chaos included.
    pub charges: usize,
    /// What they come to.
    pub charged: Money,
    /// The client's references that were charged more than once, with how often.
    pub charged_twice: BTreeMap<Uuid, usize>,
    /// Without a reference: one number and `user_message_reference` charged again within ten minutes.
    pub charged_again: Vec<ChargedAgain>,
    /// PDUs of the client that broke the protocol.
    pub malformed: u64,
    /// `submit_sm` read.
    pub submits: u64,
    /// Those that were accepted.
    pub submits_accepted: u64,
    /// Accepted messages that have not ended yet.
    pub messages_pending: u64,
    /// MOs and receipts that the client has not acknowledged yet.
    pub deliveries_pending: u64,
    /// MOs and receipts given up, or refused for good.
    pub deliveries_given_up: u64,
    /// Faults that struck since the start, by kind.
    pub faults: BTreeMap<String, u64>,
    /// What became of the texts of the chaos's own passengers.
    pub passengers: Option<PassengersReport>,
}

/// A number that was charged more than once under one `user_message_reference`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChargedAgain {
    /// The number.
    pub msisdn: Msisdn,
    /// What the client called the attempt.
    pub user_message_reference: u16,
    /// How often it was charged.
    pub times: usize,
}

/// What became of the passengers' texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassengersReport {
    /// Texts given to the SMSC.
    pub sent: u64,
    /// Those that the client acknowledged.
    pub acknowledged: u64,
    /// Those that it refused for good.
    pub refused: u64,
    /// Those that it did not answer, until the SMSC gave them up.
    pub given_up: u64,
    /// Texts that the SMSC had no room for.
    pub not_sent: u64,
}

/// How long the same `user_message_reference` of one number means the same attempt: it has 16 bits only.
const SAME_ATTEMPT: Duration = Duration::from_secs(600);

impl ChaosReport {
    /// Whether nobody was charged twice and the client kept to the protocol, as far as the carrier can tell.
    pub fn is_clean(&self) -> bool {
        self.charged_twice.is_empty() && self.charged_again.is_empty() && self.malformed == 0
    }
}

impl PassengersReport {
    /// Texts that are neither answered nor given up yet.
    pub fn on_their_way(&self) -> u64 {
        self.sent.saturating_sub(self.acknowledged + self.refused + self.given_up)
    }
}

/// The books as they are now.
pub(super) fn of(
    shared: &Shared,
    config: &ChaosConfig,
    completed: bool,
    passengers: Option<PassengersReport>,
) -> ChaosReport {
    let stats = shared.stats();
    let exchange = shared.exchange();
    let ledger = &exchange.ledger;
    let again = ledger.charged_again(SAME_ATTEMPT).into_iter();
    ChaosReport {
        seed: config.seed,
        completed,
        charges: ledger.entries().len(),
        charged: ledger.total(),
        charged_twice: ledger.charged_twice(),
        charged_again: again
            .map(|((msisdn, user_message_reference), times)| ChargedAgain { msisdn, user_message_reference, times })
            .collect(),
        malformed: stats.malformed,
        submits: stats.submits,
        submits_accepted: stats.submits_accepted,
        messages_pending: stats.messages_pending,
        deliveries_pending: stats.deliveries_pending,
        deliveries_given_up: stats.deliveries_given_up,
        faults: stats.faults_by_kind,
        passengers,
    }
}
