use std::time::Duration;

use thiserror::Error;

use crate::clock::Timestamp;

/// How long tickets last. Configured per city.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidityPolicy {
    /// Added to the scheduled arrival at the terminus: buses are late.
    pub slack: Duration,
    /// No ticket lasts longer, whatever the timetable says.
    pub hard_cap: Duration,
    /// How long a ticket lasts on this route where no trip is known.
    pub route_cap: Duration,
    /// A ticket bought this long before a ring route's terminus, or later, runs on to the next one.
    pub turnaround: Duration,
    /// No ticket is shorter: on a bus so late that its scheduled arrival has passed, a ticket must not be born expired.
    pub shortest: Duration,
}

/// Why a policy makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PolicyError {
    /// Tickets would last no time.
    #[error("the shortest ticket must last at least one second")]
    NoTime,
    /// The bounds are the wrong way round.
    #[error(
        "the shortest ticket ({shortest:?}) must not exceed the route cap ({route_cap:?}), nor that the hard cap ({hard_cap:?})"
    )]
    Bounds {
        /// As given.
        shortest: Duration,
        /// As given.
        route_cap: Duration,
        /// As given.
        hard_cap: Duration,
    },
}

/// What the timetable says of the trip that the ticket was bought on. All unknown where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TripArrivals {
    /// Scheduled arrival at the trip's terminus.
    pub arrival: Option<Timestamp>,
    /// Scheduled arrival of the trip after it, of the same vehicle.
    pub next_arrival: Option<Timestamp>,
    /// The route is a ring: passengers stay on at the terminus.
    pub ring: bool,
}

/// What an expiry was taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The scheduled arrival of the trip, with slack.
    Terminus,
    /// The arrival of the trip after it: bought near a ring's terminus.
    NextTerminus,
    /// No trip is known.
    RouteCap,
    /// The bus is late; the shortest ticket was given.
    Shortest,
    /// The timetable would have given longer.
    HardCap,
}

/// Until when a ticket is valid, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// No longer valid from here.
    pub at: Timestamp,
    /// What it was taken from.
    pub basis: Basis,
}

impl ValidityPolicy {
    /// Whether the bounds are in order. Check at start.
    pub fn check(&self) -> Result<(), PolicyError> {
        let ValidityPolicy { shortest, route_cap, hard_cap, .. } = *self;
        if shortest < Duration::from_secs(1) {
            Err(PolicyError::NoTime)
        } else if shortest > route_cap || route_cap > hard_cap {
            Err(PolicyError::Bounds { shortest, route_cap, hard_cap })
        } else {
            Ok(())
        }
    }

    /// Until when a ticket bought at `bought_at` is valid: min(scheduled arrival at the terminus + slack, hard cap).
    ///
    /// Only the timetable counts, never a vehicle's position: lost GPS ends no ticket early.
    pub fn expiry(&self, bought_at: Timestamp, trip: TripArrivals) -> Expiry {
        let (wanted, basis) = match self.terminus(bought_at, trip) {
            Some((arrival, basis)) => (arrival.plus(self.slack), basis),
            None => (bought_at.plus(self.route_cap), Basis::RouteCap),
        };
        let least = bought_at.plus(self.shortest);
        let most = bought_at.plus(self.hard_cap);
        let (wanted, basis) = if wanted < least { (least, Basis::Shortest) } else { (wanted, basis) };
        if wanted > most { Expiry { at: most, basis: Basis::HardCap } } else { Expiry { at: wanted, basis } }
    }

    /// The arrival that the ticket runs to. On a ring, bought near the terminus or after it, that is the next one.
    fn terminus(&self, bought_at: Timestamp, trip: TripArrivals) -> Option<(Timestamp, Basis)> {
        let arrival = trip.arrival?;
        match trip.next_arrival {
            Some(next) if trip.ring && next > arrival && arrival.since(bought_at) <= self.turnaround => {
                Some((next, Basis::NextTerminus))
            }
            _ => Some((arrival, Basis::Terminus)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ticket::samples::at;

    const fn minutes(n: u64) -> Duration {
        Duration::from_secs(60 * n)
    }

    const POLICY: ValidityPolicy = ValidityPolicy {
        slack: minutes(10),
        hard_cap: minutes(180),
        route_cap: minutes(90),
        turnaround: minutes(5),
        shortest: minutes(15),
    };

    fn line(arrival: i64) -> TripArrivals {
        TripArrivals { arrival: Some(at(arrival * 60)), next_arrival: None, ring: false }
    }

    fn ring(arrival: i64, next: i64) -> TripArrivals {
        TripArrivals { arrival: Some(at(arrival * 60)), next_arrival: Some(at(next * 60)), ring: true }
    }

    fn expiry(trip: TripArrivals) -> (i64, Basis) {
        let expiry = POLICY.expiry(at(0), trip);
        ((expiry.at.unix_seconds() - at(0).unix_seconds()) / 60, expiry.basis)
    }

    #[test]
    fn a_ticket_runs_to_the_terminus_and_the_slack() {
        assert_eq!(expiry(line(40)), (50, Basis::Terminus));
    }

    #[test]
    fn the_hard_cap_ends_the_longest_trip() {
        assert_eq!(expiry(line(170)), (180, Basis::Terminus));
        assert_eq!(expiry(line(171)), (180, Basis::HardCap));
        assert_eq!(expiry(ring(1, 300)), (180, Basis::HardCap));
    }

    #[test]
    fn without_a_trip_the_route_has_its_cap() {
        assert_eq!(expiry(TripArrivals::default()), (90, Basis::RouteCap));
        assert_eq!(expiry(TripArrivals { ring: true, ..TripArrivals::default() }), (90, Basis::RouteCap));
    }

    #[test]
    fn bought_within_minutes_of_a_rings_terminus_it_runs_to_the_next_one() {
        assert_eq!(expiry(ring(6, 66)), (16, Basis::Terminus));
        assert_eq!(expiry(ring(5, 65)), (75, Basis::NextTerminus));
        assert_eq!(expiry(ring(-3, 57)), (67, Basis::NextTerminus));
        assert_eq!(expiry(TripArrivals { ring: false, ..ring(5, 65) }), (15, Basis::Terminus));
    }

    #[test]
    fn on_a_late_bus_no_ticket_is_born_expired() {
        assert_eq!(expiry(line(-30)), (15, Basis::Shortest));
        assert_eq!(expiry(line(4)), (15, Basis::Shortest));
    }

    #[test]
    fn a_policy_with_bounds_the_wrong_way_round_is_refused() {
        assert_eq!(POLICY.check(), Ok(()));
        assert_eq!(ValidityPolicy { shortest: Duration::ZERO, ..POLICY }.check(), Err(PolicyError::NoTime));
        assert!(matches!(
            ValidityPolicy { route_cap: minutes(181), ..POLICY }.check(),
            Err(PolicyError::Bounds { .. })
        ));
        assert!(matches!(ValidityPolicy { shortest: minutes(91), ..POLICY }.check(), Err(PolicyError::Bounds { .. })));
    }

    proptest! {
        #[test]
        fn every_ticket_lasts_between_the_shortest_time_and_the_hard_cap(
            arrival in prop::option::of(any::<i64>()), next in prop::option::of(any::<i64>()), ring in any::<bool>(),
        ) {
            let moment = |ms: Option<i64>| ms.map(Timestamp::from_unix_ms);
            let trip = TripArrivals { arrival: moment(arrival), next_arrival: moment(next), ring };
            let lasts = POLICY.expiry(at(0), trip).at.since(at(0));
            prop_assert!((POLICY.shortest..=POLICY.hard_cap).contains(&lasts), "{lasts:?}");
        }
    }
}
