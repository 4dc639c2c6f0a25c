//! Where a link connects to, and how patiently.

use std::time::Duration;

use crate::smpp::{session::SessionConfig, tap::Tap};

/// One link: one connection at a time, one bind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkConfig {
    /// The SMSC's host name or IP address.
    pub host: String,
    /// The SMSC's TCP port; 2775 is SMPP's own.
    pub port: u16,
    /// The bind and its limits.
    pub session: SessionConfig,
    /// How long a connection may take to come about, name resolution included.
    pub connect_timeout: Duration,
    /// How long to wait before connecting again.
    pub reconnect: Reconnect,
    /// Events that wait for their receiver, in the channel and again in the link. With more, the link stops reading.
    pub events_max: usize,
    /// Reservations that may wait for a place; one more is refused.
    pub waiting_max: usize,
    /// Where its PDUs can be listened to. Links may share one.
    pub tap: Tap,
}

impl LinkConfig {
    /// The defaults, for `session` at `host` and `port`.
    pub fn new(host: impl Into<String>, port: u16, session: SessionConfig) -> LinkConfig {
        LinkConfig {
            host: host.into(),
            port,
            session,
            connect_timeout: Duration::from_secs(5),
            reconnect: Reconnect::default(),
            events_max: 256,
            waiting_max: 10_000,
            tap: Tap::default(),
        }
    }
}

/// Exponential back-off with full jitter: the n-th wait is random between nothing and `first` · 2ⁿ, at most `longest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconnect {
    /// The most that the first wait can be.
    pub first: Duration,
    /// The most that any wait can be. A link that was up for this long begins again at `first`.
    pub longest: Duration,
    /// The wait after `ESME_RALYBND`: longer than the time after which the SMSC notices that our old connection is gone.
    pub already_bound: Duration,
}

impl Default for Reconnect {
    fn default() -> Reconnect {
        Reconnect {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(30),
            already_bound: Duration::from_secs(60),
        }
    }
}
