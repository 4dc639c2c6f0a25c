//! Several daemons serve one database: who is there, what each has leased, and what the others know of it.

use std::{fmt, time::Duration};

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
    /// Whether the others have taken us for dead: nothing may be charged any more, and the process had better end.
    pub is_fenced: bool,
    /// The others, oldest first.
    pub peers: Vec<Peer>,
    /// Everything that is leased.
    pub leases: Vec<Lease>,
}
