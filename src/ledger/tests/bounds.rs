//! What is counted, and how much of it there may be.

use jiff::{ToSpan, civil::date};

use super::*;
use crate::money::Percentage;

#[test]
fn a_block_counts_its_entries_and_their_lines() {
    let before = charge();
    let sent = step(&before, open(), T0).expect("legal").next;
    let after = step(&sent, finding(1, paid()), T0).expect("legal").next;
    let mut digest = BlockDigest::default();
    digest.entry(after.reference, T0, b"a");
    digest.entry(after.reference, T0, b"b");
    digest.lines(&entries(Some(&sent), &after));
    let block = digest.seal(Writer(1), &Head::NONE);
    assert_eq!((block.entries, block.lines), (2, 2));
}

#[test]
fn a_thousand_rates_may_be_listed_and_no_more() {
    let rates = |count: i32| VatConfig {
        rates: (0..count).map(|n| DatedVat { from: date(2000, 1, 1) + n.days(), percent: Percentage::ZERO }).collect(),
        ..VatConfig::default()
    };
    assert_eq!(rates(1_000).problems(), Vec::<String>::new());
    assert_eq!(rates(1_001).problems(), ["rates: 1001 are too many; at most 1000"]);
    assert_eq!(rates(1_002).problems().len(), 1);
}
