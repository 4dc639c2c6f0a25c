//! What a pool tells its owner.

use std::{fmt, sync::Arc, time::Duration};

use thiserror::Error;
use tokio::sync::mpsc;

use super::{command::Command, config::Endpoint};
use crate::{
    smpp::{
        pdu::DeliverSm,
        session::{Answer, Closed, DeliveryId, Fault, SubmitOutcome},
        status::CommandStatus,
    },
    tls::TlsError,
};

/// Something happened on one of the links.
#[derive(Debug)]
pub enum PoolEvent {
    /// A bind was accepted.
    Up {
        /// The link's name.
        link: Arc<str>,
        /// Where.
        endpoint: Endpoint,
        /// The SMSC's name for itself; may be empty.
        system_id: String,
    },
    /// A link is down; it will try again.
    Down {
        /// The link's name.
        link: Arc<str>,
        /// Where it was, or tried to be.
        endpoint: Endpoint,
        /// Why.
        why: DownWhy,
        /// In how long.
        retry_in: Duration,
    },
    /// A message for us: an MO or a delivery receipt.
    Deliver {
        /// The message.
        sm: Box<DeliverSm>,
        /// Answers it, once it is persisted.
        responder: Responder,
    },
    /// The answer to a submission whose outcome was in doubt: at most one, after the outcome.
    Late {
        /// The submission's token.
        token: u64,
        /// The answer.
        answer: Answer,
    },
    /// The outcome of a submission whose [`crate::smpp::Submission`] was dropped before it gave the outcome.
    Orphan {
        /// The submission's token.
        token: u64,
        /// Its outcome.
        outcome: SubmitOutcome,
    },
    /// The peer departed from the protocol. Left out, but counted, while events pile up.
    Fault {
        /// The link's name.
        link: Arc<str>,
        /// How.
        fault: Fault,
    },
}

impl PoolEvent {
    /// The last trace of an event that its receiver was dropped before. Messages are left to the SMSC, which has no answer
    /// and delivers again; their contents are nobody's business in a log.
    pub(super) fn log_untaken(&self) {
        match self {
            PoolEvent::Late { token, answer } => tracing::error!(token, ?answer, "a late answer that nobody takes"),
            PoolEvent::Orphan { token, outcome } => tracing::error!(token, ?outcome, "an outcome that nobody takes"),
            PoolEvent::Up { .. } | PoolEvent::Down { .. } | PoolEvent::Deliver { .. } | PoolEvent::Fault { .. } => {}
        }
    }
}

/// Why a link is down.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DownWhy {
    /// No connection came about.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// No connection came about in time.
    #[error("cannot connect within {0:?}")]
    ConnectTimeout(Duration),
    /// TLS did not come about.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There was one, and the session on it is over.
    #[error(transparent)]
    Session(#[from] Closed),
}

impl DownWhy {
    /// A short name, for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            DownWhy::Connect(_) => "connect",
            DownWhy::ConnectTimeout(_) => "connect_timeout",
            DownWhy::Tls(_) => "tls",
            DownWhy::Session(Closed::BindRefused(CommandStatus::ALREADY_BOUND)) => "already_bound",
            DownWhy::Session(Closed::BindRefused(_)) => "bind_refused",
            DownWhy::Session(Closed::BindTimeout(_)) => "bind_timeout",
            DownWhy::Session(Closed::VersionTooOld { .. }) => "version",
            DownWhy::Session(Closed::UnboundByUs) => "unbound_by_us",
            DownWhy::Session(Closed::UnboundByPeer) => "unbound_by_peer",
            DownWhy::Session(Closed::Dead(_)) => "silent",
            DownWhy::Session(Closed::WriteStalled(_)) => "write_stalled",
            DownWhy::Session(Closed::Framing(_)) => "framing",
            DownWhy::Session(Closed::LinkLost(_)) => "lost",
        }
    }
}

/// How a link stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Connecting, or bind sent.
    Connecting,
    /// Bound.
    Up,
    /// Waiting to try again.
    Down {
        /// Why.
        why: DownWhy,
    },
    /// Without a bind until it is wanted again: see [`Pool::set_wanted`](super::Pool::set_wanted).
    Resting,
    /// Asked to end or to rest: draining, or waiting for `unbind_resp`.
    Unbinding,
    /// Ended for good.
    Ended,
}

impl fmt::Display for LinkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkState::Connecting => f.write_str("connecting"),
            LinkState::Up => f.write_str("up"),
            LinkState::Down { why } => write!(f, "down: {why}"),
            LinkState::Resting => f.write_str("resting: another instance has it"),
            LinkState::Unbinding => f.write_str("unbinding"),
            LinkState::Ended => f.write_str("ended"),
        }
    }
}

/// The duty to answer one delivered message. Dropped without an answer it answers `ESME_RX_T_APPN`, so the SMSC delivers
/// again. An answer after the connection ended has no effect, and the SMSC delivers again as well.
#[derive(Debug)]
pub struct Responder {
    pub(super) delivery: DeliveryId,
    /// Which of the link's sessions the message came on.
    pub(super) session_number: u64,
    /// A channel without a bound of its own: every responder sends once, and responders are bounded.
    pub(super) commands: mpsc::UnboundedSender<Command>,
    pub(super) answered: bool,
}

impl Responder {
    /// Answers the message: with [`CommandStatus::OK`] the SMSC never delivers it again.
    pub fn answer(mut self, status: CommandStatus) {
        self.send(status);
    }

    fn send(&mut self, status: CommandStatus) {
        self.answered = true;
        let (delivery, session_number) = (self.delivery, self.session_number);
        // If the link has ended, so has the session that could be answered on.
        let _ended = self.commands.send(Command::Answer { delivery, session_number, status });
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if !self.answered {
            self.send(CommandStatus::TEMPORARY_APP_ERROR);
        }
    }
}
