//! How a callback is to be believed, read and answered.

use serde::Deserialize;

use super::{
    super::{Meaning, Network},
    *,
};

/// What the carrier may tell us unasked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::carrier::http) struct CallbackSection {
    /// Below `/carriers/NAME/`.
    pub(in crate::carrier::http) path: String,
    #[serde(default = "post")]
    pub(in crate::carrier::http) method: String,
    pub(in crate::carrier::http) authentication: Vec<ProofSection>,
    pub(in crate::carrier::http) content: Content,
    #[serde(default)]
    pub(in crate::carrier::http) reference: Option<OneOrMany>,
    #[serde(default)]
    pub(in crate::carrier::http) carrier_id: Option<OneOrMany>,
    #[serde(default)]
    pub(in crate::carrier::http) event_id: Option<OneOrMany>,
    #[serde(default)]
    pub(in crate::carrier::http) result: Option<OneOrMany>,
    #[serde(default)]
    pub(in crate::carrier::http) amount: Option<OneOrMany>,
    #[serde(default)]
    pub(in crate::carrier::http) amount_unit: AmountUnit,
    #[serde(default)]
    pub(in crate::carrier::http) currency: Option<OneOrMany>,
    #[serde(default)]
    pub(in crate::carrier::http) detail: Option<OneOrMany>,
    pub(in crate::carrier::http) rows: Vec<CallbackRowSection>,
    #[serde(default)]
    pub(in crate::carrier::http) accepted: Option<AnswerSection>,
    #[serde(default)]
    pub(in crate::carrier::http) refused: Option<AnswerSection>,
}

/// One row of a callback's table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::carrier::http) struct CallbackRowSection {
    pub(in crate::carrier::http) result: OneOrMany,
    pub(in crate::carrier::http) means: Meaning,
}

/// One thing that proves that a callback is the carrier's. All of a callback's must hold.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(in crate::carrier::http) enum ProofSection {
    /// `Authorization: Bearer`, one of these secrets: several, so that they can be changed without a gap.
    Bearer(OneOrMany),
    /// HTTP basic.
    Basic { user: String, password: OneOrMany },
    /// A header of any name that holds one of these secrets.
    Header { name: String, secret: OneOrMany },
    /// A place in the body that holds one of these secrets: what we gave the carrier to repeat.
    Field { at: OneOrMany, secret: OneOrMany },
    /// The address that it comes from.
    Sources(Vec<Network>),
    /// A signature over parts of it.
    Signature(SignatureSection),
}

/// What is answered to a callback.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::carrier::http) struct AnswerSection {
    pub(in crate::carrier::http) status: u16,
    #[serde(default)]
    pub(in crate::carrier::http) content_type: Option<String>,
    /// A template; `fields["…"]` is what stands in the callback.
    #[serde(default)]
    pub(in crate::carrier::http) body: Option<String>,
}
