use serde::{Deserialize, Serialize};

use super::{CarrierName, Contract, Evidence, EvidenceSource, Finding, PerhapsSent, Reason, Reference};
use crate::{clock::Timestamp, money::Money, msisdn::Msisdn};

/// What can happen to a charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Our rules say no, before anything was sent.
    Decline {
        /// Why.
        reason: Reason,
    },
    /// A send slot is held: the attempt is to be made durable, and then sent.
    OpenAttempt {
        /// Where it goes.
        carrier: CarrierName,
        /// What the carrier will be given to tell it by.
        wire_reference: String,
        /// What the contract with that carrier says.
        contract: Contract,
        /// What the carrier's own clock shows, where it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        carrier_time: Option<Timestamp>,
    },
    /// No send slot can be had in time, or nobody else can be asked: what would come too late is not sent.
    GiveUp,
    /// The subscriber has entered the one-time password, which is about to be passed on. It is in no record.
    SubmitOtp,
    /// A message about the outcome of an attempt.
    Evidence(Evidence),
    /// The same, where no ticket can be made: what turns out to be taken goes back.
    EvidenceWithoutTicket(Evidence),
    /// Time passed. Due at [`Charge::due_at`](super::Charge::due_at); harmless at any other moment.
    Tick,
    /// The same, where what was sent may be older than it seems: nothing is sent again.
    TickWithoutRepetition,
    /// The books were put back to an older moment, at which this was under way: what has become of it since is not known.
    Restored {
        /// The generation that the books are in from then on.
        generation: u32,
        /// The attempt that it may have had since, if it waited for one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        perhaps: Option<Box<PerhapsSent>>,
    },
    /// A newer purchase took the place of this one, which was past its deadline and still undecided (M12).
    Supersede {
        /// The newer purchase.
        by: Reference,
    },
    /// Somebody with the right to do so gives money back.
    RequestRefund {
        /// The refund's name for life.
        refund: Reference,
        /// How much: all that is left, or a part.
        amount: Money,
        /// Who asked for it, by the name of the caller. Absent in journals of before it was kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// A message about the outcome of a refund.
    RefundEvidence {
        /// Which refund.
        refund: Reference,
        /// Names this piece within the charge; the same piece again changes nothing (M9).
        #[serde(default)]
        id: String,
        /// Who says it.
        source: EvidenceSource,
        /// What it says; `Charged` means that the money went back.
        finding: Finding,
    },
    /// A person has paid back what was owed in another way than by the carrier: by bank or in cash.
    PayOut {
        /// Which refund.
        refund: Reference,
        /// The caller's name.
        by: String,
        /// How it was paid, in the caller's words.
        because: String,
    },
}

impl Event {
    /// The same where no ticket can be made: what is paid by it goes back.
    pub fn without_ticket(self) -> Event {
        match self {
            Event::Evidence(evidence) => Event::EvidenceWithoutTicket(evidence),
            other => other,
        }
    }

    /// The same without this number in the words of the carrier and of people, which become a part of the journal and stay there
    /// for ever.
    #[must_use]
    pub fn masked(mut self, msisdn: Msisdn) -> Event {
        let mask = |words: &mut String| *words = msisdn.masked_in(words);
        let (source, finding) = match &mut self {
            Event::Evidence(evidence) | Event::EvidenceWithoutTicket(evidence) => {
                (&mut evidence.source, &mut evidence.finding)
            }
            Event::RefundEvidence { source, finding, .. } => (source, finding),
            Event::PayOut { because, .. } => {
                mask(because);
                return self;
            }
            _ => return self,
        };
        if let EvidenceSource::Operator { because, .. } = source {
            mask(because);
        }
        if let Finding::Rejected { detail, .. } = finding {
            mask(detail);
        }
        self
    }

    /// Names the piece of evidence that this is, if it is one: it is counted once (M9).
    pub fn evidence_id(&self) -> Option<&str> {
        match self {
            Event::Evidence(evidence) | Event::EvidenceWithoutTicket(evidence) => Some(&evidence.id),
            Event::RefundEvidence { id, .. } if !id.is_empty() => Some(id),
            _ => None,
        }
    }
}
