//! `smsbusd events`: what became of charges, a line of JSON for each event.

use std::time::Duration;

use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::{
    ApiArgs, Exit, Failure, Outcome,
    client::{Client, Interruption, LongAnswer, Request},
    output::print_on,
};
use crate::{gateway::events::EventFilter, store::EventPlace};

/// A stream is asked for anew after this long.
const STREAM_LASTS: Duration = Duration::from_secs(3_600);
/// The daemon says something every 15 seconds.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Before a stream that broke off is asked for anew: at first, doubled with each time in vain, and at most.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// `smsbusd events`
#[derive(Clone, Debug, Args)]
pub struct EventsArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Only events behind this cursor; all of them without it
    #[arg(long, value_name = "CURSOR")]
    after: Option<EventPlace>,
    /// Only these types, with commas between them; refund.* means every type that begins so
    #[arg(long, value_name = "TYPES", value_parser = types)]
    types: Option<String>,
    /// Go on with what happens, until interrupted
    #[arg(long)]
    follow: bool,
}

/// Prints events. Errors: no token, no answer, a refusal.
pub async fn events(args: &EventsArgs) -> Outcome {
    let client = Client::new(&args.api)?;
    let cursor = args.after.unwrap_or(EventPlace::START);
    if args.follow { follow(&client, args, cursor, print_on).await } else { pages(&client, args, cursor).await }
}

/// Prints what was and what happens, until nobody reads on or the daemon refuses. Once it was heard, that it is not there is no failure: it
/// may be starting again, and what was not printed comes then.
async fn follow(
    client: &Client,
    args: &EventsArgs,
    mut cursor: EventPlace,
    mut print: impl FnMut(String) -> Result<bool, Failure>,
) -> Outcome {
    let (mut was_heard, mut tries) = (false, 0_u32);
    loop {
        let (mut reads_on, mut heard) = (true, false);
        let mut coming = Coming::default();
        let path = path(args, cursor);
        let stream =
            LongAnswer { path: &path, accept: "text/event-stream", lasts: STREAM_LASTS, silence_max: SILENCE_MAX };
        let followed = client.follow(stream, |line| {
            heard = true;
            if !line.is_empty() {
                coming.line(line)?;
                return Ok(true);
            }
            // Only an event that has come whole is printed, and only then the cursor is behind it.
            let Coming { id, data } = std::mem::take(&mut coming);
            if let Some(data) = data {
                reads_on = print(data)?;
            }
            cursor = id.unwrap_or(cursor);
            Ok(reads_on)
        });
        let interruption = followed.await.err();
        if !reads_on {
            return Ok(Exit::Done);
        }
        was_heard |= heard;
        match interruption {
            Some(Interruption::Passing(failure)) if !was_heard => return Err(failure),
            Some(Interruption::Final(failure)) => return Err(failure),
            Some(Interruption::Passing(_)) | None => {}
        }
        tries = if heard { 0 } else { tries.saturating_add(1) };
        tokio::time::sleep(pause(tries)).await;
    }
}

/// An event of a stream, as far as it has come.
#[derive(Default)]
struct Coming {
    id: Option<EventPlace>,
    data: Option<String>,
}

impl Coming {
    fn line(&mut self, line: &str) -> Result<(), Failure> {
        if let Some(id) = line.strip_prefix("id: ") {
            let place = id.parse().map_err(|error| Failure::new(format!("the daemon sent the cursor {id:?}: {error}")));
            self.id = Some(place?);
        } else if let Some(data) = line.strip_prefix("data: ") {
            self.data = Some(data.to_owned());
        }
        Ok(())
    }
}

/// Before the stream is asked for again, after so many times in vain.
fn pause(tries: u32) -> Duration {
    PAUSE.saturating_mul(1_u32.checked_shl(tries).unwrap_or(u32::MAX)).min(PAUSE_MAX)
}

async fn pages(client: &Client, args: &EventsArgs, mut cursor: EventPlace) -> Outcome {
    loop {
        let answer = client.ask(Request::new(Method::GET, &format!("{}&limit=200", path(args, cursor)))).await?;
        for event in answer.get("events").and_then(Value::as_array).into_iter().flatten() {
            if !print_on(event.to_string())? {
                return Ok(Exit::Done);
            }
        }
        let next = answer.get("next").and_then(Value::as_str).and_then(|next| next.parse().ok());
        match (next, answer.get("is_last").and_then(Value::as_bool)) {
            (Some(next), Some(false)) => cursor = next,
            (Some(_), Some(true)) => return Ok(Exit::Done),
            _ => return Err(Failure::new("the daemon answered with something that is no page of events")),
        }
    }
}

fn path(args: &EventsArgs, cursor: EventPlace) -> String {
    let types = args.types.as_ref().map(|types| format!("&types={types}")).unwrap_or_default();
    format!("/v1/events?after={cursor}{types}")
}

/// What may stand in a query as it is.
fn types(text: &str) -> Result<String, String> {
    let checked: Result<EventFilter, _> = text.parse();
    checked.map_err(|error| error.to_string())?;
    Ok(text.split(',').map(str::trim).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        net::{SocketAddr, TcpListener, TcpStream},
        thread,
    };

    use super::*;

    /// Takes one request. Its first line.
    fn asked(listener: &TcpListener) -> (TcpStream, String) {
        let (stream, _) = listener.accept().expect("a connection");
        let mut lines = BufReader::new(stream.try_clone().expect("a socket")).lines().map(|line| line.expect("ASCII"));
        let first = lines.next().expect("a request");
        lines.find(String::is_empty).expect("the end of its head");
        (stream, first)
    }

    /// Answers with so much of a stream that has no end, and is gone.
    fn say(mut stream: TcpStream, text: &str) {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        write!(stream, "{head}{:x}\r\n{text}\r\n", text.len()).expect("written");
    }

    fn refuse(mut stream: TcpStream, status: &str) {
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").expect("written");
    }

    /// What was printed until the daemon refused, and the refusal.
    fn followed(address: SocketAddr) -> (Vec<String>, String) {
        let mut token = tempfile::NamedTempFile::new().expect("a file");
        token.write_all(b"a token").expect("written");
        let api = ApiArgs { server: format!("http://{address}"), token_file: Some(token.path().into()) };
        let client = Client::new(&api).expect("a token");
        let args = EventsArgs { api, after: None, types: Some("refund.*".into()), follow: true };
        let mut printed = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let following = follow(&client, &args, EventPlace::START, |event| {
            printed.push(event);
            Ok(true)
        });
        let failure = runtime.block_on(following).expect_err("the daemon refuses in the end");
        (printed, failure.to_string())
    }

    #[test]
    fn who_follows_goes_on_when_the_daemon_was_killed_and_prints_each_event_once() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let daemon = thread::spawn(move || {
            let mut requests = Vec::new();
            // Killed after it has sent the half of an event.
            let (stream, first) = asked(&listener);
            say(stream, ":\nid: 3\n\nid: 4-0\nevent: refund.owed\ndata: one\n\nid: 4-1\nevent: refund.done\nda");
            requests.push(first);
            drop(listener);
            // Nobody listens for a while.
            thread::sleep(PAUSE + PAUSE / 2);
            let listener = TcpListener::bind(address).expect("the same port");
            let (stream, first) = asked(&listener);
            refuse(stream, "503 Service Unavailable");
            requests.push(first);
            let (stream, first) = asked(&listener);
            say(stream, "id: 4-1\nevent: refund.done\ndata: two\n\n:\nid: 9\n\n");
            requests.push(first);
            let (stream, first) = asked(&listener);
            refuse(stream, "429 Too Many Requests");
            requests.push(first);
            let (stream, first) = asked(&listener);
            refuse(stream, "401 Unauthorized");
            requests.push(first);
            requests
        });
        let (printed, failure) = followed(address);
        assert_eq!(printed, ["one", "two"]);
        assert_eq!(failure, "the daemon answers 401 Unauthorized");
        let asked_after = ["0", "4-0", "4-0", "9", "9"];
        let expected = asked_after.map(|after| format!("GET /v1/events?after={after}&types=refund.* HTTP/1.1"));
        assert_eq!(daemon.join().expect("no panic"), expected);
    }

    #[test]
    fn a_daemon_that_was_never_there_is_a_failure_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let (printed, failure) = followed(address);
        assert!(printed.is_empty() && failure.contains("is the daemon running"), "{failure}");
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        assert_eq!([0, 1, 3, 40].map(|tries| pause(tries).as_millis()), [500, 1_000, 4_000, 30_000]);
    }
}
