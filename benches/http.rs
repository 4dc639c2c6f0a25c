//! What the gateway adds to a carrier over HTTP: the real daemon between a client of its API and a carrier on loopback that
//! answers after 0 or after 50 ms.
//!
//! `cargo bench --bench http` prints charges a second, the time of a charge as the client of the API sees it, and beside it the
//! same requests straight to the carrier by the same client: what remains is the gateway's. Client, daemon and carrier share this
//! machine, so trust the ratios and the differences. Each charge is two durable commits, a signed ticket and its postings.

#![allow(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "rates and ratios are for reading")]
#![allow(clippy::print_stdout, reason = "a benchmark prints what it found")]

#[path = "http/carrier.rs"]
mod carrier;
#[path = "http/daemon.rs"]
mod daemon;
#[allow(dead_code, reason = "this bench writes no JSON")]
#[path = "load/latencies.rs"]
mod latencies;
#[path = "http/load.rs"]
mod load;

use std::time::Duration;

use carrier::{LoopbackCarrier, Protocol};
use daemon::Daemon;
use load::Run;

/// How the carrier is spoken to, its own time, and how many charges are under way at once.
const CASES: [(Protocol, u64, usize); 8] = [
    (Protocol::Http1, 0, 1),
    (Protocol::Http1, 0, 64),
    (Protocol::Http1, 50, 1),
    (Protocol::Http1, 50, 256),
    (Protocol::Http2, 0, 1),
    (Protocol::Http2, 0, 64),
    (Protocol::Http2, 50, 1),
    (Protocol::Http2, 50, 256),
];
const STORES: [&str; 2] = ["memory", "sqlite"];

fn main() {
    let quick = std::env::args().any(|argument| argument == "--test");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    println!(
        "{:27} {:>9} {:>9} {:>6}  {:^15}  {:^15}  {:^15}",
        "", "charges", "carrier", "", "charge", "carrier", "added"
    );
    println!(
        "{:6} {:6} {:>5} {:>7} {:>9} {:>9} {:>6}  {:>7} {:>7}  {:>7} {:>7}  {:>7} {:>7}  {:>10} {:>5}",
        "store",
        "",
        "ms",
        "at once",
        "per s",
        "per s",
        "ratio",
        "p50",
        "p99",
        "p50",
        "p99",
        "p50",
        "p99",
        "CPU/charge",
        "conns"
    );
    for store in STORES {
        for (protocol, millis, at_once) in CASES {
            runtime.block_on(case(store, protocol, Duration::from_millis(millis), at_once, quick));
        }
    }
    println!("times in ms; CPU/charge is the daemon's; conns: connections that it opened to the carrier");
}

async fn case(store: &str, protocol: Protocol, delay: Duration, at_once: usize, quick: bool) {
    let count = match (quick, delay.is_zero()) {
        (true, _) => at_once * 2,
        (false, true) => 1_000 * at_once.min(8),
        (false, false) => at_once * 30,
    };
    let carrier = LoopbackCarrier::start(protocol, delay).await;
    let straight = load::straight(&carrier, at_once, count).await;
    let before = carrier.connections();
    let daemon = Daemon::start(store, &carrier).await;
    // Connections, caches and the token of the first charge are not what is measured.
    load::charges(&daemon, at_once, at_once, 0).await;
    let cpu = daemon.cpu();
    let charges = load::charges(&daemon, at_once, count, at_once).await;
    let cpu = (daemon.cpu() - cpu) / u32::try_from(count).expect("a small number");
    let connections = carrier.connections() - before;
    daemon.stop().await;
    print_row(store, protocol, delay, at_once, (&charges, &straight), cpu, connections);
}

fn print_row(
    store: &str,
    protocol: Protocol,
    delay: Duration,
    at_once: usize,
    (charges, straight): (&Run, &Run),
    cpu: Duration,
    connections: usize,
) {
    let ms = |time: Duration| format!("{:.2}", time.as_secs_f64() * 1e3);
    let added = |of: fn(&Run) -> Duration| ms(of(charges).saturating_sub(of(straight)));
    println!(
        "{store:6} {:6} {:>5} {at_once:>7} {:>9.0} {:>9.0} {:>6.2}  {:>7} {:>7}  {:>7} {:>7}  {:>7} {:>7}  {:>10} {connections:>5}",
        protocol.name(),
        delay.as_millis(),
        charges.per_second,
        straight.per_second,
        charges.per_second / straight.per_second,
        ms(charges.p50()),
        ms(charges.p99()),
        ms(straight.p50()),
        ms(straight.p99()),
        added(Run::p50),
        added(Run::p99),
        format!("{} µs", cpu.as_micros()),
    );
}
