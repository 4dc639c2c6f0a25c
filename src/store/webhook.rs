use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{charge::Reference, clock::Timestamp};

/// How far a webhook has come with the events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookProgress {
    /// The webhook's name in the configuration.
    pub name: String,
    /// What it has come to.
    pub standing: WebhookStanding,
    /// Deliveries that failed: new ones, and old ones that failed again.
    pub failed: Vec<FailedDelivery>,
    /// Failed deliveries that are no longer kept: they were taken after all, or nobody wants to know any more.
    pub removed: Vec<EventPlace>,
}

/// Where a webhook stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookStanding {
    /// Every event up to this place of the journal was taken, or has a [`FailedDelivery`].
    pub cursor: u64,
    /// Since when nothing was taken although something was sent.
    pub failing_since: Option<Timestamp>,
    /// Why and since when nothing is sent any more, until operations say otherwise.
    pub disabled: Option<(WebhookEnd, Timestamp)>,
    /// What is sent once more.
    pub replay: Option<Replay>,
}

/// Why a webhook is sent nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookEnd {
    /// The receiver answered 410.
    Gone,
    /// The receiver took nothing for too long.
    GaveUp,
}

impl WebhookEnd {
    /// The stable code, as in the store, the API and the logs.
    pub const fn code(self) -> &'static str {
        match self {
            WebhookEnd::Gone => "gone",
            WebhookEnd::GaveUp => "gave_up",
        }
    }
}

/// Entries of the journal whose events are sent once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The last that was sent again; those after it follow.
    pub cursor: u64,
    /// The last one to send.
    pub until: u64,
}

/// The place of an event: which entry of the journal tells it, and which of the events of that entry it is (0 is the first). Written
/// as `1044-0`; as `1044` it means all events of that entry. As a cursor it means that every event up to here is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventPlace {
    /// The entry.
    pub entry: u64,
    /// Which of its events.
    pub part: u8,
}

/// The text is no place of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not the cursor of an event, as 1044-0")]
pub struct EventPlaceError;

impl EventPlace {
    /// Before the first event.
    pub const START: EventPlace = EventPlace::all_of(0);

    /// After the last event of this entry.
    pub const fn all_of(entry: u64) -> EventPlace {
        EventPlace { entry, part: u8::MAX }
    }

    /// The last entry of which every event is known.
    pub const fn whole_entries(self) -> u64 {
        if self.part == u8::MAX { self.entry } else { self.entry.saturating_sub(1) }
    }
}

impl fmt::Display for EventPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            u8::MAX => write!(f, "{}", self.entry),
            part => write!(f, "{}-{part}", self.entry),
        }
    }
}

impl FromStr for EventPlace {
    type Err = EventPlaceError;

    fn from_str(text: &str) -> Result<EventPlace, EventPlaceError> {
        let (entry, part) = text.split_once('-').map_or((text, None), |(entry, part)| (entry, Some(part)));
        // `parse` alone would take a sign.
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(entry) || !part.is_none_or(digits) {
            return Err(EventPlaceError);
        }
        let part = part.map_or(Ok(u8::MAX), str::parse).map_err(|_| EventPlaceError)?;
        // No journal has more entries than this.
        let entry = entry.parse().ok().filter(|entry| i64::try_from(*entry).is_ok());
        entry.map(|entry| EventPlace { entry, part }).ok_or(EventPlaceError)
    }
}

impl TryFrom<String> for EventPlace {
    type Error = EventPlaceError;

    fn try_from(text: String) -> Result<EventPlace, EventPlaceError> {
        text.parse()
    }
}

impl From<EventPlace> for String {
    fn from(place: EventPlace) -> String {
        place.to_string()
    }
}

/// An event that a webhook did not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedDelivery {
    /// The event.
    pub place: EventPlace,
    /// Its type.
    pub event_type: String,
    /// The charge that it tells of.
    pub reference: Reference,
    /// When it first failed.
    pub failed_at: Timestamp,
    /// Requests so far.
    pub tries: u32,
    /// When it is tried again; `None` if it was given up.
    pub due_at: Option<Timestamp>,
    /// What became of the last request: a status, or how it was lost.
    pub why: String,
}

/// How many deliveries of a webhook failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FailedCounts {
    /// Those that are tried again.
    pub waiting: u64,
    /// Those that were given up.
    pub given_up: u64,
}

/// Which failed deliveries to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedFilter {
    /// Those that are due at this moment, the longest due first.
    Due(Timestamp),
    /// Those that are tried again, the next first.
    Waiting,
    /// Those that were given up, in the order of the events.
    GivenUp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_and_noise_does_not() {
        for (text, place) in [
            ("0", EventPlace::START),
            ("1044-0", EventPlace { entry: 1_044, part: 0 }),
            ("1044-7", EventPlace { entry: 1_044, part: 7 }),
            ("1044", EventPlace::all_of(1_044)),
            ("9223372036854775807", EventPlace::all_of(i64::MAX as u64)),
        ] {
            assert_eq!((text.parse(), place.to_string().as_str()), (Ok(place), text));
        }
        for noise in ["", "-", "1-", "-1", "+1", "1-+1", "1-256", "1-0-0", "latest", "1.0", "9223372036854775808", "٣"]
        {
            assert_eq!(noise.parse::<EventPlace>(), Err(EventPlaceError), "{noise:?}");
        }
    }

    #[test]
    fn places_are_ordered_and_the_whole_entry_comes_last() {
        let part = |part| EventPlace { entry: 7, part };
        assert!(EventPlace::all_of(6) < part(0) && part(0) < part(1) && part(1) < EventPlace::all_of(7));
        assert_eq!((part(0).whole_entries(), EventPlace::all_of(7).whole_entries()), (6, 7));
    }
}
