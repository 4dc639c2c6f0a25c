//! The passengers of a chaos: they send codes, send them again when no ticket comes, and send other things.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::{ChaosConfig, Passengers, PassengersReport};
use crate::{
    msisdn::Msisdn,
    simulator::{handle::MoOutcome, shared::Shared},
};

/// Passengers at work.
pub(super) struct Crowd {
    tally: Arc<Mutex<PassengersReport>>,
}

/// Texts on their way at a time; further ones are not sent.
const ON_THEIR_WAY_MAX: u64 = 10_000;
/// Apart from the weather's, from the same seed.
const SEED: u64 = 0x7061_7373_656E_6765;

/// What one passenger does.
#[derive(Debug, PartialEq, Eq)]
struct Errand {
    passenger: u32,
    text: String,
    /// How long until the same text is sent again, by who is impatient.
    again_after_ms: Option<u64>,
}

impl Crowd {
    /// Begins to send, until `end`, or until stopped. None if the chaos has no passengers.
    pub(super) fn gather(
        shared: &Arc<Shared>,
        config: &ChaosConfig,
        end: Instant,
        stop: &CancellationToken,
    ) -> Option<Crowd> {
        let passengers = config.passengers.clone()?;
        let crowd = Crowd { tally: Arc::default() };
        let tally = Arc::clone(&crowd.tally);
        let sending = send(Arc::clone(shared), passengers, config.seed, tally);
        let stop = stop.clone();
        shared.spawn(async move {
            tokio::select! {
                () = sending => {}
                () = tokio::time::sleep_until(end) => {}
                () = stop.cancelled() => {}
            }
        });
        Some(crowd)
    }

    pub(super) fn report(&self) -> PassengersReport {
        *self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn send(shared: Arc<Shared>, passengers: Passengers, seed: u64, tally: Arc<Mutex<PassengersReport>>) {
    let mut rng = StdRng::seed_from_u64(seed ^ SEED);
    let mut tick = interval(Duration::from_secs(1) / passengers.per_second.max(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tick.tick().await;
        let errand = errand(&passengers, &mut rng);
        let Some(number) = passengers.number(errand.passenger) else { return };
        shared.spawn(text(Arc::clone(&shared), number, passengers.to.clone(), errand, Arc::clone(&tally)));
    }
}

/// One passenger's errand, to its end: also past the end of the storms, as phones do not know of it.
async fn text(shared: Arc<Shared>, number: Msisdn, to: String, errand: Errand, tally: Arc<Mutex<PassengersReport>>) {
    let again = errand.again_after_ms.map(|ms| {
        let (shared, to, text, tally) = (Arc::clone(&shared), to.clone(), errand.text.clone(), Arc::clone(&tally));
        async move {
            sleep(Duration::from_millis(ms)).await;
            text_once(&shared, number, &to, &text, &tally).await;
        }
    });
    match again {
        None => text_once(&shared, number, &to, &errand.text, &tally).await,
        Some(again) => {
            tokio::join!(text_once(&shared, number, &to, &errand.text, &tally), again);
        }
    }
}

async fn text_once(shared: &Arc<Shared>, number: Msisdn, to: &str, text: &str, tally: &Mutex<PassengersReport>) {
    let counted =
        |count: &dyn Fn(&mut PassengersReport)| count(&mut tally.lock().unwrap_or_else(PoisonError::into_inner));
    let on_their_way = tally.lock().unwrap_or_else(PoisonError::into_inner).on_their_way();
    if on_their_way >= ON_THEIR_WAY_MAX {
        return counted(&|tally| tally.not_sent += 1);
    }
    counted(&|tally| tally.sent += 1);
    let form = shared.config.mo_form;
    match shared.send_mo(number, to, text, form).await.map(|report| report.outcome) {
        Ok(MoOutcome::Acknowledged) => counted(&|tally| tally.acknowledged += 1),
        Ok(MoOutcome::Refused(_)) => counted(&|tally| tally.refused += 1),
        Ok(MoOutcome::GivenUp | MoOutcome::ShutDown) => counted(&|tally| tally.given_up += 1),
        Err(_) => counted(&|tally| (tally.sent, tally.not_sent) = (tally.sent - 1, tally.not_sent + 1)),
    }
}

fn errand(passengers: &Passengers, rng: &mut StdRng) -> Errand {
    let passenger = rng.random_range(0..passengers.count.max(1));
    let place = rng.random_range(0..passengers.codes.len().max(1));
    let code = passengers.codes.get(place).cloned().unwrap_or_default();
    let impatient_ms = rng.random_range(200..3_000);
    let (text, again_after_ms) = match rng.random_range(0_u32..100) {
        0..65 => (code, None),
        65..85 => (code, Some(impatient_ms)),
        85..93 => (format!("{code}*2"), None),
        93..98 => ("БИЛЕТ".to_owned(), None),
        _ => ("где автобус?".to_owned(), None),
    };
    Errand { passenger, text, again_after_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passengers_do_the_same_for_the_same_seed_and_all_kinds_of_things() {
        let passengers = Passengers::new(7, vec!["1234".into(), "1235".into()]);
        let errands = |seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            (0..400).map(|_| errand(&passengers, &mut rng)).collect::<Vec<_>>()
        };
        assert_eq!(errands(1), errands(1));
        let errands = errands(1);
        assert!(errands.iter().all(|errand| errand.passenger < 7));
        for text in ["1234", "1235", "1234*2", "БИЛЕТ", "где автобус?"] {
            assert!(errands.iter().any(|errand| errand.text == text), "{text}");
        }
        assert!(errands.iter().any(|errand| errand.again_after_ms.is_some()));
    }
}
