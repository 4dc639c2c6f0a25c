//! The listeners over real sockets.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::world::{ANNA, Setting, World, fare, token};
use crate::{
    api::{Role, serve, serve_operations},
    simulator::DelayRange,
};

const LIMIT: Duration = Duration::from_secs(10);

struct Served {
    world: World,
    address: std::net::SocketAddr,
    stop: CancellationToken,
    server: JoinHandle<std::io::Result<()>>,
}

async fn served(change: impl FnOnce(&mut Setting)) -> Served {
    let mut setting = Setting::default();
    setting.api.header_seconds_max = 1;
    setting.api.request_seconds_max = 3;
    setting.api.wait_seconds_max = 2;
    change(&mut setting);
    let world = World::with(setting).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(listener, world.config.clone(), world.gateway.clone(), stop.clone()));
    Served { world, address, stop, server }
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }

    /// Sends `bytes` and reads until the other side closes.
    async fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.expect("written");
        read_to_end(&mut stream).await
    }
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end too.
    let _ended = tokio::time::timeout(LIMIT, stream.read_to_end(&mut bytes)).await.expect("an end in time");
    String::from_utf8_lossy(&bytes).into_owned()
}

fn post(extra: &str) -> String {
    let token = token(Role::Ticketing);
    format!(
        "POST /v1/charges HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nidempotency-key: k\r\ncontent-type: application/json\r\n{extra}\r\n"
    )
}

#[tokio::test]
async fn a_purchase_over_a_socket_and_a_second_request_on_the_same_connection() {
    let served = served(|_| {}).await;
    let body = fare(ANNA).to_string();
    let purchase = post(&format!("prefer: wait=2\r\ncontent-length: {}\r\n", body.len()));
    let keys = format!(
        "GET /v1/keys HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
        token(Role::Finance)
    );
    let answers = served.exchange(format!("{purchase}{body}{keys}").as_bytes()).await;
    assert!(answers.starts_with("HTTP/1.1 201 Created\r\n"), "{answers}");
    assert!(answers.contains("\"state\":\"charged\"") && answers.contains("HTTP/1.1 200 OK\r\n"), "{answers}");
}

#[tokio::test]
async fn http_2_is_spoken_without_tls() {
    let served = served(|_| {}).await;
    let mut request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    request.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    // HPACK (RFC 7541): GET, http, and a path and an authority that are spelt out.
    let mut block = vec![0x82, 0x86, 0x04, 13];
    block.extend(b"/openapi.json");
    block.extend([0x01, 1, b'x']);
    request.extend([0, 0, u8::try_from(block.len()).expect("short"), 1, 0x5, 0, 0, 0, 1]);
    request.extend(block);
    let mut stream = served.connect().await;
    stream.write_all(&request).await.expect("written");
    let first_of_headers = tokio::time::timeout(LIMIT, async {
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.expect("a frame");
            let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2]) | usize::from(head[0]) << 16];
            stream.read_exact(&mut payload).await.expect("a whole frame");
            if head[3] == 1 {
                return payload[0];
            }
        }
    });
    // 0x88 is `:status: 200`, possibly after a change of the table's size.
    assert_eq!(first_of_headers.await.expect("an answer in time"), 0x88);
}

#[tokio::test]
async fn who_says_nothing_or_half_a_header_or_half_a_preface_is_cut_off() {
    let served = served(|_| {}).await;
    for bytes in ["", "GET /v1/keys HTTP/1.1\r\nhost:", "PRI * HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let begun = Instant::now();
        served.exchange(bytes.as_bytes()).await;
        assert!((Duration::from_millis(900)..Duration::from_secs(5)).contains(&begun.elapsed()), "{bytes:?}");
    }
}

#[tokio::test]
async fn a_connection_that_asks_nothing_more_is_closed() {
    let served = served(|_| {}).await;
    let answer = served.exchange(b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_body_that_does_not_come_or_never_ends_is_given_up() {
    let served = served(|_| {}).await;
    let slow = served.exchange(format!("{}{{\"msi", post("content-length: 50\r\n")).as_bytes()).await;
    assert!(slow.starts_with("HTTP/1.1 400 Bad Request\r\n") && slow.contains("did not come in time"), "{slow}");

    let mut endless = post("transfer-encoding: chunked\r\n");
    for _ in 0..40 {
        endless.push_str("400\r\n");
        endless.push_str(&" ".repeat(0x400));
        endless.push_str("\r\n");
    }
    let mut stream = served.connect().await;
    // The answer may come, and the connection end, before all of it is written.
    let _cut_off = stream.write_all(endless.as_bytes()).await;
    let mut start = [0; 12];
    tokio::time::timeout(LIMIT, stream.read_exact(&mut start)).await.expect("in time").expect("an answer");
    assert_eq!(&start, b"HTTP/1.1 413");
}

#[tokio::test]
async fn more_connections_than_are_allowed_wait_for_a_place() {
    let served = served(|setting| setting.api.connections_max = 1).await;
    let holder = served.connect().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut waiting = served.connect().await;
    waiting.write_all(b"GET /openapi.json HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.expect("written");
    let early = tokio::time::timeout(Duration::from_millis(200), waiting.read_u8()).await;
    assert!(early.is_err(), "{early:?}");
    drop(holder);
    assert!(read_to_end(&mut waiting).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn when_it_stops_what_was_asked_is_answered_and_nothing_new_is_taken() {
    let served = served(|setting| setting.simulator.response_delay_ms = DelayRange::exactly(300)).await;
    let idle = served.connect().await;
    let body = fare(ANNA).to_string();
    let request = format!("{}{body}", post(&format!("prefer: wait=2\r\ncontent-length: {}\r\n", body.len())));
    let mut asking = served.connect().await;
    asking.write_all(request.as_bytes()).await.expect("written");
    tokio::time::sleep(Duration::from_millis(100)).await;
    served.stop.cancel();
    let answer = read_to_end(&mut asking).await;
    assert!(answer.contains("\"state\":\"charged\""), "{answer}");
    tokio::time::timeout(LIMIT, served.server).await.expect("it ends").expect("no panic").expect("no error");
    assert!(TcpStream::connect(served.address).await.is_err());
    drop((idle, served.world));
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_an_error_and_not_a_server() {
    let world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let config = crate::api::ApiConfig { connections_max: 0, ..world.config.clone() };
    let refused = serve(listener, config, world.gateway.clone(), CancellationToken::new()).await;
    assert!(refused.expect_err("refused").to_string().starts_with("connections_max"));
}

#[tokio::test]
async fn operations_are_served_on_a_listener_of_their_own() {
    let world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve_operations(listener, world.gateway.clone(), world.metrics.handle(), stop.clone()));
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.expect("written");
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"ready\":true"), "{answer}");
    stop.cancel();
    tokio::time::timeout(LIMIT, server).await.expect("it ends").expect("no panic").expect("no error");
}
