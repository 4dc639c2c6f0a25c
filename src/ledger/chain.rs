use std::fmt;

use jiff::civil::Date;
use sha2::{Digest, Sha256};

use super::Entry;
use crate::{charge::Reference, clock::Timestamp};

/// What a hash is taken over begins with what it is a hash of, so that no two kinds can be mistaken for each other.
const OF_ENTRIES: &[u8] = b"smsbusd entries 1\n";
const OF_BLOCK: &[u8] = b"smsbusd block 1\n";
const OF_DAY: &[u8] = b"smsbusd day 1\n";

/// Whose chain it is. Each connection that writes has its own, so that none waits for another. An embedded store has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Writer(pub u32);

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The end of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number of the last block; 0 if there is none.
    pub number: u64,
    /// Its moment.
    pub at: Timestamp,
    /// Its hash: whoever has it can tell whether any block before was changed.
    pub hash: [u8; 32],
}

impl Head {
    /// Where a chain begins.
    pub const NONE: Head = Head { number: 0, at: Timestamp::MIN, hash: [0; 32] };
}

/// What one commit appended to the journal and the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Whose chain.
    pub writer: Writer,
    /// The place in it, from 1.
    pub number: u64,
    /// The newest moment of what was appended, and never before that of the block before.
    pub at: Timestamp,
    /// How many entries of the journal.
    pub entries: u32,
    /// How many lines of the ledger.
    pub lines: u32,
    /// SHA-256 over the entries, each with its lines.
    pub digest: [u8; 32],
    /// SHA-256 over all of the above and the hash of the block before.
    pub hash: [u8; 32],
}

impl Block {
    /// Whether this is the block that comes after `head`, and says of itself what is so.
    pub fn follows(&self, head: &Head) -> bool {
        self.number == head.number + 1 && self.at >= head.at && self.hash == self.hash_after(head)
    }

    /// The chain's end, as long as no further block comes.
    pub const fn head(&self) -> Head {
        Head { number: self.number, at: self.at, hash: self.hash }
    }

    fn hash_after(&self, head: &Head) -> [u8; 32] {
        let mut hash = Sha256::new_with_prefix(OF_BLOCK);
        hash.update(self.writer.0.to_be_bytes());
        hash.update(self.number.to_be_bytes());
        hash.update(self.at.unix_ms().to_be_bytes());
        hash.update(self.entries.to_be_bytes());
        hash.update(self.lines.to_be_bytes());
        hash.update(self.digest);
        hash.update(head.hash);
        hash.finalize().into()
    }
}

/// What is appended in one commit, digested entry by entry.
#[derive(Clone, Debug)]
pub struct BlockDigest {
    hash: Sha256,
    entries: u32,
    lines: u32,
    at: Timestamp,
}

impl Default for BlockDigest {
    fn default() -> BlockDigest {
        BlockDigest { hash: Sha256::new_with_prefix(OF_ENTRIES), entries: 0, lines: 0, at: Timestamp::MIN }
    }
}

impl BlockDigest {
    /// The next entry of the journal: `body` is what is kept, byte for byte. The ledger lines of the same transition follow it.
    pub fn entry(&mut self, reference: Reference, at: Timestamp, body: &[u8]) {
        self.entries += 1;
        self.at = self.at.max(at);
        self.hash.update(b"E");
        self.hash.update(reference.as_bytes());
        self.hash.update(at.unix_ms().to_be_bytes());
        self.text(body);
    }

    /// The lines of the last entry, in whatever order: they are digested in the order of their accounts' names.
    pub fn lines(&mut self, lines: &[Entry]) {
        let mut named: Vec<(String, &Entry)> = lines.iter().map(|line| (line.account.to_string(), line)).collect();
        named.sort_by(|a, b| a.0.cmp(&b.0));
        for (account, line) in named {
            self.lines += 1;
            self.hash.update(b"L");
            self.hash.update(line.version.to_be_bytes());
            self.hash.update(line.minor.to_be_bytes());
            self.hash.update(line.posted_at.unix_ms().to_be_bytes());
            self.text(line.currency.code().as_bytes());
            self.text(account.as_bytes());
        }
    }

    /// Whether nothing was appended.
    pub const fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The same for a block that is not dated before this moment, whatever its entries are.
    #[must_use]
    pub fn not_before(mut self, moment: Timestamp) -> BlockDigest {
        self.at = self.at.max(moment);
        self
    }

    /// The block that comes after `head`.
    pub fn seal(self, writer: Writer, head: &Head) -> Block {
        let (entries, lines) = (self.entries, self.lines);
        let mut block = Block {
            writer,
            number: head.number + 1,
            at: self.at.max(head.at),
            entries,
            lines,
            digest: self.hash.finalize().into(),
            hash: [0; 32],
        };
        block.hash = block.hash_after(head);
        block
    }

    /// With its length before it, so that nothing can move from one field into the next.
    fn text(&mut self, bytes: &[u8]) {
        self.hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.hash.update(bytes);
    }
}

/// One hash over everything that was in the books at the end of a day. Kept where nobody can reach who can change the books, it
/// shows whether they were changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DailyRoot {
    /// The day, in UTC.
    pub day: Date,
    /// SHA-256 over the heads of all chains at its end.
    pub root: [u8; 32],
}

impl DailyRoot {
    /// `heads` are the last blocks of the day or of days before, by writer.
    pub fn over(day: Date, heads: &[(Writer, Head)]) -> DailyRoot {
        let mut heads = heads.to_vec();
        heads.sort_by_key(|(writer, _)| *writer);
        let mut hash = Sha256::new_with_prefix(OF_DAY);
        hash.update(day.to_string());
        for (writer, head) in heads {
            hash.update(writer.0.to_be_bytes());
            hash.update(head.number.to_be_bytes());
            hash.update(head.hash);
        }
        DailyRoot { day, root: hash.finalize().into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ledger::Account, money::Currency};

    const WRITER: Writer = Writer(1);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_unix_seconds(second)
    }

    fn line(account: Account, minor: i64) -> Entry {
        let (reference, currency) = (Reference::from_bytes([1; 16]), Currency::Kzt);
        Entry { reference, version: 2, account, minor, currency, posted_at: at(5) }
    }

    fn digest(bodies: &[&str], lines: &[Entry]) -> BlockDigest {
        let mut digest = BlockDigest::default();
        for body in bodies {
            digest.entry(Reference::from_bytes([1; 16]), at(5), body.as_bytes());
        }
        digest.lines(lines);
        digest
    }

    fn block(bodies: &[&str], lines: &[Entry], head: &Head) -> Block {
        digest(bodies, lines).seal(WRITER, head)
    }

    #[test]
    fn a_block_follows_only_the_one_that_it_was_made_after() {
        let first = block(&["a"], &[], &Head::NONE);
        let second = block(&["b"], &[], &first.head());
        assert!(first.follows(&Head::NONE) && second.follows(&first.head()));
        assert!(!second.follows(&Head::NONE) && !first.follows(&first.head()));
        let other_first = block(&["A"], &[], &Head::NONE);
        assert!(!second.follows(&other_first.head()), "with another block before it, it is another block");
    }

    #[test]
    fn whatever_a_block_says_of_itself_is_in_its_hash() {
        let block = block(&["a"], &[], &Head::NONE);
        let forged: [fn(&mut Block); 7] = [
            |block| block.writer = Writer(2),
            |block| block.number = 2,
            |block| block.at = at(6),
            |block| block.entries = 2,
            |block| block.lines = 1,
            |block| block.digest[0] ^= 1,
            |block| block.hash[31] ^= 1,
        ];
        for (n, forge) in forged.into_iter().enumerate() {
            let mut forged = block;
            forge(&mut forged);
            assert!(!forged.follows(&Head::NONE), "{n}");
        }
    }

    #[test]
    fn every_field_of_what_is_appended_is_in_the_digest() {
        let base = line(Account::RefundsOwed, 5);
        let mut digests = vec![
            block(&["a"], std::slice::from_ref(&base), &Head::NONE).digest,
            block(&["b"], std::slice::from_ref(&base), &Head::NONE).digest,
            block(&["a"], &[], &Head::NONE).digest,
            block(&["a", "a"], std::slice::from_ref(&base), &Head::NONE).digest,
            block(&["a"], &[line(Account::RefundsOwed, 6)], &Head::NONE).digest,
            block(&["a"], &[line(Account::InDoubtSuspense, 5)], &Head::NONE).digest,
            block(&["a"], &[Entry { version: 3, ..base.clone() }], &Head::NONE).digest,
            block(&["a"], &[Entry { currency: Currency::Usd, ..base.clone() }], &Head::NONE).digest,
            block(&["a"], &[Entry { posted_at: at(6), ..base }], &Head::NONE).digest,
        ];
        for (reference, moment) in [([2; 16], at(5)), ([1; 16], at(6))] {
            let mut digest = BlockDigest::default();
            digest.entry(Reference::from_bytes(reference), moment, b"a");
            digests.push(digest.seal(WRITER, &Head::NONE).digest);
        }
        let all = digests.len();
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), all);
    }

    #[test]
    fn nothing_can_move_from_one_entry_into_the_next() {
        assert_ne!(block(&["ab", "c"], &[], &Head::NONE).digest, block(&["a", "bc"], &[], &Head::NONE).digest);
    }

    #[test]
    fn the_order_of_the_lines_of_one_transition_does_not_matter() {
        let lines = [line(Account::RefundsOwed, 5), line(Account::InDoubtSuspense, -5)];
        let turned = [lines[1].clone(), lines[0].clone()];
        assert_eq!(block(&["a"], &lines, &Head::NONE), block(&["a"], &turned, &Head::NONE));
    }

    #[test]
    fn a_block_is_never_before_the_one_before_it_whatever_the_clock_says() {
        let head = Head { at: at(100), ..Head::NONE };
        let block = block(&["a"], &[], &head);
        assert_eq!(block.at, at(100));
        assert!(block.follows(&head));
        assert!(!Block { at: at(99), ..block }.follows(&head));
    }

    #[test]
    fn nothing_appended_is_no_block() {
        assert!(BlockDigest::default().is_empty());
        assert!(!digest(&["a"], &[]).is_empty());
    }

    #[test]
    fn the_root_of_a_day_is_over_all_writers_in_whatever_order() {
        let day = "2026-03-01".parse().expect("a day");
        let head = |n: u8| Head { number: n.into(), at: at(5), hash: [n; 32] };
        let root = DailyRoot::over(day, &[(Writer(1), head(1)), (Writer(2), head(2))]);
        assert_eq!(root, DailyRoot::over(day, &[(Writer(2), head(2)), (Writer(1), head(1))]));
        assert_ne!(root.root, DailyRoot::over(day, &[(Writer(1), head(2)), (Writer(2), head(1))]).root);
        assert_ne!(root.root, DailyRoot::over(day, &[(Writer(1), head(1))]).root);
        assert_ne!(root.root, DailyRoot::over("2026-03-02".parse().expect("a day"), &[(Writer(1), head(1))]).root);
    }
}
