//! Reading charges, and settling what is in doubt.

use std::collections::HashMap;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Role,
    answer::{AttemptSummary, ChargeAnswer, StateCode},
    auth::Caller,
    error::{Code, Problem, ProblemDocument},
    reading::{Cursor, JsonBody, PageLimit, QueryOf, ReferenceInPath},
};
use crate::{
    charge::{Charge, Event, Reason, Reference, State as ChargeState},
    clock::Timestamp,
    gateway::{Awaited, Gateway, Resolution},
    msisdn::Msisdn,
    store::{ChargeFilter, JournalEntry, QueuedSms, Verbatim},
    transit::VehicleCode,
};

/// Who sees the attempts of a charge.
const SEES_ATTEMPTS: [Role; 2] = [Role::Support, Role::Operations];
/// The longest reason for a resolution, in characters.
const BECAUSE_CHARS_MAX: usize = 500;

/// Reads a charge
#[utoipa::path(
    get, path = "/v1/charges/{reference}", tag = "charges",
    params(("reference" = uuid::Uuid, Path, description = "The charge.")),
    responses((status = 200, description = "The charge as it is now.", body = ChargeAnswer)),
)]
pub(super) async fn read_charge(
    State(gateway): State<Gateway>,
    caller: Caller,
    ReferenceInPath(reference): ReferenceInPath,
) -> Result<Json<ChargeAnswer>, Problem> {
    let charge = charge(&gateway, reference).await?;
    let attempts = caller.has_one_of(&SEES_ATTEMPTS).then(|| AttemptSummary::all(&charge));
    let answer = with_ticket(&gateway, charge).await?;
    Ok(Json(match attempts {
        Some(attempts) => answer.with_attempts(attempts),
        None => answer,
    }))
}

/// Which charges to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ChargesQuery {
    /// Of this subscriber.
    #[param(value_type = Option<String>, pattern = r"^(\+?[ ()-]*7|[ ()-]*8)?[ ()-]*7([ ()-]*[0-9]){9}[ ()-]*$")]
    msisdn: Option<Msisdn>,
    /// On the vehicle with this code.
    #[param(value_type = Option<String>, pattern = r"^[0-9]{1,8}$")]
    vehicle: Option<VehicleCode>,
    /// In this state.
    #[param(inline)]
    state: Option<StateCode>,
    /// Received at this moment or later (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Received before this moment.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// The `next_cursor` of the page before.
    #[param(value_type = Option<String>, pattern = r"^[A-Za-z0-9_-]{21}[AQgw]$")]
    cursor: Option<Cursor>,
    /// How many at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: PageLimit,
}

/// A page of charges, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChargePage)]
pub(super) struct ChargesAnswer {
    /// The charges, without their tickets.
    charges: Vec<ChargeAnswer>,
    /// Where the next page begins; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    next_cursor: Option<Cursor>,
}

/// Lists charges, newest first
#[utoipa::path(
    get, path = "/v1/charges", tag = "charges", params(ChargesQuery),
    responses((status = 200, description = "A page of charges.", body = ChargesAnswer)),
)]
pub(super) async fn list_charges(
    State(gateway): State<Gateway>,
    QueryOf(query): QueryOf<ChargesQuery>,
) -> Result<Json<ChargesAnswer>, Problem> {
    let filter = ChargeFilter {
        msisdn: query.msisdn,
        vehicle: query.vehicle,
        state: query.state.map(|state| state.code().to_owned()),
        from: query.from,
        until: query.until,
        before: query.cursor.map(|cursor| cursor.0),
    };
    // One more than asked for tells whether another page follows.
    let PageLimit(limit) = query.limit;
    let mut charges = gateway.store().charges(&filter, limit + 1).await?;
    let full = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = charges.len() > full;
    charges.truncate(full);
    let next_cursor = charges.last().filter(|_| more).map(|charge| Cursor(charge.reference));
    Ok(Json(ChargesAnswer { charges: charges.into_iter().map(ChargeAnswer::new).collect(), next_cursor }))
}

/// What happened to a charge, in order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Journal)]
pub(super) struct JournalAnswer {
    /// The first entry is the opening.
    entries: Vec<JournalLine>,
    /// What the passenger was told by SMS, the oldest first.
    messages: Vec<MessageLine>,
    /// Months whose entries are no longer here: they were retired.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    retired: Vec<RetiredMonth>,
}

/// A month whose entries are no longer in the journal.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RetiredMonth)]
pub(super) struct RetiredMonth {
    /// The month, in UTC.
    #[schema(example = "2025-09")]
    month: String,
    /// Whether they were archived first.
    archived: bool,
}

/// A text to the passenger.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JournalMessage)]
pub(super) struct MessageLine {
    /// When it was written.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Through which carrier.
    carrier: String,
    /// What it says.
    text: String,
    /// Where it stands: `pending`, `submitted`, `delivered`, `failed` or `expired`.
    #[schema(example = "delivered")]
    state: &'static str,
}

/// One step of a charge.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JournalEntry)]
pub(super) struct JournalLine {
    /// The version of the charge that it led to.
    version: u32,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Where the charge stood before; absent at the opening.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<StateCode>)]
    from: Option<&'static str>,
    /// Where it stands since.
    #[schema(value_type = StateCode)]
    to: &'static str,
    /// Why it ended without money, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    reason: Option<Reason>,
    /// What happened: an attempt, a piece of evidence with its source, a deadline, a decision. For people to read; its
    /// members may change.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    event: Option<Event>,
    /// What the carrier said, word for word, if that is how we know; without our secrets, and with the subscriber's number masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<String>,
    /// What it contradicted; somebody looks at each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>, example = json!(["charged_after_rejection"]))]
    breaks: Vec<&'static str>,
}

/// Reads what happened to a charge
#[utoipa::path(
    get, path = "/v1/charges/{reference}/journal", tag = "charges",
    params(("reference" = uuid::Uuid, Path, description = "The charge.")),
    responses((status = 200, description = "Its journal.", body = JournalAnswer)),
)]
pub(super) async fn read_journal(
    State(gateway): State<Gateway>,
    ReferenceInPath(reference): ReferenceInPath,
) -> Result<Json<JournalAnswer>, Problem> {
    let store = gateway.store();
    let msisdn = charge(&gateway, reference).await?.order.msisdn;
    let entries = store.journal(reference).await?;
    let mut said: HashMap<String, Verbatim> = store.words(reference).await?.into_iter().collect();
    let line = |entry: JournalEntry| JournalLine {
        words: entry.evidence_id().and_then(|id| said.remove(id)).map(|said| msisdn.masked_in(&said.words)),
        version: entry.version,
        at: entry.at,
        from: entry.from.map(ChargeState::code),
        to: entry.to.code(),
        reason: entry.to.reason(),
        breaks: entry.told.breaks.iter().map(|found| found.code()).collect(),
        event: entry.event,
    };
    let entries = entries.into_iter().map(line).collect();
    let messages =
        store.messages_of(reference).await?.into_iter().map(|QueuedSms { message, state, .. }| MessageLine {
            at: message.created_at,
            carrier: message.carrier.to_string(),
            text: message.text,
            state: state.code(),
        });
    let retired = store.retired_months(reference).await?;
    let retired = retired.into_iter().map(|(month, archived)| RetiredMonth { month, archived }).collect();
    Ok(Json(JournalAnswer { entries, messages: messages.collect(), retired }))
}

/// What a person found out about a charge in doubt.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct NewResolution {
    /// Whether the money was taken.
    #[serde(rename = "as")]
    outcome: ResolvedAs,
    /// How that is known, 1 to 500 characters, not all of them blank. It is kept for ever, with the caller's name.
    #[schema(min_length = 1, max_length = 500, pattern = r"\S")]
    because: String,
}

/// Whether the money was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ResolvedAs {
    /// It was.
    Charged,
    /// It was not.
    NotCharged,
}

/// Settles a charge in doubt
///
/// For a person who has seen proof, such as the carrier's own books. If the money was taken after the ticket deadline, it
/// goes back.
#[utoipa::path(
    post, path = "/v1/charges/{reference}/resolution", tag = "charges",
    params(("reference" = uuid::Uuid, Path, description = "The charge.")),
    request_body = NewResolution,
    responses(
        (status = 200, description = "The charge as it is now.", body = ChargeAnswer),
        (status = 409, description = "`conflict`: the charge is not in doubt.", body = ProblemDocument, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn resolve_charge(
    State(gateway): State<Gateway>,
    caller: Caller,
    ReferenceInPath(reference): ReferenceInPath,
    JsonBody(body): JsonBody<NewResolution>,
) -> Result<Json<ChargeAnswer>, Problem> {
    let because = because(&body.because)?;
    let resolution = Resolution { charged: body.outcome == ResolvedAs::Charged, by: caller.name().to_owned(), because };
    let charge = gateway.resolve(reference, resolution).await?;
    with_ticket(&gateway, charge).await.map(Json)
}

/// The reason that a person gives for a decision. Errors: none, or too long a one.
pub(super) fn because(text: &str) -> Result<String, Problem> {
    match text.trim() {
        text if (1..=BECAUSE_CHARS_MAX).contains(&text.chars().count()) => Ok(text.to_owned()),
        _ => Err(Problem::field("/because", format!("from 1 to {BECAUSE_CHARS_MAX} characters"))),
    }
}

/// The charge with its ticket, if it can have one.
pub(super) async fn with_ticket(gateway: &Gateway, awaited: impl Into<Awaited>) -> Result<ChargeAnswer, Problem> {
    let Awaited { charge, ticket } = awaited.into();
    let ticket = match charge.charged_at {
        Some(_) if ticket.is_none() => gateway.store().ticket(charge.reference).await?,
        _ => ticket,
    };
    Ok(ChargeAnswer::new(charge).with_ticket(ticket))
}

async fn charge(gateway: &Gateway, reference: Reference) -> Result<Charge, Problem> {
    gateway.store().charge(reference).await?.ok_or_else(|| unknown(reference))
}

/// Nothing has this reference.
pub(super) fn unknown(reference: Reference) -> Problem {
    Problem::new(Code::NotFound, format!("nothing has the reference {reference}"))
}
