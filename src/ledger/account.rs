use std::fmt;

use serde::{Deserialize, Serialize};

/// An account of the chart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Account {
    /// What this carrier has taken from its subscribers for us and has still to pay out, less its fee; money in doubt included.
    CarrierReceivable(String),
    /// What this carrier keeps of what it took.
    CarrierFee(String),
    /// The value-added tax on this carrier's fee.
    VatInput(String),
    /// Fares earned for this agency, without the tax that they include.
    FareRevenue(String),
    /// The value-added tax in this agency's fares.
    VatOutput(String),
    /// The other side of money in doubt: not earned, not lost.
    InDoubtSuspense,
    /// Fares given back or promised back, out of what this agency had earned, without the tax in them.
    Refunds(String),
    /// What passengers are still to get back.
    RefundsOwed,
    /// What was paid back to passengers by bank or in cash, because the carrier did not: the carrier still owes it to us.
    RefundsPaidOut,
}

impl Account {
    /// The carrier on whose statement this account stands. Over all of a carrier's accounts the sum is what it holds for us before
    /// its fee.
    pub fn carrier(&self) -> Option<&str> {
        match self {
            Account::CarrierReceivable(carrier) | Account::CarrierFee(carrier) | Account::VatInput(carrier) => {
                Some(carrier)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Account::CarrierReceivable(carrier) => write!(f, "carrier_receivable:{carrier}"),
            Account::CarrierFee(carrier) => write!(f, "carrier_fee:{carrier}"),
            Account::VatInput(carrier) => write!(f, "vat_input:{carrier}"),
            Account::FareRevenue(agency) => write!(f, "fare_revenue:{agency}"),
            Account::VatOutput(agency) => write!(f, "vat_output:{agency}"),
            Account::InDoubtSuspense => f.write_str("in_doubt_suspense"),
            Account::Refunds(agency) => write!(f, "refunds:{agency}"),
            Account::RefundsOwed => f.write_str("refunds_owed"),
            Account::RefundsPaidOut => f.write_str("refunds_paid_out"),
        }
    }
}

impl From<Account> for String {
    fn from(account: Account) -> String {
        account.to_string()
    }
}

impl TryFrom<String> for Account {
    type Error = String;

    fn try_from(text: String) -> Result<Account, String> {
        let (kind, owner) = text.split_once(':').unwrap_or((&text, ""));
        let owned: Option<fn(String) -> Account> = match kind {
            "carrier_receivable" => Some(Account::CarrierReceivable),
            "carrier_fee" => Some(Account::CarrierFee),
            "vat_input" => Some(Account::VatInput),
            "fare_revenue" => Some(Account::FareRevenue),
            "vat_output" => Some(Account::VatOutput),
            "refunds" => Some(Account::Refunds),
            _ => None,
        };
        match (owned, kind, owner) {
            (Some(account), _, owner) if !owner.is_empty() => Ok(account(owner.into())),
            (None, "in_doubt_suspense", "") => Ok(Account::InDoubtSuspense),
            (None, "refunds_owed", "") => Ok(Account::RefundsOwed),
            (None, "refunds_paid_out", "") => Ok(Account::RefundsPaidOut),
            _ => Err(format!("{text:?} is not an account")),
        }
    }
}
