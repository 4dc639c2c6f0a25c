//! What becomes of the gateway's commits, and the journal of all that was committed.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use rand::{RngExt, rngs::StdRng};

use super::{
    plan::{Role, StorePlan, dice},
    world::World,
};
use crate::store::{Attendant, Fate, Outcome, StoreError, Write};

/// Decides by the plan's odds while things go wrong, and writes the journal.
pub(super) struct Office {
    world: Weak<World>,
    odds: StorePlan,
    dice: Mutex<StdRng>,
}

impl Office {
    pub(super) fn new(world: &Arc<World>) -> Arc<Office> {
        let dice = Mutex::new(dice(world.plan.seed, Role::Office));
        Arc::new(Office { world: Arc::downgrade(world), odds: world.plan.store, dice })
    }
}

impl Attendant for Office {
    fn fate(&self, batch: &[Write]) -> Fate {
        let Some(world) = self.world.upgrade().filter(|world| world.is_spoilt()) else {
            return Fate::Done(Duration::ZERO);
        };
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        let mut drawn = dice.random_range(0..1_000);
        let mut is = |odds: u32| {
            let hit = drawn < odds;
            drawn = drawn.saturating_sub(odds);
            hit
        };
        let fate = if is(self.odds.failed) {
            Fate::Failed
        } else if is(self.odds.unanswered) {
            Fate::Unanswered
        } else if is(self.odds.ended_before) {
            Fate::EndedBefore
        } else if is(self.odds.ended_after) {
            Fate::EndedAfter
        } else if is(self.odds.slow) {
            Fate::Done(Duration::from_millis(dice.random_range(1..=3_000)))
        } else {
            return Fate::Done(Duration::ZERO);
        };
        world.note(format_args!("store: {fate:?} for {} writes", batch.len()));
        fate
    }

    fn committed(&self, batch: &[Write], result: &Result<Vec<Outcome>, StoreError>) {
        let Some(world) = self.world.upgrade() else { return };
        match result {
            Ok(outcomes) => {
                for (write, outcome) in batch.iter().zip(outcomes) {
                    match write {
                        Write::KeepMo(sms) if matches!(outcome, Outcome::MoKnown { .. }) => {
                            world.know_message(sms.msisdn, &sms.text);
                        }
                        Write::KeepMo(sms) => world.keep_message(sms.msisdn, &sms.text),
                        Write::JoinParts(joined) => world.keep_message(joined.message.msisdn, &joined.message.text),
                        _ => {}
                    }
                    if let Some(line) = line(write, outcome) {
                        world.note(format_args!("{line}"));
                    }
                }
            }
            Err(error) => world.note(format_args!("store: a batch was refused: {error}")),
        }
    }

    fn end(&self) {
        if let Some(world) = self.world.upgrade() {
            world.kill();
        }
    }
}

impl fmt::Debug for Office {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Office")
    }
}

/// What the journal says of a write; nothing of what only keeps time.
fn line(write: &Write, outcome: &Outcome) -> Option<String> {
    Some(match write {
        Write::WatchMos { .. } | Write::LeaseSerials { .. } | Write::Forget(_) => return None,
        Write::Open(opening) => {
            let charge = &opening.charge;
            let (order, key) = (&charge.order, &opening.guard.key);
            let (msisdn, vehicle, passengers) = (order.msisdn, order.vehicle.as_str(), order.passengers);
            let state = charge.state;
            format!("open {} {msisdn} {vehicle}*{passengers} key {key} {state:?}: {}", charge.reference, brief(outcome))
        }
        Write::Settle(settlement) => {
            let (entry, charge) = (&settlement.journal, &settlement.charge);
            let event = entry.event.as_ref().map(|event| format!("{event:?}")).unwrap_or_default();
            let to = (charge.state, charge.last_attempt().map(|attempt| attempt.state.code()));
            let messages = settlement.messages.len();
            format!(
                "settle {} v{} {to:?} by {event}, {messages} texts: {}",
                charge.reference,
                charge.version,
                brief(outcome)
            )
        }
        other => format!("{}: {}", cut(format!("{other:?}")), brief(outcome)),
    })
}

fn brief(outcome: &Outcome) -> String {
    cut(format!("{outcome:?}"))
}

fn cut(text: String) -> String {
    text.chars().take(240).collect()
}
