//! What only a server can do to us: others who write, connections that are cut, and a database that anybody with the right may change.

mod instances;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};

use sqlx::{AssertSqlSafe, ConnectOptions, Executor, Row, postgres::PgConnection};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};

use super::options;
use crate::{
    charge::Charge,
    ledger::Flaw,
    store::{
        Joining, Outcome, Slot, Store, StoreError, Write,
        contract::{
            fixture::{
                accepted, at, charge_at, commit, key, open_attempt, opening, opening_with_slot, paid, reference, run,
                settlement, with_words,
            },
            new_schema,
        },
    },
};

/// Long enough for a statement to have come to a lock.
const A_WHILE: Duration = Duration::from_millis(300);

pub(in crate::store) async fn raw(url: &str) -> PgConnection {
    options(url).unwrap().connect().await.unwrap()
}

async fn count(db: &mut PgConnection, table: &'static str) -> i64 {
    let query = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    sqlx::query(query).fetch_one(db).await.unwrap().try_get(0).unwrap()
}

fn open_write(charge: &Charge) -> Write {
    Write::Open(Box::new(opening_with_slot(charge)))
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn one_daemon_of_a_name_is_served_at_a_time() {
    let url = new_schema("one_daemon").await;
    let store = Store::open(&url).await.unwrap();
    let refused = Store::open(&url).await.unwrap_err();
    assert!(matches!(refused, StoreError::NameTaken { .. }), "{refused}");
    assert!(refused.to_string().starts_with("database postgres at "), "{refused}");
    let other = Store::open_as(&url, named("other")).await.unwrap();
    assert!(Store::migrate(&url).await.unwrap() >= 2, "what a later version adds does not disturb who is served");
    other.close().await;
    store.close().await;
    Store::open(&url).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn where_somebody_has_the_database_for_himself_nobody_is_served_and_no_schema_is_changed() {
    let url = new_schema("alone").await;
    let mut alone = raw(&url).await;
    alone.execute("SELECT pg_advisory_lock(hashtextextended('smsbusd:' || current_schema(), 0))").await.unwrap();
    let refused = Store::open(&url).await.unwrap_err();
    assert!(matches!(refused, StoreError::Taken { .. }), "{refused}");
    assert!(matches!(Store::migrate(&url).await, Err(StoreError::Taken { .. })));
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema()";
    let tables: i64 = alone.fetch_one(tables).await.unwrap().try_get(0).unwrap();
    assert_eq!(tables, 0);
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn a_server_that_is_not_there_and_an_address_that_is_none_are_told_without_the_password() {
    for url in ["postgres://me:secret@127.0.0.1:1/books", "postgres://me:secret@[nonsense/books"] {
        let refused = Store::open(url).await.unwrap_err().to_string();
        assert!(refused.starts_with("cannot connect to ") && !refused.contains("secret"), "{refused}");
    }
    let refused = Store::open("mysql://me:secret@host/books").await.unwrap_err().to_string();
    assert!(refused.contains("names no store") && !refused.contains("secret"), "{refused}");
}

#[test]
fn an_address_says_whether_its_words_may_be_heard_and_has_no_password() {
    for fine in [
        "postgres://me@localhost/books",
        "postgres://me@127.0.0.1:5433/books",
        "postgres://me@%2Frun%2Fpostgresql/books",
        "postgres:///books?host=/run/postgresql",
        "postgres://me@db.far/books?sslmode=verify-full",
        "postgresql://me@10.1.2.3/books?sslmode=disable",
    ] {
        assert_eq!(super::complaint(fine), None, "{fine}");
    }
    for (wrong, why) in [
        ("postgres://me@db.far/books", "another machine"),
        ("postgres://me@db.far/books?sslmode=prefer", "another machine"),
        ("postgres://me:secret@localhost/books", "PGPASSFILE"),
        ("postgres://me@localhost/books?password=secret", "PGPASSFILE"),
        ("postgres://me@localhost/books?sslmode=secret", "no address"),
    ] {
        let complaint = super::complaint(wrong).unwrap();
        assert!(complaint.contains(why) && !complaint.contains("secret"), "{wrong}: {complaint}");
    }
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn m15_a_key_that_another_writer_was_faster_with_is_known() {
    let url = new_schema("faster_key").await;
    let (store, mut other) = (Store::open(&url).await.unwrap(), raw(&url).await);
    let charge = charge_at(1, 0);
    let guard = key("k1");
    other.execute("BEGIN").await.unwrap();
    sqlx::query(
        "INSERT INTO keys (caller, key, body_sha256, reference, repeat, used_at) VALUES ($1, $2, $3, $4, false, 0)",
    )
    .bind(&guard.caller)
    .bind(guard.key.as_bytes())
    .bind(guard.body_sha256.as_slice())
    .bind(uuid::Uuid::from_bytes(*reference(9).as_bytes()))
    .execute(&mut other)
    .await
    .unwrap();
    let mut mine = opening(&charge);
    mine.guard = guard;
    let writing = tokio::spawn({
        let store = store.clone();
        async move { store.commit(&[Write::Open(Box::new(mine))]).await }
    });
    tokio::time::sleep(A_WHILE).await;
    assert!(!writing.is_finished(), "it waits to hear what became of the other");
    other.execute("COMMIT").await.unwrap();
    let known = Outcome::KeyKnown { reference: reference(9), same_body: true, repeat: false };
    assert_eq!(writing.await.unwrap().unwrap(), [known]);
    assert_eq!((count(&mut other, "charges").await, count(&mut other, "journal").await), (0, 0));
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn m12_a_slot_that_another_writer_was_faster_with_is_held() {
    let url = new_schema("faster_slot").await;
    let (store, mut other) = (Store::open(&url).await.unwrap(), raw(&url).await);
    let charge = charge_at(1, 0);
    other.execute("BEGIN").await.unwrap();
    let held = Slot { reference: reference(9), passengers: 1, held_until: at(7_200) };
    sqlx::query("INSERT INTO slots (msisdn, vehicle, reference, passengers, held_until) VALUES ($1, $2, $3, 1, $4)")
        .bind(i64::try_from(charge.order.msisdn.e164()).unwrap())
        .bind(charge.order.vehicle.to_string())
        .bind(uuid::Uuid::from_bytes(*held.reference.as_bytes()))
        .bind(held.held_until.unix_ms())
        .execute(&mut other)
        .await
        .unwrap();
    let writing = tokio::spawn({
        let (store, charge) = (store.clone(), charge.clone());
        async move { store.commit(&[open_write(&charge)]).await }
    });
    tokio::time::sleep(A_WHILE).await;
    other.execute("COMMIT").await.unwrap();
    assert_eq!(writing.await.unwrap().unwrap(), [Outcome::SlotHeld(held)]);
    assert_eq!(store.charge(charge.reference).await.unwrap(), None);
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn what_another_transaction_could_still_come_before_is_not_settled() {
    let url = new_schema("unsettled").await;
    let (store, mut other) = (Store::open(&url).await.unwrap(), raw(&url).await);
    other.execute("BEGIN; SELECT pg_current_xact_id()").await.unwrap();
    let charge = run(&store, charge_at(1, 0), [(1, open_attempt())]).await;
    assert_eq!(store.journal(charge.reference).await.unwrap().len(), 2);
    assert_eq!((store.settled_end().await.unwrap(), store.settled_journal(0, 9).await.unwrap()), (0, vec![]));
    other.execute("ROLLBACK").await.unwrap();
    while store.settled_journal(0, 9).await.unwrap().len() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_ne!(store.settled_end().await.unwrap(), 0);
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn a_connection_that_is_cut_off_loses_what_was_not_committed_and_is_replaced() {
    let url = new_schema("cut_off").await;
    let (store, mut other) = (Store::open(&url).await.unwrap(), raw(&url).await);
    other.execute("BEGIN; LOCK TABLE charges IN SHARE MODE").await.unwrap();
    let writing = tokio::spawn({
        let store = store.clone();
        async move { store.commit(&[open_write(&charge_at(1, 0))]).await }
    });
    tokio::time::sleep(A_WHILE).await;
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_locks
               WHERE NOT granted AND relation = 'charges'::regclass";
    assert_eq!(sqlx::query(cut).fetch_all(&mut other).await.unwrap().len(), 1);
    assert!(matches!(writing.await.unwrap(), Err(StoreError::Database(_))));
    other.execute("ROLLBACK").await.unwrap();
    assert_eq!(count(&mut other, "charges").await, 0);
    // The server may take a moment to let go of the database.
    let mut outcome = store.commit(&[open_write(&charge_at(1, 0))]).await;
    for _ in 0..100 {
        if outcome.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        outcome = store.commit(&[open_write(&charge_at(1, 0))]).await;
    }
    assert_eq!(outcome.unwrap(), [Outcome::Opened { superseded: None }]);
}

/// Stands between the store and the server, and cuts the next COMMIT off.
pub(in crate::store) struct Cutter {
    mode: Arc<AtomicU8>,
    is_held_up: Arc<AtomicBool>,
    folder: tempfile::TempDir,
}

const PASS: u8 = 0;
/// The server hears it, and nobody hears its answer.
pub(in crate::store) const CUT_ANSWER: u8 = 1;
/// The server never hears it.
pub(in crate::store) const CUT_REQUEST: u8 = 2;

impl Cutter {
    /// Listens, and gives the address of the database by way of it.
    pub(in crate::store) fn before(url: &str) -> (Cutter, String) {
        let host = url.split("host=").nth(1).unwrap().split('&').next().unwrap();
        let server = Path::new(host).join(".s.PGSQL.5432");
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let mode = Arc::new(AtomicU8::new(PASS));
        let is_held_up = Arc::new(AtomicBool::new(false));
        tokio::spawn(serve(listener, server, mode.clone(), is_held_up.clone()));
        let url = url.replace(host, folder.path().to_str().unwrap());
        (Cutter { mode, is_held_up, folder }, url)
    }

    /// New connections wait.
    pub(in crate::store) fn hold_up(&self, held_up: bool) {
        self.is_held_up.store(held_up, Ordering::SeqCst);
    }

    pub(in crate::store) fn cut_next(&self, mode: u8) {
        self.mode.store(mode, Ordering::SeqCst);
        assert!(self.folder.path().exists());
    }
}

async fn serve(listener: UnixListener, server: PathBuf, mode: Arc<AtomicU8>, is_held_up: Arc<AtomicBool>) {
    while let Ok((client, _)) = listener.accept().await {
        while is_held_up.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let server = UnixStream::connect(&server).await.unwrap();
        tokio::spawn(forward(client, server, mode.clone()));
    }
}

async fn forward(mut client: UnixStream, mut server: UnixStream, mode: Arc<AtomicU8>) {
    let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(1..) = read else { return };
                let request = &asked[..read.unwrap()];
                let is_commit = request.windows(6).any(|word| word == b"COMMIT");
                let mode = if is_commit { mode.swap(PASS, Ordering::SeqCst) } else { PASS };
                if mode == CUT_REQUEST {
                    return;
                }
                server.write_all(request).await.unwrap();
                if mode == CUT_ANSWER {
                    let _ = server.read(&mut answered).await;
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(1..) = read else { return };
                if client.write_all(&answered[..read.unwrap()]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn a_commit_whose_answer_is_lost_is_answered_by_what_became_of_it() {
    let url = new_schema("lost_answer").await;
    let (cutter, by_way) = Cutter::before(&url);
    let (store, mut other) = (Store::open(&by_way).await.unwrap(), raw(&url).await);
    commit(&store, open_write(&charge_at(1, 0))).await;
    cutter.cut_next(CUT_ANSWER);
    let outcome = store.commit(&[open_write(&charge_at(2, 0))]).await;
    assert_eq!(outcome.unwrap(), [Outcome::Opened { superseded: None }], "it was made");
    assert_eq!(count(&mut other, "charges").await, 2);
    cutter.cut_next(CUT_REQUEST);
    let outcome = store.commit(&[open_write(&charge_at(3, 0))]).await;
    assert!(matches!(outcome, Err(StoreError::Database(_))), "it was not made: {outcome:?}");
    assert_eq!(count(&mut other, "charges").await, 2);
    commit(&store, open_write(&charge_at(3, 0))).await;
    assert_eq!(count(&mut other, "charges").await, 3);
    let audited = Store::audit(&url, &[]).await.unwrap();
    assert_eq!((audited.flaws, audited.charges), (vec![], 3));
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn books_that_nobody_changed_are_in_order_and_a_change_by_hand_is_found() {
    let url = new_schema("by_hand").await;
    let (store, mut other) = (Store::open(&url).await.unwrap(), raw(&url).await);
    let charge = run(&store, charge_at(1, 0), [(1, open_attempt()), (2, accepted("e1", "id1"))]).await;
    commit(&store, Write::Settle(Box::new(with_words(settlement(&charge, paid("e2"), 3), "stat:DELIVRD")))).await;
    run(&store, charge_at(2, 0), [(1, open_attempt()), (2, paid("e1"))]).await;
    let audited = Store::audit(&url, &[]).await.unwrap();
    assert_eq!((audited.flaws, audited.charges, audited.entries), (vec![], 2, 7));
    for refused in [
        "UPDATE journal SET at = at",
        "DELETE FROM ledger",
        "TRUNCATE chain",
        "DELETE FROM evidence",
        "UPDATE evidence SET words = 'paid'",
    ] {
        let error = other.execute(refused).await.unwrap_err().to_string();
        assert!(error.contains("append-only") || error.contains("not changed"), "{refused}: {error}");
    }
    other.execute("UPDATE evidence SET words = NULL, salt = NULL").await.unwrap();
    assert_eq!(Store::audit(&url, &[]).await.unwrap().flaws, [], "what was said may be erased");
    other.execute("ALTER TABLE ledger DISABLE TRIGGER USER; UPDATE ledger SET minor = minor + 1").await.unwrap();
    let flaws = Store::audit(&url, &[]).await.unwrap().flaws;
    assert!(flaws.iter().any(|flaw| matches!(flaw, Flaw::Changed { .. })), "{flaws:?}");
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn a_daemon_that_was_cut_off_and_deposed_answers_for_nothing_and_ends() {
    let url = new_schema("deposed").await;
    let (cutter, by_way) = Cutter::before(&url);
    let first = Store::open(&by_way).await.unwrap();
    commit(&first, open_write(&charge_at(1, 0))).await;
    // Its next commit never arrives. Another daemon is faster to be served, and makes a commit of that number.
    cutter.hold_up(true);
    cutter.cut_next(CUT_REQUEST);
    let writing = tokio::spawn({
        let first = first.clone();
        async move { first.commit(&[open_write(&charge_at(2, 0))]).await }
    });
    // Its name is free once the server takes its connection for lost.
    let lose = "SELECT pg_terminate_backend(pid) FROM pg_locks
                WHERE locktype = 'advisory' AND (classid::bigint << 32 | objid::bigint)
                      = hashtextextended('smsbusd:' || current_schema() || ':smsbusd', 0)";
    raw(&url).await.execute(lose).await.unwrap();
    let second = Store::open(&url).await.unwrap();
    commit(&second, open_write(&charge_at(3, 0))).await;
    commit(&second, open_write(&charge_at(4, 0))).await;
    second.close().await;
    cutter.hold_up(false);
    let outcome = writing.await.unwrap();
    assert!(matches!(outcome, Err(StoreError::Closed)), "{outcome:?}");
    assert!(matches!(first.commit(&[open_write(&charge_at(5, 0))]).await, Err(StoreError::Closed)));
    assert!(matches!(first.ping().await, Err(StoreError::Closed)));
    assert_eq!(count(&mut raw(&url).await, "charges").await, 3);
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn books_from_another_server_go_on_from_the_places_that_they_had_there() {
    let url = new_schema("moved_books").await;
    let (store, mut other) = (Store::open(&url).await.unwrap(), raw(&url).await);
    run(&store, charge_at(1, 0), [(1, open_attempt())]).await;
    store.close().await;
    // As if that server had counted a billion transactions more.
    let far = "ALTER TABLE journal DISABLE TRIGGER USER; ALTER TABLE chain DISABLE TRIGGER USER;
               UPDATE journal SET seq = seq + 65536000000000; UPDATE chain SET last_seq = last_seq + 65536000000000";
    other.execute(far).await.unwrap();
    let last: i64 = other.fetch_one("SELECT max(seq) FROM journal").await.unwrap().try_get(0).unwrap();
    let store = Store::open(&url).await.unwrap();
    run(&store, charge_at(2, 0), [(1, open_attempt())]).await;
    let mut settled = Vec::new();
    for _ in 0..1_000 {
        settled = store.settled_journal(u64::try_from(last).unwrap(), 9).await.unwrap();
        if settled.len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(settled.len(), 2);
    assert!(settled.iter().all(|settled| settled.entry.reference == charge_at(2, 0).reference));
    assert_eq!(Store::audit(&url, &[]).await.unwrap().flaws, []);
    store.close().await;
    let base = |row: sqlx::postgres::PgRow| row.try_get::<i64, _>(0).unwrap();
    let before = base(other.fetch_one("SELECT base FROM places").await.unwrap());
    Store::open(&url).await.unwrap();
    assert_eq!(base(other.fetch_one("SELECT base FROM places").await.unwrap()), before, "raised once");
}

fn named(name: &str) -> Joining {
    Joining { name: name.into(), lease: Duration::from_secs(1), ..Joining::default() }
}
