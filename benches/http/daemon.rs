//! The real daemon, as an operator configures it: SQLite or memory, keys, the example books, the shipped OneAPI profile.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use smsbusd::{
    clock::Timestamp,
    ticket::keyfile::{self, NewKey},
};
use tempfile::TempDir;

use crate::carrier::{LoopbackCarrier, Protocol, certificate};

pub(crate) const TOKEN: &str = "a token for one benchmark";
const PAYING: &str = "the secret that the carrier does not ask for";

/// Runs until [`Daemon::stop`].
pub(crate) struct Daemon {
    process: Child,
    address: String,
    _folder: TempDir,
}

impl Daemon {
    pub(crate) async fn start(store: &str, carrier: &LoopbackCarrier) -> Daemon {
        let folder = tempfile::Builder::new().prefix("smsbusd-bench-").tempdir().expect("a temporary folder");
        let [api, operations] = free_ports();
        let path = folder.path().join("smsbusd.toml");
        write_keys(&folder.path().join("keys"));
        fs::write(folder.path().join("secret"), PAYING).expect("written");
        fs::write(&path, configuration(folder.path(), store, carrier, [api, operations])).expect("written");
        let log = fs::File::create(folder.path().join("log")).expect("a file");
        let process = Command::new(env!("CARGO_BIN_EXE_smsbusd"))
            .args(["serve", "--config"])
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("the daemon starts");
        let mut daemon = Daemon { process, address: format!("http://127.0.0.1:{api}"), _folder: folder };
        daemon.wait_until_ready(operations).await;
        daemon
    }

    async fn wait_until_ready(&mut self, operations: u16) {
        let (client, until) = (reqwest::Client::builder(), Instant::now() + Duration::from_secs(20));
        let client = crate::load::with_tls(client, Protocol::Http1).build().expect("a client");
        let url = format!("http://127.0.0.1:{operations}/readyz");
        while !client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            let ended = self.process.try_wait().expect("a child");
            if ended.is_some() || Instant::now() > until {
                let log = fs::read_to_string(self._folder.path().join("log")).unwrap_or_default();
                panic!("the daemon is not ready: {ended:?}\n{log}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Where its API listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The processor time that it has used.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("Linux");
        let after_name = stat.rsplit(')').next().expect("a name in brackets");
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = |field: usize| fields[field].parse::<u64>().expect("a number");
        // utime and stime, in hundredths of a second on every Linux.
        Duration::from_millis((ticks(11) + ticks(12)) * 10)
    }

    pub(crate) async fn stop(mut self) {
        let id = self.process.id().to_string();
        Command::new("kill").arg(&id).status().expect("kill");
        let until = Instant::now() + Duration::from_secs(30);
        while self.process.try_wait().expect("a child").is_none() {
            if Instant::now() > until {
                self.process.kill().expect("killed");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Only where the benchmark itself has failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn write_keys(folder: &Path) {
    fs::create_dir_all(folder).expect("a folder");
    let now = Timestamp::from_unix_seconds(
        std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs().try_into().expect("not so far ahead"),
    );
    let (not_before, not_after) = (now.minus(Duration::from_secs(60)), now.plus(Duration::from_secs(86_400)));
    for key in [NewKey::Ticket { not_before, not_after }, NewKey::ShortCode, NewKey::MsisdnTag] {
        keyfile::generate(folder, key).expect("a key");
    }
}

fn configuration(folder: &Path, store: &str, carrier: &LoopbackCarrier, [api, operations]: [u16; 2]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let store = match store {
        "memory" => "memory:".to_owned(),
        _ => format!("sqlite://{}", folder.join("smsbusd.db").display()),
    };
    let tls = match carrier.protocol() {
        Protocol::Http1 => String::new(),
        Protocol::Http2 => {
            format!("[carriers.kcell.http.tls]\nauthorities_file = \"{}\"\n", certificate("ca.pem").display())
        }
    };
    format!(
        r#"
store.url = "{store}"
api.listen = "127.0.0.1:{api}"
api.tokens.bench = {{ sha256 = "{hash}", roles = ["ticketing"] }}
operations.listen = "127.0.0.1:{operations}"
log.filter = "warn"
keys.directory = "{keys}"
transit.directory = "{books}"
[carriers.kcell]
short_number = "2505"
prefixes = [701, 702, 775, 778]
[carriers.kcell.http]
profile = "{profile}"
base_url = "{base}"
tps = 100000
concurrency = 1000
secret_files = {{ password = "{secret}", callback = "{secret}" }}
{tls}"#,
        hash = HEXLOWER.encode(&Sha256::digest(TOKEN.as_bytes())),
        keys = folder.join("keys").display(),
        books = root.join("config/examples/transit").display(),
        profile = root.join("config/examples/profiles/oneapi.toml").display(),
        base = carrier.base_url(),
        secret = folder.join("secret").display(),
    )
}

/// Both are held until both are known, so that they differ.
fn free_ports() -> [u16; 2] {
    let held = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    held.map(|listener| listener.local_addr().expect("an address").port())
}
