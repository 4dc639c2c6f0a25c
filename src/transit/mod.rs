//! Vehicles, routes and dated fares, in GTFS's words: agency, route, vehicle, fare class.

mod vehicle_code;

pub use vehicle_code::{VehicleCode, VehicleCodeError};
