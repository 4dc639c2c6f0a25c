//! Chaos: a weather of faults that changes every few seconds, the same from the same seed, and passengers beside it.
//!
//! `schedule` draws the whole weather before anything happens; `play` puts it in force, spell by spell; `passengers` load
//! the client meanwhile; `report` is what the carrier's own books say in the end.

mod config;
mod passengers;
mod play;
mod report;
mod weather;

pub use config::{ChaosConfig, ChaosError, Passengers};
pub(super) use play::{Running, now, play, start, stop};
pub use report::{ChaosReport, ChargedAgain, PassengersReport};
pub use weather::{Spell, Weather};
