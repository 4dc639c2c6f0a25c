//! One session: reads PDUs, answers them, and sends accepted messages on their way.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use rusmpp::{
    Command, CommandId, CommandStatus, Pdu,
    pdus::{QuerySm, QuerySmResp, SubmitSm},
    types::EmptyOrFullCOctetString,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::oneshot,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    answers,
    faults::{Fault, Strikes},
    link::{Link, Outgoing},
    links::BindMode,
    message::MessageKey,
    rate::percent,
    receipts,
    ruling::{LinkFate, Ruling},
    shared::Shared,
    times,
    wire::{self, Decoded, Undecodable},
};

/// How long an `unbind` of ours is waited on before the connection is closed.
const UNBIND_PATIENCE: Duration = Duration::from_secs(1);

/// How long an answer is held back that is to come after the next one.
const HELD_MAX: Duration = Duration::from_millis(500);
/// `enquire_link` of ours before an answer that comes behind other PDUs.
const BULK: u32 = 10;

/// The session states of SMPP 3.4, section 2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Bound(BindMode),
    Unbinding,
}

/// Why the session does not read on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Halt {
    /// A slow reader, for so long.
    Unread(Duration),
    /// Half-open for so long, then reset.
    Silent(Duration),
}

/// One session. It lives as long as its connection.
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) link: Arc<Link>,
    pub(super) state: State,
    pub(super) halt: Option<Halt>,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, link: Arc<Link>) -> Session {
        Session { shared, link, state: State::Open, halt: None }
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
                    Ok(Some(frame)) => {
                        self.frame(frame).await;
                        self.pause().await;
                    }
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
                let unbinds = matches!(self.state, State::Bound(_))
                    && self.draws(Strikes::Malformed).contains(&Fault::UnbindOnMalformed);
                if unbinds {
                    self.unbind().await;
                } else if CommandId::from(command_id).is_operation() {
                    // A nack is never nacked, and a broken response is not answered with one.
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
                self.bind(sequence, BindMode::Transmitter, &bind.system_id, &bind.password, bind.interface_version)
                    .await;
            }
            Some(Pdu::BindReceiver(bind)) => {
                self.bind(sequence, BindMode::Receiver, &bind.system_id, &bind.password, bind.interface_version).await;
            }
            Some(Pdu::BindTransceiver(bind)) => {
                self.bind(sequence, BindMode::Transceiver, &bind.system_id, &bind.password, bind.interface_version)
                    .await;
            }
            Some(Pdu::SubmitSm(submit)) => self.submit(sequence, submit).await,
            Some(Pdu::QuerySm(query)) => self.query(sequence, query).await,
            Some(Pdu::EnquireLink) => self.enquire_link(sequence).await,
            Some(Pdu::Unbind) => {
                self.shared.exchange().stats.unbinds += 1;
                self.link.set_unbound();
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
            _ if command.id() == CommandId::EnquireLinkResp => self.shared.exchange().stats.enquire_links_answered += 1,
            _ if command.id().is_operation() => self.nack(sequence, CommandStatus::EsmeRinvcmdid).await,
            _ => self.shared.exchange().stats.responses_unexpected += 1,
        }
    }

    async fn submit(&mut self, sequence: u32, submit: &SubmitSm) {
        if !matches!(self.state, State::Bound(mode) if mode.transmits()) {
            let status = CommandStatus::EsmeRinvbndsts;
            return self.send(wire::header_only(CommandId::SubmitSmResp, status, sequence)).await;
        }
        let ruling = self.rule(submit);
        self.execute(sequence, ruling).await;
    }

    fn rule(&self, submit: &SubmitSm) -> Ruling {
        let now = self.shared.now();
        let open = self.link.submits_open.load(Ordering::SeqCst);
        let config = &self.shared.config;
        if open >= config.window_max {
            return self.shared.exchange().refuse_over_limit(false);
        }
        // Both count it.
        let (whole, own) = (self.shared.rate.allows_one(), self.link.rate.allows_one());
        if !(whole && own) {
            return self.shared.exchange().refuse_over_limit(true);
        }
        let load = config.congestion_state.then(|| self.load_percent(open));
        let submission = wire::submission(submit, config.refunds.as_ref(), self.link.id, now);
        let mut exchange = self.shared.exchange();
        let mut ruling = match submission {
            Ok(submission) => exchange.submit(submission, now),
            Err(unacceptable) => {
                if let Some(complaint) = unacceptable.complaint {
                    let octets = wire::pdu(CommandStatus::EsmeRok, 0, submit.clone());
                    exchange.stats.record_malformed(now, complaint, &octets);
                }
                exchange.refuse(unacceptable.status.into())
            }
        };
        ruling.manner.congestion = ruling.manner.congestion.or(load);
        ruling
    }

    /// The fullest of the limits that this link shares or has, in percent.
    fn load_percent(&self, open: usize) -> u8 {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let window = percent(count(open) + 1, count(self.shared.config.window_max));
        let own = window.max(self.link.rate.load_percent());
        u8::try_from(own).unwrap_or(100).max(self.shared.load_percent())
    }

    /// Does what was ruled: answers, now or later, and sends an accepted message on its way.
    async fn execute(&mut self, sequence: u32, ruling: Ruling) {
        match ruling.link {
            LinkFate::Stay => {}
            LinkFate::Reset => self.link.reset(),
            LinkFate::Unbind => self.unbind().await,
            LinkFate::Silent(span) => self.halt = Some(Halt::Silent(span)),
            LinkFate::Unread(span) => self.halt = Some(Halt::Unread(span)),
        }
        let answer = answers::to_submit(&self.link, sequence, &ruling);
        let manner = ruling.manner;
        if manner.after.is_zero() && !manner.after_receipt && !manner.after_next {
            answer_now(&self.link, answer).await;
            if let Some((key, delay)) = ruling.accepted {
                self.shared.spawn(Arc::clone(&self.shared).see_message_through(key, delay));
            }
            return;
        }
        self.link.submits_open.fetch_add(1, Ordering::SeqCst);
        let (shared, link) = (Arc::clone(&self.shared), Arc::clone(&self.link));
        self.shared.spawn(async move {
            let mut accepted = ruling.accepted;
            if let Some((key, delay)) = accepted.take_if(|_| manner.after_receipt) {
                receipt_first(&shared, key, delay).await;
            }
            sleep(manner.after).await;
            if manner.after_next {
                link.hold(answer);
                sleep(HELD_MAX).await;
                link.submits_open.fetch_sub(1, Ordering::SeqCst);
                answer_now(&link, Vec::new()).await;
            } else {
                link.submits_open.fetch_sub(1, Ordering::SeqCst);
                answer_now(&link, answer).await;
            }
            if let Some((key, delay)) = accepted {
                shared.see_message_through(key, delay).await;
            }
        });
    }

    /// Ends the session from our side; what is not answered stays so.
    async fn unbind(&mut self) {
        self.state = State::Unbinding;
        self.link.set_unbound();
        self.send(wire::pdu(CommandStatus::EsmeRok, self.link.next_sequence(), Pdu::Unbind)).await;
        let link = Arc::clone(&self.link);
        self.shared.spawn(async move {
            sleep(UNBIND_PATIENCE).await;
            link.send(Outgoing::Close).await;
        });
    }

    async fn enquire_link(&self, sequence: u32) {
        self.shared.exchange().stats.enquire_links += 1;
        let response = wire::pdu(CommandStatus::EsmeRok, sequence, Pdu::EnquireLinkResp);
        let mut late = None;
        for fault in self.draws(Strikes::EnquireLink) {
            match fault {
                Fault::IgnoreEnquireLink => return,
                Fault::NackEnquireLink => return self.nack(sequence, CommandStatus::EsmeRinvcmdid).await,
                Fault::LateEnquireLink { ms } => late = Some(Duration::from_millis(ms)),
                _ => {}
            }
        }
        let Some(late) = late else { return self.send(response).await };
        let link = Arc::clone(&self.link);
        self.shared.spawn(async move {
            for _ in 0..BULK {
                link.send(Outgoing::Pdu(answers::enquire_link(&link))).await;
                sleep(late / BULK).await;
            }
            link.send(Outgoing::Pdu(response)).await;
        });
    }

    /// Does not read on for a while, if something just now was ruled so.
    async fn pause(&mut self) {
        match self.halt.take() {
            None => {}
            Some(Halt::Unread(span)) => sleep(span).await,
            Some(Halt::Silent(span)) => {
                self.link.send(Outgoing::Silence).await;
                sleep(span).await;
                self.link.reset();
            }
        }
    }

    async fn query(&self, sequence: u32, query: &QuerySm) {
        let id = query.message_id.as_str();
        let found = {
            let mut exchange = self.shared.exchange();
            exchange.stats.queries += 1;
            let key = MessageKey::from_response(id, exchange.config.message_id);
            key.and_then(|key| exchange.messages.with_id(key)).map(|message| {
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

    pub(super) fn draws(&self, strikes: Strikes) -> Vec<Fault> {
        self.shared.exchange().draw_for_link(strikes)
    }

    fn malformed(&self, reason: String, octets: &[u8]) {
        let now = self.shared.now();
        self.shared.exchange().stats.record_malformed(now, reason, octets);
    }

    async fn nack(&self, sequence: u32, status: CommandStatus) {
        self.send(wire::header_only(CommandId::GenericNack, status, sequence)).await;
    }

    pub(super) async fn send(&self, octets: Bytes) {
        self.link.send(Outgoing::Pdu(octets)).await;
    }
}

/// Answers, and lets those answers go that waited for this one.
async fn answer_now(link: &Link, answer: Vec<Outgoing>) {
    for outgoing in answer.into_iter().chain(link.held()) {
        link.send(outgoing).await;
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
