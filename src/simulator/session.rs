//! One session: reads PDUs, answers them, and sends accepted messages on their way.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use rusmpp::{
    Command, CommandId, CommandStatus, Pdu,
    pdus::{
        BindReceiverResp, BindTransceiverResp, BindTransmitterResp, DeliverSmResp, QuerySm, QuerySmResp, SubmitSm,
        SubmitSmResp,
    },
    types::{AnyOctetString, COctetString, EmptyOrFullCOctetString},
    values::InterfaceVersion,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::oneshot,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    exchange::{LinkFate, Reply, Ruling},
    links::{Link, Outgoing},
    message::MessageKey,
    receipts,
    shared::Shared,
    times,
    wire::{self, Decoded, Undecodable},
};

/// How long an `unbind` of ours is waited on before the connection is closed.
const UNBIND_PATIENCE: Duration = Duration::from_secs(1);

/// The session states of SMPP 3.4, section 2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Bound { transmits: bool },
    Unbinding,
}

/// One session. It lives as long as its connection.
pub(super) struct Session {
    shared: Arc<Shared>,
    link: Arc<Link>,
    state: State,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, link: Arc<Link>) -> Session {
        Session { shared, link, state: State::Open }
    }

    /// Reads PDUs until the client hangs up or the stream cannot be read on. After a close was queued it waits for the
    /// writer to get there.
    pub(super) async fn read(&mut self, mut reader: impl AsyncRead + Unpin) {
        let bind_by = Instant::now() + Duration::from_millis(self.shared.config.limits.bind_within_ms);
        let mut buffer = BytesMut::with_capacity(4_096);
        loop {
            let read = match self.state {
                State::Open => timeout_at(bind_by, reader.read_buf(&mut buffer)).await.unwrap_or(Ok(0)),
                _ => reader.read_buf(&mut buffer).await,
            };
            if !matches!(read, Ok(octets) if octets > 0) {
                return;
            }
            loop {
                match wire::split(&mut buffer) {
                    Ok(Some(frame)) => self.frame(frame).await,
                    Ok(None) => break,
                    Err(error) => {
                        self.malformed(error.to_string(), &buffer);
                        self.send(wire::header_only(CommandId::GenericNack, CommandStatus::EsmeRinvcmdlen, 0)).await;
                        self.link.send(Outgoing::Close).await;
                        return std::future::pending().await;
                    }
                }
                if self.link.end.is_cancelled() {
                    return;
                }
            }
        }
    }

    async fn frame(&mut self, frame: Bytes) {
        match wire::decode(&frame) {
            Ok(Decoded { command, complaint }) => {
                if let Some(complaint) = complaint {
                    self.malformed(complaint, &frame);
                }
                self.command(command).await;
            }
            Err(Undecodable { command_id, sequence_number, reason }) => {
                self.malformed(reason, &frame);
                // A nack is never nacked, and a broken response is not answered with one.
                if CommandId::from(command_id).is_operation() {
                    self.nack(sequence_number, CommandStatus::EsmeRinvcmdlen).await;
                }
            }
        }
    }

    async fn command(&mut self, command: Command) {
        let sequence = command.sequence_number();
        let status = u32::from(command.status());
        match command.pdu() {
            Some(Pdu::BindTransmitter(bind)) => {
                let status = self.bind(&bind.system_id, &bind.password, true);
                let body = BindTransmitterResp::new(self.system_id(), Some(InterfaceVersion::Smpp3_4));
                self.bind_response(sequence, status, body, false).await;
            }
            Some(Pdu::BindReceiver(bind)) => {
                let status = self.bind(&bind.system_id, &bind.password, false);
                let body = BindReceiverResp::new(self.system_id(), Some(InterfaceVersion::Smpp3_4));
                self.bind_response(sequence, status, body, true).await;
            }
            Some(Pdu::BindTransceiver(bind)) => {
                let status = self.bind(&bind.system_id, &bind.password, true);
                let body = BindTransceiverResp::new(self.system_id(), Some(InterfaceVersion::Smpp3_4));
                self.bind_response(sequence, status, body, true).await;
            }
            Some(Pdu::SubmitSm(submit)) => self.submit(sequence, submit).await,
            Some(Pdu::QuerySm(query)) => self.query(sequence, query).await,
            Some(Pdu::EnquireLink) => {
                self.shared.exchange().stats.enquire_links += 1;
                self.send(wire::pdu(CommandStatus::EsmeRok, sequence, Pdu::EnquireLinkResp)).await;
            }
            Some(Pdu::Unbind) => {
                self.shared.exchange().stats.unbinds += 1;
                self.link.set_receives(false);
                self.state = State::Unbinding;
                self.send(wire::pdu(CommandStatus::EsmeRok, sequence, Pdu::UnbindResp)).await;
                self.link.send(Outgoing::Close).await;
            }
            Some(Pdu::UnbindResp) if self.state == State::Unbinding => self.link.send(Outgoing::Close).await,
            Some(Pdu::GenericNack) => {
                self.shared.exchange().stats.nacks += 1;
                // With sequence number 0 it belongs to nothing in particular.
                let _ = self.link.answered(sequence, status);
            }
            _ if command.id() == CommandId::DeliverSmResp => self.response(sequence, status),
            _ if command.id() == CommandId::EnquireLinkResp => {}
            _ if command.id().is_operation() => self.nack(sequence, CommandStatus::EsmeRinvcmdid).await,
            _ => self.shared.exchange().stats.responses_unexpected += 1,
        }
    }

    /// Who may bind. Returns the status, and changes the state if that is ROK.
    fn bind(
        &mut self,
        system_id: &COctetString<1, 16>,
        password: &COctetString<1, 9>,
        transmits: bool,
    ) -> CommandStatus {
        let config = &self.shared.config;
        let status = if self.state != State::Open {
            CommandStatus::EsmeRalybnd
        } else if system_id.as_str() != config.system_id {
            CommandStatus::EsmeRinvsysid
        } else if password.as_str() != config.password {
            CommandStatus::EsmeRinvpaswd
        } else {
            CommandStatus::EsmeRok
        };
        let mut exchange = self.shared.exchange();
        if status == CommandStatus::EsmeRok {
            exchange.stats.binds += 1;
            self.state = State::Bound { transmits };
        } else {
            exchange.stats.binds_refused += 1;
        }
        status
    }

    async fn bind_response(&self, sequence: u32, status: CommandStatus, body: impl Into<Pdu>, receives: bool) {
        let body = body.into();
        if status == CommandStatus::EsmeRok {
            self.send(wire::pdu(status, sequence, body)).await;
            // Only now: no deliver_sm may come before the bind response.
            self.link.set_receives(receives);
            self.shared.links.bound();
        } else {
            self.send(wire::header_only(body.command_id(), status, sequence)).await;
        }
    }

    fn system_id(&self) -> COctetString<1, 16> {
        wire::c_string("SMSBUS-SIM")
    }

    async fn submit(&mut self, sequence: u32, submit: &SubmitSm) {
        if self.state != (State::Bound { transmits: true }) {
            let status = CommandStatus::EsmeRinvbndsts;
            return self.send(wire::header_only(CommandId::SubmitSmResp, status, sequence)).await;
        }
        let ruling = self.rule(submit);
        self.execute(sequence, ruling).await;
    }

    fn rule(&self, submit: &SubmitSm) -> Ruling {
        let now = self.shared.now();
        let open = self.link.submits_open.load(Ordering::SeqCst);
        if open >= self.shared.config.window_max {
            return self.shared.exchange().refuse_over_limit(false);
        }
        if !self.shared.within_tps() {
            return self.shared.exchange().refuse_over_limit(true);
        }
        let submission = wire::submission(submit, now);
        let mut exchange = self.shared.exchange();
        match submission {
            Ok(submission) => exchange.submit(submission, now),
            Err(unacceptable) => {
                if let Some(complaint) = unacceptable.complaint {
                    let octets = wire::pdu(CommandStatus::EsmeRok, 0, submit.clone());
                    exchange.stats.record_malformed(now, complaint, &octets);
                }
                exchange.refuse(unacceptable.status.into())
            }
        }
    }

    /// Does what was ruled: answers, now or later, and sends an accepted message on its way.
    async fn execute(&mut self, sequence: u32, ruling: Ruling) {
        match ruling.link {
            LinkFate::Stay => {}
            LinkFate::Reset => self.link.reset(),
            LinkFate::Unbind => self.unbind().await,
        }
        let answer = answer(sequence, &ruling);
        let at_once = ruling.reply_after.is_zero() && !ruling.reply_after_receipt;
        if at_once {
            for outgoing in answer {
                self.link.send(outgoing).await;
            }
            if let Some((key, delay)) = ruling.accepted {
                self.shared.spawn(Arc::clone(&self.shared).see_message_through(key, delay));
            }
            return;
        }
        self.link.submits_open.fetch_add(1, Ordering::SeqCst);
        let (shared, link) = (Arc::clone(&self.shared), Arc::clone(&self.link));
        self.shared.spawn(async move {
            let mut accepted = ruling.accepted;
            if let Some((key, delay)) = accepted.take_if(|_| ruling.reply_after_receipt) {
                receipt_first(&shared, key, delay).await;
            }
            sleep(ruling.reply_after).await;
            link.submits_open.fetch_sub(1, Ordering::SeqCst);
            for outgoing in answer {
                link.send(outgoing).await;
            }
            if let Some((key, delay)) = accepted {
                shared.see_message_through(key, delay).await;
            }
        });
    }

    /// Ends the session from our side; what is not answered stays so.
    async fn unbind(&mut self) {
        self.state = State::Unbinding;
        self.link.set_receives(false);
        self.send(wire::pdu(CommandStatus::EsmeRok, self.link.next_sequence(), Pdu::Unbind)).await;
        let link = Arc::clone(&self.link);
        self.shared.spawn(async move {
            sleep(UNBIND_PATIENCE).await;
            link.send(Outgoing::Close).await;
        });
    }

    async fn query(&self, sequence: u32, query: &QuerySm) {
        let id = query.message_id.as_str();
        let found = {
            let mut exchange = self.shared.exchange();
            exchange.stats.queries += 1;
            let key = MessageKey::from_response(id, exchange.config.message_id);
            key.and_then(|key| exchange.messages.get(key)).map(|message| {
                let final_date = message.done_at.map(|at| times::absolute(at, &exchange.zone)).unwrap_or_default();
                (final_date, receipts::on_the_wire(message.state), message.err)
            })
        };
        let octets = match found {
            Some((final_date, state, err)) => {
                let final_date = EmptyOrFullCOctetString::from_string(final_date).unwrap_or_default();
                let body = QuerySmResp::new(query.message_id.clone(), final_date, state, err);
                wire::pdu(CommandStatus::EsmeRok, sequence, body)
            }
            None => wire::header_only(CommandId::QuerySmResp, CommandStatus::EsmeRqueryfail, sequence),
        };
        self.send(octets).await;
    }

    fn response(&self, sequence: u32, status: u32) {
        if !self.link.answered(sequence, status) {
            self.shared.exchange().stats.responses_unexpected += 1;
        }
    }

    fn malformed(&self, reason: String, octets: &[u8]) {
        let now = self.shared.now();
        self.shared.exchange().stats.record_malformed(now, reason, octets);
    }

    async fn nack(&self, sequence: u32, status: CommandStatus) {
        self.send(wire::header_only(CommandId::GenericNack, status, sequence)).await;
    }

    async fn send(&self, octets: Bytes) {
        self.link.send(Outgoing::Pdu(octets)).await;
    }
}

/// Brings a message to its phone and waits until its receipts are acknowledged, but not for ever.
async fn receipt_first(shared: &Arc<Shared>, key: MessageKey, delay: Duration) {
    let (done, settled) = oneshot::channel();
    let patience = delay + 2 * Duration::from_millis(shared.config.redelivery.acknowledge_within_ms);
    let way = Arc::clone(shared).see_message_through(key, delay);
    shared.spawn(async move {
        way.await;
        let _ = done.send(());
    });
    let _ = timeout(patience, settled).await;
}

/// The octets that answer a `submit_sm`; none for silence.
fn answer(sequence: u32, ruling: &Ruling) -> Vec<Outgoing> {
    let ok = CommandStatus::EsmeRok;
    let octets = match &ruling.reply {
        Reply::Accepted { message_id } => {
            wire::pdu(ok, sequence, SubmitSmResp::new(wire::c_string(message_id), Vec::new()))
        }
        Reply::WrongType { message_id } => {
            wire::pdu(ok, sequence, DeliverSmResp::new(wire::c_string(message_id), Vec::new()))
        }
        Reply::Status(status) => wire::header_only(CommandId::SubmitSmResp, CommandStatus::from(*status), sequence),
        Reply::Nack => wire::header_only(CommandId::GenericNack, CommandStatus::EsmeRsyserr, sequence),
        Reply::Silence => return Vec::new(),
    };
    let mut answer = Vec::new();
    if ruling.garbage_first {
        answer.push(Outgoing::Pdu(garbage()));
    }
    for _ in 0..=u8::from(ruling.reply_twice) {
        answer.push(if ruling.octet_by_octet {
            Outgoing::OctetByOctet(octets.clone())
        } else {
            Outgoing::Pdu(octets.clone())
        });
    }
    answer
}

/// A well-framed PDU with a command id that SMPP does not know.
fn garbage() -> Bytes {
    let body = AnyOctetString::from_static_slice(b"\x00\xFFgarbage");
    wire::pdu(CommandStatus::EsmeRok, 0x7FFF_FFFF, Pdu::Other { command_id: CommandId::Other(0x0000_0BAD), body })
}
