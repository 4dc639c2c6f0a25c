//! Books that were put back to an older moment: everything that was under way at that moment is declared in doubt, before anything is
//! served. A charge that waited may have been sent since, so it is not sent again: its carrier is asked.

use std::collections::{BTreeMap, HashMap};

use fail::fail_point;
use tracing::warn;

use crate::{
    carrier::{Carrier, PrefixTable},
    charge::{
        AttemptState, CarrierName, Charge, Contract, Event, Illegal, PerhapsSent, Reference, RefundState, Retry, step,
    },
    clock::Timestamp,
    ledger::{self, DatedFee, VatConfig},
    store::{ChargeFilter, JournalEntry, Outcome, Settlement, SlotChange, Store, StoreError, Told, Write},
};

/// Charges that are declared in doubt in one commit.
const BATCH: usize = 256;
/// The newest charges, by which it is known how the carriers' clocks stood to ours.
const NEWEST: u32 = 512;
/// Where nobody knows which carrier a charge would have gone to.
const NOBODY: &str = "unknown";

/// What was declared in doubt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// Charges whose outcome was open.
    pub charges: u64,
    /// Those of them that had not been sent, as far as the books know.
    pub unsent: u64,
    /// Refunds under way.
    pub refunds: u64,
    /// Charges that had been declared before: a run before this one was broken off.
    pub before: u64,
}

/// Why not everything could be declared in doubt. What was, stays; the same may be done again.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The configuration does not fit the carriers.
    #[error("{0}")]
    Config(String),
    /// A charge that cannot have stood so.
    #[error("charge {0}: {1}")]
    Illegal(Reference, Illegal),
    /// Somebody else changed a charge meanwhile: nobody should be able to.
    #[error("charge {0} was changed by somebody else")]
    Changed(Reference),
}

/// What is needed to tell where a charge would have gone.
struct Ways<'a> {
    carriers: BTreeMap<CarrierName, &'a Carrier>,
    prefixes: PrefixTable,
    vat: &'a VatConfig,
    /// By how much each carrier's clock was ahead of ours, in milliseconds, by the newest attempts in the books.
    ahead_ms: HashMap<CarrierName, i64>,
    now: Timestamp,
}

/// Declares in doubt what was under way when the books ended, in this generation. Durable on return. `pending` are the charges in
/// question; nobody else may be served by the store.
///
/// Errors: the store fails, or a charge cannot be read; what was declared stays so, and is passed over the next time.
pub async fn declare_in_doubt(
    store: &Store,
    pending: &[Reference],
    carriers: &[Carrier],
    vat: &VatConfig,
    (generation, now): (u32, Timestamp),
) -> Result<Declared, RestoreError> {
    let newest = store.charges(&ChargeFilter::default(), NEWEST).await?;
    let configs = carriers.iter().map(|carrier| (carrier.name(), carrier.config().prefixes.as_slice()));
    let ways = Ways {
        prefixes: PrefixTable::new(configs).map_err(RestoreError::Config)?,
        carriers: carriers.iter().map(|carrier| (carrier.name().clone(), carrier)).collect(),
        vat,
        ahead_ms: ahead(&newest),
        now,
    };
    let mut declared = Declared::default();
    for references in pending.chunks(BATCH) {
        let mut writes = Vec::with_capacity(references.len());
        for reference in references {
            let Some(charge) = store.charge(*reference).await? else {
                warn!(charge = %reference, "a refund without its charge");
                continue;
            };
            if charge.restored_in >= Some(generation) {
                declared.before += 1;
                continue;
            }
            let perhaps = match charge.wants_attempt() {
                true => Some(Box::new(ways.perhaps_sent(store, &charge).await?)),
                false => None,
            };
            declared.unsent += u64::from(perhaps.is_some());
            declared.charges += u64::from(charge.state.is_open());
            declared.refunds += refunds_under_way(&charge);
            writes.extend(settlement(&charge, Event::Restored { generation, perhaps }, now)?);
        }
        for (write, outcome) in writes.iter().zip(store.commit(&writes).await?) {
            if let (Write::Settle(settlement), false) = (write, matches!(outcome, Outcome::Settled { .. })) {
                return Err(RestoreError::Changed(settlement.charge.reference));
            }
        }
        fail_point!("restore-between-doubts");
    }
    Ok(declared)
}

fn refunds_under_way(charge: &Charge) -> u64 {
    let is_under_way = |state: RefundState| !state.is_settled() && state != RefundState::Owed;
    charge.refunds.iter().filter(|refund| is_under_way(refund.state)).count() as u64
}

/// By how much the carriers' clocks are ahead: the newest attempt at each of them tells.
fn ahead(newest: &[Charge]) -> HashMap<CarrierName, i64> {
    let mut ahead_ms = HashMap::new();
    for attempt in newest.iter().flat_map(|charge| charge.attempts.iter().rev()) {
        if let Some(theirs) = attempt.carrier_time {
            let ms = theirs.unix_ms().saturating_sub(attempt.opened_at.unix_ms());
            ahead_ms.entry(attempt.carrier.clone()).or_insert(ms);
        }
    }
    ahead_ms
}

impl Ways<'_> {
    /// The attempt that a charge which waits may have had since.
    async fn perhaps_sent(&self, store: &Store, charge: &Charge) -> Result<PerhapsSent, StoreError> {
        let number = u16::try_from(charge.attempts.len() + 1).unwrap_or(u16::MAX);
        let (name, is_certain) = self.carrier_of(store, charge).await?;
        let Some(carrier) = self.carriers.get(&name) else {
            warn!(charge = %charge.reference, carrier = %name, "a charge waits for a carrier that is not configured: a person has to find out what became of it");
            return Ok(PerhapsSent {
                carrier: name,
                wire_reference: String::new(),
                contract: nothing_can_be_asked(),
                carrier_ahead_ms: None,
            });
        };
        let fee = DatedFee::on(&carrier.config().fees, self.now.date_in(carrier.zone()), self.vat);
        let contract = Contract { fee, ..carrier.contract() };
        // That a carrier does not know of it proves nothing where it may have gone to another.
        let contract = if is_certain { contract } else { Contract { queries: None, replays_keys: false, ..contract } };
        Ok(PerhapsSent {
            // Of sixteen bits that are counted up, nobody knows which it had.
            wire_reference: match carrier {
                Carrier::Smpp(_) => String::new(),
                _ => carrier.wire_reference(charge.reference, number),
            },
            contract,
            carrier_ahead_ms: self.ahead_ms.get(&name).copied(),
            carrier: name,
        })
    }

    /// Where it would have gone, and whether that is certain: as [`Inner::carrier_for`](super::Inner::carrier_for), by what the books know.
    async fn carrier_of(&self, store: &Store, charge: &Charge) -> Result<(CarrierName, bool), StoreError> {
        let home = store.home(charge.order.msisdn).await?.and_then(|home| home.carrier);
        let by_number = home.or_else(|| self.prefixes.carrier(charge.order.msisdn).cloned());
        let nobody = || NOBODY.parse().expect("a name of small letters");
        Ok(match (charge.last_attempt(), charge.order.channel.sms_carrier()) {
            (Some(attempt), _) => match &attempt.state {
                AttemptState::Rejected(rejection) if rejection.retry == Retry::OtherCarrier => {
                    (by_number.filter(|other| *other != attempt.carrier).unwrap_or_else(nobody), false)
                }
                _ => (attempt.carrier.clone(), true),
            },
            (None, Some(carrier)) => (carrier.clone(), true),
            (None, None) => by_number.map_or_else(|| (nobody(), false), |carrier| (carrier, true)),
        })
    }
}

/// The contract with nobody.
const fn nothing_can_be_asked() -> Contract {
    Contract {
        in_flight_delay_ms: Contract::IN_FLIGHT_DELAY_MS_MAX,
        queries: None,
        queries_by_carrier_id: true,
        queries_refunds: false,
        can_refund: false,
        replays_keys: false,
        reservation_ms: None,
        fee: None,
        refund_message: None,
    }
}

/// Nothing is sent, nobody is told: what follows is asked once the books are served.
fn settlement(charge: &Charge, event: Event, now: Timestamp) -> Result<Option<Write>, RestoreError> {
    let done = step(charge, event.clone(), now).map_err(|illegal| RestoreError::Illegal(charge.reference, illegal))?;
    let after = done.next;
    if after.version == charge.version {
        return Ok(None);
    }
    Ok(Some(Write::Settle(Box::new(Settlement {
        from_version: charge.version,
        journal: JournalEntry {
            reference: after.reference,
            version: after.version,
            at: after.updated_at,
            event: Some(event),
            from: Some(charge.state),
            to: after.state,
            verbatim: None,
            told: Told::of(charge, &after, &done.effects, None),
        },
        verbatim: None,
        carrier_id: None,
        entries: ledger::entries(Some(charge), &after),
        ticket: None,
        revoke_ticket: false,
        messages: Vec::new(),
        slot: SlotChange::Keep,
        breaks: Vec::new(),
        charge: after,
    }))))
}
