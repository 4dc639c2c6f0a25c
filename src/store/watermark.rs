//! How far a daemon has seen its database, noted outside of it: so that it knows when it is given an older one.
//!
//! The note is a lower bound: it is written after what it tells of was committed, at most once a second, and never on a charge's way. An
//! upper bound, written ahead, would take every `kill -9` for a restore. So a loss of less than about a second can be missed; what a
//! back-up has lost is more.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    clock::Timestamp,
    ledger::{Head, Writer},
};

/// The form of the file.
const VERSION: u32 = 1;
/// No watermark is longer: some hundred bytes for each writer there ever was.
const BYTES_MAX: u64 = 16 * 1_024 * 1_024;

/// How far a database was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watermark {
    version: u32,
    /// The generation of the books.
    pub generation: u32,
    /// When it was noted.
    pub written_at: Timestamp,
    heads: Vec<Seen>,
}

/// The end of a chain of hashes, as it was seen. Whatever books have this block have everything that was committed before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    writer: u32,
    block: u64,
    at: Timestamp,
    hash: String,
}

/// Where a watermark is kept. Durable means: the file and its folder are on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatermarkFile {
    path: PathBuf,
}

/// Why a watermark cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the watermark {path} cannot be {verb}: {why}")]
pub struct WatermarkError {
    path: PathBuf,
    verb: &'static str,
    why: String,
}

impl Watermark {
    /// Of books in this generation whose chains end so.
    pub fn of(generation: u32, heads: &[(Writer, Head)], now: Timestamp) -> Watermark {
        let seen = |(writer, head): &(Writer, Head)| Seen {
            writer: writer.0,
            block: head.number,
            at: head.at,
            hash: data_encoding::HEXLOWER.encode(&head.hash),
        };
        Watermark { version: VERSION, generation, written_at: now, heads: heads.iter().map(seen).collect() }
    }

    /// The ends of the chains that were seen.
    ///
    /// Errors: what is no hash.
    pub fn heads(&self) -> Result<Vec<(Writer, Head)>, String> {
        let head = |seen: &Seen| {
            let hash = data_encoding::HEXLOWER.decode(seen.hash.as_bytes()).ok().and_then(|hash| hash.try_into().ok());
            let hash = hash.ok_or_else(|| format!("{:?} is no hash", seen.hash))?;
            Ok((Writer(seen.writer), Head { number: seen.block, at: seen.at, hash }))
        };
        self.heads.iter().map(head).collect()
    }

    /// The moment of the last commit that was seen.
    pub fn latest(&self) -> Option<Timestamp> {
        self.heads.iter().map(|seen| seen.at).max()
    }
}

impl WatermarkFile {
    /// The file at `path`. Its folder must exist.
    pub fn at(path: impl Into<PathBuf>) -> WatermarkFile {
        WatermarkFile { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was noted last; `None` if there is no file.
    ///
    /// Errors: the file cannot be read, or is damaged: then it is not known what was seen, which is not the same as nothing.
    pub fn read(&self) -> Result<Option<Watermark>, WatermarkError> {
        let cannot = |why: String| WatermarkError { path: self.path.clone(), verb: "read", why };
        match fs::metadata(&self.path) {
            Ok(about) if about.len() > BYTES_MAX => return Err(cannot("it is far too long".into())),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(cannot(error.to_string())),
        }
        let text = fs::read_to_string(&self.path).map_err(|error| cannot(error.to_string()))?;
        let watermark: Watermark = serde_json::from_str(&text).map_err(|error| cannot(error.to_string()))?;
        if watermark.version != VERSION {
            return Err(cannot(format!("it has the form {}, and this program knows {VERSION}", watermark.version)));
        }
        watermark.heads().map_err(cannot)?;
        Ok(Some(watermark))
    }

    /// Notes it in place of what was noted before: durable on return, and whole or not at all.
    ///
    /// Errors: the folder is missing, or the disk takes nothing; what was noted before is still there.
    pub fn write(&self, watermark: &Watermark) -> Result<(), WatermarkError> {
        let cannot =
            |error: std::io::Error| WatermarkError { path: self.path.clone(), verb: "written", why: error.to_string() };
        let folder = match self.path.parent() {
            Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
            Some(folder) => folder,
            None => return Err(cannot(ErrorKind::InvalidFilename.into())),
        };
        let mut beside = self.path.clone().into_os_string();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let text = serde_json::to_vec(watermark).map_err(|error| cannot(error.into()))?;
        let written = || {
            let mut file = File::create(&beside)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&beside, &self.path)?;
            File::open(folder)?.sync_all()
        };
        written().map_err(cannot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watermark() -> Watermark {
        let head = |n: u8| Head { number: n.into(), at: Timestamp::from_unix_seconds(n.into()), hash: [n; 32] };
        Watermark::of(2, &[(Writer(1), head(9)), (Writer(7), head(4))], Timestamp::from_unix_seconds(20))
    }

    #[test]
    fn what_was_noted_reads_back_and_takes_the_place_of_what_was_noted_before() {
        let folder = tempfile::tempdir().unwrap();
        let file = WatermarkFile::at(folder.path().join("mark"));
        assert_eq!(file.read(), Ok(None));
        let noted = watermark();
        file.write(&noted).unwrap();
        assert_eq!(file.read(), Ok(Some(noted.clone())));
        assert_eq!(noted.latest(), Some(Timestamp::from_unix_seconds(9)));
        let later = Watermark { generation: 3, ..noted };
        file.write(&later).unwrap();
        assert_eq!(file.read(), Ok(Some(later)));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_damaged_one_is_not_taken_for_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = WatermarkFile::at(folder.path().join("mark"));
        let good = serde_json::to_string(&watermark()).unwrap();
        for damaged in [
            "".to_owned(),
            "{}".to_owned(),
            good[..good.len() - 3].to_owned(),
            good.replace("\"version\":1", "\"version\":9"),
            good.replace("0909", "09"),
        ] {
            fs::write(file.path(), &damaged).unwrap();
            let refused = file.read().unwrap_err().to_string();
            assert!(refused.contains("cannot be read"), "{damaged}: {refused}");
        }
    }

    #[test]
    fn a_folder_that_is_missing_is_told_with_the_path() {
        let refused = WatermarkFile::at("/nowhere/at/all/mark").write(&watermark()).unwrap_err().to_string();
        assert!(refused.contains("/nowhere/at/all/mark cannot be written"), "{refused}");
    }
}
