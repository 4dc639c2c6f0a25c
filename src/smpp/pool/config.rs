//! Where the links of a pool connect to, how patiently, and how much they may send.

use std::{sync::Arc, time::Duration};

use super::{BreakerConfig, Tls};
use crate::smpp::{session::SessionConfig, tap::Tap};

/// The links to one carrier.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// At least one; each with a name of its own in [`SessionConfig::name`].
    pub links: Vec<LinkConfig>,
    /// The contract's rate for all links together, in messages a second.
    pub tps: u32,
    /// When a carrier that answers nothing is left alone for a while.
    pub breaker: BreakerConfig,
    /// Events that wait for their receiver, in the channel and again in each link. With more, links stop reading.
    pub events_max: usize,
    /// Reservations that may wait for a place; one more is refused.
    pub waiting_max: usize,
    /// Where the PDUs of all links can be listened to.
    pub tap: Tap,
    /// Whether the links rest until [`Pool::set_wanted`](super::Pool::set_wanted) wants them.
    pub rests: bool,
}

impl PoolConfig {
    /// The defaults, for these links and a contract's rate in messages a second.
    pub fn new(links: Vec<LinkConfig>, tps: u32) -> PoolConfig {
        PoolConfig {
            links,
            tps,
            breaker: BreakerConfig::default(),
            events_max: 256,
            waiting_max: 10_000,
            tap: Tap::default(),
            rests: false,
        }
    }
}

/// One link: one connection at a time, one bind.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// The bind and its limits.
    pub session: SessionConfig,
    /// Where to connect: the first, and after a failure the next, and so on in turn.
    pub endpoints: Vec<Endpoint>,
    /// TLS around the connection.
    pub tls: Option<Tls>,
    /// How long a connection may take to come about, name resolution and TLS included.
    pub connect_timeout: Duration,
    /// How long to wait before connecting again.
    pub reconnect: Reconnect,
    /// The contract's rate for this link alone, in messages a second.
    pub tps: Option<u32>,
}

impl LinkConfig {
    /// The defaults, for `session` at `endpoints`.
    pub fn new(endpoints: Vec<Endpoint>, session: SessionConfig) -> LinkConfig {
        LinkConfig {
            session,
            endpoints,
            tls: None,
            connect_timeout: Duration::from_secs(5),
            reconnect: Reconnect::default(),
            tps: None,
        }
    }
}

/// One address of an SMSC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name or IP address.
    pub host: Arc<str>,
    /// TCP port; 2775 is SMPP's own.
    pub port: u16,
}

impl Endpoint {
    /// `host` and `port`.
    pub fn new(host: &str, port: u16) -> Endpoint {
        Endpoint { host: host.into(), port }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
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
