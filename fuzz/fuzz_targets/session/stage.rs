//! Plays the script: the owner of the session, the connection, and the clock.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use smsbusd::smpp::{Address, CommandStatus, DeliveryId, QuerySm, Session, SessionConfig, SubmitSm};

use crate::{
    peer::Peer,
    script::{Ending, Step},
    witness::{Kind, Witness},
};

/// So often may the owner be woken without time passing, or time pass, before the session must have ended.
const WAKES_MAX: usize = 5_000;

pub struct Stage {
    session: Session,
    config: SessionConfig,
    peer: Peer,
    witness: Witness,
    now: Instant,
    /// Delivered and not answered.
    deliveries: Vec<DeliveryId>,
    next_token: u64,
}

impl Stage {
    pub fn new(config: SessionConfig) -> Stage {
        static BEGINNING: OnceLock<Instant> = OnceLock::new();
        // Room for instants in the past.
        let now = *BEGINNING.get_or_init(Instant::now) + Duration::from_secs(60);
        let session = Session::new(config.clone(), now).expect("the bind can be encoded");
        let mut stage = Stage {
            witness: Witness::new(&config, now),
            session,
            config,
            peer: Peer::default(),
            now,
            deliveries: Vec::new(),
            next_token: 0,
        };
        stage.look();
        stage
    }

    pub fn play(&mut self, step: Step) {
        match step {
            Step::Submit { octets, tlv_octets } => self.submit(octets, tlv_octets),
            Step::Query { due_after } => self.query(due_after),
            Step::Pdu(pdu) => self.peer.write(&pdu),
            Step::Octets(octets) => self.peer.unread.extend(octets),
            Step::Receive { most } => self.receive(most),
            Step::Write { most } => {
                self.write(most);
            }
            Step::TakeEvents { most } => {
                self.take_events(most);
            }
            Step::Proceed => self.proceed(),
            Step::Respond { which, status } => self.respond(which, status),
            Step::Wait(time) => self.now += time,
            Step::Tick => self.tick(self.now),
            Step::TickAtDeadline => {
                self.now = self.session.deadline().unwrap_or(self.now).max(self.now);
                self.tick(self.now);
            }
            Step::TickInThePast(time) => self.tick(self.now - time),
            Step::NotListening => {
                let now = self.tell();
                self.session.not_listening(now);
            }
            Step::Unbind => {
                let now = self.tell();
                self.session.unbind(now);
            }
            Step::LinkLost => self.lose_link(),
        }
        self.look();
    }

    /// Brings the play to its end, and looks back at all of it.
    pub fn end(mut self, ending: Ending) {
        self.take_events(0);
        self.settle_traffic();
        match ending {
            Ending::LinkLost => self.lose_link(),
            Ending::UnbindUnheard => self.unbind(false),
            Ending::Unbind => self.unbind(true),
            Ending::Silence => self.wait_for_the_end(true),
        }
        self.take_events(0);
        self.witness.ended(&self.session, &mut self.peer);
        // Nothing revives it.
        let _refused = self.session.submit(SubmitSm::default(), self.next_token, self.now);
        let _taken = self.session.receive(b"\0\0\0\x10\0\0\0\x15\0\0\0\0\0\0\0\x01", self.now);
        self.session.unbind(self.now);
        self.tick(self.now + Duration::from_secs(10));
        self.session.link_lost("again", self.now);
        assert!(self.session.poll_event().is_none(), "an event after the last");
        assert!(self.deliveries.iter().all(|delivery| !self.session.respond(*delivery, CommandStatus::OK)));
    }

    fn submit(&mut self, octets: u8, tlv_octets: u8) {
        let mut sm = SubmitSm::new(Address::short_code("2505"), Address::international("77015554433"));
        sm.short_message = vec![b'x'; usize::from(octets)].into();
        let sm = sm.with_tlv(0x1400, vec![0; usize::from(tlv_octets)]);
        let (token, now) = (self.token(), self.tell());
        let accepts = self.session.accepts();
        let submitted = self.session.submit(sm.clone(), token, now);
        assert_eq!(submitted.as_ref().err(), accepts.as_ref().err(), "it does as it says");
        if let Ok(sequence) = submitted {
            self.witness.accepted_submit(token, sequence, sm);
        }
    }

    fn query(&mut self, due_after: Duration) {
        let query = QuerySm { message_id: "id1".into(), source: Address::short_code("2505") };
        let (token, now) = (self.token(), self.tell());
        let due = now + due_after;
        if let Ok(sequence) = self.session.query(query.clone(), token, due, now) {
            self.witness.accepted_query(token, sequence, query, due);
        }
    }

    /// The instant that the session is told now.
    fn tell(&mut self) -> Instant {
        self.witness.saw(self.now);
        self.now
    }

    fn token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
    }

    /// An owner keeps to [`Session::room`]: without any it does not read. It may offer more than there is.
    fn receive(&mut self, most: u8) {
        let count = most_of(most, self.peer.unread.len());
        let (now, room) = (self.tell(), self.session.room());
        if room == 0 && !self.session.is_closed() {
            return self.session.not_listening(now);
        }
        let expected = if self.session.is_closed() { count } else { count.min(room) };
        let taken = self.session.receive(&self.peer.unread[..count], now);
        assert_eq!(taken, expected, "it takes what it has room for");
        self.peer.taken(taken);
    }

    fn write(&mut self, most: u8) -> usize {
        let count = most_of(most, self.session.outgoing().len());
        let octets = self.session.outgoing()[..count].to_vec();
        let now = self.tell();
        self.session.written(count, now);
        for pdu in self.peer.read(&octets, self.session.outgoing()) {
            self.witness.left(&pdu);
        }
        count
    }

    fn proceed(&mut self) {
        let now = self.tell();
        self.session.proceed(now);
    }

    fn take_events(&mut self, most: u8) -> usize {
        let most = if most == 0 { usize::MAX } else { usize::from(most) };
        let mut taken = 0;
        while taken < most
            && let Some(event) = self.session.poll_event()
        {
            taken += 1;
            self.deliveries.extend(self.witness.event(event, &self.peer));
        }
        self.witness.took_events(taken, taken < most);
        taken
    }

    fn respond(&mut self, which: u8, status: u8) {
        if self.deliveries.is_empty() {
            return;
        }
        let delivery = self.deliveries.swap_remove(usize::from(which) % self.deliveries.len());
        let closed = self.session.is_closed();
        let answered = self.session.respond(delivery, CommandStatus(u32::from(status)));
        assert_eq!(answered, !closed, "every delivery can be answered while the session lasts");
        assert!(!self.session.respond(delivery, CommandStatus::OK), "and only once");
        self.witness.answered(answered);
    }

    /// Before the deadline, the clock alone changes nothing.
    fn tick(&mut self, now: Instant) {
        let is_early = self.session.deadline().is_none_or(|deadline| deadline > now.max(self.witness.latest()));
        let before = self.shape();
        self.session.tick(now);
        self.witness.saw(now);
        if is_early {
            assert_eq!(self.shape(), before, "it did something before its deadline");
        }
        let deadline = self.session.deadline();
        assert!(
            deadline.is_none_or(|deadline| deadline >= self.witness.latest()),
            "what was due is not done: the owner would be woken for ever"
        );
    }

    /// What can be seen of the session from outside without taking events.
    fn shape(&self) -> (usize, usize, bool, bool, Option<Instant>) {
        let session = &self.session;
        (session.outgoing().len(), session.in_flight(), session.is_bound(), session.is_closed(), session.deadline())
    }

    fn lose_link(&mut self) {
        self.witness.link_lost();
        let now = self.tell();
        self.session.link_lost("lost", now);
    }

    /// Everything flows until nothing moves any more.
    fn settle_traffic(&mut self) {
        for _ in 0..WAKES_MAX {
            self.receive(0);
            self.proceed();
            let wrote = self.write(0);
            let took = self.take_events(0);
            self.look();
            if self.session.is_closed() || (self.peer.unread.is_empty() && wrote == 0 && took == 0) {
                break;
            }
        }
        if !self.session.is_closed() {
            assert!(self.peer.unread.is_empty(), "it stopped reading although nothing is in its way");
            self.witness.all_is_read(&self.session, &self.peer);
        }
    }

    fn unbind(&mut self, heard: bool) {
        let was_bound = self.session.is_bound();
        let began = self.tell();
        self.session.unbind(began);
        self.wait_for_the_end(heard);
        assert!(!was_bound || self.now <= began + self.config.unbind_timeout * 2, "unbinding took too long");
    }

    /// The peer says nothing more, and reads all or nothing.
    fn wait_for_the_end(&mut self, heard: bool) {
        let config = &self.config;
        let silence = config.enquire_after + config.dead_after;
        let leaving = config.unbind_timeout * 2 + config.linger;
        let end = self.now + config.bind_timeout + config.response_timeout + silence + leaving;
        for _ in 0..WAKES_MAX {
            let Some(deadline) = self.session.deadline() else { break };
            self.now = self.now.max(deadline);
            self.tick(self.now);
            if heard {
                self.write(0);
            }
            self.take_events(0);
            self.look();
        }
        assert!(self.session.is_closed(), "a silent peer is never left");
        assert!(self.now <= end, "a silent peer was left too late");
    }

    /// What holds at any time.
    fn look(&mut self) {
        self.witness.look(&self.session, &mut self.peer);
    }
}

/// What submitted requests and queries have in common.
impl Witness {
    fn accepted_submit(&mut self, token: u64, sequence: u32, sm: SubmitSm) {
        let mut octets = bytes::BytesMut::new();
        smsbusd::smpp::encode::submit_sm(sm, sequence, &mut octets).expect("it was encoded before");
        self.accepted(Kind::Submit, token, sequence, octets.to_vec(), None);
    }

    fn accepted_query(&mut self, token: u64, sequence: u32, query: QuerySm, due: Instant) {
        let mut octets = bytes::BytesMut::new();
        smsbusd::smpp::encode::query_sm(query, sequence, &mut octets).expect("it was encoded before");
        self.accepted(Kind::Query, token, sequence, octets.to_vec(), Some(due));
    }
}

fn most_of(most: u8, all: usize) -> usize {
    if most == 0 { all } else { all.min(usize::from(most)) }
}
