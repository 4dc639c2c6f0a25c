//! Passengers who press *pay*, all at once: a closed loop of purchases over the API of a daemon that runs.
//!
//! `scripts/bench` starts the daemon, the carrier and this; on its own it has nobody to ask. Each connection has one request under way.
//! Each request is a purchase of its own: another number, another key. It is cheap on purpose, because daemon, database and carrier
//! share the processor with it: one thread, a connection each, and requests written into a buffer that is there.
//!
//! Each line of the output is JSON: `measuring` and `measured` when the measured time begins and ends, then `done` with what was found.
//! What is not as it should be is counted by its kind and never left out.

#![allow(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "rates and times are for reading")]
#![allow(clippy::print_stdout, reason = "its output is its result")]

#[path = "load/connection.rs"]
mod connection;
#[path = "load/latencies.rs"]
mod latencies;
#[path = "load/tally.rs"]
mod tally;

use std::{
    cell::{Cell, RefCell},
    io::Write as _,
    rc::Rc,
    time::{Duration, Instant},
};

use clap::Parser;
use connection::Connection;
use serde_json::json;
use tally::{Expected, Phase, Tally};
use tokio::{task::LocalSet, time::sleep};

/// After a connection was lost.
const CONNECT_PAUSE: Duration = Duration::from_millis(100);
/// So often in a row, before a worker gives up: there is nobody any more.
const CONNECT_TRIES: u32 = 50;

#[derive(Parser)]
struct Plan {
    /// Where the API listens; without it there is nothing to do.
    #[arg(long)]
    address: Option<String>,
    /// The token of the caller.
    #[arg(long, default_value = "")]
    token: String,
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// What is not measured yet, in seconds.
    #[arg(long, default_value_t = 2.0)]
    warm_up: f64,
    /// What is measured, in seconds.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// So many purchases, all of them measured, instead of a time.
    #[arg(long)]
    count: Option<u64>,
    /// How long the API is asked to wait for the outcome, in seconds. 0 does not wait: then the answer is that it is on its way.
    #[arg(long, default_value_t = 20)]
    wait: u64,
    /// The first subscriber; each purchase has the next.
    #[arg(long, default_value_t = 77_050_000_000)]
    first_msisdn: u64,
    /// The first vehicle.
    #[arg(long, default_value_t = 1_000)]
    first_vehicle: u32,
    /// Vehicles, whose passengers take turns.
    #[arg(long, default_value_t = 300)]
    vehicles: u32,
    /// What `cargo bench` says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
    #[arg(long, hide = true)]
    test: bool,
}

fn main() {
    let plan = Plan::parse();
    let Some(address) = plan.address.clone() else {
        println!("scripts/bench starts a daemon and then this; --address names one that runs");
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, run(Rc::new(plan), address));
}

/// What all workers share.
struct Crowd {
    plan: Rc<Plan>,
    address: String,
    next: Cell<u64>,
    phase: Cell<Phase>,
    tally: RefCell<Tally>,
}

async fn run(plan: Rc<Plan>, address: String) {
    let expected = if plan.wait > 0 { Expected::Charged } else { Expected::Processing };
    let phase = if plan.count.is_some() { Phase::Measured } else { Phase::WarmUp };
    let crowd = Rc::new(Crowd {
        address,
        next: Cell::new(0),
        phase: Cell::new(phase),
        tally: RefCell::new(Tally::new(expected)),
        plan: plan.clone(),
    });
    // All are there before the first asks.
    let mut connections = Vec::with_capacity(plan.connections);
    for _ in 0..plan.connections {
        connections.push(Connection::open(&crowd.address).await.expect("the API listens"));
    }
    let workers: Vec<_> =
        connections.into_iter().map(|connection| tokio::task::spawn_local(work(crowd.clone(), connection))).collect();
    if plan.count.is_none() {
        sleep(Duration::from_secs_f64(plan.warm_up)).await;
        crowd.phase.set(Phase::Measured);
    }
    let begun = tell("measuring");
    if plan.count.is_none() {
        sleep(Duration::from_secs_f64(plan.seconds)).await;
        crowd.phase.set(Phase::Over);
        report(&crowd, begun, tell("measured"));
        for worker in workers {
            worker.await.expect("a worker");
        }
    } else {
        for worker in workers {
            worker.await.expect("a worker");
        }
        report(&crowd, begun, tell("measured"));
    }
    // What was under way at the end has its answer now: so many purchases the other books must have, too.
    line(&json!({ "event": "done", "asked": crowd.next.get(), "in_all": crowd.tally.borrow().in_all() }));
}

fn report(crowd: &Crowd, begun: Instant, ended: Instant) {
    let found = crowd.tally.borrow().measured((ended - begun).as_secs_f64());
    line(&json!({ "event": "found", "connections": crowd.plan.connections, "found": found }));
}

/// Says it before anything else happens, so that whoever reads it can look at the processes at this moment.
fn tell(event: &str) -> Instant {
    line(&json!({ "event": event }));
    Instant::now()
}

fn line(value: &serde_json::Value) {
    println!("{value}");
    std::io::stdout().flush().expect("somebody reads");
}

/// Buys, one purchase after another, as long as there are any.
async fn work(crowd: Rc<Crowd>, connection: Connection) {
    let mut connection = Some(connection);
    let (mut request, mut body, mut msisdn) = (Vec::new(), Vec::new(), String::new());
    while let Some(number) = crowd.take() {
        let Some(open) = crowd.connected(&mut connection).await else { return };
        let vehicle = crowd.write(number, &mut request, &mut body, &mut msisdn);
        let asked = Instant::now();
        let is_lost = match open.exchange(&request).await {
            Ok(answer) => {
                let (phase, took) = (crowd.phase.get(), asked.elapsed());
                crowd.tally.borrow_mut().answered(phase, took, &msisdn, vehicle, &answer);
                false
            }
            Err(error) => {
                crowd.tally.borrow_mut().failed(&error);
                true
            }
        };
        if is_lost {
            connection = None;
        }
    }
}

impl Crowd {
    /// The next purchase; none when it is over.
    fn take(&self) -> Option<u64> {
        let number = self.next.get();
        if self.phase.get() == Phase::Over || self.plan.count.is_some_and(|count| number >= count) {
            return None;
        }
        self.next.set(number + 1);
        Some(number)
    }

    async fn connected<'c>(&self, connection: &'c mut Option<Connection>) -> Option<&'c mut Connection> {
        for _ in 0..CONNECT_TRIES {
            if connection.is_some() {
                break;
            }
            match Connection::open(&self.address).await {
                Ok(opened) => *connection = Some(opened),
                Err(error) => {
                    self.tally.borrow_mut().failed(&error);
                    sleep(CONNECT_PAUSE).await;
                }
            }
        }
        connection.as_mut()
    }

    /// The request of one purchase. Gives its vehicle.
    fn write(&self, number: u64, request: &mut Vec<u8>, body: &mut Vec<u8>, msisdn: &mut String) -> u32 {
        use std::fmt::Write as _;
        let plan = &self.plan;
        let turn = u32::try_from(number % u64::from(plan.vehicles)).expect("less than the vehicles");
        let vehicle = plan.first_vehicle + turn;
        msisdn.clear();
        write!(msisdn, "+{}", plan.first_msisdn + number).expect("a text grows");
        body.clear();
        request.clear();
        write!(body, r#"{{"msisdn":"{msisdn}","vehicle":"{vehicle}"}}"#).expect("a buffer grows");
        write!(
            request,
            "POST /v1/charges HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             idempotency-key: load-{msisdn}-{vehicle}\r\n",
            self.address, plan.token,
        )
        .expect("a buffer grows");
        if plan.wait > 0 {
            write!(request, "prefer: wait={}\r\n", plan.wait).expect("a buffer grows");
        }
        write!(request, "content-length: {}\r\n\r\n", body.len()).expect("a buffer grows");
        request.extend_from_slice(body);
        vehicle
    }
}
