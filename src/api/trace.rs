//! `GET /v1/carriers/{name}/trace`: the PDUs of running binds as they go, a line each.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::io::ReaderStream;
use tracing::warn;
use utoipa::IntoParams;

use super::{
    auth::Caller,
    error::{Code, Problem},
    reading::QueryOf,
};
use crate::{
    carrier::{Trace, TraceFilter, TraceLine, TracedCommand},
    gateway::Gateway,
};

/// Newline-delimited JSON.
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");
/// Bytes that wait for a reader; a slower one loses PDUs.
const BUFFER_BYTES: usize = 64 * 1024;
/// A trace ends with the gateway: once that is stopping, and nothing has come for so long. It must not hold it up.
const STOPPING_LOOK: Duration = Duration::from_millis(500);

/// Which PDUs, and for how long.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct TraceQuery {
    /// Only this bind, by its name.
    bind: Option<String>,
    /// Only this command and its responses, by its name in SMPP 3.4.
    #[param(
        value_type = Option<String>,
        example = "submit_sm",
        pattern = r"^(generic_nack|outbind|alert_notification|((bind_(receiver|transmitter|transceiver)|(query|submit|deliver|replace|cancel|data)_sm|submit_multi|unbind|enquire_link)(_resp)?))$"
    )]
    command: Option<TracedCommand>,
    /// How long, from 1 to 3600 seconds.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 3600)]
    seconds: Seconds,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Seconds(u64);

impl Seconds {
    const MAX: u64 = 3_600;
}

impl Default for Seconds {
    fn default() -> Seconds {
        Seconds(60)
    }
}

impl TryFrom<String> for Seconds {
    type Error = String;

    fn try_from(text: String) -> Result<Seconds, String> {
        match text.parse() {
            Ok(seconds @ 1..=Seconds::MAX) => Ok(Seconds(seconds)),
            _ => Err(format!("a number from 1 to {}", Seconds::MAX)),
        }
    }
}

/// Traces the PDUs of a carrier
///
/// A line of JSON for each PDU on its binds, from now on, until the time is up (60 seconds by default) or the caller goes.
/// Phone numbers are masked; passwords and the texts that we send are left out. A caller who reads too slowly loses PDUs, and
/// a line says how many. At most four may trace a carrier at once.
#[utoipa::path(
    get, path = "/v1/carriers/{name}/trace", tag = "carriers",
    params(("name" = String, Path, description = "The carrier."), TraceQuery),
    responses((status = 200, description = "A JSON object on each line.", body = String, content_type = "application/x-ndjson")),
)]
pub(super) async fn trace_carrier(
    State(gateway): State<Gateway>,
    caller: Caller,
    name: Result<Path<String>, PathRejection>,
    QueryOf(query): QueryOf<TraceQuery>,
) -> Result<Response, Problem> {
    let carrier = name.ok().and_then(|Path(name)| gateway.carrier(&name));
    let carrier = carrier.ok_or_else(|| Problem::new(Code::NotFound, "no carrier has this name"))?;
    let filter = TraceFilter { bind: query.bind, command: query.command };
    let trace = carrier.trace(filter, gateway.now());
    let trace = trace
        .ok_or_else(|| Problem::new(Code::NotFound, "this carrier has no binds"))?
        .map_err(|full| Problem::new(Code::TooManyRequests, format!("of this carrier's traces, {full}")))?;
    warn!(carrier = %carrier.name(), by = caller.name(), seconds = query.seconds.0, "a carrier is traced");
    let until = Instant::now() + Duration::from_secs(query.seconds.0);
    let (ours, theirs) = duplex(BUFFER_BYTES);
    tokio::spawn(write(trace, ours, gateway.clone(), until));
    Ok(([(header::CONTENT_TYPE, NDJSON)], Body::from_stream(ReaderStream::new(theirs))).into_response())
}

/// Writes lines until the time is up, the caller has gone, or the gateway stops.
async fn write(mut trace: Trace, mut lines: DuplexStream, gateway: Gateway, until: Instant) {
    let mut nothing = [0];
    loop {
        let line = tokio::select! {
            line = trace.next() => line,
            () = sleep_until(until) => return,
            () = sleep(STOPPING_LOOK) => {
                if gateway.is_stopping() {
                    return;
                }
                continue;
            }
            // The other end says nothing; a read ends when it is gone.
            _gone = lines.read(&mut nothing) => return,
        };
        let Some(line) = line else { return };
        // One who does not read is left when the time is up.
        match tokio::time::timeout_at(until, lines.write_all(&as_bytes(&line))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

fn as_bytes(line: &TraceLine) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(line).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}
