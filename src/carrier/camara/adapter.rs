//! A carrier that charges over CAMARA: the requests that move money.

use std::{fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use metrics::counter;
use reqwest::header::{ACCEPT, HeaderValue};
use tokio::sync::Semaphore;
use tracing::{error, warn};
use zeroize::Zeroizing;

use super::{
    clock::CarrierClock,
    event,
    lists::Lists,
    meaning::{Meanings, Operation},
    message::{self, Payment, below},
    profile::CamaraProfile,
    secrets::CamaraSecrets,
};
use crate::{
    carrier::{
        Callback, CallbackRequest, NoSlot, Refusal, SetupError, Standing, Urgency, transcript,
        web::{
            Answer, Gate, GateConfig, Lost, NotSent, Outcome, TokenConfig, TokenSource, WebClient, WebClientConfig,
            WebRequest, WebSlot,
        },
    },
    charge::{Attempt, CarrierName, Charge, Contract, Doubt, Evidence, EvidenceSource, Finding, Reference},
    money::{Currency, Money},
};

/// Questions at once, but for lists. They use the contract's rate as charges do: with thousands in doubt, passengers who wait now
/// would wait for all of them.
const QUESTIONS_MAX: usize = 8;
/// A page of a list is longer than any other answer.
const BODY_BYTES_MAX: usize = 512 * 1_024;

/// A carrier that charges over CAMARA. Clones share its connections, token and send slots.
#[derive(Clone)]
pub struct CamaraCarrier(pub(super) Arc<Inner>);

pub(super) struct Inner {
    name: CarrierName,
    currency: Currency,
    profile: CamaraProfile,
    pub(super) meanings: Meanings,
    client: WebClient,
    tokens: TokenSource,
    pub(super) gate: Gate,
    pub(super) callback_tokens: ArcSwap<Vec<Zeroizing<String>>>,
    pub(super) questions: Semaphore,
    pub(super) clock: CarrierClock,
    pub(super) lists: Lists,
}

impl fmt::Debug for CamaraCarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CamaraCarrier({})", self.0.name)
    }
}

/// The list of payments has other subscribers' too: of it only ours is written down.
pub(super) const LIST: &str = "list";

impl CamaraCarrier {
    /// Ready to charge; nothing is sent yet. Needs a tokio runtime.
    ///
    /// Errors: a configuration that cannot work, named by its key.
    pub fn open(
        name: CarrierName,
        currency: Currency,
        profile: CamaraProfile,
        secrets: &CamaraSecrets,
    ) -> Result<CamaraCarrier, SetupError> {
        let wrong =
            |problem: String| SetupError::Config { carrier: name.clone(), problem: format!("camara.{problem}") };
        if let Some(problem) = profile.problems().into_iter().next() {
            return Err(wrong(problem));
        }
        if profile.sink.is_some() && !secrets.callback_tokens.iter().any(|token| is_token(token)) {
            return Err(wrong("callback_token_files: no token in them that fits a header".into()));
        }
        let client = WebClientConfig {
            connect_timeout: Duration::from_millis(profile.connect_timeout_ms),
            timeout: profile.response_timeout(),
            idle_timeout: Duration::from_millis(profile.idle_timeout_ms),
            idle_max: profile.concurrency.into(),
            body_bytes_max: BODY_BYTES_MAX,
            server_name: profile.tls.as_ref().and_then(|tls| tls.server_name.clone()),
            ..WebClientConfig::new(name.clone())
        };
        let client = WebClient::new(client, secrets.tls.as_ref()).map_err(|error| wrong(format!("tls: {error}")))?;
        let token = TokenConfig {
            url: (*profile.token.url).clone(),
            client_id: profile.token.client_id.clone(),
            authentication: profile.token.authentication,
            scope: profile.token.scope.clone(),
            refresh_ahead: Duration::from_millis(profile.token.refresh_ahead_ms),
        };
        let gate = GateConfig {
            concurrency: profile.concurrency,
            breaker: profile.breaker.clone(),
            ..GateConfig::new(profile.tps)
        };
        Ok(CamaraCarrier(Arc::new(Inner {
            meanings: Meanings::new(&profile),
            tokens: TokenSource::new(client.clone(), token, secrets.client_secret.clone()),
            client,
            gate: Gate::new(name.clone(), &gate),
            callback_tokens: ArcSwap::from_pointee(secrets.callback_tokens.clone()),
            questions: Semaphore::new(QUESTIONS_MAX),
            clock: CarrierClock::default(),
            lists: Lists::default(),
            name,
            currency,
            profile,
        })))
    }

    /// Puts in force what of a new configuration can be without a restart: the secret for the next token, the callback tokens and
    /// the rate at once, certificates from the next connection on.
    ///
    /// Errors: what cannot be used, named by its key; it stays as it was.
    pub fn reload(&self, profile: &CamaraProfile, secrets: &CamaraSecrets) -> Result<(), SetupError> {
        self.0.client.replace_tls(secrets.tls.as_ref()).map_err(|error| SetupError::Config {
            carrier: self.0.name.clone(),
            problem: format!("camara.tls: {error}"),
        })?;
        self.0.tokens.set_secret(secrets.client_secret.clone());
        self.0.callback_tokens.store(Arc::new(secrets.callback_tokens.clone()));
        self.0.gate.set_tps(profile.tps);
        Ok(())
    }

    /// The name in the configuration.
    pub fn name(&self) -> &CarrierName {
        &self.0.name
    }

    /// How it was configured.
    pub fn profile(&self) -> &CamaraProfile {
        &self.0.profile
    }

    /// What the contract says, to be copied into each attempt.
    pub fn contract(&self) -> Contract {
        self.0.profile.contract()
    }

    /// How it stands now.
    pub fn standing(&self) -> Standing {
        self.0.gate.standing()
    }

    /// How long it takes to know that the money was taken, nearly always, as measured: in two steps that is three answers.
    pub fn expected_answer(&self) -> Duration {
        let answers = if self.0.profile.two_step { 3 } else { 1 };
        (self.0.gate.expected_answer() * answers).min(self.0.profile.response_timeout())
    }

    /// Sends nothing new from now on, or goes on.
    pub fn set_paused(&self, paused: bool) {
        self.0.gate.set_paused(paused);
    }

    pub(in crate::carrier) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// Whether this amount can be charged: any in the carrier's currency. An amount of nothing, as a test number's, is charged
    /// without a request: the specification has no payment of nothing.
    pub fn has_tariff(&self, amount: Money) -> bool {
        amount.currency == self.0.currency && amount.minor >= 0
    }

    /// What the attempt with this number is to be told by: the charge's reference and the number.
    pub fn wire_reference(&self, charge: Reference, attempt: u16) -> String {
        event::wire_reference(charge, attempt)
    }

    /// A send slot, if a request may go this instant.
    pub fn try_reserve(&self) -> Option<WebSlot> {
        self.0.gate.try_reserve()
    }

    /// Waits for a send slot within `patience`. Errors: there was none, or there will be none.
    pub async fn reserve(&self, patience: Duration, urgency: Urgency) -> Result<WebSlot, NoSlot> {
        self.0.gate.reserve(patience, urgency).await
    }

    /// Sends nothing new, and waits for what is under way.
    pub async fn shut_down(&self) {
        // With a token to be got first, a request can take two time-outs.
        self.0.gate.shut_down(self.0.profile.response_timeout() * 2).await;
    }

    /// Takes the money, or reserves it, for an attempt that must be durable (M1): `createPayment` or `preparePayment`. Always
    /// ends: with an answer, or with doubt.
    pub async fn charge(&self, slot: WebSlot, charge: &Charge, attempt: &Attempt) -> Evidence {
        let number = attempt.number;
        if charge.order.amount.minor == 0 {
            let finding = Finding::Charged { carrier_id: None, amount: Some(charge.order.amount) };
            return Evidence { id: format!("free:{number}"), attempt: number, source: EvidenceSource::Link, finding };
        }
        let tokens = self.0.callback_tokens.load_full();
        let token = tokens.first().map(|token| token.as_str());
        let body = message::create_payment(&self.0.profile, token, charge, attempt);
        let segments: &[&str] = if attempt.has_two_steps() { &["payments", "prepare"] } else { &["payments"] };
        let operation = if attempt.has_two_steps() { "prepare" } else { "charge" };
        let outcome = self.post(operation, segments, body, &attempt.wire_reference).await;
        slot.settle(&outcome);
        let evidence = match &outcome {
            Outcome::NotSent(why) => {
                self.log_not_sent(why);
                let id = format!("link:{number}:{}", why.code());
                Evidence { id, attempt: number, source: EvidenceSource::Link, finding: Finding::NotSent }
            }
            Outcome::Lost(why) => {
                let (id, finding) = (format!("link:{number}:{}", why.code()), Finding::Doubtful { cause: doubt(why) });
                Evidence { id, attempt: number, source: EvidenceSource::Link, finding }
            }
            Outcome::Answer(answer) => {
                let finding = self.of_taking(answer, charge, attempt);
                let id = format!("response:{number}:{}", answer.status);
                Evidence { id, attempt: number, source: EvidenceSource::Response, finding }
            }
        };
        let finding = evidence.finding.code();
        counter!("carrier_charge_answers_total", "carrier" => self.0.name.to_string(), "finding" => finding)
            .increment(1);
        evidence
    }

    /// Reads an event, and whether it is to be believed at all. Errors: it is not; nothing may come of it.
    pub fn callback(&self, request: &CallbackRequest<'_>) -> Result<Callback, Refusal> {
        event::read(&self.0.name, &self.0.callback_tokens.load(), &self.0.meanings, request)
    }

    fn of_taking(&self, answer: &Answer, charge: &Charge, attempt: &Attempt) -> Finding {
        if !is_success(answer.status) {
            return self.0.meanings.of_error(Operation::Take, answer.status, &answer.body);
        }
        let read = serde_json::from_slice::<Payment>(&answer.body).map_err(|error| message::unreadable(&error));
        let finding = read.and_then(|payment| self.0.meanings.of_payment(&payment, charge, attempt));
        finding.unwrap_or_else(|why| {
            self.log_unclear(charge, "payment", &why);
            Finding::Doubtful { cause: Doubt::UnclearAnswer }
        })
    }

    /// A POST below the billing interface.
    pub(super) async fn post(
        &self,
        operation: &'static str,
        segments: &[&str],
        body: Vec<u8>,
        correlator: &str,
    ) -> Outcome {
        let url = below(&self.0.profile.billing_url, segments);
        let mut request = WebRequest::post(operation, url, "application/json", body);
        correlate(&mut request, correlator);
        self.request(request).await
    }

    /// Any request, with an access token. What bills also tells the time; the other interfaces may stand elsewhere.
    pub(super) async fn request(&self, mut request: WebRequest) -> Outcome {
        request.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let operation = request.operation;
        let bills = request.url.as_str().starts_with(below(&self.0.profile.billing_url, &["payments"]).as_str());
        let outcome = self.0.client.send_authorised(request, &self.0.tokens).await;
        if let Outcome::Answer(answer) = &outcome
            && bills
        {
            self.0.clock.hear(answer);
        }
        if let Outcome::Answer(answer) = &outcome
            && (operation != LIST || !is_success(answer.status))
        {
            // The carrier was given a token to call with, and may repeat what it was given.
            let tokens = self.0.callback_tokens.load();
            let hide = |body| tokens.iter().fold(body, |body, token| transcript::without(body, token));
            transcript::note_http(operation, answer.status, &answer.body, hide);
        }
        outcome
    }

    pub(super) fn log_not_sent(&self, why: &NotSent) {
        match why {
            NotSent::Tls(_) | NotSent::Token(_) | NotSent::Request(_) => {
                error!(carrier = %self.0.name, %why, "nothing can be sent to the carrier");
            }
            NotSent::Resolve(_) | NotSent::Connect(_) => warn!(carrier = %self.0.name, %why, "not sent"),
        }
    }

    /// An answer that cannot be what it should be: somebody must look.
    pub(super) fn log_unclear(&self, charge: &Charge, kind: &'static str, why: &str) {
        counter!("carrier_unreadable_total", "carrier" => self.0.name.to_string(), "kind" => kind).increment(1);
        error!(carrier = %self.0.name, charge = %charge.reference, kind, why, "an answer that cannot be ours, or cannot be read");
    }
}

/// Names the exchange in the carrier's logs.
pub(super) fn correlate(request: &mut WebRequest, correlator: &str) {
    if let Ok(value) = HeaderValue::from_str(correlator) {
        request.headers.insert("x-correlator", value);
    }
}

pub(super) const fn is_success(status: u16) -> bool {
    matches!(status, 200..=299)
}

pub(super) const fn doubt(lost: &Lost) -> Doubt {
    match lost {
        Lost::Timeout => Doubt::Timeout,
        Lost::Reset(_) => Doubt::LinkLost,
        Lost::BodyTooLarge { .. } | Lost::Unreadable(_) => Doubt::UnclearAnswer,
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}
