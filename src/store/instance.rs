//! Several daemons serve one database: who is there, what each has leased, and what the others know of it.

use std::{
    fmt,
    time::{Duration, Instant},
};

use crate::clock::Timestamp;

/// One daemon among those that serve a database. It is a fencing token: none is given twice, and a later one is higher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(pub(crate) i64);

impl InstanceId {
    /// Whose everything is that was kept before there were several, or that a tool kept.
    pub const NOBODY: InstanceId = InstanceId(0);
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// With what a daemon comes to a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joining {
    /// Its name among the others. One that comes by the name of another that has lost its connection takes its place at once.
    pub name: String,
    /// Where the others hand it work.
    pub address: Option<String>,
    /// The kinds of things that it divides with the others.
    pub divides: Vec<String>,
    /// For so long without a sign of life the others leave to it what it has.
    pub lease: Duration,
    /// Whether it finishes a generation that was begun: until that is done, nobody else is served.
    pub restores: bool,
}

impl Default for Joining {
    /// Of a daemon that is meant to be alone.
    fn default() -> Joining {
        Joining {
            name: "smsbusd".into(),
            address: None,
            divides: Vec::new(),
            lease: Duration::from_secs(15),
            restores: false,
        }
    }
}

/// How the others take a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InstanceStanding {
    /// It is at work, or was a moment ago.
    Live,
    /// It gave no sign of life for longer than its lease: it opens no attempt any more, and what it had is taken over.
    Fenced,
    /// It went by itself.
    Left,
}

/// A daemon, as the database knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Which.
    pub id: InstanceId,
    /// Its name.
    pub name: String,
    /// Where it takes work from the others.
    pub address: Option<String>,
    /// The kinds of things that it divides with the others.
    pub divides: Vec<String>,
    /// Its signs of life so far.
    pub beats: i64,
    /// Whether its lease has run out, by the database's clock.
    pub is_late: bool,
    /// How the others take it.
    pub standing: InstanceStanding,
}

/// What is leased, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What.
    pub name: String,
    /// By whom. It is free once that daemon is not live any more.
    pub holder: InstanceId,
}

/// What the database says at a sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Census {
    /// What the database's clock showed; `None` to one that is fenced.
    pub clock: Option<DatabaseClock>,
    /// Whether the others have taken us for dead: nothing may be charged any more, and the process had better end.
    pub is_fenced: bool,
    /// The others, oldest first.
    pub peers: Vec<Peer>,
    /// Everything that is leased.
    pub leases: Vec<Lease>,
}

/// A reading of the database's clock, by which all its daemons can compare theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseClock {
    /// What it showed at some moment of the question.
    pub at: Timestamp,
    /// When the answer was here, by the clock that nobody sets.
    pub heard_at: Instant,
    /// How long the question took.
    pub took: Duration,
}

impl DatabaseClock {
    /// By how many milliseconds at least a clock that shows `ours` at the moment `now` is ahead of the database's; negative if it is behind. 0 as
    /// far as the way of the question can explain it.
    pub fn apart_ms(&self, ours: Timestamp, now: Instant) -> i64 {
        let earliest = self.at.plus(now.saturating_duration_since(self.heard_at));
        let latest = earliest.plus(self.took);
        let (ours, earliest, latest) = (ours.unix_ms(), earliest.unix_ms(), latest.unix_ms());
        if ours > latest {
            ours.saturating_sub(latest)
        } else if ours < earliest {
            ours.saturating_sub(earliest)
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_apart_by_what_the_way_of_the_question_cannot_explain() {
        let (at, heard_at) = (Timestamp::from_unix_seconds(1_800_000_000), Instant::now());
        let clock = DatabaseClock { at, heard_at, took: Duration::from_millis(40) };
        let second = Duration::from_secs(1);
        let apart_ms =
            |ours_ms: i64, later| clock.apart_ms(Timestamp::from_unix_ms(at.unix_ms() + ours_ms), heard_at + later);
        for within in [0, 20, 40] {
            assert_eq!(apart_ms(within, Duration::ZERO), 0);
            assert_eq!(apart_ms(1_000 + within, second), 0, "both went on");
        }
        assert_eq!((apart_ms(41, Duration::ZERO), apart_ms(-1, Duration::ZERO)), (1, -1));
        assert_eq!((apart_ms(3_040, second), apart_ms(-2_000, second)), (2_000, -3_000));
    }
}
