//! What is measured of the whole: first of all what is in doubt or owed, how old it is, and what it is worth (M16).

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use metrics::gauge;

use super::Inner;
use crate::{
    charge::CarrierName,
    money::Currency,
    process,
    store::{Outstanding, OutstandingSum, StoreError},
};

/// How often it is counted what is outstanding, at most.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// After a count, so many times as long as it took passes before the next: with a million in doubt the counting must not be what
/// the store is busy with.
const PAUSE_FACTOR: u32 = 20;

/// What was counted last.
#[derive(Debug, Default)]
pub(super) struct Counted(Mutex<Last>);

#[derive(Debug, Default)]
struct Last {
    /// When to count again.
    due: Option<Instant>,
    /// What has a gauge that is not zero.
    shown: BTreeSet<(Outstanding, CarrierName, &'static str)>,
}

impl Counted {
    /// Whether it is time to count again.
    fn is_due(&self, now: Instant) -> bool {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.due.is_none_or(|due| now >= due)
    }

    /// It was counted, from then to then.
    fn counted(&self, began: Instant, ended: Instant) {
        let took = ended.saturating_duration_since(began);
        let pause = took.saturating_mul(PAUSE_FACTOR).max(COUNT_EVERY);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).due = ended.checked_add(pause);
    }

    /// What must be shown as nothing now: it was shown before.
    fn replace(
        &self,
        shown: BTreeSet<(Outstanding, CarrierName, &'static str)>,
    ) -> Vec<(Outstanding, CarrierName, &'static str)> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = last.shown.difference(&shown).cloned().collect();
        last.shown = shown;
        gone
    }
}

impl Inner {
    pub(super) async fn measure(&self) -> Result<(), StoreError> {
        let began = process::now();
        if self.counted.is_due(began) {
            self.measure_outstanding().await?;
            self.counted.counted(began, process::now());
        }
        gauge!("flights_in_progress").set(float((self.config.flights_max - self.flights.available_permits()) as u64));
        let key_end = self.ticketing.keys_end();
        gauge!("ticket_keys_end_seconds").set(key_end.since(self.now()).as_secs_f64());
        for (name, carrier) in &self.carriers {
            let standing = carrier.standing();
            gauge!("carrier_up", "carrier" => name.to_string()).set(float(standing.up.into()));
            gauge!("carrier_paused", "carrier" => name.to_string()).set(float(standing.paused.into()));
            let outage = self.backlog(name).map_or(Duration::ZERO, |backlog| backlog.outage(self.now()));
            gauge!("mo_outage_seconds", "carrier" => name.to_string()).set(outage.as_secs_f64());
        }
        Ok(())
    }

    async fn measure_outstanding(&self) -> Result<(), StoreError> {
        let sums = self.store.outstanding().await?;
        let key = |sum: &OutstandingSum| (sum.what, sum.carrier.clone(), sum.currency.map_or("", Currency::code));
        // What nobody waits for must be seen as nothing: an alert on a number that is not there never comes.
        let (all, mut shown) = (ALL, BTreeSet::new());
        for (name, carrier) in &self.carriers {
            shown.extend(all.map(|what| (what, name.clone(), what_in(what, carrier.config().currency))));
        }
        let found: BTreeSet<_> = sums.iter().map(key).collect();
        let nothing = |(what, carrier, currency): &(Outstanding, CarrierName, &'static str)| {
            show(*what, carrier, currency, 0, Duration::ZERO, 0);
        };
        shown.difference(&found).for_each(nothing);
        for sum in &sums {
            let (what, carrier, currency) = key(sum);
            show(what, &carrier, currency, sum.count, self.now().since(sum.oldest_since), sum.minor);
        }
        shown.extend(found);
        self.counted.replace(shown).iter().for_each(nothing);
        Ok(())
    }
}

const ALL: [Outstanding; 5] = [
    Outstanding::ChargesInDoubt,
    Outstanding::RefundsRequested,
    Outstanding::RefundsInDoubt,
    Outstanding::RefundsOwed,
    Outstanding::Parked,
];

/// What is parked is worth nothing that is known.
const fn what_in(what: Outstanding, currency: Currency) -> &'static str {
    match what {
        Outstanding::Parked => "",
        _ => currency.code(),
    }
}

fn show(what: Outstanding, carrier: &CarrierName, currency: &'static str, count: u64, age: Duration, minor: i64) {
    let carrier = carrier.to_string();
    let (counts, ages, values) = match what {
        Outstanding::ChargesInDoubt => ("in_doubt_charges", "in_doubt_oldest_seconds", "in_doubt_minor"),
        Outstanding::RefundsRequested => {
            ("refunds_requested", "refunds_requested_oldest_seconds", "refunds_requested_minor")
        }
        Outstanding::RefundsInDoubt => {
            ("refunds_in_doubt", "refunds_in_doubt_oldest_seconds", "refunds_in_doubt_minor")
        }
        Outstanding::RefundsOwed => ("refunds_owed", "refunds_owed_oldest_seconds", "refunds_owed_minor"),
        Outstanding::Parked => {
            gauge!("receipts_parked", "carrier" => carrier.clone()).set(float(count));
            gauge!("receipts_parked_oldest_seconds", "carrier" => carrier).set(age.as_secs_f64());
            return;
        }
    };
    gauge!(counts, "carrier" => carrier.clone(), "currency" => currency).set(float(count));
    gauge!(ages, "carrier" => carrier.clone(), "currency" => currency).set(age.as_secs_f64());
    gauge!(values, "carrier" => carrier, "currency" => currency).set(money(minor));
}

/// Gauges are floats, exact up to 90 million million minor units. By way of the text, because a cast says nothing of what it loses.
fn money(minor: i64) -> f64 {
    minor.to_string().parse().unwrap_or(f64::MAX)
}

/// Gauges are floats; counts are far below where those lose digits.
fn float(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m16_what_was_shown_and_is_gone_is_shown_as_nothing_once() {
        let (counted, beeline) = (Counted::default(), "beeline".parse::<CarrierName>().expect("a name"));
        let owed = (Outstanding::RefundsOwed, beeline.clone(), "KZT");
        let parked = (Outstanding::Parked, beeline, "");
        assert_eq!(counted.replace(BTreeSet::from([owed.clone(), parked.clone()])), []);
        assert_eq!(counted.replace(BTreeSet::from([parked.clone()])), [owed]);
        assert_eq!(counted.replace(BTreeSet::from([parked])), []);
    }

    #[test]
    fn it_is_counted_once_in_a_while() {
        let (counted, start) = (Counted::default(), Instant::now());
        assert!(counted.is_due(start));
        counted.counted(start, start);
        assert!(!counted.is_due(start) && counted.is_due(start + COUNT_EVERY));
    }

    #[test]
    fn counting_that_takes_long_is_done_the_less_often() {
        let (counted, start) = (Counted::default(), Instant::now());
        let ended = start + Duration::from_millis(500);
        counted.counted(start, ended);
        assert!(!counted.is_due(ended + Duration::from_secs(9)) && counted.is_due(ended + Duration::from_secs(10)));
    }
}
