use std::{fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use bytes::Bytes;
use jiff::tz::TimeZone;
use metrics::counter;
use reqwest::StatusCode;
use tokio::sync::Semaphore;
use tracing::{error, warn};
use zeroize::Zeroizing;

use super::{
    Context, HttpProfile, HttpSecrets, Operation, PortabilityReading, Profile, Reading, RenderError, Request,
    SubscriberReading,
};
use crate::{
    carrier::{
        Callback, CallbackRequest, NoSlot, Refusal, SetupError, Standing, Urgency, transcript,
        web::{
            Gate, GateConfig, Lost, NotSent, Outcome, TokenConfig, TokenSource, WebClient, WebClientConfig, WebRequest,
            WebSlot,
        },
    },
    charge::{
        Attempt, CarrierName, Charge, Contract, Doubt, Evidence, EvidenceSource, Finding, Reason, Reference, Refund,
        Retry,
    },
    msisdn::Msisdn,
    process,
};

/// How long a question may wait for its slot.
const QUERY_PATIENCE: Duration = Duration::from_secs(10);
/// Questions at once. They use the contract's rate as charges do: with thousands in doubt, passengers who wait now would wait for
/// all of them.
const QUERIES_MAX: usize = 8;
/// Those who may wait for a send slot.
const WAITING_MAX: usize = 10_000;
/// So long before a token ends a new one is got.
const REFRESH_AHEAD: Duration = Duration::from_secs(60);
/// Characters of a result that go into the name of a piece of evidence.
const NAMED_CHARS_MAX: usize = 64;

/// A carrier that charges over a private HTTP interface, as its profile says. Clones share its connections.
#[derive(Clone)]
pub struct HttpCarrier(Arc<Inner>);

struct Inner {
    name: CarrierName,
    section: HttpProfile,
    profile: Profile,
    zone: TimeZone,
    client: WebClient,
    tokens: Option<TokenSource>,
    gate: Gate,
    secrets: ArcSwap<HttpSecrets>,
    queries: Semaphore,
}

/// What came of a request.
enum Heard {
    /// An answer, read.
    Reading(StatusCode, Reading),
    /// No byte of it left.
    NotSent,
    /// It may have arrived.
    Lost(Lost),
}

impl fmt::Debug for HttpCarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpCarrier({})", self.0.name)
    }
}

impl HttpCarrier {
    /// Makes the client ready; nothing is sent before it is asked for. `section` is `[carriers.NAME.http]`, `profile` what its file
    /// says, `zone` where the carrier's days are cut. Needs a tokio runtime.
    ///
    /// Errors: a configuration that cannot work, named by its key.
    pub fn open(
        name: CarrierName,
        section: HttpProfile,
        profile: Profile,
        secrets: HttpSecrets,
        zone: TimeZone,
    ) -> Result<HttpCarrier, SetupError> {
        let wrong = |problem: String| SetupError::Config { carrier: name.clone(), problem: format!("http.{problem}") };
        if let Some(problem) = section.problems(&profile).into_iter().next() {
            return Err(wrong(problem));
        }
        check_secrets(&profile, &secrets).map_err(wrong)?;
        let contract = profile.contract();
        let concurrency = section.concurrency.unwrap_or(contract.concurrency);
        let config = WebClientConfig {
            idle_max: concurrency.into(),
            connect_timeout: Duration::from_millis(contract.connect_timeout_ms),
            timeout: Duration::from_millis(contract.timeout_ms),
            body_bytes_max: super::BODY_BYTES_MAX,
            server_name: section.tls.as_ref().and_then(|tls| tls.server_name.clone()),
            ..WebClientConfig::new(name.clone())
        };
        let client = WebClient::new(config, secrets.tls()).map_err(|error| wrong(format!("tls: {error}")))?;
        let tokens = tokens(&profile, &client, &secrets).map_err(wrong)?;
        let gate = GateConfig {
            tps: section.tps.unwrap_or(contract.tps),
            concurrency,
            breaker: contract.breaker.clone(),
            waiting_max: WAITING_MAX,
        };
        let gate = Gate::new(name.clone(), &gate);
        let queries = Semaphore::new(QUERIES_MAX);
        let secrets = ArcSwap::from_pointee(secrets);
        Ok(HttpCarrier(Arc::new(Inner { name, section, profile, zone, client, tokens, gate, secrets, queries })))
    }

    /// Puts in force what can be without a restart: secrets and certificates for the next request, the rate at once.
    ///
    /// Errors: what cannot be used, named by its key; it stays as it was.
    pub fn reload(&self, section: &HttpProfile, secrets: HttpSecrets) -> Result<(), SetupError> {
        let wrong =
            |problem: String| SetupError::Config { carrier: self.0.name.clone(), problem: format!("http.{problem}") };
        check_secrets(&self.0.profile, &secrets).map_err(wrong)?;
        self.0.client.replace_tls(secrets.tls()).map_err(|error| wrong(format!("tls: {error}")))?;
        if let (Some(tokens), Some(oauth2)) = (&self.0.tokens, self.0.profile.oauth2()) {
            tokens.set_secret(Zeroizing::new(secrets.get(oauth2.client_secret).unwrap_or_default().to_owned()));
        }
        self.0.gate.set_tps(section.tps.unwrap_or(self.0.profile.contract().tps));
        self.0.secrets.store(Arc::new(secrets));
        Ok(())
    }

    /// The name in the configuration.
    pub fn name(&self) -> &CarrierName {
        &self.0.name
    }

    /// The section of the configuration.
    pub fn config(&self) -> &HttpProfile {
        &self.0.section
    }

    /// How its interface is spoken.
    pub fn profile(&self) -> &Profile {
        &self.0.profile
    }

    /// What the contract says, to be copied into each attempt.
    pub fn contract(&self) -> Contract {
        self.0.profile.contract().attempt
    }

    /// How it stands now.
    pub fn standing(&self) -> Standing {
        self.0.gate.standing()
    }

    /// How long an answer takes, nearly always, as measured.
    pub fn expected_answer(&self) -> Duration {
        self.0.gate.expected_answer().min(Duration::from_millis(self.0.profile.contract().timeout_ms))
    }

    /// Sends nothing new from now on, or goes on. What is under way is still answered.
    pub fn set_paused(&self, paused: bool) {
        self.0.gate.set_paused(paused);
    }

    pub(in crate::carrier) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// What attempt `number` of the charge is to be told by: the same each time, and read back from a callback.
    pub fn wire_reference(&self, charge: Reference, number: u16) -> String {
        self.0.profile.wire_references().write(charge, number)
    }

    /// A send slot, if one is free this instant.
    pub fn try_reserve(&self) -> Option<WebSlot> {
        self.0.gate.try_reserve()
    }

    /// Waits for a send slot within `patience`. Errors: there was none, or there will be none.
    pub async fn reserve(&self, patience: Duration, urgency: Urgency) -> Result<WebSlot, NoSlot> {
        self.0.gate.reserve(patience, urgency).await
    }

    /// Sends the attempt, which must be durable (M1): takes the money, or holds it where the attempt has two steps. Always ends: with
    /// an answer, or with doubt. Sent again, it is the same bytes (M4).
    pub async fn charge(&self, slot: WebSlot, charge: &Charge, attempt: &Attempt) -> Evidence {
        let operation = if attempt.has_two_steps() { Operation::Reserve } else { Operation::Charge };
        let heard = self.exchange(slot, operation, &self.context(charge, attempt)).await;
        let number = attempt.number;
        let (id, source) = match &heard {
            Heard::NotSent => (format!("link:{number}:not_sent"), EvidenceSource::Link),
            Heard::Lost(lost) => (format!("link:{number}:{}", lost.code()), EvidenceSource::Link),
            Heard::Reading(status, reading) => {
                let named = |text: &Option<String>| -> String {
                    text.iter().flat_map(|text| text.chars()).take(NAMED_CHARS_MAX).collect()
                };
                let (result, carrier_id) = (named(&reading.result), named(&reading.carrier_id));
                (format!("response:{number}:{}:{result}:{carrier_id}", status.as_u16()), EvidenceSource::Response)
            }
        };
        let finding = heard.finding();
        counter!("carrier_charge_answers_total", "carrier" => self.0.name.to_string(), "finding" => finding.code())
            .increment(1);
        Evidence { id, attempt: number, source, finding }
    }

    /// Has the carrier take what it holds for this attempt.
    pub async fn confirm(&self, slot: WebSlot, charge: &Charge, attempt: &Attempt) -> Finding {
        self.exchange(slot, Operation::Confirm, &self.context(charge, attempt)).await.finding()
    }

    /// Has the carrier give up what it holds for this attempt.
    pub async fn cancel(&self, slot: WebSlot, charge: &Charge, attempt: &Attempt) -> Finding {
        self.exchange(slot, Operation::Cancel, &self.context(charge, attempt)).await.finding()
    }

    /// Passes on the one-time password that the subscriber has entered. [`Finding::OtpNeeded`] if it was not right; nothing new if it
    /// did not get through, and then it can be entered again.
    pub async fn validate(&self, slot: WebSlot, charge: &Charge, attempt: &Attempt, otp: &str) -> Finding {
        let context = Context { otp: Some(otp), ..self.context(charge, attempt) };
        match self.exchange(slot, Operation::Validate, &context).await.finding() {
            Finding::NotSent => Finding::Nothing,
            finding => finding,
        }
    }

    /// Asks for the status of an attempt. `None` where the carrier cannot be asked: the profile has no `status`, or asks by an id that
    /// is not known. An error of the query itself is [`Finding::Nothing`] (M8).
    pub async fn query(&self, charge: &Charge, attempt: &Attempt) -> Option<Finding> {
        match self.ask(Operation::Status, &self.context(charge, attempt)).await? {
            // One attempt is asked about, and another may have followed it in the time that is lost.
            Finding::NotFound { asked_at, .. } if attempt.was_lost_sight_of() => {
                Some(Finding::NotFound { complete: false, asked_at })
            }
            finding => Some(finding),
        }
    }

    /// Has the carrier give money back. [`Finding::Charged`] means that it went back; a definite no is also said of what cannot be
    /// asked for here, because the profile has no refund or the payment's id is not known: a person has to give that back.
    pub async fn refund(&self, slot: WebSlot, charge: &Charge, refund: &Refund) -> Finding {
        let Some(context) = self.refund_context(charge, refund) else { return Finding::NotSent };
        match self.0.profile.render(Operation::Refund, &context, &self.0.secrets.load()) {
            Ok(request) => self.exchange_request(slot, Operation::Refund, &context, request).await.finding(),
            Err(error @ (RenderError::NotOffered(_) | RenderError::NotKnown { .. })) => {
                let (reason, detail) = (Reason::CarrierRefused, error.to_string());
                Finding::Rejected { reason, retry: Retry::Never, detail }
            }
            Err(error) => {
                self.complain(Operation::Refund, &context, &error);
                Finding::NotSent
            }
        }
    }

    /// Asks what became of a refund. `None` where the carrier cannot be asked.
    pub async fn query_refund(&self, charge: &Charge, refund: &Refund) -> Option<Finding> {
        self.ask(Operation::RefundStatus, &self.refund_context(charge, refund)?).await
    }

    /// Reads a callback, and whether it is to be believed at all. Errors: it is not; nothing may come of it.
    pub fn callback(&self, request: &CallbackRequest<'_>) -> Result<Callback, Refusal> {
        self.0.profile.read_callback(&self.0.name, request, &self.0.secrets.load())
    }

    /// Asks what is known of a subscriber, within `patience` for a slot and the profile's time-outs.
    pub async fn subscriber(&self, msisdn: Msisdn, patience: Duration) -> SubscriberReading {
        let context = Context::of_number(msisdn, &self.0.zone);
        match self.look_up(Operation::Subscriber, &context, patience).await {
            Ok((status, body)) => self.0.profile.read_subscriber(&context, status, &body),
            Err(why) => SubscriberReading::Unclear(why),
        }
    }

    /// Asks whose subscriber a number is, within `patience` for a slot and the profile's time-outs.
    pub async fn portability(&self, msisdn: Msisdn, patience: Duration) -> PortabilityReading {
        let context = Context::of_number(msisdn, &self.0.zone);
        match self.look_up(Operation::Portability, &context, patience).await {
            Ok((status, body)) => self.0.profile.read_portability(&context, status, &body),
            Err(why) => PortabilityReading::Unclear(why),
        }
    }

    /// Gives no more slots, and waits for what is under way, at most as long as a request may take.
    pub async fn shut_down(&self) {
        self.0.gate.shut_down(Duration::from_millis(self.0.profile.contract().timeout_ms)).await;
    }

    fn context<'a>(&'a self, charge: &'a Charge, attempt: &'a Attempt) -> Context<'a> {
        let callbacks_at = self.0.section.callback_url.as_deref();
        Context { callbacks_at, ..Context::of_attempt(charge, attempt, &self.0.zone) }
    }

    fn refund_context<'a>(&'a self, charge: &'a Charge, refund: &'a Refund) -> Option<Context<'a>> {
        let attempt = refund.attempt.map_or(charge.last_attempt(), |number| charge.attempt(number))?;
        Some(Context { refund: Some(refund), ..self.context(charge, attempt) })
    }

    /// A question about an attempt or a refund. `None` if it cannot be put.
    async fn ask(&self, operation: Operation, context: &Context<'_>) -> Option<Finding> {
        let request = match self.0.profile.render(operation, context, &self.0.secrets.load()) {
            Ok(request) => request,
            Err(RenderError::NotOffered(_) | RenderError::NotKnown { .. }) => return None,
            Err(error) => {
                self.complain(operation, context, &error);
                return None;
            }
        };
        let deadline = process::now() + QUERY_PATIENCE;
        let Ok(Ok(_turn)) = tokio::time::timeout_at(deadline.into(), self.0.queries.acquire()).await else {
            // It asks again when the schedule says so.
            return Some(Finding::Nothing);
        };
        let left = deadline.saturating_duration_since(process::now());
        let Ok(slot) = self.reserve(left, Urgency::Normal).await else { return Some(Finding::Nothing) };
        let slot = slot.for_question();
        Some(match self.exchange_request(slot, operation, context, request).await {
            Heard::Reading(_, reading) => reading.finding,
            // That a question was lost says nothing of what was asked about (M8).
            Heard::NotSent | Heard::Lost(_) => Finding::Nothing,
        })
    }

    /// A question about a number.
    async fn look_up(
        &self,
        operation: Operation,
        context: &Context<'_>,
        patience: Duration,
    ) -> Result<(StatusCode, Bytes), String> {
        let request = self.0.profile.render(operation, context, &self.0.secrets.load());
        let request = request.map_err(|error| error.to_string())?;
        let slot = self.reserve(patience, Urgency::Normal).await.map_err(|error| error.to_string())?.for_question();
        match self.send(slot, operation, request).await {
            Outcome::Answer(answer) => {
                let status = StatusCode::from_u16(answer.status).map_err(|error| error.to_string())?;
                Ok((status, answer.body))
            }
            Outcome::NotSent(why) => Err(why.to_string()),
            Outcome::Lost(why) => Err(why.to_string()),
        }
    }

    async fn exchange(&self, slot: WebSlot, operation: Operation, context: &Context<'_>) -> Heard {
        match self.0.profile.render(operation, context, &self.0.secrets.load()) {
            Ok(request) => self.exchange_request(slot, operation, context, request).await,
            Err(error) => {
                self.complain(operation, context, &error);
                Heard::NotSent
            }
        }
    }

    async fn exchange_request(
        &self,
        slot: WebSlot,
        operation: Operation,
        context: &Context<'_>,
        request: Request,
    ) -> Heard {
        match self.send(slot, operation, request).await {
            Outcome::Answer(answer) => match StatusCode::from_u16(answer.status) {
                Ok(status) => {
                    let reading = self.0.profile.read(operation, context, status, &answer.body);
                    if let Some(trouble) = &reading.trouble {
                        warn!(carrier = %self.0.name, %operation, status = status.as_u16(), trouble, "an answer is not believed");
                    }
                    Heard::Reading(status, reading)
                }
                Err(_) => Heard::Lost(Lost::Unreadable(format!("status {}", answer.status))),
            },
            Outcome::NotSent(_) => Heard::NotSent,
            Outcome::Lost(why) => Heard::Lost(why),
        }
    }

    async fn send(&self, slot: WebSlot, operation: Operation, request: Request) -> Outcome {
        let request = WebRequest {
            operation: operation.code(),
            method: request.method,
            url: request.url,
            headers: request.headers,
            body: request.body.unwrap_or_default(),
        };
        let outcome = match &self.0.tokens {
            Some(tokens) => self.0.client.send_authorised(request, tokens).await,
            None => self.0.client.send(request).await,
        };
        if let Outcome::NotSent(why @ (NotSent::Tls(_) | NotSent::Token(_))) = &outcome {
            warn!(carrier = %self.0.name, %operation, %why, "nothing was sent");
        }
        if let Outcome::Answer(answer) = &outcome {
            let hide = |body| self.0.secrets.load().without(body);
            transcript::note_http(operation.code(), answer.status, &answer.body, hide);
        }
        slot.settle(&outcome);
        outcome
    }

    fn complain(&self, operation: Operation, context: &Context<'_>, error: &RenderError) {
        let charge = context.attempt.map(|(charge, _)| charge.reference.to_string()).unwrap_or_default();
        error!(carrier = %self.0.name, charge, %operation, %error, "a request cannot be made");
    }
}

impl Heard {
    fn finding(self) -> Finding {
        match self {
            Heard::Reading(_, reading) => reading.finding,
            Heard::NotSent => Finding::NotSent,
            Heard::Lost(Lost::Timeout) => Finding::Doubtful { cause: Doubt::Timeout },
            Heard::Lost(Lost::Reset(_)) => Finding::Doubtful { cause: Doubt::LinkLost },
            Heard::Lost(Lost::BodyTooLarge { .. } | Lost::Unreadable(_)) => {
                Finding::Doubtful { cause: Doubt::UnclearAnswer }
            }
        }
    }
}

/// A secret that is empty proves nothing. Errors: which one it is, by its key.
fn check_secrets(profile: &Profile, secrets: &HttpSecrets) -> Result<(), String> {
    let missing = profile.secrets().find(|name| secrets.get(name).is_none_or(str::is_empty));
    missing.map_or(Ok(()), |name| Err(format!("secret_files.{name}: the profile needs this secret")))
}

fn tokens(profile: &Profile, client: &WebClient, secrets: &HttpSecrets) -> Result<Option<TokenSource>, String> {
    let Some(oauth2) = profile.oauth2() else { return Ok(None) };
    let config = TokenConfig {
        url: oauth2.token_url.parse().map_err(|error| format!("profile: token_url: {error}"))?,
        client_id: oauth2.client_id.to_owned(),
        authentication: oauth2.authentication,
        scope: oauth2.scope.map(str::to_owned),
        refresh_ahead: REFRESH_AHEAD,
    };
    let secret = Zeroizing::new(secrets.get(oauth2.client_secret).unwrap_or_default().to_owned());
    Ok(Some(TokenSource::new(client.clone(), config, secret)))
}
