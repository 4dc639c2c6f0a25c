//! How many receipts that nobody owns yet are worked on at once.
//!
//! To park one, all is read that its phone has bought of late. And an SMSC that hears nothing in time delivers again: what is done for a delivery
//! that it has given up is lost, and keeps the next from being in time. A gateway that took in all that came would end up doing nothing but late
//! work, for ever. So few are worked on at once, and one that finds no place soon is put off while its SMSC still listens.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use metrics::counter;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::{charge::CarrierName, msisdn::Msisdn};

/// Receipts that are parked at once: fewer than a store has connections that read, so that they leave room for purchases.
const PARKING_MAX: usize = 4;
/// How long a receipt waits for its place. SMSCs wait for an answer from two seconds on, most of them ten or more.
const PLACE_WITHIN: Duration = Duration::from_secs(1);
/// Subscribers whose parked receipts are weighed at once because something was learned of one of their charges. There are never more than
/// charges that move.
const URGENT_MAX: usize = 16;
/// The same where nothing was learned but that one more was parked.
const IDLE_MAX: usize = 2;
/// Subscribers that may wait for the latter. Those beyond are left to the walk over all that is parked, which takes its time.
const IDLE_WAITING_MAX: usize = 4_096;

/// Why parked pieces are weighed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Because {
    /// A charge has learned its id, or came in doubt: one of them may be the proof that it waits for.
    Learned,
    /// Another one was parked.
    Parked,
}

/// For whom parked pieces are to be weighed, and the carrier's id that was just learned, if it was that.
pub(super) type Due = (CarrierName, Msisdn, Option<(CarrierName, String)>);

/// The places, and who waits.
#[derive(Debug)]
pub(super) struct Intake {
    parking: Semaphore,
    urgent: Lane,
    idle: Lane,
}

/// Those who wait to weigh what is parked, each once.
#[derive(Debug)]
struct Lane {
    places: Semaphore,
    waiting: Mutex<HashSet<Due>>,
    waiting_max: usize,
}

impl Default for Intake {
    fn default() -> Intake {
        let lane =
            |places, waiting_max| Lane { places: Semaphore::new(places), waiting: Mutex::default(), waiting_max };
        Intake {
            parking: Semaphore::new(PARKING_MAX),
            urgent: lane(URGENT_MAX, usize::MAX),
            idle: lane(IDLE_MAX, IDLE_WAITING_MAX),
        }
    }
}

impl Intake {
    /// The right to park a receipt. `None`: too many are being parked, and there was no place in time.
    pub(super) async fn place(&self) -> Option<SemaphorePermit<'_>> {
        match self.parking.try_acquire() {
            Ok(place) => Some(place),
            Err(_) => timeout(PLACE_WITHIN, self.parking.acquire()).await.ok()?.ok(),
        }
    }

    /// Whether the caller is to weigh what is parked for somebody, with [`Intake::turn`]. If not, another one waits to do it, who will see
    /// whatever is kept by now; or, where nothing was learned, too many wait.
    pub(super) fn wants(&self, due: &Due, because: Because) -> bool {
        let lane = self.lane(because);
        let mut waiting = lane.waiting();
        if waiting.len() >= lane.waiting_max && !waiting.contains(due) {
            counter!("receipts_settling_left_out_total").increment(1);
            return false;
        }
        waiting.insert(due.clone())
    }

    /// The right to do that. Whoever wants it from now on waits anew: what is kept from now on may not be seen any more.
    pub(super) async fn turn(&self, due: &Due, because: Because) -> Option<SemaphorePermit<'_>> {
        let lane = self.lane(because);
        let turn = lane.places.acquire().await.ok();
        lane.waiting().remove(due);
        turn
    }

    const fn lane(&self, because: Because) -> &Lane {
        match because {
            Because::Learned => &self.urgent,
            Because::Parked => &self.idle,
        }
    }
}

impl Lane {
    fn waiting(&self) -> MutexGuard<'_, HashSet<Due>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(number: u16) -> Due {
        let msisdn = format!("+7705123{number:04}").parse().expect("a number");
        ("kcell".parse().expect("a name"), msisdn, None)
    }

    #[tokio::test(start_paused = true)]
    async fn a_receipt_that_finds_no_place_soon_is_put_off_and_one_that_finds_it_in_time_is_not() {
        let intake = Intake::default();
        let mut places = Vec::new();
        for _ in 0..PARKING_MAX {
            places.push(intake.place().await.expect("a place"));
        }
        let begun = tokio::time::Instant::now();
        assert!(intake.place().await.is_none());
        assert_eq!(begun.elapsed(), PLACE_WITHIN);
        let (place, ()) = tokio::join!(intake.place(), async {
            tokio::time::sleep(PLACE_WITHIN / 2).await;
            places.pop();
        });
        assert!(place.is_some());
    }

    #[tokio::test]
    async fn what_is_parked_for_a_subscriber_is_waited_for_once_and_anew_once_it_has_begun() {
        let intake = Intake::default();
        let wants = |number| intake.wants(&due(number), Because::Parked);
        assert!(wants(1) && !wants(1) && wants(2));
        let turn = intake.turn(&due(1), Because::Parked).await;
        assert!(turn.is_some() && wants(1), "it may have missed what was parked since");
        assert!(!wants(1));
    }

    #[test]
    fn no_more_wait_than_there_is_room_for_and_what_was_learned_is_never_left_out() {
        let intake = Intake::default();
        let number = |number| due(u16::try_from(number).expect("small"));
        let taken = (0..=IDLE_WAITING_MAX).filter(|n| intake.wants(&number(*n), Because::Parked)).count();
        assert_eq!(taken, IDLE_WAITING_MAX);
        assert!((0..=IDLE_WAITING_MAX).all(|n| intake.wants(&number(n), Because::Learned)));
    }
}
