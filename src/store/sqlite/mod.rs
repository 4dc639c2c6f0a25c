//! SQLite: the embedded store. One file in WAL mode, one connection that writes, a pool of connections that read.

pub(super) mod backup;
pub(super) mod books;
pub(super) mod chain;
pub(super) mod generation;
mod judge;
mod known;
pub(super) mod moved;
mod outstanding;
mod prior;
mod reads;
mod script;
mod statements;
mod webhooks;
mod writer;

#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection, SqlitePool,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{
    StoreError, Write,
    sql::jobs::{self, Answer, Jobs},
};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// A checkpoint copies the write-ahead log into the database once it has this many pages of 4 KiB.
const WAL_PAGES: u32 = 8_192;
/// Page cache of the writer, in KiB.
const WRITER_CACHE_KIB: u32 = 65_536;

/// How to open a database file.
#[derive(Clone, Debug)]
pub struct SqliteConfig {
    /// The file. It is made if it does not exist; its folder is not.
    pub path: PathBuf,
    /// Connections that read.
    pub readers_max: u32,
    /// How long to wait for another process that holds the write lock.
    pub busy_timeout: Duration,
}

impl SqliteConfig {
    /// The file at `path` with four readers and five seconds of patience.
    pub fn new(path: impl Into<PathBuf>) -> SqliteConfig {
        SqliteConfig { path: path.into(), readers_max: 4, busy_timeout: Duration::from_secs(5) }
    }
}

/// A database file. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Sqlite {
    writer: Jobs,
    readers: SqlitePool,
}

impl Sqlite {
    /// Opens the file, brings its schema up to date and starts the writer.
    ///
    /// Errors: the folder is missing; the file cannot be opened or written, or is no database; its schema is newer than
    /// this program or was changed; [`StoreError::Moved`] if its books went to another store.
    pub async fn open(config: SqliteConfig) -> Result<Sqlite, StoreError> {
        let mut connection = connect_migrated(&config).await?;
        if let Some(mark) = moved::mark(&mut connection).await? {
            return Err(mark.refusal(&config));
        }
        let (writer, jobs) = jobs::channel();
        let readers = SqlitePoolOptions::new()
            .max_connections(config.readers_max.max(1))
            .test_before_acquire(false)
            .connect_lazy_with(options(&config).pragma("query_only", "ON"));
        tokio::spawn(writer::run(connection, jobs, readers.clone()));
        Ok(Sqlite { writer, readers })
    }

    /// Brings the schema of the file up to date and says how many migrations it consists of.
    pub(super) async fn migrate(config: &SqliteConfig) -> Result<usize, StoreError> {
        connect_migrated(config).await?.close().await?;
        Ok(MIGRATIONS.iter().count())
    }

    pub(super) async fn commit(&self, batch: Vec<Write>) -> Answer {
        self.writer.commit(batch).await
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        self.writer.ping().await
    }

    pub(super) async fn close(&self) {
        self.writer.close().await;
    }
}

async fn connect_migrated(config: &SqliteConfig) -> Result<SqliteConnection, StoreError> {
    let cannot = |why: String| StoreError::Open { path: config.path.clone(), why };
    let folder = match config.path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => return Err(cannot("this is no file".into())),
    };
    if !folder.is_dir() {
        return Err(cannot(format!("the folder {} does not exist", folder.display())));
    }
    let options = options(config).create_if_missing(true).pragma("cache_size", format!("-{WRITER_CACHE_KIB}"));
    let mut connection = options.connect().await.map_err(|error| cannot(error.to_string()))?;
    // A file that can be read only would be found out at the first charge; find it out now.
    match sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await {
        Ok(_) => sqlx::query("ROLLBACK").execute(&mut connection).await?,
        Err(error) => return Err(cannot(error.to_string())),
    };
    MIGRATIONS.run(&mut connection).await?;
    chain::adopt(&mut connection).await?;
    Ok(connection)
}

fn options(config: &SqliteConfig) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(&config.path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(config.busy_timeout)
        .pragma("wal_autocheckpoint", WAL_PAGES.to_string())
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging()
}
