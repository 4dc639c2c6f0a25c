//! The log of the daemon: one line per event on the standard error, as JSON or for reading.

use std::{io, panic};

use metrics::counter;
use tracing::{error, level_filters::LevelFilter};
use tracing_subscriber::{EnvFilter, Layer, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt};

use super::Failure;
use crate::settings::{LogFormat, LogSettings};

/// Changes what is logged while the daemon runs.
#[derive(Clone, Debug)]
pub(super) struct LogHandle(reload::Handle<EnvFilter, Registry>);

/// Sends events to the log from now on, and panics too.
///
/// Errors: a filter that cannot be read; a log that was installed before.
pub(super) fn install(settings: &LogSettings) -> Result<LogHandle, Failure> {
    let (filter, handle) = reload::Layer::new(filter(settings)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let lines = match settings.format {
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
        LogFormat::Human => lines.with_ansi(false).boxed(),
    };
    let installed = tracing_subscriber::registry().with(filter).with(lines).try_init();
    installed.map_err(|error| Failure::new(format!("the log cannot be installed: {error}")))?;
    log_panics();
    Ok(LogHandle(handle))
}

impl LogHandle {
    /// Puts another filter in force. The format stays. Errors: a filter that cannot be read.
    pub(super) fn replace_filter(&self, settings: &LogSettings) -> Result<(), Failure> {
        let filter = filter(settings)?;
        self.0.reload(filter).map_err(|error| Failure::new(format!("log.filter: {error}")))
    }
}

fn filter(settings: &LogSettings) -> Result<EnvFilter, Failure> {
    let builder = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    builder.parse(&settings.filter).map_err(|error| Failure::configuration(format!("log.filter: {error}")))
}

/// A panic is a mistake of ours: it is logged with its place and counted, and an alert stands on the count. The task that
/// panicked ends; `serve` ends the process if it was one that nothing can do without.
fn log_panics() {
    panic::set_hook(Box::new(|info| {
        counter!("panics_total").increment(1);
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let message = info.payload_as_str().unwrap_or("a panic without a text");
        let thread = std::thread::current();
        error!(place, thread = thread.name().unwrap_or_default(), "panic: {message}");
    }));
}
