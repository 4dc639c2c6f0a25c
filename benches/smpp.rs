//! What one bind can carry: the session and its link, over loopback, against two SMSCs: a peer that does nothing but answer, and the
//! simulated carrier as a process of its own, which checks each message, takes its fare and writes that into its books.
//!
//! `cargo bench --bench smpp` prints, for windows of 1, 10 and 50: submissions a second, the time from the submission to its outcome,
//! and the processor time per submission without the SMSC's. Beside each stands the same exchange with prepared bytes, written and
//! read by blocking calls: what this machine's loopback and that SMSC give. Trust the ratio. No receipts are asked for, and no store is
//! there. In the end, a peer that stops reading: memory must stay flat.

#![allow(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "rates and ratios are for reading")]
#![allow(clippy::print_stdout, reason = "a benchmark prints what it found")]

#[path = "load/latencies.rs"]
mod latencies;
#[path = "smpp/peer.rs"]
mod peer;
#[path = "smpp/simulator.rs"]
mod simulator;

use std::{
    fs,
    io::Write,
    net::TcpStream,
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Parser;
use latencies::Latencies;
use peer::{COMMAND_BIND, COMMAND_SUBMIT, Cutter, answering_peer, deaf_peer, pdu};
use serde_json::{Value, json};
use simulator::Simulator;
use smsbusd::smpp::{
    Address, Bind, Endpoint, Lane, LinkConfig, Pool, PoolConfig, SessionConfig, SubmitOutcome, SubmitSm,
};

const WINDOWS: [usize; 3] = [1, 10, 50];
/// A rate that nothing reaches: the limiter works, and never holds anything up.
const TPS: u32 = 10_000_000;

#[derive(Parser)]
struct Plan {
    /// Where to write what was found, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// The program that simulates the carrier.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_smsbusd"))]
    program: PathBuf,
    /// Small numbers: whether it works.
    #[arg(long, alias = "test")]
    quick: bool,
    /// What `cargo bench` says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let plan = Plan::parse();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    println!(
        "{:>10} {:>6} {:>12} {:>12} {:>6} {:>10} {:>10} {:>12}",
        "SMSC", "window", "submits/s", "raw/s", "ratio", "p50", "p99", "CPU/submit"
    );
    let mut found = Vec::new();
    for smsc in ["peer", "simulator"] {
        for window in WINDOWS {
            let count = if plan.quick { 200 } else { 20_000 * window.min(10) };
            let (raw, run) = match smsc {
                "peer" => against_peer(&runtime, window, count),
                _ => against_simulator(&runtime, &plan, window, count),
            };
            println!("{smsc:>10} {window:>6} {}", run.row(raw));
            found.push(run.to_json(smsc, window, count, raw));
        }
    }
    let seconds = if plan.quick { 1 } else { 10 };
    let (before, after, refused) = runtime.block_on(stopped_reader(Duration::from_secs(seconds)));
    println!(
        "a peer that stops reading, for {seconds} s: resident memory {before} KiB before, {after} KiB after; {refused} callers told to \
         wait"
    );
    if let Some(file) = &plan.json {
        let stopped =
            json!({ "seconds": seconds, "rss_kib_before": before, "rss_kib_after": after, "refused": refused });
        let text = json!({ "one_bind": found, "peer_that_stops_reading": stopped }).to_string();
        fs::write(file, text).expect("the file can be written");
    }
}

struct Run {
    per_second: f64,
    times: Latencies,
    cpu_per_submission: Duration,
}

impl Run {
    fn row(&self, raw: f64) -> String {
        format!(
            "{:>12.0} {raw:>12.0} {:>6.2} {:>10} {:>10} {:>12}",
            self.per_second,
            self.per_second / raw,
            micros(self.times.per_mille(500)),
            micros(self.times.per_mille(990)),
            micros(self.cpu_per_submission),
        )
    }

    fn to_json(&self, smsc: &str, window: usize, count: usize, raw: f64) -> Value {
        json!({
            "smsc": smsc,
            "window": window,
            "submissions": count,
            "per_second": self.per_second,
            "raw_per_second": raw,
            "latency_ms": self.times.to_json(),
            "cpu_us_per_submission": self.cpu_per_submission.as_secs_f64() * 1e6,
        })
    }
}

fn against_peer(runtime: &tokio::runtime::Runtime, window: usize, count: usize) -> (f64, Run) {
    let (port, peer) = answering_peer();
    let raw = raw_rate(port, window, count);
    peer.join().expect("the peer ends");
    let (port, peer) = answering_peer();
    let mut run = runtime.block_on(submit(port, window, count));
    // The peer is a thread of this process.
    let its_own = peer.join().expect("the peer ends") / u32::try_from(count).expect("a small number");
    run.cpu_per_submission = run.cpu_per_submission.saturating_sub(its_own);
    (raw, run)
}

fn against_simulator(runtime: &tokio::runtime::Runtime, plan: &Plan, window: usize, count: usize) -> (f64, Run) {
    // Each has one of its own, so that neither finds the other's messages in its way.
    let raw = raw_rate(Simulator::start(&plan.program).port(), window, count);
    let simulator = Simulator::start(&plan.program);
    (raw, runtime.block_on(submit(simulator.port(), window, count)))
}

/// `count` submissions through a pool of one link, as many at once as the window holds.
async fn submit(port: u16, window: usize, count: usize) -> Run {
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
    let mut times = Latencies::new();
    for worker in workers {
        worker.await.expect("a worker").into_iter().for_each(|time| times.record(time));
    }
    let elapsed = started.elapsed();
    // A peer that is a thread lives until the link is unbound, and counts in both.
    let cpu = process_cpu().saturating_sub(cpu_before);
    pool.unbind().await;
    drop(pool);
    events.await.expect("the events end");
    let per_submission = u32::try_from(count).expect("a small number");
    Run { per_second: count as f64 / elapsed.as_secs_f64(), times, cpu_per_submission: cpu / per_submission }
}

/// The same bytes without a session: one thread keeps `window` prepared requests under way by blocking calls.
fn raw_rate(port: u16, window: usize, count: usize) -> f64 {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the SMSC listens");
    stream.set_nodelay(true).expect("a socket option");
    let mut framer = Cutter::default();
    stream.write_all(&pdu(COMMAND_BIND, 1, b"smsbus\0secret\0\0\x34\0\0\0")).expect("written");
    framer.read(&mut stream, |_, status, _| assert_eq!(status, 0, "the bind is refused"));
    let body = submit_body();
    let started = Instant::now();
    let (mut sent, mut answered) = (0, 0);
    while answered < count {
        let mut batch = Vec::new();
        while sent < count && sent - answered < window {
            sent += 1;
            batch.extend(pdu(COMMAND_SUBMIT, u32::try_from(sent + 1).expect("small"), &body));
        }
        stream.write_all(&batch).expect("written");
        let is_open = framer.read(&mut stream, |_, status, _| {
            assert_eq!(status, 0, "a message is refused");
            answered += 1;
        });
        assert!(is_open, "the SMSC hung up");
    }
    count as f64 / started.elapsed().as_secs_f64()
}

/// A fare, as the gateway sends it; no receipt is asked for.
fn message() -> SubmitSm {
    let mut message = SubmitSm::new(Address::short_code("2505"), Address::international("77055554433"));
    message.short_message = TEXT.into();
    let message = message.with_user_message_reference(7);
    message.with_tlv(simulator::TARIFF_TLV, simulator::TARIFF).with_tlv(simulator::REFERENCE_TLV, REFERENCE.as_slice())
}

const TEXT: &[u8] = b"Bus 1234: 80 KZT";
const REFERENCE: [u8; 16] = [7; 16];

/// What [`message`] is on the wire.
fn submit_body() -> Vec<u8> {
    let mut body = b"\0\x03\x002505\0\x01\x0177055554433\0\0\0\0\0\0\0\0\0\0".to_vec();
    body.push(u8::try_from(TEXT.len()).expect("short"));
    body.extend_from_slice(TEXT);
    let mut tlv = |tag: u16, value: &[u8]| {
        body.extend_from_slice(&tag.to_be_bytes());
        body.extend_from_slice(&u16::try_from(value.len()).expect("short").to_be_bytes());
        body.extend_from_slice(value);
    };
    tlv(0x0204, &7_u16.to_be_bytes());
    tlv(simulator::TARIFF_TLV, simulator::TARIFF);
    tlv(simulator::REFERENCE_TLV, &REFERENCE);
    body
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
    let bind = Bind { system_id: "smsbus".into(), password: "secret".into(), ..Bind::default() };
    let session = SessionConfig { window, ..SessionConfig::new("bench", "bench", bind) };
    PoolConfig::new(vec![LinkConfig::new(vec![Endpoint::new("127.0.0.1", port)], session)], TPS)
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
