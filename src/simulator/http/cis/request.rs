//! The form of a command.

use crate::{
    msisdn::Msisdn,
    simulator::{
        http::{
            CisConfig, Operation,
            amount::{self, AmountError},
            desk::Call,
            digest,
            failure::Failure,
            form::Form,
        },
        subscribers::Refusal,
    },
};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Pay,
    Check,
    Reserve,
    Confirm,
    Cancel,
    Refund,
}

/// A command, understood.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) command: Command,
    pub(super) account: Msisdn,
    /// Tiyn.
    pub(super) sum_minor: Option<i64>,
    /// The client's number of this transaction; of a confirm or cancel, that of its reservation.
    pub(super) txn_id: String,
    /// Of a refund: the payment's.
    pub(super) orig_txn_id: Option<String>,
    txn_date: Option<String>,
}

/// What `sign` covers, in this order.
const SIGNED: [&str; 6] = ["command", "account", "sum", "txn_id", "txn_date", "orig_txn_id"];
/// The same where there is no `orig_txn_id`.
const SIGNED_SHORT: [&str; 5] = ["command", "account", "sum", "txn_id", "txn_date"];
/// The longest `txn_id`.
const TXN_ID_MAX: usize = 64;

impl Command {
    fn named(name: &str) -> Option<Command> {
        Some(match name {
            "pay" => Command::Pay,
            "check" => Command::Check,
            "reserve" => Command::Reserve,
            "confirm" => Command::Confirm,
            "cancel" => Command::Cancel,
            "refund" => Command::Refund,
            _ => return None,
        })
    }

    pub(super) const fn operation(self) -> Operation {
        match self {
            Command::Pay => Operation::Charge,
            Command::Check => Operation::Status,
            Command::Reserve => Operation::Reserve,
            Command::Confirm => Operation::Confirm,
            Command::Cancel => Operation::Cancel,
            Command::Refund => Operation::Refund,
        }
    }
}

impl Asked {
    /// Reads a form. Errors: what is wrong with it, or with its digest.
    pub(super) fn read(call: &Call, config: &CisConfig) -> Result<Asked, Failure> {
        let form = Form::read(call).map_err(Failure::Malformed)?;
        form.only(&["command", "account", "sum", "txn_id", "txn_date", "orig_txn_id", "sign"])
            .map_err(Failure::Malformed)?;
        form.need("sign").map_err(Failure::Malformed)?;
        let signed = if form.get("orig_txn_id").is_some() { &SIGNED[..] } else { &SIGNED_SHORT[..] };
        if !digest::is_signed(&form, signed, config.digest, &config.secret) {
            return Err(Failure::Unauthenticated);
        }
        let name = form.need("command").map_err(Failure::Malformed)?;
        let command = Command::named(name).ok_or_else(|| Failure::Malformed(format!("command: {name:?}")))?;
        let txn_id = txn_id(&form, "txn_id")?;
        let sum_minor = form.get("sum").map(sum).transpose()?;
        if sum_minor.is_none() && matches!(command, Command::Pay | Command::Reserve) {
            return Err(Failure::Malformed("sum: missing".to_owned()));
        }
        let orig_txn_id = match command {
            Command::Refund => Some(self::txn_id(&form, "orig_txn_id")?),
            _ if form.get("orig_txn_id").is_some() => {
                return Err(Failure::Malformed("orig_txn_id: only a refund has one".to_owned()));
            }
            _ => None,
        };
        let txn_date = form.get("txn_date").map(str::to_owned);
        let dated = matches!(command, Command::Pay | Command::Reserve | Command::Refund);
        if txn_date.as_deref().map_or(dated, |date| !is_date(date)) {
            return Err(Failure::Malformed("txn_date: not like 20260301123000".to_owned()));
        }
        Ok(Asked { command, account: account(&form)?, sum_minor, txn_id, orig_txn_id, txn_date })
    }

    /// What the stored result is found by: what opens a transaction by its number, the second step of one by its command too.
    pub(super) fn replay_key(&self) -> String {
        match self.command {
            Command::Confirm => format!("confirm {}", self.txn_id),
            Command::Cancel => format!("cancel {}", self.txn_id),
            _ => txn_key(&self.txn_id),
        }
    }

    /// What must be the same when the number comes again.
    pub(super) fn content(&self) -> String {
        let Asked { command, account, sum_minor, orig_txn_id, txn_date, .. } = self;
        format!("{command:?} {account} {sum_minor:?} {orig_txn_id:?} {txn_date:?}")
    }
}

/// What a payment, reservation or refund of this number is found by.
pub(super) fn txn_key(txn_id: &str) -> String {
    format!("txn {txn_id}")
}

/// The number in a form: its digits, without a sign. Errors: none, not one, or one that cannot be this carrier's.
pub(in crate::simulator::http) fn account(form: &Form) -> Result<Msisdn, Failure> {
    let text = form.need("account").map_err(Failure::Malformed)?;
    if text.len() > 15 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Failure::Malformed(format!("account: {text:?}")));
    }
    text.parse().map_err(|_| Failure::Refused(Refusal::NotOurSubscriber))
}

fn txn_id(form: &Form, name: &str) -> Result<String, Failure> {
    let text = form.need(name).map_err(Failure::Malformed)?;
    if text.len() > TXN_ID_MAX || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        return Err(Failure::Malformed(format!("{name}: {text:?}")));
    }
    Ok(text.to_owned())
}

fn sum(text: &str) -> Result<i64, Failure> {
    amount::from_decimal(text).map_err(|error| match error {
        AmountError::TooLarge => Failure::AmountTooLarge,
        AmountError::Syntax | AmountError::TooFine => Failure::Malformed(format!("sum: {text:?} is no amount in tiyn")),
    })
}

fn is_date(text: &str) -> bool {
    jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", text).is_ok() && text.len() == 14
}
