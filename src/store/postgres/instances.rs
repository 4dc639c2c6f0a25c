//! Several daemons serve one database. Each has a row, and renews its lease on a connection of its own; who does not renew it is
//! *fenced*: its writer opens no attempt from then on, and everything it had is taken over. What it still learns of the attempts that it had opened
//! it may write.
//!
//! The fence is a mark on the row of the writer, which every commit of that writer changes (see [`writer`](super::writer)): so a commit is either made
//! before it, or sees it.

use std::{sync::Arc, time::Duration};

use sqlx::{
    AssertSqlSafe, Connection, PgConnection, PgPool, Row,
    postgres::{PgConnectOptions, PgRow},
};
use tokio::{sync::Mutex, time::sleep};
use tracing::{error, info, warn};
use uuid::Uuid;

use super::{
    database, open, places,
    waiting::{Read, in_time},
};
use crate::{
    charge::{CarrierName, Charge},
    clock::Timestamp,
    ledger::Writer,
    process,
    store::{
        Census, DatabaseClock, InstanceId, InstanceStanding, Joining, Lease, Peer, StoreError,
        sql::decode::{self, body, small},
    },
};

/// So often, and with such pauses, a lock is asked for: the server takes a moment to notice that a process is gone.
const HOLD_TRIES: u32 = 30;
const HOLD_PAUSE: Duration = Duration::from_millis(100);
/// A sign of life may not wait so long.
const HOLD_AGAIN_TRIES: u32 = 3;
/// For so long a fenced daemon may be there still and tell what it learned.
const LAST_WORDS: &str = "1 hour";
/// Rows that are taken over at once.
const IN_DOUBT_ADOPTED_MAX: i64 = 5_000;

/// What another daemon looks after; or what nobody does, whose daemon is not there any more, or has never been.
const OF_OTHER: &str = "(instance = $1 OR $1 = 0 AND instance NOT IN (SELECT id FROM instances))";
/// They join one after another.
const LOCK_JOINING: &str = "SELECT pg_advisory_xact_lock(hashtextextended('smsbusd:join:' || current_schema(), 0))";

/// Our place among the daemons that the database serves. Clones share the connection.
#[derive(Clone, Debug)]
pub struct Instances {
    me: InstanceId,
    name: Arc<str>,
    has_displaced: bool,
    lease: Duration,
    readers: PgPool,
    keeper: Arc<Mutex<Keeper>>,
}

/// Who the writer is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Membership {
    pub(super) instance: InstanceId,
    /// Whose chain of hashes it continues.
    pub(super) writer: Writer,
    /// How often that row was given out.
    pub(super) epoch: i64,
}

/// The connection on which the lease is renewed. It also holds the locks that others see us by at once.
#[derive(Debug)]
struct Keeper {
    options: PgConnectOptions,
    joining: Joining,
    connection: Option<PgConnection>,
    /// Of the last connection, there or not: the process that serves it.
    session: i32,
    has_left: bool,
}

/// A charge that another daemon looked after.
#[derive(Clone, Debug)]
pub struct Orphan {
    /// Its reference.
    pub reference: Uuid,
    /// `None` if it cannot be read.
    pub charge: Option<Charge>,
}

/// Takes a place among the daemons, and begins its lease.
///
/// Errors: [`StoreError::NameTaken`] if a daemon of the same name is connected.
pub(super) async fn join(
    options: &PgConnectOptions,
    connection: PgConnection,
    readers: PgPool,
    joining: Joining,
) -> Result<(Instances, Membership), StoreError> {
    let Held { mut db, session, has_ended_another: has_displaced } =
        hold_name(connection, options, &joining.name, None).await?;
    let membership = in_time(take_place(&mut db, &joining)).await?;
    info!(instance = %membership.instance, name = joining.name, writer = membership.writer.0, "serving the database");
    let (lease, name) = (joining.lease, joining.name.as_str().into());
    let keeper = Keeper { options: options.clone(), joining, connection: Some(db), session, has_left: false };
    let keeper = Arc::new(Mutex::new(keeper));
    Ok((Instances { me: membership.instance, name, has_displaced, lease, readers, keeper }, membership))
}

/// The right to be there beside other daemons, for as long as the connection is there. It is refused where somebody has the database for himself, such
/// as a daemon of before there were several: under that one, the schema must stay as it is.
pub(super) async fn hold_with_others(db: PgConnection, options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    let lock = "SELECT pg_try_advisory_lock_shared(hashtextextended('smsbusd:' || current_schema(), 0))";
    held(db, lock).await?.ok_or_else(|| StoreError::Taken { database: database(options) })
}

/// The right to have the database for oneself, for as long as the connection is there: no daemon is served meanwhile.
pub(super) async fn hold_alone(db: PgConnection, options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    let lock = "SELECT pg_try_advisory_lock(hashtextextended('smsbusd:' || current_schema(), 0))";
    held(db, lock).await?.ok_or_else(|| StoreError::Taken { database: database(options) })
}

/// The right to bear a name, for as long as the connection is there.
struct Held {
    db: PgConnection,
    /// The process that serves the connection.
    session: i32,
    /// Who had the name before may be there still.
    has_ended_another: bool,
}

/// Takes this name. `before` is the session that we had it in, if we did.
///
/// A server notices late that a machine was cut off, and not at all while the session waits for a lock or a standby: until then the name would be held
/// by what is no more. So our own session is ended, and so is that of a process that has let its lease run out; it may be there still, and finds
/// itself fenced. Who joins at this moment has no lease yet, and is left alone.
async fn hold_name(
    mut db: PgConnection,
    options: &PgConnectOptions,
    name: &str,
    before: Option<i32>,
) -> Result<Held, StoreError> {
    let lock = "SELECT pg_try_advisory_lock(hashtextextended('smsbusd:' || current_schema() || ':' || $1, 0))";
    let end = "SELECT pg_terminate_backend(holder.pid)
         FROM pg_locks AS holder JOIN pg_stat_activity AS session USING (pid)
         WHERE holder.locktype = 'advisory' AND holder.granted AND holder.objsubid = 1 AND holder.database = session.datid
           AND (holder.classid::bigint << 32 | holder.objid::bigint)
               = hashtextextended('smsbusd:' || current_schema() || ':' || $1, 0)
           AND session.datname = current_database() AND session.usename = current_user
           AND (holder.pid = $2
                OR EXISTS (SELECT 1 FROM instances
                           WHERE name = $1 AND standing <> 'left'
                             AND lease_until BETWEEN session.backend_start AND clock_timestamp()))";
    let tries = if before.is_some() { HOLD_AGAIN_TRIES } else { HOLD_TRIES };
    let mut has_ended_another = false;
    for _ in 0..tries {
        if in_time(sqlx::query(lock).bind(name).fetch_one(&mut db)).await?.try_get(0)? {
            let session = in_time(sqlx::query("SELECT pg_backend_pid()").fetch_one(&mut db)).await?.try_get(0)?;
            return Ok(Held { db, session, has_ended_another });
        }
        let ended = in_time(sqlx::query(end).bind(name).bind(before).fetch_all(&mut db)).await?;
        if !ended.is_empty() {
            has_ended_another = true;
            warn!(name, "the session that held our name is ended: it was left over, or its lease has run out");
        }
        sleep(HOLD_PAUSE).await;
    }
    Err(StoreError::NameTaken { database: database(options), name: name.into() })
}

async fn held(mut db: PgConnection, lock: &'static str) -> Result<Option<PgConnection>, StoreError> {
    for _ in 0..HOLD_TRIES {
        if in_time(sqlx::query(lock).fetch_one(&mut db)).await?.try_get(0)? {
            return Ok(Some(db));
        }
        sleep(HOLD_PAUSE).await;
    }
    Ok(None)
}

async fn take_place(db: &mut PgConnection, joining: &Joining) -> Result<Membership, StoreError> {
    let mut transaction = db.begin().await?;
    let db = &mut *transaction;
    sqlx::raw_sql(LOCK_JOINING).execute(&mut *db).await?;
    let unfinished =
        sqlx::query("SELECT number FROM generations WHERE done_at IS NULL").fetch_optional(&mut *db).await?;
    if let Some(row) = unfinished.filter(|_| !joining.restores) {
        return Err(StoreError::Unfinished { number: small(&row, 0, "generations")? });
    }
    // First of all: it compares with the number of this transaction, which must be given out after all that is seen.
    places::raise(db).await?;
    // Who had this name has lost its connection or its lease, or we should not have got the lock: its chain can be continued at once.
    sqlx::query(
        "WITH gone AS (UPDATE instances SET standing = 'fenced' WHERE name = $1 AND standing = 'live' RETURNING id)
         UPDATE writers SET instance = NULL, epoch = epoch + 1, fenced = true FROM gone WHERE instance = gone.id",
    )
    .bind(&joining.name)
    .execute(&mut *db)
    .await?;
    let join = sqlx::query(
        "INSERT INTO instances (name, address, lease_until, divides)
         VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3), $4) RETURNING id",
    );
    let join = join.bind(&joining.name).bind(&joining.address).bind(joining.lease.as_secs_f64()).bind(&joining.divides);
    let instance = InstanceId(join.fetch_one(&mut *db).await?.try_get(0)?);
    let begin = sqlx::query(
        "INSERT INTO writers (id, epoch, commits, instance)
         SELECT coalesce((SELECT min(id) FROM writers WHERE instance IS NULL AND id > floor),
                         (SELECT max(id) + 1 FROM writers WHERE id > floor), floor + 1), 1, 0, $1
         FROM (SELECT coalesce((SELECT max(writers_after) FROM generations), 0) AS floor) AS generation
         ON CONFLICT (id) DO UPDATE SET epoch = writers.epoch + 1, instance = excluded.instance, fenced = false
         RETURNING id, epoch",
    );
    let begun = begin.bind(instance.0).fetch_one(&mut *db).await?;
    // A commit under way holds its row: so none is left that does not know of us once this is committed.
    let tell = "UPDATE writers SET shared = true WHERE (SELECT count(*) > 1 FROM instances WHERE standing = 'live')";
    sqlx::raw_sql(tell).execute(&mut *db).await?;
    let membership = Membership { instance, writer: Writer(small(&begun, 0, "writers")?), epoch: begun.try_get(1)? };
    transaction.commit().await?;
    Ok(membership)
}

impl Instances {
    /// Who we are.
    pub fn me(&self) -> InstanceId {
        self.me
    }

    /// Our name among them.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the process that had our name before may be there still: it had let its lease run out, and held the name all the same. It begins
    /// nothing any more, and may still send what it had begun.
    pub fn has_displaced(&self) -> bool {
        self.has_displaced
    }

    /// How long our lease is.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// Gives a sign of life, which renews the lease, and looks who else is there.
    ///
    /// Errors: the database cannot be reached, and the lease was not renewed, as far as is known.
    pub async fn beat(&self) -> Result<Census, StoreError> {
        let (mut keeper, mut db) = match self.connected().await {
            Err(StoreError::Fenced) => {
                return Ok(Census { clock: None, is_fenced: true, peers: Vec::new(), leases: Vec::new() });
            }
            connected => connected?,
        };
        let beat = sqlx::query(
            "UPDATE instances SET beats = beats + 1, lease_until = clock_timestamp() + make_interval(secs => $2)
             WHERE id = $1 AND standing = 'live'
             RETURNING (extract(epoch FROM clock_timestamp()) * 1000)::bigint",
        );
        let beat = beat.bind(self.me.0).bind(keeper.joining.lease.as_secs_f64());
        let asked_at = process::now();
        let beaten = in_time(beat.fetch_optional(&mut db)).await?;
        let heard_at = process::now();
        let clock = |row: &PgRow| -> Result<DatabaseClock, StoreError> {
            Ok(DatabaseClock { at: decode::moment(row, 0)?, heard_at, took: heard_at.duration_since(asked_at) })
        };
        let clock = beaten.as_ref().map(clock).transpose()?;
        let peers = sqlx::query(
            "SELECT id, name, address, divides, beats, lease_until < clock_timestamp(), standing
             FROM instances WHERE id <> $1 ORDER BY id",
        );
        let peers = in_time(peers.bind(self.me.0).fetch_all(&mut db)).await?;
        let leases = in_time(sqlx::query("SELECT name, instance FROM leases ORDER BY name").fetch_all(&mut db)).await?;
        let peers: Vec<Peer> = peers.iter().map(peer).collect::<Result<_, _>>()?;
        if !peers.iter().any(|peer| peer.standing == InstanceStanding::Live) {
            in_time(write_alone(&mut db, self.me)).await?;
        }
        keeper.connection = Some(db);
        Ok(Census {
            is_fenced: clock.is_none(),
            clock,
            peers,
            leases: leases.iter().map(lease).collect::<Result<_, _>>()?,
        })
    }

    /// Takes what is free of this. Returns what was got.
    pub async fn take(&self, names: &[String]) -> Result<Vec<String>, StoreError> {
        let (mut keeper, mut db) = self.connected().await?;
        let take = sqlx::query(
            "INSERT INTO leases (name, instance)
             SELECT wanted, id FROM unnest($2::text[]) AS wanted, instances WHERE id = $1 AND standing = 'live' ORDER BY wanted
             ON CONFLICT (name) DO UPDATE SET instance = excluded.instance
             WHERE NOT EXISTS (SELECT 1 FROM instances WHERE id = leases.instance AND id <> $1 AND standing = 'live')
             RETURNING name",
        );
        let taken = in_time(take.bind(self.me.0).bind(names).fetch_all(&mut db)).await?;
        keeper.connection = Some(db);
        taken.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Gives back what we have of this, once it is not used any more.
    pub async fn give_back(&self, names: &[String]) -> Result<(), StoreError> {
        let (mut keeper, mut db) = self.connected().await?;
        let give = sqlx::query("DELETE FROM leases WHERE instance = $1 AND name = ANY ($2)");
        in_time(give.bind(self.me.0).bind(names).execute(&mut db)).await?;
        keeper.connection = Some(db);
        Ok(())
    }

    /// Takes a daemon for dead whose lease has run out: it opens no attempt from now on. `false` if it was faster. Its last commit may take a moment:
    /// then it is to be tried again.
    pub async fn fence(&self, other: InstanceId) -> Result<bool, StoreError> {
        let (mut keeper, mut db) = self.connected().await?;
        let fenced = in_time(fence(&mut db, other)).await?;
        keeper.connection = Some(db);
        Ok(fenced)
    }

    /// The charges that another looked after and that are not in doubt: those that are under way, and those with something due. For
    /// [`InstanceId::NOBODY`], those that nobody looks after. Those that are adopted are not among them any more.
    pub async fn charges_of(&self, other: InstanceId) -> Result<Vec<Uuid>, StoreError> {
        let query = format!(
            "SELECT reference FROM charges
             WHERE {OF_OTHER} AND (state IN ('processing', 'awaiting_otp')
                    OR (due_at IS NOT NULL AND state NOT IN ('processing', 'awaiting_otp', 'in_doubt')))
             ORDER BY reference"
        );
        let rows = sqlx::query(AssertSqlSafe(query)).bind(other.0).all(&self.readers).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// These charges, as they are.
    pub async fn orphans(&self, references: &[Uuid]) -> Result<Vec<Orphan>, StoreError> {
        let query = sqlx::query("SELECT reference, body FROM charges WHERE reference = ANY ($1) ORDER BY reference");
        let orphan = |row: &PgRow| {
            let charge = body(row, 1, "charges").inspect_err(|error| error!(%error, "a charge cannot be read")).ok();
            Ok(Orphan { reference: row.try_get(0)?, charge })
        };
        query.bind(references).all(&self.readers).await?.iter().map(orphan).collect()
    }

    /// Looks after what another looked after and what is in doubt, from now on: nothing of it is read, however much there is. How many they were.
    /// Those that somebody writes at this moment are left to whoever looks for what nobody looks after.
    pub async fn adopt_in_doubt(&self, other: InstanceId) -> Result<u64, StoreError> {
        let adopt = format!(
            "WITH page AS MATERIALIZED (
               SELECT reference, in_doubt_since FROM charges
               WHERE state = 'in_doubt' AND {OF_OTHER} AND in_doubt_since >= $3 AND (in_doubt_since, reference) > ($3, $4)
               ORDER BY in_doubt_since, reference LIMIT {IN_DOUBT_ADOPTED_MAX} FOR UPDATE SKIP LOCKED),
             adopted AS (UPDATE charges SET instance = $2 FROM page WHERE charges.reference = page.reference)
             SELECT in_doubt_since, reference, (SELECT count(*) FROM page) FROM page
             ORDER BY in_doubt_since DESC, reference DESC LIMIT 1"
        );
        let (mut adopted, mut since, mut last) = (0, i64::MIN, Uuid::nil());
        loop {
            let (mut keeper, mut db) = self.connected().await?;
            let page = sqlx::query(AssertSqlSafe(adopt.as_str())).bind(other.0).bind(self.me.0).bind(since).bind(last);
            let row = in_time(page.fetch_optional(&mut db)).await?;
            keeper.connection = Some(db);
            let Some(row) = row else { return Ok(adopted) };
            (since, last) = (row.try_get(0)?, row.try_get(1)?);
            adopted += u64::try_from(row.try_get::<i64, _>(2)?).unwrap_or_default();
        }
    }

    /// Looks after these from now on, unless somebody else does already.
    pub async fn adopt(&self, other: InstanceId, orphans: &[Uuid]) -> Result<(), StoreError> {
        let (mut keeper, mut db) = self.connected().await?;
        let adopt = format!("UPDATE charges SET instance = $2 WHERE {OF_OTHER} AND reference = ANY ($3)");
        let adopt = sqlx::query(AssertSqlSafe(adopt)).bind(other.0).bind(self.me.0).bind(orphans);
        in_time(adopt.execute(&mut db)).await?;
        keeper.connection = Some(db);
        Ok(())
    }

    /// Takes over the messages of another: those that wait to be sent, and those that wait for an answer.
    pub async fn adopt_messages(&self, other: InstanceId) -> Result<(), StoreError> {
        let (mut keeper, mut db) = self.connected().await?;
        for adopt in [
            format!("UPDATE messages SET instance = $2 WHERE state = 'pending' AND {OF_OTHER}"),
            format!("UPDATE mos SET instance = $2 WHERE answered_at IS NULL AND {OF_OTHER}"),
        ] {
            let adopt = sqlx::query(AssertSqlSafe(adopt)).bind(other.0).bind(self.me.0);
            in_time(adopt.execute(&mut db)).await?;
        }
        keeper.connection = Some(db);
        Ok(())
    }

    /// Forgets one that has left, or was fenced so long ago that it tells nothing any more. Its writer is free for another.
    pub async fn bury(&self, other: InstanceId) -> Result<(), StoreError> {
        let (mut keeper, mut db) = self.connected().await?;
        in_time(bury(&mut db, other)).await?;
        keeper.connection = Some(db);
        Ok(())
    }

    /// Gives messages of ours that are due, and wait for this carrier, to another daemon. How many.
    pub async fn hand_over_messages(
        &self,
        carrier: &CarrierName,
        to: InstanceId,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let (mut keeper, mut db) = self.connected().await?;
        let give = sqlx::query(
            "UPDATE messages SET instance = $2
             WHERE state = 'pending' AND carrier = $3 AND due_at <= $4 AND instance = $1
               AND EXISTS (SELECT 1 FROM instances WHERE id = $2 AND standing = 'live')",
        );
        let give = give.bind(self.me.0).bind(to.0).bind(carrier.as_str()).bind(now.unix_ms());
        let given = in_time(give.execute(&mut db)).await?.rows_affected();
        keeper.connection = Some(db);
        Ok(given)
    }

    /// Goes: what we have is free for the others at once. Nothing may be written afterwards.
    pub async fn leave(&self) -> Result<(), StoreError> {
        if self.keeper.lock().await.has_left {
            return Ok(());
        }
        let (mut keeper, mut db) = match self.connected().await {
            // Its successor has freed it already.
            Err(StoreError::Fenced) => return Ok(()),
            connected => connected?,
        };
        let leave = sqlx::query(
            "WITH gone AS (UPDATE instances SET standing = 'left' WHERE id = $1 AND standing = 'live' RETURNING id),
                  free AS (UPDATE writers SET instance = NULL FROM gone WHERE instance = gone.id),
                  back AS (DELETE FROM leases WHERE instance = $1)
             SELECT count(*) FROM gone",
        );
        in_time(leave.bind(self.me.0).execute(&mut db)).await?;
        keeper.has_left = true;
        in_time(db.close()).await
    }

    /// The connection, which is put back once it is known to be in order.
    ///
    /// Errors: [`StoreError::Fenced`] if a new one would have to be made for who is fenced: the name may be another's by now.
    async fn connected(&self) -> Result<(tokio::sync::MutexGuard<'_, Keeper>, PgConnection), StoreError> {
        let mut keeper = self.keeper.lock().await;
        let db = match keeper.connection.take() {
            Some(db) => db,
            None if keeper.has_left => return Err(StoreError::Closed),
            None => {
                let mut db = hold_with_others(in_time(open(&keeper.options)).await?, &keeper.options).await?;
                let live = sqlx::query("SELECT 1 FROM instances WHERE id = $1 AND standing = 'live'").bind(self.me.0);
                if in_time(live.fetch_optional(&mut db)).await?.is_none() {
                    return Err(StoreError::Fenced);
                }
                // Held again, so that nobody by our name thinks that we are gone.
                let held = hold_name(db, &keeper.options, &keeper.joining.name, Some(keeper.session)).await?;
                keeper.session = held.session;
                held.db
            }
        };
        Ok((keeper, db))
    }
}

/// Our writer need not take turns with others any more. Under the lock of those who join: one of them would tell it the contrary.
async fn write_alone(db: &mut PgConnection, me: InstanceId) -> Result<(), StoreError> {
    let is_told = sqlx::query("SELECT 1 FROM writers WHERE instance = $1 AND shared").bind(me.0);
    if is_told.fetch_optional(&mut *db).await?.is_none() {
        return Ok(());
    }
    let mut transaction = db.begin().await?;
    sqlx::raw_sql(LOCK_JOINING).execute(&mut *transaction).await?;
    let tell = sqlx::query(
        "UPDATE writers SET shared = false
         WHERE instance = $1 AND NOT EXISTS (SELECT 1 FROM instances WHERE id <> $1 AND standing = 'live')",
    );
    tell.bind(me.0).execute(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}

/// Not later than its lease: the row is locked, so it renews before this, or finds itself fenced.
async fn fence(db: &mut PgConnection, other: InstanceId) -> Result<bool, StoreError> {
    let mut transaction = db.begin().await?;
    // Its last commit may hold its row for a while: then it is tried again at the next sign of life, and ours is not late for it.
    sqlx::raw_sql("SET LOCAL lock_timeout = '500ms'").execute(&mut *transaction).await?;
    let mark = "UPDATE instances SET standing = 'fenced' WHERE id = $1 AND standing = 'live' AND lease_until < clock_timestamp()";
    let is_marked = sqlx::query(mark).bind(other.0).execute(&mut *transaction).await?.rows_affected() > 0;
    if is_marked {
        let mark = "UPDATE writers SET fenced = true WHERE instance = $1";
        sqlx::query(mark).bind(other.0).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(is_marked)
}

/// Who still writes by that name is deposed first. What it wrote before is nobody's then, and adopted with what else is nobody's.
async fn bury(db: &mut PgConnection, other: InstanceId) -> Result<(), StoreError> {
    let mut transaction = db.begin().await?;
    let free = format!(
        "WITH gone AS (
             SELECT id FROM instances
             WHERE id = $1 AND (standing = 'left' OR standing = 'fenced' AND lease_until < clock_timestamp() - interval '{LAST_WORDS}')
         ), back AS (DELETE FROM leases USING gone WHERE instance = gone.id)
         UPDATE writers SET instance = NULL, epoch = epoch + 1 FROM gone WHERE instance = gone.id"
    );
    sqlx::query(AssertSqlSafe(free)).bind(other.0).execute(&mut *transaction).await?;
    let forget = format!(
        "DELETE FROM instances
         WHERE id = $1 AND (standing = 'left' OR standing = 'fenced' AND lease_until < clock_timestamp() - interval '{LAST_WORDS}')"
    );
    sqlx::query(AssertSqlSafe(forget)).bind(other.0).execute(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}

fn peer(row: &PgRow) -> Result<Peer, StoreError> {
    let standing: String = row.try_get(6)?;
    let standing = match standing.as_str() {
        "live" => InstanceStanding::Live,
        "fenced" => InstanceStanding::Fenced,
        _ => InstanceStanding::Left,
    };
    Ok(Peer {
        id: InstanceId(row.try_get(0)?),
        name: row.try_get(1)?,
        address: row.try_get(2)?,
        divides: row.try_get(3)?,
        beats: row.try_get(4)?,
        is_late: row.try_get(5)?,
        standing,
    })
}

fn lease(row: &PgRow) -> Result<Lease, StoreError> {
    Ok(Lease { name: row.try_get(0)?, holder: InstanceId(row.try_get(1)?) })
}
