//! What one bind can carry: the session and its link against a peer that does nothing but answer, over loopback.
//!
//! `cargo bench --bench smpp` prints, for windows of 1, 10 and 50: submissions a second, the time from the submission to its outcome,
//! and the processor time per submission without the peer's. Beside each stands the same exchange with prepared bytes, written and
//! read by blocking calls: what this machine's loopback gives. Trust the ratio. In the end, a peer that stops reading: memory must
//! stay flat.

#![allow(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "rates and ratios are for reading")]
#![allow(clippy::print_stdout, reason = "a benchmark prints what it found")]

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use smsbusd::smpp::{
    Address, Bind, Endpoint, Lane, LinkConfig, Pool, PoolConfig, SessionConfig, SubmitOutcome, SubmitSm,
};

const WINDOWS: [usize; 3] = [1, 10, 50];
/// A rate that nothing reaches: the limiter works, and never holds anything up.
const TPS: u32 = 10_000_000;
const HEADER_BYTES: usize = 16;
const COMMAND_BIND: u32 = 0x09;
const COMMAND_SUBMIT: u32 = 0x04;
const COMMAND_UNBIND: u32 = 0x06;
const RESPONSE: u32 = 0x8000_0000;

fn main() {
    let quick = std::env::args().any(|argument| argument == "--test");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    println!(
        "{:>6} {:>12} {:>12} {:>6} {:>10} {:>10} {:>12}",
        "window", "submits/s", "raw/s", "ratio", "p50", "p99", "CPU/submit"
    );
    for window in WINDOWS {
        let count = if quick { 200 } else { 20_000 * window.min(20) };
        let raw = raw_rate(window, count);
        let run = runtime.block_on(submit(window, count));
        println!(
            "{window:>6} {:>12.0} {raw:>12.0} {:>6.2} {:>10} {:>10} {:>12}",
            run.per_second,
            run.per_second / raw,
            micros(run.p50),
            micros(run.p99),
            micros(run.cpu_per_submission),
        );
    }
    let seconds = if quick { 1 } else { 10 };
    let (before, after, refused) = runtime.block_on(stopped_reader(Duration::from_secs(seconds)));
    println!(
        "a peer that stops reading, for {seconds} s: resident memory {before} KiB before, {after} KiB after; {refused} callers told to \
         wait"
    );
}

struct Run {
    per_second: f64,
    p50: Duration,
    p99: Duration,
    cpu_per_submission: Duration,
}

/// `count` submissions through a pool of one link, as many at once as the window holds.
async fn submit(window: usize, count: usize) -> Run {
    let (port, peer) = answering_peer();
    let (pool, mut events) = Pool::open(config(port, window)).expect("a bind");
    let events = tokio::spawn(async move { while events.recv().await.is_some() {} });
    drop(pool.reserve(Lane::Normal, Instant::now() + Duration::from_secs(5)).await.expect("bound"));

    let (cpu_before, started) = (process_cpu(), Instant::now());
    let workers = (0..window).map(|worker| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let mut times = Vec::with_capacity(count / window + 1);
            for token in (worker..count).step_by(window) {
                let asked = Instant::now();
                let slot = pool.reserve(Lane::Normal, asked + Duration::from_secs(10)).await.expect("a place");
                let outcome = slot.submit(message(), token as u64).await;
                assert!(matches!(outcome, SubmitOutcome::Response { status, .. } if status.is_ok()), "{outcome:?}");
                times.push(asked.elapsed());
            }
            times
        })
    });
    let workers: Vec<_> = workers.collect();
    let mut times = Vec::with_capacity(count);
    for worker in workers {
        times.extend(worker.await.expect("a worker"));
    }
    let elapsed = started.elapsed();
    let cpu = process_cpu().saturating_sub(cpu_before);
    pool.unbind().await;
    drop(pool);
    events.await.expect("the events end");
    let cpu = cpu.saturating_sub(peer.join().expect("the peer ends"));
    times.sort_unstable();
    let at = |parts_of_100: usize| times[(times.len() * parts_of_100 / 100).min(times.len() - 1)];
    let per_submission = u32::try_from(count).expect("a small number");
    Run {
        per_second: count as f64 / elapsed.as_secs_f64(),
        p50: at(50),
        p99: at(99),
        cpu_per_submission: cpu / per_submission,
    }
}

/// The same bytes without a session: one thread keeps `window` prepared requests under way by blocking calls.
fn raw_rate(window: usize, count: usize) -> f64 {
    let (port, peer) = answering_peer();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the peer listens");
    stream.set_nodelay(true).expect("a socket option");
    let mut framer = Cutter::default();
    stream.write_all(&pdu(COMMAND_BIND, 1, b"bus\0\0\0\x34\0\0\0")).expect("written");
    framer.read(&mut stream, |_, _| ());
    let body = submit_body();
    let started = Instant::now();
    let (mut sent, mut answered) = (0, 0);
    while answered < count {
        let mut batch = Vec::new();
        while sent < count && sent - answered < window {
            sent += 1;
            batch.extend(pdu(COMMAND_SUBMIT, u32::try_from(sent).expect("small"), &body));
        }
        stream.write_all(&batch).expect("written");
        framer.read(&mut stream, |_, _| answered += 1);
    }
    let rate = count as f64 / started.elapsed().as_secs_f64();
    drop(stream);
    peer.join().expect("the peer ends");
    rate
}

/// Memory before and after `time` of submitting to a peer that binds and then reads nothing.
async fn stopped_reader(time: Duration) -> (u64, u64, u64) {
    let (port, deaf) = deaf_peer();
    let mut config = config(port, 1_000);
    config.links[0].session.dead_after = time * 2;
    config.links[0].session.response_timeout = time * 2;
    let (pool, mut events) = Pool::open(config).expect("a bind");
    let events = tokio::spawn(async move { while events.recv().await.is_some() {} });
    let (before, until) = (resident_kib(), Instant::now() + time);
    let mut refused = 0;
    let mut waiting = Vec::new();
    while Instant::now() < until {
        match pool.reserve(Lane::Normal, Instant::now() + Duration::from_millis(5)).await {
            Ok(slot) => waiting.push(slot.submit(message().with_message_payload(vec![b'x'; 4_000]), 1)),
            Err(_) => refused += 1,
        }
    }
    let after = resident_kib();
    drop(waiting);
    drop(pool);
    drop(deaf);
    let _ended = tokio::time::timeout(Duration::from_secs(5), events).await;
    (before, after, refused)
}

fn config(port: u16, window: usize) -> PoolConfig {
    let bind = Bind { system_id: "bus".into(), ..Bind::default() };
    let session = SessionConfig { window, ..SessionConfig::new("bench", "bench", bind) };
    PoolConfig::new(vec![LinkConfig::new(vec![Endpoint::new("127.0.0.1", port)], session)], TPS)
}

fn message() -> SubmitSm {
    let mut message = SubmitSm::new(Address::short_code("2505"), Address::international("77015554433"));
    message.short_message = b"Bus 1234: 80 KZT".as_slice().into();
    message.registered_delivery = 1;
    message.with_user_message_reference(7)
}

/// What [`message`] is on the wire.
fn submit_body() -> Vec<u8> {
    let text = b"Bus 1234: 80 KZT";
    let mut body = b"\0\x03\x002505\0\x01\x0177015554433\0\0\0\0\0\0\x01\0\0\0".to_vec();
    body.push(u8::try_from(text.len()).expect("short"));
    body.extend_from_slice(text);
    body.extend_from_slice(b"\x02\x04\0\x02\0\x07");
    body
}

/// An SMSC that accepts everything, one connection long. It gives its processor time.
fn answering_peer() -> (u16, thread::JoinHandle<Duration>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let peer = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.set_nodelay(true).expect("a socket option");
        let mut cutter = Cutter::default();
        loop {
            let mut answers = Vec::new();
            let open = cutter.read(&mut stream, |command, sequence| match command {
                COMMAND_SUBMIT => answers.extend(pdu(RESPONSE | COMMAND_SUBMIT, sequence, b"0123456789\0")),
                COMMAND_BIND => answers.extend(pdu(RESPONSE | COMMAND_BIND, sequence, b"peer\0")),
                COMMAND_UNBIND => answers.extend(pdu(RESPONSE | COMMAND_UNBIND, sequence, b"")),
                _ => {}
            });
            if !open || stream.write_all(&answers).is_err() {
                return thread_cpu();
            }
        }
    });
    (port, peer)
}

/// An SMSC that accepts the bind and reads no more, until what is given back is dropped.
fn deaf_peer() -> (u16, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let (keep, dropped) = mpsc::channel::<()>();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        Cutter::default().read(&mut stream, |_, _| ());
        stream.write_all(&pdu(RESPONSE | COMMAND_BIND, 1, b"peer\0")).expect("written");
        let _until_dropped = dropped.recv();
    });
    (port, keep)
}

/// Cuts PDUs out of what is read, and nothing more.
#[derive(Default)]
struct Cutter {
    bytes: Vec<u8>,
}

impl Cutter {
    /// One read; `pdu` gets the command and the sequence number of each whole PDU. `false` at the end.
    fn read(&mut self, stream: &mut TcpStream, mut pdu: impl FnMut(u32, u32)) -> bool {
        let mut buffer = [0; 64 * 1024];
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return false,
            Ok(count) => self.bytes.extend_from_slice(&buffer[..count]),
        }
        let number = |at: usize, bytes: &[u8]| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let mut start = 0;
        while self.bytes.len() - start >= HEADER_BYTES {
            let head = &self.bytes[start..];
            let length = usize::try_from(number(0, head)).expect("a length");
            if head.len() < length {
                break;
            }
            pdu(number(4, head), number(12, head));
            start += length;
        }
        self.bytes.drain(..start);
        true
    }
}

fn pdu(command: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER_BYTES + body.len()).expect("short");
    [&length.to_be_bytes(), &command.to_be_bytes(), &[0; 4], &sequence.to_be_bytes(), body].concat()
}

/// Processor time of all threads of this process that live.
fn process_cpu() -> Duration {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux");
    tasks.filter_map(|task| run_time(&task.ok()?.path().join("schedstat"))).sum()
}

fn thread_cpu() -> Duration {
    run_time(std::path::Path::new("/proc/thread-self/schedstat")).unwrap_or_default()
}

/// The first number is the time on a processor, in nanoseconds.
fn run_time(schedstat: &std::path::Path) -> Option<Duration> {
    let text = fs::read_to_string(schedstat).ok()?;
    Some(Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?))
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

fn micros(time: Duration) -> String {
    format!("{:.1} µs", time.as_secs_f64() * 1e6)
}
