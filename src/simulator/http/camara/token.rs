//! The token endpoint: client credentials (RFC 6749, section 4.4), by basic authentication or in the form.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::simulator::http::{
    Operation,
    desk::{Call, Desk, Done},
    failure::Failure,
    form::Form,
};

/// What a client may ask for, and gets if it asks for nothing.
const SCOPES: [&str; 9] = [
    "carrier-billing:payments:create",
    "carrier-billing:payments:read",
    "carrier-billing:payments:write",
    "carrier-billing-refund:refunds:create",
    "carrier-billing-refund:refunds:read",
    "sim-swap",
    "sim-swap:check",
    "sim-swap:retrieve-date",
    "kyc-tenure:check-tenure",
];

/// `POST /oauth2/token`
pub(super) async fn issue(State(desk): State<Desk>, request: Request) -> Response {
    let call = match desk.read(request).await {
        Ok(call) => call,
        Err(response) => return response,
    };
    let scopes = match requested(&desk, &call) {
        Ok(scopes) => scopes,
        Err(refusal) => return refusal.response(&desk, &call),
    };
    desk.answer(&call, Operation::Token, None, move |exchange, _, now| {
        let seconds = exchange.config.http.camara.as_ref().map_or(1, |camara| camara.token_lifetime_s);
        let scope = scopes.join(" ");
        let token = exchange.tokens.issue(scopes, Duration::from_secs(seconds), now).ok_or(Failure::Full)?;
        exchange.stats.http.tokens += 1;
        let body = json!({ "access_token": token, "token_type": "Bearer", "expires_in": seconds, "scope": scope });
        Ok(Done::only(respond(StatusCode::OK, &body)))
    })
    .await
}

/// Why there is no token (RFC 6749, section 5.2).
struct TokenRefusal {
    code: &'static str,
    /// What is wrong with the request; none where only the credentials are.
    reason: Option<String>,
}

fn wrong(code: &'static str, reason: &str) -> TokenRefusal {
    TokenRefusal { code, reason: Some(reason.to_owned()) }
}

impl TokenRefusal {
    fn response(self, desk: &Desk, call: &Call) -> Response {
        let status = match self.code {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            _ => StatusCode::BAD_REQUEST,
        };
        match self.reason {
            Some(reason) => desk.note_violation(call, reason),
            None => desk.shared.exchange().stats.http.unauthenticated += 1,
        }
        let mut response = respond(status, &json!({ "error": self.code }));
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"token\""));
        }
        response
    }
}

/// The scopes that are asked for, by somebody who may.
fn requested(desk: &Desk, call: &Call) -> Result<Vec<String>, TokenRefusal> {
    let form = Form::read(call).map_err(|reason| wrong("invalid_request", &reason))?;
    let names = ["grant_type", "scope", "client_id", "client_secret"];
    form.only(&names).map_err(|reason| wrong("invalid_request", &reason))?;
    match form.get("grant_type") {
        Some("client_credentials") => {}
        Some(_) => return Err(wrong("unsupported_grant_type", "grant_type: only client_credentials")),
        None => return Err(wrong("invalid_request", "no grant_type")),
    }
    let shown = match (call.basic(), form.get("client_id"), form.get("client_secret")) {
        (Some(_), _, Some(_)) => return Err(wrong("invalid_request", "two ways of authentication at once")),
        // RFC 6749, section 2.3.1: both are form-encoded before they are joined.
        (Some((id, secret)), _, None) => (unescaped(&id), unescaped(&secret)),
        (None, Some(id), Some(secret)) => (id.to_owned(), secret.to_owned()),
        _ => (String::new(), String::new()),
    };
    let known = desk
        .config()
        .camara
        .as_ref()
        .is_some_and(|camara| camara.client_id == shown.0 && camara.client_secret == shown.1);
    if !known {
        return Err(TokenRefusal { code: "invalid_client", reason: None });
    }
    let Some(asked) = form.get("scope") else { return Ok(SCOPES.map(str::to_owned).to_vec()) };
    let scopes: Vec<String> = asked.split(' ').map(str::to_owned).collect();
    match scopes.iter().find(|scope| !SCOPES.contains(&scope.as_str())) {
        Some(unknown) => Err(wrong("invalid_scope", &format!("scope: {unknown:?}"))),
        None => Ok(scopes),
    }
}

fn unescaped(text: &str) -> String {
    let pair = format!("={text}");
    url::form_urlencoded::parse(pair.as_bytes()).next().map_or_else(String::new, |(_, value)| value.into_owned())
}

fn respond(status: StatusCode, body: &serde_json::Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, body.to_string()).into_response()
}
