//! A connection to an SMSC, driven by hand.
//!
//! The daemon's link hides what is to be seen here: it reconnects by itself, asks one enquiry at a time, and keeps connecting
//! and binding apart from nobody. So the tools write and read PDUs themselves, with the daemon's encoder, framing and decoder.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use thiserror::Error;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{timeout, timeout_at},
};

use crate::smpp::{
    CommandStatus, DeliverSm, EncodeError,
    decode::{Decoded, decode},
    dissect::{Direction, Dissection, dissect},
    encode,
    framing::{Framer, FramingError},
    pdu::{Header, Inbound, command},
    pool::{DownWhy, Endpoint, Stream, Tls, connect},
    text::DefaultAlphabet,
};

/// Bytes taken from the socket at once.
const READ_BYTES: usize = 64 * 1024;
/// How long a write may take.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no more to be had from a connection.
#[derive(Debug, Error)]
pub(super) enum WireError {
    /// The system says why.
    #[error("the connection is lost: {0}")]
    Lost(#[from] std::io::Error),
    /// The SMSC ended it.
    #[error("the SMSC closed the connection")]
    Closed,
    /// The SMSC does not read.
    #[error("the SMSC reads nothing")]
    Stalled,
    /// A PDU cannot be found in what came.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// A field cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// What came.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) header: Header,
    pub(super) at: Instant,
    pub(super) pdu: Bytes,
    pub(super) kind: Kind,
}

/// What it is, as far as the tools care.
#[derive(Debug)]
pub(super) enum Kind {
    /// The answer to a request of ours.
    Response(Inbound),
    /// A message for us, still to be answered: with [`Wire::answer`].
    Deliver(Box<DeliverSm>),
    /// Anything else that the SMSC asks or says; it is answered.
    Request,
}

/// One connection.
pub(super) struct Wire {
    stream: Stream,
    framer: Framer,
    buffer: Vec<u8>,
    sequence: u32,
}

impl Wire {
    /// Connects, in TLS if the carrier has it. Errors: nobody is there, or not in time, or not whom we trust.
    pub(super) async fn connect(endpoint: &Endpoint, tls: Option<Tls>, within: Duration) -> Result<Wire, String> {
        let connected = connect(endpoint.clone(), tls, within).await;
        let stream = connected.map_err(|why| match why {
            DownWhy::Connect(why) => format!("cannot connect to {endpoint}: {why}"),
            DownWhy::ConnectTimeout(within) => format!("cannot connect to {endpoint} within {} s", within.as_secs()),
            why => format!("cannot connect to {endpoint} in TLS: {why}"),
        })?;
        Ok(Wire { stream, framer: Framer::default(), buffer: vec![0; READ_BYTES], sequence: 0 })
    }

    /// What [`Wire::next_sequence`] will give.
    pub(super) fn upcoming_sequence(&self) -> u32 {
        self.sequence + 1
    }

    /// The number of the next request.
    pub(super) fn next_sequence(&mut self) -> u32 {
        self.sequence += 1;
        self.sequence
    }

    /// Writes whole PDUs.
    pub(super) async fn write(&mut self, pdus: &[u8]) -> Result<(), WireError> {
        match timeout(WRITE_PATIENCE, self.stream.write_all(pdus)).await {
            Ok(written) => Ok(written?),
            Err(_elapsed) => Err(WireError::Stalled),
        }
    }

    /// Writes one request, and gives its bytes.
    pub(super) async fn send(
        &mut self,
        encode: impl FnOnce(&mut BytesMut) -> Result<(), EncodeError>,
    ) -> Result<Bytes, WireError> {
        let mut pdu = BytesMut::new();
        encode(&mut pdu)?;
        self.write(&pdu).await?;
        Ok(pdu.freeze())
    }

    /// The next PDU; `None` if none comes until then. What the SMSC asks is answered, but for messages.
    pub(super) async fn next(&mut self, until: Instant) -> Result<Option<Heard>, WireError> {
        let Some(pdu) = self.next_pdu(until).await? else { return Ok(None) };
        let at = Instant::now();
        let (header, body) = match decode(pdu.clone()) {
            Some(Ok(Decoded { header, body, .. })) => (header, body),
            // A response that cannot be read is one all the same; its dissection says what is wrong.
            Some(Err(error)) => (error.header, Inbound::Unknown),
            None => return Err(WireError::Closed),
        };
        let kind = match body {
            Inbound::DeliverSm(sm) => Kind::Deliver(sm),
            body if header.is_response() => Kind::Response(body),
            body => {
                self.answer_request(header, &body).await?;
                Kind::Request
            }
        };
        Ok(Some(Heard { header, at, pdu, kind }))
    }

    /// Answers a message.
    pub(super) async fn answer(&mut self, header: Header, status: CommandStatus) -> Result<(), WireError> {
        let Header { command_id, sequence, .. } = header;
        self.send(|out| {
            match command_id {
                command::DATA_SM => encode::data_sm_resp(status, sequence, out),
                _ => encode::deliver_sm_resp(status, sequence, out),
            }
            Ok(())
        })
        .await?;
        Ok(())
    }

    async fn answer_request(&mut self, header: Header, body: &Inbound) -> Result<(), WireError> {
        let sequence = header.sequence;
        let mut answer = BytesMut::new();
        match body {
            Inbound::EnquireLink => encode::enquire_link_resp(sequence, &mut answer),
            Inbound::Unbind => encode::unbind_resp(sequence, &mut answer),
            // They have no response.
            Inbound::Outbind | Inbound::AlertNotification => {}
            _ => encode::generic_nack(CommandStatus::INVALID_COMMAND_ID, sequence, &mut answer),
        }
        self.write(&answer).await
    }

    async fn next_pdu(&mut self, until: Instant) -> Result<Option<Bytes>, WireError> {
        loop {
            if let Some(pdu) = self.framer.next_pdu()? {
                return Ok(Some(pdu));
            }
            let room = self.framer.room().min(self.buffer.len());
            let space = self.buffer.get_mut(..room).unwrap_or_default();
            let count = match timeout_at(until.into(), self.stream.read(space)).await {
                Ok(Ok(0)) => return Err(WireError::Closed),
                Ok(read) => read?,
                Err(_elapsed) => return Ok(None),
            };
            let taken = self.framer.push(self.buffer.get(..count).unwrap_or_default());
            debug_assert_eq!(taken, count, "no more is read than there is room for");
        }
    }
}

/// What we sent, for reading.
pub(super) fn sent(pdu: &[u8], default: DefaultAlphabet) -> Dissection {
    dissect(Direction::Sent, pdu, default)
}

/// What came, for reading.
pub(super) fn received(pdu: &[u8], default: DefaultAlphabet) -> Dissection {
    dissect(Direction::Received, pdu, default)
}
