//! A running daemon, as a child process.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use serde_json::Value;
use smsbusd::simulator::{Simulator, SimulatorConfig};

use crate::deployment::{Deployment, TOKEN, smsbusd, stderr};

/// Nothing that a daemon does at once takes longer, on a busy machine either.
const PATIENCE: Duration = Duration::from_secs(60);

/// Killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<Value>>,
    more: Condvar,
}

impl Daemon {
    /// Starts `serve`, and waits until it is ready.
    pub(crate) fn start(deployment: &Deployment) -> Daemon {
        Daemon::start_with(deployment, |_| {})
    }

    /// Starts `serve` with a command that `adjust` has changed, and waits until it is ready.
    pub(crate) fn start_with(deployment: &Deployment, adjust: impl FnOnce(&mut Command)) -> Daemon {
        let mut command = smsbusd();
        command.arg("serve").arg("--config").arg(deployment.config()).stderr(Stdio::piped());
        adjust(&mut command);
        let mut child = command.spawn().expect("the program runs");
        let stderr = child.stderr.take().expect("piped");
        let log = Arc::new(Log::default());
        let reader = log.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                reader.lines.lock().expect("no panic").push(line);
                reader.more.notify_all();
            }
        });
        let daemon = Daemon { child, log };
        daemon.wait_for("ready");
        daemon
    }

    /// Waits for a line of the log whose message begins so.
    pub(crate) fn wait_for(&self, message: &str) -> Value {
        let begins = |line: &Value| line["message"].as_str().is_some_and(|text| text.starts_with(message));
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.log.lines.lock().expect("no panic");
        loop {
            if let Some(line) = lines.iter().find(|line| begins(line)) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no line begins with {message:?}: {lines:#?}");
            lines = self.log.more.wait_timeout(lines, left).expect("no panic").0;
        }
    }

    /// The address of each listener.
    pub(crate) fn addresses(&self) -> BTreeMap<String, String> {
        let lines = self.log.lines.lock().expect("no panic");
        let listening = lines.iter().filter(|line| line["message"] == "listening");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        listening.map(|line| (text(&line["listener"]), format!("http://{}", text(&line["address"])))).collect()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> ExitStatus {
        wait(&mut self.child)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks the daemon as an operator does.
pub(crate) fn ask(daemon: &Daemon, args: &[&str]) -> Output {
    let (command, rest) = args.split_first().expect("a command");
    let server = daemon.addresses()["api"].clone();
    smsbusd()
        .arg(command)
        .args(["--server", &server])
        .args(rest)
        .env("SMSBUSD_TOKEN", TOKEN)
        .output()
        .expect("the program runs")
}

/// What it answers, which must be good.
pub(crate) fn answered(daemon: &Daemon, args: &[&str]) -> Value {
    let output = ask(daemon, args);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// A carrier of this process, as the example has it, without faults.
pub(crate) async fn simulator() -> Simulator {
    let example = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/examples/simulator.toml"));
    // Several of these tests run at once.
    let example = (2_775..2_790)
        .fold(example.expect("the example"), |text, port| text.replace(&format!("127.0.0.1:{port}"), "127.0.0.1:0"));
    let mut config = SimulatorConfig::from_toml(&example).expect("sound");
    config.control_listen = None;
    config.faults.clear();
    Simulator::start(config).await.expect("started")
}

/// Sends a signal by its name: TERM, INT, HUP.
pub(crate) fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status().expect("kill runs");
    assert!(sent.success(), "kill -{name}");
}

/// Waits for the end of a child.
pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status;
        }
        assert!(Instant::now() < deadline, "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}
