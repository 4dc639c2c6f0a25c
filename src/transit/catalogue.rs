use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::{civil::Date, tz::TimeZone};

use super::{CatalogueError, NoFare, Plate, VehicleCode, VehicleName, Zone, fares::Fares, read};
use crate::{clock::Timestamp, money::Money};

/// All that can be ridden and what it costs. Sound: every reference in it leads somewhere.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    pub(super) cities: BTreeMap<String, Arc<City>>,
    pub(super) agencies: BTreeMap<String, Arc<Agency>>,
    /// By city, then by route.
    pub(super) routes: BTreeMap<String, BTreeMap<String, Arc<Route>>>,
    pub(super) vehicles: BTreeMap<VehicleCode, Arc<Vehicle>>,
    pub(super) plates: HashMap<Plate, Arc<Vehicle>>,
    pub(super) fares: Fares,
}

/// The contents of the five files, with or without BOM. `#` begins a comment line; the first line names the columns,
/// which may come in any order.
#[derive(Clone, Copy, Debug, Default)]
pub struct CatalogueText<'a> {
    /// `cities.csv`: `city,name_kk,name_ru,name_en,time_zone`.
    pub cities: &'a str,
    /// `agencies.csv`: `agency,name`, and perhaps `tax_id`, which may be empty.
    pub agencies: &'a str,
    /// `routes.csv`: `city,route,agency,name,fare_class,cap_minutes,ring`, and perhaps `zones`.
    pub routes: &'a str,
    /// `vehicles.csv`: `city,vehicle_code,state_plate,route`; the plate may be empty.
    pub vehicles: &'a str,
    /// `fares.csv`: `city,fare_class,amount,currency,from`, and perhaps `zone`, which may be empty.
    pub fares: &'a str,
}

/// A city.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct City {
    /// At most [`City::ID_BYTES_MAX`] of `a`–`z`, `0`–`9`, `-`, `_`.
    pub id: String,
    /// As passengers call it.
    pub name: CityName,
    /// Where its days begin and end.
    pub time_zone: TimeZone,
}

/// A city's name in the three languages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CityName {
    /// Kazakh.
    pub kk: String,
    /// Russian.
    pub ru: String,
    /// English.
    pub en: String,
}

/// A bus company.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agency {
    /// At most [`Agency::ID_BYTES_MAX`] of `a`–`z`, `0`–`9`, `-`, `_`.
    pub id: String,
    /// Its name on tickets and in reports.
    pub name: String,
    /// Its number with the tax authority (in Kazakhstan its BIN), where it is known: fiscal receipts bear it. At most
    /// [`Agency::TAX_ID_BYTES_MAX`] letters and digits.
    pub tax_id: Option<String>,
}

/// A line that vehicles of one agency run in one city.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The city it runs in.
    pub city: Arc<City>,
    /// As on the front of the bus: `92`, `139А`; at most [`Route::ID_BYTES_MAX`] bytes of UTF-8. Unique in its city.
    pub id: String,
    /// Who runs it and is owed the fares.
    pub agency: Arc<Agency>,
    /// From where to where.
    pub name: String,
    /// What its fare is called: at most [`Route::FARE_CLASS_BYTES_MAX`] of `a`–`z`, `0`–`9`, `-`, `_`.
    pub fare_class: String,
    /// How long a ticket is valid when nothing is known of the trip, in minutes: 1 to 1,440.
    pub cap_minutes: u16,
    /// Whether it goes round without a terminus where everybody gets out.
    pub ring: bool,
    /// Whether its fare depends on the zone, which the passenger then names.
    pub zones: bool,
}

/// A bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vehicle {
    /// The number on its sticker.
    pub code: VehicleCode,
    /// Its state plate, where it is known.
    pub plate: Option<Plate>,
    /// The route that it runs on.
    pub route: Arc<Route>,
}

// City, route and fare class stand in every ticket, and a ticket must fit a QR code that an old phone can show. A text
// that is too long for it has to be found when the catalogue is read, not when the fare has been taken.

impl City {
    /// How long an id may be.
    pub const ID_BYTES_MAX: usize = 6;
}

impl Agency {
    /// How long an id may be.
    pub const ID_BYTES_MAX: usize = 16;
    /// How long a tax number may be.
    pub const TAX_ID_BYTES_MAX: usize = 20;
}

impl Route {
    /// How long an id may be.
    pub const ID_BYTES_MAX: usize = 6;
    /// How long the name of a fare class may be.
    pub const FARE_CLASS_BYTES_MAX: usize = 7;
    /// The longest cap: a day.
    pub const CAP_MINUTES_MAX: u16 = 24 * 60;
}

impl Catalogue {
    /// Reads the five texts. Errors: every fault that was found, up to a bound; see [`CatalogueError`].
    pub fn read(text: &CatalogueText<'_>) -> Result<Catalogue, CatalogueError> {
        read::read(text)
    }

    /// The vehicle with this code.
    pub fn vehicle(&self, code: &VehicleCode) -> Option<&Arc<Vehicle>> {
        self.vehicles.get(code)
    }

    /// The vehicle with this state plate.
    pub fn vehicle_by_plate(&self, plate: &Plate) -> Option<&Arc<Vehicle>> {
        self.plates.get(plate)
    }

    /// The vehicle that somebody means.
    pub fn named(&self, name: &VehicleName) -> Option<&Arc<Vehicle>> {
        match name {
            VehicleName::Code(code) => self.vehicle(code),
            VehicleName::Plate(plate) => self.vehicle_by_plate(plate),
        }
    }

    /// What one passenger of this class pays in this city, to this zone if there are zones, on `date`, a date in the city's
    /// time zone: the newest fare that is in force from then or earlier.
    pub fn fare(&self, city: &str, fare_class: &str, zone: Option<Zone>, date: Date) -> Option<Money> {
        self.fares.get(city, fare_class, zone, date)
    }

    /// What one passenger of this class pays on `route` at the moment `at`. The zone must be named where the route has
    /// zones, and only there. Errors: why nobody can pay this.
    pub fn fare_on(&self, route: &Route, fare_class: &str, zone: Option<Zone>, at: Timestamp) -> Result<Money, NoFare> {
        let city = &route.city;
        match zone {
            None if route.zones => return Err(NoFare::ZoneMissing),
            Some(_) if !route.zones => return Err(NoFare::ZoneUnexpected),
            Some(zone) if !self.fares.knows_zone(&city.id, fare_class, zone) => return Err(NoFare::UnknownZone),
            _ => {}
        }
        self.fare(&city.id, fare_class, zone, at.date_in(&city.time_zone)).ok_or(NoFare::NotInForce)
    }

    /// The city with this id.
    pub fn city(&self, id: &str) -> Option<&Arc<City>> {
        self.cities.get(id)
    }

    /// The agency with this id.
    pub fn agency(&self, id: &str) -> Option<&Arc<Agency>> {
        self.agencies.get(id)
    }

    /// The route of this city.
    pub fn route(&self, city: &str, id: &str) -> Option<&Arc<Route>> {
        self.routes.get(city)?.get(id)
    }

    /// All cities, by id.
    pub fn cities(&self) -> impl Iterator<Item = &Arc<City>> {
        self.cities.values()
    }

    /// All agencies, by id.
    pub fn agencies(&self) -> impl Iterator<Item = &Arc<Agency>> {
        self.agencies.values()
    }

    /// All routes, by city and id.
    pub fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.values().flat_map(BTreeMap::values)
    }

    /// All vehicles, by code.
    pub fn vehicles(&self) -> impl Iterator<Item = &Arc<Vehicle>> {
        self.vehicles.values()
    }

    /// Every amount that a passenger can ever be asked for, with its city and class: each needs a tariff at each
    /// carrier.
    pub fn fares(&self) -> impl Iterator<Item = (&str, &str, Date, Money)> {
        self.fares.iter()
    }
}
