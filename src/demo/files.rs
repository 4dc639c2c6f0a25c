//! Everything that the daemon reads: configuration, books, number lists, keys, passwords. In a temporary folder.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::{
    DemoError,
    cast::{COMPANY_CAR, Passenger},
    credentials::{self, Credentials},
    sections::PROFILES,
};
use crate::{
    clock::Timestamp,
    ticket::keyfile::{self, NewKey},
};

/// The example books.
const TRANSIT: [(&str, &str); 5] = [
    ("agencies.csv", include_str!("../../config/examples/transit/agencies.csv")),
    ("cities.csv", include_str!("../../config/examples/transit/cities.csv")),
    ("fares.csv", include_str!("../../config/examples/transit/fares.csv")),
    ("routes.csv", include_str!("../../config/examples/transit/routes.csv")),
    ("vehicles.csv", include_str!("../../config/examples/transit/vehicles.csv")),
];
/// What the operator knows beforehand: the name of a list, what it asserts, and who is on it.
const LISTS: [(&str, &str, Passenger); 1] = [("companies", "corporate_number", COMPANY_CAR)];
/// How long the ticket keys sign.
const KEYS_LAST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The temporary folder. Goes with its last user.
#[derive(Debug)]
pub(super) struct Files {
    folder: TempDir,
    /// Where carriers call back: one address for the whole morning, as the carriers were told it.
    callbacks: SocketAddr,
}

impl Files {
    /// Writes all but the configuration.
    pub(super) fn write(credentials: &Credentials, now: Timestamp) -> Result<Files, DemoError> {
        let folder = tempfile::Builder::new().prefix("smsbusd-demo-").tempdir().map_err(|source| {
            let path = std::env::temp_dir();
            DemoError::File { path, source }
        })?;
        let [callbacks] = free_addresses()?;
        let files = Files { folder, callbacks };
        for (name, secret) in credentials.files() {
            files.put(&format!("{}/{name}", credentials::FOLDER), secret)?;
        }
        for (name, text) in PROFILES {
            files.put(&format!("profiles/{name}"), text)?;
        }
        for (name, text) in TRANSIT {
            files.put(&format!("transit/{name}"), text)?;
        }
        for (name, _, passenger) in LISTS {
            files.put(&format!("numbers/{name}.csv"), &format!("{}\n", passenger.msisdn().e164()))?;
        }
        files.make_keys(now)?;
        Ok(files)
    }

    fn make_keys(&self, now: Timestamp) -> Result<(), DemoError> {
        let keys = self.path("keys");
        fs::create_dir_all(&keys).map_err(|source| DemoError::File { path: keys.clone(), source })?;
        // From a little before, so that the very first ticket is signed within the key's time.
        let (not_before, not_after) = (now.minus(Duration::from_secs(60)), now.plus(KEYS_LAST));
        for key in [NewKey::Ticket { not_before, not_after }, NewKey::ShortCode, NewKey::MsisdnTag] {
            keyfile::generate(&keys, key)?;
        }
        Ok(())
    }

    /// Writes the configuration with listeners on ports that are free now.
    pub(super) fn configure(&self, carriers: &str, token: &str) -> Result<Configured, DemoError> {
        let [api, operations] = free_addresses()?;
        let callbacks = self.callbacks;
        let lists = LISTS.map(|(name, asserts, _)| {
            format!("[[numbers.lists]]\nname = \"{name}\"\nasserts = \"{asserts}\"\nfile = \"numbers/{name}.csv\"\n\n")
        });
        let text = format!(
            r#"# Made for one demo; gone with it.
[store]
url = "sqlite://{database}"

[api]
listen = "{api}"
tokens.ticket-service = {{ sha256 = "{hash}", roles = ["ticketing", "inspection", "support", "operations"] }}

[callbacks]
listen = "{callbacks}"

[operations]
listen = "{operations}"

[process]
drain_seconds_max = 10

[log]
format = "human"

[gateway]
# Passengers of this morning send the same code twice within a second, and mean it.
mo_repeat_seconds = 0
retry_pause_ms = 50

[vat]
rates = [{{ from = "2009-01-01", percent = "12" }}, {{ from = "2026-01-01", percent = "16" }}]
agencies = ["almaty-1"]

[keys]
directory = "keys"

[transit]
directory = "transit"

{lists}{carriers}"#,
            database = self.database().display(),
            hash = HEXLOWER.encode(&Sha256::digest(token.as_bytes())),
            lists = lists.concat(),
        );
        let path = self.put("smsbusd.toml", &text)?;
        Ok(Configured { path, api: format!("http://{api}") })
    }

    /// Where carriers call back.
    pub(super) fn callbacks(&self) -> SocketAddr {
        self.callbacks
    }

    /// Where the daemon keeps everything.
    pub(super) fn database(&self) -> PathBuf {
        self.path("smsbusd.db")
    }

    /// Where the daemon's output goes.
    pub(super) fn log(&self) -> PathBuf {
        self.path("smsbusd.log")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, text: &str) -> Result<PathBuf, DemoError> {
        let path = self.path(name);
        let folder = path.parent().unwrap_or(Path::new("."));
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, text));
        written.map_err(|source| DemoError::File { path: path.clone(), source })?;
        Ok(path)
    }
}

/// A configuration that a daemon can be started with.
#[derive(Debug)]
pub(super) struct Configured {
    pub(super) path: PathBuf,
    /// The address of its API.
    pub(super) api: String,
}

/// Addresses of loopback that nobody listens on. All are held until all are known, so that they differ.
fn free_addresses<const COUNT: usize>() -> Result<[SocketAddr; COUNT], DemoError> {
    let failed = |source: io::Error| DemoError::File { path: "127.0.0.1:0".into(), source };
    let held: Vec<TcpListener> =
        (0..COUNT).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<io::Result<_>>().map_err(failed)?;
    let addresses = held.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<SocketAddr>>>();
    let addresses = addresses.map_err(failed)?;
    Ok(addresses.try_into().expect("as many as were held"))
}
