use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{
    charge::{CarrierName, Evidence, EvidenceSource, Finding, Reference},
    clock::Timestamp,
};

/// A request of a carrier on the callback listener, as it came.
#[derive(Clone, Copy, Debug)]
pub struct CallbackRequest<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// What follows `/carriers/NAME/`, as it came: not decoded.
    pub path: &'a str,
    /// What follows the question mark, as it came.
    pub query: &'a str,
    /// Header names in small letters, and their values.
    pub headers: &'a [(String, Vec<u8>)],
    /// The body; its length is bounded by the listener.
    pub body: &'a [u8],
    /// Who called.
    pub peer: IpAddr,
    /// When.
    pub received_at: Timestamp,
}

impl<'a> CallbackRequest<'a> {
    /// The value of a header, by its name in small letters; `None` if it is missing, there twice, or no text.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        let (_, value) = values.next()?;
        values.next().is_none().then(|| std::str::from_utf8(value).ok()).flatten()
    }
}

/// A callback that has passed every check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    /// What it says. Durable before it is answered.
    pub notices: Vec<Notice>,
    /// What the carrier is answered then.
    pub answer: CallbackAnswer,
}

/// An answer to a callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The media type of the body, if there is one.
    pub content_type: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl CallbackAnswer {
    /// An answer without a body.
    pub const fn bare(status: u16) -> CallbackAnswer {
        CallbackAnswer { status, content_type: None, body: Vec::new() }
    }
}

/// A callback that is not believed or cannot be read. Nothing comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What the carrier is answered.
    pub answer: CallbackAnswer,
    /// Why, in one word, for the metrics: `unauthenticated`, `unreadable`, `unknown_type`.
    pub kind: &'static str,
    /// Why, for the log; never a secret.
    pub why: String,
}

/// One thing that a callback says, in our words: all that is needed to weigh it now, or later when its owner is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Who sent it.
    pub carrier: CarrierName,
    /// Names this piece at the carrier: the same again changes nothing (M9).
    pub id: String,
    /// What it is about.
    pub about: About,
    /// What it says. `None` says only that it is time to ask.
    pub finding: Option<Finding>,
    /// Word for word: the body of the request.
    #[serde(default)]
    pub words: String,
}

/// What a callback is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// The attempt whose wire reference it repeats.
    Attempt {
        /// Its charge.
        reference: Reference,
        /// Its number.
        attempt: u16,
    },
    /// A refund, by our names for it and its charge.
    Refund {
        /// The charge.
        reference: Reference,
        /// The refund.
        refund: Reference,
    },
    /// Whatever has this id at the carrier.
    CarrierId(String),
}

impl Notice {
    /// The notice as evidence about the attempt with this number. `None` if it only says that it is time to ask.
    pub fn evidence(&self, attempt: u16) -> Option<Evidence> {
        let finding = self.finding.clone()?;
        let id = format!("callback:{attempt}:{}", self.id);
        Some(Evidence { id, attempt, source: EvidenceSource::Callback, finding })
    }

    /// Names the notice while its owner is not known.
    pub fn parked_id(&self) -> String {
        format!("callback:{}:{}", self.carrier, self.id)
    }
}
