//! `GET /v1/events`, as pages and over real sockets, and what operations see of webhooks.

use std::{
    collections::BTreeSet,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::world::{Setting, World, fare, token};
use crate::{
    api::{
        Role,
        events::{End, Stream},
        serve,
    },
    store::EventPlace,
};

const LIMIT: Duration = Duration::from_secs(10);

/// Buys for this many numbers.
async fn bought(world: &World, numbers: std::ops::Range<u32>) {
    for n in numbers {
        let body = fare(&format!("+7705{n:07}"));
        assert_eq!(world.bought(&format!("key {n}"), &body).await.json()["state"], "charged");
    }
}

async fn page(world: &World, query: &str) -> Value {
    let answer = world.get(&format!("/v1/events?{query}")).send().await;
    assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
    answer.json()
}

fn cursors(page: &Value) -> Vec<String> {
    let events = page["events"].as_array().expect("events").iter();
    events.map(|event| event["cursor"].as_str().expect("a cursor").to_owned()).collect()
}

fn types(page: &Value) -> Vec<&str> {
    page["events"].as_array().expect("events").iter().filter_map(|event| event["type"].as_str()).collect()
}

#[tokio::test]
async fn pages_of_events_meet_and_end() {
    let world = World::new().await;
    assert_eq!(page(&world, "").await, json!({ "events": [], "next": "0", "is_last": true }));
    bought(&world, 0..3).await;
    let all = page(&world, "after=0").await;
    assert_eq!(types(&all), ["charge.processing", "charge.charged", "ticket.issued"].repeat(3));
    let (mut met, mut after) = (Vec::new(), "0".to_owned());
    loop {
        let page = page(&world, &format!("after={after}&limit=2")).await;
        assert!(cursors(&page).len() <= 2);
        met.extend(cursors(&page));
        after = page["next"].as_str().expect("a cursor").to_owned();
        if page["is_last"] == true {
            break;
        }
    }
    assert_eq!(met, cursors(&all));
    let ids: BTreeSet<String> = all["events"].as_array().expect("events").iter().map(|e| e["id"].to_string()).collect();
    assert_eq!(ids.len(), 9);
    // Between two events of one entry.
    let behind = page(&world, &format!("after={}", cursors(&all)[1])).await;
    assert_eq!(cursors(&behind), cursors(&all)[2..]);
    assert_eq!(types(&page(&world, "types=ticket.*,charge.declined").await), ["ticket.issued"; 3]);
    assert_eq!(types(&page(&world, "after=latest").await), [""; 0]);
    let by_finance = world.get("/v1/events").by(Role::Finance).send().await;
    assert_eq!(by_finance.json(), all);
}

#[tokio::test]
async fn what_is_no_cursor_no_type_or_not_yet_is_refused() {
    let world = World::new().await;
    bought(&world, 0..1).await;
    for (query, place) in [
        ("after=garbage", "after"),
        ("after=-1", "after"),
        ("after=1-300", "after"),
        ("after=", "after"),
        ("after=999999", "after"),
        ("types=charge.paid", "types"),
        ("types=", "types"),
        ("limit=0", "limit"),
        ("since=0", "since"),
    ] {
        let answer = world.get(&format!("/v1/events?{query}")).send().await;
        assert_eq!(answer.problem(), (400, "bad_request".into()), "{query}");
        let parameter = &answer.json()["errors"][0]["parameter"];
        assert!(*parameter == place || query == "since=0", "{query}: {}", answer.text());
    }
    let future = world.get("/v1/events?after=999999").send().await;
    assert!(future.text().contains("behind the last event"), "{}", future.text());
    for id in ["garbage", "999999", "1-"] {
        let refused = world.get("/v1/events").header("last-event-id", id).send().await;
        assert_eq!(refused.problem(), (400, "bad_request".into()), "{id}");
    }
    assert_eq!(world.get("/v1/events").header("accept", "text/html").send().await.problem().0, 406);
    for role in [Role::Support, Role::Inspection, Role::Operations] {
        assert_eq!(world.get("/v1/events").by(role).send().await.problem().0, 403, "{role:?}");
    }
}

struct Served {
    world: World,
    address: std::net::SocketAddr,
    stop: CancellationToken,
}

async fn served(change: impl FnOnce(&mut Setting)) -> Served {
    let mut setting = Setting::default();
    change(&mut setting);
    let world = World::with(setting).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, world.config.clone(), world.gateway.clone(), stop.clone()));
    Served { world, address, stop }
}

/// A stream of events, as a client reads it.
struct Follower {
    socket: BufReader<TcpStream>,
    head: String,
    /// What came in chunks and was not taken yet.
    unread: Vec<u8>,
}

/// An event as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Came {
    id: String,
    kind: String,
    data: String,
}

impl Follower {
    async fn open(address: std::net::SocketAddr, query: &str, last_event_id: Option<&str>) -> Follower {
        let mut socket = TcpStream::connect(address).await.expect("a connection");
        let last = last_event_id.map(|id| format!("last-event-id: {id}\r\n")).unwrap_or_default();
        let request = format!(
            "GET /v1/events?{query} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\naccept: text/event-stream\r\n{last}\r\n",
            token(Role::Ticketing)
        );
        socket.write_all(request.as_bytes()).await.expect("written");
        let mut follower = Follower { socket: BufReader::new(socket), head: String::new(), unread: Vec::new() };
        while !follower.head.ends_with("\r\n\r\n") {
            let line = follower.line().await.expect("a whole head");
            follower.head.push_str(&line);
        }
        follower
    }

    /// A line of the protocol; `None` at the end of the connection.
    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = timeout(LIMIT, self.socket.read_line(&mut line)).await.expect("something in time").unwrap_or(0);
        (read > 0).then_some(line)
    }

    /// What comes up to an empty line; `None` if the stream ends before.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.unread.drain(..end + 2).collect();
                return Some(String::from_utf8(block).expect("UTF-8"));
            }
            let size = usize::from_str_radix(self.line().await?.trim(), 16).expect("the size of a chunk");
            let mut chunk = vec![0; size + 2];
            timeout(LIMIT, self.socket.read_exact(&mut chunk)).await.expect("something in time").ok()?;
            self.unread.extend_from_slice(&chunk[..size]);
            if size == 0 {
                return None;
            }
        }
    }

    /// The next event; passes over heartbeats.
    async fn next(&mut self) -> Option<Came> {
        loop {
            let block = self.block().await?;
            let field = |name: &str| {
                let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                line.map(str::to_owned)
            };
            if let Some(data) = field("data") {
                return Some(Came { id: field("id").expect("a cursor"), kind: field("event").expect("a type"), data });
            }
        }
    }

    async fn take(&mut self, count: usize) -> Vec<Came> {
        let mut came = Vec::new();
        for _ in 0..count {
            came.push(self.next().await.expect("an event"));
        }
        came
    }
}

#[tokio::test]
async fn a_stream_tells_what_was_and_what_happens_and_goes_on_after_a_cut_without_gap_or_repeat() {
    let Served { world, address, .. } = served(|_| {}).await;
    bought(&world, 0..2).await;
    let mut follower = Follower::open(address, "", None).await;
    assert!(follower.head.starts_with("HTTP/1.1 200 OK"), "{}", follower.head);
    assert!(follower.head.contains("content-type: text/event-stream") && follower.head.contains("no-store"));
    let mut came = follower.take(6).await;
    // What happens now is told at once: long before anybody would look by himself.
    let begun = std::time::Instant::now();
    bought(&world, 2..3).await;
    came.extend(follower.take(2).await);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    drop(follower);
    bought(&world, 3..5).await;
    let last = came.last().expect("events").id.clone();
    // The old cursor in the address is what a browser keeps; the header goes before it.
    let mut follower = Follower::open(address, "after=0", Some(&last)).await;
    came.extend(follower.take(7).await);
    let all = page(&world, "limit=200").await;
    assert_eq!(came.iter().map(|came| came.id.clone()).collect::<Vec<_>>(), cursors(&all));
    for (came, event) in came.iter().zip(all["events"].as_array().expect("events")) {
        assert_eq!(serde_json::from_str::<Value>(&came.data).expect("JSON"), *event);
        assert_eq!(event["type"], came.kind.as_str());
    }
}

#[tokio::test]
async fn a_stream_with_a_filter_passes_over_the_rest_and_one_from_now_on_tells_nothing_of_before() {
    let Served { world, address, .. } = served(|_| {}).await;
    bought(&world, 0..2).await;
    let mut tickets = Follower::open(address, "types=ticket.issued", None).await;
    let mut latest = Follower::open(address, "after=latest&types=charge.charged", None).await;
    assert_eq!(tickets.take(2).await.len(), 2);
    bought(&world, 2..3).await;
    assert_eq!(
        (tickets.take(1).await[0].kind.as_str(), latest.take(1).await[0].kind.as_str()),
        ("ticket.issued", "charge.charged")
    );
    let reference = page(&world, "types=charge.charged").await["events"][2]["data"]["reference"].clone();
    assert_eq!(page(&world, "types=ticket.issued").await["events"][2]["data"]["reference"], reference);
}

#[tokio::test]
async fn streams_are_bounded_and_a_place_is_free_again_when_one_ends() {
    let Served { address, .. } = served(|setting| setting.api.event_streams_max = 2).await;
    let first = Follower::open(address, "", None).await;
    let _second = Follower::open(address, "", None).await;
    let third = Follower::open(address, "", None).await;
    assert!(third.head.starts_with("HTTP/1.1 429 ") && third.head.contains("retry-after: "), "{}", third.head);
    drop(first);
    let free = async {
        while !Follower::open(address, "", None).await.head.starts_with("HTTP/1.1 200") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LIMIT, free).await.expect("a place in time");
}

#[tokio::test]
async fn streams_end_when_the_gateway_stops_and_do_not_hold_it_up() {
    let Served { world, address, stop } = served(|_| {}).await;
    bought(&world, 0..1).await;
    let mut follower = Follower::open(address, "", None).await;
    follower.take(3).await;
    stop.cancel();
    timeout(Duration::from_secs(5), world.gateway.stop(Duration::from_secs(5))).await.expect("it stops");
    assert_eq!(follower.next().await, None);
}

/// A stream of which the filter passes over more than a page.
fn passing_over(world: &World) -> (Stream, DuplexStream) {
    let (ours, theirs) = duplex(1_024);
    let types = "break.*".parse().expect("known");
    (Stream::new(world.gateway.clone(), types, EventPlace::START, ours), theirs)
}

/// Lets it go on until it waits for something.
async fn once<T: std::fmt::Debug>(mut work: Pin<&mut impl Future<Output = T>>) {
    poll_fn(|cx| {
        assert!(work.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_catches_up_moves_its_readers_cursor_and_hears_that_it_is_to_end() {
    let world = World::new().await;
    bought(&world, 0..100).await;
    let end = world.gateway.events_end().await.expect("the store");

    let (mut stream, theirs) = passing_over(&world);
    stream.heartbeat_every = Duration::ZERO;
    let writing = tokio::spawn(async move { stream.write().await });
    let (mut lines, mut cursors) = (BufReader::new(theirs).lines(), Vec::new());
    while cursors.last() != Some(&end) {
        let line = timeout(LIMIT, lines.next_line()).await.expect("in time").expect("read").expect("more");
        cursors.extend(line.strip_prefix("id: ").map(|id| id.parse::<EventPlace>().expect("a cursor")));
    }
    assert!(cursors.len() >= 3 && cursors.is_sorted(), "at the beginning, between pages and at the end: {cursors:?}");
    let page = cursors[1];
    assert!(EventPlace::START < page && page < end, "{cursors:?}");
    drop(lines);
    assert_eq!(timeout(LIMIT, writing).await.expect("in time").expect("no panic"), End::Reader("gone"));

    let (mut stream, theirs) = passing_over(&world);
    {
        let mut writing = pin!(stream.write());
        once(writing.as_mut()).await;
        drop(theirs);
        assert_eq!(writing.await, End::Reader("gone"));
    }
    assert_eq!(stream.cursor, page, "not one page more");

    let (mut stream, _theirs) = passing_over(&world);
    {
        let mut writing = pin!(stream.write());
        once(writing.as_mut()).await;
        world.gateway.stop(LIMIT).await;
        assert_eq!(writing.await, End::Gateway("stopping"));
    }
    assert_eq!(stream.cursor, page);
}

#[tokio::test]
async fn who_reads_nothing_holds_nobody_up_and_finds_everything_later() {
    let Served { world, address, .. } = served(|_| {}).await;
    let mut lazy = Follower::open(address, "", None).await;
    let mut eager = Follower::open(address, "", None).await;
    bought(&world, 0..40).await;
    let came = eager.take(120).await;
    assert_eq!(lazy.take(120).await, came);
}

#[tokio::test]
async fn webhooks_are_for_operations_and_unknown_ones_are_not_found() {
    let world = World::new().await;
    let call = |method: axum::http::Method, path: &str| world.call(method, path).by(Role::Operations);
    let list = call(axum::http::Method::GET, "/v1/webhooks").send().await;
    assert_eq!(list.json(), json!({ "webhooks": [] }));
    assert_eq!(world.get("/v1/webhooks").send().await.problem().0, 403);
    assert_eq!(call(axum::http::Method::GET, "/v1/webhooks/nobody").send().await.problem().0, 404);
    assert_eq!(call(axum::http::Method::POST, "/v1/webhooks/nobody/resume").send().await.problem().0, 404);
    let replay = async |body: Value| {
        call(axum::http::Method::POST, "/v1/webhooks/nobody/replay").json(&body).send().await.problem().0
    };
    assert_eq!(replay(json!({ "after": "0" })).await, 404);
    assert_eq!(replay(json!({ "given_up": true })).await, 404);
    for wrong in
        [json!({}), json!({ "after": "x" }), json!({ "until": "3" }), json!({ "after": "0", "given_up": true })]
    {
        assert_eq!(replay(wrong.clone()).await, 400, "{wrong}");
    }
}
