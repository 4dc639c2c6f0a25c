//! What the check of the books finds, and that it finds nothing in sound ones.

use super::*;
use crate::{charge::State, money::Currency};

const WRITER: Writer = Writer(1);

/// One charge from its opening on, as it is kept: an entry of the journal for each version, with its lines.
struct Story {
    rows: Vec<JournalRow>,
    records: ChargeRecords,
}

fn story(events: Vec<(u64, Event)>, ticket: Option<TicketStanding>) -> Story {
    let mut before: Option<Charge> = None;
    let mut after = charge();
    let (mut rows, mut journal) = (Vec::new(), Vec::new());
    let mut keep = |before: Option<&Charge>, after: &Charge| {
        let seq = i64::try_from(rows.len()).expect("few") + 1;
        let body = format!("version {}", after.version);
        rows.push(JournalRow {
            seq,
            reference: after.reference,
            at: after.updated_at,
            body,
            lines: entries(before, after),
        });
        journal.push((after.version, after.state));
    };
    keep(before.as_ref(), &after);
    for (second, event) in events {
        let next = step(&after, event, T0.plus(Duration::from_secs(second))).expect("a legal event").next;
        before = Some(std::mem::replace(&mut after, next));
        keep(before.as_ref(), &after);
    }
    let lines = rows.iter().flat_map(|row| row.lines.clone()).collect();
    Story { records: ChargeRecords { charge: after, journal, lines, ticket, changed_words: Vec::new() }, rows }
}

/// In doubt first and then paid: versions 1 to 4, the last two with two lines each.
fn paid_after_a_doubt() -> Story {
    let doubt = finding(1, Finding::Doubtful { cause: Doubt::Timeout });
    story(vec![(1, open()), (2, doubt), (3, finding(1, paid()))], Some(TicketStanding::Good))
}

fn block(rows: &[JournalRow], head: &Head) -> Block {
    let mut digest = BlockDigest::default();
    for row in rows {
        digest.entry(row.reference, row.at, row.body.as_bytes());
        digest.lines(&row.lines);
    }
    digest.seal(WRITER, head)
}

/// The flaws that a check finds which is fed like this.
fn flaws(feed: impl FnOnce(&mut Audit)) -> Vec<Flaw> {
    let mut audit = Audit::default();
    feed(&mut audit);
    let found = audit.end();
    assert_eq!(found.flaws_total, found.flaws.len() as u64);
    found.flaws
}

#[test]
fn sound_books_have_no_flaw_and_are_counted() {
    let Story { rows, records } = paid_after_a_doubt();
    let first = block(&rows[..2], &Head::NONE);
    let second = block(&rows[2..], &first.head());
    let mut audit = Audit::default();
    audit.block(&first, &rows[..2]);
    audit.block(&second, &rows[2..]);
    audit.lines_in_all(4);
    audit.charge(&records);
    audit.charge(&story(vec![], None).records);
    let found = audit.end();
    assert_eq!((found.flaws, found.flaws_total), (vec![], 0));
    assert_eq!((found.blocks, found.entries, found.lines, found.charges), (2, 4, 4, 2));
    assert_eq!(found.heads.into_iter().collect::<Vec<_>>(), [(WRITER, second.head())]);
    let balances: Vec<(String, i128)> =
        found.balances.into_iter().map(|((account, _), sum)| (account.to_string(), sum)).collect();
    let line = |account: &str, sum| (account.to_owned(), sum);
    assert_eq!(
        balances,
        [
            line("carrier_receivable:beeline", 8_000),
            line("fare_revenue:green-bus", -8_000),
            line("in_doubt_suspense", 0)
        ]
    );
}

#[test]
fn each_writer_has_a_chain_of_its_own() {
    let Story { rows, .. } = paid_after_a_doubt();
    let first = block(&rows[..1], &Head::NONE);
    let mut digest = BlockDigest::default();
    digest.entry(rows[1].reference, rows[1].at, rows[1].body.as_bytes());
    let of_another = digest.seal(Writer(2), &Head::NONE);
    let found = flaws(|audit| {
        audit.block(&first, &rows[..1]);
        audit.block(&of_another, &rows[1..2]);
    });
    assert_eq!(found, []);
}

#[test]
fn a_block_that_does_not_follow_is_found_and_what_it_covers_is_judged_all_the_same() {
    let Story { rows, .. } = paid_after_a_doubt();
    let first = block(&rows[..1], &Head::NONE);
    let second = block(&rows[1..2], &first.head());
    let third = block(&rows[2..], &second.head());
    let gone = flaws(|audit| {
        audit.block(&first, &rows[..1]);
        audit.block(&third, &rows[2..]);
    });
    assert_eq!(gone, [Flaw::Chain { writer: WRITER, number: 3 }]);
}

#[test]
fn what_is_not_what_the_block_was_made_from_is_found_with_its_place() {
    let Story { rows, .. } = paid_after_a_doubt();
    let made = block(&rows, &Head::NONE);
    let changed: [fn(&mut Vec<JournalRow>); 5] = [
        |rows| rows[1].body.push(' '),
        |rows| rows[2].lines[0].minor += 1,
        |rows| drop(rows[2].lines.pop()),
        |rows| drop(rows.remove(1)),
        |rows| rows.swap(1, 2),
    ];
    for change in changed {
        let mut rows = rows.clone();
        change(&mut rows);
        let expected = Flaw::Changed { writer: WRITER, number: 1, seqs: Some((1, 4)) };
        assert_eq!(flaws(|audit| audit.block(&made, &rows)), [expected]);
    }
    let all_gone = Flaw::Changed { writer: WRITER, number: 1, seqs: None };
    assert_eq!(flaws(|audit| audit.block(&made, &[])), [all_gone]);
}

#[test]
fn entries_in_no_block_are_told_with_their_place_and_their_lines_are_not_called_stray() {
    let Story { rows, .. } = paid_after_a_doubt();
    let first = block(&rows[..2], &Head::NONE);
    let mut audit = Audit::default();
    audit.block(&first, &rows[..2]);
    audit.uncovered(&[]);
    audit.uncovered(&rows[2..]);
    audit.lines_in_all(4);
    let found = audit.end();
    assert_eq!(found.flaws, [Flaw::Uncovered { seqs: (3, 4), count: 2 }]);
    assert_eq!((found.entries, found.lines), (4, 4));
}

#[test]
fn lines_that_belong_to_no_entry_and_lines_that_are_gone_are_counted() {
    let Story { rows, .. } = paid_after_a_doubt();
    for (lines, count) in [(2, 2), (3, 1), (5, 1), (8, 4)] {
        let found = flaws(|audit| {
            audit.block(&block(&rows, &Head::NONE), &rows);
            audit.lines_in_all(lines);
        });
        assert_eq!(found, [Flaw::StrayLines { count }], "{lines} of 4");
    }
}

#[test]
fn a_good_ticket_stands_for_money_that_was_taken_and_for_nothing_else() {
    use TicketStanding::{Good, Revoked};
    let paid_for = |ticket| story(vec![(1, open()), (2, finding(1, paid()))], ticket).records;
    let unpaid = |ticket| story(vec![(1, open())], ticket).records;
    let given_back = |ticket| {
        let [ask, _] = refund(9, 8_000);
        story(vec![(1, open()), (2, finding(1, paid())), (3, ask)], ticket).records
    };
    let cases = [
        (paid_for(Some(Good)), None),
        (paid_for(Some(Revoked)), Some("charged, and the ticket is revoked")),
        (paid_for(None), Some("charged, and there is no ticket")),
        (unpaid(None), None),
        (unpaid(Some(Revoked)), None),
        (unpaid(Some(Good)), Some("not charged or given back, and the ticket is good")),
        (given_back(None), None),
        (given_back(Some(Revoked)), None),
        (given_back(Some(Good)), Some("not charged or given back, and the ticket is good")),
    ];
    for (records, why) in cases {
        let reference = records.charge.reference;
        let expected: Vec<Flaw> = why.into_iter().map(|why| Flaw::Ticket { reference, why }).collect();
        assert_eq!(flaws(|audit| audit.charge(&records)), expected);
    }
}

#[test]
fn a_transition_that_does_not_add_up_is_found_and_so_is_the_account_that_is_wrong() {
    let Story { mut records, .. } = paid_after_a_doubt();
    let reference = records.charge.reference;
    let wrong = records.lines.iter_mut().find(|line| line.version == 4 && line.minor < 0).expect("revenue");
    wrong.minor -= 1;
    let account = wrong.account.clone();
    let found = flaws(|audit| audit.charge(&records));
    let position = Flaw::Position { reference, account, booked: -8_001, stands: -8_000 };
    assert_eq!(found, [Flaw::Unbalanced { reference, version: 4 }, position]);
}

#[test]
fn a_transition_adds_up_in_each_currency_and_not_across_them() {
    let Story { mut records, .. } = paid_after_a_doubt();
    let reference = records.charge.reference;
    records.lines.iter_mut().find(|line| line.version == 4).expect("a line").currency = Currency::Usd;
    let unbalanced = Flaw::Unbalanced { reference, version: 4 };
    let found = flaws(|audit| audit.charge(&records));
    assert_eq!(found, [unbalanced.clone(), unbalanced]);
}

#[test]
fn money_that_is_booked_twice_or_not_at_all_is_found_where_each_transition_adds_up() {
    let Story { mut records, .. } = paid_after_a_doubt();
    let twice: Vec<Entry> = records.lines.iter().filter(|line| line.version == 4).cloned().collect();
    records.lines.extend(twice);
    let accounts = |records: &ChargeRecords| {
        let told = flaws(|audit| audit.charge(records)).into_iter().map(|flaw| match flaw {
            Flaw::Position { account, booked, stands, .. } => (account.to_string(), booked, stands),
            other => panic!("{other}"),
        });
        told.collect::<Vec<_>>()
    };
    let expected = [("fare_revenue:green-bus".to_owned(), -16_000, -8_000), ("in_doubt_suspense".to_owned(), 8_000, 0)];
    assert_eq!(accounts(&records), expected);
    records.lines.clear();
    let expected =
        [("carrier_receivable:beeline".to_owned(), 0, 8_000), ("fare_revenue:green-bus".to_owned(), 0, -8_000)];
    assert_eq!(accounts(&records), expected);
}

#[test]
fn a_charge_must_be_where_its_journal_leads_and_no_version_may_be_missing() {
    let told = |change: fn(&mut ChargeRecords)| {
        let Story { mut records, .. } = paid_after_a_doubt();
        change(&mut records);
        flaws(|audit| audit.charge(&records)).iter().map(|flaw| flaw.to_string()).collect::<Vec<_>>()
    };
    let reference = charge().reference;
    let journal = |why: &str| [format!("charge {reference}: {why}")];
    assert_eq!(told(|records| records.journal.clear()), journal("it is at version 4, and its journal is empty"));
    assert_eq!(
        told(|records| records.journal.retain(|(version, _)| *version != 2)),
        journal("version 2 is not in the journal")
    );
    assert_eq!(
        told(|records| records.journal.retain(|(version, _)| *version != 1)),
        journal("version 1 is not in the journal")
    );
    let behind = journal("it is at version 4, and its journal ends with version 3");
    assert_eq!(told(|records| records.journal.truncate(3)), behind);
    let elsewhere = journal("it is charged, and its journal ends with in_doubt");
    assert_eq!(told(|records| records.journal[3].1 = State::InDoubt), elsewhere);
}

#[test]
fn words_that_were_changed_rows_that_cannot_be_read_and_another_root_are_told_one_by_one() {
    let Story { mut records, .. } = paid_after_a_doubt();
    records.changed_words = vec!["response-1".into(), "receipt-2".into()];
    let root = DailyRoot::over(jiff::civil::date(2026, 3, 1), &[(WRITER, Head::NONE)]);
    let found = flaws(|audit| {
        audit.charge(&records);
        audit.unreadable("row 7 of the journal: no JSON".into());
        audit.root(root, &root.root);
        audit.root(root, &[7; 32]);
    });
    let reference = records.charge.reference;
    let words = |evidence: &str| Flaw::Words { reference, evidence: evidence.into() };
    let unreadable = Flaw::Unreadable { what: "row 7 of the journal: no JSON".into() };
    assert_eq!(found, [words("response-1"), words("receipt-2"), unreadable, Flaw::Root { found: root }]);
}

#[test]
fn the_first_thousand_flaws_are_told_and_all_are_counted() {
    let mut audit = Audit::default();
    (0..1_003).for_each(|n| audit.unreadable(n.to_string()));
    let found = audit.end();
    assert_eq!((found.flaws.len(), found.flaws_total), (1_000, 1_003));
    assert_eq!(found.flaws.last(), Some(&Flaw::Unreadable { what: "999".into() }));
}

#[test]
fn each_flaw_says_what_is_wrong_and_where() {
    let reference = Reference::from_bytes([0; 16]);
    let (writer, number) = (Writer(3), 7);
    let root = DailyRoot { day: jiff::civil::date(2026, 3, 1), root: [0xAB; 32] };
    let shown = [
        Flaw::Chain { writer, number },
        Flaw::Changed { writer, number, seqs: Some((5, 9)) },
        Flaw::Changed { writer, number, seqs: None },
        Flaw::Uncovered { seqs: (5, 9), count: 4 },
        Flaw::StrayLines { count: 2 },
        Flaw::Unbalanced { reference, version: 6 },
        Flaw::Position { reference, account: Account::RefundsOwed, booked: 1, stands: 2 },
        Flaw::Journal { reference, why: "version 2 is not in the journal".into() },
        Flaw::Ticket { reference, why: "charged, and there is no ticket" },
        Flaw::Words { reference, evidence: "receipt-2".into() },
        Flaw::Unreadable { what: "row 7".into() },
        Flaw::Root { found: root },
    ]
    .map(|flaw| flaw.to_string());
    let root = format!("the root of 2026-03-01 is {}, and not what was noted: ", "ab".repeat(32));
    let expected = [
        "block 7 of writer 3 does not follow from the block before: one of them was changed, or blocks between them are gone",
        "journal entries 5 to 9, or their ledger lines, are not what was written: block 7 of writer 3",
        "all journal entries of block 7 of writer 3 are gone",
        "4 journal entries from 5 to 9 are in no block",
        "2 ledger lines belong to no journal entry, or are gone",
        "charge 00000000-0000-0000-0000-000000000000: the ledger lines of version 6 do not add up to zero",
        "charge 00000000-0000-0000-0000-000000000000: refunds_owed has 1, and the charge stands for 2",
        "charge 00000000-0000-0000-0000-000000000000: version 2 is not in the journal",
        "charge 00000000-0000-0000-0000-000000000000: charged, and there is no ticket",
        "charge 00000000-0000-0000-0000-000000000000: the words of evidence \"receipt-2\" are not what was written",
        "row 7",
        &format!("{root}the books of that day or before were changed since"),
    ];
    assert_eq!(shown.each_ref().map(String::as_str), expected);
}
