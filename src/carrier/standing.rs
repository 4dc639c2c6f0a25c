use std::fmt;

/// How a carrier stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether charges can be sent: a bind that sends is up, or the HTTP interface is not known to be down.
    pub up: bool,
    /// Whether a bind that receives is up: only then can messages from passengers come.
    pub receives: bool,
    /// Whether somebody has paused it.
    pub paused: bool,
    /// Whether the circuit breaker is open: it answered nothing for too long.
    pub breaker_open: bool,
    /// Whether the carrier has slowed us down below the contract's rate.
    pub throttled: bool,
    /// The rate in force, in thousandths of a request a second.
    pub rate_milli: u64,
    /// The binds, by name, and how each stands.
    pub binds: Vec<BindStanding>,
}

/// How a bind stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindStanding {
    /// Its name.
    pub name: String,
    /// Whether it is bound.
    pub up: bool,
    /// What it does, or why it is down.
    pub detail: String,
}

impl Standing {
    /// Whether a charge that is opened now has a fair chance to be sent: `false` means that it is declined at once.
    pub fn takes_charges(&self) -> bool {
        !self.paused && !self.breaker_open
    }

    /// Whether a charge can be sent now.
    pub fn sells(&self) -> bool {
        self.up && self.takes_charges()
    }

    /// Why nothing can be sold, if so.
    pub fn trouble(&self) -> Option<&'static str> {
        match self {
            Standing { paused: true, .. } => Some("paused by hand"),
            Standing { breaker_open: true, .. } => Some("circuit breaker open"),
            Standing { up: false, .. } => Some("no bind is up"),
            _ => None,
        }
    }

    /// Of a carrier that charges in this way, and whose texts go over the links of `texts`.
    pub(super) fn with_texts(self, texts: Option<Standing>) -> Standing {
        let Some(texts) = texts else { return self };
        Standing { receives: texts.receives, binds: self.binds.into_iter().chain(texts.binds).collect(), ..self }
    }
}

/// Why there is no send slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSlot {
    /// None came free in time: the carrier is down, paused or busy.
    InTime,
    /// So many wait already that none would come free in time.
    TooManyWait,
    /// The carrier is shutting down.
    ShuttingDown,
}

impl fmt::Display for NoSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NoSlot::InTime => "no send slot came free in time",
            NoSlot::TooManyWait => "too many wait for a send slot",
            NoSlot::ShuttingDown => "the carrier is shutting down",
        })
    }
}

impl std::error::Error for NoSlot {}
