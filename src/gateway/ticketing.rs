//! Making tickets: contents, expiry, serial, short code and signature. All of it before the writer is asked, so that the
//! commit only has to write.

use std::{collections::HashMap, fmt, sync::Mutex, time::Duration};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::striped::Striped;
use crate::{
    charge::Charge,
    clock::Timestamp,
    store::{GroupCommit, Outcome, StoreError, StoredTicket, Write},
    ticket::{
        ContentsError, Keyring, KeyringError, MsisdnTagKey, TicketContents, limits, short_code,
        short_code::{IssueError, ShortCodeMaster},
        trip_name,
        validity::{PolicyError, TripArrivals, ValidityPolicy},
    },
    transit::{Catalogue, VehicleCode},
};

/// Serials leased at once for one vehicle and day. What a crash leaves unused is lost. A code has room for 16,384, so they go round.
const LEASE: u32 = 32;
/// Vehicles and days whose leases are kept in memory; beyond that the oldest days are given up.
const LEASES_MAX: usize = 50_000;

/// How tickets are made. Durations carry their unit in the name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TicketingConfig {
    /// Who vouches for the tickets; at most 6 bytes.
    pub issuer: String,
    /// Added to the scheduled arrival at the terminus, in minutes.
    pub slack_minutes: u16,
    /// No ticket lasts longer, in minutes; at most 360.
    pub hard_cap_minutes: u16,
    /// Bought this long before the terminus of a ring route, a ticket runs on to the next one, in minutes.
    pub turnaround_minutes: u16,
    /// No ticket is shorter, in minutes.
    pub shortest_minutes: u16,
}

impl Default for TicketingConfig {
    fn default() -> TicketingConfig {
        TicketingConfig {
            issuer: "smsbus".into(),
            slack_minutes: 10,
            hard_cap_minutes: 180,
            turnaround_minutes: 10,
            shortest_minutes: 15,
        }
    }
}

/// The secrets behind MSISDN tags and short codes.
pub struct Secrets {
    /// Ties a ticket to its buyer without naming the number.
    pub msisdn_tag: MsisdnTagKey,
    /// From which the keys of each vehicle and day are derived.
    pub short_code: ShortCodeMaster,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

/// Why a ticket cannot be made now. The charge stays as it was and is tried again, unless [`TicketingError::is_for_good`].
#[derive(Debug, Error)]
pub enum TicketingError {
    /// No key signs at this moment.
    #[error("the ticket cannot be signed: {0}")]
    Keyring(#[from] KeyringError),
    /// The contents are out of bounds.
    #[error("the ticket cannot be made: {0}")]
    Contents(#[from] ContentsError),
    /// The short code cannot be made.
    #[error("the short code cannot be made: {0}")]
    ShortCode(#[from] IssueError),
    /// No serial could be leased.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl TicketingError {
    /// Whether the same charge can never have a ticket, whatever becomes of keys and store.
    pub fn is_for_good(&self) -> bool {
        match self {
            TicketingError::Contents(_) | TicketingError::ShortCode(_) => true,
            TicketingError::Keyring(error) => matches!(error, KeyringError::Contents(_)),
            TicketingError::Store(_) => false,
        }
    }
}

/// Makes tickets.
#[derive(Debug)]
pub(super) struct Ticketing {
    config: TicketingConfig,
    keyring: Keyring,
    secrets: Secrets,
    leases: Mutex<HashMap<(Date, VehicleCode), std::ops::Range<u32>>>,
    leasing: Striped,
}

impl TicketingConfig {
    /// What is wrong, each with its key; empty if nothing is.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.issuer.is_empty() || self.issuer.len() > limits::ISSUER {
            problems.push(format!("issuer: 1 to {} bytes", limits::ISSUER));
        }
        if Duration::from_secs(60 * u64::from(self.hard_cap_minutes)) > short_code::SPAN_MAX {
            problems.push(format!("hard_cap_minutes: at most {}", short_code::SPAN_MAX.as_secs() / 60));
        }
        if let Err(error) = self.policy(self.hard_cap_minutes).check() {
            let key = match error {
                PolicyError::NoTime => "shortest_minutes",
                PolicyError::Bounds { .. } => "hard_cap_minutes",
            };
            problems.push(format!("{key}: {error}"));
        }
        problems
    }

    fn policy(&self, route_cap_minutes: u16) -> ValidityPolicy {
        let minutes = |n: u16| Duration::from_secs(60 * u64::from(n));
        ValidityPolicy {
            slack: minutes(self.slack_minutes),
            hard_cap: minutes(self.hard_cap_minutes),
            route_cap: minutes(route_cap_minutes.min(self.hard_cap_minutes).max(self.shortest_minutes)),
            turnaround: minutes(self.turnaround_minutes),
            shortest: minutes(self.shortest_minutes),
        }
    }
}

impl Ticketing {
    pub(super) fn new(config: TicketingConfig, keyring: Keyring, secrets: Secrets) -> Ticketing {
        Ticketing { config, keyring, secrets, leases: Mutex::default(), leasing: Striped::default() }
    }

    /// Whether a ticket for this charge can be signed now and will still be until its deadline. Asked before the money is
    /// taken.
    pub(super) fn can_sign(&self, charge: &Charge, catalogue: &Catalogue) -> bool {
        let by = charge.terms.ticket_deadline;
        [charge.order.received_at.max(charge.updated_at), by].into_iter().all(|at| {
            let contents = self.contents(charge, catalogue, at);
            contents.check().is_ok() && self.keyring.signing_key(at, contents.expires_at).is_ok()
        })
    }

    /// When the last key ends.
    pub(super) fn keys_end(&self) -> Timestamp {
        self.keyring.last_end()
    }

    pub(super) fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// The ticket of a charge that has just succeeded. Nothing is durable but the serial.
    pub(super) async fn issue(
        &self,
        writer: &GroupCommit,
        catalogue: &Catalogue,
        charge: &Charge,
    ) -> Result<StoredTicket, TicketingError> {
        let signed = self.keyring.sign(&self.contents(charge, catalogue, charge.updated_at))?;
        let city = catalogue.city(&charge.order.city);
        let day = city.map_or_else(
            || charge.updated_at.date_in(&jiff::tz::TimeZone::UTC),
            |city| charge.updated_at.date_in(&city.time_zone),
        );
        let vehicle = charge.order.vehicle;
        let serial = code_serial(self.next_serial(writer, vehicle, day).await?);
        let key = self.secrets.short_code.vehicle_day(vehicle.as_str(), day);
        let contents = signed.contents;
        let code = key.issue(serial, charge.order.msisdn.last_four(), contents.issued_at, contents.expires_at)?;
        Ok(StoredTicket {
            reference: charge.reference,
            msisdn: charge.order.msisdn,
            vehicle,
            short_code: code.to_string(),
            cwt: signed.cose,
            issued_at: contents.issued_at,
            expires_at: contents.expires_at,
            revoked_at: None,
        })
    }

    fn contents(&self, charge: &Charge, catalogue: &Catalogue, at: Timestamp) -> TicketContents {
        let order = &charge.order;
        let route = catalogue.route(&order.city, &order.route);
        let policy = self.config.policy(route.map_or(self.config.hard_cap_minutes, |route| route.cap_minutes));
        let trip = TripArrivals {
            arrival: order.trip.as_ref().map(|trip| trip.arrives_at),
            next_arrival: order.trip.as_ref().and_then(|trip| trip.next_arrives_at),
            ring: route.is_some_and(|route| route.ring),
        };
        TicketContents {
            reference: charge.reference.uuid(),
            issuer: self.config.issuer.clone(),
            issued_at: at,
            not_before: at,
            expires_at: policy.expiry(at, trip).at,
            fare_class: order.fare_class.clone(),
            passengers: order.passengers,
            amount: order.amount,
            city: order.city.clone(),
            vehicle: order.vehicle.to_string(),
            route: order.route.clone(),
            trip: order.trip.as_ref().map(|trip| trip_name(&trip.id)),
            msisdn_tag: self.secrets.msisdn_tag.tag(order.msisdn),
        }
    }

    async fn next_serial(&self, writer: &GroupCommit, vehicle: VehicleCode, day: Date) -> Result<u32, TicketingError> {
        if let Some(serial) = self.leased(|leases| leases.get_mut(&(day, vehicle)).and_then(Iterator::next)) {
            return Ok(serial);
        }
        // One lease of a vehicle at a time: a bus full of passengers who pay at once would use up its day in blocks of which each
        // gives one serial.
        let _turn = self.leasing.lock((day, vehicle)).await;
        if let Some(serial) = self.leased(|leases| leases.get_mut(&(day, vehicle)).and_then(Iterator::next)) {
            return Ok(serial);
        }
        let lease = Write::LeaseSerials { vehicle, day: day.to_string(), count: LEASE };
        let Outcome::Leased { first } = writer.write(lease).await? else {
            return Err(StoreError::Closed.into());
        };
        self.leased(|leases| {
            if leases.len() >= LEASES_MAX {
                leases.retain(|(of, _), _| *of >= day);
            }
            leases.insert((day, vehicle), first + 1..first + LEASE);
        });
        Ok(first)
    }

    fn leased<T>(&self, use_leases: impl FnOnce(&mut HashMap<(Date, VehicleCode), std::ops::Range<u32>>) -> T) -> T {
        use_leases(&mut self.leases.lock().unwrap_or_else(|e| e.into_inner()))
    }
}

/// The serial in a short code. Whoever paid rides, however many did before: after the last one they begin anew. A code is verified by
/// its MAC over the number's last digits and the expiry, so the ticket that had this serial before, long ago, is another one still.
fn code_serial(serial: u32) -> u16 {
    u16::try_from(serial % (u32::from(short_code::SERIAL_MAX) + 1)).expect("it is at most SERIAL_MAX")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        gateway::tests::world::keyring,
        store::{GroupCommitConfig, Store},
    };

    #[test]
    fn m10_the_serials_of_a_vehicles_day_go_round_so_that_nobody_pays_and_has_no_ticket() {
        let serials = [0, 16_383, 16_384, 32_768 + 5, u32::MAX].map(code_serial);
        assert_eq!(serials, [0, 16_383, 0, 5, 16_383]);
    }

    #[tokio::test]
    async fn passengers_who_pay_at_once_in_one_vehicle_waste_no_serials_of_its_day() {
        let store = Store::open("memory:").await.expect("memory");
        let writer = GroupCommit::start(store, GroupCommitConfig::default());
        let secrets = Secrets { msisdn_tag: MsisdnTagKey::new([1; 32]), short_code: ShortCodeMaster::new([2; 32]) };
        let ticketing = std::sync::Arc::new(Ticketing::new(TicketingConfig::default(), keyring(), secrets));
        let (vehicle, day) = ("1234".parse().expect("a vehicle"), Date::constant(2026, 3, 1));
        let mut passengers = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let (ticketing, writer) = (ticketing.clone(), writer.clone());
            passengers.spawn(async move { ticketing.next_serial(&writer, vehicle, day).await.expect("a serial") });
        }
        let mut serials = passengers.join_all().await;
        serials.sort_unstable();
        let first = serials[0];
        assert_eq!(serials, (first..first + 100).collect::<Vec<_>>());
    }
}
