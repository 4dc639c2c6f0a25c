//! How a command ends.

use std::{fmt, process::ExitCode};

use crate::settings::Problems;

/// How a command ended that did its work. The exit status of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done. Of `ticket verify`: valid.
    Done,
    /// 3: `ticket verify`: invalid.
    Invalid,
    /// 3: `smpp probe`, `smpp send`: the SMSC refused.
    Refused,
    /// 4: `ticket verify`: expired, or for another vehicle.
    ExpiredOrOtherVehicle,
    /// 5: `ticket verify`: cannot tell. `smpp probe`, `smpp send`: something was not answered.
    CannotTell,
}

/// Why a command could not do its work: for the person at the terminal, with what to do about it.
#[derive(Debug)]
pub struct Failure {
    status: u8,
    message: String,
}

/// What comes of a command.
pub type Outcome = Result<Exit, Failure>;

/// `EX_CONFIG` of sysexits.h; systemd does not start the daemon again.
const CONFIGURATION: u8 = 78;

impl Exit {
    /// The exit status of the process.
    pub const fn status(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Invalid | Exit::Refused => 3,
            Exit::ExpiredOrOtherVehicle => 4,
            Exit::CannotTell => 5,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.status())
    }
}

impl Failure {
    /// It failed; to try again may help. Exit status 1.
    pub fn new(message: impl Into<String>) -> Failure {
        Failure { status: 1, message: message.into() }
    }

    /// The command line does not make sense. Exit status 2.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure { status: 2, message: message.into() }
    }

    /// The configuration is wrong; to try again does not help. Exit status 78.
    pub fn configuration(message: impl Into<String>) -> Failure {
        Failure { status: CONFIGURATION, message: message.into() }
    }

    /// The exit status of the process.
    pub const fn status(&self) -> u8 {
        self.status
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Failure {
        Failure::configuration(problems.to_string())
    }
}

/// Tells why a command failed, and gives the exit status of the process.
pub fn finish(outcome: Result<ExitCode, Failure>) -> ExitCode {
    match outcome {
        Ok(exit) => exit,
        Err(failure) => {
            for line in failure.message.lines() {
                eprintln!("smsbusd: {line}");
            }
            ExitCode::from(failure.status)
        }
    }
}
