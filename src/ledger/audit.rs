//! The check of the books: what was appended is what is there, it adds up, and it agrees with the charges.

use std::{collections::BTreeMap, fmt};

use super::{Account, Block, BlockDigest, DailyRoot, Entry, Head, Writer, position};
use crate::{
    charge::{Charge, Reference, State},
    clock::Timestamp,
    money::Currency,
};

/// Flaws that are told; the others are counted. Whoever has so many looks at the first ones first.
const TOLD_MAX: usize = 1_000;

/// An entry of the journal as it is kept, with the lines of the ledger that were written with it.
#[derive(Clone, Debug)]
pub struct JournalRow {
    /// Its place in the journal.
    pub seq: i64,
    /// The charge.
    pub reference: Reference,
    /// When.
    pub at: Timestamp,
    /// What is kept, byte for byte.
    pub body: String,
    /// The lines of the transition.
    pub lines: Vec<Entry>,
}

/// What is kept of one charge.
#[derive(Clone, Debug)]
pub struct ChargeRecords {
    /// The charge as it is.
    pub charge: Charge,
    /// The versions that its journal leads through, in order, each with the state that it led to.
    pub journal: Vec<(u32, State)>,
    /// Its lines of the ledger, in any order.
    pub lines: Vec<Entry>,
    /// Whether it has a ticket, and if so whether that is revoked.
    pub ticket: Option<TicketStanding>,
    /// The evidence whose words are kept and are not those that its journal entry has the digest of.
    pub changed_words: Vec<String>,
}

/// Where a ticket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketStanding {
    /// Issued, and not revoked.
    Good,
    /// Revoked.
    Revoked,
}

/// Something in the books that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A block is not the one that came after the block before: one of them was changed, or one is missing between them.
    Chain {
        /// Whose chain.
        writer: Writer,
        /// The block.
        number: u64,
    },
    /// The journal, or the ledger lines that belong to it, are not what the block was made from.
    Changed {
        /// Whose chain.
        writer: Writer,
        /// The block.
        number: u64,
        /// The entries of the journal that the block covers.
        seqs: Option<(i64, i64)>,
    },
    /// Entries of the journal that no block covers.
    Uncovered {
        /// The first and the last of them.
        seqs: (i64, i64),
        /// How many.
        count: u64,
    },
    /// Lines of the ledger that belong to no entry of the journal.
    StrayLines {
        /// How many.
        count: u64,
    },
    /// The lines of one transition do not add up to zero.
    Unbalanced {
        /// The charge.
        reference: Reference,
        /// The version.
        version: u32,
    },
    /// An account has another sum for a charge than the charge stands for.
    Position {
        /// The charge.
        reference: Reference,
        /// The account.
        account: Account,
        /// What is booked, in minor units.
        booked: i64,
        /// What the charge stands for.
        stands: i64,
    },
    /// The journal tells of a charge that is not there.
    NoCharge {
        /// The charge.
        reference: Reference,
    },
    /// The charge is not where its journal leads.
    Journal {
        /// The charge.
        reference: Reference,
        /// What differs.
        why: String,
    },
    /// The money was taken, and there is no good ticket; or it was not, and there is one.
    Ticket {
        /// The charge.
        reference: Reference,
        /// What is wrong.
        why: &'static str,
    },
    /// What a carrier said was changed since.
    Words {
        /// The charge.
        reference: Reference,
        /// The id of the evidence.
        evidence: String,
    },
    /// What is known of a month whose entries are no longer here contradicts itself or the chain.
    Retired {
        /// The month, and what is wrong.
        what: String,
    },
    /// A file of the archive is not what was archived, or cannot be read.
    Archive {
        /// The file, and what is wrong.
        what: String,
    },
    /// A row that cannot be read.
    Unreadable {
        /// Where, and why.
        what: String,
    },
    /// The root of a day is not the one that was noted elsewhere.
    Root {
        /// What the books lead to.
        found: DailyRoot,
    },
}

/// What a check has found.
#[derive(Clone, Debug, Default)]
pub struct Audited {
    /// Blocks of the chains.
    pub blocks: u64,
    /// Entries of the journal.
    pub entries: u64,
    /// Lines of the ledger.
    pub lines: u64,
    /// Charges.
    pub charges: u64,
    /// What was retired, and is no longer here.
    pub retired: RetiredTotals,
    /// The sum of every account, with what was carried forward.
    pub balances: BTreeMap<(Account, Currency), i128>,
    /// The ends of the chains.
    pub heads: BTreeMap<Writer, Head>,
    /// What is wrong; the first thousand.
    pub flaws: Vec<Flaw>,
    /// How much is wrong in all.
    pub flaws_total: u64,
}

/// What is no longer here of the journal and the ledger, as far as the chain and the books say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetiredTotals {
    /// Months.
    pub months: u64,
    /// Blocks. They are in the chain still, and are counted among [`Audited::blocks`].
    pub blocks: u64,
    /// Entries of the journal.
    pub entries: u64,
    /// Lines of the ledger.
    pub lines: u64,
}

/// A check under way. Feed it everything that is kept, in order; memory does not grow with the books.
#[derive(Debug, Default)]
pub struct Audit {
    found: Audited,
    /// Lines that belong to entries of the journal.
    covered_lines: u64,
}

impl Audit {
    /// The next block of a chain, with the entries of the journal that it covers, in order.
    pub fn block(&mut self, block: &Block, rows: &[JournalRow]) {
        let head = self.found.heads.get(&block.writer).copied().unwrap_or(Head::NONE);
        let (writer, number) = (block.writer, block.number);
        if !block.follows(&head) {
            self.flaw(Flaw::Chain { writer, number });
        }
        self.covered_lines += rows.iter().map(|row| row.lines.len() as u64).sum::<u64>();
        if !is_made_of(block, rows) {
            let seqs = rows.first().zip(rows.last()).map(|(first, last)| (first.seq, last.seq));
            self.flaw(Flaw::Changed { writer, number, seqs });
        }
        self.found.blocks += 1;
        self.found.entries += rows.len() as u64;
        self.found.heads.insert(writer, block.head());
    }

    /// The next block of a chain, whose entries are no longer here.
    pub fn retired_block(&mut self, block: &Block) {
        let head = self.found.heads.get(&block.writer).copied().unwrap_or(Head::NONE);
        if !block.follows(&head) {
            self.flaw(Flaw::Chain { writer: block.writer, number: block.number });
        }
        self.found.blocks += 1;
        self.found.retired.blocks += 1;
        self.found.retired.entries += u64::from(block.entries);
        self.found.retired.lines += u64::from(block.lines);
        self.found.heads.insert(block.writer, block.head());
    }

    /// How many months are no longer here.
    pub fn retired_months(&mut self, months: u64) {
        self.found.retired.months = months;
    }

    /// What was retired, so far.
    pub fn retired(&self) -> RetiredTotals {
        self.found.retired
    }

    /// Something is wrong that is told in words.
    pub fn found(&mut self, flaw: Flaw) {
        self.flaw(flaw);
    }

    /// Entries of the journal that no block covers: after the last one, or where a block was retired.
    pub fn uncovered(&mut self, rows: &[JournalRow]) {
        let Some(seqs) = rows.first().zip(rows.last()).map(|(first, last)| (first.seq, last.seq)) else { return };
        let count = rows.len() as u64;
        self.found.entries += count;
        self.covered_lines += rows.iter().map(|row| row.lines.len() as u64).sum::<u64>();
        self.flaw(Flaw::Uncovered { seqs, count });
    }

    /// How many lines the ledger has in all.
    pub fn lines_in_all(&mut self, lines: u64) {
        self.found.lines = lines;
        if lines != self.covered_lines {
            let count = lines.abs_diff(self.covered_lines);
            self.flaw(Flaw::StrayLines { count });
        }
    }

    /// The next charge.
    pub fn charge(&mut self, records: &ChargeRecords) {
        self.found.charges += 1;
        self.balance(records);
        self.agreement(records);
        let (reference, state) = (records.charge.reference, records.charge.state);
        for evidence in &records.changed_words {
            self.flaw(Flaw::Words { reference, evidence: evidence.clone() });
        }
        let why = match (state, records.ticket) {
            (State::Charged, None) => "charged, and there is no ticket",
            (State::Charged, Some(TicketStanding::Revoked)) => "charged, and the ticket is revoked",
            (State::Charged, Some(TicketStanding::Good)) | (_, None | Some(TicketStanding::Revoked)) => return,
            (_, Some(TicketStanding::Good)) => "not charged or given back, and the ticket is good",
        };
        self.flaw(Flaw::Ticket { reference, why });
    }

    /// A charge that the journal tells of, and that is not there.
    pub fn missing(&mut self, reference: Reference) {
        self.flaw(Flaw::NoCharge { reference });
    }

    /// What a charge is looked up by is not what it is.
    pub fn misplaced(&mut self, reference: Reference, column: &str) {
        let why = format!("its column {column} is not what the charge says");
        self.flaw(Flaw::Journal { reference, why });
    }

    /// A row that cannot be read.
    pub fn unreadable(&mut self, what: String) {
        self.flaw(Flaw::Unreadable { what });
    }

    /// What the books lead to at the end of a day, and what was noted elsewhere.
    pub fn root(&mut self, found: DailyRoot, noted: &[u8; 32]) {
        if found.root != *noted {
            self.flaw(Flaw::Root { found });
        }
    }

    /// What was found.
    pub fn end(self) -> Audited {
        self.found
    }

    /// Each transition adds up to zero.
    fn balance(&mut self, records: &ChargeRecords) {
        let mut sums: BTreeMap<(u32, Currency), i128> = BTreeMap::new();
        for line in &records.lines {
            *sums.entry((line.version, line.currency)).or_default() += i128::from(line.minor);
            *self.found.balances.entry((line.account.clone(), line.currency)).or_default() += i128::from(line.minor);
        }
        for ((version, _), _) in sums.into_iter().filter(|(_, sum)| *sum != 0) {
            self.flaw(Flaw::Unbalanced { reference: records.charge.reference, version });
        }
    }

    /// The lines lead to the charge's position, and the journal to the charge.
    fn agreement(&mut self, records: &ChargeRecords) {
        let charge = &records.charge;
        let reference = charge.reference;
        let mut accounts: BTreeMap<Account, (i64, i64)> = BTreeMap::new();
        for line in &records.lines {
            let (booked, _) = accounts.entry(line.account.clone()).or_default();
            *booked = booked.saturating_add(line.minor);
        }
        for (account, minor) in position(charge) {
            accounts.entry(account).or_default().1 += minor;
        }
        for (account, (booked, stands)) in accounts.into_iter().filter(|(_, (booked, stands))| booked != stands) {
            self.flaw(Flaw::Position { reference, account, booked, stands });
        }
        let mut versions = (1_u32..).zip(&records.journal);
        if let Some((expected, _)) = versions.find(|(expected, (version, _))| version != expected) {
            self.flaw(Flaw::Journal { reference, why: format!("version {expected} is not in the journal") });
            return;
        }
        let (version, state) = (charge.version, charge.state.code());
        let why = match records.journal.last() {
            None => format!("it is at version {version}, and its journal is empty"),
            Some((last, _)) if *last != version => {
                format!("it is at version {version}, and its journal ends with version {last}")
            }
            Some((_, last)) if *last != charge.state => {
                format!("it is {state}, and its journal ends with {}", last.code())
            }
            Some(_) => return,
        };
        self.flaw(Flaw::Journal { reference, why });
    }

    fn flaw(&mut self, flaw: Flaw) {
        self.found.flaws_total += 1;
        if self.found.flaws.len() < TOLD_MAX {
            self.found.flaws.push(flaw);
        }
    }
}

/// Whether these entries, each with its lines, are what the block was made from. What the block says of itself is not judged.
pub fn is_made_of(block: &Block, rows: &[JournalRow]) -> bool {
    let mut digest = BlockDigest::default();
    for row in rows {
        digest.entry(row.reference, row.at, row.body.as_bytes());
        digest.lines(&row.lines);
    }
    let there = digest.seal(block.writer, &Head::NONE);
    (there.digest, there.entries, there.lines) == (block.digest, block.entries, block.lines)
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::Chain { writer, number } => write!(
                f,
                "block {number} of writer {writer} does not follow from the block before: one of them was changed, or blocks \
                 between them are gone"
            ),
            Flaw::Changed { writer, number, seqs: Some((first, last)) } => write!(
                f,
                "journal entries {first} to {last}, or their ledger lines, are not what was written: block {number} of writer \
                 {writer}"
            ),
            Flaw::Changed { writer, number, seqs: None } => {
                write!(f, "all journal entries of block {number} of writer {writer} are gone")
            }
            Flaw::Uncovered { seqs: (first, last), count } => {
                write!(f, "{count} journal entries from {first} to {last} are in no block")
            }
            Flaw::StrayLines { count } => write!(f, "{count} ledger lines belong to no journal entry, or are gone"),
            Flaw::Unbalanced { reference, version } => {
                write!(f, "charge {reference}: the ledger lines of version {version} do not add up to zero")
            }
            Flaw::Position { reference, account, booked, stands } => {
                write!(f, "charge {reference}: {account} has {booked}, and the charge stands for {stands}")
            }
            Flaw::NoCharge { reference } => {
                write!(f, "charge {reference} is in the journal, and not among the charges")
            }
            Flaw::Journal { reference, why } => write!(f, "charge {reference}: {why}"),
            Flaw::Ticket { reference, why } => write!(f, "charge {reference}: {why}"),
            Flaw::Words { reference, evidence } => {
                write!(f, "charge {reference}: the words of evidence {evidence:?} are not what was written")
            }
            Flaw::Unreadable { what } | Flaw::Retired { what } | Flaw::Archive { what } => f.write_str(what),
            Flaw::Root { found: DailyRoot { day, root } } => write!(
                f,
                "the root of {day} is {}, and not what was noted: the books of that day or before were changed since",
                data_encoding::HEXLOWER.encode(root)
            ),
        }
    }
}
