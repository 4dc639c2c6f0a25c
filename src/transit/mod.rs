//! Vehicles, routes and dated fares, in GTFS's words: agency, route, vehicle, fare class.
//!
//! A `Catalogue` is read from five CSV texts, whole or not at all: every reference is checked, and every fault is named
//! with its file, line and column.

mod catalogue;
mod fares;
mod faults;
mod plate;
mod read;
mod table;
#[cfg(test)]
mod tests;
mod vehicle_code;
mod vehicle_name;
mod zone;

pub use catalogue::{Agency, Catalogue, CatalogueText, City, CityName, Route, Vehicle};
pub use fares::NoFare;
pub use faults::{CatalogueError, Fault, FaultReason};
pub use plate::{Plate, PlateError, latin_look_alike};
pub use vehicle_code::{VehicleCode, VehicleCodeError};
pub use vehicle_name::{VehicleName, VehicleNameError};
pub use zone::{Zone, ZoneError};
