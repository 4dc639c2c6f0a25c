//! `GET /v1/events`: what became of charges, as a page or as a stream of server-sent events (WHATWG HTML, section 9.2).

use std::{fmt::Write, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use metrics::{counter, gauge};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::OwnedSemaphorePermit,
    task::yield_now,
    time::{Instant, sleep, timeout},
};
use tokio_util::io::ReaderStream;
use tracing::{debug, warn};
use utoipa::{IntoParams, ToSchema};

use super::{
    auth::Caller,
    error::{Code, Problem, ProblemDocument},
    headers::preferred_type,
    reading::{PageLimit, QueryOf},
    routes::Api,
};
use crate::{
    gateway::{
        Gateway,
        events::{CursorError, Event, EventFilter, EventPage},
    },
    store::EventPlace,
};

const JSON: &str = "application/json";
const STREAM: &str = "text/event-stream";
/// The forms of events. The first is what a caller gets who does not say.
const FORMS: [&str; 2] = [JSON, STREAM];
/// What a browser sends when it comes back after a stream broke off.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Bytes that wait for a reader. What is not in there is still in the store.
const BUFFER_BYTES: usize = 64 * 1_024;
/// Events that are read at once for a stream.
const EVENTS_AT_ONCE: usize = 64;
/// A reader that takes nothing for so long is left; it comes back to its cursor.
const READ_PATIENCE: Duration = Duration::from_secs(30);
/// A stream on which nothing happens says so, or something on the way would take it for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Between two looks when nobody tells of news.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Events that happen one after another are read together: between two looks there is at least this.
const GATHERING: Duration = Duration::from_millis(20);

/// From where on, and which.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    /// Only events behind this cursor, which is that of an event or the `next` of an earlier page. `latest`: only what happens from now
    /// on. From the first event on, if left out. The header `Last-Event-ID` goes before it.
    #[serde(default)]
    #[param(value_type = Option<String>, pattern = r"^(latest|[0-9]{1,18}(-[0-9]{1,2})?)$", example = "0")]
    after: After,
    /// Only these types, with commas between them; `refund.*` means every type that begins so.
    #[serde(default)]
    #[param(value_type = Option<String>, example = "charge.charged,refund.*")]
    types: Types,
    /// How many events a page has at most. A stream has no end.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: PageLimit,
}

/// Where to begin.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
enum After {
    Place(EventPlace),
    Latest,
}

impl Default for After {
    fn default() -> After {
        After::Place(EventPlace::START)
    }
}

impl TryFrom<String> for After {
    type Error = String;

    fn try_from(text: String) -> Result<After, String> {
        if text == "latest" {
            return Ok(After::Latest);
        }
        text.parse().map(After::Place).map_err(|_| "the cursor of an event, as 1044-0, or latest".into())
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "String")]
struct Types(EventFilter);

impl TryFrom<String> for Types {
    type Error = String;

    fn try_from(text: String) -> Result<Types, String> {
        text.parse().map(Types).map_err(|error: crate::gateway::events::EventFilterError| error.to_string())
    }
}

/// A page of events, in order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventList)]
pub(super) struct EventsAnswer {
    /// The events.
    events: Vec<Event>,
    /// Where to go on: the next page is behind this cursor.
    #[schema(value_type = String, example = "1044")]
    next: EventPlace,
    /// Whether nothing more has happened yet. A page can be short, or empty, and not be the last: with a filter most is passed over.
    is_last: bool,
}

/// Reads events
///
/// What became of charges, tickets and refunds, in order, from a cursor on: as a page, or with `Accept: text/event-stream` as a stream
/// that goes on with what happens. No event ever appears before a cursor that was handed out. The same event has the same `id` here and
/// in webhooks. Events hold phone numbers in full. `docs/events.md` describes them.
#[utoipa::path(
    get, path = "/v1/events", tag = "events",
    params(
        EventsQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The cursor of the last event that was read from a stream.", pattern = r"^[0-9]{1,18}(-[0-9]{1,2})?$"),
    ),
    responses(
        (status = 200, description = "A page of events, or a stream of them.", content((EventsAnswer = "application/json"), (String = "text/event-stream"))),
        (status = 410, description = "`cursor_lost`: a back-up was put back, and the cursor is of the time that is lost. The detail names the cursor to go on from.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 406, description = "`not_acceptable`: events come as a page of JSON or as a stream.", body = ProblemDocument, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn read_events(
    State(api): State<Api>,
    State(gateway): State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
    QueryOf(EventsQuery { after, types: Types(types), limit }): QueryOf<EventsQuery>,
) -> Result<Response, Problem> {
    let Some(form) = preferred_type(&headers, &FORMS) else {
        return Err(Problem::new(Code::NotAcceptable, format!("events come as {}", FORMS.join(" or "))));
    };
    let after = match last_event_id(&headers)? {
        Some(place) => After::Place(place),
        None => after,
    };
    let after = match after {
        After::Latest => gateway.events_end().await?,
        After::Place(place) => {
            let checked = gateway.check_cursor(place).await?;
            checked.map_err(cursor_problem)?;
            place
        }
    };
    if form == JSON {
        let events_max = usize::try_from(limit.0).unwrap_or(usize::MAX);
        let EventPage { events, cursor, is_last } = gateway.events(after, &types, events_max).await?;
        return Ok(Json(EventsAnswer { events, next: cursor, is_last }).into_response());
    }
    let place = api.event_streams().clone().try_acquire_owned().map_err(|_| {
        let detail = format!("{} streams of events are open, which is the most", api.config().event_streams_max);
        Problem::later(Code::TooManyRequests).saying(detail)
    })?;
    debug!(by = caller.name(), %after, "a stream of events begins");
    let (ours, theirs) = duplex(BUFFER_BYTES);
    tokio::spawn(Stream::new(gateway, types, after, ours).run(place));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(STREAM)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // A proxy that gathers answers would hold them back.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(theirs))).into_response())
}

/// A cursor that cannot be gone on from.
pub(super) fn cursor_problem(error: CursorError) -> Problem {
    match error {
        CursorError::Lost(lost) => Problem::new(Code::CursorLost, lost.to_string()),
        CursorError::Future(future) => Problem::parameter("after", future.to_string()),
    }
}

/// Where a stream broke off. An empty one says nothing: browsers may send it.
fn last_event_id(headers: &HeaderMap) -> Result<Option<EventPlace>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty()) else { return Ok(None) };
    let place = value.to_str().ok().and_then(|text| text.parse().ok());
    place.map(Some).ok_or_else(|| {
        Problem::new(Code::BadRequest, "the header Last-Event-ID is not the cursor of an event, as 1044-0")
    })
}

/// A stream on its way to a reader.
pub(super) struct Stream {
    gateway: Gateway,
    types: EventFilter,
    pub(super) cursor: EventPlace,
    lines: DuplexStream,
    written_at: Instant,
    /// So long nothing is written at most, also while it catches up and its filter passes over everything.
    pub(super) heartbeat_every: Duration,
}

/// Why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The reader has gone, or takes nothing.
    Reader(&'static str),
    /// The gateway stops, or cannot read.
    Gateway(&'static str),
}

impl Stream {
    pub(super) fn new(gateway: Gateway, types: EventFilter, cursor: EventPlace, lines: DuplexStream) -> Stream {
        Stream { gateway, types, cursor, lines, written_at: Instant::now(), heartbeat_every: HEARTBEAT }
    }

    async fn run(mut self, _place: OwnedSemaphorePermit) {
        gauge!("event_streams").increment(1);
        let (end, why) = match self.write().await {
            End::Reader(why) => ("reader", why),
            End::Gateway(why) => ("gateway", why),
        };
        gauge!("event_streams").decrement(1);
        counter!("event_streams_ended_total", "by" => end, "why" => why).increment(1);
        debug!(cursor = %self.cursor, end, why, "a stream of events ends");
    }

    /// Writes until one of the two ends.
    pub(super) async fn write(&mut self) -> End {
        let mut news = self.gateway.event_news();
        let mut nothing = [0];
        // At once, so that the reader knows that it is heard.
        if let Err(end) = self.heartbeat().await {
            return end;
        }
        loop {
            news.mark_unchanged();
            let has_more = match self.write_page().await {
                Ok(has_more) => has_more,
                Err(end) => return end,
            };
            if self.written_at.elapsed() >= self.heartbeat_every
                && let Err(end) = self.heartbeat().await
            {
                return end;
            }
            let gateway = self.gateway.clone();
            let next = async {
                if has_more {
                    // The next page at once; but whoever else has work comes first, and so does an end.
                    yield_now().await;
                    return false;
                }
                sleep(GATHERING).await;
                // Without a writer nothing happens any more.
                timeout(LOOK_EVERY, news.changed()).await.is_ok_and(|changed| changed.is_err())
            };
            tokio::select! {
                biased;
                () = gateway.stopping() => return End::Gateway("stopping"),
                // The other end says nothing; a read ends when it is gone.
                _gone = self.lines.read(&mut nothing) => return End::Reader("gone"),
                ended = next => if ended { return End::Gateway("stopping") },
            }
        }
    }

    /// Writes what is there. Whether there may be more.
    async fn write_page(&mut self) -> Result<bool, End> {
        let page = self.gateway.events(self.cursor, &self.types, EVENTS_AT_ONCE).await.map_err(|error| {
            warn!(%error, "a stream of events ends: the store cannot be read");
            End::Gateway("store")
        })?;
        let mut text = String::new();
        for event in &page.events {
            write_event(&mut text, event);
        }
        if !text.is_empty() {
            self.send(&text).await?;
        }
        self.cursor = page.cursor;
        Ok(!page.is_last)
    }

    /// A comment; and the cursor without an event, so that a reader who comes back does not go through what its filter passed over.
    async fn heartbeat(&mut self) -> Result<(), End> {
        self.send(&format!(":\nid: {}\n\n", self.cursor)).await
    }

    async fn send(&mut self, text: &str) -> Result<(), End> {
        match timeout(READ_PATIENCE, self.lines.write_all(text.as_bytes())).await {
            Ok(Ok(())) => {
                self.written_at = Instant::now();
                Ok(())
            }
            Ok(Err(_)) => Err(End::Reader("gone")),
            Err(_elapsed) => Err(End::Reader("slow")),
        }
    }
}

/// JSON has no line breaks in it, so an event is one line of data.
fn write_event(text: &mut String, event: &Event) {
    let data = serde_json::to_string(event).expect("text keys and finite numbers");
    // Writing to a string cannot fail.
    let _ = write!(text, "id: {}\nevent: {}\ndata: {data}\n\n", event.cursor, event.kind);
}
