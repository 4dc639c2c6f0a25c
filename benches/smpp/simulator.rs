//! The simulated carrier as a process of its own. It takes fares at submission; no limit of its own is met.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

pub(crate) const TARIFF_TLV: u16 = 0x1401;
pub(crate) const REFERENCE_TLV: u16 = 0x1402;
pub(crate) const TARIFF: &[u8] = b"BUS80\0";

const CONFIG: &str = r#"
smpp_listen = "127.0.0.1:0"
system_id = "smsbus"
password = "secret"
default_balance_minor = 1_000_000_000_000_000
charging.at = "submission"
tariffs = { BUS80 = 8_000 }
[limits]
messages_pending_max = 10_000_000
messages_kept_max = 10_000_000
ledger_entries_max = 10_000_000
"#;

/// Runs until it is dropped.
pub(crate) struct Simulator {
    process: Child,
    port: u16,
}

impl Simulator {
    pub(crate) fn start(program: &Path) -> Simulator {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = folder.path().join("simulator.toml");
        fs::write(&config, CONFIG).expect("written");
        let mut command = Command::new(program);
        let command = command.arg("simulate").arg("--config").arg(&config).stdin(Stdio::null()).stdout(Stdio::piped());
        let process = command.spawn().expect("the simulator starts");
        let mut simulator = Simulator { process, port: 0 };
        let mut first = String::new();
        let output = simulator.process.stdout.as_mut().expect("piped");
        BufReader::new(output).read_line(&mut first).expect("a line");
        let listens: serde_json::Value = serde_json::from_str(&first).expect("the first line says where it listens");
        let address = listens["smpp"].as_str().and_then(|address| address.rsplit_once(':'));
        simulator.port = address.and_then(|(_, port)| port.parse().ok()).expect("a port");
        simulator
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
