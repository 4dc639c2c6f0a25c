//! Access tokens by OAuth 2.0 client credentials (RFC 6749, 4.4).

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use data_encoding::BASE64;
use metrics::counter;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use serde::{Deserialize, Serialize};
use tokio::{sync::OwnedMutexGuard, time::Instant};
use tracing::warn;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::{
    client::{WebClient, WebRequest},
    outcome::{Answer, Outcome},
};
use crate::process;

/// Where an answer does not say how long its token lives.
const LIFETIME_DEFAULT: Duration = Duration::from_secs(300);
/// However long an answer says.
const LIFETIME_MAX: Duration = Duration::from_secs(86_400);
/// After a failure the endpoint is left alone for so long; who asks meanwhile is told of that failure.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// A token that is younger than this is not replaced because of a 401: the one after it would be refused just the same.
const REPLACE_AGE_MIN: Duration = Duration::from_secs(1);

/// How the client shows its credentials to the token endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthentication {
    /// In the `Authorization` header (RFC 6749, 2.3.1).
    #[default]
    Basic,
    /// As fields of the form.
    Form,
}

/// Where tokens come from.
#[derive(Clone, Debug)]
pub struct TokenConfig {
    /// The token endpoint.
    pub url: Url,
    /// Our name there.
    pub client_id: String,
    /// How the secret is shown.
    pub authentication: ClientAuthentication,
    /// The scopes asked for, separated by spaces; the endpoint's default if left out.
    pub scope: Option<String>,
    /// So long before a token ends, a new one is got, while the old one is still used. For a token that lives no longer than twice
    /// that, half its life.
    pub refresh_ahead: Duration,
}

/// Gets access tokens and keeps one until shortly before it ends. Clones share it. One request for a token is under way at a
/// time; who comes meanwhile waits for the same.
#[derive(Clone)]
pub struct TokenSource(Arc<Inner>);

struct Inner {
    client: WebClient,
    config: TokenConfig,
    secret: Mutex<Zeroizing<String>>,
    current: Mutex<Option<Arc<Token>>>,
    /// Held by the one who asks, with the last failure.
    asking: Arc<tokio::sync::Mutex<LastFailure>>,
}

type LastFailure = Option<(Instant, String)>;

/// An access token. Shown nowhere.
pub struct Token {
    header: HeaderValue,
    got_at: Instant,
    refresh_at: Instant,
    ends_at: Instant,
}

impl Token {
    /// `Bearer …`.
    pub(super) fn header(&self) -> HeaderValue {
        self.header.clone()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenSource({})", self.0.config.client_id)
    }
}

impl TokenSource {
    /// Asks through `client`, when a token is first wanted.
    pub fn new(client: WebClient, config: TokenConfig, secret: Zeroizing<String>) -> TokenSource {
        TokenSource(Arc::new(Inner {
            client,
            config,
            secret: Mutex::new(secret),
            current: Mutex::default(),
            asking: Arc::default(),
        }))
    }

    /// Another secret, for the next token.
    pub fn set_secret(&self, secret: Zeroizing<String>) {
        *self.0.secret.lock().unwrap_or_else(PoisonError::into_inner) = secret;
    }

    /// A token that is good now. Errors: there is none, in words that show no secret.
    pub async fn token(&self) -> Result<Arc<Token>, String> {
        let now = Instant::now();
        match self.current().filter(|token| now < token.ends_at) {
            Some(token) if now < token.refresh_at => Ok(token),
            Some(token) => {
                // Nobody waits for a token while there is a good one.
                let source = self.clone();
                if let Ok(failure) = Arc::clone(&self.0.asking).try_lock_owned() {
                    process::spawn(source.renew(failure));
                }
                Ok(token)
            }
            None => self.wait_for_token(None).await,
        }
    }

    /// A token in place of one that the carrier has just refused. `None` if there is none that is any better.
    pub(super) async fn replace(&self, refused: &Arc<Token>) -> Option<Arc<Token>> {
        if let Some(token) = self.current().filter(|token| !Arc::ptr_eq(token, refused)) {
            return Some(token);
        }
        if refused.got_at.elapsed() < REPLACE_AGE_MIN {
            return None;
        }
        self.wait_for_token(Some(refused)).await.ok()
    }

    async fn wait_for_token(&self, refused: Option<&Arc<Token>>) -> Result<Arc<Token>, String> {
        let mut failure = self.0.asking.lock().await;
        let is_good = |token: &Arc<Token>| {
            Instant::now() < token.ends_at && refused.is_none_or(|refused| !Arc::ptr_eq(token, refused))
        };
        if let Some(token) = self.current().filter(is_good) {
            return Ok(token);
        }
        if let Some((_, why)) = failure.as_ref().filter(|(at, _)| at.elapsed() < FAILURE_PAUSE) {
            return Err(why.clone());
        }
        self.ask(&mut failure).await
    }

    async fn renew(self, mut failure: OwnedMutexGuard<LastFailure>) {
        if failure.as_ref().is_some_and(|(at, _)| at.elapsed() < FAILURE_PAUSE) {
            return;
        }
        // A failure is logged; the old token is good for a while yet.
        let _failed = self.ask(&mut failure).await;
    }

    async fn ask(&self, failure: &mut LastFailure) -> Result<Arc<Token>, String> {
        let carrier = self.0.client.carrier();
        let asked_at = Instant::now();
        let got = match self.0.client.send(self.request()?).await {
            Outcome::Answer(answer) => read(&answer, asked_at, self.0.config.refresh_ahead),
            Outcome::NotSent(why) => Err(why.to_string()),
            Outcome::Lost(why) => Err(why.to_string()),
        };
        let result = if got.is_ok() { "refreshed" } else { "failed" };
        counter!("carrier_http_token_refreshes_total", "carrier" => carrier.to_string(), "result" => result)
            .increment(1);
        match got {
            Ok(token) => {
                let token = Arc::new(token);
                *self.0.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&token));
                *failure = None;
                Ok(token)
            }
            Err(why) => {
                warn!(%carrier, why, "no access token");
                *failure = Some((Instant::now(), why.clone()));
                Err(why)
            }
        }
    }

    fn request(&self) -> Result<WebRequest, String> {
        let config = &self.0.config;
        let secret = self.0.secret.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if let Some(scope) = &config.scope {
            form.append_pair("scope", scope);
        }
        let mut basic = None;
        match config.authentication {
            ClientAuthentication::Basic => basic = Some(basic_header(&config.client_id, &secret)?),
            ClientAuthentication::Form => {
                form.append_pair("client_id", &config.client_id);
                form.append_pair("client_secret", &secret);
            }
        }
        let mut request =
            WebRequest::post("token", config.url.clone(), "application/x-www-form-urlencoded", form.finish());
        request.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(basic) = basic {
            request.headers.insert(AUTHORIZATION, basic);
        }
        Ok(request)
    }

    fn current(&self) -> Option<Arc<Token>> {
        self.0.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// `client_id` and secret are form-encoded first (RFC 6749, 2.3.1).
fn basic_header(client_id: &str, secret: &str) -> Result<HeaderValue, String> {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = Zeroizing::new(format!("{}:{}", encoded(client_id), encoded(secret)));
    let text = Zeroizing::new(format!("Basic {}", BASE64.encode(pair.as_bytes())));
    let mut header = HeaderValue::from_str(&text).map_err(|_| "the credentials fit no header".to_owned())?;
    header.set_sensitive(true);
    Ok(header)
}

/// The answer of a token endpoint (RFC 6749, 5.1).
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    token_type: String,
    expires_in: Option<Seconds>,
}

/// Some write the number as a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

fn read(answer: &Answer, asked_at: Instant, refresh_ahead: Duration) -> Result<Token, String> {
    if answer.status != 200 {
        return Err(format!("the token endpoint answered {}", answer.status));
    }
    // The words of the error would quote the answer, and that may hold a token.
    let unreadable = || "the token endpoint's answer cannot be read".to_owned();
    let granted: Granted = serde_json::from_slice(&answer.body).map_err(|_| unreadable())?;
    if !granted.token_type.eq_ignore_ascii_case("bearer") {
        return Err("the token endpoint gives tokens that are not of the type Bearer".into());
    }
    let token = Zeroizing::new(granted.access_token);
    let text = Zeroizing::new(format!("Bearer {}", *token));
    let mut header = HeaderValue::from_str(&text).map_err(|_| unreadable())?;
    header.set_sensitive(true);
    let seconds = match granted.expires_in {
        None => LIFETIME_DEFAULT.as_secs(),
        Some(Seconds::Number(seconds)) => seconds,
        Some(Seconds::Text(text)) => text.trim().parse().map_err(|_| unreadable())?,
    };
    let lifetime = Duration::from_secs(seconds).min(LIFETIME_MAX);
    let refresh_at = asked_at + lifetime.saturating_sub(refresh_ahead).max(lifetime / 2);
    Ok(Token { header, got_at: Instant::now(), refresh_at, ends_at: asked_at + lifetime })
}
