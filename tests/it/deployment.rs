//! A folder with everything that a daemon needs.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use smsbusd::{
    clock::Clock,
    ticket::keyfile::{self, NewKey},
};

/// The token of the caller who may do everything.
pub(crate) const TOKEN: &str = "example";

/// A folder with a sound configuration: the examples, one carrier, keys of its own, free ports.
pub(crate) struct Deployment(tempfile::TempDir);

impl Deployment {
    pub(crate) fn new() -> Deployment {
        Deployment::with_smsc(SocketAddr::from(([127, 0, 0, 1], 9)))
    }

    /// With the carrier's SMSC at `smsc`.
    pub(crate) fn with_smsc(smsc: SocketAddr) -> Deployment {
        let deployment = Deployment(tempfile::tempdir().expect("a folder"));
        let keys = deployment.path("keys");
        fs::create_dir(&keys).expect("a folder");
        let now = Clock::System.now();
        let ticket = NewKey::Ticket { not_before: now, not_after: now.plus(Duration::from_secs(86_400)) };
        for new in [ticket, NewKey::ShortCode, NewKey::MsisdnTag] {
            keyfile::generate(&keys, new).expect("a key");
        }
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples/transit");
        fs::create_dir(deployment.path("transit")).expect("a folder");
        for name in ["agencies.csv", "cities.csv", "fares.csv", "routes.csv", "vehicles.csv"] {
            fs::copy(examples.join(name), deployment.path("transit").join(name)).expect("copied");
        }
        deployment.write("password", "secret\n");
        deployment.write("smsbusd.toml", &configuration(smsc));
        deployment
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("written");
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("smsbusd.toml")
    }

    /// Adds to the end of the configuration.
    pub(crate) fn append(&self, text: &str) {
        let written = fs::read_to_string(self.config()).expect("the configuration");
        self.write("smsbusd.toml", &format!("{written}\n{text}\n"));
    }
}

fn configuration(smsc: SocketAddr) -> String {
    format!(
        r#"
        [store]
        url = "sqlite://smsbusd.db"
        [api]
        listen = "127.0.0.1:0"
        [api.tokens.everybody]
        sha256 = "50d858e0985ecc7f60418aaf0cc5ab587f42c2570a884095a9e8ccacd0f6545c"
        roles = ["ticketing", "support", "operations", "finance", "inspection"]
        [operations]
        listen = "127.0.0.1:0"
        [process]
        drain_seconds_max = 10
        [carriers.kcell]
        short_number = "2505"
        prefixes = [701, 702, 775, 778]
        [carriers.kcell.smpp]
        address = "{smsc}"
        system_id = "smsbus"
        password_file = "password"
        charged_at = "delivery"
        message_id = {{ response = "hex", receipt_text = "decimal", receipt_tlv = "hex" }}
        tariffs = [{{ tlvs = [{{ tag = 0x1401, type = "c_octet_string", value = "BUS_{{major}}" }}] }}]
        "#
    )
}

/// The program. Nothing of the surroundings gets in: neither SMSBUSD__… nor a service manager's socket.
pub(crate) fn smsbusd() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smsbusd"));
    command.env_clear();
    command
}

/// Runs the program to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    smsbusd().args(args).output().expect("the program runs")
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs the program to its end, which must be good, and gives what it prints.
pub(crate) fn run_well(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}\n{}", output.status, stderr(&output));
    stdout(&output)
}
