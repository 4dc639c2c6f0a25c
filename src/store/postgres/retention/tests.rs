use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use sqlx::{AssertSqlSafe, Connection, Executor, Row, migrate::Migrator, postgres::PgConnection};

use super::super::{
    MIGRATIONS,
    tests::{CUT_ANSWER, CUT_REQUEST, Cutter, raw},
};
use crate::{
    charge::Charge,
    clock::Timestamp,
    ledger::{Account, Audited, Flaw},
    store::{
        Balance, Joining, Month, MonthOutcome, Retention, RetentionError, RetentionOrder, RetiredMonth, Store,
        WebhookProgress, WebhookStanding, Write,
        contract::{
            fixture::{
                accepted, advance, at, charge_at, commit, doubtful, open_attempt, opening, paid, run, settlement,
                turned_down, with_words,
            },
            new_schema,
        },
    },
};

/// Midnight between March and April, in seconds of the fixture.
const APRIL: u64 = 2_651_400;
/// The middle of May.
const MAY: u64 = APRIL + 45 * 86_400;

fn order(archive: Option<&Path>) -> RetentionOrder {
    RetentionOrder { keep_months: 1, archive: archive.map(PathBuf::from), dry_run: false, now: at(MAY) }
}

async fn retire(url: &str, order: &RetentionOrder) -> Result<Retention, RetentionError> {
    Store::retire(url, order, |_, _| {}).await
}

/// Other tests have transactions under way on the same server: then it is run again.
async fn settled(url: &str, order: &RetentionOrder) -> Retention {
    let waits = |(_, outcome): &(Month, MonthOutcome)| matches!(outcome, MonthOutcome::Refused { why } if why.contains("is under way"));
    loop {
        let done = match retire(url, order).await {
            // The server may take a moment to notice that another is gone.
            Err(RetentionError::Busy) => None,
            done => Some(done.unwrap()),
        };
        match done {
            Some(done) if !done.months.iter().any(waits) => return done,
            _ => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    }
}

/// What became of the only month that was old enough.
async fn march(url: &str, order: &RetentionOrder) -> MonthOutcome {
    let mut done = settled(url, order).await;
    assert_eq!(done.keeps_from.to_string(), "2026-04");
    let (month, outcome) = done.months.pop().unwrap();
    assert_eq!((month.to_string(), done.months.len()), ("2026-03".into(), 0));
    outcome
}

async fn retired(url: &str, folder: &Path) -> RetiredMonth {
    match march(url, &order(Some(folder))).await {
        MonthOutcome::Retired(retired) => retired,
        other => panic!("{other:?}"),
    }
}

async fn refused(url: &str, folder: &Path) -> String {
    match march(url, &order(Some(folder))).await {
        MonthOutcome::Refused { why } => why,
        other => panic!("{other:?}"),
    }
}

async fn number(db: &mut PgConnection, query: &str) -> i64 {
    sqlx::query(AssertSqlSafe(query.to_owned())).fetch_one(db).await.unwrap().try_get(0).unwrap()
}

async fn audited(url: &str) -> Audited {
    let audited = Store::audit(url, &[]).await.unwrap();
    assert_eq!(audited.flaws, []);
    audited
}

/// Charges of March: one that was paid, one that was turned down, one that was asked for in March and paid in April; a commit over midnight; and
/// one of April.
async fn filled(store: &Store) -> Vec<Charge> {
    let paid_one = run(store, charge_at(1, 0), [(1, open_attempt()), (2, accepted("e1", "id1"))]).await;
    let words = with_words(settlement(&paid_one, paid("e2"), 3), "stat:DELIVRD");
    let paid_one = words.charge.clone();
    commit(store, Write::Settle(Box::new(words))).await;
    let no = run(store, charge_at(2, 10), [(11, open_attempt()), (12, turned_down("e1"))]).await;
    let late = run(store, charge_at(3, APRIL - 20), [(APRIL - 19, open_attempt())]).await;
    let late = advance(store, late, [(APRIL + 5, paid("e1"))]).await;
    let midnight = [charge_at(4, APRIL - 1), charge_at(5, APRIL)];
    let writes: Vec<Write> = midnight.iter().map(|charge| Write::Open(Box::new(opening(charge)))).collect();
    store.commit(&writes).await.unwrap();
    let [fourth, fifth] = midnight;
    let fourth = advance(store, fourth, [(APRIL + 6, open_attempt()), (APRIL + 7, turned_down("e1"))]).await;
    let fifth = advance(store, fifth, [(APRIL + 6, open_attempt()), (APRIL + 7, paid("e1"))]).await;
    let april = run(store, charge_at(6, APRIL + 100), [(APRIL + 101, open_attempt()), (APRIL + 102, paid("e1"))]).await;
    // Other tests have transactions under way on the same server.
    while store.settled_journal(0, 100).await.unwrap().len() < 19 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    vec![paid_one, no, late, fourth, fifth, april]
}

fn by_account(balances: Vec<Balance>) -> BTreeMap<Account, i64> {
    balances.into_iter().map(|balance| (balance.account, balance.minor)).collect()
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn a_filled_database_of_before_is_divided_by_month_with_all_its_rows() {
    let (filled_url, url) = (new_schema("before_parts").await, new_schema("to_divide").await);
    let store = Store::open(&filled_url).await.unwrap();
    filled(&store).await;
    store.close().await;
    let mut db = raw(&url).await;
    let first_two = MIGRATIONS.iter().filter(|migration| migration.version <= 2).cloned().collect();
    Migrator { migrations: Cow::Owned(first_two), ..Migrator::DEFAULT }.run(&mut db).await.unwrap();
    let schema = filled_url.rsplit("%3D").next().unwrap();
    for table in
        ["charges", "attempts", "journal", "ledger", "keys", "evidence", "tickets", "chain", "roots", "day_ends"]
    {
        let copy = format!("INSERT INTO {table} SELECT * FROM {schema}.{table}");
        db.execute(AssertSqlSafe(copy)).await.unwrap();
    }
    let store = Store::open(&url).await.unwrap();
    let (before, after) = (audited(&filled_url).await, audited(&url).await);
    assert_eq!((before.balances, before.heads, before.entries), (after.balances, after.heads, after.entries));
    assert_eq!(number(&mut db, "SELECT count(*) FROM journal_2026_03").await, 10);
    assert_eq!(number(&mut db, "SELECT count(*) FROM journal_other").await, 0);
    for refused in [
        "UPDATE journal SET at = at",
        "DELETE FROM journal_2026_03",
        "TRUNCATE ledger_2026_03",
        "DELETE FROM ledger_other",
        "UPDATE ledger_2026_03 SET minor = 1",
    ] {
        let error = db.execute(refused).await.unwrap_err().to_string();
        assert!(error.contains("append-only"), "{refused}: {error}");
    }
    let wrong = db.execute("INSERT INTO ledger VALUES (gen_random_uuid(), 1, 'refunds_owed', 0, 'KZT', 0)").await;
    assert!(wrong.unwrap_err().to_string().contains("check constraint"));
    advance(&store, run(&store, charge_at(9, 50), []).await, [(51, open_attempt())]).await;
    audited(&url).await;
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn what_finds_no_month_is_written_all_the_same_and_moves_once_its_month_is_made() {
    let url = new_schema("no_month").await;
    let store = Store::open(&url).await.unwrap();
    let mut db = raw(&url).await;
    // The clock is two hundred years ahead, and then right again.
    let far = 200 * 365 * 86_400;
    run(&store, charge_at(1, far), [(far + 1, open_attempt()), (far + 2, paid("e1"))]).await;
    run(&store, charge_at(2, 0), [(1, open_attempt()), (2, paid("e1"))]).await;
    assert_eq!(
        number(&mut db, "SELECT count(*) FROM journal_other").await,
        6,
        "a new database has no month of the past either"
    );
    let before = audited(&url).await;
    assert_eq!(number(&mut db, "SELECT make_month('2026-03-01')::bigint").await, 2);
    assert_eq!(number(&mut db, "SELECT make_month('2026-03-15')::bigint").await, 0, "it is made once");
    assert_eq!(number(&mut db, "SELECT count(*) FROM journal_other").await, 3);
    assert_eq!(number(&mut db, "SELECT count(*) FROM journal_2026_03").await, 3);
    let error = db.execute("DELETE FROM journal_other").await.unwrap_err().to_string();
    assert!(error.contains("append-only"), "{error}");
    assert_eq!(audited(&url).await.balances, before.balances);
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn months_are_made_ahead_once_by_however_many() {
    let url = new_schema("ahead").await;
    Store::migrate(&url).await.unwrap();
    let mut db = raw(&url).await;
    let months = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'journal'::regclass";
    assert_eq!(number(&mut db, months).await, 6, "the last month, this one, three to come, and what is in none");
    let drop = "SELECT to_char(now() AT TIME ZONE 'UTC' + interval '1 month', 'YYYY_MM')";
    let next: String = db.fetch_one(drop).await.unwrap().try_get(0).unwrap();
    db.execute(AssertSqlSafe(format!("DROP TABLE journal_{next}, ledger_{next}"))).await.unwrap();
    let all = (0..4).map(|_| async {
        let mut db = raw(&url).await;
        super::super::partitions::make_ahead(&mut db).await.unwrap();
    });
    futures_util::future::join_all(all).await;
    assert_eq!(number(&mut db, months).await, 6);
    // Whoever writes to another month waits for nothing, and whoever makes one does not fail a start.
    db.execute("BEGIN; LOCK TABLE journal_other IN ACCESS SHARE MODE").await.unwrap();
    let mut other = raw(&url).await;
    other.execute(AssertSqlSafe(format!("DROP TABLE ledger_{next}"))).await.unwrap();
    let store = Store::open(&url).await.unwrap();
    run(&store, charge_at(1, 0), [(1, open_attempt())]).await;
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn a_month_goes_into_the_archive_and_everything_still_agrees() {
    let (url, folder) = (new_schema("retired").await, tempfile::tempdir().unwrap());
    Store::migrate(&url).await.unwrap();
    let mut db = raw(&url).await;
    db.execute("SELECT make_month('2026-03-01'), make_month('2026-04-01')").await.unwrap();
    let store = Store::open(&url).await.unwrap();
    let charges = filled(&store).await;
    let (before, balances) = (audited(&url).await, by_account(store.balances().await.unwrap()));
    let dry = RetentionOrder { dry_run: true, ..order(None) };
    assert!(matches!(march(&url, &dry).await, MonthOutcome::Due { entries: 10, .. }));
    let gone = retired(&url, folder.path()).await;
    assert_eq!((gone.entries, gone.charges, gone.kept_entries), (9, 3, 1), "one is of a commit over midnight");
    assert!(gone.archived.is_some());

    let after = audited(&url).await;
    assert_eq!((&after.balances, &after.heads, after.blocks), (&before.balances, &before.heads, before.blocks));
    assert_eq!((after.entries, after.lines), (before.entries - gone.entries, before.lines - gone.lines));
    assert_eq!((after.retired.months, after.retired.entries, after.retired.blocks), (1, gone.entries, gone.blocks));
    assert_eq!(by_account(store.balances().await.unwrap()), balances);
    assert_eq!(
        number(
            &mut db,
            "SELECT count(*) FROM pg_class WHERE relname ~ '(journal|ledger|retiring)_2026_03'
        AND relnamespace = current_schema()::regnamespace"
        )
        .await,
        0
    );
    assert_eq!(store.journal(charges[0].reference).await.unwrap(), []);
    assert_eq!(store.retired_months(charges[0].reference).await.unwrap(), [("2026-03".into(), true)]);
    assert_eq!(store.journal(charges[2].reference).await.unwrap().len(), 1, "what was in April is there");
    assert_eq!(store.retired_months(charges[5].reference).await.unwrap(), []);
    let (checked, sound) = Store::audit_with_archive(&url, &[], folder.path()).await.unwrap();
    assert_eq!((checked.flaws, sound), (vec![], 1));
    for refused in [
        "DELETE FROM retirements",
        "UPDATE carried SET minor = 0",
        "TRUNCATE retired_blocks",
        "DELETE FROM retired_charges_2026_03",
    ] {
        let error = db.execute(refused).await.unwrap_err().to_string();
        assert!(error.contains("append-only"), "{refused}: {error}");
    }

    // Again, there is nothing to do; and life goes on, in the month that went, too.
    assert!(retire(&url, &order(Some(folder.path()))).await.unwrap().months.is_empty());
    run(&store, charge_at(7, 30), [(31, open_attempt()), (32, paid("e1"))]).await;
    let outside = retire(&url, &order(Some(folder.path()))).await.unwrap();
    assert_eq!((outside.months.len(), outside.outside), (0, 4));
    assert_eq!(audited(&url).await.charges, 7);
    store.close().await;
    Store::open(&url).await.unwrap();
    assert_eq!(number(&mut db, "SELECT count(to_regclass('journal_2026_03'))").await, 0);
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn what_is_changed_of_a_retired_month_is_found() {
    let (url, folder) = (new_schema("changed_since").await, tempfile::tempdir().unwrap());
    Store::migrate(&url).await.unwrap();
    let mut db = raw(&url).await;
    db.execute("SELECT make_month('2026-03-01'), make_month('2026-04-01')").await.unwrap();
    let store = Store::open(&url).await.unwrap();
    let charges = filled(&store).await;
    retired(&url, folder.path()).await;
    let changes = [
        ("DELETE FROM retired_charges WHERE accounts <> '{}'", "carried forward"),
        ("DELETE FROM retired_charges WHERE accounts = '{}'", "charges"),
        ("UPDATE retired_charges SET minors = ARRAY(SELECT m * 2 FROM unnest(minors) AS m)", "stands for"),
        ("UPDATE carried SET minor = minor + 1", "carried forward"),
        ("DELETE FROM retired_blocks", "all journal entries of block"),
        ("UPDATE chain SET lines = lines + 1 WHERE number = 2", "does not follow"),
        ("UPDATE retirements SET entries = 1", "journal entries"),
        ("DELETE FROM retired_charges_2026_03; UPDATE carried SET minor = 0", "journal"),
    ];
    for (change, told) in changes {
        db.execute("BEGIN; SET LOCAL session_replication_role = replica").await.unwrap();
        // Seen by the same connection only, and taken back.
        db.execute(AssertSqlSafe(change)).await.unwrap();
        let found = crate::store::sql::audit::audit(&mut db, &[]).await.unwrap();
        db.execute("ROLLBACK").await.unwrap();
        let flaws: Vec<String> = found.flaws.iter().map(ToString::to_string).collect();
        assert!(flaws.iter().any(|flaw| flaw.contains(told)), "{change}: {flaws:?}");
    }
    // The words of a carrier are compared with the archive.
    let uuid = charges[0].reference;
    let change = format!(
        "ALTER TABLE evidence DISABLE TRIGGER USER; UPDATE evidence SET words = 'paid' WHERE reference = '{uuid}' AND words IS NOT NULL"
    );
    db.execute(AssertSqlSafe(change)).await.unwrap();
    audited(&url).await;
    let (found, sound) = Store::audit_with_archive(&url, &[], folder.path()).await.unwrap();
    assert!(matches!(&found.flaws[..], [Flaw::Words { .. }]) && sound == 0, "{:?}", found.flaws);
    // And the archive with the books.
    let file = folder.path().join("ledger-2026-03.jsonl.gz");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    let (found, _) = Store::audit_with_archive(&url, &[], folder.path()).await.unwrap();
    assert!(found.flaws[0].to_string().contains("ledger-2026-03.jsonl.gz: its SHA-256"), "{:?}", found.flaws);
    fs::remove_file(&file).unwrap();
    let (found, _) = Store::audit_with_archive(&url, &[], folder.path()).await.unwrap();
    assert!(matches!(&found.flaws[..], [Flaw::Archive { .. }]), "{:?}", found.flaws);
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn a_month_that_is_needed_stays_as_it_is() {
    let (url, folder) = (new_schema("refused").await, tempfile::tempdir().unwrap());
    Store::migrate(&url).await.unwrap();
    let mut db = raw(&url).await;
    db.execute("SELECT make_month('2026-03-01')::bigint").await.unwrap();
    let store = Store::open(&url).await.unwrap();
    let charge = run(&store, charge_at(1, 0), [(1, open_attempt()), (2, doubtful("e1"))]).await;
    let why = refused(&url, folder.path()).await;
    assert!(
        why.starts_with("1 of its charges are open, in doubt") && why.contains(&charge.reference.to_string()),
        "{why}"
    );
    let charge = advance(&store, charge, [(500, paid("e2"))]).await;
    let why = refused(&url, folder.path()).await;
    assert!(why.contains("refund outstanding") && why.contains(&charge.reference.to_string()), "{why}");
    db.execute("UPDATE refunds SET state = 'done'").await.unwrap();

    let standing = WebhookStanding { cursor: 1, ..WebhookStanding::default() };
    let progress = WebhookProgress { name: "books".into(), standing, failed: Vec::new(), removed: Vec::new() };
    commit(&store, Write::MoveWebhook(Box::new(progress))).await;
    let why = refused(&url, folder.path()).await;
    assert!(why.starts_with("webhook \"books\" has not been told"), "{why}");
    db.execute("UPDATE webhooks SET cursor = 9000000000000000000").await.unwrap();

    db.execute("ALTER TABLE journal_2026_03 DISABLE TRIGGER USER; UPDATE journal_2026_03 SET body = body || ' '")
        .await
        .unwrap();
    let why = refused(&url, folder.path()).await;
    assert!(why.starts_with("block 1 of writer 1 is not what it was made from"), "{why}");
    db.execute("UPDATE journal_2026_03 SET body = left(body, -1)").await.unwrap();
    db.execute("INSERT INTO ledger_2026_03 SELECT gen_random_uuid(), 1, account, minor, currency, posted_at FROM ledger LIMIT 1").await.unwrap();
    let why = refused(&url, folder.path()).await;
    assert!(why.contains("the books are not in order"), "{why}");
    assert_eq!(number(&mut db, "SELECT count(*) FROM retirements").await, 0);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left of an archive that was begun");

    let nowhere = order(Some(Path::new("/nowhere/at/all")));
    let error = retire(&url, &nowhere).await.unwrap_err().to_string();
    assert!(error.contains("/nowhere/at/all/journal-2026-03.jsonl.gz.partial"), "{error}");
    let file = Store::retire("sqlite:///tmp/books.db", &order(None), |_, _| {}).await.unwrap_err().to_string();
    assert!(file.contains("only a PostgreSQL store"), "{file}");
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn wherever_it_ends_it_is_done_or_not_and_can_be_run_again() {
    for point in
        ["retention-while-archiving", "retention-after-archive", "retention-before-commit", "retention-after-commit"]
    {
        let (url, folder) = (new_schema("killed").await, tempfile::tempdir().unwrap());
        Store::migrate(&url).await.unwrap();
        let mut db = raw(&url).await;
        db.execute("SELECT make_month('2026-03-01'), make_month('2026-04-01')").await.unwrap();
        let store = Store::open(&url).await.unwrap();
        filled(&store).await;
        let before = audited(&url).await;
        fail::cfg(point, "panic").unwrap();
        let ended = tokio::spawn({
            let (url, order) = (url.clone(), order(Some(folder.path())));
            async move { retire(&url, &order).await }
        });
        assert!(ended.await.unwrap_err().is_panic(), "{point}");
        fail::remove(point);
        let is_done = point == "retention-after-commit";
        assert_eq!(audited(&url).await.retired.months, u64::from(is_done), "{point}");
        run(&store, charge_at(8, APRIL + 200), [(APRIL + 201, open_attempt())]).await;
        let again = retry(&url, folder.path()).await;
        assert_eq!(again.months.len(), usize::from(!is_done), "{point}");
        assert!(
            again.months.iter().all(|(_, outcome)| matches!(outcome, MonthOutcome::Retired(_))),
            "{point}: {again:?}"
        );
        let (after, sound) = Store::audit_with_archive(&url, &[], folder.path()).await.unwrap();
        assert_eq!((after.flaws, sound, after.balances), (vec![], 1, before.balances), "{point}");
    }
}

async fn retry(url: &str, folder: &Path) -> Retention {
    settled(url, &order(Some(folder))).await
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn a_connection_that_is_lost_at_the_commit_leaves_all_or_nothing() {
    for (cut, is_done) in [(CUT_ANSWER, true), (CUT_REQUEST, false)] {
        let (url, folder) = (new_schema("lost_commit").await, tempfile::tempdir().unwrap());
        Store::migrate(&url).await.unwrap();
        let mut db = raw(&url).await;
        db.execute("SELECT make_month('2026-03-01'), make_month('2026-04-01')").await.unwrap();
        let store = Store::open(&url).await.unwrap();
        filled(&store).await;
        let (cutter, by_way) = Cutter::before(&url);
        cutter.cut_next(cut);
        let lost = retire(&by_way, &order(Some(folder.path()))).await.unwrap_err();
        assert!(matches!(lost, RetentionError::Store(_)), "{lost}");
        let again = retry(&url, folder.path()).await;
        assert_eq!(again.months.len(), usize::from(!is_done));
        let (after, sound) = Store::audit_with_archive(&url, &[], folder.path()).await.unwrap();
        assert_eq!((after.flaws, sound), (vec![], 1));
    }
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn instances_serve_while_months_go_and_one_retention_runs_at_a_time() {
    let (url, folder) = (new_schema("beside").await, tempfile::tempdir().unwrap());
    Store::migrate(&url).await.unwrap();
    let mut db = raw(&url).await;
    db.execute("SELECT make_month('2026-03-01'), make_month('2026-04-01'), make_month('2026-05-01')").await.unwrap();
    let first = Store::open(&url).await.unwrap();
    let second = Store::open_as(&url, Joining { name: "second".into(), ..Joining::default() }).await.unwrap();
    filled(&first).await;
    let selling = |store: Store, from: u8| async move {
        for n in from..from + 60 {
            let second = MAY + u64::from(n) * 10;
            run(&store, charge_at(n, second), [(second + 1, open_attempt()), (second + 2, paid("e1"))]).await;
        }
    };
    let sold = [tokio::spawn(selling(first.clone(), 20)), tokio::spawn(selling(second.clone(), 100))];
    let both = tokio::join!(retry(&url, folder.path()), retry(&url, folder.path()));
    let gone = |done: &Retention| {
        done.months.iter().filter(|(_, outcome)| matches!(outcome, MonthOutcome::Retired(_))).count()
    };
    assert_eq!(gone(&both.0) + gone(&both.1), 1, "{both:?}");
    for sold in sold {
        sold.await.unwrap();
    }
    let (after, sound) = Store::audit_with_archive(&url, &[], folder.path()).await.unwrap();
    assert_eq!((after.flaws, sound, after.charges), (vec![], 1, 126));
    // Who reads for long is not waited for without end, and nobody waits behind.
    let mut reader = raw(&url).await;
    reader.execute("BEGIN; SELECT count(*) FROM journal").await.unwrap();
    let moment = Timestamp::from_unix_ms(at(MAY).unix_ms());
    assert!(first.latest_moment().await.unwrap() > Some(moment));
    reader.close().await.unwrap();
}
