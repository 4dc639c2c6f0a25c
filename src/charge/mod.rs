//! The charge: its states, the evidence that moves it, its deadlines.

mod reason;

pub use reason::Reason;
