//! Somebody with the file in their hands and no triggers in their way changes the books. Each change is found, and nothing is found
//! where nobody changed anything.

use sqlx::{AssertSqlSafe, Connection};
use tempfile::TempDir;

use super::*;
use crate::{
    charge::{Event, Reference},
    ledger::{Audited, Flaw, Writer},
    money::Money,
    store::{
        Store, Write,
        contract::fixture::{
            accepted, charge_at, commit, doubtful, open_attempt, opening, paid, reference, run, settlement,
            turned_down, with_words,
        },
    },
};

const DAY: u64 = 86_400;

struct Books {
    folder: TempDir,
    store: Store,
}

impl Books {
    /// Charges with every end, over two days.
    async fn written() -> Books {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&url(&folder)).await.expect("a store");
        let charge = run(&store, charge_at(1, 0), [(1, open_attempt()), (2, accepted("e1", "id1"))]).await;
        commit(&store, Write::Settle(Box::new(with_words(settlement(&charge, paid("e2"), 3), "stat:DELIVRD")))).await;
        run(&store, charge_at(2, 0), [(1, open_attempt()), (2, turned_down("e1"))]).await;
        run(&store, charge_at(3, 0), [(1, open_attempt()), (2, doubtful("e1"))]).await;
        let refund =
            Event::RequestRefund { refund: Reference::from_bytes([9; 16]), amount: Money::kzt(8_000), by: None };
        run(&store, charge_at(4, DAY), [(DAY + 1, open_attempt()), (DAY + 2, paid("e1")), (DAY + 3, refund)]).await;
        Books { folder, store }
    }

    async fn check(&self) -> Audited {
        Store::audit(&url(&self.folder), &[]).await.expect("readable")
    }

    /// Runs statements past the store, without the triggers that would refuse them, and says what the check finds then.
    async fn flaws_after(&self, statements: &'static str) -> Vec<Flaw> {
        let mut raw = self.raw().await;
        let triggers = sqlx::query("SELECT name FROM sqlite_schema WHERE type = 'trigger'");
        for row in triggers.fetch_all(&mut raw).await.expect("readable") {
            let name: String = row.try_get(0).expect("a name");
            sqlx::query(AssertSqlSafe(format!("DROP TRIGGER {name}"))).execute(&mut raw).await.expect("dropped");
        }
        for statement in statements.split(';').filter(|statement| !statement.trim().is_empty()) {
            let done = sqlx::query(AssertSqlSafe(statement)).execute(&mut raw).await.expect("a statement");
            assert_ne!(done.rows_affected(), 0, "{statement}");
        }
        raw.close().await.expect("closed");
        let audited = self.check().await;
        assert_eq!(audited.flaws_total, audited.flaws.len() as u64);
        audited.flaws
    }

    async fn raw(&self) -> SqliteConnection {
        let config = SqliteConfig::new(self.folder.path().join("store.db"));
        SqliteConnection::connect_with(&options(&config).foreign_keys(false)).await.expect("a connection")
    }
}

fn url(folder: &TempDir) -> String {
    format!("sqlite://{}", folder.path().join("store.db").display())
}

#[tokio::test]
async fn books_that_nobody_changed_are_in_order() {
    let books = Books::written().await;
    let audited = books.check().await;
    assert_eq!(audited.flaws, []);
    assert_eq!((audited.charges, audited.blocks, audited.entries), (4, 14, 14));
    assert_eq!(audited.lines, 2 + 2 + 2 + 2);
    assert_eq!(audited.balances.values().sum::<i128>(), 0);
    assert_eq!(audited.heads[&Writer(1)].number, 14);
}

#[tokio::test]
async fn a_batch_is_one_block_whatever_is_in_it() {
    let books = Books::written().await;
    let batch = [5, 6, 7].map(|n| Write::Open(Box::new(opening(&charge_at(n, DAY)))));
    books.store.commit(&batch).await.expect("committed");
    books.store.commit(&[Write::Unpark { id: "none".into() }]).await.expect("committed");
    let audited = books.check().await;
    assert_eq!((audited.flaws, audited.blocks, audited.entries), (vec![], 15, 17));
}

#[tokio::test]
async fn a_refused_batch_leaves_no_block() {
    let books = Books::written().await;
    let charge = books.store.charge(reference(3)).await.expect("readable").expect("kept");
    let mut wrong = settlement(&charge, paid("e9"), DAY);
    wrong.entries[1].account = wrong.entries[0].account.clone();
    assert!(books.store.commit(&[Write::Settle(Box::new(wrong))]).await.is_err());
    assert_eq!((books.check().await.flaws, books.check().await.blocks), (vec![], 14));
}

#[tokio::test]
async fn a_changed_byte_of_an_old_entry_is_found_with_its_place() {
    let books = Books::written().await;
    let flaws = books.flaws_after("UPDATE journal SET body = replace(body, 'e1', 'e3') WHERE seq = 7").await;
    assert_eq!(flaws, [Flaw::Changed { writer: Writer(1), number: 7, seqs: Some((7, 7)) }]);
    assert_eq!(
        flaws[0].to_string(),
        "journal entries 7 to 7, or their ledger lines, are not what was written: block 7 of writer 1"
    );
}

#[tokio::test]
async fn a_changed_amount_in_the_ledger_is_found_even_if_it_still_adds_up() {
    let books = Books::written().await;
    let flaws = books.flaws_after("UPDATE ledger SET minor = minor * 2 WHERE version = 4").await;
    let changed = flaws.iter().filter(|flaw| matches!(flaw, Flaw::Changed { .. })).count();
    let positions = flaws.iter().filter(|flaw| matches!(flaw, Flaw::Position { .. })).count();
    assert_eq!((changed, positions, flaws.len()), (2, 4, 6), "{flaws:#?}");
}

#[tokio::test]
async fn a_line_more_and_a_line_less_are_found() {
    let line = "INSERT INTO ledger SELECT reference, 99, 'refunds_owed', 5, currency, posted_at FROM ledger LIMIT 1";
    let flaws = Books::written().await.flaws_after(line).await;
    assert!(flaws.contains(&Flaw::StrayLines { count: 1 }), "{flaws:?}");
    assert!(flaws.iter().any(|flaw| matches!(flaw, Flaw::Unbalanced { version: 99, .. })), "{flaws:?}");
    let flaws = Books::written().await.flaws_after("DELETE FROM ledger WHERE account = 'refunds_owed'").await;
    assert!(flaws.iter().any(|flaw| matches!(flaw, Flaw::Changed { .. })), "{flaws:?}");
}

#[tokio::test]
async fn a_lost_entry_and_an_entry_that_nobody_wrote_are_found() {
    let flaws = Books::written().await.flaws_after("DELETE FROM journal WHERE seq = 6").await;
    assert!(flaws.contains(&Flaw::Changed { writer: Writer(1), number: 6, seqs: None }), "{flaws:?}");
    assert!(flaws.iter().any(|flaw| matches!(flaw, Flaw::Journal { .. })), "{flaws:?}");
    let copied = "INSERT INTO journal (reference, at, body) SELECT reference, at, body FROM journal WHERE seq = 14";
    let flaws = Books::written().await.flaws_after(copied).await;
    assert!(flaws.contains(&Flaw::Uncovered { seqs: (15, 15), count: 1 }), "{flaws:?}");
}

#[tokio::test]
async fn a_block_that_was_changed_or_taken_out_is_found() {
    let flaws = Books::written().await.flaws_after("UPDATE chain SET at = at + 1 WHERE number = 3").await;
    assert_eq!(flaws, [Flaw::Chain { writer: Writer(1), number: 3 }]);
    let flaws = Books::written().await.flaws_after("DELETE FROM chain WHERE number = 3").await;
    assert_eq!(
        flaws,
        [
            Flaw::Chain { writer: Writer(1), number: 4 },
            Flaw::Changed { writer: Writer(1), number: 4, seqs: Some((3, 4)) }
        ]
    );
    let flaws = Books::written().await.flaws_after("DELETE FROM chain WHERE number > 12").await;
    assert_eq!(flaws, [Flaw::Uncovered { seqs: (13, 14), count: 2 }]);
}

#[tokio::test]
async fn a_charge_that_was_changed_behind_its_journal_is_found() {
    let paid_for = "UPDATE charges SET body = json_set(body, '$.state.state', 'refunded') WHERE reference = (SELECT reference FROM tickets LIMIT 1)";
    let flaws = Books::written().await.flaws_after(paid_for).await;
    assert!(flaws.iter().any(|flaw| matches!(flaw, Flaw::Journal { .. })), "{flaws:?}");
    assert!(flaws.iter().any(|flaw| matches!(flaw, Flaw::Ticket { .. })), "{flaws:?}");
    let broken = "UPDATE charges SET body = substr(body, 2) WHERE id = 1";
    let flaws = Books::written().await.flaws_after(broken).await;
    assert!(matches!(&flaws[..], [Flaw::Unreadable { .. }]), "{flaws:?}");
}

#[tokio::test]
async fn a_lost_ticket_and_one_that_should_be_revoked_are_found() {
    let of_first = "DELETE FROM tickets WHERE revoked_at IS NULL";
    let flaws = Books::written().await.flaws_after(of_first).await;
    assert_eq!(flaws, [Flaw::Ticket { reference: reference(1), why: "charged, and there is no ticket" }]);
    let flaws =
        Books::written().await.flaws_after("UPDATE tickets SET revoked_at = NULL WHERE revoked_at IS NOT NULL").await;
    let why = "not charged or given back, and the ticket is good";
    assert_eq!(flaws, [Flaw::Ticket { reference: reference(4), why }]);
}

#[tokio::test]
async fn a_root_that_was_changed_is_found_without_one_that_was_noted() {
    let flaws = Books::written().await.flaws_after("UPDATE roots SET root = zeroblob(32)").await;
    assert!(matches!(&flaws[..], [Flaw::Root { .. }]), "{flaws:?}");
}

#[tokio::test]
async fn a_charge_that_was_taken_out_is_missed() {
    let gone =
        "DELETE FROM charges WHERE id = 3; DELETE FROM attempts WHERE reference NOT IN (SELECT reference FROM charges)";
    let flaws = Books::written().await.flaws_after(gone).await;
    assert_eq!(flaws, [Flaw::NoCharge { reference: reference(3) }]);
}

#[tokio::test]
async fn a_charge_that_is_looked_up_by_what_it_is_not_is_found() {
    for (column, value) in [("state", "'rejected'"), ("due_at", "7"), ("in_doubt_since", "NULL"), ("version", "9")] {
        let books = Books::written().await;
        let mut raw = books.raw().await;
        let sql = format!("UPDATE charges SET {column} = {value} WHERE id = 3");
        sqlx::query(AssertSqlSafe(sql)).execute(&mut raw).await.expect("changed");
        let why = format!("its column {column} is not what the charge says");
        assert_eq!(books.check().await.flaws, [Flaw::Journal { reference: reference(3), why }]);
    }
}

#[tokio::test]
async fn a_line_that_cannot_be_read_hides_no_other_flaw() {
    let damaged = "UPDATE ledger SET account = 'refunds_oweX' WHERE account = 'refunds_owed'; DELETE FROM tickets WHERE revoked_at IS NULL";
    let flaws = Books::written().await.flaws_after(damaged).await;
    assert!(flaws.iter().any(|flaw| matches!(flaw, Flaw::Unreadable { .. })), "{flaws:?}");
    assert!(flaws.iter().any(|flaw| matches!(flaw, Flaw::Changed { .. })), "{flaws:?}");
    assert!(flaws.iter().any(|flaw| matches!(flaw, Flaw::Ticket { .. })), "{flaws:?}");
}

#[tokio::test]
async fn words_that_were_changed_are_found_and_words_that_were_erased_are_not_missed() {
    let changed = "UPDATE evidence SET words = words || '!' WHERE words IS NOT NULL";
    let flaws = Books::written().await.flaws_after(changed).await;
    assert_eq!(flaws, [Flaw::Words { reference: reference(1), evidence: "e2".into() }]);
    let books = Books::written().await;
    let mut raw = books.raw().await;
    for refused in
        ["UPDATE evidence SET words = 'id:1 stat:DELIVRD'", "UPDATE evidence SET id = 'e9'", "DELETE FROM evidence"]
    {
        let error = sqlx::query(refused).execute(&mut raw).await.expect_err("refused").to_string();
        assert!(error.contains("evidence"), "{error}");
    }
    let erased = sqlx::query("UPDATE evidence SET words = NULL, salt = NULL WHERE words IS NOT NULL");
    assert_eq!(erased.execute(&mut raw).await.expect("erased").rows_affected(), 1);
    assert_eq!(books.check().await.flaws, []);
    assert_eq!(books.store.words(reference(1)).await.expect("readable"), []);
}

#[tokio::test]
async fn the_last_blocks_with_all_that_they_cover_are_missed_only_by_a_root_that_was_noted() {
    let books = Books::written().await;
    let roots = Store::daily_roots(&url(&books.folder), 10).await.expect("readable");
    assert_eq!(roots.len(), 1, "the second day has not ended");
    let audited = Store::audit(&url(&books.folder), &roots).await.expect("readable");
    assert_eq!(audited.flaws, []);
    // The second day, and the charge in doubt, are made to look as if they had never been.
    let flaws = books.flaws_after(
        "DELETE FROM journal WHERE seq > 7; DELETE FROM chain WHERE number > 7; DELETE FROM charges WHERE id > 2;
         DELETE FROM ledger WHERE reference NOT IN (SELECT reference FROM charges);
         DELETE FROM tickets WHERE reference NOT IN (SELECT reference FROM charges); DELETE FROM roots",
    );
    assert_eq!(flaws.await, []);
    let audited = Store::audit(&url(&books.folder), &roots).await.expect("readable");
    assert!(audited.flaws.iter().any(|flaw| matches!(flaw, Flaw::Root { .. })), "{:?}", audited.flaws);
}

#[tokio::test]
async fn what_was_written_before_there_was_a_chain_gets_its_blocks_once() {
    let books = Books::written().await;
    books.store.close().await;
    let old = "DELETE FROM chain; DELETE FROM roots; INSERT INTO chain_wanted (id) VALUES (1)";
    assert!(matches!(&books.flaws_after(old).await[..], [Flaw::Uncovered { count: 14, .. }]));
    let store = Store::open(&url(&books.folder)).await.expect("a store");
    let audited = books.check().await;
    assert_eq!((audited.flaws, audited.blocks, audited.entries), (vec![], 1, 14));
    run(&store, charge_at(5, DAY), [(DAY + 1, open_attempt())]).await;
    store.close().await;
    Store::open(&url(&books.folder)).await.expect("a store");
    assert_eq!((books.check().await.flaws, books.check().await.blocks), (vec![], 3));
}

#[tokio::test]
async fn the_database_refuses_to_change_the_chain_and_the_roots() {
    let books = Books::written().await;
    let mut raw = books.raw().await;
    for sql in [
        "UPDATE chain SET at = 0",
        "DELETE FROM chain",
        "REPLACE INTO chain SELECT * FROM chain",
        "UPDATE roots SET day = ''",
        "DELETE FROM roots",
        "REPLACE INTO roots SELECT day, randomblob(32) FROM roots",
    ] {
        let error = sqlx::query(sql).execute(&mut raw).await.expect_err("refused").to_string();
        assert!(error.contains("append-only"), "{sql}: {error}");
    }
}

#[tokio::test]
async fn a_store_of_another_version_and_one_that_is_not_there_are_refused() {
    let books = Books::written().await;
    let mut raw = books.raw().await;
    let newest = "DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)";
    sqlx::query(newest).execute(&mut raw).await.expect("deleted");
    let error = Store::audit(&url(&books.folder), &[]).await.expect_err("refused").to_string();
    assert!(error.contains("`smsbusd migrate` brings it up to date"), "{error}");
    let nowhere = format!("sqlite://{}", books.folder.path().join("none.db").display());
    assert!(Store::audit(&nowhere, &[]).await.is_err());
    assert!(!books.folder.path().join("none.db").exists(), "a check makes no file");
    assert!(Store::audit("memory:", &[]).await.is_err());
}
