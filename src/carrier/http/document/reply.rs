//! How an answer is to be read.

use serde::{Deserialize, Serialize};

use super::super::Meaning;

/// How an answer is read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::carrier::http) struct ReplySection {
    pub(in crate::carrier::http) content: Content,
    #[serde(default)]
    pub(in crate::carrier::http) result: Option<OneOrMany>,
    /// What tells more of the result: a sub-code.
    #[serde(default)]
    pub(in crate::carrier::http) qualifier: Option<OneOrMany>,
    #[serde(default)]
    pub(in crate::carrier::http) carrier_id: Option<OneOrMany>,
    #[serde(default)]
    pub(in crate::carrier::http) amount: Option<OneOrMany>,
    #[serde(default)]
    pub(in crate::carrier::http) amount_unit: AmountUnit,
    #[serde(default)]
    pub(in crate::carrier::http) currency: Option<OneOrMany>,
    #[serde(default)]
    pub(in crate::carrier::http) detail: Option<OneOrMany>,
    #[serde(default)]
    pub(in crate::carrier::http) echoes: Vec<EchoSection>,
    #[serde(default)]
    pub(in crate::carrier::http) rows: Vec<RowSection>,
}

/// What a body is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// JSON; a place is a JSON pointer (RFC 6901).
    Json,
    /// XML; a place is a path from the root: `/response/result`, `/response/@code`.
    Xml,
    /// `name=value&…`; a place is a name.
    Form,
    /// Plain text; a place is `""` for all of it, `word N` or `line N`.
    Text,
    /// Nothing is read of it.
    None,
}

/// What an amount counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AmountUnit {
    /// Tenge: `80.50`.
    #[default]
    Major,
    /// Tiyn: `8050`.
    Minor,
}

/// One place, or several of which the first that is there counts.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(in crate::carrier::http) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(in crate::carrier::http) fn as_slice(&self) -> &[String] {
        match self {
            OneOrMany::One(text) => std::slice::from_ref(text),
            OneOrMany::Many(texts) => texts,
        }
    }
}

/// What the answer repeats of the request; an answer that repeats something else is about something else.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::carrier::http) struct EchoSection {
    pub(in crate::carrier::http) at: String,
    /// A template.
    pub(in crate::carrier::http) equals: String,
    #[serde(default)]
    pub(in crate::carrier::http) compare: Comparison,
    /// Whether a good answer may lack it.
    #[serde(default)]
    pub(in crate::carrier::http) optional: bool,
}

/// How an echo is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// Character by character.
    #[default]
    Text,
    /// As exact decimals: `80` is `80.00`.
    Decimal,
    /// As phone numbers: `+7701…` is `8701…`.
    Msisdn,
}

/// One row of a table of meanings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::carrier::http) struct RowSection {
    #[serde(default)]
    pub(in crate::carrier::http) status: Option<StatusSection>,
    #[serde(default)]
    pub(in crate::carrier::http) result: Option<OneOrMany>,
    #[serde(default)]
    pub(in crate::carrier::http) qualifier: Option<OneOrMany>,
    pub(in crate::carrier::http) means: Meaning,
    /// Whether it holds as well where the body cannot be read.
    #[serde(default)]
    pub(in crate::carrier::http) any_body: bool,
}

/// `404` or `"5xx"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(in crate::carrier::http) enum StatusSection {
    Exact(u16),
    Class(String),
}

/// How a fact is read from an answer about a subscriber.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::carrier::http) struct FactSection {
    pub(in crate::carrier::http) at: OneOrMany,
    /// Values that say that the condition holds.
    #[serde(default)]
    pub(in crate::carrier::http) yes: Vec<String>,
    /// Values that say that it does not.
    #[serde(default)]
    pub(in crate::carrier::http) no: Vec<String>,
    /// A number: more than nothing says this, nothing says the opposite.
    #[serde(default)]
    pub(in crate::carrier::http) positive: Option<YesNo>,
    /// That there is a value at all, whichever, says this.
    #[serde(default)]
    pub(in crate::carrier::http) present: Option<YesNo>,
    /// That there is none says this.
    #[serde(default)]
    pub(in crate::carrier::http) absent: Option<YesNo>,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::carrier::http) enum YesNo {
    Yes,
    No,
}
