//! What the gateway says of itself that it must never say: a panic in a task, an error that neither carrier nor network brings about.

use std::{cell::RefCell, fmt, panic, sync::Once};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    subscriber::DefaultGuard,
};
use tracing_subscriber::{Layer, Registry, layer::Context, layer::SubscriberExt};

/// What spoilt answers bring about.
const MAY_HAPPEN: [&str; 2] =
    ["nothing can be sent to the carrier", "an answer that cannot be ours, or cannot be read"];

thread_local! {
    /// What was said on this thread, and so in its world.
    static COMPLAINTS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Listens on this thread until it is dropped.
#[must_use]
pub(super) struct Listening(DefaultGuard);

impl Listening {
    /// Forgets what was said before.
    pub(super) fn begin() -> Listening {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                complain(info.to_string());
                before(info);
            }));
        });
        COMPLAINTS.take();
        let lines = Registry::default().with(Errors.with_filter(LevelFilter::ERROR));
        Listening(tracing::subscriber::set_default(lines))
    }

    /// What was said meanwhile.
    pub(super) fn end(self) -> Vec<String> {
        drop(self.0);
        COMPLAINTS.take()
    }
}

fn complain(what: String) {
    COMPLAINTS.with_borrow_mut(|complaints| complaints.push(what));
}

/// Takes the errors out of the log.
struct Errors;

impl<S: Subscriber> Layer<S> for Errors {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut words = Words(String::new());
        event.record(&mut words);
        let may_happen = MAY_HAPPEN.iter().any(|text| words.0.contains(text));
        if *event.metadata().level() == Level::ERROR && !may_happen {
            complain(format!("the log has an error of {}:{}", event.metadata().target(), words.0));
        }
    }
}

/// A line of the log: its text and its fields.
struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!(" {}={value:?}", field.name()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_nobody_brought_about_is_a_complaint_and_a_spoilt_answer_is_none() {
        let listening = Listening::begin();
        tracing::error!(token = 7, "an outcome that nobody takes");
        tracing::error!("nothing can be sent to the carrier");
        tracing::warn!("not sent");
        let complaints = listening.end();
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].contains("an outcome that nobody takes") && complaints[0].contains("token=7"));
        tracing::error!("after the end");
        assert!(Listening::begin().end().is_empty());
    }
}
