//! `GET /v1/tickets…`: the ticket in the form that the caller can use.

use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    answer::Amount,
    charges::unknown,
    error::{Code, Problem, ProblemDocument},
    headers::preferred_type,
    reading::{PageLimit, QueryOf, ReferenceInPath},
    routes::typed,
};
use crate::{
    charge::Reference,
    clock::Timestamp,
    gateway::Gateway,
    msisdn::Msisdn,
    store::{StoredTicket, TicketFilter},
    ticket::{cwt, qr},
};

const JSON: &str = "application/json";
const CWT: &str = "application/cwt";
const JWT: &str = "application/jwt";
const SVG: &str = "image/svg+xml";
const PNG: &str = "image/png";
const TEXT: &str = "text/plain";
/// The forms of a ticket. The first is what a caller gets who does not say.
const FORMS: [&str; 6] = [JSON, CWT, JWT, SVG, PNG, TEXT];

/// A ticket: the signed right to ride.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ticket)]
pub(super) struct TicketAnswer {
    /// Its name, and its charge's.
    #[schema(value_type = uuid::Uuid)]
    reference: Reference,
    /// Whether it is valid now.
    state: TicketState,
    /// Who rides, in E.164.
    #[schema(value_type = String, example = "+77051234567")]
    msisdn: Msisdn,
    /// The vehicle code.
    #[schema(example = "1234")]
    vehicle: String,
    /// The city's id.
    city: String,
    /// The route's id.
    route: String,
    /// The fare class.
    fare_class: String,
    /// Passengers who ride on it.
    passengers: u8,
    /// What was paid.
    amount: Amount,
    /// The trip, as the ticket names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    trip: Option<String>,
    /// When it was issued.
    #[schema(value_type = String, format = DateTime)]
    issued_at: Timestamp,
    /// From then on it is no longer valid.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// When it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
    /// Eight characters for a plain phone.
    #[schema(example = "7K3M9QXA")]
    short_code: String,
    /// The signed ticket as the text of its QR code: `SB1:` and base45 of the CWT.
    qr_text: String,
}

/// The signed ticket: a CWT (RFC 8392).
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "only its schema is used")]
struct SignedBytes(Vec<u8>);

/// Whether a ticket is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum TicketState {
    /// It is valid now.
    Active,
    /// Its time is over.
    Expired,
    /// It was revoked, because the money goes back.
    Revoked,
}

impl TicketAnswer {
    /// Errors: a stored ticket that cannot be read.
    fn new(ticket: StoredTicket, now: Timestamp) -> Result<TicketAnswer, Problem> {
        let contents = cwt::decode_unverified(&ticket.cwt)
            .map_err(|error| Problem::internal(format!("the stored ticket {}: {error}", ticket.reference)))?;
        let state = match ticket.revoked_at {
            Some(_) => TicketState::Revoked,
            None if ticket.expires_at <= now => TicketState::Expired,
            None => TicketState::Active,
        };
        Ok(TicketAnswer {
            reference: ticket.reference,
            state,
            msisdn: ticket.msisdn,
            vehicle: contents.vehicle,
            city: contents.city,
            route: contents.route,
            fare_class: contents.fare_class,
            passengers: contents.passengers,
            amount: contents.amount.into(),
            trip: contents.trip,
            issued_at: ticket.issued_at,
            expires_at: ticket.expires_at,
            revoked_at: ticket.revoked_at,
            short_code: ticket.short_code,
            qr_text: qr::to_text(&ticket.cwt),
        })
    }
}

/// How a ticket is drawn.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct TicketQuery {
    /// Pixels to a module of `image/png`. Other forms pass it over.
    #[serde(default)]
    #[param(value_type = Option<u8>, minimum = 1, maximum = 32, default = 8)]
    scale: Scale,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Scale(u8);

impl Default for Scale {
    fn default() -> Scale {
        Scale(8)
    }
}

impl TryFrom<String> for Scale {
    type Error = String;

    fn try_from(text: String) -> Result<Scale, String> {
        match text.parse() {
            Ok(scale @ 1..=qr::PNG_SCALE_MAX) => Ok(Scale(scale)),
            _ => Err(format!("a number from 1 to {}", qr::PNG_SCALE_MAX)),
        }
    }
}

/// Reads a ticket, in the form that `Accept` names
///
/// `application/json`, `application/cwt` (the signed bytes), `application/jwt` (the same as a JWS), `image/svg+xml` or
/// `image/png` (a QR code), or `text/plain` (the text of the QR code).
///
/// The bytes, the text and the drawing are those that were signed, also after the ticket has expired or was revoked; only the
/// JSON says so. The JWS is made when it is read, by the key that signed the ticket, as long as the gateway has that key: the same
/// claims, and the same text each time.
#[utoipa::path(
    get, path = "/v1/tickets/{reference}", tag = "tickets",
    params(
        ("reference" = uuid::Uuid, Path, description = "The ticket, by its charge's reference."),
        TicketQuery,
    ),
    responses(
        (status = 200, description = "The ticket.", content(
            (TicketAnswer = "application/json"),
            (SignedBytes = "application/cwt"),
            (String = "application/jwt"),
            (String = "image/svg+xml"),
            (SignedBytes = "image/png"),
            (String = "text/plain"),
        )),
        (status = 406, description = "`not_acceptable`: there is no such form of a ticket.", body = ProblemDocument, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn read_ticket(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    ReferenceInPath(reference): ReferenceInPath,
    QueryOf(TicketQuery { scale: Scale(scale) }): QueryOf<TicketQuery>,
) -> Result<Response, Problem> {
    let Some(form) = preferred_type(&headers, &FORMS) else {
        return Err(Problem::new(Code::NotAcceptable, format!("a ticket comes as {}", FORMS.join(", "))));
    };
    let ticket = gateway.store().ticket(reference).await?.ok_or_else(|| unknown(reference))?;
    let broken = |error: &dyn std::fmt::Display| Problem::internal(format!("the stored ticket {reference}: {error}"));
    Ok(match form {
        CWT => typed(CWT, ticket.cwt),
        JWT => {
            let contents = cwt::decode_unverified(&ticket.cwt).map_err(|error| broken(&error))?;
            typed(JWT, gateway.keyring().sign_jws(&contents).map_err(|error| broken(&error))?)
        }
        SVG => typed(SVG, qr::TicketQr::new(&ticket.cwt).map_err(|error| broken(&error))?.to_svg()),
        PNG => typed(PNG, qr::TicketQr::new(&ticket.cwt).map_err(|error| broken(&error))?.to_png(scale)),
        TEXT => typed("text/plain; charset=us-ascii", qr::to_text(&ticket.cwt)),
        _ => Json(TicketAnswer::new(ticket, gateway.now())?).into_response(),
    })
}

/// Which tickets to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct TicketsQuery {
    /// Of this subscriber.
    #[param(value_type = String, pattern = r"^(\+?[ ()-]*7|[ ()-]*8)?[ ()-]*7([ ()-]*[0-9]){9}[ ()-]*$")]
    msisdn: Msisdn,
    /// Those that are valid now, or those that were.
    #[serde(default)]
    #[param(inline)]
    state: ActiveOrPast,
    /// How many at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: PageLimit,
}

/// Valid now, or no longer.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ActiveOrPast {
    #[default]
    Active,
    Past,
}

/// Tickets of a subscriber, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TicketList)]
pub(super) struct TicketsAnswer {
    /// The tickets.
    tickets: Vec<TicketAnswer>,
}

/// Lists a subscriber's tickets, newest first
#[utoipa::path(
    get, path = "/v1/tickets", tag = "tickets", params(TicketsQuery),
    responses((status = 200, description = "The tickets.", body = TicketsAnswer)),
)]
pub(super) async fn list_tickets(
    State(gateway): State<Gateway>,
    QueryOf(query): QueryOf<TicketsQuery>,
) -> Result<Json<TicketsAnswer>, Problem> {
    let filter = match query.state {
        ActiveOrPast::Active => TicketFilter::Active,
        ActiveOrPast::Past => TicketFilter::Past,
    };
    let now = gateway.now();
    let tickets = gateway.store().tickets(query.msisdn, filter, now, query.limit.0).await?;
    let tickets = tickets.into_iter().map(|ticket| TicketAnswer::new(ticket, now)).collect::<Result<_, _>>()?;
    Ok(Json(TicketsAnswer { tickets }))
}
