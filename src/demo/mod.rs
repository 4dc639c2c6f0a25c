//! `smsbusd demo`: a morning with every outcome, and an audit at the end. Needs nothing: a simulated carrier of each kind in
//! this process, the real daemon as a child process, SQLite in a temporary folder that goes with it.
//!
//! Read `morning` from top to bottom: it is the script, with `refusals`, `bad_day`, `rush_hour` and `inspection` for its longer
//! scenes. `stage` puts the world together and is what the script speaks to; `files` writes what a daemon needs (`sections` the
//! carriers' part), `carriers` starts the carriers, `daemon` is the child process, `api` speaks to it over HTTP, `story` prints,
//! `known` says facts and their sources in words, and `audit` compares the carriers' books with ours.

mod api;
mod audit;
mod bad_day;
mod carriers;
mod cast;
mod credentials;
mod daemon;
mod error;
mod files;
mod inspection;
mod known;
mod morning;
mod refusals;
mod rush_hour;
mod sections;
mod stage;
mod story;

pub use audit::Verdict;
pub use error::DemoError;

use std::{io::Write, time::Duration};

use story::Story;
use tokio::signal::unix::{SignalKind, signal};

/// How the demo is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DemoOptions {
    /// The story goes to stderr, and stdout gets the verdict as one JSON object.
    pub json: bool,
}

/// No morning takes longer. Each wait within it has a bound of its own; this one is for their sum.
const MORNING_MAX: Duration = Duration::from_secs(90);

/// Plays the morning on the current tokio runtime and shows it. `true` only if the carriers' books and ours are equal, nothing
/// is left in doubt, and every charge has a ticket that verifies.
///
/// The daemon's process and the temporary folder are gone when this returns, whatever happens, or when its future is dropped.
///
/// Errors: the morning did not go by its script; the message says where, with the last lines of the daemon's log.
pub async fn run(options: DemoOptions) -> Result<bool, DemoError> {
    let story = Story::new(options.json);
    // Boxed: a morning is long, and so is its future.
    let morning = tokio::time::timeout(MORNING_MAX, Box::pin(morning::play(story)));
    let verdict = tokio::select! {
        verdict = morning => verdict.unwrap_or(Err(DemoError::TooLong { limit: MORNING_MAX }))?,
        () = interrupted() => return Err(DemoError::Interrupted),
    };
    if options.json {
        print(&verdict).map_err(|source| DemoError::File { path: "stdout".into(), source })?;
    }
    Ok(verdict.is_clean())
}

fn print(verdict: &Verdict) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, verdict)?;
    writeln!(out)
}

/// Returns when somebody wants this process to end: Ctrl-C, or what a supervisor sends.
async fn interrupted() {
    let both = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    let [Ok(mut interrupt), Ok(mut terminate)] = both else {
        // Without handlers the signals end the process at once.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
