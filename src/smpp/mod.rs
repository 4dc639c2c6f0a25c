//! The SMPP 3.4 protocol as an ESME speaks it. It knows nothing of charges, carriers or the store.
//!
//! From the wire inwards: `framing` cuts the byte stream into PDUs, `decode` reads them leniently into the structs of
//! `pdu`, `session` holds the rules of one bind (window, timers, what became of every request) without touching a
//! socket or a clock, and `pool` owns the sockets of several binds, reconnects, and hands out the places in their windows.
//! `encode` is the way out; it writes strictly, with `rusmpp`.
//!
//! The money contract: for every request that a session accepted there is exactly one `SubmitOutcome`, which says whether
//! not one byte of it was written, what the peer answered, or that nobody knows; and at most one late `Answer` after it.

pub mod decode;
pub mod dissect;
pub mod encode;
pub mod framing;
pub mod pdu;
pub mod pool;
pub mod receipt;
pub mod session;
pub mod status;
pub mod tap;
pub mod text;
pub mod tlv;

mod metering;
#[cfg(test)]
mod wire;

pub use encode::EncodeError;
pub use pdu::{Address, Bind, BindMode, DeliverSm, QuerySm, QueryState, SubmitSm};
pub use pool::{
    BreakerConfig, BreakerState, DownWhy, Endpoint, Lane, LinkConfig, LinkState, Pool, PoolConfig, PoolEvent,
    Reconnect, ReserveError, Responder, Slot, Standing, Submission, Tls, TlsError, TlsMaterials,
};
pub use session::{
    Answer, Closed, DeliveryId, DoubtCause, Event, Fault, QueryOutcome, Session, SessionConfig, SubmitOutcome,
    Unwritten,
};
pub use status::CommandStatus;
pub use tap::Tap;
pub use tlv::{Tlv, Tlvs};
