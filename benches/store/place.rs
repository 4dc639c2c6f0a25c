//! A new store for each measurement, gone with it.

use std::{path::Path, str::FromStr, sync::atomic::AtomicUsize};

use smsbusd::store::Store;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Row,
    postgres::{PgConnectOptions, PgConnection},
    sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous},
};
use tempfile::TempDir;

/// Which of the two.
pub(crate) enum Kind {
    Sqlite,
    Postgres {
        /// A database that is there: from it the others are made.
        server: String,
    },
}

impl Kind {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Kind::Sqlite => "sqlite",
            Kind::Postgres { .. } => "postgres",
        }
    }
}

/// Where one store is.
pub(crate) enum Place {
    Sqlite { folder: TempDir },
    Postgres { server: String, name: String },
}

impl Place {
    pub(crate) async fn fresh(kind: &Kind, folder: &Path) -> Place {
        match kind {
            Kind::Sqlite => Place::Sqlite { folder: tempfile::tempdir_in(folder).unwrap() },
            Kind::Postgres { server } => {
                static MADE: AtomicUsize = AtomicUsize::new(0);
                let made = MADE.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let name = format!("bench_{}_{made}", std::process::id());
                // What the measurement before has left to write is none of this one's.
                tell(server, "CHECKPOINT".into()).await;
                tell(server, format!("CREATE DATABASE {name}")).await;
                Place::Postgres { server: server.clone(), name }
            }
        }
    }

    /// As the daemon is told.
    pub(crate) fn url(&self) -> String {
        match self {
            Place::Sqlite { folder } => format!("sqlite://{}", folder.path().join("store.db").display()),
            Place::Postgres { server, name } => {
                let mut url = url::Url::parse(server).unwrap();
                url.set_path(name);
                url.into()
            }
        }
    }

    pub(crate) async fn store(&self) -> Store {
        Store::open(&self.url()).await.unwrap()
    }

    /// A connection like that of the store's writer; the schema is there.
    pub(crate) async fn sqlite(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::from_str(&self.url()).unwrap();
        let options = options
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .pragma("cache_size", "-65536")
            .pragma("wal_autocheckpoint", "8192")
            .pragma("temp_store", "MEMORY")
            .disable_statement_logging();
        let mut db = options.connect().await.unwrap();
        sqlx::migrate!("migrations/sqlite").run(&mut db).await.unwrap();
        db
    }

    /// As [`Place::sqlite`].
    pub(crate) async fn postgres(&self) -> PgConnection {
        let options = PgConnectOptions::from_str(&self.url()).unwrap();
        let options = options.options([("plan_cache_mode", "force_custom_plan")]).disable_statement_logging();
        let mut db = options.connect().await.unwrap();
        sqlx::migrate!("migrations/postgres").run(&mut db).await.unwrap();
        db
    }

    /// How many rows each table has that a charge writes to, and how long the bodies are together: the same, whoever wrote them.
    pub(crate) async fn rows(&self) -> Vec<i64> {
        let counts = TABLES.map(|table| format!("(SELECT count(*) FROM {table})"));
        let bodies =
            ["charges", "journal"].map(|table| format!("(SELECT CAST(sum(length(body)) AS bigint) FROM {table})"));
        let all: Vec<String> = counts.into_iter().chain(bodies).collect();
        let query = AssertSqlSafe(format!("SELECT {}", all.join(", ")));
        match self {
            Place::Sqlite { .. } => {
                let row = sqlx::query(query).fetch_one(&mut self.sqlite().await).await.unwrap();
                (0..all.len()).map(|column| row.get(column)).collect()
            }
            Place::Postgres { .. } => {
                let row = sqlx::query(query).fetch_one(&mut self.postgres().await).await.unwrap();
                (0..all.len()).map(|column| row.get(column)).collect()
            }
        }
    }

    pub(crate) async fn drop(self) {
        if let Place::Postgres { server, name } = self {
            tell(&server, format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
    }
}

/// But for the chain, which has a row for each transaction, and what only the engine needs.
const TABLES: [&str; 10] =
    ["charges", "attempts", "journal", "keys", "slots", "ledger", "tickets", "messages", "evidence", "carrier_ids"];

async fn tell(server: &str, sql: String) {
    let mut db = PgConnection::connect(server).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
}
