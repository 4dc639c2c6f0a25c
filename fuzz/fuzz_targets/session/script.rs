//! How a script is written: one octet says what happens, the next ones how. Every string of octets is a script.

use std::time::Duration;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use smsbusd::smpp::{Bind, BindMode, SessionConfig};

/// One thing that happens.
#[derive(Debug)]
pub enum Step {
    /// A request: a message of so many octets, with so many more in a TLV.
    Submit { octets: u8, tlv_octets: u8 },
    /// A request: a query that is due after so long.
    Query { due_after: Duration },
    /// The peer writes a PDU.
    Pdu(PeerPdu),
    /// The peer writes any octets.
    Octets(Vec<u8>),
    /// At most so many of the peer's octets come in; 0 is all.
    Receive { most: u8 },
    /// At most so many octets are taken by the connection; 0 is all.
    Write { most: u8 },
    /// The owner takes at most so many events; 0 is all.
    TakeEvents { most: u8 },
    /// The owner lets the session go on with what it held back.
    Proceed,
    /// A delivered message is answered.
    Respond { which: u8, status: u8 },
    /// Time passes, and nobody looks.
    Wait(Duration),
    /// The owner looks at the clock.
    Tick,
    /// Time passes until the deadline, and the owner looks.
    TickAtDeadline,
    /// The owner brings an instant that lies before the last one.
    TickInThePast(Duration),
    /// The owner does not read.
    NotListening,
    /// The owner wants to end.
    Unbind,
    /// The connection ends.
    LinkLost,
}

/// A PDU of the peer's.
#[derive(Debug)]
pub struct PeerPdu {
    /// What it is.
    pub command: Command,
    /// `command_status`.
    pub status: u32,
    /// `sequence_number`.
    pub sequence: Sequence,
    /// What follows the header.
    pub body: Body,
}

/// Which command.
#[derive(Debug)]
pub enum Command {
    /// The response to whatever request of ours has the sequence number.
    Matching,
    /// This one.
    Id(u32),
}

/// Which sequence number.
#[derive(Debug)]
pub enum Sequence {
    /// One that we used, counted from the last.
    OfOurs(u8),
    /// This one.
    Number(u32),
}

/// The body of a PDU.
#[derive(Debug)]
pub enum Body {
    /// None.
    Empty,
    /// A message id.
    MessageId(u8),
    /// What is said of a message that was asked about.
    QueryState { state: u8 },
    /// A message, its text so many octets long.
    Message { octets: u8 },
    /// A bind response with a version.
    Version(u8),
    /// A message id, and the peer's load.
    Congestion(u8),
    /// Anything.
    Octets(Vec<u8>),
}

/// How the play ends, whatever came before.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    /// The connection is lost.
    LinkLost,
    /// We unbind, and the peer neither reads nor writes.
    UnbindUnheard,
    /// We unbind, and the peer reads all and writes nothing.
    Unbind,
    /// The peer reads all and writes nothing, for ever.
    Silence,
}

impl Ending {
    pub fn read(script: &mut Unstructured<'_>) -> Result<Ending> {
        Ok(match octet(script)? % 4 {
            0 => Ending::LinkLost,
            1 => Ending::UnbindUnheard,
            2 => Ending::Unbind,
            _ => Ending::Silence,
        })
    }
}

/// Small limits, so that a short script meets them.
pub fn config(script: &mut Unstructured<'_>) -> Result<SessionConfig> {
    let mode = match octet(script)? % 8 {
        0 => BindMode::Receiver,
        1 => BindMode::Transmitter,
        _ => BindMode::Transceiver,
    };
    let bind = Bind { mode, system_id: "bus".into(), password: "secret".into(), ..Bind::default() };
    Ok(SessionConfig {
        version_min: Some(octet(script)?).filter(|version| *version >= 0x40),
        window: usize::from(octet(script)? % 6),
        response_timeout: duration(script)?,
        bind_timeout: duration(script)?,
        enquire_after: duration(script)?,
        dead_after: duration(script)?,
        unbind_timeout: duration(script)?,
        linger: duration(script)?,
        outgoing_bytes_max: 1 + usize::from(octet(script)?) * 4,
        late_max: usize::from(octet(script)? % 4),
        unanswered_max: usize::from(octet(script)? % 5),
        events_max: usize::from(octet(script)? % 9),
        ..SessionConfig::new("fuzz", "fuzz", bind)
    })
}

impl Step {
    pub fn read(script: &mut Unstructured<'_>) -> Result<Step> {
        Ok(match octet(script)? % 20 {
            0 | 1 => Step::Submit { octets: octet(script)?, tlv_octets: octet(script)? },
            2 => Step::Query { due_after: duration(script)? },
            3..=5 => Step::Pdu(PeerPdu::read(script)?),
            6 => Step::Octets(octets(script)?),
            7 | 8 => Step::Receive { most: octet(script)? },
            9 | 10 => Step::Write { most: octet(script)? },
            11 => Step::TakeEvents { most: octet(script)? },
            12 => Step::Proceed,
            13 => Step::Respond { which: octet(script)?, status: octet(script)? },
            14 => Step::Wait(duration(script)?),
            15 => Step::Tick,
            16 => Step::TickAtDeadline,
            17 => Step::TickInThePast(duration(script)?),
            18 => Step::NotListening,
            // Rarely, or nothing would come after them.
            _ => match octet(script)? {
                0..=0x3F => Step::Unbind,
                0x40..=0x5F => Step::LinkLost,
                _ => Step::Tick,
            },
        })
    }
}

impl PeerPdu {
    fn read(script: &mut Unstructured<'_>) -> Result<PeerPdu> {
        let command = match octet(script)? % 24 {
            0..=9 => Command::Matching,
            10 => Command::Id(0x8000_0000),
            11 => Command::Id(0x8000_0001),
            12 => Command::Id(0x8000_0003),
            13 => Command::Id(0x8000_0004),
            14 => Command::Id(0x8000_0006),
            15 => Command::Id(0x8000_0009),
            16 => Command::Id(0x8000_0015),
            17 => Command::Id(0x0005),
            18 => Command::Id(0x0006),
            19 => Command::Id(0x0015),
            20 => Command::Id(0x0103),
            21 => Command::Id(0x0102),
            22 => Command::Id(0x0004),
            _ => Command::Id(word(script)?),
        };
        let status = match octet(script)? {
            0xF0.. => word(script)?,
            0xC0.. => 0,
            status => u32::from(status),
        };
        let sequence = match octet(script)? {
            which @ 0..=0x7F => Sequence::OfOurs(which),
            0xFF => Sequence::Number(word(script)?),
            small => Sequence::Number(u32::from(small) - 0x80),
        };
        let body = match octet(script)? % 8 {
            0 => Body::Empty,
            1 | 2 => Body::MessageId(octet(script)?),
            3 => Body::QueryState { state: octet(script)? },
            4 => Body::Message { octets: octet(script)? },
            5 => Body::Version(octet(script)?),
            6 => Body::Congestion(octet(script)?),
            _ => Body::Octets(octets(script)?),
        };
        Ok(PeerPdu { command, status, sequence, body })
    }
}

fn octet(script: &mut Unstructured<'_>) -> Result<u8> {
    script.arbitrary()
}

fn word(script: &mut Unstructured<'_>) -> Result<u32> {
    script.arbitrary().map(u32::from_be_bytes)
}

/// At most 255 octets, their number first.
fn octets(script: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let length = usize::from(octet(script)?).min(script.len());
    script.bytes(length).map(<[u8]>::to_vec)
}

/// At most about a second.
fn duration(script: &mut Unstructured<'_>) -> Result<Duration> {
    Ok(Duration::from_millis(u64::from(octet(script)?) * 4))
}
