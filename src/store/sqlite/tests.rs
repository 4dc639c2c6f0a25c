//! What only SQLite can get wrong: the file, the rows in it, and what its constraints refuse.

use std::{fs, path::Path};

use sqlx::{AssertSqlSafe, Connection, Row, sqlite::SqliteConnection};
use tempfile::TempDir;

use super::{SqliteConfig, options};
use crate::{
    charge::Charge,
    store::{
        Outcome, Store, StoreError, Write,
        contract::fixture::{
            accepted, advance, charge_at, commit, evidence, mo, msisdn, open, open_attempt, opening_with_slot, paid,
            receipt, reference, run, settlement, step_through, turned_down, vehicle,
        },
    },
};

fn url(folder: &TempDir) -> String {
    format!("sqlite://{}", folder.path().join("store.db").display())
}

/// The same file past the store.
async fn raw(folder: &TempDir) -> SqliteConnection {
    let config = SqliteConfig::new(folder.path().join("store.db"));
    SqliteConnection::connect_with(&options(&config)).await.unwrap()
}

async fn opened() -> (TempDir, Store, SqliteConnection) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&url(&folder)).await.unwrap();
    let raw = raw(&folder).await;
    (folder, store, raw)
}

async fn count(raw: &mut SqliteConnection, table: &'static str) -> i64 {
    let sql = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    sqlx::query(sql).fetch_one(raw).await.unwrap().get(0)
}

async fn refusal(raw: &mut SqliteConnection, sql: &'static str) -> String {
    sqlx::query(sql).execute(raw).await.unwrap_err().to_string()
}

#[tokio::test]
async fn everything_is_still_there_after_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&url(&folder)).await.unwrap();
    let charge = charge_at(1, 0);
    open(&store, opening_with_slot(&charge)).await;
    let charge = advance(&store, charge, [(1, open_attempt()), (2, accepted("e1", "id1")), (3, paid("e2"))]).await;
    commit(&store, Write::Park(receipt("r1", Some("id2"), 3))).await;
    let journal = store.journal(charge.reference).await.unwrap();
    let slot = store.slot(msisdn(1), &vehicle(1)).await.unwrap();
    store.close().await;
    assert!(matches!(store.commit(&[Write::Unpark { id: "r1".into() }]).await, Err(StoreError::Closed)));

    let store = Store::open(&url(&folder)).await.unwrap();
    assert_eq!(store.charge(charge.reference).await.unwrap().as_ref(), Some(&charge));
    assert_eq!(store.journal(charge.reference).await.unwrap(), journal);
    assert_eq!(store.slot(msisdn(1), &vehicle(1)).await.unwrap(), slot);
    assert!(store.ticket(charge.reference).await.unwrap().is_some());
    assert_eq!(store.parked_count().await.unwrap(), 1);
    let again = commit(&store, Write::Settle(Box::new(settlement(&charge, paid("e2"), 9)))).await;
    assert_eq!(again, Outcome::EvidenceKnown);
}

#[tokio::test]
async fn an_answered_write_survives_without_a_clean_close() {
    let (folder, store, _) = opened().await;
    run(&store, charge_at(1, 0), [(1, open_attempt())]).await;
    let copy = tempfile::tempdir().unwrap();
    for file in ["store.db", "store.db-wal"] {
        fs::copy(folder.path().join(file), copy.path().join(file)).unwrap();
    }
    let store = Store::open(&url(&copy)).await.unwrap();
    assert_eq!(store.charge(reference(1)).await.unwrap().unwrap().attempts.len(), 1);
}

#[tokio::test]
async fn m01_the_attempts_of_a_charge_are_rows_of_their_own() {
    let (_folder, store, mut raw) = opened().await;
    run(&store, charge_at(1, 0), []).await;
    assert_eq!(count(&mut raw, "attempts").await, 0, "no attempt row means that nothing was sent");
    run(&store, charge_at(2, 0), [(1, open_attempt()), (2, accepted("e1", "id1"))]).await;
    let row = sqlx::query("SELECT reference, number, carrier, wire_reference, state FROM attempts")
        .fetch_one(&mut raw)
        .await
        .unwrap();
    assert_eq!(row.get::<&[u8], _>(0), reference(2).as_bytes());
    assert_eq!(
        (row.get::<i64, _>(1), row.get::<&str, _>(2), row.get::<&str, _>(3), row.get::<&str, _>(4)),
        (1, "beeline", "7", "accepted")
    );
}

#[tokio::test]
async fn the_journal_and_the_ledger_are_append_only() {
    let (_folder, store, mut raw) = opened().await;
    run(&store, charge_at(1, 0), [(1, open_attempt()), (2, paid("e1"))]).await;
    for (sql, table) in [
        ("UPDATE journal SET at = 0", "journal"),
        ("DELETE FROM journal", "journal"),
        ("UPDATE ledger SET minor = 1", "ledger"),
        ("DELETE FROM ledger", "ledger"),
        ("INSERT OR REPLACE INTO journal SELECT seq, reference, 0, body FROM journal LIMIT 1", "journal"),
        ("REPLACE INTO ledger SELECT reference, version, account, -minor, currency, posted_at FROM ledger", "ledger"),
    ] {
        let why = refusal(&mut raw, sql).await;
        assert!(why.contains(&format!("the {table} is append-only")), "{sql}: {why}");
    }
    for sql in ["DELETE FROM evidence", "REPLACE INTO evidence SELECT reference, id, 'other words', NULL FROM evidence"]
    {
        let why = refusal(&mut raw, sql).await;
        assert!(why.contains("evidence is append-only"), "{sql}: {why}");
    }
    assert_eq!((count(&mut raw, "journal").await, count(&mut raw, "ledger").await), (3, 2));
}

#[tokio::test]
async fn the_second_of_two_is_refused_by_the_database_itself() {
    let (_folder, store, mut raw) = opened().await;
    let charge = charge_at(1, 0);
    open(&store, opening_with_slot(&charge)).await;
    advance(&store, charge, [(1, open_attempt()), (2, accepted("e1", "id1")), (3, paid("e2"))]).await;
    for table in ["charges", "attempts", "keys", "slots", "evidence", "carrier_ids", "ledger", "tickets"] {
        let columns = if table == "charges" {
            "NULL, reference, version, state, msisdn, vehicle, received_at,
            ticket_deadline, due_at, in_doubt_since, amount_minor, currency, body"
        } else {
            "*"
        };
        let sql = AssertSqlSafe(format!("INSERT INTO {table} SELECT {columns} FROM {table} LIMIT 1"));
        let why = sqlx::query(sql).execute(&mut raw).await.unwrap_err().to_string();
        let refused = ["UNIQUE constraint failed", "append-only"].iter().any(|words| why.contains(words));
        assert!(refused, "{table}: {why}");
    }
}

#[tokio::test]
async fn an_attempt_or_a_key_without_its_charge_is_refused() {
    let (_folder, store, mut raw) = opened().await;
    run(&store, charge_at(1, 0), []).await;
    let why = refusal(&mut raw, "INSERT INTO attempts VALUES (x'00', 1, 'beeline', '7', 'open', 0)").await;
    assert!(why.contains("FOREIGN KEY"), "{why}");
    let why = refusal(&mut raw, "DELETE FROM charges").await;
    assert!(why.contains("FOREIGN KEY"), "{why}");
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_an_error_that_names_it() {
    let (_folder, store, mut raw) = opened().await;
    run(&store, charge_at(1, 0), []).await;
    sqlx::query("UPDATE charges SET body = json_remove(body, '$.terms')").execute(&mut raw).await.unwrap();
    let error = store.charge(reference(1)).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { table: "charges", .. }));
    assert!(error.to_string().contains("terms"), "{error}");
}

#[tokio::test]
async fn a_lock_held_by_somebody_else_fails_the_batch_and_the_store_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let busy_timeout = std::time::Duration::from_millis(20);
    let config = SqliteConfig { busy_timeout, ..SqliteConfig::new(folder.path().join("store.db")) };
    let store = Store::Sqlite(super::Sqlite::open(config).await.unwrap());
    let mut raw = raw(&folder).await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut raw).await.unwrap();
    let write = [Write::Park(receipt("r1", None, 0))];
    assert!(matches!(store.commit(&write).await, Err(StoreError::Database(_))));
    assert!(store.ping().await.is_err());
    sqlx::query("ROLLBACK").execute(&mut raw).await.unwrap();
    store.ping().await.unwrap();
    assert_eq!(store.commit(&write).await.unwrap(), [Outcome::Parked]);
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_no_transaction_behind() {
    let (_folder, store, mut raw) = opened().await;
    for n in 1..=20 {
        let write = [Write::Open(Box::new(opening_with_slot(&charge_at(n, 0))))];
        let wait = std::time::Duration::from_micros(u64::from(n) * 30);
        let _ = tokio::time::timeout(wait, store.commit(&write)).await;
    }
    let last = [Write::Open(Box::new(opening_with_slot(&charge_at(21, 0))))];
    assert_eq!(store.commit(&last).await.unwrap(), [Outcome::Opened { superseded: None }]);
    let (charges, keys) = (count(&mut raw, "charges").await, count(&mut raw, "keys").await);
    assert!((1..=21).contains(&charges) && charges == keys, "{charges} charges, {keys} keys");
}

async fn open_error(url: &str) -> String {
    Store::open(url).await.unwrap_err().to_string()
}

#[tokio::test]
async fn an_address_that_names_no_store_is_explained() {
    for (url, why) in [
        ("mysql://localhost/smsbusd", "the scheme is none of sqlite://, postgres:// and memory:"),
        ("/var/lib/smsbusd.db", "the scheme is none of sqlite://, postgres:// and memory:"),
        ("sqlite://", "the path is missing"),
        ("sqlite:///tmp/x.db?mode=ro", "options are not read here"),
    ] {
        let error = open_error(url).await;
        assert!(error.contains(why) && error.contains(url), "{url}: {error}");
    }
    assert!(matches!(Store::open("memory:").await, Ok(Store::Memory(_))));
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing").join("store.db");
    let error = open_error(&format!("sqlite://{}", missing.display())).await;
    assert!(error.contains("missing does not exist"), "{error}");
    let error = open_error(&format!("sqlite://{}", folder.path().display())).await;
    assert!(error.contains("cannot open the database"), "{error}");
    fs::write(folder.path().join("store.db"), "this is no database, and long enough to be looked at".repeat(9))
        .unwrap();
    let error = open_error(&url(&folder)).await;
    assert!(error.contains("not a database"), "{error}");
}

#[tokio::test]
async fn migrating_twice_changes_nothing_and_a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let migrations = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite")).unwrap().count();
    for _ in 0..2 {
        assert_eq!(Store::migrate(&url(&folder)).await.unwrap(), migrations);
    }
    let mut raw = raw(&folder).await;
    sqlx::query("UPDATE _sqlx_migrations SET version = version + 9999").execute(&mut raw).await.unwrap();
    assert!(matches!(Store::open(&url(&folder)).await, Err(StoreError::Migrate(_))));
}

#[tokio::test]
async fn messages_that_a_program_of_before_kept_are_read_as_whole_and_prompt() {
    let (_folder, store, mut raw) = opened().await;
    let kept = mo(1, "1234", 5);
    // As migration 0001 has it; a program of then may still be at work on the same file.
    sqlx::query(
        "INSERT INTO mos (id, carrier, msisdn, destination, text, fingerprint, received_at, same_since)
         VALUES (?1, 'beeline', ?2, '2505', '1234', ?3, ?4, ?5)",
    )
    .bind(kept.id.as_bytes().as_slice())
    .bind(i64::try_from(kept.msisdn.e164()).unwrap())
    .bind(kept.fingerprint.as_slice())
    .bind(kept.received_at.unix_ms())
    .bind(kept.same_since.unix_ms())
    .execute(&mut raw)
    .await
    .unwrap();
    assert_eq!(store.unanswered_mos(9).await.unwrap(), [kept]);
}

#[tokio::test]
async fn m14_refunds_of_before_are_on_the_refund_list_once_the_schema_is_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let config = SqliteConfig::new(folder.path().join("store.db"));
    let mut raw = SqliteConnection::connect_with(&options(&config).create_if_missing(true)).await.unwrap();
    let migrations = super::MIGRATIONS.iter().filter(|migration| !migration.migration_type.is_down_migration());
    let migrations: Vec<_> = migrations.collect();
    for migration in migrations.iter().filter(|migration| migration.version < 8) {
        sqlx::raw_sql(migration.sql.clone()).execute(&mut raw).await.unwrap();
    }
    // As a charge of before stands in the table: refused, though the money was taken; owed.
    let charge = step_through(charge_at(1, 0), [(1, open_attempt()), (2, turned_down("e1")), (3, paid("e2"))]);
    let refund = &charge.refunds[0];
    let insert = "INSERT INTO charges (reference, version, state, msisdn, vehicle, received_at, ticket_deadline, amount_minor, currency, body)
         VALUES (?1, 3, 'rejected', 77051111111, '1234', 0, 0, 8000, 'KZT', ?2)";
    let reference = charge.reference;
    let body = serde_json::to_string(&charge).unwrap();
    sqlx::query(insert).bind(reference.as_bytes().as_slice()).bind(body).execute(&mut raw).await.unwrap();
    let attempt = "INSERT INTO attempts (reference, number, carrier, wire_reference, state, opened_at) VALUES (?1, 1, 'beeline', '7', 'rejected', 0)";
    sqlx::query(attempt).bind(reference.as_bytes().as_slice()).execute(&mut raw).await.unwrap();
    for migration in migrations.iter().filter(|migration| migration.version >= 8) {
        sqlx::raw_sql(migration.sql.clone()).execute(&mut raw).await.unwrap();
    }
    let listed =
        sqlx::query("SELECT id, carrier, state, minor, opened_at FROM refunds").fetch_one(&mut raw).await.unwrap();
    assert_eq!(listed.get::<&[u8], _>(0), refund.reference.as_bytes());
    assert_eq!((listed.get::<&str, _>(1), listed.get::<&str, _>(2)), ("beeline", "owed"));
    assert_eq!((listed.get::<i64, _>(3), listed.get::<i64, _>(4)), (8_000, refund.opened_at.unix_ms()));
}

#[tokio::test]
async fn a_charge_is_kept_whole_after_every_event() {
    let (_folder, store, mut raw) = opened().await;
    let events = [
        (1, open_attempt()),
        (2, accepted("e1", "id1")),
        (70, crate::charge::Event::Tick),
        (80, evidence("e2", crate::charge::Finding::Nothing)),
        (90, paid("e3")),
    ];
    let charge = run(&store, charge_at(1, 0), events).await;
    let row = sqlx::query("SELECT body, version, state, due_at, in_doubt_since FROM charges").fetch_one(&mut raw);
    let row = row.await.unwrap();
    assert_eq!(serde_json::from_str::<Charge>(row.get(0)).unwrap(), charge);
    assert_eq!((row.get::<u32, _>(1), row.get::<&str, _>(2)), (charge.version, "refund_owed"));
    assert_eq!((row.get::<Option<i64>, _>(3), row.get::<Option<i64>, _>(4)), (None, None));
}

#[tokio::test]
async fn no_statement_of_a_commit_walks_through_a_table() {
    let (_folder, _store, mut raw) = opened().await;
    // For an insert into a parent table SQLite also plans a look at its children, and skips it while nothing is violated.
    sqlx::query("PRAGMA foreign_keys = OFF").execute(&mut raw).await.unwrap();
    let statements = super::statements::ALL.into_iter().flatten().chain(super::judge::ALL);
    for sql in statements.chain(super::prior::ALL).chain(super::outstanding::ALL).chain(super::webhooks::ALL) {
        let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"))).fetch_all(&mut raw).await.unwrap();
        for step in plan.iter().map(|row| row.get::<&str, _>(3)) {
            // The rows of the set, and the one row that a subquery is.
            let is_no_table = ["VIRTUAL TABLE", "CONSTANT ROW", "SCAN now"].iter().any(|text| step.contains(text));
            let table_scan = step.starts_with("SCAN") && !is_no_table;
            assert!(!table_scan, "{step}\n{sql}");
        }
    }
}
