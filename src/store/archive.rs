//! The files that a month of the journal and the ledger is archived in: a line of JSON for each row, compressed (gzip). The rows of the journal
//! stand in the order of their places; those of the ledger in that of the entries that they belong to.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    iter::Peekable,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use flate2::{
    Compression,
    bufread::{GzDecoder, MultiGzDecoder},
    write::GzEncoder,
};
use jiff::civil::Date;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{
    charge::Reference,
    clock::Timestamp,
    ledger::{Account, Entry, JournalRow},
    money::Currency,
};

/// A longer line was not written by us.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;
const BUFFER_BYTES: usize = 64 * 1024;

/// A file of the archive cannot be written or read, or is not what it should be.
#[derive(Debug, Error)]
#[error("{}: {why}", .path.display())]
pub struct ArchiveError {
    /// The file, or the folder.
    pub path: PathBuf,
    /// What is wrong.
    pub why: String,
}

/// The files of one month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MonthFiles {
    pub(super) journal: PathBuf,
    pub(super) ledger: PathBuf,
}

/// The SHA-256 of each file, as it is in the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MonthDigests {
    pub(super) journal: [u8; 32],
    pub(super) ledger: [u8; 32],
}

impl MonthFiles {
    /// `journal-2025-09.jsonl.gz` and `ledger-2025-09.jsonl.gz` in the folder.
    pub(super) fn of(folder: &Path, month: &str) -> MonthFiles {
        let file = |what: &str| folder.join(format!("{what}-{month}.jsonl.gz"));
        MonthFiles { journal: file("journal"), ledger: file("ledger") }
    }

    /// Reads both files to their ends.
    ///
    /// Errors: one of them is not there or cannot be read.
    pub(super) fn digests(&self) -> Result<MonthDigests, ArchiveError> {
        Ok(MonthDigests { journal: digest(&self.journal)?, ledger: digest(&self.ledger)? })
    }
}

/// A month that is being archived. Under its names the files stand only once they are whole.
pub(super) struct MonthWriter {
    files: MonthFiles,
    journal: LineWriter,
    ledger: LineWriter,
}

impl MonthWriter {
    /// Errors: the folder is not there, or cannot be written to.
    pub(super) fn create(files: MonthFiles) -> Result<MonthWriter, ArchiveError> {
        let (journal, ledger) = (LineWriter::create(&files.journal)?, LineWriter::create(&files.ledger)?);
        Ok(MonthWriter { files, journal, ledger })
    }

    /// The next entry, with its lines.
    pub(super) fn write(&mut self, row: &JournalRow) -> Result<(), ArchiveError> {
        let JournalRow { seq, reference, at, body, lines } = row;
        let (seq, at) = (*seq, at.unix_ms());
        self.journal.line(&JournalLine { seq, reference: *reference, at, body: body.clone() })?;
        for line in lines {
            self.ledger.line(&LedgerLine {
                seq,
                reference: line.reference,
                version: line.version,
                account: line.account.clone(),
                minor: line.minor,
                currency: line.currency,
                posted_at: line.posted_at.unix_ms(),
            })?;
        }
        Ok(())
    }

    /// Gives the files their names; they are durable then, the folder included.
    ///
    /// Errors: they cannot be written, or there are others by these names: those of another database, or of a month that was not like this.
    pub(super) fn finish(self) -> Result<MonthDigests, ArchiveError> {
        let (journal, ledger) = (self.journal.finish()?, self.ledger.finish()?);
        place(&journal.0, &self.files.journal)?;
        place(&ledger.0, &self.files.ledger)?;
        let folder = self.files.journal.parent().unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| wrong(folder, error))?;
        self.files.digests()
    }
}

/// What was left there by a run that was broken off has the same lines, or it is not ours. It stays: another release of the compressor
/// writes them as other bytes, and somebody may have copied it by now.
fn place(from: &Path, to: &Path) -> Result<(), ArchiveError> {
    if !to.exists() {
        return fs::rename(from, to).map_err(|error| wrong(to, error));
    }
    let unpacked = |path: &Path| -> Result<[u8; 32], ArchiveError> {
        let file = File::open(path).map_err(|error| wrong(path, error))?;
        hash(path, MultiGzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, file)))
    };
    // One that is cut off cannot be unpacked, and is not the same.
    if unpacked(to).is_ok_and(|there| unpacked(from).is_ok_and(|ours| ours == there)) {
        // Whoever copied it there may not have waited for the disk.
        return File::open(to).and_then(|file| file.sync_all()).map_err(|error| wrong(to, error));
    }
    Err(wrong(
        to,
        "there is such a file already, and it has something else in it; name another folder, or move it away",
    ))
}

/// A file that is not whole yet. Once it has its name, or nobody writes on, nothing is left by this one.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        // It is gone where the file has its name; and one that cannot be removed is overwritten by the next run.
        let _ = fs::remove_file(&self.0);
    }
}

struct LineWriter {
    partial: Partial,
    file: GzEncoder<BufWriter<File>>,
}

impl LineWriter {
    fn create(named: &Path) -> Result<LineWriter, ArchiveError> {
        let mut name = named.as_os_str().to_owned();
        name.push(".partial");
        let path = PathBuf::from(name);
        // As private as the books are. What a run that was broken off has left there counts for nothing.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(wrong(&path, error)),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|error| wrong(&path, error))?;
        let file = GzEncoder::new(BufWriter::with_capacity(BUFFER_BYTES, file), Compression::default());
        Ok(LineWriter { partial: Partial(path), file })
    }

    fn line(&mut self, line: &impl Serialize) -> Result<(), ArchiveError> {
        let mut bytes = serde_json::to_vec(line).map_err(|error| wrong(&self.partial.0, error))?;
        bytes.push(b'\n');
        self.file.write_all(&bytes).map_err(|error| wrong(&self.partial.0, error))
    }

    fn finish(self) -> Result<Partial, ArchiveError> {
        let LineWriter { partial, file } = self;
        let synced =
            || -> io::Result<()> { file.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all() };
        synced().map_err(|error| wrong(&partial.0, error))?;
        Ok(partial)
    }
}

/// Reads the entries of a month back, each with its lines.
pub(super) struct MonthReader {
    files: MonthFiles,
    journal: Lines<JournalLine>,
    ledger: Peekable<Lines<LedgerLine>>,
}

impl MonthReader {
    /// Errors: a file is not there, or cannot be read.
    pub(super) fn open(files: MonthFiles) -> Result<MonthReader, ArchiveError> {
        let (journal, ledger) = (Lines::open(&files.journal)?, Lines::open(&files.ledger)?.peekable());
        Ok(MonthReader { files, journal, ledger })
    }

    /// The next entry; `None` at the end.
    ///
    /// Errors: a line cannot be read, or a line of the ledger belongs to no entry.
    pub(super) fn entry(&mut self) -> Result<Option<JournalRow>, ArchiveError> {
        let Some(line) = self.journal.next() else {
            return match self.ledger.next() {
                None => Ok(None),
                Some(Ok(line)) => Err(wrong(&self.files.ledger, format!("no entry has the place {}", line.seq))),
                Some(Err(error)) => Err(error),
            };
        };
        let JournalLine { seq, reference, at, body } = line?;
        let mut lines = Vec::new();
        while let Some(line) = self.ledger.next_if(|line| line.as_ref().map_or(true, |line| line.seq == seq)) {
            let LedgerLine { reference, version, account, minor, currency, posted_at, .. } = line?;
            let posted_at = Timestamp::from_unix_ms(posted_at);
            lines.push(Entry { reference, version, account, minor, currency, posted_at });
        }
        Ok(Some(JournalRow { seq, reference, at: Timestamp::from_unix_ms(at), body, lines }))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JournalLine {
    seq: i64,
    reference: Reference,
    at: i64,
    body: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LedgerLine {
    seq: i64,
    reference: Reference,
    version: u32,
    account: Account,
    minor: i64,
    currency: Currency,
    posted_at: i64,
}

struct Lines<T> {
    path: PathBuf,
    file: BufReader<GzDecoder<BufReader<File>>>,
    number: u64,
    line: std::marker::PhantomData<T>,
}

impl<T> Lines<T> {
    fn open(path: &Path) -> Result<Lines<T>, ArchiveError> {
        let file = File::open(path).map_err(|error| wrong(path, error))?;
        let file = BufReader::with_capacity(BUFFER_BYTES, GzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, file)));
        Ok(Lines { path: path.into(), file, number: 0, line: std::marker::PhantomData })
    }
}

impl<T: DeserializeOwned> Iterator for Lines<T> {
    type Item = Result<T, ArchiveError>;

    fn next(&mut self) -> Option<Result<T, ArchiveError>> {
        let mut bytes = Vec::new();
        self.number += 1;
        let wrong = |why: String| Some(Err(wrong(&self.path, format!("line {}: {why}", self.number))));
        match self.file.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes) {
            Ok(0) => None,
            Ok(_) if bytes.last() != Some(&b'\n') => wrong("it has no end".into()),
            Ok(_) => match serde_json::from_slice(&bytes) {
                Ok(line) => Some(Ok(line)),
                Err(error) => wrong(error.to_string()),
            },
            Err(error) => wrong(error.to_string()),
        }
    }
}

fn digest(path: &Path) -> Result<[u8; 32], ArchiveError> {
    hash(path, File::open(path).map_err(|error| wrong(path, error))?)
}

fn hash(path: &Path, mut file: impl Read) -> Result<[u8; 32], ArchiveError> {
    let (mut hash, mut bytes) = (Sha256::new(), vec![0; BUFFER_BYTES]);
    loop {
        match file.read(&mut bytes) {
            Ok(0) => return Ok(hash.finalize().into()),
            Ok(count) => hash.update(&bytes[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(wrong(path, error)),
        }
    }
}

fn wrong(path: &Path, why: impl ToString) -> ArchiveError {
    ArchiveError { path: path.into(), why: why.to_string() }
}

/// A month of the calendar (UTC), as 2025-09.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month(Date);

impl Month {
    /// Nothing is before it.
    pub const FIRST: Month = Month(Date::MIN);

    /// The month that a moment is in.
    pub fn of(at: Timestamp) -> Month {
        Month(at.date_in(&jiff::tz::TimeZone::UTC).first_of_month())
    }

    /// From `2025-09`, or from `2025_09` as the parts of a table are named.
    pub(super) fn read(text: &str) -> Option<Month> {
        let is_like = text.len() == 7 && text.is_ascii() && matches!(text.as_bytes()[4], b'-' | b'_');
        let (year, month) = (text.get(..4)?, text.get(5..)?);
        is_like.then_some(())?;
        Some(Month(Date::new(year.parse().ok()?, month.parse().ok()?, 1).ok()?))
    }

    /// So many months before; `None` before all time.
    pub fn before(self, months: u32) -> Option<Month> {
        let span = jiff::Span::new().try_months(i64::from(months)).ok()?;
        self.0.checked_sub(span).ok().map(Month)
    }

    /// Whether a moment is in it.
    pub fn has(self, at: Timestamp) -> bool {
        Month::of(at) == self
    }

    /// As the parts of a table are named: `2025_09`.
    pub(super) fn suffix(self) -> String {
        self.to_string().replace('-', "_")
    }
}

impl std::fmt::Display for Month {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}", self.0.year(), self.0.month())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seq: i64, lines: usize) -> JournalRow {
        let reference = Reference::from_bytes([7; 16]);
        let at = Timestamp::from_unix_ms(1_757_000_000_123);
        let line = |n: usize| Entry {
            reference,
            version: 2,
            account: if n == 0 { Account::RefundsOwed } else { Account::InDoubtSuspense },
            minor: 5,
            currency: Currency::Kzt,
            posted_at: at,
        };
        let body = "{\"note\":\"\\u0000 \u{0416}\"}".into();
        JournalRow { seq, reference, at, body, lines: (0..lines).map(line).collect() }
    }

    fn written(folder: &Path, rows: &[JournalRow]) -> (MonthFiles, Result<MonthDigests, ArchiveError>) {
        let files = MonthFiles::of(folder, "2025-09");
        let mut writer = MonthWriter::create(files.clone()).unwrap();
        rows.iter().for_each(|row| writer.write(row).unwrap());
        (files, writer.finish())
    }

    #[test]
    fn what_was_archived_is_read_back_byte_for_byte_and_nothing_takes_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let rows = [row(1, 2), row(2, 0), row(9, 1)];
        let (files, digests) = written(folder.path(), &rows);
        let digests = digests.unwrap();
        assert_eq!(files.digests().unwrap(), digests);
        let mut reader = MonthReader::open(files).unwrap();
        for expected in &rows {
            let found = reader.entry().unwrap().unwrap();
            assert_eq!((found.seq, &found.body, &found.lines), (expected.seq, &expected.body, &expected.lines));
        }
        assert!(reader.entry().unwrap().is_none());
        assert_eq!(written(folder.path(), &rows).1.unwrap(), digests, "the same again is the same");
        let refused = written(folder.path(), &rows[..1]).1.unwrap_err().to_string();
        assert!(refused.contains("journal-2025-09.jsonl.gz: there is such a file already"), "{refused}");
        let files = MonthFiles::of(folder.path(), "2025-09");
        assert_eq!(files.digests().unwrap(), digests);
    }

    #[test]
    fn the_same_lines_that_were_compressed_otherwise_stay_and_are_what_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let rows = [row(1, 2), row(2, 1)];
        let (files, digests) = written(folder.path(), &rows);
        let digests = digests.unwrap();
        let mut lines = Vec::new();
        GzDecoder::new(&fs::read(&files.journal).unwrap()[..]).read_to_end(&mut lines).unwrap();
        let mut stored = GzEncoder::new(Vec::new(), Compression::none());
        stored.write_all(&lines).unwrap();
        let stored = stored.finish().unwrap();
        fs::write(&files.journal, &stored).unwrap();
        let again = written(folder.path(), &rows).1.unwrap();
        assert_eq!((fs::read(&files.journal).unwrap(), again.ledger), (stored, digests.ledger));
        assert_eq!(again, files.digests().unwrap());
        assert_ne!(again.journal, digests.journal);
    }

    #[test]
    fn a_file_that_is_cut_off_or_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (files, _) = written(folder.path(), &[row(1, 1), row(2, 1)]);
        let whole = fs::read(&files.ledger).unwrap();
        fs::write(&files.ledger, &whole[..whole.len() / 2]).unwrap();
        let mut reader = MonthReader::open(files.clone()).unwrap();
        let wrong = (0..3).find_map(|_| reader.entry().err()).expect("it is noticed").to_string();
        assert!(wrong.contains("ledger-2025-09.jsonl.gz: line "), "{wrong}");
        fs::remove_file(&files.journal).unwrap();
        let wrong = MonthReader::open(files).err().unwrap().to_string();
        assert!(wrong.contains("journal-2025-09.jsonl.gz"), "{wrong}");
    }

    #[test]
    fn months_are_read_counted_back_and_have_their_moments() {
        let month = Month::read("2026_01").unwrap();
        assert_eq!((month.to_string(), month.suffix()), ("2026-01".into(), "2026_01".into()));
        assert_eq!(month.before(2).unwrap().to_string(), "2025-11");
        assert_eq!(month.before(u32::MAX), None);
        assert!(["2026-13", "2026-1", "journal", "2026.01", "20260-1"].iter().all(|text| Month::read(text).is_none()));
        let end = Timestamp::from_unix_seconds(1_769_904_000);
        assert!(!month.has(end) && month.has(Timestamp::from_unix_ms(end.unix_ms() - 1)));
    }
}
