//! The PDUs of a carrier's running binds, readable: no password, no whole MSISDN, no text of ours.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    smpp::{
        dissect::{self, Dissection},
        tap::{Heard, Listener, Tapped},
        text::DefaultAlphabet,
    },
};

/// Which PDUs a trace has; all of them by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceFilter {
    /// Of this bind only.
    pub bind: Option<String>,
    /// Of this command only; a request's name stands for its responses too.
    pub command: Option<TracedCommand>,
}

/// A command by its name in the specification: `submit_sm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct TracedCommand(u32);

/// One line of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TraceLine {
    /// The reader was too slow, or too much went on.
    Lost {
        /// When it was noticed.
        at: Timestamp,
        /// How many PDUs are missing.
        lost: u64,
    },
    /// A PDU.
    Pdu {
        /// When it was handed to the socket, or cut out of what came.
        at: Timestamp,
        /// The bind's name among the carrier's.
        bind: String,
        /// What it says.
        #[serde(flatten)]
        pdu: Dissection,
    },
}

/// Tells the PDUs of a carrier's binds from when it was begun.
#[derive(Debug)]
pub struct Trace {
    listener: Listener,
    default: DefaultAlphabet,
    filter: TraceFilter,
    begun: (Instant, Timestamp),
}

impl Trace {
    /// `default` is what `data_coding` 0 means at this carrier, `now` what the clock shows.
    pub(super) fn new(listener: Listener, default: DefaultAlphabet, filter: TraceFilter, now: Timestamp) -> Trace {
        Trace { listener, default, filter, begun: (Instant::now(), now) }
    }

    /// The next line. `None` once the carrier's links are gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<TraceLine> {
        loop {
            match self.listener.next().await? {
                Heard::Lost(lost) => return Some(TraceLine::Lost { at: self.wall_time(Instant::now()), lost }),
                Heard::Pdu(tapped) => {
                    if let Some(line) = self.line(tapped) {
                        return Some(line);
                    }
                }
            }
        }
    }

    fn line(&self, tapped: Tapped) -> Option<TraceLine> {
        if self.filter.bind.as_ref().is_some_and(|bind| *bind != tapped.bind) {
            return None;
        }
        let pdu = tapped.dissect(self.default);
        let wanted = self.filter.command.is_none_or(|command| command.is_of(pdu.command_id));
        wanted.then(|| TraceLine::Pdu { at: self.wall_time(tapped.at), bind: tapped.bind, pdu })
    }

    fn wall_time(&self, at: Instant) -> Timestamp {
        let (instant, timestamp) = self.begun;
        timestamp.plus(at.saturating_duration_since(instant))
    }
}

impl TracedCommand {
    /// Whether a PDU is this command, or the response to it.
    fn is_of(self, command_id: u32) -> bool {
        self.0 == command_id || dissect::response_to(self.0) == Some(command_id)
    }
}

impl TryFrom<String> for TracedCommand {
    type Error = String;

    fn try_from(name: String) -> Result<TracedCommand, String> {
        let id =
            dissect::command_named(&name).ok_or("no command has this name; submit_sm is one (SMPP 3.4, section 4)")?;
        Ok(TracedCommand(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smpp::{Tap, dissect::Direction};

    const ENQUIRE_LINK: [u8; 16] = [0, 0, 0, 16, 0, 0, 0, 0x15, 0, 0, 0, 0, 0, 0, 0, 7];
    const ENQUIRE_LINK_RESP: [u8; 16] = [0, 0, 0, 16, 0x80, 0, 0, 0x15, 0, 0, 0, 0, 0, 0, 0, 7];
    const UNBIND: [u8; 16] = [0, 0, 0, 16, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 8];

    fn trace(tap: &Tap, filter: TraceFilter) -> Trace {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        Trace::new(tap.listen().unwrap(), DefaultAlphabet::default(), filter, now)
    }

    #[tokio::test]
    async fn a_filter_lets_through_one_bind_and_one_command_with_its_response() {
        let tap = Tap::default();
        let command = Some(TracedCommand::try_from("enquire_link".to_owned()).unwrap());
        let mut trace = trace(&tap, TraceFilter { bind: Some("trx".into()), command });
        tap.pdu(Direction::Sent, "other", Instant::now(), &ENQUIRE_LINK);
        tap.pdu(Direction::Sent, "trx", Instant::now(), &UNBIND);
        tap.pdu(Direction::Sent, "trx", Instant::now(), &ENQUIRE_LINK);
        tap.pdu(Direction::Received, "trx", Instant::now(), &ENQUIRE_LINK_RESP);
        drop(tap);
        let mut commands = Vec::new();
        while let Some(TraceLine::Pdu { pdu, .. }) = trace.next().await {
            commands.push(pdu.command);
        }
        assert_eq!(commands, ["enquire_link", "enquire_link_resp"]);
    }

    #[tokio::test]
    async fn a_line_is_written_and_read_back() {
        let tap = Tap::default();
        let mut trace = trace(&tap, TraceFilter::default());
        tap.pdu(Direction::Sent, "trx", trace.begun.0, &UNBIND);
        let line = trace.next().await.unwrap();
        let json = serde_json::to_string(&line).unwrap();
        let expected = r#"{"at":"2027-01-15T08:00:00.000Z","bind":"trx","direction":"sent","command":"unbind","command_id":6,"length":16,"sequence":8,"status":0,"status_name":"ESME_ROK"}"#;
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<TraceLine>(&json).unwrap(), line);
        let lost = TraceLine::Lost { at: trace.begun.1, lost: 3 };
        assert_eq!(serde_json::from_str::<TraceLine>(&serde_json::to_string(&lost).unwrap()).unwrap(), lost);
    }

    #[test]
    fn a_command_that_no_specification_has_is_refused() {
        assert!(TracedCommand::try_from("submit".to_owned()).is_err());
        assert!(TracedCommand::try_from("unknown".to_owned()).is_err());
        assert!(TracedCommand::try_from("generic_nack".to_owned()).is_ok());
    }
}
