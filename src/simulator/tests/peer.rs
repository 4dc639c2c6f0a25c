//! A client of a few lines.

use std::{collections::VecDeque, net::SocketAddr};

use bytes::{Bytes, BytesMut};
use rusmpp::{
    Command, CommandId, CommandStatus, Pdu,
    pdus::{BindReceiver, BindTransceiver, BindTransmitter, DeliverSm, DeliverSmResp, SubmitSm},
    tlvs::{MessageSubmissionRequestTlvValue as Tlv, TlvTag, TlvValue},
    types::{AnyOctetString, OctetString},
    values::{EsmClass, InterfaceVersion, RegisteredDelivery, UserMessageReference},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{LIMIT, REFERENCE};
use crate::{
    msisdn::Msisdn,
    simulator::{Simulator, TLV_REFERENCE, TLV_TARIFF, text, wire},
};

pub(super) struct Peer {
    stream: Box<dyn Stream>,
    buffer: BytesMut,
    sequence: u32,
    /// Read while something else was waited for.
    aside: VecDeque<Command>,
}

/// Whatever the session runs over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

#[derive(Clone, Copy)]
pub(super) enum As {
    Transceiver,
    Transmitter,
    Receiver,
}

impl Peer {
    pub(super) async fn connect(simulator: &Simulator) -> Peer {
        Peer::over(tcp(simulator.smpp_address()).await.expect("the SMSC listens"))
    }

    pub(super) fn over(stream: impl Stream + 'static) -> Peer {
        Peer { stream: Box::new(stream), buffer: BytesMut::new(), sequence: 0, aside: VecDeque::new() }
    }

    pub(super) async fn bound(simulator: &Simulator) -> Peer {
        Peer::bound_as(simulator, As::Transceiver).await
    }

    pub(super) async fn bound_as(simulator: &Simulator, kind: As) -> Peer {
        let mut peer = Peer::connect(simulator).await;
        let response = peer.bind(kind, "secret").await;
        assert_eq!(response.status(), CommandStatus::EsmeRok);
        peer
    }

    pub(super) async fn bind(&mut self, kind: As, password: &str) -> Command {
        let pdu = bind(kind, password, InterfaceVersion::Smpp3_4);
        self.ask(pdu).await
    }

    /// The next PDU's octets, whatever they are.
    pub(super) async fn frame(&mut self) -> Bytes {
        assert!(self.aside.is_empty(), "what was read aside is decoded already");
        loop {
            if let Some(frame) = wire::split(&mut self.buffer).expect("a good length") {
                return frame;
            }
            let read = timeout(LIMIT, self.stream.read_buf(&mut self.buffer)).await.expect("something comes in time");
            assert_ne!(read.expect("the connection is open"), 0, "the connection is over");
        }
    }

    /// What one read of the connection gives.
    pub(super) async fn segment(&mut self) -> Vec<u8> {
        let mut octets = vec![0; 65_536];
        let length = timeout(LIMIT, self.stream.read(&mut octets)).await.expect("something comes in time");
        octets.truncate(length.expect("the connection is open"));
        octets
    }

    /// Sends a request; returns its sequence number.
    pub(super) async fn send(&mut self, pdu: impl Into<Pdu>) -> u32 {
        self.sequence += 1;
        self.send_octets(&wire::pdu(CommandStatus::EsmeRok, self.sequence, pdu)).await;
        self.sequence
    }

    pub(super) async fn send_octets(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).await.expect("the connection is open");
    }

    /// Sends a request and waits for its response, whatever comes in between.
    pub(super) async fn ask(&mut self, pdu: impl Into<Pdu>) -> Command {
        let sequence = self.send(pdu).await;
        self.response(sequence).await
    }

    pub(super) async fn response(&mut self, sequence: u32) -> Command {
        self.find(|command| command.id().is_response() && command.sequence_number() == sequence).await
    }

    /// Submits and returns the status and the message id.
    pub(super) async fn submit(&mut self, message: SubmitSm) -> (u32, String) {
        let response = self.ask(message).await;
        assert_eq!(response.id(), CommandId::SubmitSmResp);
        (response.status().into(), message_id(&response))
    }

    /// The next `deliver_sm`, unanswered.
    pub(super) async fn deliver_sm(&mut self) -> (u32, DeliverSm) {
        let command = self.find(|command| command.id() == CommandId::DeliverSm).await;
        match command.pdu() {
            Some(Pdu::DeliverSm(message)) => (command.sequence_number(), message.clone()),
            other => panic!("deliver_sm without its body: {other:?}"),
        }
    }

    /// The next `deliver_sm`, acknowledged.
    pub(super) async fn receive(&mut self) -> DeliverSm {
        let (sequence, message) = self.deliver_sm().await;
        self.acknowledge(sequence, CommandStatus::EsmeRok).await;
        message
    }

    pub(super) async fn acknowledge(&mut self, sequence: u32, status: CommandStatus) {
        self.send_octets(&wire::pdu(status, sequence, DeliverSmResp::default())).await;
    }

    /// The next PDU, whatever it is. None once the connection is over.
    pub(super) async fn next(&mut self) -> Option<Command> {
        match self.aside.pop_front() {
            Some(command) => Some(command),
            None => self.read().await.ok(),
        }
    }

    /// Reads on until the connection is over, and says how it ended: none means in order.
    pub(super) async fn end(&mut self) -> Option<std::io::ErrorKind> {
        loop {
            if let Err(error) = self.read().await {
                return error;
            }
        }
    }

    /// Whether nothing more comes for a while.
    pub(super) async fn is_quiet(&mut self) -> bool {
        self.aside.is_empty() && timeout(std::time::Duration::from_millis(100), self.read()).await.is_err()
    }

    async fn find(&mut self, wanted: impl Fn(&Command) -> bool) -> Command {
        if let Some(command) = self.aside.iter().position(&wanted).and_then(|at| self.aside.remove(at)) {
            return command;
        }
        loop {
            let command = self.read().await.expect("the connection is open");
            if wanted(&command) {
                return command;
            }
            self.aside.push_back(command);
        }
    }

    async fn read(&mut self) -> Result<Command, Option<std::io::ErrorKind>> {
        loop {
            if let Some(frame) = wire::split(&mut self.buffer).expect("a good length") {
                let decoded = wire::decode(&frame).expect("what the SMSC sends decodes strictly");
                assert_eq!(decoded.complaint, None, "{:?}", decoded.command);
                return Ok(decoded.command);
            }
            match timeout(LIMIT, self.stream.read_buf(&mut self.buffer)).await.expect("something comes in time") {
                Ok(0) => return Err(None),
                Ok(_) => {}
                Err(error) => return Err(Some(error.kind())),
            }
        }
    }
}

/// A connection without delay.
pub(super) async fn tcp(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // Else the second of two small writes waits for a delayed acknowledgement.
    stream.set_nodelay(true)?;
    Ok(stream)
}

pub(super) fn bind(kind: As, password: &str, version: InterfaceVersion) -> Pdu {
    macro_rules! bind {
        ($pdu:ident) => {
            $pdu::builder()
                .system_id(wire::c_string("smsbus"))
                .password(wire::c_string(password))
                .interface_version(version)
                .build()
                .into()
        };
    }
    match kind {
        As::Transceiver => bind!(BindTransceiver),
        As::Transmitter => bind!(BindTransmitter),
        As::Receiver => bind!(BindReceiver),
    }
}

pub(super) fn message_id(response: &Command) -> String {
    match response.pdu() {
        Some(Pdu::SubmitSmResp(body)) => body.message_id().as_str().to_owned(),
        _ => String::new(),
    }
}

/// A free message with a receipt.
pub(super) fn free(to: Msisdn, text: &str) -> SubmitSm {
    let (coding, octets) = text::encode(text);
    SubmitSm::builder()
        .source_addr(wire::c_string("2505"))
        .destination_addr(wire::c_string(&to.e164().to_string()))
        .esm_class(EsmClass::from(0))
        .registered_delivery(RegisteredDelivery::from(1))
        .data_coding(coding.into())
        .short_message(OctetString::from_vec(octets).expect("short"))
        .build()
}

/// A message that costs 80 tenge, with a receipt.
pub(super) fn charged(to: Msisdn) -> SubmitSm {
    let mut message = free(to, "SMSBUS");
    message.push_tlv(Tlv::UserMessageReference(UserMessageReference::new(77)));
    message.push_tlv(vendor(TLV_TARIFF, b"BUS_80\0"));
    message.push_tlv(vendor(TLV_REFERENCE, REFERENCE.as_bytes()));
    message
}

pub(super) fn vendor(tag: u16, octets: &[u8]) -> Tlv {
    Tlv::Other { tag: TlvTag::Other(tag), value: AnyOctetString::from_bytes(Bytes::copy_from_slice(octets)) }
}

/// What a receipt's text says.
pub(super) fn receipt_text(receipt: &DeliverSm) -> String {
    assert_eq!(u8::from(receipt.esm_class), 0x04);
    String::from_utf8(receipt.short_message().as_ref().to_vec()).expect("ASCII")
}

/// The value of a TLV, by its tag.
pub(super) fn tlv(message: &DeliverSm, tag: TlvTag) -> Option<TlvValue> {
    message.tlvs().iter().find(|tlv| tlv.tag() == tag).and_then(|tlv| tlv.value()).cloned()
}

/// One field of a receipt's text.
pub(super) fn field(receipt: &DeliverSm, name: &str) -> String {
    let text = receipt_text(receipt);
    let value = text.split_once(&format!("{name}:")).map(|(_, rest)| rest.split(' ').next().unwrap_or_default());
    value.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
}
