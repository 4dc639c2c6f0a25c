use std::collections::{BTreeMap, BTreeSet};

use super::{Memory, State};
use crate::{
    charge::{CarrierName, Charge, Reference, State as ChargeState},
    clock::Timestamp,
    msisdn::Msisdn,
    passenger::Language,
    store::{
        Balance, ChargeFilter, InDoubtSummary, IncomingSms, JournalEntry, KeptMo, KeyGuard, MessageState, Owner,
        ParkedReceipt, Prior, PriorQuestion, QueuedSms, Slot, Spent, StoreError, StoredBreak, StoredTicket,
        TicketFilter, Verbatim,
    },
    transit::VehicleCode,
};

impl State {
    /// What a subscriber has spent. See [`Store::spent`](crate::store::Store::spent).
    pub(super) fn spent(&self, msisdn: Msisdn, since: Timestamp, doubt_since: Timestamp) -> Spent {
        let counts = |charge: &&Charge| {
            let doubt_counts = charge.state != ChargeState::InDoubt || charge.terms.ticket_deadline >= doubt_since;
            charge.order.msisdn == msisdn
                && charge.order.received_at >= since
                && !charge.state.is_not_taken()
                && doubt_counts
        };
        self.charges.values().filter(counts).fold(Spent::default(), |sum, charge| Spent {
            minor: sum.minor.saturating_add(charge.order.amount.minor),
            purchases: sum.purchases.saturating_add(1),
        })
    }
}

impl Memory {
    pub(in crate::store) async fn charge(&self, reference: Reference) -> Result<Option<Charge>, StoreError> {
        Ok(self.state().charges.get(&reference).cloned())
    }

    pub(in crate::store) async fn charges(&self, filter: &ChargeFilter, limit: u32) -> Result<Vec<Charge>, StoreError> {
        let state = self.state();
        Ok(first(limit, state.charges.values().rev().filter(|charge| fits(charge, filter))))
    }

    pub(in crate::store) async fn key(&self, guard: &KeyGuard) -> Result<Option<(Reference, bool, bool)>, StoreError> {
        let state = self.state();
        let known = state.keys.get(&(guard.caller.clone(), guard.key.clone()));
        Ok(known.map(|known| (known.reference, known.body_sha256 == guard.body_sha256, known.repeat)))
    }

    pub(in crate::store) async fn priors(&self, questions: &[PriorQuestion]) -> Result<Vec<Prior>, StoreError> {
        let mut priors = Vec::with_capacity(questions.len());
        for PriorQuestion { msisdn, vehicle, guard, mo } in questions {
            let handed_over = match mo {
                Some(mo) => self.mo(*mo).await?.is_some_and(|mo| mo.answer_by.is_some()),
                None => false,
            };
            priors.push(Prior {
                key: self.key(guard).await?,
                home: self.home(*msisdn).await?,
                language: self.language(*msisdn).await?,
                slot: self.slot(*msisdn, vehicle).await?,
                is_handed_over: handed_over,
            });
        }
        Ok(priors)
    }

    pub(in crate::store) async fn due_charges(&self, now: Timestamp, limit: u32) -> Result<Vec<Charge>, StoreError> {
        let state = self.state();
        let due = |charge: &&Charge| charge.due_at().is_some_and(|due| due <= now);
        let mut charges: Vec<&Charge> = state.charges.values().filter(due).collect();
        charges.sort_by_key(|charge| (charge.due_at(), charge.reference));
        Ok(first(limit, charges.into_iter()))
    }

    pub(in crate::store) async fn under_way(&self) -> Result<Vec<Reference>, StoreError> {
        let state = self.state();
        Ok(open(&state).filter(|charge| charge.state != ChargeState::InDoubt).map(|charge| charge.reference).collect())
    }

    pub(in crate::store) async fn charges_by_reference(
        &self,
        references: &[Reference],
    ) -> Result<Vec<Charge>, StoreError> {
        let state = self.state();
        let wanted: BTreeSet<_> = references.iter().collect();
        Ok(wanted.into_iter().filter_map(|reference| state.charges.get(reference).cloned()).collect())
    }

    #[cfg(test)]
    pub(in crate::store) async fn open_charges(&self, limit: u32) -> Result<Vec<Charge>, StoreError> {
        Ok(first(limit, open(&self.state())))
    }

    pub(in crate::store) async fn open_charges_of(
        &self,
        msisdn: Msisdn,
        limit: u32,
    ) -> Result<Vec<Charge>, StoreError> {
        let state = self.state();
        Ok(first(limit, open(&state).filter(|charge| charge.order.msisdn == msisdn)))
    }

    pub(in crate::store) async fn in_doubt(&self) -> Result<InDoubtSummary, StoreError> {
        let state = self.state();
        let doubtful = open(&state).filter(|charge| charge.state == ChargeState::InDoubt);
        Ok(doubtful.fold(InDoubtSummary::default(), |sum, charge| InDoubtSummary {
            count: sum.count + 1,
            oldest_since: [sum.oldest_since, charge.in_doubt_since].into_iter().flatten().min(),
            minor: sum.minor.saturating_add(charge.order.amount.minor),
        }))
    }

    pub(in crate::store) async fn slot(
        &self,
        msisdn: Msisdn,
        vehicle: &VehicleCode,
    ) -> Result<Option<Slot>, StoreError> {
        Ok(self.state().slots.get(&(msisdn, *vehicle)).cloned())
    }

    pub(in crate::store) async fn spent(
        &self,
        msisdn: Msisdn,
        since: Timestamp,
        doubt_since: Timestamp,
    ) -> Result<Spent, StoreError> {
        Ok(self.state().spent(msisdn, since, doubt_since))
    }

    pub(in crate::store) async fn owner(
        &self,
        carrier: &CarrierName,
        carrier_id: &str,
    ) -> Result<Option<Owner>, StoreError> {
        Ok(self.state().carrier_ids.get(&(carrier.clone(), carrier_id.to_owned())).cloned())
    }

    pub(in crate::store) async fn parked(
        &self,
        carrier: &CarrierName,
        msisdn: Msisdn,
        limit: u32,
    ) -> Result<Vec<ParkedReceipt>, StoreError> {
        let state = self.state();
        let fits = |receipt: &&ParkedReceipt| receipt.carrier == *carrier && receipt.msisdn == Some(msisdn);
        let mut parked: Vec<&ParkedReceipt> = state.parked.values().filter(fits).collect();
        parked.sort_by(|a, b| (a.received_at, &a.id).cmp(&(b.received_at, &b.id)));
        let mut newest = first(limit, parked.into_iter().rev());
        newest.reverse();
        Ok(newest)
    }

    pub(in crate::store) async fn parked_for(
        &self,
        carrier: &CarrierName,
        carrier_id: &str,
        limit: u32,
    ) -> Result<Vec<ParkedReceipt>, StoreError> {
        let state = self.state();
        let parked = state.parked_for(Some((carrier.as_str(), carrier_id)));
        Ok(first(limit, parked.iter()))
    }

    pub(in crate::store) async fn parked_count(&self) -> Result<u64, StoreError> {
        Ok(u64::try_from(self.state().parked.len()).unwrap_or(u64::MAX))
    }

    pub(in crate::store) async fn ticket(&self, reference: Reference) -> Result<Option<StoredTicket>, StoreError> {
        Ok(self.state().tickets.get(&reference).cloned())
    }

    pub(in crate::store) async fn tickets(
        &self,
        msisdn: Msisdn,
        filter: TicketFilter,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<StoredTicket>, StoreError> {
        let state = self.state();
        let fits = |ticket: &&StoredTicket| {
            let active = ticket.expires_at > now && ticket.revoked_at.is_none();
            ticket.msisdn == msisdn && active == (filter == TicketFilter::Active)
        };
        let mut tickets: Vec<&StoredTicket> = state.tickets.values().filter(fits).collect();
        tickets.sort_by_key(|ticket| std::cmp::Reverse((ticket.issued_at, ticket.reference)));
        Ok(first(limit, tickets.into_iter()))
    }

    pub(in crate::store) async fn unanswered_mos(&self, limit: u32) -> Result<Vec<IncomingSms>, StoreError> {
        let state = self.state();
        let ours = open_mos(&state).filter(|mo| mo.message.part.is_none() && mo.answer_by.is_none());
        Ok(first(limit, ours.map(|mo| &mo.message)))
    }

    pub(in crate::store) async fn mo(&self, id: Reference) -> Result<Option<KeptMo>, StoreError> {
        Ok(self.state().mos.get(&id).cloned())
    }

    pub(in crate::store) async fn mos_handed_over(&self, limit: u32) -> Result<Vec<KeptMo>, StoreError> {
        let state = self.state();
        let mut waiting: Vec<&KeptMo> = open_mos(&state).filter(|mo| mo.answer_by.is_some()).collect();
        waiting.sort_by_key(|mo| (mo.answer_by, mo.message.id));
        Ok(first(limit, waiting.into_iter()))
    }

    pub(in crate::store) async fn numbers_with_open_parts(&self, limit: u32) -> Result<Vec<Msisdn>, StoreError> {
        let state = self.state();
        let mut oldest = BTreeMap::new();
        for part in open_mos(&state).map(|mo| &mo.message).filter(|mo| mo.part.is_some()) {
            oldest.entry(part.msisdn).or_insert(part.received_at);
        }
        let mut numbers: Vec<(Timestamp, Msisdn)> = oldest.into_iter().map(|(number, at)| (at, number)).collect();
        numbers.sort_unstable();
        Ok(first(limit, numbers.iter().map(|(_, number)| number)))
    }

    pub(in crate::store) async fn open_parts(&self, msisdn: Msisdn) -> Result<Vec<IncomingSms>, StoreError> {
        let state = self.state();
        let messages = open_mos(&state).map(|mo| &mo.message);
        Ok(messages.filter(|mo| mo.part.is_some() && mo.msisdn == msisdn).cloned().collect())
    }

    pub(in crate::store) async fn mos_watched(&self) -> Result<Vec<(CarrierName, Timestamp)>, StoreError> {
        Ok(self.state().mos_watched.iter().map(|(carrier, at)| (carrier.clone(), *at)).collect())
    }

    pub(in crate::store) async fn due_messages(
        &self,
        carrier: &CarrierName,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<QueuedSms>, StoreError> {
        let state = self.state();
        let due = |queued: &&QueuedSms| {
            queued.state == MessageState::Pending && queued.message.carrier == *carrier && queued.due_at <= now
        };
        let mut messages: Vec<&QueuedSms> = state.messages.values().filter(due).collect();
        messages.sort_by_key(|queued| (!queued.message.ticket, queued.due_at, queued.message.id));
        Ok(first(limit, messages.into_iter()))
    }

    pub(in crate::store) async fn message(&self, id: Reference) -> Result<Option<QueuedSms>, StoreError> {
        Ok(self.state().messages.get(&id).cloned())
    }

    pub(in crate::store) async fn messages_of(&self, reference: Reference) -> Result<Vec<QueuedSms>, StoreError> {
        let state = self.state();
        let about = |queued: &&QueuedSms| queued.message.reference == Some(reference);
        let mut messages: Vec<QueuedSms> = state.messages.values().filter(about).cloned().collect();
        messages.sort_by_key(|queued| (queued.message.created_at, queued.message.id));
        Ok(messages)
    }

    pub(in crate::store) async fn messages_to(
        &self,
        msisdn: Msisdn,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<QueuedSms>, StoreError> {
        let state = self.state();
        let fits = |queued: &&QueuedSms| queued.message.msisdn == msisdn && queued.message.created_at >= since;
        let mut messages: Vec<&QueuedSms> = state.messages.values().filter(fits).collect();
        messages.sort_by_key(|queued| std::cmp::Reverse((queued.message.created_at, queued.message.id)));
        Ok(first(limit, messages.into_iter()))
    }

    pub(in crate::store) async fn messages_since(&self, msisdn: Msisdn, since: Timestamp) -> Result<u64, StoreError> {
        let state = self.state();
        let fits = |queued: &&QueuedSms| queued.message.msisdn == msisdn && queued.message.created_at >= since;
        Ok(u64::try_from(state.messages.values().filter(fits).count()).unwrap_or(u64::MAX))
    }

    pub(in crate::store) async fn language(&self, msisdn: Msisdn) -> Result<Option<Language>, StoreError> {
        Ok(self.state().languages.get(&msisdn).copied())
    }

    pub(in crate::store) async fn journal(&self, reference: Reference) -> Result<Vec<JournalEntry>, StoreError> {
        Ok(self.state().journal.get(&reference).cloned().unwrap_or_default())
    }

    pub(in crate::store) async fn words(&self, reference: Reference) -> Result<Vec<(String, Verbatim)>, StoreError> {
        let state = self.state();
        let of_it = state.evidence.range((reference, String::new())..).take_while(|((of, _), _)| *of == reference);
        Ok(of_it.filter_map(|((_, id), verbatim)| Some((id.clone(), verbatim.clone()?))).collect())
    }

    pub(in crate::store) async fn balances(&self) -> Result<Vec<Balance>, StoreError> {
        let state = self.state();
        let mut sums = BTreeMap::new();
        for entry in state.ledger.values() {
            let key = (entry.account.to_string(), entry.currency.code());
            let balance = sums.entry(key).or_insert_with(|| Balance {
                account: entry.account.clone(),
                currency: entry.currency,
                minor: 0,
            });
            balance.minor = balance.minor.saturating_add(entry.minor);
        }
        Ok(sums.into_values().collect())
    }

    pub(in crate::store) async fn breaks(&self, limit: u32) -> Result<Vec<StoredBreak>, StoreError> {
        let state = self.state();
        Ok(first(limit, state.breaks.iter().rev()))
    }
}

fn first<'a, T: Clone + 'a>(limit: u32, items: impl Iterator<Item = &'a T>) -> Vec<T> {
    items.take(usize::try_from(limit).unwrap_or(usize::MAX)).cloned().collect()
}

/// Messages and parts that are neither answered nor closed, the oldest first.
fn open_mos(state: &State) -> impl Iterator<Item = &KeptMo> {
    let mut open: Vec<&KeptMo> = state.mos.values().filter(|mo| mo.answered_at.is_none()).collect();
    open.sort_by_key(|mo| (mo.message.received_at, mo.message.id));
    open.into_iter()
}

fn open(state: &State) -> impl Iterator<Item = &Charge> {
    state.charges.values().filter(|charge| charge.state.is_open())
}

fn fits(charge: &Charge, filter: &ChargeFilter) -> bool {
    let order = &charge.order;
    filter.msisdn.is_none_or(|msisdn| order.msisdn == msisdn)
        && filter.vehicle.as_ref().is_none_or(|vehicle| order.vehicle == *vehicle)
        && filter.state.as_ref().is_none_or(|state| charge.state.code() == state)
        && filter.from.is_none_or(|from| order.received_at >= from)
        && filter.until.is_none_or(|until| order.received_at < until)
        && filter.before.is_none_or(|before| charge.reference < before)
}
