//! What a batch writes, table by table: each list becomes one set statement.

use super::{
    tables::{
        AnyText, AttemptRow, BreakRow, CarrierIdRow, ChangedRow, EvidenceRow, FactRow, FingerprintRow, HeldRow, Hex,
        HomeRow, JournalRow, KeyRow, LanguageRow, LedgerRow, MessageRow, MoRow, MomentRow, MovedRow, OpenedRow,
        ParkedRow, RefundRow, ReleasedRow, SlotRow, TicketRow, UnownedRow, WatchRow, WithBodies,
    },
    verdicts::{Superseded, Verdicts},
};
use crate::{
    charge::{Charge, Reference},
    ledger::BlockDigest,
    store::{
        Forgetting, IncomingSms, JoinedParts, JournalEntry, MessageProgress, MoAnswer, Opening, Outcome, Settlement,
        Slot, SlotChange, WebhookProgress, Write,
        sales::{SalesChanges, add_opening, add_settlement},
    },
};

/// The rows of a batch, in the order of its writes.
#[derive(Default)]
pub(in crate::store) struct Rows<'a> {
    pub(in crate::store) opened: WithBodies<OpenedRow<'a>>,
    pub(in crate::store) changed: WithBodies<ChangedRow>,
    pub(in crate::store) keys: Vec<KeyRow<'a>>,
    pub(in crate::store) slots: Vec<SlotRow<'a>>,
    pub(in crate::store) held: Vec<HeldRow<'a>>,
    pub(in crate::store) released: Vec<ReleasedRow<'a>>,
    pub(in crate::store) attempts: Vec<AttemptRow<'a>>,
    pub(in crate::store) evidence: Vec<EvidenceRow<'a>>,
    pub(in crate::store) carrier_ids: Vec<CarrierIdRow<'a>>,
    pub(in crate::store) journal: WithBodies<JournalRow>,
    pub(in crate::store) ledger: Vec<LedgerRow<'a>>,
    /// Of the journal and the ledger.
    pub(in crate::store) digest: BlockDigest,
    pub(in crate::store) tickets: Vec<TicketRow<'a>>,
    pub(in crate::store) revoked: Vec<MomentRow>,
    pub(in crate::store) messages: Vec<MessageRow<'a>>,
    pub(in crate::store) moved: Vec<MovedRow>,
    pub(in crate::store) mos: Vec<MoRow<'a>>,
    pub(in crate::store) fingerprints: Vec<FingerprintRow<'a>>,
    pub(in crate::store) watched: Vec<WatchRow<'a>>,
    pub(in crate::store) answered: Vec<MomentRow>,
    /// Messages that are handed over, and until when they wait.
    pub(in crate::store) handed_over: Vec<MomentRow>,
    /// Messages whose text is a new message from now on.
    pub(in crate::store) asked_again: Vec<Reference>,
    pub(in crate::store) parked: WithBodies<ParkedRow<'a>>,
    pub(in crate::store) unparked: Vec<AnyText<'a>>,
    pub(in crate::store) unowned: Vec<UnownedRow<'a>>,
    pub(in crate::store) refunds: Vec<RefundRow<'a>>,
    pub(in crate::store) breaks: Vec<BreakRow>,
    pub(in crate::store) languages: Vec<LanguageRow>,
    pub(in crate::store) sales: SalesChanges,
    pub(in crate::store) facts: Vec<FactRow<'a>>,
    pub(in crate::store) homes: Vec<HomeRow<'a>>,
    pub(in crate::store) forgotten: Vec<Forgetting>,
    pub(in crate::store) webhooks: Vec<&'a WebhookProgress>,
}

impl<'a> Rows<'a> {
    /// The rows of those writes that passed their guards.
    pub(in crate::store) fn collect(batch: &'a [Write], verdicts: &'a Verdicts) -> Rows<'a> {
        let mut rows = Rows::default();
        verdicts.superseded.iter().for_each(|old| rows.supersede(old));
        for (place, (write, outcome)) in batch.iter().zip(&verdicts.outcomes).enumerate() {
            let needless = verdicts.needless_answers.contains(&place);
            match (write, outcome) {
                (Write::Open(opening), Outcome::Opened { .. }) => {
                    rows.open(opening, verdicts.holders.get(&place));
                }
                (Write::Settle(settlement), Outcome::Settled { .. }) => rows.settle(settlement),
                (Write::RecordRepeat { guard, reference, at, mo }, Outcome::Done) => {
                    rows.keys.push(KeyRow::new(guard, *reference, true, *at));
                    mo.iter().filter(|_| !needless).for_each(|answer| rows.answer(answer));
                }
                (Write::KeepMo(message), Outcome::MoKept | Outcome::PartKept { .. }) => rows.keep_mo(message),
                (Write::JoinParts(joined), Outcome::MoKept) => rows.join_parts(joined),
                (Write::WatchMos { carrier, at }, _) => {
                    rows.watched.push(WatchRow { carrier: carrier.as_str(), at: at.unix_ms() });
                }
                (Write::AnswerMo(answer), Outcome::Done) => rows.answer(answer),
                (Write::HandOverMo { mo, answer_by }, Outcome::Done) => {
                    rows.handed_over.push(MomentRow::new(*mo, *answer_by));
                }
                (Write::Park(receipt), Outcome::Parked) => {
                    rows.parked.push(&receipt.body, |body| ParkedRow::new(receipt, body));
                }
                (Write::Unpark { id }, _) => rows.unparked.push(AnyText(id)),
                (Write::ReportUnowned { id, at }, _) => rows.unowned.push(UnownedRow::new(id, *at)),
                (Write::MoveMessage(progress), _) => rows.move_message(progress),
                (Write::SetLanguage { msisdn, language }, _) => {
                    rows.languages.push(LanguageRow { msisdn: msisdn.e164(), language: *language });
                }
                (Write::KeepFacts(facts), _) => rows.facts.extend(facts.iter().map(FactRow::new)),
                (Write::KeepHomes(homes), _) => rows.homes.extend(homes.iter().map(HomeRow::new)),
                (Write::Forget(forgetting), _) => rows.forgotten.push(*forgetting),
                (Write::MoveWebhook(progress), _) => rows.webhooks.push(progress),
                _ => {}
            }
        }
        rows
    }

    fn supersede(&mut self, old: &'a Superseded) {
        self.changed.push(&old.charge, |body| ChangedRow::new(old.from_version, &old.charge, false, body));
        self.append(&old.entry);
    }

    fn open(&mut self, opening: &'a Opening, found: Option<&Slot>) {
        let charge = &opening.charge;
        let order = &charge.order;
        add_opening(&mut self.sales, opening);
        self.opened.push(charge, |body| OpenedRow::new(charge, body));
        self.keys.push(KeyRow::new(&opening.guard, charge.reference, false, order.received_at));
        self.slots.extend(opening.slot.iter().map(|wish| SlotRow {
            msisdn: order.msisdn.e164(),
            vehicle: &order.vehicle,
            reference: charge.reference,
            passengers: wish.passengers,
            held_until: wish.held_until.unix_ms(),
            found_holder: found.map(|slot| slot.reference),
            found_until: found.map(|slot| slot.held_until.unix_ms()),
        }));
        self.attempts.extend(charge.attempts.iter().map(|attempt| AttemptRow::new(charge, attempt)));
        opening.journal.iter().for_each(|entry| self.append(entry));
        self.messages.extend(opening.messages.iter().map(MessageRow::new));
        self.answered.extend(opening.mo.map(|mo| MomentRow::new(mo, charge.updated_at)));
    }

    fn settle(&mut self, settlement: &'a Settlement) {
        let charge = &settlement.charge;
        let (reference, at) = (charge.reference, settlement.journal.at);
        add_settlement(&mut self.sales, settlement);
        let opens_attempt = settlement.opens_attempt();
        self.changed.push(charge, |body| ChangedRow::new(settlement.from_version, charge, opens_attempt, body));
        let verbatim = settlement.verbatim.as_ref();
        self.evidence.extend(settlement.journal.evidence_id().map(|id| EvidenceRow::new(reference, id, verbatim)));
        self.attempts.extend(charge.attempts.iter().map(|attempt| AttemptRow::new(charge, attempt)));
        self.carrier_ids.extend(settlement.carrier_id.iter().map(|new| CarrierIdRow::new(reference, new)));
        self.append(&settlement.journal);
        self.digest.lines(&settlement.entries);
        self.refunds.extend(RefundRow::all(charge));
        self.ledger.extend(settlement.entries.iter().map(LedgerRow::new));
        self.tickets.extend(settlement.ticket.iter().map(TicketRow::new));
        self.revoked.extend(settlement.revoke_ticket.then(|| MomentRow::new(reference, at)));
        self.messages.extend(settlement.messages.iter().map(MessageRow::new));
        self.change_slot(charge, &settlement.slot);
        self.breaks.extend(settlement.breaks.iter().map(|found| BreakRow {
            reference,
            kind: found.code(),
            at: at.unix_ms(),
            amount_minor: charge.order.amount.minor,
            currency: charge.order.amount.currency.code(),
        }));
    }

    fn change_slot(&mut self, charge: &'a Charge, change: &'a SlotChange) {
        let (msisdn, vehicle, reference) = (charge.order.msisdn.e164(), &charge.order.vehicle, charge.reference);
        match change {
            SlotChange::Keep => {}
            SlotChange::HoldUntil(until) => self.held.push(HeldRow {
                msisdn,
                vehicle,
                holder: reference,
                reference,
                passengers: None,
                held_until: until.unix_ms(),
            }),
            SlotChange::Release(Some(before)) => self.held.push(HeldRow {
                msisdn,
                vehicle,
                holder: reference,
                reference: before.reference,
                passengers: Some(before.passengers),
                held_until: before.held_until.unix_ms(),
            }),
            SlotChange::Release(None) => self.released.push(ReleasedRow { msisdn, vehicle, holder: reference }),
        }
    }

    fn append(&mut self, entry: &JournalEntry) {
        let (reference, at) = (entry.reference, entry.at.unix_ms());
        let body = self.journal.push(entry, |body| JournalRow { reference, at, body });
        self.digest.entry(reference, entry.at, body);
    }

    fn answer(&mut self, answer: &'a MoAnswer) {
        self.answered.push(MomentRow::new(answer.mo, answer.at));
        self.asked_again.extend(answer.asks_again.then_some(answer.mo));
        self.messages.extend(answer.messages.iter().map(MessageRow::new));
    }

    fn keep_mo(&mut self, message: &'a IncomingSms) {
        self.mos.push(MoRow::new(message));
        self.fingerprints.push(FingerprintRow {
            id: message.id,
            fingerprint: Hex(&message.fingerprint),
            kept_at: message.kept_at.unix_ms(),
        });
    }

    /// No fingerprint: the parts have theirs.
    fn join_parts(&mut self, JoinedParts { parts, message }: &'a JoinedParts) {
        self.mos.push(MoRow::new(message));
        self.answered.extend(parts.iter().map(|part| MomentRow::new(*part, message.kept_at)));
    }

    fn move_message(&mut self, progress: &'a MessageProgress) {
        self.moved.push(MovedRow {
            id: progress.id,
            state: progress.to.code(),
            tries: progress.tries,
            due_at: progress.due_at.unix_ms(),
        });
        self.carrier_ids.extend(progress.carrier_id.iter().map(|(carrier, id)| CarrierIdRow {
            carrier: carrier.as_str(),
            id: AnyText(id),
            reference: progress.id,
            attempt: None,
            refund: None,
        }));
    }
}
