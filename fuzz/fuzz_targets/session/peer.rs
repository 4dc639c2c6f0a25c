//! The peer's end of the connection: what it has read of ours, and what it has written and we have not read.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use smsbusd::smpp::{
    CommandStatus,
    decode::{Decoded, decode},
    framing::Framer,
    pdu::{Header, Inbound, command},
};

use crate::script::{Body, Command, PeerPdu, Sequence};

/// A PDU of ours.
#[derive(Clone, Debug)]
pub struct Pdu {
    pub header: Header,
    pub octets: Vec<u8>,
}

#[derive(Default)]
pub struct Peer {
    /// What is read of the PDU that is not whole yet.
    unfinished: Vec<u8>,
    /// Requests of ours of which an octet was read.
    begun: BTreeSet<u32>,
    /// Requests of ours that were seen on the way, with their command.
    requests: BTreeMap<u32, u32>,
    /// How many responses of ours were read whole, by command.
    answers: BTreeMap<u32, usize>,
    /// Written by the peer, and not taken by the session.
    pub unread: Vec<u8>,
    /// Cuts what the session took, as a reference.
    framer: Framer,
    /// What the session took and may have read.
    pub heard: Vec<(Header, Option<Inbound>)>,
}

impl Peer {
    /// The connection took these octets; `rest` is what waits behind them. Gives back the PDUs that are whole now.
    pub fn read(&mut self, octets: &[u8], rest: &[u8]) -> Vec<Pdu> {
        self.unfinished.extend_from_slice(octets);
        let mut whole = Vec::new();
        while let Some(length) = command_length(&self.unfinished).filter(|length| *length <= self.unfinished.len()) {
            let octets: Vec<u8> = self.unfinished.drain(..length).collect();
            let pdu = Pdu { header: header(&octets), octets };
            self.begin(pdu.header);
            if pdu.header.is_response() {
                *self.answers.entry(pdu.header.command_id).or_default() += 1;
            }
            whole.push(pdu);
        }
        if !octets.is_empty() && !self.unfinished.is_empty() {
            self.begin(header(&[&self.unfinished, rest].concat()));
        }
        whole
    }

    fn begin(&mut self, header: Header) {
        if !header.is_response() {
            self.begun.insert(header.sequence);
        }
    }

    /// Everything of ours that is not read whole, cut into PDUs: they must be whole.
    pub fn pending(&mut self, outgoing: &[u8]) -> Vec<Pdu> {
        let octets = [&self.unfinished, outgoing].concat();
        let mut rest = octets.as_slice();
        let mut pending = Vec::new();
        while !rest.is_empty() {
            let length = command_length(rest).expect("the outgoing octets end within a length");
            assert!((16..=rest.len()).contains(&length), "the outgoing octets are not whole PDUs");
            let (pdu, behind) = rest.split_at(length);
            let pdu = Pdu { header: header(pdu), octets: pdu.to_vec() };
            if !pdu.header.is_response() {
                self.requests.insert(pdu.header.sequence, pdu.header.command_id);
            }
            pending.push(pdu);
            rest = behind;
        }
        pending
    }

    /// Whether an octet of this request was read.
    pub fn has_begun(&self, sequence: u32) -> bool {
        self.begun.contains(&sequence)
    }

    /// How many responses of this kind were read whole.
    pub fn answers(&self, command_id: u32) -> usize {
        self.answers.get(&command_id).copied().unwrap_or_default()
    }

    /// The peer writes a PDU.
    pub fn write(&mut self, pdu: &PeerPdu) {
        let sequence = match pdu.sequence {
            Sequence::Number(number) => number,
            Sequence::OfOurs(which) => {
                let from_last = usize::from(which) % self.requests.len().max(1);
                self.requests.keys().rev().nth(from_last).copied().unwrap_or_default()
            }
        };
        let command_id = match pdu.command {
            Command::Id(id) => id,
            Command::Matching => {
                self.requests.get(&sequence).copied().unwrap_or(command::SUBMIT_SM) | command::RESPONSE
            }
        };
        let body = body(&pdu.body);
        let length = u32::try_from(16 + body.len()).expect("a body is short");
        let words = [length, command_id, pdu.status, sequence];
        self.unread.extend(words.into_iter().flat_map(u32::to_be_bytes).chain(body));
    }

    /// The session took the first `count` octets of what was not read.
    pub fn taken(&mut self, count: usize) {
        let octets: Vec<u8> = self.unread.drain(..count).collect();
        let mut rest = octets.as_slice();
        loop {
            let pushed = self.framer.push(rest);
            rest = &rest[pushed..];
            while let Ok(Some(pdu)) = self.framer.next_pdu() {
                self.hear(pdu);
            }
            // Full only if the stream cannot be followed.
            if rest.is_empty() || pushed == 0 {
                return;
            }
        }
    }

    fn hear(&mut self, pdu: Bytes) {
        self.heard.push(match decode(pdu).expect("a PDU has a header") {
            Ok(Decoded { header, body, .. }) => (header, Some(body)),
            Err(error) => (error.header, None),
        });
    }

    /// Whether the session may have read a PDU with this sequence number and of this kind.
    pub fn has_written(&self, sequence: u32, fits: impl Fn(&Header, Option<&Inbound>) -> bool) -> bool {
        self.heard.iter().any(|(header, body)| header.sequence == sequence && fits(header, body.as_ref()))
    }

    /// How many PDUs with this command the session may have read.
    pub fn written(&self, command_id: u32) -> usize {
        self.heard.iter().filter(|(header, _)| header.command_id == command_id).count()
    }
}

fn command_length(octets: &[u8]) -> Option<usize> {
    octets.first_chunk::<4>().map(|length| u32::from_be_bytes(*length) as usize)
}

fn header(pdu: &[u8]) -> Header {
    let word = |at: usize| u32::from_be_bytes(pdu[at..at + 4].try_into().expect("four octets"));
    Header { command_id: word(4), status: CommandStatus(word(8)), sequence: word(12) }
}

fn body(body: &Body) -> Vec<u8> {
    match body {
        Body::Empty => Vec::new(),
        Body::MessageId(id) => format!("id{id}\0").into_bytes(),
        Body::QueryState { state } => vec![b'i', b'd', 0, 0, *state, 0],
        Body::Message { octets } => {
            let mandatory = b"\0\x01\x0177015554433\0\x03\x002505\0\x00\x00\x00\0\0\x00\x00\x00\x00";
            let text = vec![b'1'; usize::from(*octets)];
            [mandatory.as_slice(), &[*octets], &text].concat()
        }
        Body::Version(version) => [b"smsc\0\x02\x10\x00\x01".as_slice(), &[*version]].concat(),
        Body::Congestion(state) => [b"id\0\x04\x28\x00\x01".as_slice(), &[*state]].concat(),
        Body::Octets(octets) => octets.clone(),
    }
}
