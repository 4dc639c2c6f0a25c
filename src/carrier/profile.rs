use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::{
    CamaraProfile, HttpProfile,
    links::{BindConfig, BreakerProfile, InterfaceVersion, TlsConfig},
    refund_profile::RefundProfile,
    tariff::{TariffConfig, tariff_for},
};
use crate::{
    charge::{Contract, QuerySchedule, Reason},
    ledger::DatedFee,
    money::{Currency, Money},
    msisdn::Msisdn,
    passenger::Language,
    smpp::{
        receipt::{MessageIdForm, MessageState},
        text::DefaultAlphabet,
    },
};

/// One carrier, as configured.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CarrierConfig {
    /// The short number that passengers write to and get their tickets from.
    pub short_number: String,
    /// The language of a passenger who has not chosen one.
    #[serde(default = "defaults::language")]
    pub language: Language,
    /// The currency of the balances.
    #[serde(default = "defaults::currency")]
    pub currency: Currency,
    /// Where its days are cut, and in which zone its receipts are dated: an IANA name.
    #[serde(default = "defaults::time_zone")]
    pub time_zone: String,
    /// The three digits after +7 by which its numbers were given out; a hint only, numbers move between carriers.
    #[serde(default)]
    pub prefixes: Vec<u16>,
    /// Numbers that are never charged for real: they go the whole way with an amount of nothing.
    #[serde(default)]
    pub test_numbers: Vec<Msisdn>,
    /// Beyond the ticket deadline, how much longer what is in doubt counts as spent (M14), in seconds.
    #[serde(default = "defaults::settlement_lag_seconds")]
    pub settlement_lag_seconds: u64,
    /// What it keeps of what it takes, by the day from which on; nothing before the first.
    #[serde(default)]
    pub fees: Vec<DatedFee>,
    /// Who decides about the purchases of its passengers' messages.
    #[serde(default)]
    pub purchase: PurchaseMode,
    /// Its SMSC: for messages from and to passengers, and for charging too where nothing else is configured.
    #[serde(default)]
    pub smpp: Option<SmppProfile>,
    /// Charging over CAMARA.
    #[serde(default)]
    pub camara: Option<CamaraProfile>,
    /// Charging over a private HTTP interface, as a profile says.
    #[serde(default)]
    pub http: Option<HttpProfile>,
}

/// What becomes of a message that wants to buy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PurchaseMode {
    /// The gateway buys.
    #[default]
    Direct,
    /// The ticket service gets it by webhook, and asks for the charge or does not.
    Webhook,
}

impl CarrierConfig {
    /// The carrier's time zone. Errors: a name that the time zone database does not have.
    pub fn zone(&self) -> Result<TimeZone, String> {
        TimeZone::get(&self.time_zone).map_err(|e| format!("time_zone: {e}"))
    }

    /// Whether this amount can be charged. Over SMPP zero can, and what has a tariff; over HTTP the amount itself is sent.
    pub fn has_tariff(&self, amount: Money) -> bool {
        let Some(profile) = self.smpp.as_ref().filter(|_| self.charges_by_smpp()) else { return true };
        amount.minor == 0 || tariff_for(&profile.tariffs, amount).is_ok()
    }

    /// Whether a charge of this amount can go back whole as far as its tariff goes, where the contract has refunds at all.
    pub fn has_refund_tariff(&self, amount: Money) -> bool {
        let refund = self.smpp.as_ref().filter(|_| self.charges_by_smpp()).and_then(|profile| profile.refund.as_ref());
        refund.is_none_or(|refund| amount.minor == 0 || tariff_for(&refund.tariffs, amount).is_ok())
    }

    /// Whether it is said how its subscribers are charged, in one way.
    pub fn can_charge(&self) -> bool {
        self.charges_by_smpp() || self.camara.is_some() != self.http.is_some()
    }

    /// Whether it may call us back.
    pub fn calls_back(&self) -> bool {
        !self.charges_by_smpp()
    }

    /// Whether the SMSC takes the money too.
    pub fn charges_by_smpp(&self) -> bool {
        self.smpp.is_some() && self.camara.is_none() && self.http.is_none()
    }
}

/// How a carrier charges over SMPP, and what its answers mean.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmppProfile {
    /// `host:port` of the SMSC.
    pub address: String,
    /// A second address of the SMSC, in turn with the first after a failure.
    #[serde(default)]
    pub fallback_address: Option<String>,
    /// TLS around the links; in the clear if left out.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    /// The version of SMPP that we bind with.
    #[serde(default)]
    pub interface_version: InterfaceVersion,
    /// Our name at the SMSC.
    pub system_id: String,
    /// The file that holds the password and nothing else; a trailing line end is passed over.
    pub password_file: PathBuf,
    /// `system_type` of the bind, where the SMSC wants one.
    #[serde(default)]
    pub system_type: String,
    /// The binds; one transceiver if left out.
    #[serde(default)]
    pub binds: Vec<BindConfig>,
    /// Requests that may wait for their response at once, on each bind.
    #[serde(default = "defaults::window")]
    pub window: u16,
    /// Messages a second that the contract allows on all binds together, charges and texts.
    #[serde(default = "defaults::tps")]
    pub tps: u32,
    /// After this long without a response a request is in doubt, in milliseconds.
    #[serde(default = "defaults::response_timeout_ms")]
    pub response_timeout_ms: u64,
    /// After this long without a byte from the SMSC we ask whether it is there, in milliseconds.
    #[serde(default = "defaults::enquire_after_ms")]
    pub enquire_after_ms: u64,
    /// The longest pause between two tries to connect, in milliseconds.
    #[serde(default = "defaults::reconnect_ms_max")]
    pub reconnect_ms_max: u64,
    /// How long the SMSC keeps a bind of ours that it believes alive, in milliseconds; waited out on "already bound" (0x05).
    #[serde(default = "defaults::already_bound_wait_ms")]
    pub already_bound_wait_ms: u64,
    /// When a carrier that answers nothing is left alone for a while.
    #[serde(default)]
    pub breaker: BreakerProfile,
    /// When the contract says that the money is taken. Needed to charge by SMPP.
    #[serde(default)]
    pub charged_at: Option<ChargedAt>,
    /// How long a request may travel inside the carrier before its absence means anything (M5), in milliseconds.
    #[serde(default = "defaults::in_flight_delay_ms")]
    pub in_flight_delay_ms: u64,
    /// Whether and when `query_sm` is asked for what is in doubt and has a message id.
    #[serde(default)]
    pub query: Option<QuerySchedule>,
    /// How message ids are written.
    #[serde(default)]
    pub message_id: MessageIdForm,
    /// What `data_coding` 0 means, both ways.
    #[serde(default)]
    pub default_alphabet: DefaultAlphabet,
    /// How a text travels that does not fit one segment. A charged message is never split.
    #[serde(default)]
    pub long_messages: LongMessages,
    /// Whether `user_message_reference` goes with each request.
    #[serde(default = "defaults::yes")]
    pub user_message_reference: bool,
    /// Whether `validity_period` carries the ticket deadline, so that a phone that is switched off is not charged at night.
    #[serde(default = "defaults::yes")]
    pub validity_period: bool,
    /// Whether a receipt is believed that nothing marks as one but its words. A passenger can write such words: only for a
    /// carrier that has no better way, and never for one whose message ids can be guessed.
    #[serde(default)]
    pub receipts_by_text_alone: bool,
    /// What vendor statuses mean, over the rows of the specification: `0x450 = { rejected = "insufficient_balance" }`.
    #[serde(default)]
    pub statuses: BTreeMap<String, Meaning>,
    /// What `err` of a receipt says about a refusal: `"050" = "insufficient_balance"`. Compared without regard to case.
    #[serde(default)]
    pub errs: BTreeMap<String, Reason>,
    /// What receipt states mean for the money, over the table of the contract kind.
    #[serde(default)]
    pub stats: BTreeMap<String, StatMeaning>,
    /// How a fare travels: the first row that fits an amount. To charge by SMPP, every fare must have one.
    #[serde(default)]
    pub tariffs: Vec<TariffConfig>,
    /// How money goes back, where the contract says that it can. Without it, what has to go back is owed.
    #[serde(default)]
    pub refund: Option<RefundProfile>,
}

/// How a text travels that does not fit one segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LongMessages {
    /// In parts, each with a user data header: every SMSC passes it on, every phone puts it together. Its number has sixteen bits.
    #[default]
    Udh,
    /// The same with the older header, whose number has eight bits: for an SMSC that does not pass the other on. Of 256 texts to one
    /// phone, two share a number, and the phone may mix their parts.
    Udh8,
    /// In parts, told by the SAR parameters (SMPP 3.4, 5.3.2.22 to 24): for an SMSC that writes the headers itself.
    Sar,
    /// Whole, in `message_payload` (SMPP 3.4, 5.3.2.32): for an SMSC that splits by itself.
    Payload,
}

/// When the contract says that the money is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChargedAt {
    /// With the SMSC's positive response.
    Submission,
    /// With the delivery of the message to the phone.
    Delivery,
}

/// What a `command_status` means for the charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Meaning {
    /// It did not happen, for good.
    Rejected(Reason),
    /// It did not happen; again, with back-off.
    Busy,
    /// It did not happen; the session is at fault.
    SessionFault,
    /// The carrier says that it was asked before (M6).
    Duplicate,
    /// Nobody knows.
    InDoubt,
}

/// What a receipt's state means for the charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatMeaning {
    /// The money was taken.
    Charged,
    /// It did not happen.
    Rejected,
    /// Nothing new.
    Nothing,
}

impl SmppProfile {
    /// What of the contract is copied into every attempt.
    pub fn contract(&self) -> Contract {
        // Without a section for it no refund can be asked for; what goes back stands on the refund list.
        Contract {
            in_flight_delay_ms: self.in_flight_delay_ms,
            queries: self.query,
            queries_by_carrier_id: true,
            queries_refunds: self.refund.is_some() && self.query.is_some(),
            can_refund: self.refund.is_some(),
            refund_message: self.refund.as_ref().map(RefundProfile::message),
            replays_keys: false,
            reservation_ms: None,
            fee: None,
        }
    }

    /// After this long without a response a request is in doubt.
    pub fn response_timeout(&self) -> Duration {
        Duration::from_millis(self.response_timeout_ms)
    }

    /// What is wrong with the profile of a carrier that charges by it, each with its key; empty if nothing is.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.problems_of_links();
        if self.charged_at.is_none() {
            problems.push("charged_at: \"submission\" or \"delivery\", or nobody knows when the money is taken".into());
        }
        if self.tariffs.is_empty() {
            problems.push("tariffs: at least one, or nothing can be charged".into());
        }
        for problem in self.tariffs.iter().enumerate().filter_map(|(n, tariff)| tariff.problem_of_charge(n)) {
            problems.push(problem);
        }
        if let Some(refund) = &self.refund {
            problems.extend(refund.problems(self).into_iter().map(|problem| format!("refund.{problem}")));
        }
        problems
    }

    /// What is wrong with the profile of a carrier that only sends and receives by it.
    pub fn link_only_problems(&self) -> Vec<String> {
        let mut problems = self.problems_of_links();
        if self.refund.is_some() {
            problems.push("refund: this carrier does not charge by SMPP, so it gives nothing back by it either".into());
        }
        problems
    }

    fn problems_of_links(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut check = |fine: bool, problem: &str| {
            if !fine {
                problems.push(problem.to_string());
            }
        };
        check((1..=15).contains(&self.system_id.len()), "system_id: 1 to 15 characters (SMPP 3.4, 5.2.1)");
        check(self.system_type.len() <= 12, "system_type: at most 12 characters (SMPP 3.4, 5.2.3)");
        check((1..=1_000).contains(&self.window), "window: 1 to 1000");
        check((1..=100_000).contains(&self.tps), "tps: 1 to 100000");
        check(self.response_timeout_ms >= 100, "response_timeout_ms: at least 100");
        check(self.enquire_after_ms >= 100, "enquire_after_ms: at least 100");
        for key in self.statuses.keys() {
            check(parse_status(key).is_some(), &format!("statuses.{key}: want a status such as \"0x450\" or \"1104\""));
        }
        for key in self.stats.keys() {
            let known = MessageState::from_stat(key) != MessageState::Unrecognised;
            check(known, &format!("stats.{key}: want a state such as \"UNDELIV\""));
        }
        problems.extend(self.link_problems());
        for (n, tariff) in self.tariffs.iter().enumerate() {
            problems.extend(
                tariff.problems(self.interface_version).into_iter().map(|problem| format!("tariffs[{n}].{problem}")),
            );
        }
        problems
    }
}

/// `0x450` or `1104`.
pub(super) fn parse_status(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

mod defaults {
    use super::{Currency, Language};

    pub(super) fn language() -> Language {
        Language::Ru
    }
    pub(super) fn currency() -> Currency {
        Currency::Kzt
    }
    pub(super) fn time_zone() -> String {
        "Asia/Almaty".into()
    }
    pub(super) fn settlement_lag_seconds() -> u64 {
        86_400
    }
    pub(super) fn window() -> u16 {
        10
    }
    pub(super) fn tps() -> u32 {
        50
    }
    pub(super) fn response_timeout_ms() -> u64 {
        10_000
    }
    pub(super) fn enquire_after_ms() -> u64 {
        30_000
    }
    pub(super) fn reconnect_ms_max() -> u64 {
        30_000
    }
    pub(super) fn already_bound_wait_ms() -> u64 {
        60_000
    }
    pub(super) fn in_flight_delay_ms() -> u64 {
        60_000
    }
    pub(super) fn yes() -> bool {
        true
    }
}
