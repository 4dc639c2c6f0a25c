use std::fmt;

use thiserror::Error;

use super::{PlateError, VehicleCodeError, ZoneError};
use crate::money::MoneyError;

/// Why a catalogue cannot be read: every fault, of which at most [`CatalogueError::FAULTS_MAX`] are kept. One per line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct CatalogueError {
    /// The first of them, in the order of files and lines.
    pub faults: Vec<Fault>,
    /// How many more there are.
    pub more: usize,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{file}, line {line}{}: {reason}", column.as_ref().map(|column| format!(", {column}")).unwrap_or_default())]
pub struct Fault {
    /// `routes.csv`.
    pub file: &'static str,
    /// Counted from 1, comments and empty lines too.
    pub line: usize,
    /// The column's name; `None` if the whole line is meant.
    pub column: Option<String>,
    /// What is wrong there.
    pub reason: FaultReason,
}

/// What is wrong with a field or a line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FaultReason {
    /// Not even the names of the columns.
    #[error("the file is empty; its first line names the columns")]
    Empty,
    /// A column that the file must have.
    #[error("there is no such column")]
    MissingColumn,
    /// A column that the file must not have.
    #[error("unknown column; known are {0}")]
    UnknownColumn(String),
    /// A column named twice.
    #[error("this column is named twice")]
    RepeatedColumn,
    /// The line ends before this column.
    #[error("the line ends before this column")]
    MissingField,
    /// The line has fields after the last column.
    #[error("the line has more fields than there are columns")]
    TooManyFields,
    /// A quoted field that does not end, or goes on after its end.
    #[error("a quoted field does not end before a comma or the end of its line")]
    OpenQuote,
    /// The file is too long.
    #[error("more than {0} lines")]
    TooManyLines(usize),
    /// Empty, or over the bound.
    #[error("a text of 1 to {0} bytes without control characters is expected")]
    Text(usize),
    /// Not an id.
    #[error("an id has 1 to {0} characters: a to z, 0 to 9, dash, underscore")]
    Id(usize),
    /// Not a tax number.
    #[error("a tax number has up to {0} digits and capital letters A to Z, without blanks")]
    TaxId(usize),
    /// No IANA time zone.
    #[error("no time zone has this name; write one of the IANA's, such as Asia/Almaty")]
    TimeZone,
    /// Not a number of minutes.
    #[error("a whole number of minutes from 1 to {0} is expected")]
    Minutes(u16),
    /// Neither `yes` nor `no`.
    #[error("yes or no is expected")]
    YesOrNo,
    /// Not a date.
    #[error("a date such as 2024-03-01 is expected")]
    Date,
    /// Not an amount, or not a currency.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// Nothing to pay.
    #[error("a fare must be more than 0")]
    NotPositive,
    /// Not a vehicle code.
    #[error(transparent)]
    VehicleCode(#[from] VehicleCodeError),
    /// Not a zone.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// A route with zones whose fare class has no fare for any.
    #[error("fares.csv has no fare for a zone in this fare class")]
    NoFareForAnyZone,
    /// A route without zones whose fare class has fares for zones only.
    #[error("fares.csv has fares for zones only in this fare class")]
    FaresForZonesOnly,
    /// Not a state plate.
    #[error(transparent)]
    Plate(#[from] PlateError),
    /// The same once more.
    #[error("this is already on line {0}")]
    Repeated(usize),
    /// A reference that leads nowhere.
    #[error("{file} has no such {what}")]
    Unknown {
        /// Where it should be.
        file: &'static str,
        /// What it should be.
        what: &'static str,
    },
}

impl CatalogueError {
    /// So many faults are kept; the rest are counted.
    pub const FAULTS_MAX: usize = 50;
}

impl fmt::Display for CatalogueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, fault) in self.faults.iter().enumerate() {
            let separator = if n == 0 { "" } else { "\n" };
            write!(f, "{separator}{fault}")?;
        }
        if self.more > 0 { write!(f, "\nand {} more", self.more) } else { Ok(()) }
    }
}

/// The faults found so far.
#[derive(Debug, Default)]
pub(super) struct Faults {
    kept: Vec<Fault>,
    more: usize,
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        if self.kept.len() < CatalogueError::FAULTS_MAX { self.kept.push(fault) } else { self.more += 1 }
    }

    /// Errors: the faults, if there are any.
    pub(super) fn none(&mut self) -> Result<(), CatalogueError> {
        let Faults { kept: faults, more } = std::mem::take(self);
        if faults.is_empty() { Ok(()) } else { Err(CatalogueError { faults, more }) }
    }
}
