//! The interfaces, and what can be asked for over them.

use serde::{Deserialize, Serialize};

/// A way to this carrier over HTTP; each has an address of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interface {
    /// CAMARA Carrier Billing v0.5, Carrier Billing Refund v0.3, SIM Swap v2.1 and Tenure v0.2, with OAuth2.
    Camara,
    /// OMA/GSMA OneAPI Payment.
    Oneapi,
    /// Form in, XML out, signed with a digest.
    Cis,
    /// Subscriber profile and portability.
    Facts,
}

impl Interface {
    /// Every interface.
    pub const ALL: [Interface; 4] = [Interface::Camara, Interface::Oneapi, Interface::Cis, Interface::Facts];

    /// Its name, as the configuration writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Interface::Camara => "camara",
            Interface::Oneapi => "oneapi",
            Interface::Cis => "cis",
            Interface::Facts => "facts",
        }
    }
}

/// What a request asks for, whatever the interface. Faults choose by it, and requests are counted by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A charge in one step.
    Charge,
    /// The first of two steps: the amount is held.
    Reserve,
    /// The code that the subscriber was sent.
    Validate,
    /// The second step: what is held is taken.
    Confirm,
    /// The second step: what is held is let go.
    Cancel,
    /// Money back, all of it or a part.
    Refund,
    /// What became of one payment or refund.
    Status,
    /// Payments or refunds within a time.
    List,
    /// An access token.
    Token,
    /// What is known of a subscriber: SIM swap, tenure, profile, portability, or whether the account can be charged.
    Facts,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Operation; 10] = [
        Operation::Charge,
        Operation::Reserve,
        Operation::Validate,
        Operation::Confirm,
        Operation::Cancel,
        Operation::Refund,
        Operation::Status,
        Operation::List,
        Operation::Token,
        Operation::Facts,
    ];
}
