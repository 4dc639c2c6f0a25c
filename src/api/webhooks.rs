//! `GET /v1/webhooks…`: how those are doing who are told of events, and sending to them once more.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use tracing::warn;
use utoipa::ToSchema;

use super::{
    auth::Caller,
    error::{Code, Problem},
    reading::JsonBody,
};
use crate::{
    charge::Reference,
    clock::Timestamp,
    gateway::{Gateway, ReplayError, ReplayWish, WebhookCondition, WebhookReport},
    store::{EventPlace, FailedDelivery, WebhookEnd},
};

/// A webhook as it is now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(super) struct WebhookAnswer {
    /// Its name in the configuration.
    #[schema(example = "ticket-service")]
    name: String,
    /// Where the receiver listens.
    url: String,
    /// How it is doing.
    state: ConditionCode,
    /// Why nothing is sent, if it is disabled: `gone`, or `gave_up`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    disabled_because: Option<WebhookEnd>,
    /// Since when it is disabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    disabled_at: Option<Timestamp>,
    /// Since when the receiver took nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    failing_since: Option<Timestamp>,
    /// When it is asked again, if it is left alone for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    next_try_at: Option<Timestamp>,
    /// Every event up to here was taken, or is among those that failed.
    #[schema(value_type = String, example = "1044")]
    cursor: EventPlace,
    /// Entries of the journal that it has not come to.
    entries_behind: u64,
    /// When the first of them happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    behind_since: Option<Timestamp>,
    /// How far a replay has come.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<ReplayAnswer>,
    /// Deliveries that failed and are tried again.
    waiting: u64,
    /// Deliveries that were given up.
    given_up: u64,
    /// The deliveries that failed, up to a hundred of each kind. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<Vec<FailedAnswer>>,
}

/// How a webhook is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WebhookState)]
enum ConditionCode {
    /// It is sent what happens.
    Delivering,
    /// The receiver took nothing, and is left alone for a while.
    Waiting,
    /// Nothing is sent until operations resume it.
    Disabled,
}

/// Events that are sent once more.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Replay)]
struct ReplayAnswer {
    /// Up to here they were sent.
    #[schema(value_type = String, example = "812")]
    cursor: EventPlace,
    /// The last one.
    #[schema(value_type = String, example = "1044")]
    until: EventPlace,
}

/// A delivery that failed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FailedDelivery)]
struct FailedAnswer {
    /// The event's cursor.
    #[schema(value_type = String, example = "1044-0")]
    cursor: EventPlace,
    /// The event's type.
    #[serde(rename = "type")]
    #[schema(example = "charge.charged")]
    kind: String,
    /// The charge.
    #[schema(value_type = uuid::Uuid)]
    reference: Reference,
    /// When it first failed.
    #[schema(value_type = String, format = DateTime)]
    failed_at: Timestamp,
    /// Requests so far.
    tries: u32,
    /// When it is tried again; absent if it was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    due_at: Option<Timestamp>,
    /// What became of the last request.
    #[schema(example = "answered 500")]
    why: String,
}

/// All webhooks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookList)]
pub(super) struct WebhooksAnswer {
    /// By name.
    webhooks: Vec<WebhookAnswer>,
}

impl WebhookAnswer {
    fn new(report: &WebhookReport) -> WebhookAnswer {
        let standing = &report.standing;
        WebhookAnswer {
            name: report.name.clone(),
            url: report.url.clone(),
            state: match report.condition {
                WebhookCondition::Delivering => ConditionCode::Delivering,
                WebhookCondition::Waiting => ConditionCode::Waiting,
                WebhookCondition::Disabled => ConditionCode::Disabled,
            },
            disabled_because: standing.disabled.map(|(why, _)| why),
            disabled_at: standing.disabled.map(|(_, at)| at),
            failing_since: standing.failing_since,
            next_try_at: report.next_try_at,
            cursor: EventPlace::all_of(standing.cursor),
            entries_behind: report.entries_behind,
            behind_since: report.behind_since,
            replay: standing.replay.map(|replay| ReplayAnswer {
                cursor: EventPlace::all_of(replay.cursor),
                until: EventPlace::all_of(replay.until),
            }),
            waiting: report.counts.waiting,
            given_up: report.counts.given_up,
            failed: None,
        }
    }

    fn with_failed(report: WebhookReport) -> WebhookAnswer {
        let answer = WebhookAnswer::new(&report);
        let failed = report.given_up.into_iter().chain(report.waiting).map(FailedAnswer::new).collect();
        WebhookAnswer { failed: Some(failed), ..answer }
    }
}

impl FailedAnswer {
    fn new(FailedDelivery { place, event_type, reference, failed_at, tries, due_at, why }: FailedDelivery) -> Self {
        FailedAnswer { cursor: place, kind: event_type, reference, failed_at, tries, due_at, why }
    }
}

/// Lists the webhooks
#[utoipa::path(
    get, path = "/v1/webhooks", tag = "events",
    responses((status = 200, description = "All webhooks.", body = WebhooksAnswer)),
)]
pub(super) async fn list_webhooks(State(gateway): State<Gateway>) -> Result<Json<WebhooksAnswer>, Problem> {
    let reports = gateway.webhooks().await?;
    Ok(Json(WebhooksAnswer { webhooks: reports.iter().map(WebhookAnswer::new).collect() }))
}

/// Reads a webhook
///
/// With its deliveries that failed: those that were given up first.
#[utoipa::path(
    get, path = "/v1/webhooks/{name}", tag = "events",
    params(("name" = String, Path, description = "The webhook.")),
    responses((status = 200, description = "The webhook as it is now.", body = WebhookAnswer)),
)]
pub(super) async fn read_webhook(
    State(gateway): State<Gateway>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<WebhookAnswer>, Problem> {
    let report = gateway.webhook(&named(name)?).await?.ok_or_else(unknown)?;
    Ok(Json(WebhookAnswer::with_failed(report)))
}

/// What to send once more: events between two cursors, or the deliveries that were given up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct NewReplay {
    /// The events behind this cursor.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = r"^[0-9]{1,18}(-[0-9]{1,2})?$", example = "812")]
    after: Option<EventPlace>,
    /// The last event to send; up to where the webhook has come if it is missing.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = r"^[0-9]{1,18}(-[0-9]{1,2})?$", example = "1044")]
    until: Option<EventPlace>,
    /// The deliveries that were given up, instead.
    #[serde(default)]
    given_up: bool,
}

/// Sends events once more
///
/// Whole entries of the journal, under the ids that the events have, so that whoever has them drops them. A range takes the place of one
/// that is still being sent. Durable when it is answered.
#[utoipa::path(
    post, path = "/v1/webhooks/{name}/replay", tag = "events",
    params(("name" = String, Path, description = "The webhook.")),
    request_body = NewReplay,
    responses(
        (status = 202, description = "The webhook, with its replay.", body = WebhookAnswer),
    ),
)]
pub(super) async fn replay_webhook(
    State(gateway): State<Gateway>,
    caller: Caller,
    name: Result<Path<String>, PathRejection>,
    JsonBody(wish): JsonBody<NewReplay>,
) -> Result<Response, Problem> {
    let name = named(name)?;
    let wish = match wish {
        NewReplay { after: None, until: None, given_up: true } => ReplayWish::GivenUp,
        NewReplay { after: Some(after), until, given_up: false } => ReplayWish::Range { after, until },
        NewReplay { given_up: true, .. } => {
            return Err(Problem::field("/given_up", "either a range or what was given up, not both"));
        }
        NewReplay { given_up: false, .. } => return Err(Problem::field("/after", "must be there, or given_up")),
    };
    let report = gateway.replay_webhook(&name, wish).await?;
    warn!(webhook = name, by = caller.name(), "events are sent once more, as somebody asked");
    Ok((StatusCode::ACCEPTED, Json(WebhookAnswer::with_failed(report))).into_response())
}

/// Resumes a webhook
///
/// One that is disabled, or whose receiver is left alone for a while, goes on where it was: nothing is skipped.
#[utoipa::path(
    post, path = "/v1/webhooks/{name}/resume", tag = "events",
    params(("name" = String, Path, description = "The webhook.")),
    responses((status = 200, description = "The webhook as it is now.", body = WebhookAnswer)),
)]
pub(super) async fn resume_webhook(
    State(gateway): State<Gateway>,
    caller: Caller,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<WebhookAnswer>, Problem> {
    let name = named(name)?;
    let report = gateway.resume_webhook(&name).await?.ok_or_else(unknown)?;
    warn!(webhook = name, by = caller.name(), "a webhook was resumed by hand");
    Ok(Json(WebhookAnswer::with_failed(report)))
}

fn named(name: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    name.map(|Path(name)| name).map_err(|_| unknown())
}

fn unknown() -> Problem {
    Problem::new(Code::NotFound, ReplayError::Unknown.to_string())
}

impl From<ReplayError> for Problem {
    fn from(error: ReplayError) -> Problem {
        match error {
            ReplayError::Unknown => unknown(),
            ReplayError::Empty { .. } | ReplayError::Future(_) => Problem::field("/after", error.to_string()),
            ReplayError::Store(error) => error.into(),
        }
    }
}
