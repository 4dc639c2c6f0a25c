use std::{io, sync::Arc};

use super::{KeptKey, State};
use crate::{
    charge::{Charge, Reference},
    clock::Timestamp,
    msisdn::Msisdn,
    store::{
        IncomingSms, JoinedParts, JournalEntry, KeptMo, KeyGuard, MessageProgress, MessageState, MoAnswer, Opening,
        Outcome, OutgoingSms, Owner, ParkedReceipt, QueuedSms, Settlement, Slot, SlotChange, SpendingBound, Spent,
        StoreError, StoredBreak, Told, Write,
        parts::{self, KeptPart},
        sales::{add_opening, add_settlement},
        slot::{Claimed, claim, supersede},
    },
};

/// What a write will do: its answer, and the charge that gives way to a new one.
struct Verdict {
    outcome: Outcome,
    superseded: Option<Box<Charge>>,
}

impl From<&KeptMo> for KeptPart {
    fn from(kept: &KeptMo) -> KeptPart {
        KeptPart { message: kept.message.clone(), closed_at: kept.answered_at }
    }
}

impl From<Outcome> for Verdict {
    fn from(outcome: Outcome) -> Verdict {
        Verdict { outcome, superseded: None }
    }
}

impl State {
    pub(super) fn commit(&mut self, batch: &[Write]) -> Result<Vec<Outcome>, StoreError> {
        if self.closed {
            return Err(StoreError::Closed);
        }
        if self.commits_to_fail > 0 {
            self.commits_to_fail -= 1;
            let lost = io::Error::other("this commit was made to fail");
            return Err(StoreError::Database(Arc::new(sqlx::Error::Io(lost))));
        }
        let verdicts = batch.iter().map(|write| self.judge(write)).collect::<Result<Vec<_>, _>>()?;
        for (write, verdict) in batch.iter().zip(&verdicts) {
            self.apply(write, verdict);
        }
        Ok(verdicts.into_iter().map(|verdict| verdict.outcome).collect())
    }

    fn judge(&self, write: &Write) -> Result<Verdict, StoreError> {
        match write {
            Write::Open(opening) => self.judge_opening(opening),
            Write::Settle(settlement) => self.judge_settlement(settlement).map(Verdict::from),
            Write::RecordRepeat { guard, reference, mo, .. } => self.judge_repeat(guard, *reference, mo.as_ref()),
            Write::KeepMo(message) => self.judge_mo(message).map(Verdict::from),
            Write::JoinParts(joined) => self.judge_joined(joined).map(Verdict::from),
            Write::AnswerMo(answer) if self.is_answered(answer.mo) => Ok(Outcome::MoKnown { id: answer.mo }.into()),
            Write::AnswerMo(answer) => {
                self.refuse_known_messages(&answer.messages)?;
                Ok(Outcome::Done.into())
            }
            Write::HandOverMo { mo, .. } if self.is_answered(*mo) => Ok(Outcome::MoKnown { id: *mo }.into()),
            Write::HandOverMo { .. } => Ok(Outcome::Done.into()),
            Write::Park(receipt) => Ok(self.judge_receipt(receipt).into()),
            Write::MoveMessage(progress) => {
                let learned = progress.carrier_id.as_ref().map(|(carrier, id)| (carrier.as_str(), id.as_str()));
                Ok(Outcome::MessageMoved { parked: self.parked_for(learned) }.into())
            }
            Write::LeaseSerials { vehicle, day, count } => {
                let first = self.serials.get(&(*vehicle, day.clone())).copied().unwrap_or(0);
                match first.checked_add(*count) {
                    Some(_) => Ok(Outcome::Leased { first }.into()),
                    None => Err(StoreError::Refused(format!("the serials of {day} are used up"))),
                }
            }
            Write::WatchMos { .. }
            | Write::Unpark { .. }
            | Write::ReportUnowned { .. }
            | Write::SetLanguage { .. }
            | Write::KeepFacts(_)
            | Write::KeepHomes(_)
            | Write::Forget(_)
            | Write::MoveWebhook(_) => Ok(Outcome::Done.into()),
        }
    }

    fn judge_opening(&self, opening: &Opening) -> Result<Verdict, StoreError> {
        let charge = &opening.charge;
        if let Some(known) = self.judge_key(&opening.guard) {
            return Ok(known.into());
        }
        if let Some(mo) = opening.mo
            && self.is_answered(mo)
        {
            return Ok(Outcome::MoKnown { id: mo }.into());
        }
        if opening.bounds.iter().any(|bound| self.is_over(bound, charge.order.msisdn)) {
            return Ok(Outcome::OverBound.into());
        }
        let mut superseded = None;
        if let Some(wish) = &opening.slot
            && let Some(held) = self.slots.get(&(charge.order.msisdn, charge.order.vehicle))
        {
            let holder = self.charges.get(&held.reference).filter(|holder| holder.state.is_open());
            match claim(wish, charge, held, holder) {
                Claimed::Held => return Ok(Outcome::SlotHeld(held.clone()).into()),
                Claimed::Granted { superseded: old } => superseded = old,
            }
        }
        if self.charges.contains_key(&charge.reference) {
            return Err(StoreError::Refused(format!("charge {} exists", charge.reference)));
        }
        self.refuse_known_messages(&opening.messages)?;
        let outcome = Outcome::Opened { superseded: superseded.as_ref().map(|old| old.reference) };
        Ok(Verdict { outcome, superseded })
    }

    fn is_over(&self, bound: &SpendingBound, msisdn: Msisdn) -> bool {
        let Spent { minor, purchases } = self.spent(msisdn, bound.since, bound.doubt_since);
        minor > bound.minor_max || purchases > bound.purchases_max
    }

    fn judge_settlement(&self, settlement: &Settlement) -> Result<Outcome, StoreError> {
        let reference = settlement.charge.reference;
        if let Some(id) = settlement.journal.evidence_id()
            && self.evidence.contains_key(&(reference, id.to_owned()))
        {
            return Ok(Outcome::EvidenceKnown);
        }
        if self.charges.get(&reference).map(|kept| kept.version) != Some(settlement.from_version) {
            return Ok(Outcome::Stale);
        }
        for entry in &settlement.entries {
            if self.ledger.contains_key(&(reference, entry.version, entry.account.clone())) {
                return Err(StoreError::Refused(format!("charge {reference}: a ledger entry exists")));
            }
        }
        self.refuse_known_messages(&settlement.messages)?;
        let learned = settlement.carrier_id.as_ref().map(|new| (new.carrier.as_str(), new.id.as_str()));
        Ok(Outcome::Settled { parked: self.parked_for(learned) })
    }

    fn judge_repeat(
        &self,
        guard: &KeyGuard,
        reference: Reference,
        mo: Option<&MoAnswer>,
    ) -> Result<Verdict, StoreError> {
        if let Some(known) = self.judge_key(guard) {
            return Ok(known.into());
        }
        if !self.charges.contains_key(&reference) {
            return Err(StoreError::Refused(format!("a repeat of charge {reference}, which does not exist")));
        }
        self.refuse_known_messages(mo.map_or(&[], |answer| self.messages_of_answer(answer)))?;
        Ok(Outcome::Done.into())
    }

    fn judge_key(&self, guard: &KeyGuard) -> Option<Outcome> {
        let known = self.keys.get(&(guard.caller.clone(), guard.key.clone()))?;
        Some(Outcome::KeyKnown {
            reference: known.reference,
            same_body: known.body_sha256 == guard.body_sha256,
            repeat: known.repeat,
        })
    }

    fn judge_mo(&self, message: &IncomingSms) -> Result<Outcome, StoreError> {
        if let Some((id, kept_at)) = self.fingerprints.get(&message.fingerprint)
            && *kept_at > message.same_since
            && *kept_at < message.same_until()
        {
            return Ok(Outcome::MoKnown { id: *id });
        }
        let outcome = match message.part {
            None => Outcome::MoKept,
            Some(part) => parts::judge(message, part, self.parts_beside(message)),
        };
        match outcome {
            Outcome::MoKnown { .. } | Outcome::TooManyParts => Ok(outcome),
            _ => self.refuse_known_mo(message).map(|()| outcome),
        }
    }

    fn parts_beside(&self, message: &IncomingSms) -> Vec<KeptPart> {
        let counts = |kept: &&KeptMo| {
            let closed_at = kept.answered_at.unwrap_or(Timestamp::MAX);
            kept.message.part.is_some() && kept.message.msisdn == message.msisdn && closed_at > message.same_since
        };
        let mut beside: Vec<KeptPart> = self.mos.values().filter(counts).map(KeptPart::from).collect();
        beside.sort_by_key(|kept| (kept.message.received_at, kept.message.id));
        beside
    }

    fn judge_joined(&self, joined: &JoinedParts) -> Result<Outcome, StoreError> {
        if joined.parts.iter().any(|part| self.is_answered(*part)) {
            return Ok(Outcome::MoKnown { id: joined.message.id });
        }
        self.refuse_known_mo(&joined.message).map(|()| Outcome::MoKept)
    }

    /// Whether a message needs no answer: it has one, or was never kept.
    fn is_answered(&self, id: Reference) -> bool {
        self.mos.get(&id).is_none_or(|mo| mo.answered_at.is_some())
    }

    fn refuse_known_mo(&self, message: &IncomingSms) -> Result<(), StoreError> {
        match self.mos.contains_key(&message.id) {
            true => Err(StoreError::Refused(format!("message {} from a passenger exists", message.id))),
            false => Ok(()),
        }
    }

    fn judge_receipt(&self, receipt: &ParkedReceipt) -> Outcome {
        let owner =
            receipt.carrier_id.as_ref().and_then(|id| self.carrier_ids.get(&(receipt.carrier.clone(), id.clone())));
        owner.map_or(Outcome::Parked, |owner| Outcome::Owned(owner.clone()))
    }

    pub(super) fn parked_for(&self, learned: Option<(&str, &str)>) -> Vec<ParkedReceipt> {
        let Some((carrier, id)) = learned else { return Vec::new() };
        let fits =
            |receipt: &&ParkedReceipt| receipt.carrier.as_str() == carrier && receipt.carrier_id.as_deref() == Some(id);
        let mut parked: Vec<ParkedReceipt> = self.parked.values().filter(fits).cloned().collect();
        parked.sort_by(|a, b| (a.received_at, &a.id).cmp(&(b.received_at, &b.id)));
        parked
    }

    /// What an answer will write: nothing, if the message was answered before or was never kept.
    fn messages_of_answer<'a>(&self, answer: &'a MoAnswer) -> &'a [OutgoingSms] {
        if self.is_answered(answer.mo) { &[] } else { &answer.messages }
    }

    fn refuse_known_messages(&self, messages: &[OutgoingSms]) -> Result<(), StoreError> {
        match messages.iter().find(|message| self.messages.contains_key(&message.id)) {
            Some(message) => Err(StoreError::Refused(format!("message {} exists", message.id))),
            None => Ok(()),
        }
    }
}

impl State {
    fn apply(&mut self, write: &Write, verdict: &Verdict) {
        match (write, &verdict.outcome) {
            (Write::Open(opening), Outcome::Opened { .. }) => self.open(opening, verdict.superseded.as_deref()),
            (Write::Settle(settlement), Outcome::Settled { .. }) => self.settle(settlement),
            (Write::RecordRepeat { guard, reference, mo, .. }, Outcome::Done) => {
                self.keep_key(guard, *reference, true);
                mo.iter().for_each(|answer| self.answer(answer));
            }
            (Write::KeepMo(message), Outcome::MoKept | Outcome::PartKept { .. }) => {
                self.fingerprints.insert(message.fingerprint, (message.id, message.kept_at));
                self.keep_mo(message);
            }
            (Write::JoinParts(JoinedParts { parts, message }), Outcome::MoKept) => {
                parts.iter().for_each(|part| self.mark_answered(*part, message.kept_at));
                self.keep_mo(message);
            }
            (Write::HandOverMo { mo, answer_by }, Outcome::Done) => {
                self.mos.entry(*mo).and_modify(|mo| mo.answer_by = mo.answer_by.or(Some(*answer_by)));
            }
            (Write::WatchMos { carrier, at }, _) => {
                self.mos_watched.insert(carrier.clone(), *at);
            }
            (Write::AnswerMo(answer), Outcome::Done) => self.answer(answer),
            (Write::Park(receipt), Outcome::Parked) => {
                self.parked.entry(receipt.id.clone()).or_insert_with(|| receipt.clone());
            }
            (Write::Unpark { id }, _) => {
                self.parked.remove(id);
                self.reported.remove(id);
            }
            (Write::ReportUnowned { id, at }, _) => self.report_unowned(id, *at),
            (Write::MoveMessage(progress), _) => self.move_message(progress),
            (Write::LeaseSerials { vehicle, day, count }, Outcome::Leased { first }) => {
                self.serials.insert((*vehicle, day.clone()), first + count);
            }
            (Write::SetLanguage { msisdn, language }, _) => {
                self.languages.insert(*msisdn, *language);
            }
            (Write::KeepFacts(facts), _) => self.keep_facts(facts),
            (Write::KeepHomes(homes), _) => self.keep_homes(homes),
            (Write::Forget(forgetting), _) => self.forget(forgetting),
            (Write::MoveWebhook(progress), _) => self.move_webhook(progress),
            _ => {}
        }
    }

    fn open(&mut self, opening: &Opening, superseded: Option<&Charge>) {
        let charge = &opening.charge;
        if let Some(old) = superseded {
            self.append(JournalEntry {
                reference: old.reference,
                version: old.version,
                at: old.updated_at,
                event: Some(supersede(charge.reference)),
                from: Some(old.state),
                to: old.state,
                verbatim: None,
                told: Told::default(),
            });
            self.charges.insert(old.reference, old.clone());
        }
        add_opening(&mut self.sales, opening);
        self.keep_key(&opening.guard, charge.reference, false);
        if let Some(wish) = &opening.slot {
            let slot = Slot { reference: charge.reference, passengers: wish.passengers, held_until: wish.held_until };
            self.slots.insert((charge.order.msisdn, charge.order.vehicle), slot);
        }
        opening.mo.iter().for_each(|mo| self.mark_answered(*mo, charge.updated_at));
        opening.journal.iter().for_each(|entry| self.append(entry.clone()));
        self.queue(&opening.messages);
        self.charges.insert(charge.reference, charge.clone());
    }

    fn settle(&mut self, settlement: &Settlement) {
        let charge = &settlement.charge;
        let (reference, at) = (charge.reference, settlement.journal.at);
        add_settlement(&mut self.sales, settlement);
        if let Some(id) = settlement.journal.evidence_id() {
            self.evidence.insert((reference, id.to_owned()), settlement.verbatim.clone());
        }
        if let Some(new) = &settlement.carrier_id {
            self.carrier_ids.insert((new.carrier.clone(), new.id.clone()), new.names.of(reference));
        }
        for entry in &settlement.entries {
            self.ledger.insert((reference, entry.version, entry.account.clone()), entry.clone());
        }
        if let Some(ticket) = &settlement.ticket {
            self.tickets.insert(reference, ticket.clone());
        }
        if settlement.revoke_ticket
            && let Some(ticket) = self.tickets.get_mut(&reference)
        {
            ticket.revoked_at.get_or_insert(at);
        }
        self.change_slot(charge, &settlement.slot);
        self.breaks.extend(settlement.breaks.iter().map(|found| StoredBreak {
            reference: Some(reference),
            piece: None,
            kind: found.code().into(),
            at,
            amount: Some(charge.order.amount),
        }));
        self.append(settlement.journal.clone());
        self.queue(&settlement.messages);
        self.charges.insert(reference, charge.clone());
    }

    fn append(&mut self, entry: JournalEntry) {
        let entries = self.journal.entry(entry.reference).or_default();
        self.settled.push((entry.reference, entries.len()));
        entries.push(entry);
    }

    fn change_slot(&mut self, charge: &Charge, change: &SlotChange) {
        let place = (charge.order.msisdn, charge.order.vehicle);
        let Some(slot) = self.slots.get_mut(&place).filter(|slot| slot.reference == charge.reference) else { return };
        match change {
            SlotChange::Keep => {}
            SlotChange::HoldUntil(until) => slot.held_until = *until,
            SlotChange::Release(Some(before)) => *slot = before.clone(),
            SlotChange::Release(None) => {
                self.slots.remove(&place);
            }
        }
    }

    fn keep_key(&mut self, guard: &KeyGuard, reference: Reference, repeat: bool) {
        let kept = KeptKey { reference, body_sha256: guard.body_sha256, repeat };
        self.keys.insert((guard.caller.clone(), guard.key.clone()), kept);
    }

    fn answer(&mut self, answer: &MoAnswer) {
        let messages = self.messages_of_answer(answer);
        self.queue(messages);
        if answer.asks_again && !self.is_answered(answer.mo) {
            self.fingerprints.retain(|_, (id, _)| *id != answer.mo);
        }
        self.mark_answered(answer.mo, answer.at);
    }

    fn keep_mo(&mut self, message: &IncomingSms) {
        let kept = KeptMo { message: message.clone(), answer_by: None, answered_at: None };
        self.mos.insert(message.id, kept);
    }

    fn mark_answered(&mut self, id: Reference, at: Timestamp) {
        if let Some(mo) = self.mos.get_mut(&id) {
            mo.answered_at.get_or_insert(at);
        }
    }

    fn queue(&mut self, messages: &[OutgoingSms]) {
        for message in messages {
            let due_at = message.created_at;
            let queued = QueuedSms { message: message.clone(), state: MessageState::Pending, tries: 0, due_at };
            self.messages.insert(message.id, queued);
        }
    }

    fn move_message(&mut self, progress: &MessageProgress) {
        if let Some((carrier, id)) = &progress.carrier_id {
            self.carrier_ids.insert((carrier.clone(), id.clone()), Owner::Message(progress.id));
        }
        if let Some(queued) = self.messages.get_mut(&progress.id).filter(|queued| !queued.state.is_final()) {
            queued.state = progress.to;
            queued.tries = progress.tries;
            queued.due_at = progress.due_at;
        }
    }
}
