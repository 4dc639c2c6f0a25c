//! A profile as it is written: the tables and keys of the TOML file, before anything of it is checked.

mod callback;
mod reply;

pub(super) use callback::{AnswerSection, CallbackSection, ProofSection};
pub use reply::{AmountUnit, Comparison, Content};
pub(super) use reply::{FactSection, OneOrMany, ReplySection, RowSection, StatusSection, YesNo};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Operation;
use crate::{
    carrier::{BreakerProfile, web::ClientAuthentication},
    charge::QuerySchedule,
    eligibility::FactName,
};

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    /// What operations' URLs begin with that are only paths. The configuration may put another in its place.
    #[serde(default)]
    pub(super) base_url: Option<String>,
    /// What the carrier shows or notes for the purchase: a template.
    #[serde(default)]
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) contract: ContractSection,
    #[serde(default)]
    pub(super) wire_reference: WireReferenceSection,
    /// The carrier gives each payment two ids that later requests need: where the second one stands.
    #[serde(default)]
    pub(super) second_id: Option<SecondIdSection>,
    #[serde(default)]
    pub(super) constants: BTreeMap<String, String>,
    /// The names of the secrets that the profile uses; the configuration says in which files they are.
    #[serde(default)]
    pub(super) secrets: Vec<String>,
    #[serde(default)]
    pub(super) authentication: Option<Authentication>,
    /// What these answers mean, whatever was asked for; an operation's own rows go first.
    #[serde(default)]
    pub(super) rows: Vec<RowSection>,
    #[serde(default)]
    pub(super) charge: Option<OperationSection>,
    #[serde(default)]
    pub(super) reserve: Option<OperationSection>,
    #[serde(default)]
    pub(super) validate: Option<OperationSection>,
    #[serde(default)]
    pub(super) confirm: Option<OperationSection>,
    #[serde(default)]
    pub(super) cancel: Option<OperationSection>,
    #[serde(default)]
    pub(super) status: Option<OperationSection>,
    #[serde(default)]
    pub(super) refund: Option<OperationSection>,
    #[serde(default)]
    pub(super) refund_status: Option<OperationSection>,
    #[serde(default)]
    pub(super) subscriber: Option<OperationSection>,
    #[serde(default)]
    pub(super) portability: Option<OperationSection>,
    #[serde(default)]
    pub(super) callback: Vec<CallbackSection>,
}

impl Document {
    pub(super) fn operation(&self, operation: Operation) -> Option<&OperationSection> {
        match operation {
            Operation::Charge => self.charge.as_ref(),
            Operation::Reserve => self.reserve.as_ref(),
            Operation::Validate => self.validate.as_ref(),
            Operation::Confirm => self.confirm.as_ref(),
            Operation::Cancel => self.cancel.as_ref(),
            Operation::Status => self.status.as_ref(),
            Operation::Refund => self.refund.as_ref(),
            Operation::RefundStatus => self.refund_status.as_ref(),
            Operation::Subscriber => self.subscriber.as_ref(),
            Operation::Portability => self.portability.as_ref(),
        }
    }
}

/// What the contract with the carrier says.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ContractSection {
    /// Whether a charge is a reservation that is confirmed. Said only where the profile has both `charge` and `reserve`.
    pub(super) two_step: Option<bool>,
    pub(super) replays_keys: bool,
    pub(super) in_flight_delay_ms: u64,
    pub(super) query: Option<QuerySchedule>,
    pub(super) reservation_ms: Option<u64>,
    pub(super) connect_timeout_ms: u64,
    pub(super) timeout_ms: u64,
    pub(super) tps: u32,
    pub(super) concurrency: u16,
    pub(super) breaker: BreakerProfile,
}

impl Default for ContractSection {
    fn default() -> ContractSection {
        ContractSection {
            two_step: None,
            replays_keys: false,
            in_flight_delay_ms: 60_000,
            query: None,
            reservation_ms: None,
            connect_timeout_ms: 3_000,
            timeout_ms: 10_000,
            tps: 50,
            concurrency: 32,
            breaker: BreakerProfile::default(),
        }
    }
}

/// How the carrier is given our reference.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WireReferenceSection {
    pub(super) form: WireForm,
    pub(super) prefix: String,
    pub(super) length_max: usize,
}

impl Default for WireReferenceSection {
    fn default() -> WireReferenceSection {
        WireReferenceSection { form: WireForm::default(), prefix: String::new(), length_max: 64 }
    }
}

/// How our reference and the attempt's number become one text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireForm {
    /// The UUID, a dash and the number in two digits: 39 characters.
    #[default]
    Uuid,
    /// 34 hexadecimal digits.
    Hex,
    /// 28 letters and digits of base 32, small.
    Base32,
    /// 23 letters, digits, `-` and `_`.
    Base64url,
    /// 42 decimal digits.
    Digits,
    /// 18 decimal digits of a hash. It cannot be read back: such a carrier's callbacks must name its own id.
    DigitsOfHash,
}

/// How we prove who we are.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Authentication {
    /// HTTP basic.
    Basic { user: String, password: String },
    /// A fixed bearer token.
    Bearer { token: String },
    /// OAuth 2.0 client credentials (RFC 6749, 4.4).
    Oauth2 {
        token_url: String,
        client_id: String,
        client_secret: String,
        #[serde(default)]
        scope: Option<String>,
        #[serde(default)]
        authentication: ClientAuthentication,
    },
}

/// One request and how its answer is read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OperationSection {
    #[serde(default = "post")]
    pub(super) method: String,
    pub(super) url: String,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) query: Vec<(String, String)>,
    #[serde(default)]
    pub(super) form: Option<Vec<(String, String)>>,
    #[serde(default)]
    pub(super) json: Option<String>,
    #[serde(default)]
    pub(super) xml: Option<String>,
    #[serde(default)]
    pub(super) signature: Option<SignatureSection>,
    pub(super) reply: ReplySection,
    /// Of status queries: whether "not found" comes from a complete listing (M5).
    #[serde(default)]
    pub(super) not_found_is_complete: bool,
    /// Of `subscriber`: what each fact is read from.
    #[serde(default)]
    pub(super) facts: BTreeMap<FactName, FactSection>,
    /// Of `portability`: where the carrier's name stands.
    #[serde(default)]
    pub(super) carrier: Option<OneOrMany>,
    /// Of `portability`: that name, and the carrier's name in our configuration.
    #[serde(default)]
    pub(super) carriers: BTreeMap<String, String>,
}

fn post() -> String {
    "POST".into()
}

/// A digest or a keyed digest over parts of the message.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignatureSection {
    pub(super) algorithm: Algorithm,
    /// The key of an HMAC. A plain digest names its secret in `over`.
    #[serde(default)]
    pub(super) secret: Option<String>,
    /// The parts, each a template.
    pub(super) over: Vec<String>,
    #[serde(default)]
    pub(super) separator: String,
    #[serde(default)]
    pub(super) encoding: DigestEncoding,
    /// What stands before it: `sha256=`.
    #[serde(default)]
    pub(super) prefix: String,
    /// Of requests: where it goes.
    #[serde(default)]
    pub(super) into: Option<SignaturePlace>,
    /// Of callbacks: where it stands, `header.NAME`, `query.NAME` or a place in the body.
    #[serde(default)]
    pub(super) at: Option<String>,
}

/// How the digest is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// HMAC with SHA-1.
    HmacSha1,
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-512.
    HmacSha512,
    /// MD5 over parts of which one is a secret.
    Md5,
    /// SHA-1 over parts of which one is a secret.
    Sha1,
    /// SHA-256 over parts of which one is a secret.
    Sha256,
    /// SHA-512 over parts of which one is a secret.
    Sha512,
}

/// How the digest is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DigestEncoding {
    /// Small hexadecimal digits.
    #[default]
    #[serde(rename = "hex")]
    Hex,
    /// Capital hexadecimal digits.
    #[serde(rename = "HEX")]
    HexUpper,
    /// Base 64 with padding.
    #[serde(rename = "base64")]
    Base64,
}

/// Where a signature goes.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum SignaturePlace {
    /// A further field of the form.
    Field(String),
    /// A further field of the query.
    Query(String),
    /// A header.
    Header(String),
    /// The variable `signature` of the templates.
    Template,
}

/// A second id that stands beside every `carrier_id`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SecondIdSection {
    pub(super) at: OneOrMany,
    /// What follows the last one of these: `"/"` takes the end of an address.
    #[serde(default)]
    pub(super) after: String,
}
