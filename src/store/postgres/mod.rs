//! PostgreSQL: the books on a server. One connection writes, a pool of connections reads.
//!
//! Each commit changes the row of its writer (`writers`), and there is one writer: so commits come one after another, also those of a
//! daemon that was deposed. What is judged and not named by what is written (who owns an id, what is parked, which message was heard
//! before, how many parts are open) rests on that.

pub(super) mod books;
mod chain;
mod judge;
mod known;
mod outstanding;
mod places;
mod reads;
mod set;
mod statements;
mod waiting;
mod webhooks;
mod writer;

#[cfg(test)]
pub(super) mod tests;

use std::{net::IpAddr, str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions, Connection, PgPool, Row,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgConnection, PgPoolOptions, PgSslMode},
};
use tokio::time::{sleep, timeout};
use url::Url;

use self::{waiting::in_time, writer::WriterTask};
use super::{
    StoreError, Write,
    sql::{
        chain::WRITER,
        jobs::{self, Answer, Jobs},
    },
};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// So often, and with such pauses, a new connection tries to get hold of the database.
const HOLD_TRIES: u32 = 30;
const HOLD_PAUSE: Duration = Duration::from_millis(100);
/// How long the server may take to let us in.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Connections that read.
const READERS_MAX: u32 = 8;
/// How long a read waits for one of them.
const ACQUIRE_MAX: Duration = Duration::from_secs(5);

/// A database. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Postgres {
    writer: Jobs,
    readers: PgPool,
}

/// What is needed to connect anew.
#[derive(Clone, Debug)]
struct Opener {
    options: PgConnectOptions,
    readers: PgPool,
    /// Which of the daemons this is that the database has served.
    epoch: i64,
}

impl Postgres {
    /// Connects, brings the schema up to date and starts the writer.
    ///
    /// Errors: the text is no address; the database cannot be reached; its schema is newer than this program or was changed.
    pub async fn open(url: &str) -> Result<Postgres, StoreError> {
        let options = options(url)?;
        let mut connection = connect_migrated(&options).await?;
        let begin = "UPDATE writers SET epoch = epoch + 1 WHERE id = $1 RETURNING epoch";
        let begun = in_time(sqlx::query(begin).bind(i64::from(WRITER.0)).fetch_one(&mut connection)).await?;
        let epoch = begun.try_get(0)?;
        in_time(places::raise(&mut connection)).await?;
        let readers = PgPoolOptions::new()
            .max_connections(READERS_MAX)
            .acquire_timeout(ACQUIRE_MAX)
            .connect_lazy_with(options.clone().options([("default_transaction_read_only", "on")]));
        let (writer, jobs) = jobs::channel();
        tokio::spawn(WriterTask::new(Opener { options, readers: readers.clone(), epoch }, connection).run(jobs));
        Ok(Postgres { writer, readers })
    }

    /// Brings the schema up to date and says how many migrations it consists of.
    pub(super) async fn migrate(url: &str) -> Result<usize, StoreError> {
        connect_migrated(&options(url)?).await?.close().await?;
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

impl Opener {
    /// A connection in the place of one that was lost.
    ///
    /// Errors: [`StoreError::Closed`] if another daemon has begun meanwhile; then this one was taken for one that is gone.
    async fn again(&self) -> Result<PgConnection, StoreError> {
        let mut connection = open(&self.options).await?;
        let query = sqlx::query("SELECT epoch FROM writers WHERE id = $1").bind(i64::from(WRITER.0));
        let epoch: i64 = query.fetch_one(&mut connection).await?.try_get(0)?;
        if epoch != self.epoch {
            return Err(StoreError::Closed);
        }
        hold(connection, &self.options).await
    }
}

/// A connection that holds the database as a daemon's does, with the schema up to date: for books that come from another store.
///
/// Errors: as [`Postgres::open`].
pub(super) async fn take(url: &str) -> Result<PgConnection, StoreError> {
    connect_migrated(&options(url)?).await
}

async fn connect_migrated(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    let mut connection = connect(options).await?;
    MIGRATIONS.run(&mut connection).await?;
    Ok(connection)
}

/// A connection that writes.
async fn connect(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    hold(open(options).await?, options).await
}

async fn open(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    match timeout(CONNECT_MAX, options.connect()).await {
        Ok(connection) => connection.map_err(|error| cannot(options, error.to_string())),
        Err(_) => Err(cannot(options, format!("no answer within {} s", CONNECT_MAX.as_secs()))),
    }
}

/// Holds the database as long as the connection is there: two daemons would send the same texts, ask the same questions and take each
/// other's attempts for those of a process that is gone.
async fn hold(mut connection: PgConnection, options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    // The server takes a moment to notice that a process is gone.
    for _ in 0..HOLD_TRIES {
        let held = sqlx::query("SELECT pg_try_advisory_lock(hashtextextended('smsbusd:' || current_schema(), 0))");
        let held = held.fetch_one(&mut connection).await.and_then(|row| row.try_get(0));
        if held.map_err(|error| cannot(options, error.to_string()))? {
            return Ok(connection);
        }
        sleep(HOLD_PAUSE).await;
    }
    Err(StoreError::Taken { database: database(options) })
}

fn cannot(options: &PgConnectOptions, why: String) -> StoreError {
    StoreError::Connect { database: database(options), why }
}

/// What is wrong with an address before anything is tried.
pub(super) fn complaint(url: &str) -> Option<String> {
    let has_password = |url: &Url| url.password().is_some() || url.query_pairs().any(|(key, _)| key == "password");
    match (PgConnectOptions::from_str(url), Url::parse(url)) {
        (_, Ok(url)) if has_password(&url) => {
            Some("a password does not belong here; write it into a file that PGPASSFILE names".into())
        }
        // What is wrong with it may show what was written for a password.
        (Err(_), _) | (_, Err(_)) => Some("this is no address of a database".into()),
        (Ok(options), _) if is_far(&options) && matches!(options.get_ssl_mode(), PgSslMode::Prefer | PgSslMode::Allow) => Some(
            "the server is on another machine; say sslmode=verify-full, or sslmode=disable if nobody can listen in between".into(),
        ),
        _ => None,
    }
}

/// Whether what is said to the server leaves this machine.
fn is_far(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let is_here = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    options.get_socket().is_none() && !host.starts_with('/') && !is_here
}

/// For people: no password.
fn database(options: &PgConnectOptions) -> String {
    let name = options.get_database().unwrap_or_else(|| options.get_username());
    format!("database {name} at {}:{}", options.get_host(), options.get_port())
}

fn options(url: &str) -> Result<PgConnectOptions, StoreError> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|error| StoreError::Connect { database: "the database".into(), why: error.to_string() })?;
    Ok(options
        .application_name("smsbusd")
        // A plan that was made while tables were empty would stay. Nobody's lock holds us up for ever, and a connection that was cut off
        // holds nothing for long.
        .options([
            ("plan_cache_mode", "force_custom_plan"),
            ("lock_timeout", "5s"),
            ("idle_in_transaction_session_timeout", "30s"),
            ("tcp_keepalives_idle", "10"),
            ("tcp_keepalives_interval", "5"),
            ("tcp_keepalives_count", "3"),
            ("tcp_user_timeout", "25000"),
        ])
        .disable_statement_logging())
}
