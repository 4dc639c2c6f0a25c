//! How a carrier charges over CAMARA: configuration.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    carrier::{
        BreakerProfile, TlsConfig,
        web::{ClientAuthentication, WebAddress},
    },
    charge::{Contract, QuerySchedule, Reason},
};

/// How a carrier charges over CAMARA, and what its answers mean.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CamaraProfile {
    /// Carrier Billing, with its base path: `https://api.example.kz/carrier-billing/v0.5`.
    pub billing_url: WebAddress,
    /// Carrier Billing Refund: `https://api.example.kz/carrier-billing-refund/v0.3`. Without it no refund can be asked for.
    #[serde(default)]
    pub refund_url: Option<WebAddress>,
    /// SIM Swap: `https://api.example.kz/sim-swap/v2`.
    #[serde(default)]
    pub sim_swap_url: Option<WebAddress>,
    /// Tenure: `https://api.example.kz/kyc-tenure/v0.2`.
    #[serde(default)]
    pub tenure_url: Option<WebAddress>,
    /// Where access tokens come from.
    pub token: TokenProfile,
    /// TLS to all of these; with what the system trusts if left out.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    /// Whether `http://` is allowed beyond this machine: only where the way is protected otherwise.
    #[serde(default)]
    pub plain_http: bool,
    /// Whether the amount is reserved first (`preparePayment`) and taken by a second request.
    #[serde(default)]
    pub two_step: bool,
    /// How long the carrier holds a reservation, in milliseconds. It tells us by no event when it lets go.
    #[serde(default = "defaults::reservation_ms")]
    pub reservation_ms: u64,
    /// The address of our callback listener for this carrier as the carrier sees it: `https://pay.example.kz/carriers/kcell`.
    /// Without it no events come, and what is under way is asked for.
    #[serde(default)]
    pub sink: Option<WebAddress>,
    /// Files that hold a token each: the carrier calls back with the first, and the others are still taken.
    #[serde(default)]
    pub callback_token_files: Vec<PathBuf>,
    /// How long a connection may take to come about, in milliseconds.
    #[serde(default = "defaults::connect_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// After this long without a whole answer a request is in doubt, in milliseconds.
    #[serde(default = "defaults::response_timeout_ms")]
    pub response_timeout_ms: u64,
    /// After this long without a request a connection is closed, in milliseconds: sooner than the carrier would.
    #[serde(default = "defaults::idle_timeout_ms")]
    pub idle_timeout_ms: u64,
    /// Requests a second that the contract allows, charges and questions.
    #[serde(default = "defaults::tps")]
    pub tps: u32,
    /// Requests that may wait for their answer at once.
    #[serde(default = "defaults::concurrency")]
    pub concurrency: u16,
    /// When a carrier that answers nothing, or cannot be reached, is left alone for a while.
    #[serde(default)]
    pub breaker: BreakerProfile,
    /// How long a request may travel inside the carrier before its absence means anything (M5), in milliseconds.
    #[serde(default = "defaults::in_flight_delay_ms")]
    pub in_flight_delay_ms: u64,
    /// When what is in doubt or still to come is asked for.
    #[serde(default = "defaults::query")]
    pub query: QuerySchedule,
    /// How payments are looked for whose id we never learned.
    #[serde(default)]
    pub list: ListProfile,
    /// What the subscriber's bill shows. `{vehicle}` is the vehicle's code.
    #[serde(default = "defaults::description")]
    pub description: String,
    /// Whether our amounts include the tax, where the contract wants that said.
    #[serde(default)]
    pub tax_included: Option<bool>,
    /// Who we are in the carrier's books.
    #[serde(default)]
    pub merchant: MerchantProfile,
    /// What the carrier's codes and words mean, over the table of the specification: a code, or words that its message or
    /// denial reason contains: `"pending debt" = "credit_debt"`. Compared without regard to case; the longest that fits counts.
    #[serde(default)]
    pub reasons: BTreeMap<String, Reason>,
    /// What a denial means of which nothing in `reasons` is known.
    #[serde(default = "defaults::denied")]
    pub denied: Reason,
}

/// Where access tokens come from: OAuth 2.0 client credentials.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenProfile {
    /// The token endpoint.
    pub url: WebAddress,
    /// Our name there.
    pub client_id: String,
    /// The file that holds the secret and nothing else; a trailing line end is passed over.
    pub client_secret_file: PathBuf,
    /// How the secret is shown.
    #[serde(default)]
    pub authentication: ClientAuthentication,
    /// The scopes asked for, separated by spaces.
    #[serde(default)]
    pub scope: Option<String>,
    /// So long before a token ends a new one is got, in milliseconds.
    #[serde(default = "defaults::refresh_ahead_ms")]
    pub refresh_ahead_ms: u64,
}

/// How payments are looked for whose id we never learned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListProfile {
    /// Payments that are asked for in one page.
    pub per_page: u32,
    /// Pages that are read of one window of time. One with more is not listed completely, and says nothing of what it lacks.
    pub pages_max: u32,
    /// How far the dates of payments may be from the `Date` of the carrier's answers, and from the order of the list, in
    /// milliseconds: the window is so much longer at either end.
    pub clock_tolerance_ms: u64,
}

impl Default for ListProfile {
    fn default() -> ListProfile {
        ListProfile { per_page: 100, pages_max: 100, clock_tolerance_ms: 30_000 }
    }
}

/// `chargingMetaData` of every payment; what is left out is not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MerchantProfile {
    /// `merchantName`.
    pub name: Option<String>,
    /// `merchantIdentifier`.
    pub identifier: Option<String>,
    /// `purchaseCategoryCode`.
    pub purchase_category_code: Option<String>,
    /// `channel`.
    pub channel: Option<String>,
    /// `serviceId`.
    pub service_id: Option<String>,
    /// `productId`.
    pub product_id: Option<String>,
}

impl CamaraProfile {
    /// What of the contract is copied into every attempt. Its keys are not replayed: a correlator that was used is refused.
    pub fn contract(&self) -> Contract {
        Contract {
            in_flight_delay_ms: self.in_flight_delay_ms,
            queries: Some(self.query),
            // Without a payment's id, a window of time is listed.
            queries_by_carrier_id: false,
            queries_refunds: self.refund_url.is_some(),
            can_refund: self.refund_url.is_some(),
            refund_message: None,
            replays_keys: false,
            reservation_ms: self.two_step.then_some(self.reservation_ms),
            fee: None,
        }
    }

    /// [`ListProfile::clock_tolerance_ms`].
    pub(super) fn clock_tolerance(&self) -> Duration {
        Duration::from_millis(self.list.clock_tolerance_ms)
    }

    /// After this long without a whole answer a request is in doubt.
    pub fn response_timeout(&self) -> Duration {
        Duration::from_millis(self.response_timeout_ms)
    }

    /// What is wrong with the profile, each with its key; empty if nothing is.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut check = |fine: bool, problem: String| {
            if !fine {
                problems.push(problem);
            }
        };
        let urls = [
            ("billing_url", Some(&self.billing_url)),
            ("refund_url", self.refund_url.as_ref()),
            ("sim_swap_url", self.sim_swap_url.as_ref()),
            ("tenure_url", self.tenure_url.as_ref()),
            ("token.url", Some(&self.token.url)),
            ("sink", self.sink.as_ref()),
        ];
        for (key, url) in urls {
            let Some(url) = url else { continue };
            check(
                self.plain_http || !url.is_exposed(),
                format!("{key}: https, or plain_http = true if the way is protected otherwise"),
            );
            check(url.is_base() || key == "token.url", format!("{key}: without user, query or fragment"));
        }
        check(!self.token.client_id.is_empty(), "token.client_id: our name at the token endpoint".into());
        check(
            self.sink.is_none() || !self.callback_token_files.is_empty(),
            "callback_token_files: with a sink, the token that the carrier calls back with".into(),
        );
        check(self.callback_token_files.len() <= 8, "callback_token_files: at most 8".into());
        let timeouts = 100..=60_000;
        check(timeouts.contains(&self.connect_timeout_ms), "connect_timeout_ms: 100 to 60000".into());
        check(timeouts.contains(&self.response_timeout_ms), "response_timeout_ms: 100 to 60000".into());
        check(
            self.connect_timeout_ms < self.response_timeout_ms,
            "connect_timeout_ms: less than response_timeout_ms, or what was not sent would be in doubt".into(),
        );
        check(
            self.in_flight_delay_ms >= self.response_timeout_ms,
            "in_flight_delay_ms: at least response_timeout_ms: what is waited for is in flight still".into(),
        );
        check(
            self.in_flight_delay_ms <= Contract::IN_FLIGHT_DELAY_MS_MAX,
            format!(
                "in_flight_delay_ms: at most {}, or restarts could keep a doubt open for ever",
                Contract::IN_FLIGHT_DELAY_MS_MAX
            ),
        );
        check(timeouts.contains(&self.idle_timeout_ms), "idle_timeout_ms: 100 to 60000".into());
        check((1..=100_000).contains(&self.tps), "tps: 1 to 100000".into());
        check((1..=1_000).contains(&self.concurrency), "concurrency: 1 to 1000".into());
        check((1..=10_000).contains(&self.breaker.failures_max), "breaker.failures_max: 1 to 10000".into());
        let pauses = 100..=3_600_000;
        check(pauses.contains(&self.breaker.pause_ms), "breaker.pause_ms: 100 to 3600000".into());
        check(pauses.contains(&self.breaker.pause_ms_max), "breaker.pause_ms_max: 100 to 3600000".into());
        check((1..=1_000).contains(&self.list.per_page), "list.per_page: 1 to 1000".into());
        check((1..=1_000).contains(&self.list.pages_max), "list.pages_max: 1 to 1000".into());
        check(self.list.clock_tolerance_ms <= 3_600_000, "list.clock_tolerance_ms: at most 3600000".into());
        check((1_000..=86_400_000).contains(&self.reservation_ms), "reservation_ms: 1000 to 86400000".into());
        check(!self.description.trim().is_empty(), "description: what the subscriber's bill shows".into());
        check(self.reasons.keys().all(|words| !words.trim().is_empty()), "reasons: a code, or words".into());
        if let Some(tls) = &self.tls {
            let both = tls.certificate_file.is_some() == tls.key_file.is_some();
            check(both, "tls: certificate_file and key_file go together".into());
        }
        problems
    }
}

mod defaults {
    use super::{QuerySchedule, Reason};

    pub(super) fn reservation_ms() -> u64 {
        300_000
    }
    pub(super) fn connect_timeout_ms() -> u64 {
        3_000
    }
    pub(super) fn response_timeout_ms() -> u64 {
        10_000
    }
    pub(super) fn idle_timeout_ms() -> u64 {
        20_000
    }
    pub(super) fn tps() -> u32 {
        50
    }
    pub(super) fn concurrency() -> u16 {
        32
    }
    pub(super) fn in_flight_delay_ms() -> u64 {
        60_000
    }
    pub(super) fn query() -> QuerySchedule {
        QuerySchedule { first_after_ms: 2_000, interval_ms_max: 60_000 }
    }
    pub(super) fn description() -> String {
        "Bus {vehicle}".into()
    }
    pub(super) fn refresh_ahead_ms() -> u64 {
        60_000
    }
    pub(super) fn denied() -> Reason {
        Reason::Barred
    }
}
