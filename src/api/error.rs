//! Errors as the API shows them: RFC 9457, with a stable code and a page for each in `docs/errors`.

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    charge::{Illegal, Reason},
    gateway::{ApplyError, PurchaseError},
    store::StoreError,
};

/// The type of every error's body.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";
/// After so many seconds it is worth asking again, where nothing better is known.
const RETRY_AFTER_SECONDS: u32 = 1;

/// What went wrong, by its stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    BadRequest,
    IdempotencyKeyMissing,
    Unauthenticated,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    Timeout,
    Conflict,
    IdempotencyKeyConflict,
    /// The key is the id of an SMS that has its answer.
    MoAnswered,
    /// The key may have been used in a time that is lost to the books.
    BooksRestored,
    /// The cursor is of a time that is lost to the books.
    CursorLost,
    PayloadTooLarge,
    UnsupportedMediaType,
    /// Nobody can make this purchase.
    Impossible(Reason),
    TooManyRequests,
    Internal,
    Overloaded,
    Unavailable,
}

/// An answer that is an error. What is in `logged` never leaves the house.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) code: Code,
    detail: Option<String>,
    errors: Vec<FieldError>,
    logged: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What is wrong with one part of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
struct FieldError {
    /// Where in the body, as a JSON pointer (RFC 6901).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/msisdn")]
    pointer: Option<String>,
    /// Which parameter of the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    /// What is wrong.
    detail: String,
}

/// An error (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemDocument {
    /// Names the kind of error: `/errors/` and the code. The pages are in `docs/errors`.
    #[serde(rename = "type")]
    #[schema(example = "/errors/bad_request")]
    kind: String,
    /// The kind of error in a few words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// The stable code: what a program looks at.
    #[schema(example = "bad_request")]
    code: &'static str,
    /// What is wrong with this request. Absent where the fault is ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// What is wrong with which part of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// The trace under which the log has the rest.
    trace_id: String,
}

impl Code {
    /// The code itself.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Code::BadRequest => "bad_request",
            Code::IdempotencyKeyMissing => "idempotency_key_missing",
            Code::Unauthenticated => "unauthenticated",
            Code::Forbidden => "forbidden",
            Code::NotFound => "not_found",
            Code::MethodNotAllowed => "method_not_allowed",
            Code::NotAcceptable => "not_acceptable",
            Code::Timeout => "timeout",
            Code::Conflict => "conflict",
            Code::IdempotencyKeyConflict => "idempotency_key_conflict",
            Code::MoAnswered => "mo_answered",
            Code::BooksRestored => "books_restored",
            Code::CursorLost => "cursor_lost",
            Code::PayloadTooLarge => "payload_too_large",
            Code::UnsupportedMediaType => "unsupported_media_type",
            Code::Impossible(reason) => reason.code(),
            Code::TooManyRequests => "too_many_requests",
            Code::Internal => "internal",
            Code::Overloaded => "overloaded",
            Code::Unavailable => "unavailable",
        }
    }

    /// The HTTP status that goes with it.
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Code::BadRequest | Code::IdempotencyKeyMissing => StatusCode::BAD_REQUEST,
            Code::Unauthenticated => StatusCode::UNAUTHORIZED,
            Code::Forbidden => StatusCode::FORBIDDEN,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Code::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Code::Conflict | Code::IdempotencyKeyConflict | Code::MoAnswered | Code::BooksRestored => {
                StatusCode::CONFLICT
            }
            Code::CursorLost => StatusCode::GONE,
            Code::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Code::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Code::Impossible(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Code::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Code::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Code::Overloaded | Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The same words as the page's heading.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Code::BadRequest => "the request is not understood",
            Code::IdempotencyKeyMissing => "the header Idempotency-Key is missing",
            Code::Unauthenticated => "the caller is not known",
            Code::Forbidden => "the caller may not do this",
            Code::NotFound => "there is no such thing here",
            Code::MethodNotAllowed => "this cannot be done here",
            Code::NotAcceptable => "there is no such form of it",
            Code::Timeout => "the answer took too long",
            Code::Conflict => "the state does not allow it",
            Code::IdempotencyKeyConflict => "the key was used with another body",
            Code::MoAnswered => "the passenger has had an answer to this SMS",
            Code::BooksRestored => "the key may have been used in a time that is lost to the books",
            Code::CursorLost => "the cursor is of a time that is lost to the books",
            Code::PayloadTooLarge => "the body is too large",
            Code::UnsupportedMediaType => "the body is not of a type that is accepted",
            Code::Impossible(Reason::UnknownVehicle) => "no vehicle has this code",
            Code::Impossible(Reason::FareNotFound) => "no fare is in force",
            Code::Impossible(Reason::ZoneMissing) => "the fare depends on the zone, and none was named",
            Code::Impossible(Reason::ZoneUnexpected) => "a zone was named, and the route has none",
            Code::Impossible(Reason::UnknownZone) => "the route has no such zone",
            Code::Impossible(Reason::NoRoute) => "no carrier is configured for the number",
            Code::Impossible(_) => "nobody can make this purchase",
            Code::TooManyRequests => "the caller asks too often",
            Code::Internal => "something went wrong here",
            Code::Overloaded => "the gateway is at its limit",
            Code::Unavailable => "the gateway cannot sell now",
        }
    }
}

impl Problem {
    /// The caller's fault, and what it is.
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Problem {
        Problem { detail: Some(detail.into()), ..Problem::bare(code) }
    }

    /// An error that needs no words.
    pub(super) fn bare(code: Code) -> Problem {
        Problem { code, detail: None, errors: Vec::new(), logged: None, headers: Vec::new() }
    }

    /// One field of the body that is wrong.
    pub(super) fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Problem {
        Problem::of_part(FieldError { pointer: Some(pointer.into()), parameter: None, detail: detail.into() })
    }

    /// One parameter of the query that is wrong.
    pub(super) fn parameter(name: impl Into<String>, detail: impl Into<String>) -> Problem {
        Problem::of_part(FieldError { pointer: None, parameter: Some(name.into()), detail: detail.into() })
    }

    fn of_part(error: FieldError) -> Problem {
        let detail = error.to_string();
        Problem { errors: vec![error], ..Problem::new(Code::BadRequest, detail) }
    }

    /// Our fault; what happened goes into the log and nowhere else.
    pub(super) fn internal(logged: impl Into<String>) -> Problem {
        Problem { logged: Some(logged.into()), ..Problem::bare(Code::Internal) }
    }

    /// Not now: ask again a little later.
    pub(super) fn later(code: Code) -> Problem {
        Problem::bare(code).with(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS))
    }

    /// With words for the caller.
    pub(super) fn saying(self, detail: impl Into<String>) -> Problem {
        Problem { detail: Some(detail.into()), ..self }
    }

    /// With another header.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Problem {
        self.headers.push((name, value));
        self
    }

    /// With words for the log.
    fn logging(self, logged: impl Into<String>) -> Problem {
        Problem { logged: Some(logged.into()), ..self }
    }

    /// What the log should say of it, if anything.
    pub(super) fn logged(&self) -> Option<&str> {
        self.logged.as_deref()
    }

    /// The whole answer.
    pub(super) fn into_answer(self, trace_id: String) -> Response {
        let status = self.code.status();
        let document = ProblemDocument {
            kind: format!("/errors/{}", self.code.code()),
            title: self.code.title(),
            status: status.as_u16(),
            code: self.code.code(),
            detail: self.detail.filter(|_| !status.is_server_error()),
            errors: self.errors,
            trace_id,
        };
        let mut answer = (status, Json(document)).into_response();
        answer.headers_mut().extend(self.headers);
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        answer
    }
}

impl IntoResponse for Problem {
    /// Without a body: the access log writes it, because it knows the trace.
    fn into_response(self) -> Response {
        let mut answer = self.code.status().into_response();
        answer.extensions_mut().insert(self);
        answer
    }
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = self.pointer.as_deref().or(self.parameter.as_deref()).unwrap_or_default();
        match place {
            "" => f.write_str(&self.detail),
            place => write!(f, "{place}: {}", self.detail),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        match error {
            // The disk is full, or the database is away: nothing is wrong with the request, and it may succeed later.
            StoreError::Database(_)
            | StoreError::Connect { .. }
            | StoreError::Taken { .. }
            | StoreError::Closed
            | StoreError::Fenced => Problem::later(Code::Unavailable).logging(error.to_string()),
            _ => Problem::internal(error.to_string()),
        }
    }
}

impl From<PurchaseError> for Problem {
    fn from(error: PurchaseError) -> Problem {
        match error {
            PurchaseError::Impossible(reason) => Problem::bare(Code::Impossible(reason)),
            PurchaseError::Passengers { .. } => Problem::field("/passengers", error.to_string()),
            PurchaseError::KeyConflict(_) => Problem::new(Code::IdempotencyKeyConflict, error.to_string()),
            PurchaseError::MoAnswered => Problem::new(Code::MoAnswered, error.to_string()),
            PurchaseError::Restored { .. } => Problem::new(Code::BooksRestored, error.to_string()),
            PurchaseError::AnotherNumber => Problem::field("/msisdn", error.to_string()),
            PurchaseError::Overloaded | PurchaseError::Stopping => {
                Problem::later(Code::Overloaded).logging(error.to_string())
            }
            PurchaseError::Unknown => Problem::bare(Code::Internal).logging(error.to_string()),
            PurchaseError::NoSigningKey => Problem::later(Code::Unavailable).logging(error.to_string()),
            PurchaseError::Store(error) => error.into(),
        }
    }
}

impl From<ApplyError> for Problem {
    fn from(error: ApplyError) -> Problem {
        match error {
            ApplyError::UnknownCharge(_) => Problem::new(Code::NotFound, error.to_string()),
            ApplyError::Illegal(Illegal::UnknownRefund(_)) => Problem::new(Code::NotFound, error.to_string()),
            ApplyError::Illegal(_) => Problem::new(Code::Conflict, error.to_string()),
            ApplyError::Contended(_) => Problem::later(Code::Overloaded).logging(error.to_string()),
            ApplyError::Store(error) => error.into(),
            ApplyError::Ticketing(_) => Problem::internal(error.to_string()),
        }
    }
}
