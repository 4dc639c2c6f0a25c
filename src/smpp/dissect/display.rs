//! For a person at a terminal.

use std::fmt;

use super::dissection::{Direction, Dissection, Field, Value};
use crate::smpp::{CommandStatus, pdu::command};

/// The column of the values.
const NAME_WIDTH: usize = 29;

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Sent => "→",
            Direction::Received => "←",
        })
    }
}

/// A line for the PDU and one for each field, without a line end behind the last.
impl fmt::Display for Dissection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.direction, self.command)?;
        if self.command == "unknown" {
            write!(f, " 0x{:08X}", self.command_id)?;
        }
        write!(f, "  sequence {}", self.sequence)?;
        if self.command_id & command::RESPONSE != 0 || self.status != 0 {
            write!(f, "  {}", CommandStatus(self.status))?;
        }
        write!(f, "  {} octets", self.length)?;
        self.fields.iter().try_for_each(|field| write!(f, "\n{field}"))?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  !! {problem}"))
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.tag {
            Some(tag) => format!("0x{tag:04X} {}", self.name),
            None => self.name.to_string(),
        };
        write!(f, "  {name:NAME_WIDTH$}  {}", self.value)?;
        if let Some(meaning) = &self.meaning {
            write!(f, "  ({meaning})")?;
        }
        match &self.problem {
            Some(problem) => write!(f, "  !! {problem}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => write!(f, "{number}"),
            // Quoted, and what could play with the terminal is escaped.
            Value::Text(text) => write!(f, "{text:?}"),
            Value::Hex(hex) => f.write_str(hex),
            Value::Hidden(octets) => write!(f, "{octets} octets, not shown"),
        }
    }
}
