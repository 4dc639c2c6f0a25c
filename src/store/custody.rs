//! The books before they are served: whether they are the ones that were served last, and what is done where they are older.

use sqlx::{Connection, postgres::PgConnection, sqlite::SqliteConnection};
use thiserror::Error;

use super::{
    BooksStanding, Generation, Hold, Restore, StoreError, Watermark, WatermarkError, WatermarkFile, address::Address,
    postgres, sql::generation::Generations, sqlite,
};
use crate::{
    charge::Reference,
    clock::Timestamp,
    ledger::{Head, Writer},
};

/// A connection to books that are looked at before they are served.
#[derive(Debug)]
pub struct Custody {
    books: Books,
    shown: String,
    _hold: Hold,
}

#[derive(Debug)]
enum Books {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
    /// What is in memory begins with the process.
    Memory,
}

/// Books that may be served, as they stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Their generation.
    pub generation: u32,
    /// The end of each chain: noted in the watermark, where one is kept.
    pub heads: Vec<(Writer, Head)>,
}

/// Why books are not served.
#[derive(Clone, Debug, Error)]
pub enum RefusedBooks {
    /// They lack what was seen in them before.
    #[error(
        "the books at {store} are older than those that were served last: they end at {}, and commits up to {} were seen \
         (block {block} of writer {writer} is not there any more; noted in {path})", told(*.books), told(*.seen)
    )]
    Behind {
        /// Where they are.
        store: String,
        /// The moment of their last commit.
        books: Option<Timestamp>,
        /// The moment of the last commit that was seen.
        seen: Option<Timestamp>,
        /// The writer of a block that is lost.
        writer: u32,
        /// Its number.
        block: u64,
        /// Where that was noted.
        path: String,
    },
    /// It was noted how far they were seen, and that note is not here.
    #[error(
        "the books at {store}, which end at {}, were served by a daemon named {name:?} that noted in a file how far it had seen \
         them, and {path} is not there: whether they are older than what was served last cannot be told", told(*.books)
    )]
    NoWatermark {
        /// Where they are.
        store: String,
        /// The moment of their last commit.
        books: Option<Timestamp>,
        /// The daemon's name.
        name: String,
        /// Where the note should be.
        path: String,
    },
    /// A restore was begun, and what was under way then is not all in doubt yet.
    #[error("generation {number} of the books at {store} was begun at {began_at} and is not finished")]
    Unfinished {
        /// Where they are.
        store: String,
        /// The generation.
        number: u32,
        /// When it began.
        began_at: Timestamp,
    },
    /// The watermark cannot be read or written.
    #[error(transparent)]
    Watermark(#[from] WatermarkError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn told(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "no moment at all".into(), |at| at.to_string())
}

/// Dispatches to whatever stands behind the name.
macro_rules! each {
    ($custody:expr, $db:ident => $call:expr, $none:expr) => {
        match &mut $custody.books {
            Books::Sqlite($db) => $call,
            Books::Postgres($db) => $call,
            Books::Memory => $none,
        }
    };
}

impl Custody {
    /// Looks at the books that `url` names, beside daemons that may be served. Brings the schema up to date.
    ///
    /// Errors: as [`Store::open`](super::Store::open).
    pub async fn visit(url: &str) -> Result<Custody, StoreError> {
        let books = match Address::read(url)? {
            Address::Sqlite(config) => Books::Sqlite(sqlite::generation::take(&config).await?),
            Address::Postgres(url) => Books::Postgres(postgres::visit(&url).await?),
            Address::Memory => Books::Memory,
        };
        Ok(Custody { books, shown: super::Store::shown(url), _hold: Hold::none() })
    }

    /// Takes the books that `url` names: nobody is served until this is given back.
    ///
    /// Errors: as [`Store::open`](super::Store::open); [`StoreError::InUse`] or [`StoreError::Taken`] if a daemon is served.
    pub async fn take(url: &str) -> Result<Custody, StoreError> {
        let hold = Hold::take(url)?;
        let books = match Address::read(url)? {
            Address::Postgres(url) => Books::Postgres(postgres::take(&url).await?),
            _ => Custody::visit(url).await?.books,
        };
        Ok(Custody { books, shown: super::Store::shown(url), _hold: hold })
    }

    /// Closes the connection. The right to a file goes on with what is returned.
    ///
    /// Errors: the connection did not close cleanly; nothing that was answered is lost.
    pub async fn close(self) -> Result<Hold, StoreError> {
        match self.books {
            Books::Sqlite(db) => db.close().await?,
            Books::Postgres(db) => db.close().await?,
            Books::Memory => {}
        }
        Ok(self._hold)
    }

    /// How the books stand, for the daemon of this name.
    pub async fn standing(&mut self, name: &str) -> Result<BooksStanding, StoreError> {
        let none = BooksStanding { generations: Vec::new(), heads: Vec::new(), keeps_watermark: false };
        each!(
            self,
            db => Ok(BooksStanding {
                generations: db.generations().await?,
                heads: db.heads().await?,
                keeps_watermark: db.keeps_watermark(name).await?,
            }),
            Ok(none)
        )
    }

    /// Whether these books can be served by the daemon of this name: they have everything that was seen of them, or it is known in them
    /// that the rest is lost. Then the watermark is brought up to date, durably.
    ///
    /// A standby that took over with every commit has every block, whatever its timeline; books of an older moment have not.
    pub async fn admit(
        &mut self,
        name: &str,
        file: Option<&WatermarkFile>,
        now: Timestamp,
    ) -> Result<Admitted, RefusedBooks> {
        let standing = self.standing(name).await?;
        let store = self.shown.clone();
        if let Some(generation) = standing.unfinished() {
            let (number, began_at) = (generation.number, generation.began_at);
            return Err(RefusedBooks::Unfinished { store, number, began_at });
        }
        let generation = standing.generation();
        let Some(file) = file else { return Ok(Admitted { generation, heads: standing.heads }) };
        match file.read()? {
            Some(watermark) => {
                if let Some((writer, head)) = self.lost(&watermark, &standing.generations).await? {
                    return Err(RefusedBooks::Behind {
                        store,
                        books: standing.latest(),
                        seen: watermark.latest(),
                        writer: writer.0,
                        block: head.number,
                        path: file.path().display().to_string(),
                    });
                }
            }
            None if standing.keeps_watermark => {
                return Err(RefusedBooks::NoWatermark {
                    store,
                    books: standing.latest(),
                    name: name.into(),
                    path: file.path().display().to_string(),
                });
            }
            None => {}
        }
        // The file first: a note in the books without a file would be taken for another machine.
        file.write(&Watermark::of(generation, &standing.heads, now))?;
        each!(self, db => db.keep_watermark(name, now).await?, ());
        Ok(Admitted { generation, heads: standing.heads })
    }

    /// A block that was seen, is not there, and is not known to be lost.
    async fn lost(
        &mut self,
        watermark: &Watermark,
        generations: &[Generation],
    ) -> Result<Option<(Writer, Head)>, RefusedBooks> {
        let heads = watermark.heads().map_err(|why| StoreError::Refused(format!("the watermark: {why}")))?;
        for (writer, head) in heads {
            let is_there = each!(self, db => db.has_block(writer, &head).await?, true);
            if !is_there && !generations.iter().any(|generation| generation.acknowledges(writer, head.at)) {
                return Ok(Some((writer, head)));
            }
        }
        Ok(None)
    }

    /// Begins another generation, or finds the one that was begun and not finished. Durable on return. Nobody is served before
    /// [`Custody::finish`].
    pub async fn begin(&mut self, restore: &Restore) -> Result<Generation, StoreError> {
        let standing = self.standing("").await?;
        match standing.unfinished() {
            Some(begun) => Ok(begun.clone()),
            None => each!(self, db => db.begin_generation(restore).await, Err(nothing_to_restore())),
        }
    }

    /// Charges whose outcome is open, or with a refund whose outcome is.
    pub async fn pending(&mut self) -> Result<Vec<Reference>, StoreError> {
        each!(self, db => db.pending().await, Ok(Vec::new()))
    }

    /// Ends the beginning of a generation: from now on it is served.
    pub async fn finish(&mut self, number: u32, at: Timestamp) -> Result<(), StoreError> {
        each!(self, db => db.finish_generation(number, at).await, Ok(()))
    }

    /// Forgets that the daemon of this name has noted how far it has seen the books. For who knows that nothing was lost but the note.
    pub async fn forget_watermark(&mut self, name: &str) -> Result<(), StoreError> {
        each!(self, db => db.forget_watermark(name).await, Ok(()))
    }
}

fn nothing_to_restore() -> StoreError {
    StoreError::Address { url: "memory:".into(), why: "what is in memory cannot be put back" }
}

#[cfg(test)]
mod tests;
