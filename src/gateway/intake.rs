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

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::{charge::CarrierName, msisdn::Msisdn};

/// Receipts that are parked at once: some more than a store has connections that read.
const PARKING_MAX: usize = 32;
/// How long a receipt waits for its place. SMSCs wait for an answer from two seconds on, most of them ten or more.
const PLACE_WITHIN: Duration = Duration::from_secs(1);
/// Subscribers whose parked receipts are weighed at once. It is never urgent, and must leave room for what is.
const SETTLERS_MAX: usize = 4;
/// Subscribers that may wait for that. Those beyond are found by the walk over all that is parked.
const WAITING_MAX: usize = 4_096;

/// For whom parked pieces are to be weighed, and the carrier's id that was just learned, if it was that.
pub(super) type Due = (CarrierName, Msisdn, Option<(CarrierName, String)>);

/// The places, and who waits.
#[derive(Debug)]
pub(super) struct Intake {
    parking: Semaphore,
    settlers: Semaphore,
    waiting: Mutex<HashSet<Due>>,
}

impl Default for Intake {
    fn default() -> Intake {
        Intake {
            parking: Semaphore::new(PARKING_MAX),
            settlers: Semaphore::new(SETTLERS_MAX),
            waiting: Mutex::default(),
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
    /// whatever is kept by now; or so many wait that the walk will come by sooner.
    pub(super) fn wants(&self, due: &Due) -> bool {
        let mut waiting = self.waiting();
        waiting.len() < WAITING_MAX && waiting.insert(due.clone())
    }

    /// The right to do that. Whoever wants it from now on waits anew: what is kept from now on may not be seen any more.
    pub(super) async fn turn(&self, due: &Due) -> Option<SemaphorePermit<'_>> {
        let turn = self.settlers.acquire().await.ok();
        self.waiting().remove(due);
        turn
    }

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
        assert!(intake.wants(&due(1)) && !intake.wants(&due(1)) && intake.wants(&due(2)));
        let turn = intake.turn(&due(1)).await;
        assert!(turn.is_some() && intake.wants(&due(1)), "it may have missed what was parked since");
        assert!(!intake.wants(&due(1)));
    }

    #[test]
    fn no_more_wait_than_there_is_room_for() {
        let intake = Intake::default();
        let taken =
            (0..=WAITING_MAX).filter(|number| intake.wants(&due(u16::try_from(*number).expect("small")))).count();
        assert_eq!(taken, WAITING_MAX);
    }
}
