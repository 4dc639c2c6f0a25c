use std::{io, path::PathBuf, process::ExitStatus, time::Duration};

use thiserror::Error;

use crate::{
    simulator::{InvalidFault, MoError, MoOutcome, SimulatorError, TooManySubscribers},
    store::StoreError,
    ticket::{KeySetError, keyfile::KeyFileError, qr::QrError},
};

/// Why a morning cannot be played to its end.
#[derive(Debug, Error)]
pub enum DemoError {
    /// The temporary folder cannot be made or written to.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The keys cannot be made.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// A simulated carrier does not start.
    #[error(transparent)]
    Simulator(#[from] SimulatorError),
    /// A simulated carrier does not take a fault.
    #[error(transparent)]
    Fault(#[from] InvalidFault),
    /// A simulated carrier does not take a subscriber.
    #[error(transparent)]
    Subscriber(#[from] TooManySubscribers),
    /// A message that no phone could send.
    #[error(transparent)]
    Mo(#[from] MoError),
    /// The daemon did not take a passenger's message.
    #[error("the message of {passenger} was not taken: {outcome:?}")]
    MoNotTaken {
        /// Whose.
        passenger: &'static str,
        /// What became of it.
        outcome: MoOutcome,
    },
    /// The daemon's process cannot be started, or cannot be told to end.
    #[error("cannot {action} the daemon: {source}")]
    Process {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The daemon ended by itself, or not as it should have.
    #[error("the daemon ended with {0}")]
    Ended(ExitStatus),
    /// A request failed on its way.
    #[error("the API does not answer: {}", chain(.0))]
    Http(#[from] reqwest::Error),
    /// No HTTP client comes about.
    #[error("no HTTP client: {0}")]
    Client(String),
    /// The API answered with an error.
    #[error("{request}: {status}: {body}")]
    Refused {
        /// What was asked.
        request: String,
        /// The HTTP status.
        status: u16,
        /// The answer.
        body: String,
    },
    /// What should have come did not.
    #[error("waited {limit:?} in vain until {what}")]
    InVain {
        /// For what.
        what: String,
        /// How long.
        limit: Duration,
    },
    /// Something came that is not in the script.
    #[error("not as it should be: {0}")]
    Otherwise(String),
    /// The morning as a whole took too long.
    #[error("the morning was not over after {limit:?}")]
    TooLong {
        /// How long it may take.
        limit: Duration,
    },
    /// Somebody wanted it to end.
    #[error("interrupted")]
    Interrupted,
    /// The published keys cannot be read.
    #[error(transparent)]
    KeySet(#[from] KeySetError),
    /// The ticket cannot be drawn.
    #[error(transparent)]
    Qr(#[from] QrError),
    /// The daemon's database cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something else, with the last lines of the daemon's log.
    #[error("{error}\nThe last lines of the daemon's log:\n{log}")]
    WithLog {
        /// What went wrong.
        error: Box<DemoError>,
        /// The lines.
        log: String,
    },
}

/// An HTTP client's error says little without its causes.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
