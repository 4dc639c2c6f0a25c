//! PostgreSQL: the books on a server. Of each daemon one connection writes, a pool of connections reads, and one renews its lease.
//!
//! The commits of one daemon come one after another; those of several do not. What is written names what it was judged by, or takes a lock
//! on the subscriber ([`turns`]). What is parked while another daemon learns whose it is finds its owner a moment later: all that is parked is weighed
//! again and again.

pub(super) mod books;
mod chain;
pub(super) mod generation;
mod instances;
mod judge;
mod known;
mod outstanding;
pub(super) mod partitions;
mod places;
mod prior;
mod reads;
pub(super) mod retention;
mod set;
mod statements;
mod turns;
mod waiting;
mod webhooks;
mod writer;

#[cfg(test)]
pub(super) mod tests;

use std::{net::IpAddr, str::FromStr, sync::Arc, time::Duration};

use sqlx::{
    ConnectOptions, Connection, PgPool, Row,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgConnection, PgPoolOptions, PgSslMode},
};
use tokio::time::timeout;
use tracing::warn;
use url::Url;

pub use self::instances::Instances;
use self::{
    instances::{Membership, join},
    partitions::Upkeep,
    waiting::in_time,
    writer::WriterTask,
};
use super::{
    InstanceId, Joining, StoreError, Write,
    sql::jobs::{self, Answer, Jobs},
};
use crate::ledger::Writer;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// How long the server may take to let us in.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Connections that read.
const READERS_MAX: u32 = 8;
/// How long a read waits for one of them.
const ACQUIRE_MAX: Duration = Duration::from_secs(5);
/// Statements that a connection keeps prepared: the one that writes has one for each mixture of sets that a commit can be.
const STATEMENTS_MAX: usize = 400;

/// How the connection that writes differs from the others.
///
/// One that stands still in a transaction holds up the others' commits, and is cut off sooner than they give up.
///
/// Each of its statements has one right plan: a row by its key, for each row of the set. A plan of its own for each batch finds the same, and
/// takes longer to be found than a small batch takes to be written. So a plan is made once. What would go wrong with it, a
/// walk through a table that was small when the plan was made, is what these settings rule out.
const OF_WRITERS: [(&str, &str); 7] = [
    ("idle_in_transaction_session_timeout", "3s"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    // A step that there is no other plan for counts as very dear, and would be compiled each time.
    ("jit", "off"),
];

/// A database. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Postgres {
    writer: Jobs,
    /// Whose commits ours are.
    writer_id: Writer,
    readers: PgPool,
    instances: Instances,
    /// Ends with the last clone.
    _upkeep: Arc<Upkeep>,
}

/// What is needed to connect anew.
#[derive(Clone, Debug)]
struct Opener {
    options: PgConnectOptions,
    readers: PgPool,
    membership: Membership,
}

impl Postgres {
    /// Connects, brings the schema up to date, takes a place among the daemons that the database serves, and starts the writer.
    ///
    /// Errors: the text is no address; the database cannot be reached; its schema is newer than this program or was changed; a daemon of
    /// that name is connected.
    pub async fn open(url: &str, joining: Joining) -> Result<Postgres, StoreError> {
        let options = options(url)?;
        let readers = PgPoolOptions::new()
            .max_connections(READERS_MAX)
            .acquire_timeout(ACQUIRE_MAX)
            // So it is never told that somebody waited for long and got one: under load that is everybody. Who waits in vain says so himself.
            .acquire_slow_threshold(ACQUIRE_MAX)
            .connect_lazy_with(options.clone().options([("default_transaction_read_only", "on")]));
        let connection = connect_migrated(&options).await?;
        let (instances, membership) = join(&options, connection, readers.clone(), joining).await?;
        let upkeep = Arc::new(Upkeep::begin(options.clone()));
        let (writer, jobs) = jobs::channel();
        let opener = Opener { options, readers: readers.clone(), membership };
        let connection = in_time(opener.again()).await?;
        tokio::spawn(WriterTask::new(opener, connection).run(jobs));
        Ok(Postgres { writer, writer_id: membership.writer, readers, instances, _upkeep: upkeep })
    }

    /// Our place among the daemons.
    pub(super) fn instances(&self) -> &Instances {
        &self.instances
    }

    fn me(&self) -> InstanceId {
        self.instances.me()
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
        if let Err(error) = self.instances.leave().await {
            warn!(%error, "the other instances could not be told that we go; they take over once our lease has run out");
        }
    }
}

impl Opener {
    /// A connection that writes.
    ///
    /// Errors: [`StoreError::Closed`] if another daemon has got our place meanwhile; then this one was taken for one that is gone.
    async fn again(&self) -> Result<PgConnection, StoreError> {
        let Membership { instance, writer, epoch } = self.membership;
        let mut connection = open(&self.options.clone().options(OF_WRITERS)).await?;
        let introduce = sqlx::query(
            "SELECT epoch, set_config('smsbusd.instance', $2, false), set_config('smsbusd.writer', $3, false)
             FROM writers WHERE id = $1",
        );
        let introduce = introduce.bind(i64::from(writer.0)).bind(instance.to_string()).bind(writer.0.to_string());
        let now: i64 = introduce.fetch_one(&mut connection).await?.try_get(0)?;
        if now == epoch { Ok(connection) } else { Err(StoreError::Closed) }
    }
}

/// A connection that has the database for itself, with the schema up to date: for books that come from another store.
///
/// Errors: as [`Postgres::open`].
pub(super) async fn take(url: &str) -> Result<PgConnection, StoreError> {
    let options = options(url)?;
    let mut connection = instances::hold_alone(open(&options).await?, &options).await?;
    MIGRATIONS.run(&mut connection).await?;
    partitions::make_ahead_or_later(&mut connection).await?;
    Ok(connection)
}

/// A connection beside daemons that may be served, with the schema up to date.
///
/// Errors: as [`Postgres::open`].
pub(super) async fn visit(url: &str) -> Result<PgConnection, StoreError> {
    connect_migrated(&options(url)?).await
}

async fn connect_migrated(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    let mut connection = instances::hold_with_others(open(options).await?, options).await?;
    MIGRATIONS.run(&mut connection).await?;
    partitions::make_ahead_or_later(&mut connection).await?;
    Ok(connection)
}

async fn open(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    match timeout(CONNECT_MAX, options.connect()).await {
        Ok(connection) => connection.map_err(|error| cannot(options, error.to_string())),
        Err(_) => Err(cannot(options, format!("no answer within {} s", CONNECT_MAX.as_secs()))),
    }
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
        .statement_cache_capacity(STATEMENTS_MAX)
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
