//! What must be asked of the database before a batch is written.

use serde::Serialize;

use super::tables::{AnyText, Hex};
use crate::{
    charge::{CarrierName, Reference},
    store::{IncomingSms, KeyGuard, Opening, PriorQuestion, Settlement, Write},
    transit::VehicleCode,
};

/// What is asked, with the place of the write in its batch.
#[derive(Default)]
pub(in crate::store) struct Guards<'a> {
    pub(in crate::store) settlements: Vec<SettlementGuard<'a>>,
    pub(in crate::store) keys: Vec<KeyQuestion<'a>>,
    pub(in crate::store) bounds: Vec<BoundGuard>,
    pub(in crate::store) claims: Vec<ClaimGuard<'a>>,
    pub(in crate::store) mos: Vec<MoGuard<'a>>,
    pub(in crate::store) parts: Vec<PartGuard>,
    pub(in crate::store) receipts: Vec<IdQuestion<'a>>,
    pub(in crate::store) learned: Vec<IdQuestion<'a>>,
    pub(in crate::store) answers: Vec<AnswerGuard>,
}

#[derive(Serialize)]
pub(in crate::store) struct SettlementGuard<'a> {
    pub(in crate::store) i: usize,
    pub(in crate::store) reference: Reference,
    pub(in crate::store) from_version: u32,
    pub(in crate::store) evidence: Option<AnyText<'a>>,
}

#[derive(Serialize)]
pub(in crate::store) struct KeyQuestion<'a> {
    pub(in crate::store) i: usize,
    pub(in crate::store) caller: &'a str,
    pub(in crate::store) key: AnyText<'a>,
}

#[derive(Serialize)]
pub(in crate::store) struct ClaimGuard<'a> {
    pub(in crate::store) i: usize,
    pub(in crate::store) msisdn: u64,
    pub(in crate::store) vehicle: &'a VehicleCode,
}

#[derive(Serialize)]
pub(in crate::store) struct BoundGuard {
    pub(in crate::store) i: usize,
    pub(in crate::store) msisdn: u64,
    pub(in crate::store) since: i64,
    pub(in crate::store) doubt_since: i64,
    pub(in crate::store) minor_max: i64,
    pub(in crate::store) purchases_max: u32,
}

#[derive(Serialize)]
pub(in crate::store) struct MoGuard<'a> {
    pub(in crate::store) i: usize,
    pub(in crate::store) fingerprint: Hex<'a>,
    pub(in crate::store) same_since: i64,
    pub(in crate::store) same_until: i64,
}

#[derive(Serialize)]
pub(in crate::store) struct PartGuard {
    pub(in crate::store) i: usize,
    pub(in crate::store) msisdn: u64,
    pub(in crate::store) same_since: i64,
}

#[derive(Serialize)]
pub(in crate::store) struct IdQuestion<'a> {
    pub(in crate::store) i: usize,
    pub(in crate::store) carrier: &'a str,
    pub(in crate::store) id: AnyText<'a>,
}

#[derive(Serialize)]
pub(in crate::store) struct AnswerGuard {
    pub(in crate::store) i: usize,
    pub(in crate::store) mo: Reference,
}

/// What is asked before a purchase.
#[derive(Serialize)]
pub(in crate::store) struct PriorRow<'a> {
    pub(in crate::store) i: usize,
    pub(in crate::store) msisdn: u64,
    pub(in crate::store) vehicle: &'a VehicleCode,
    pub(in crate::store) caller: &'a str,
    pub(in crate::store) key: AnyText<'a>,
    pub(in crate::store) body_sha256: Hex<'a>,
    pub(in crate::store) mo: Option<Reference>,
}

impl<'a> PriorRow<'a> {
    /// A row for each question, by its place.
    pub(in crate::store) fn all(questions: &'a [PriorQuestion]) -> Vec<PriorRow<'a>> {
        let row = |(i, question): (usize, &'a PriorQuestion)| PriorRow {
            i,
            msisdn: question.msisdn.e164(),
            vehicle: &question.vehicle,
            caller: &question.guard.caller,
            key: AnyText(&question.guard.key),
            body_sha256: Hex(&question.guard.body_sha256),
            mo: question.mo,
        };
        questions.iter().enumerate().map(row).collect()
    }
}

impl<'a> Guards<'a> {
    /// One question for each thing that a write of the batch depends on.
    pub(in crate::store) fn of(batch: &'a [Write]) -> Guards<'a> {
        let mut guards = Guards::default();
        batch.iter().enumerate().for_each(|(i, write)| guards.add(i, write));
        guards
    }

    fn add(&mut self, i: usize, write: &'a Write) {
        match write {
            Write::Open(opening) => self.add_opening(i, opening),
            Write::Settle(settlement) => self.add_settlement(i, settlement),
            Write::RecordRepeat { guard, mo, .. } => {
                self.add_key(i, guard);
                self.answers.extend(mo.iter().map(|answer| AnswerGuard { i, mo: answer.mo }));
            }
            Write::KeepMo(sms @ IncomingSms { fingerprint, same_since, part, msisdn, .. }) => {
                let (fingerprint, same_since) = (Hex(fingerprint), same_since.unix_ms());
                self.mos.push(MoGuard { i, fingerprint, same_since, same_until: sms.same_until().unix_ms() });
                self.parts.extend(part.map(|_| PartGuard { i, msisdn: msisdn.e164(), same_since }));
            }
            Write::JoinParts(joined) => self.answers.extend(joined.parts.iter().map(|mo| AnswerGuard { i, mo: *mo })),
            Write::AnswerMo(answer) => self.answers.push(AnswerGuard { i, mo: answer.mo }),
            Write::HandOverMo { mo, .. } => self.answers.push(AnswerGuard { i, mo: *mo }),
            Write::Park(receipt) => {
                let carrier = &receipt.carrier;
                self.receipts.extend(receipt.carrier_id.iter().map(|id| IdQuestion::new(i, carrier, id)));
            }
            Write::MoveMessage(progress) => {
                let learned = progress.carrier_id.iter();
                self.learned.extend(learned.map(|(carrier, id)| IdQuestion::new(i, carrier, id)));
            }
            Write::WatchMos { .. }
            | Write::Unpark { .. }
            | Write::ReportUnowned { .. }
            | Write::LeaseSerials { .. }
            | Write::SetLanguage { .. }
            | Write::KeepFacts(_)
            | Write::KeepHomes(_)
            | Write::Forget(_)
            | Write::MoveWebhook(_) => {}
        }
    }

    fn add_opening(&mut self, i: usize, opening: &'a Opening) {
        let order = &opening.charge.order;
        self.add_key(i, &opening.guard);
        self.answers.extend(opening.mo.map(|mo| AnswerGuard { i, mo }));
        self.bounds.extend(opening.bounds.iter().map(|bound| BoundGuard {
            i,
            msisdn: order.msisdn.e164(),
            since: bound.since.unix_ms(),
            doubt_since: bound.doubt_since.unix_ms(),
            minor_max: bound.minor_max,
            purchases_max: bound.purchases_max,
        }));
        if opening.slot.is_some() {
            self.claims.push(ClaimGuard { i, msisdn: order.msisdn.e164(), vehicle: &order.vehicle });
        }
    }

    fn add_settlement(&mut self, i: usize, settlement: &'a Settlement) {
        self.settlements.push(SettlementGuard {
            i,
            reference: settlement.charge.reference,
            from_version: settlement.from_version,
            evidence: settlement.journal.evidence_id().map(AnyText),
        });
        self.learned.extend(settlement.carrier_id.iter().map(|new| IdQuestion::new(i, &new.carrier, &new.id)));
    }

    fn add_key(&mut self, i: usize, guard: &'a KeyGuard) {
        self.keys.push(KeyQuestion { i, caller: &guard.caller, key: AnyText(&guard.key) });
    }
}

impl<'a> IdQuestion<'a> {
    fn new(i: usize, carrier: &'a CarrierName, id: &'a str) -> IdQuestion<'a> {
        IdQuestion { i, carrier: carrier.as_str(), id: AnyText(id) }
    }
}
