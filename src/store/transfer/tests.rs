mod filled;

use std::{collections::BTreeSet, time::Duration};

use sqlx::{AssertSqlSafe, Row, postgres::PgConnection};

use self::filled::{Filled, answers};
use super::{
    Progress, TransferError, Transferred, answered, books, copy, proof, prove, schema,
    tables::{COUNTED, Form, TABLES},
    target, transfer,
};
use crate::{
    charge::Break,
    clock::Timestamp,
    store::{
        Hold, InstanceId, SqliteConfig, Store, StoreError,
        address::Address,
        contract::{
            fixture::{at, charge_at, open_attempt, run, turned_down},
            new_schema,
        },
        postgres::{
            self,
            tests::{CUT_ANSWER, CUT_REQUEST, Cutter, raw},
        },
    },
};

fn now() -> Timestamp {
    at(1_000_000)
}

async fn moved(from: &Filled, to: &str) -> Result<Transferred, TransferError> {
    transfer(&from.url(), to, now(), |_| {}).await
}

/// Moves it, and says how many rows there are of each table.
async fn must_move(from: &Filled, to: &str) -> Vec<(String, u64)> {
    match moved(from, to).await.unwrap() {
        Transferred::Moved { tables, audited } => {
            assert_eq!(audited.flaws_total, 0);
            tables.into_iter().map(|table| (table.name, table.rows)).collect()
        }
        Transferred::Before { at } => panic!("it was moved before, at {at}"),
    }
}

fn config(from: &Filled) -> SqliteConfig {
    match Address::read(&from.url()).unwrap() {
        Address::Sqlite(config) => config,
        other => panic!("{other:?}"),
    }
}

async fn is_empty(target: &mut PgConnection) -> bool {
    let mut rows = 0;
    for table in TABLES {
        let query = AssertSqlSafe(format!("SELECT count(*) FROM {}", table.name));
        rows += sqlx::query(query).fetch_one(&mut *target).await.unwrap().get::<i64, _>(0);
    }
    rows == 0
}

async fn refused(from: &str, to: &str) -> String {
    transfer(from, to, now(), |_| {}).await.unwrap_err().to_string()
}

#[tokio::test]
async fn an_address_that_books_cannot_be_moved_from_or_to_is_told_without_a_password() {
    let (file, server) = ("sqlite:///nowhere/store.db", "postgres://me@localhost/books");
    for (from, to, why) in [
        (server, file, "is no file"),
        ("memory:", server, "is no file"),
        (file, file, "is no server"),
        (file, "memory:", "is no server"),
        ("/nowhere/store.db", server, "names no store"),
        (file, "books", "names no store"),
        (file, "postgres://me@db.far/books", "another machine"),
        (file, "postgres://me:secret@localhost/books", "PGPASSFILE"),
        ("postgres://me:secret@localhost/books", server, "is no file"),
        (file, server, "cannot open the database /nowhere/store.db"),
    ] {
        let refused = refused(from, to).await;
        assert!(refused.contains(why) && !refused.contains("secret"), "{from} {to}: {refused}");
    }
}

#[tokio::test]
async fn a_file_that_a_daemon_serves_or_an_earlier_version_wrote_is_not_moved() {
    // There is no server, and nobody asks for it.
    let server = "postgres://me@127.0.0.1:1/books";
    let source = Filled::new().await;
    let hold = Hold::take(&source.url()).unwrap();
    let held = refused(&source.url(), server).await;
    assert!(held.contains("is in use by process"), "{held}");
    drop(hold);
    let unreachable = refused(&source.url(), server).await;
    assert!(unreachable.starts_with("cannot connect to database books"), "{unreachable}");
    source.open().await.unwrap().close().await;
    source.change("DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)").await;
    let earlier = refused(&source.url(), server).await;
    assert!(earlier.contains("`smsbusd migrate` brings it up to date"), "{earlier}");
}

#[tokio::test]
async fn what_says_nothing_is_given_up() {
    tokio::time::pause();
    let silent = answered(std::future::pending::<Result<(), StoreError>>()).await;
    assert!(matches!(silent, Err(StoreError::Database(_))), "{silent:?}");
}

mod on_postgres {
    use super::*;

    #[tokio::test]
    #[ignore = "needs a server: scripts/postgres"]
    async fn what_moves_is_every_column_of_both_stores() {
        let url = new_schema("every_column").await;
        Store::migrate(&url).await.unwrap();
        let source = Filled::new().await;
        let (mut here, mut there) = (books::open(&config(&source)).await.unwrap(), raw(&url).await);
        let of_sqlite = schema::of_sqlite(&mut here).await.unwrap();
        let (of_postgres, _) = schema::of_postgres(&mut there).await.unwrap();
        let names = |name: &str| TABLES.iter().find(|table| table.name == name);
        for (table, columns) in &of_postgres {
            let declared = names(table).unwrap_or_else(|| panic!("{table} does not move"));
            let declared: BTreeSet<&str> = declared.columns.iter().map(|column| column.name).collect();
            assert_eq!(declared, columns.iter().map(String::as_str).collect(), "{table}");
        }
        assert_eq!(of_postgres.len(), TABLES.len());
        for (table, columns) in &of_sqlite {
            let declared = names(table).unwrap_or_else(|| panic!("{table} does not move")).columns;
            for column in columns.iter().filter(|column| (table.as_str(), column.as_str()) != ("charges", "id")) {
                assert!(declared.iter().any(|known| known.name == column), "{table}.{column} does not move");
            }
        }
        // What is read as it is there, is there.
        for table in TABLES {
            for column in table.columns.iter().filter(|column| matches!(column.form, Form::Same | Form::Flag)) {
                assert!(of_sqlite[table.name].iter().any(|known| known == column.name), "{table:?}");
            }
        }
        assert_eq!(schema::shared(&mut here, &mut there).await.unwrap().len(), TABLES.len());
    }

    /// Pairs of names that the server's catalogue has.
    async fn catalogue(url: &str, query: &'static str) -> Vec<(String, String)> {
        let rows = sqlx::query(query).fetch_all(&mut raw(url).await).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    #[tokio::test]
    #[ignore = "needs a server: scripts/postgres"]
    async fn what_the_server_knows_of_its_columns_is_known_here_too() {
        let url = new_schema("catalogue").await;
        Store::migrate(&url).await.unwrap();
        let flags = "SELECT table_name::text, column_name::text FROM information_schema.columns
             WHERE table_schema = current_schema() AND data_type = 'boolean'
               AND table_name NOT IN ('_sqlx_migrations', 'writers')";
        let mut declared: Vec<(String, String)> = Vec::new();
        for table in TABLES {
            let flags = table.columns.iter().filter(|column| column.form == Form::Flag);
            declared.extend(flags.map(|column| (table.name.to_owned(), column.name.to_owned())));
        }
        let mut found = catalogue(&url, flags).await;
        found.sort();
        declared.sort();
        assert_eq!(found, declared);
        let counted = "SELECT table_name::text, column_name::text FROM information_schema.columns
             WHERE table_schema = current_schema() AND (is_identity = 'YES' OR column_default IS NOT NULL)
               AND table_name NOT IN ('_sqlx_migrations', 'instances', 'writers') AND column_name NOT IN ('instance', 'writer')";
        assert_eq!(catalogue(&url, counted).await, [(COUNTED.0.to_owned(), COUNTED.1.to_owned())]);
        let references = "SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint
             JOIN pg_namespace ON pg_namespace.oid = connamespace AND nspname = current_schema()
             WHERE contype = 'f' AND confrelid <> 'retirements'::regclass";
        let place = |name: &str| TABLES.iter().position(|table| table.name == name).unwrap();
        for (from, to) in catalogue(&url, references).await {
            assert!(place(&to) < place(&from), "{from} refers to {to}");
        }
    }

    #[tokio::test]
    #[ignore = "needs a server: scripts/postgres"]
    async fn a_table_that_only_one_store_has_is_not_left_behind() {
        let url = new_schema("one_has_it").await;
        let source = Filled::new().await;
        source.change("CREATE TABLE tips (id INTEGER PRIMARY KEY)").await;
        assert_eq!(refused(&source.url(), &url).await, "table tips: it is in the source only");
        source.change("DROP TABLE tips; ALTER TABLE roots ADD COLUMN why TEXT").await;
        assert_eq!(refused(&source.url(), &url).await, "table roots: its column why is in the source only");
        sqlx::raw_sql("ALTER TABLE roots ADD COLUMN why TEXT, ADD COLUMN who TEXT")
            .execute(&mut raw(&url).await)
            .await
            .unwrap();
        assert_eq!(refused(&source.url(), &url).await, "table roots: its column who is in the target only");
    }

    /// Waits until the server hands out so many entries after a place, and gives their versions.
    async fn settled_after(store: &Store, place: u64, entries: usize) -> Vec<u32> {
        for _ in 0..1_000 {
            let settled = store.settled_journal(place, 99).await.unwrap();
            if settled.len() >= entries {
                return settled.iter().map(|settled| settled.entry.version).collect();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{entries} entries are not settled after ten seconds");
    }

    /// The books are what they were, and they go on: chain, events, breaks.
    async fn goes_on(source: &Filled, url: &str) {
        let store = Store::open(url).await.unwrap();
        // What was moved is nobody's, until a daemon begins.
        let daemon = store.instances().unwrap();
        let orphans = daemon.charges_of(InstanceId::NOBODY).await.unwrap();
        daemon.adopt(InstanceId::NOBODY, &orphans).await.unwrap();
        daemon.adopt_in_doubt(InstanceId::NOBODY).await.unwrap();
        daemon.adopt_messages(InstanceId::NOBODY).await.unwrap();
        let end = store.settled_end().await.unwrap();
        for (there, here) in answers(&store, source.second).await.iter().zip(&source.answers) {
            assert_eq!(there, here);
        }
        let blocks = Store::audit(url, &[]).await.unwrap().blocks;
        let known = store.breaks(999).await.unwrap().len();
        let second = source.second;
        let charge = run(&store, charge_at(99, second), [(second + 1, open_attempt())]).await;
        assert_eq!(settled_after(&store, end, 2).await, [1, 2]);
        let gone = [(second + 2, crate::store::contract::fixture::paid("e1")), (second + 3, turned_down("e2"))];
        crate::store::contract::fixture::advance(&store, charge, gone).await;
        assert_eq!(settled_after(&store, end, 4).await, [1, 2, 3, 4]);
        let breaks = store.breaks(999).await.unwrap();
        assert_eq!(breaks.len(), known + 1);
        assert_eq!(
            breaks[0].kind,
            Break::RejectedAfterCharge.code(),
            "its number is higher than those that were moved"
        );
        let audited = Store::audit(url, &[]).await.unwrap();
        assert_eq!((audited.flaws, audited.blocks), (vec![], blocks + 4));
        assert_eq!(audited.heads.len(), 2, "one chain for each generation, of one writer each");
        store.close().await;
    }

    #[tokio::test]
    #[ignore = "needs a server: scripts/postgres"]
    async fn books_move_whole_and_go_on_where_they_were() {
        let (source, url) = (Filled::new().await, new_schema("move_whole").await);
        let rows = must_move(&source, &url).await;
        assert_eq!(rows.len(), TABLES.len());
        for (table, rows) in rows {
            assert_ne!(rows, 0, "{table} is not tried");
            assert_eq!(u64::try_from(source.count(&table).await).unwrap(), rows, "{table}");
        }
        assert_eq!(Store::daily_roots(&url, 99).await.unwrap(), Store::daily_roots(&source.url(), 99).await.unwrap());
        goes_on(&source, &url).await;
    }

    #[tokio::test]
    #[ignore = "needs a server: scripts/postgres"]
    async fn books_whose_places_went_further_than_the_servers_go_on_after_them() {
        let (source, url) = (Filled::with_places_after(1 << 50).await, new_schema("far_places").await);
        must_move(&source, &url).await;
        goes_on(&source, &url).await;
    }

    #[tokio::test]
    #[ignore = "needs a server: scripts/postgres"]
    async fn the_old_file_is_served_no_more_and_can_still_be_checked() {
        let (source, url) = (Filled::new().await, new_schema("old_file").await);
        must_move(&source, &url).await;
        let refused_to_serve = source.open().await.unwrap_err();
        assert!(
            matches!(&refused_to_serve, StoreError::Moved { at, done: true, .. } if *at == now()),
            "{refused_to_serve}"
        );
        assert!(refused_to_serve.to_string().contains("postgres://…@localhost/"), "{refused_to_serve}");
        let put_away = source.put_away();
        let elsewhere = format!("sqlite://{}", put_away.path().join("store.db").display());
        assert!(matches!(Store::open(&elsewhere).await, Err(StoreError::Moved { done: true, .. })));
        assert_eq!(Store::audit(&source.url(), &[]).await.unwrap().flaws, []);
        Store::migrate(&source.url()).await.unwrap();
        // The same again says so, also once the books have gone on there.
        let store = Store::open(&url).await.unwrap();
        run(&store, charge_at(99, source.second), []).await;
        store.close().await;
        assert!(matches!(moved(&source, &url).await, Ok(Transferred::Before { at }) if at == now()));
        // And nowhere else.
        let elsewhere = new_schema("elsewhere").await;
        let marked = moved(&source, &elsewhere).await.unwrap_err();
        assert!(matches!(marked, TransferError::Store(StoreError::Moved { .. })), "{marked}");
        assert!(is_empty(&mut raw(&elsewhere).await).await);
        // Nor there, if what was written since is lost.
        let empty = "DO $$ BEGIN EXECUTE 'DROP SCHEMA ' || current_schema() || ' CASCADE'; END $$";
        sqlx::raw_sql(empty).execute(&mut raw(&url).await).await.unwrap();
        let schema = url.rsplit("search_path%3D").next().unwrap();
        let again = AssertSqlSafe(format!("CREATE SCHEMA {schema}"));
        sqlx::raw_sql(again).execute(&mut raw(&url).await).await.unwrap();
        let gone = moved(&source, &url).await.unwrap_err();
        assert!(matches!(gone, TransferError::Gone { at, .. } if at == now()), "{gone}");
    }

    #[tokio::test]
    #[ignore = "needs a server: scripts/postgres"]
    async fn a_database_that_is_served_or_keeps_anything_is_no_target() {
        let (source, url) = (Filled::new().await, new_schema("kept").await);
        let store = Store::open(&url).await.unwrap();
        let served = moved(&source, &url).await.unwrap_err();
        assert!(matches!(served, TransferError::Store(StoreError::Taken { .. })), "{served}");
        store.close().await;
        let mut other = raw(&url).await;
        for (keep, table, forget) in [
            ("INSERT INTO languages VALUES (77010000001, 'kk')", "languages", "DELETE FROM languages"),
            ("INSERT INTO mo_watch VALUES ('kcell', 1)", "mo_watch", "DELETE FROM mo_watch"),
        ] {
            sqlx::query(keep).execute(&mut other).await.unwrap();
            let refused = refused(&source.url(), &url).await;
            assert!(refused.contains(&format!("rows in its table {table};")), "{refused}");
            sqlx::query(forget).execute(&mut other).await.unwrap();
        }
        source.open().await.unwrap().close().await;
        must_move(&source, &url).await;
        source.change("DELETE FROM moved").await;
        let refused = refused(&source.url(), &url).await;
        assert!(refused.contains("is not empty"), "{refused}");
    }

    #[tokio::test]
    #[ignore = "needs a server: scripts/postgres"]
    async fn a_daemon_that_was_served_by_the_database_before_writes_nothing_more() {
        let (source, url) = (Filled::new().await, new_schema("before").await);
        let (cutter, by_way) = Cutter::before(&url);
        let earlier = Store::open(&by_way).await.unwrap();
        cutter.cut_next(CUT_REQUEST);
        cutter.hold_up(true);
        let writing = tokio::spawn({
            let earlier = earlier.clone();
            async move { run(&earlier, charge_at(99, 0), []).await }
        });
        // The server takes its connections for lost.
        let lose = "SELECT pg_terminate_backend(pid) FROM pg_locks
                    WHERE locktype = 'advisory' AND (classid::bigint << 32 | objid::bigint)
                          = hashtextextended('smsbusd:' || current_schema(), 0)";
        sqlx::raw_sql(lose).execute(&mut raw(&url).await).await.unwrap();
        must_move(&source, &url).await;
        cutter.hold_up(false);
        assert!(writing.await.is_err(), "it was not written");
        assert!(matches!(earlier.ping().await, Err(StoreError::Closed)));
        goes_on(&source, &url).await;
    }

    /// Copies, and holds the transaction open.
    async fn copied(source: &Filled, url: &str) -> (sqlx::SqliteConnection, PgConnection, Vec<schema::SharedTable>) {
        let mut here = books::open_alone(&config(source)).await.unwrap();
        let mut there = postgres::take(url).await.unwrap();
        target::begin(&mut there, TABLES).await.unwrap();
        let shared = schema::shared(&mut here, &mut there).await.unwrap();
        copy(&mut here, &mut there, &mut |_| {}).await.unwrap();
        (here, there, shared)
    }

    #[tokio::test]
    #[ignore = "needs a server: scripts/postgres"]
    async fn whatever_is_not_as_it_was_before_the_commit_is_found_and_named() {
        let (source, url) = (Filled::new().await, new_schema("tampered").await);
        let (mut here, mut there, shared) = copied(&source, &url).await;
        prove(&shared, &mut here, &mut there, &mut |_| {}).await.unwrap();
        let last = "WHERE id = (SELECT max(id) FROM";
        for (change, table, why) in [
            (format!("UPDATE breaks SET kind = 'other' {last} breaks)"), "breaks", "something else in kind;"),
            ("UPDATE keys SET repeat = NOT repeat, used_at = 7".into(), "keys", "something else in repeat, used_at;"),
            ("UPDATE charges SET agency = 'other'".into(), "charges", "something else in agency;"),
            (
                "UPDATE charges SET caller = NULL WHERE caller IS NOT NULL".into(),
                "charges",
                "something else in caller;",
            ),
            ("UPDATE mos SET kept_at = kept_at + 1".into(), "mos", "something else in kept_at;"),
            ("UPDATE evidence SET words = NULL, salt = NULL".into(), "evidence", "something else in words, salt;"),
            ("UPDATE messages SET text = text || '\\x00'".into(), "messages", "something else in text;"),
            (format!("DELETE FROM breaks {last} breaks)"), "breaks", "only the source has it;"),
            ("DELETE FROM tickets".into(), "tickets", "only the source has it;"),
            ("INSERT INTO languages VALUES (99999999999, 'kk')".into(), "languages", "only the target has it;"),
            ("INSERT INTO languages VALUES (7, 'kk')".into(), "languages", "the target has 7 in its place;"),
            ("UPDATE serials SET vehicle = 'AAA'".into(), "serials", "the target has"),
            (
                "ALTER TABLE journal DISABLE TRIGGER USER; UPDATE journal SET body = body || ' '".into(),
                "journal",
                "something else in body;",
            ),
        ] {
            sqlx::raw_sql("SAVEPOINT as_it_was").execute(&mut there).await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(change.clone())).execute(&mut there).await.unwrap();
            let found = prove(&shared, &mut here, &mut there, &mut |_| {}).await.unwrap_err().to_string();
            assert!(found.starts_with(&format!("table {table}, row ")) && found.contains(why), "{change}: {found}");
            sqlx::raw_sql("ROLLBACK TO as_it_was").execute(&mut there).await.unwrap();
        }
        prove(&shared, &mut here, &mut there, &mut |_| {}).await.unwrap();
    }

    /// Neither the memory of the one nor the disk of the other is filled with rows that are sorted.
    #[tokio::test]
    #[ignore = "needs a server: scripts/postgres"]
    async fn both_stores_read_their_tables_in_order_without_sorting_them() {
        let (source, url) = (Filled::new().await, new_schema("no_sort").await);
        let (mut here, mut there, shared) = copied(&source, &url).await;
        target::read_by_key(&mut there, true).await.unwrap();
        for table in &shared {
            let (ours, theirs) = proof::selections(table);
            let plan = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {ours}"));
            let plan = sqlx::query(plan).fetch_all(&mut here).await.unwrap();
            let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
            assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:?}");
            let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN {theirs}"))).fetch_all(&mut there).await.unwrap();
            let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
            assert!(!plan.iter().any(|step| step.contains("Sort  (")), "{plan:?}");
        }
        drop((here, there));
    }

    #[tokio::test]
    #[ignore = "needs a server: scripts/postgres"]
    async fn a_digest_depends_on_every_value() {
        let (source, url) = (Filled::new().await, new_schema("digests").await);
        let (mut here, mut there, shared) = copied(&source, &url).await;
        let languages = shared.iter().find(|table| table.name == "languages").unwrap();
        let before = proof::compare(languages, &mut here, &mut there).await.unwrap();
        assert_eq!(proof::compare(languages, &mut here, &mut there).await.unwrap(), before);
        // In both, so that nothing differs.
        sqlx::raw_sql("UPDATE languages SET language = 'ru'").execute(&mut here).await.unwrap();
        sqlx::raw_sql("UPDATE languages SET language = 'ru'").execute(&mut there).await.unwrap();
        let after = proof::compare(languages, &mut here, &mut there).await.unwrap();
        assert_eq!(after.rows, before.rows);
        assert_ne!(after.digest, before.digest);
    }

    #[tokio::test]
    #[ignore = "needs a server: scripts/postgres"]
    async fn books_that_were_not_in_order_are_not_moved_and_go_on_being_served() {
        let (source, url) = (Filled::new().await, new_schema("flawed").await);
        source.change("DROP TRIGGER ledger_is_never_changed; UPDATE ledger SET posted_at = posted_at + 1").await;
        let flawed = moved(&source, &url).await.unwrap_err();
        assert!(matches!(&flawed, TransferError::Flawed { total: 1.., .. }), "{flawed}");
        assert!(is_empty(&mut raw(&url).await).await);
        source.open().await.unwrap();
    }

    #[tokio::test]
    #[ignore = "needs a server: scripts/postgres"]
    async fn a_journal_without_its_chain_and_a_row_that_the_server_refuses_are_named() {
        let (source, url) = (Filled::new().await, new_schema("refused_rows").await);
        source.change("INSERT INTO chain_wanted (id) VALUES (1)").await;
        assert!(matches!(moved(&source, &url).await, Err(TransferError::Unchained)));
        source.change("DELETE FROM chain_wanted; UPDATE serials SET day = day || char(0)").await;
        let nul = refused(&source.url(), &url).await;
        assert!(nul.starts_with("table serials: "), "{nul}");
        assert!(is_empty(&mut raw(&url).await).await);
    }

    #[tokio::test]
    #[ignore = "needs a server: scripts/postgres"]
    async fn a_move_that_is_broken_off_leaves_nothing_and_can_begin_anew() {
        let (source, url) = (Filled::new().await, new_schema("broken_off").await);
        let (here, there, _) = copied(&source, &url).await;
        let busy = moved(&source, &url).await.unwrap_err();
        assert!(matches!(busy, TransferError::Store(StoreError::Open { .. })), "the source is being moved: {busy}");
        drop((here, there));
        source.open().await.unwrap().close().await;
        must_move(&source, &url).await;
        goes_on(&source, &url).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "needs a server: scripts/postgres"]
    async fn a_connection_that_is_lost_in_the_middle_leaves_nothing() {
        let (source, url) = (Filled::new().await, new_schema("lost_connection").await);
        // As a server that is restarted does.
        let cut = async || {
            let cut = "SELECT pg_terminate_backend(pid) FROM pg_locks
                       WHERE relation = 'charges'::regclass AND mode = 'ExclusiveLock'";
            assert_eq!(sqlx::query(cut).fetch_all(&mut raw(&url).await).await.unwrap().len(), 1);
        };
        for at in ["journal", "chain"] {
            let cut_off = |progress: Progress<'_>| match progress {
                Progress::Copied { table, .. } if table == at => {
                    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(cut()));
                }
                _ => {}
            };
            let lost = transfer(&source.url(), &url, now(), cut_off).await.unwrap_err();
            assert!(matches!(lost, TransferError::Store(StoreError::Database(_))), "{lost}");
            assert!(is_empty(&mut raw(&url).await).await);
            source.open().await.unwrap().close().await;
        }
        must_move(&source, &url).await;
        goes_on(&source, &url).await;
    }

    #[tokio::test]
    #[ignore = "needs a server: scripts/postgres"]
    async fn a_commit_whose_answer_is_lost_is_asked_for_and_the_mark_follows_it() {
        let (source, url) = (Filled::new().await, new_schema("lost_answer").await);
        Store::migrate(&url).await.unwrap();
        let (cutter, by_way) = Cutter::before(&url);
        cutter.cut_next(CUT_REQUEST);
        let lost = moved(&source, &by_way).await.unwrap_err();
        assert!(matches!(lost, TransferError::Store(StoreError::Database(_))), "it was not made: {lost}");
        assert!(is_empty(&mut raw(&url).await).await);
        source.open().await.unwrap().close().await;
        cutter.cut_next(CUT_ANSWER);
        must_move(&source, &by_way).await;
        assert!(matches!(source.open().await, Err(StoreError::Moved { .. })));
        goes_on(&source, &url).await;
    }

    #[tokio::test]
    #[ignore = "needs a server: scripts/postgres"]
    async fn while_nobody_knows_what_became_of_the_commit_neither_store_is_served_by_mistake() {
        for (cut, was_made) in [(CUT_ANSWER, true), (CUT_REQUEST, false)] {
            let (source, url) = (Filled::new().await, new_schema("nobody_knows").await);
            Store::migrate(&url).await.unwrap();
            let (cutter, by_way) = Cutter::before(&url);
            cutter.cut_next(cut);
            let cut_off = |progress: Progress<'_>| cutter.hold_up(progress == Progress::Auditing);
            let unknown = transfer(&source.url(), &by_way, now(), cut_off).await.unwrap_err();
            assert!(matches!(unknown, TransferError::Unknown { .. }), "{unknown}");
            assert!(matches!(source.open().await, Err(StoreError::Moved { done: false, .. })));
            assert_eq!(is_empty(&mut raw(&url).await).await, !was_made);
            cutter.hold_up(false);
            match moved(&source, &by_way).await.unwrap() {
                Transferred::Before { .. } => assert!(was_made),
                Transferred::Moved { .. } => assert!(!was_made),
            }
            assert!(matches!(source.open().await, Err(StoreError::Moved { done: true, .. })));
            goes_on(&source, &url).await;
        }
    }
}
