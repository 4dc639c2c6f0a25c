//! What a session tells its owner.

use std::time::Duration;

use thiserror::Error;

use crate::smpp::{
    decode::{DecodeError, Quirk},
    encode::EncodeError,
    framing::FramingError,
    pdu::{BindResp, DeliverSm, QueryState},
    status::CommandStatus,
};

/// Names one delivered message within its session, for [`respond`](crate::smpp::Session::respond). Not the sequence number: peers use those
/// twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId(pub(super) u64);

/// Something happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The bind was accepted; requests may be submitted.
    Bound(BindResp),
    /// The bind was refused; [`Event::Closed`] follows.
    BindRefused {
        /// Why.
        status: CommandStatus,
    },
    /// What became of a `submit_sm`: exactly one for each that was accepted.
    Outcome {
        /// The caller's token.
        token: u64,
        /// The request's sequence number.
        sequence: u32,
        /// What became of it.
        outcome: SubmitOutcome,
    },
    /// What became of a `query_sm`: exactly one for each that was accepted.
    Queried {
        /// The caller's token.
        token: u64,
        /// The request's sequence number.
        sequence: u32,
        /// What became of it.
        outcome: QueryOutcome,
    },
    /// The answer to a `submit_sm` that had been declared in doubt: at most one, and always after its outcome.
    Late {
        /// The caller's token.
        token: u64,
        /// The answer.
        answer: Answer,
    },
    /// A message for us. Answer it with [`respond`](crate::smpp::Session::respond) once it is persisted.
    Deliver {
        /// What to call it when answering.
        delivery: DeliveryId,
        /// The peer's sequence number, for the log.
        sequence: u32,
        /// The message.
        sm: Box<DeliverSm>,
    },
    /// What the SMSC says of its load, 0 to 100 (SMPP 5.0, `congestion_state`): told when it changes, and whenever it is near
    /// congestion.
    Congestion(u8),
    /// The peer departed from the protocol; the session goes on.
    Fault(Fault),
    /// The session is over. Write what [`outgoing`](crate::smpp::Session::outgoing) still has, then close the connection. It is the last event.
    Closed(Closed),
}

/// What became of a `submit_sm`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubmitOutcome {
    /// Not one byte of it was written: it did not happen.
    NotWritten {
        /// Why not.
        why: Unwritten,
    },
    /// `submit_sm_resp` came.
    Response {
        /// The SMSC's verdict.
        status: CommandStatus,
        /// The SMSC's id as it wrote it; `None` where it gave none, also with status OK.
        message_id: Option<String>,
    },
    /// `generic_nack` with its sequence number came: the SMSC did not read it as a request, so it did not happen.
    Nack {
        /// The SMSC's reason.
        status: CommandStatus,
    },
    /// A byte of it or more was written, and nobody knows what came of it.
    InDoubt {
        /// Why there is no answer.
        cause: DoubtCause,
    },
}

/// What became of a `query_sm`. A query may be asked again, so doubt and refusal are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryOutcome {
    /// The SMSC knows the message.
    State(QueryState),
    /// The SMSC answered with an error: `ESME_RQUERYFAIL` and the like say nothing of the message.
    Refused {
        /// The error.
        status: CommandStatus,
    },
    /// Not one byte of the query was written.
    NotWritten {
        /// Why not.
        why: Unwritten,
    },
    /// No readable answer came.
    Unanswered {
        /// Why.
        cause: DoubtCause,
    },
}

/// An answer of the SMSC to one `submit_sm`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// `submit_sm_resp`.
    Response {
        /// The SMSC's verdict.
        status: CommandStatus,
        /// The SMSC's id as it wrote it.
        message_id: Option<String>,
    },
    /// `generic_nack` with the request's sequence number.
    Nack {
        /// The SMSC's reason.
        status: CommandStatus,
    },
}

impl From<Answer> for SubmitOutcome {
    fn from(answer: Answer) -> SubmitOutcome {
        match answer {
            Answer::Response { status, message_id } => SubmitOutcome::Response { status, message_id },
            Answer::Nack { status } => SubmitOutcome::Nack { status },
        }
    }
}

/// Why not one byte of a request was written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unwritten {
    /// It cannot be written to the specification.
    #[error(transparent)]
    Unencodable(#[from] EncodeError),
    /// There is no bind now.
    #[error("the link is not bound")]
    NotBound,
    /// The bind is for receiving only.
    #[error("the bind is a receiver")]
    ReceiverOnly,
    /// The window is full.
    #[error("the window is full")]
    WindowFull,
    /// Too many bytes wait to be written; the peer reads slowly or not at all.
    #[error("too many bytes wait to be written")]
    OutgoingFull,
    /// It waited behind other bytes until its response was due, and was taken back.
    #[error("it waited to be written until its time was out")]
    Timeout,
    /// The connection ended before its turn to be written came.
    #[error("the link was lost before it was written")]
    LinkLost,
    /// One side unbound before its turn to be written came.
    #[error("the session was unbound before it was written")]
    Unbind,
}

/// Why nobody knows what came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum DoubtCause {
    /// No response in time.
    #[error("no response in time")]
    Timeout,
    /// The connection ended first.
    #[error("the link was lost before the response")]
    LinkLost,
    /// One side unbound first.
    #[error("the session was unbound before the response")]
    Unbind,
    /// `generic_nack` with sequence number 0: it may mean any of those in flight.
    #[error("generic_nack with sequence number 0")]
    NackZero,
    /// A response of another type came with its sequence number.
    #[error("a response of the wrong type")]
    WrongResponse,
    /// The response could not be read.
    #[error("an unreadable response")]
    UnreadableResponse,
    /// The task that owned the link ended.
    #[error("the link's task ended")]
    TaskEnded,
}

/// A departure of the peer from the protocol that does not end the session.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// A PDU that could not be read. A request was answered with `ESME_RINVCMDLEN`.
    #[error("unreadable PDU: {0}")]
    Unreadable(#[from] DecodeError),
    /// A request that we do not know, or that an SMSC has no business to send; it was answered with `generic_nack`.
    #[error("unknown command 0x{command_id:08X} (sequence {sequence})")]
    UnknownCommand {
        /// The command.
        command_id: u32,
        /// The peer's sequence number.
        sequence: u32,
    },
    /// A response to a request that was answered before, or was in doubt for too long to be remembered.
    #[error("response 0x{command_id:08X} (status {status}) to sequence {sequence}, which is no longer in flight")]
    StaleResponse {
        /// The command.
        command_id: u32,
        /// The sequence number.
        sequence: u32,
        /// What it says.
        status: CommandStatus,
        /// The message id, of a `submit_sm_resp`.
        message_id: Option<String>,
    },
    /// A response to a sequence number that we never sent.
    #[error("response 0x{command_id:08X} (status {status}) to sequence {sequence}, which was never sent")]
    UnknownSequence {
        /// The command.
        command_id: u32,
        /// The sequence number.
        sequence: u32,
        /// What it says.
        status: CommandStatus,
    },
    /// A response that does not belong to the request of its sequence number, which is now in doubt.
    #[error("response 0x{command_id:08X} to sequence {sequence}, a request of another type")]
    WrongResponse {
        /// The command.
        command_id: u32,
        /// The sequence number.
        sequence: u32,
    },
    /// `generic_nack` with sequence number 0.
    #[error("generic_nack with sequence number 0 (status {status}): {in_doubt} requests are in doubt")]
    NackZero {
        /// The peer's reason.
        status: CommandStatus,
        /// How many requests it put in doubt.
        in_doubt: usize,
    },
    /// A second bind response, or one while none was asked for.
    #[error("a bind response that was not asked for (status {status})")]
    UnexpectedBindResponse {
        /// What it says.
        status: CommandStatus,
    },
    /// A message was answered with `ESME_RX_T_APPN` because too many wait for their answer: the SMSC will deliver it again.
    #[error("a message was put off (sequence {sequence}): {unanswered} wait for their answer")]
    DeliveryPutOff {
        /// The peer's sequence number.
        sequence: u32,
        /// How many wait.
        unanswered: usize,
    },
    /// A PDU was odd but readable.
    #[error("odd {command}: {quirk:?}")]
    Quirk {
        /// The command's name.
        command: &'static str,
        /// What was odd.
        quirk: Quirk,
    },
}

impl Fault {
    /// A short name, for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Unreadable(_) => "unreadable",
            Fault::UnknownCommand { .. } => "unknown_command",
            Fault::StaleResponse { .. } => "stale_response",
            Fault::UnknownSequence { .. } => "unknown_sequence",
            Fault::WrongResponse { .. } => "wrong_response",
            Fault::NackZero { .. } => "nack_zero",
            Fault::UnexpectedBindResponse { .. } => "unexpected_bind_response",
            Fault::DeliveryPutOff { .. } => "delivery_put_off",
            Fault::Quirk { .. } => "quirk",
        }
    }
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Closed {
    /// The SMSC refused the bind.
    #[error("bind refused: {0}")]
    BindRefused(CommandStatus),
    /// The SMSC took the connection and did not answer the bind.
    #[error("no answer to the bind within {0:?}")]
    BindTimeout(Duration),
    /// The SMSC speaks an older version than the contract needs; what it does not understand it would pass over.
    #[error("the SMSC speaks SMPP version 0x{theirs:02X}, at least 0x{needed:02X} is needed")]
    VersionTooOld {
        /// The `sc_interface_version` that it told.
        theirs: u8,
        /// What is needed.
        needed: u8,
    },
    /// We unbound.
    #[error("unbound by us")]
    UnboundByUs,
    /// The SMSC unbound.
    #[error("unbound by the SMSC")]
    UnboundByPeer,
    /// Not one byte came, not even an answer to `enquire_link`: the connection is half open.
    #[error("no sign of life for {0:?}")]
    Dead(Duration),
    /// The peer did not read for so long that nothing could be written.
    #[error("nothing could be written for {0:?}")]
    WriteStalled(Duration),
    /// The byte stream cannot be followed.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// The connection ended.
    #[error("connection lost: {0}")]
    LinkLost(String),
}
