//! A store that is backed up, and put back later.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use super::World;
use crate::{
    carrier::{AtStart, Carrier},
    clock::{Clock, Timestamp},
    gateway::{Declared, RestoreError, declare_in_doubt},
    store::{Custody, Joining, RefusedBooks, Restore, Store, WatermarkFile},
};

/// The name of the daemon in these tests.
const NAME: &str = "smsbusd";

impl World {
    /// Copies the store while the gateway goes on, or is killed.
    pub(crate) fn back_up(&self) -> PathBuf {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let copy = self.folder.path().join(format!("copy-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        match &self.schema {
            Some(url) => {
                let (server, schema) = parts(url);
                let file = std::fs::File::create(&copy).expect("a file");
                let dump = Command::new(program("pg_dump")).args(["-n", schema, server]).stdout(file).status();
                assert!(dump.expect("pg_dump runs").success());
            }
            None => {
                let made = self.outside.block_on(Store::back_up(&self.store_url(), &copy)).expect("a copy");
                assert!(made.bytes > 0);
            }
        }
        copy
    }

    /// Puts a copy in the place of the store. The gateway must not run.
    pub(crate) fn put_back(&self, copy: &Path) {
        assert!(self.process.is_none(), "the gateway runs");
        match &self.schema {
            Some(url) => {
                let (server, schema) = parts(url);
                let quiet = ["-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null"];
                let drop = format!("DROP SCHEMA {schema} CASCADE");
                let dropped = Command::new(program("psql")).args(quiet).args(["-c", &drop, server]).status();
                assert!(dropped.expect("psql runs").success());
                let file = copy.to_str().expect("UTF-8");
                let filled = Command::new(program("psql")).args(quiet).args(["-f", file, server]).status();
                assert!(filled.expect("psql runs").success());
            }
            None => {
                let database = self.database();
                // A process that is killed has closed nothing. Here its threads end a moment later, and take this away.
                let log = format!("{}-wal", database.display());
                let started = Instant::now();
                while std::fs::exists(&log).expect("a folder") && started.elapsed() < Duration::from_secs(5) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                std::fs::remove_file(&database).expect("removed");
                for beside in ["-wal", "-shm"] {
                    let _ = std::fs::remove_file(format!("{}{beside}", database.display()));
                }
                std::fs::copy(copy, database).expect("copied");
            }
        }
    }

    /// Whether the store would be served, by a daemon that has noted in `file` how far it saw it.
    pub(crate) fn admit(&self, file: &WatermarkFile) -> Result<u32, RefusedBooks> {
        self.outside.block_on(async {
            let mut custody = Custody::visit(&self.store_url()).await.expect("the store");
            let admitted = custody.admit(NAME, Some(file), Clock::System.now()).await;
            custody.close().await.expect("closed");
            Ok(admitted?.generation)
        })
    }

    /// Says that a copy was put back: the first half, up to the new generation.
    pub(crate) fn begin_generation(&self) -> u32 {
        self.outside.block_on(async {
            let now = Clock::System.now();
            let mut custody = Custody::take(&self.store_url()).await.expect("the store");
            let by = "aigul".to_owned();
            let restore = Restore { at: now, lost_until: now, after: 0, by, because: "a test".into() };
            let begun = custody.begin(&restore).await.expect("a generation");
            custody.close().await.expect("closed");
            begun.number
        })
    }

    /// The second half: everything that was under way is in doubt.
    pub(crate) fn declare_in_doubt(&self, generation: u32) -> Result<Declared, RestoreError> {
        self.outside.block_on(async {
            let mut custody = Custody::take(&self.store_url()).await?;
            let pending = custody.pending().await?;
            custody.close().await?;
            let carriers: Vec<Carrier> = self
                .carrier_configs()
                .map(|(name, over, config)| {
                    let secrets = self.secrets(&name, over, &config);
                    Carrier::open_to(AtStart::Wait, name, config, &secrets).expect("a profile").0
                })
                .collect();
            let joining = Joining { restores: true, ..Joining::default() };
            let store = Store::open_as(&self.store_url(), joining).await?;
            let now = Clock::System.now();
            let declared = declare_in_doubt(&store, &pending, &carriers, &self.setting.vat, (generation, now)).await;
            store.close().await;
            declared
        })
    }

    /// And the end: it can be served.
    pub(crate) fn finish_generation(&self, generation: u32, at: Timestamp) {
        self.outside.block_on(async {
            let mut custody = Custody::visit(&self.store_url()).await.expect("the store");
            custody.finish(generation, at).await.expect("finished");
            custody.close().await.expect("closed");
        });
    }

    /// All of it.
    pub(crate) fn restored(&self) -> Declared {
        let generation = self.begin_generation();
        let declared = self.declare_in_doubt(generation).expect("in doubt");
        self.finish_generation(generation, Clock::System.now());
        declared
    }

    /// Whether the books are in order, as `smsbusd ledger check` finds.
    pub(crate) fn check_books(&self) {
        let audited = self.outside.block_on(Store::audit(&self.store_url(), &[])).expect("the books");
        assert_eq!(audited.flaws_total, 0, "{:?}", audited.flaws);
    }

    /// An attempt to serve the store.
    pub(crate) fn open_store(&self) -> Result<(), crate::store::StoreError> {
        self.outside.block_on(async {
            Store::open(&self.store_url()).await?.close().await;
            Ok(())
        })
    }
}

/// The server, and the schema in it.
fn parts(url: &str) -> (&str, &str) {
    url.split_once("&options=-csearch_path%3D").expect("made by new_schema")
}

fn program(name: &str) -> PathBuf {
    let installed = std::fs::read_dir("/usr/lib/postgresql").ok().into_iter().flatten().flatten();
    let found = installed.map(|version| version.path().join("bin").join(name)).filter(|path| path.exists()).max();
    found.unwrap_or_else(|| name.into())
}
