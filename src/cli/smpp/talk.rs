//! A conversation with an SMSC: binding, asking, unbinding, and what to do with messages that come meanwhile.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::{
    target::Target,
    wire::{Heard, Kind, Wire, WireError},
};
use crate::smpp::{CommandStatus, DeliverSm, EncodeError, encode, pdu::Header, text::DefaultAlphabet};

/// Messages that wait to be looked at; more are put off.
const INBOX_MAX: usize = 64;

/// A message that came and is not answered yet.
#[derive(Debug)]
pub(super) struct Delivered {
    pub(super) header: Header,
    pub(super) sm: Box<DeliverSm>,
    pub(super) pdu: Bytes,
}

/// A conversation.
pub(super) struct Talk {
    pub(super) wire: Wire,
    pub(super) patience: Duration,
    pub(super) default_alphabet: DefaultAlphabet,
    /// Whether messages are kept to be looked at. Those that nobody keeps are put off: the daemon is to have them.
    pub(super) keeps_messages: bool,
    pub(super) inbox: Vec<Delivered>,
    /// How many messages were put off.
    pub(super) put_off: u32,
}

/// An answer and how long it took.
pub(super) type Answered = Option<(Heard, Duration)>;

impl Talk {
    /// Connects. Errors: nobody is there.
    pub(super) async fn connect(target: &Target) -> Result<Talk, String> {
        let wire = Wire::connect(&target.endpoint, target.tls.clone(), target.patience).await?;
        Ok(Talk {
            wire,
            patience: target.patience,
            default_alphabet: target.default_alphabet,
            keeps_messages: false,
            inbox: Vec::new(),
            put_off: 0,
        })
    }

    /// Binds. `None` if the SMSC does not answer.
    pub(super) async fn bind(&mut self, target: &Target) -> Result<Answered, WireError> {
        let bind = target.bind.clone();
        self.ask(|sequence, out| encode::bind(bind, sequence, out)).await
    }

    /// Unbinds. `None` if the SMSC does not answer.
    pub(super) async fn unbind(&mut self) -> Result<Answered, WireError> {
        for delivered in std::mem::take(&mut self.inbox) {
            self.put_off(delivered.header).await?;
        }
        self.ask(|sequence, out| {
            encode::unbind(sequence, out);
            Ok(())
        })
        .await
    }

    /// Asks, and waits for the answer.
    pub(super) async fn ask(
        &mut self,
        request: impl FnOnce(u32, &mut BytesMut) -> Result<(), EncodeError>,
    ) -> Result<Answered, WireError> {
        let sequence = self.wire.next_sequence();
        let begun = Instant::now();
        self.wire.send(|out| request(sequence, out)).await?;
        let until = begun + self.patience;
        while let Some(heard) = self.response(until).await? {
            // A nack without a number means whatever was asked last.
            if heard.header.sequence == sequence || heard.header.sequence == 0 {
                let took = heard.at.saturating_duration_since(begun);
                return Ok(Some((heard, took)));
            }
        }
        Ok(None)
    }

    /// The next response, to whatever; `None` if none comes until then.
    pub(super) async fn response(&mut self, until: Instant) -> Result<Option<Heard>, WireError> {
        while let Some(heard) = self.wire.next(until).await? {
            match heard {
                Heard { kind: Kind::Response(_), .. } => return Ok(Some(heard)),
                Heard { kind: Kind::Deliver(sm), header, pdu, .. } => {
                    self.delivered(Delivered { header, sm, pdu }).await?
                }
                Heard { kind: Kind::Request, .. } => {}
            }
        }
        Ok(None)
    }

    /// Waits for messages until `until`, or until one is in the inbox.
    pub(super) async fn listen(&mut self, until: Instant) -> Result<(), WireError> {
        while self.inbox.is_empty() {
            match self.wire.next(until).await? {
                None => return Ok(()),
                Some(Heard { kind: Kind::Deliver(sm), header, pdu, .. }) => {
                    self.delivered(Delivered { header, sm, pdu }).await?;
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// The SMSC is to deliver it again later.
    pub(super) async fn put_off(&mut self, header: Header) -> Result<(), WireError> {
        self.put_off += 1;
        self.wire.answer(header, CommandStatus::TEMPORARY_APP_ERROR).await
    }

    async fn delivered(&mut self, delivered: Delivered) -> Result<(), WireError> {
        if self.keeps_messages && self.inbox.len() < INBOX_MAX {
            self.inbox.push(delivered);
            Ok(())
        } else {
            self.put_off(delivered.header).await
        }
    }
}
