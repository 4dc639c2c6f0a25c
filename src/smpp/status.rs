//! `command_status`: what a peer says became of a request (SMPP 3.4, 5.1.3).

use std::fmt;

/// The `command_status` of a PDU. What a status means for the money is the carrier's business, not this module's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandStatus(pub u32);

impl CommandStatus {
    /// No error.
    pub const OK: CommandStatus = CommandStatus(0x00);
    /// `ESME_RINVCMDLEN`: the body is shorter than its fields.
    pub const INVALID_COMMAND_LENGTH: CommandStatus = CommandStatus(0x02);
    /// `ESME_RINVCMDID`: a command that we do not know, or that an SMSC has no business to send.
    pub const INVALID_COMMAND_ID: CommandStatus = CommandStatus(0x03);
    /// `ESME_RALYBND`: the SMSC believes that an older connection of ours is still bound.
    pub const ALREADY_BOUND: CommandStatus = CommandStatus(0x05);
    /// `ESME_RSYSERR`: system error.
    pub const SYSTEM_ERROR: CommandStatus = CommandStatus(0x08);
    /// `ESME_RMSGQFUL`: the SMSC's queue is full.
    pub const QUEUE_FULL: CommandStatus = CommandStatus(0x14);
    /// `ESME_RTHROTTLED`: we exceeded the rate that the SMSC allows.
    pub const THROTTLED: CommandStatus = CommandStatus(0x58);
    /// `ESME_RX_T_APPN`: we cannot take this message now; deliver it again later.
    pub const TEMPORARY_APP_ERROR: CommandStatus = CommandStatus(0x64);
    /// `ESME_RX_P_APPN`: we will never take this message.
    pub const PERMANENT_APP_ERROR: CommandStatus = CommandStatus(0x65);

    /// Whether this is [`CommandStatus::OK`].
    pub fn is_ok(self) -> bool {
        self == CommandStatus::OK
    }

    /// The specification's name, for a status that it names.
    pub fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0x00 => "ESME_ROK",
            0x01 => "ESME_RINVMSGLEN",
            0x02 => "ESME_RINVCMDLEN",
            0x03 => "ESME_RINVCMDID",
            0x04 => "ESME_RINVBNDSTS",
            0x05 => "ESME_RALYBND",
            0x06 => "ESME_RINVPRTFLG",
            0x07 => "ESME_RINVREGDLVFLG",
            0x08 => "ESME_RSYSERR",
            0x0A => "ESME_RINVSRCADR",
            0x0B => "ESME_RINVDSTADR",
            0x0C => "ESME_RINVMSGID",
            0x0D => "ESME_RBINDFAIL",
            0x0E => "ESME_RINVPASWD",
            0x0F => "ESME_RINVSYSID",
            0x11 => "ESME_RCANCELFAIL",
            0x13 => "ESME_RREPLACEFAIL",
            0x14 => "ESME_RMSGQFUL",
            0x15 => "ESME_RINVSERTYP",
            0x33 => "ESME_RINVNUMDESTS",
            0x34 => "ESME_RINVDLNAME",
            0x40 => "ESME_RINVDESTFLAG",
            0x42 => "ESME_RINVSUBREP",
            0x43 => "ESME_RINVESMCLASS",
            0x44 => "ESME_RCNTSUBDL",
            0x45 => "ESME_RSUBMITFAIL",
            0x48 => "ESME_RINVSRCTON",
            0x49 => "ESME_RINVSRCNPI",
            0x50 => "ESME_RINVDSTTON",
            0x51 => "ESME_RINVDSTNPI",
            0x53 => "ESME_RINVSYSTYP",
            0x54 => "ESME_RINVREPFLAG",
            0x55 => "ESME_RINVNUMMSGS",
            0x58 => "ESME_RTHROTTLED",
            0x61 => "ESME_RINVSCHED",
            0x62 => "ESME_RINVEXPIRY",
            0x63 => "ESME_RINVDFTMSGID",
            0x64 => "ESME_RX_T_APPN",
            0x65 => "ESME_RX_P_APPN",
            0x66 => "ESME_RX_R_APPN",
            0x67 => "ESME_RQUERYFAIL",
            0xC0 => "ESME_RINVOPTPARSTREAM",
            0xC1 => "ESME_ROPTPARNOTALLWD",
            0xC2 => "ESME_RINVPARLEN",
            0xC3 => "ESME_RMISSINGOPTPARAM",
            0xC4 => "ESME_RINVOPTPARAMVAL",
            0xFE => "ESME_RDELIVERYFAILURE",
            0xFF => "ESME_RUNKNOWNERR",
            _ => return None,
        })
    }
}

impl fmt::Display for CommandStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} (0x{:02X})", self.0),
            None => write!(f, "0x{:02X}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_shown_with_its_name_and_number() {
        assert_eq!(CommandStatus::THROTTLED.to_string(), "ESME_RTHROTTLED (0x58)");
        assert_eq!(CommandStatus(0x400).to_string(), "0x400");
        assert!(CommandStatus::OK.is_ok() && !CommandStatus::SYSTEM_ERROR.is_ok());
    }
}
