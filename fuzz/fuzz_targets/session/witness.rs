//! The promises of a session, each checked as soon as it could be broken.

use std::{collections::BTreeMap, time::Instant};

use smsbusd::smpp::{
    Answer, Closed, CommandStatus, DeliveryId, DoubtCause, Event, Fault, QueryOutcome, Session, SessionConfig,
    SubmitOutcome, Unwritten,
    pdu::{Inbound, command},
};

use crate::peer::{Pdu, Peer};

/// Events beyond the limit: of one PDU every oddity, every request, and what follows from it.
const EVENTS_BEYOND: usize = 16;
/// Of our own PDUs the largest that a script makes.
const REQUEST_OCTETS_MAX: usize = 700;
/// A `deliver_sm_resp`, and the largest answer to any PDU.
const ANSWER_OCTETS_MAX: usize = 17;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Submit,
    Query,
}

/// A request that the session accepted.
struct Request {
    kind: Kind,
    token: u64,
    octets: Vec<u8>,
    due: Instant,
    fate: Fate,
}

/// What was told of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    NotWritten,
    Answered,
    InDoubt,
    AnsweredLate,
}

pub struct Witness {
    config: SessionConfig,
    requests: BTreeMap<u32, Request>,
    /// The latest instant that the session was told.
    latest: Instant,
    closed: Option<Closed>,
    link_lost: bool,
    bound: bool,
    /// Accepted since all events were taken: each of them is one event at most.
    accepted_since: usize,
    next_delivery: Option<DeliveryId>,
    /// Answers to deliveries that must have been written or wait to be.
    delivery_answers: usize,
    nacks: usize,
}

impl Witness {
    pub fn new(config: &SessionConfig, now: Instant) -> Witness {
        Witness {
            config: config.clone(),
            requests: BTreeMap::new(),
            latest: now,
            closed: None,
            link_lost: false,
            bound: false,
            accepted_since: 0,
            next_delivery: None,
            delivery_answers: 0,
            nacks: 0,
        }
    }

    pub fn accepted(&mut self, kind: Kind, token: u64, sequence: u32, octets: Vec<u8>, due: Option<Instant>) {
        let latest_due = self.latest + self.config.response_timeout;
        let due = due.map_or(latest_due, |due| due.min(latest_due));
        let request = Request { kind, token, octets, due, fate: Fate::Open };
        assert!((1..=0x7FFF_FFFF).contains(&sequence), "sequence number {sequence}");
        assert!(self.requests.insert(sequence, request).is_none(), "the sequence number {sequence} was used twice");
        assert!(self.closed.is_none(), "a request was accepted after the end");
        self.accepted_since += 1;
    }

    pub fn saw(&mut self, now: Instant) {
        self.latest = self.latest.max(now);
    }

    pub fn latest(&self) -> Instant {
        self.latest
    }

    pub fn answered(&mut self, answered: bool) {
        self.delivery_answers += usize::from(answered);
    }

    /// The peer has read a whole PDU of ours.
    pub fn left(&mut self, pdu: &Pdu) {
        if let Some(request) = self.requests.get(&pdu.header.sequence).filter(|_| !pdu.header.is_response()) {
            assert!(request.octets == pdu.octets, "a request was written wrongly");
        }
    }

    /// What happened; a delivery that is to be answered is given back.
    pub fn event(&mut self, event: Event, peer: &Peer) -> Option<DeliveryId> {
        assert!(self.closed.is_none(), "closed is the last event");
        match event {
            Event::Outcome { token, sequence, outcome } => self.outcome(token, sequence, &outcome, peer),
            Event::Queried { token, sequence, outcome } => self.queried(token, sequence, &outcome, peer),
            Event::Late { token, answer } => self.late(token, &answer, peer),
            Event::Deliver { delivery, sequence, sm } => {
                assert!(self.next_delivery.is_none_or(|last| last < delivery), "a delivery's name was used twice");
                self.next_delivery = Some(delivery);
                let same = |body: Option<&Inbound>| matches!(body, Some(Inbound::DeliverSm(written)) if *written == sm);
                assert!(peer.has_written(sequence, |_, body| same(body)), "a message that nobody sent");
                return Some(delivery);
            }
            Event::Bound(_) => {
                assert!(!self.bound, "bound twice");
                self.bound = true;
            }
            Event::BindRefused { .. } => assert!(!self.bound, "refused after it was bound"),
            Event::Congestion(_) => {}
            Event::Fault(fault) => self.fault(&fault, peer),
            Event::Closed(why) => {
                let open = self.requests.values().filter(|request| request.fate == Fate::Open).count();
                assert_eq!(open, 0, "closed before every request had its outcome");
                self.nacks += usize::from(matches!(why, Closed::Framing(_)));
                self.closed = Some(why);
            }
        }
        None
    }

    /// How many events were taken at once, and whether none is left.
    pub fn took_events(&mut self, taken: usize, all: bool) {
        let expected = self.config.events_max.max(1) + self.config.window.max(1) + self.accepted_since;
        assert!(self.link_lost || taken <= expected + EVENTS_BEYOND, "{taken} events piled up");
        if all {
            self.accepted_since = 0;
        }
    }

    /// The connection ends: what came before still counts, so that more may happen at once than otherwise.
    pub fn link_lost(&mut self) {
        self.link_lost = true;
    }

    fn outcome(&mut self, token: u64, sequence: u32, outcome: &SubmitOutcome, peer: &Peer) {
        let fate = match outcome {
            SubmitOutcome::NotWritten { why } => {
                self.check_unwritten(sequence, why);
                Fate::NotWritten
            }
            SubmitOutcome::Response { status, message_id } => {
                assert!(has_responded(peer, sequence, *status, message_id.as_deref()), "a response that nobody sent");
                Fate::Answered
            }
            SubmitOutcome::Nack { status } => {
                assert!(has_nacked(peer, sequence, *status), "a nack that nobody sent");
                Fate::Answered
            }
            SubmitOutcome::InDoubt { cause } => {
                self.check_doubt(sequence, *cause, peer);
                Fate::InDoubt
            }
        };
        self.settle(Kind::Submit, token, sequence, fate, peer);
    }

    fn queried(&mut self, token: u64, sequence: u32, outcome: &QueryOutcome, peer: &Peer) {
        let fate = match outcome {
            QueryOutcome::NotWritten { why } => {
                self.check_unwritten(sequence, why);
                Fate::NotWritten
            }
            QueryOutcome::State(state) => {
                let same = |body: Option<&Inbound>| matches!(body, Some(Inbound::QuerySmResp(Some(s))) if s == state);
                assert!(
                    peer.has_written(sequence, |header, body| header.status.is_ok() && same(body)),
                    "an answer that nobody gave"
                );
                Fate::Answered
            }
            QueryOutcome::Refused { status } => {
                let refused = peer.has_written(sequence, |header, body| {
                    header.status == *status && matches!(body, Some(Inbound::QuerySmResp(_)))
                });
                assert!(refused || has_nacked(peer, sequence, *status), "a refusal that nobody gave");
                Fate::Answered
            }
            QueryOutcome::Unanswered { cause } => {
                self.check_doubt(sequence, *cause, peer);
                Fate::InDoubt
            }
        };
        self.settle(Kind::Query, token, sequence, fate, peer);
    }

    fn settle(&mut self, kind: Kind, token: u64, sequence: u32, fate: Fate, peer: &Peer) {
        let request = self.requests.get_mut(&sequence).expect("an outcome of what was never accepted");
        assert_eq!((request.kind, request.token), (kind, token), "the outcome of another request");
        assert_eq!(request.fate, Fate::Open, "two outcomes of one request");
        // The heart of it: "not written" is said of exactly those of which no octet was handed over.
        assert_eq!(fate == Fate::NotWritten, !peer.has_begun(sequence), "{fate:?} of request {sequence}");
        request.fate = fate;
    }

    fn late(&mut self, token: u64, answer: &Answer, peer: &Peer) {
        let named = self.requests.iter_mut().find(|(_, request)| request.token == token);
        let (sequence, request) = named.expect("late for what was never accepted");
        assert_eq!((request.kind, request.fate), (Kind::Submit, Fate::InDoubt), "late comes once, after doubt");
        request.fate = Fate::AnsweredLate;
        let sent = match answer {
            Answer::Response { status, message_id } => has_responded(peer, *sequence, *status, message_id.as_deref()),
            Answer::Nack { status } => has_nacked(peer, *sequence, *status),
        };
        assert!(sent, "a late answer that nobody sent");
    }

    fn check_unwritten(&self, sequence: u32, why: &Unwritten) {
        match why {
            Unwritten::Timeout => self.check_due(sequence),
            Unwritten::LinkLost | Unwritten::Unbind => {}
            other => panic!("{other} is no outcome of an accepted request"),
        }
    }

    fn check_doubt(&self, sequence: u32, cause: DoubtCause, peer: &Peer) {
        let is_response = |sequence| peer.has_written(sequence, |header, _| header.is_response());
        match cause {
            DoubtCause::Timeout => self.check_due(sequence),
            DoubtCause::NackZero => {
                assert!(
                    peer.has_written(0, |header, _| header.command_id == command::GENERIC_NACK),
                    "no nack of number 0"
                );
            }
            DoubtCause::WrongResponse => assert!(is_response(sequence), "no wrong response came"),
            DoubtCause::UnreadableResponse => {
                let unreadable = peer.has_written(sequence, |header, body| header.is_response() && body.is_none());
                assert!(unreadable, "no unreadable response came");
            }
            DoubtCause::LinkLost | DoubtCause::Unbind => {}
            DoubtCause::TaskEnded => panic!("a session has no task"),
        }
    }

    fn check_due(&self, sequence: u32) {
        let due = self.requests.get(&sequence).map(|request| request.due);
        assert!(due.is_some_and(|due| due <= self.latest), "timed out before its time");
    }

    fn fault(&mut self, fault: &Fault, peer: &Peer) {
        match fault {
            Fault::Unreadable(error) if !error.header.is_response() => self.delivery_answers += 1,
            Fault::DeliveryPutOff { .. } => self.delivery_answers += 1,
            Fault::UnknownCommand { command_id, sequence } => {
                assert_eq!(command_id & command::RESPONSE, 0, "a response was answered");
                assert!(peer.has_written(*sequence, |header, _| header.command_id == *command_id));
                self.nacks += 1;
            }
            Fault::NackZero { in_doubt, .. } => assert!(*in_doubt <= self.config.window.max(1)),
            _ => {}
        }
    }

    /// What holds at any time.
    pub fn look(&self, session: &Session, peer: &mut Peer) {
        let config = &self.config;
        assert!(session.in_flight() <= config.window.max(1), "more in flight than the window holds");
        assert_eq!(session.deadline().is_none(), session.is_closed(), "a deadline exactly as long as it lasts");
        assert_eq!(session.closed().is_some(), session.is_closed());
        let accepts_up_to = config.outgoing_bytes_max + REQUEST_OCTETS_MAX;
        let reads_up_to = config.outgoing_bytes_max * 2 + ANSWER_OCTETS_MAX;
        let later = (config.unanswered_max + 3) * ANSWER_OCTETS_MAX;
        let most = accepts_up_to.max(reads_up_to) + later;
        assert!(session.outgoing().len() <= most, "{} octets wait to be written", session.outgoing().len());
        if self.link_lost {
            assert!(session.outgoing().is_empty(), "nothing can be written any more");
            return;
        }
        for pdu in peer.pending(session.outgoing()) {
            if pdu.header.is_response() {
                continue;
            }
            let sequence = pdu.header.sequence;
            let is_request = matches!(pdu.header.command_id, command::SUBMIT_SM | command::QUERY_SM);
            match self.requests.get(&sequence) {
                Some(request) => {
                    assert!(request.octets == pdu.octets, "two requests go by the number {sequence}");
                    assert!(request.fate != Fate::NotWritten, "what was told to be not written is about to be");
                }
                None => assert!(!is_request, "a request that nobody made"),
            }
        }
    }

    /// All that the peer wrote was read, and all of ours has left.
    pub fn all_is_read(&self, session: &Session, peer: &Peer) {
        let is_open = |request: &&Request| request.fate == Fate::Open;
        let open = self.requests.values().filter(is_open).count();
        assert_eq!(session.in_flight(), open, "as many in flight as have no outcome");
        self.check_answers(peer);
        let enquiries = peer.written(command::ENQUIRE_LINK);
        assert_eq!(peer.answers(command::ENQUIRE_LINK | command::RESPONSE), enquiries, "each enquiry has its answer");
    }

    fn check_answers(&self, peer: &Peer) {
        let delivery_answers = [command::DELIVER_SM, command::DATA_SM].map(|id| peer.answers(id | command::RESPONSE));
        assert_eq!(delivery_answers.iter().sum::<usize>(), self.delivery_answers, "each delivery has one answer");
        assert_eq!(peer.answers(command::GENERIC_NACK), self.nacks, "each unknown command has one nack");
        let unbound = peer.answers(command::UNBIND | command::RESPONSE);
        assert!(unbound <= peer.written(command::UNBIND));
    }

    /// The session is over and all events are taken.
    pub fn ended(&self, session: &Session, peer: &mut Peer) {
        assert!(session.is_closed() && self.closed.as_ref() == session.closed(), "it does not say how it ended");
        assert_eq!(session.in_flight(), 0);
        assert!(self.requests.values().all(|request| request.fate != Fate::Open), "a request without an outcome");
        if !self.link_lost {
            let last = session.outgoing().to_vec();
            peer.read(&last, &[]);
            self.check_answers(peer);
        }
    }
}

fn has_responded(peer: &Peer, sequence: u32, status: CommandStatus, id: Option<&str>) -> bool {
    let same = |body: Option<&Inbound>| matches!(body, Some(Inbound::SubmitSmResp { message_id, .. }) if message_id.as_deref() == id);
    peer.has_written(sequence, |header, body| header.status == status && same(body))
}

fn has_nacked(peer: &Peer, sequence: u32, status: CommandStatus) -> bool {
    let is_nack = |body: Option<&Inbound>| matches!(body, Some(Inbound::GenericNack));
    peer.has_written(sequence, |header, body| header.status == status && is_nack(body))
}
