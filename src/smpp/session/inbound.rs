//! What the session does with each PDU that comes in.

use bytes::Bytes;

use super::{
    Answer, Closed, DeliveryId, DoubtCause, Event, Fault, QueryOutcome,
    in_flight::Kind,
    machine::{Phase, Session},
    requests::Settled,
};
use crate::smpp::{
    decode::{DecodeError, Decoded, decode},
    dissect::Direction,
    encode,
    pdu::{BindResp, DeliverSm, Header, Inbound, command},
    status::CommandStatus,
    tlv,
};

impl Session {
    /// Whether inbound PDUs are taken. Answers to the peer have as much room in the outbox again as requests have, so
    /// that responses are still read while requests fill it: or two slow readers would wait for each other.
    pub(super) fn reads_pdus(&self) -> bool {
        !self.is_closed()
            && self.events.len() < self.config.events_max.max(1)
            && self.outbox.len() < self.config.outgoing_bytes_max.saturating_mul(2)
    }

    pub(super) fn read_pdus(&mut self) {
        while self.reads_pdus() && self.read_next() {}
    }

    /// Reads everything that came, however many events wait: no more can come.
    pub(super) fn read_rest(&mut self) {
        while !self.is_closed() && self.read_next() {}
    }

    /// `false` if there is no whole PDU.
    fn read_next(&mut self) -> bool {
        match self.framer.next_pdu() {
            Ok(Some(pdu)) => {
                self.tap.pdu(Direction::Received, &self.config.name, self.now, &pdu);
                self.read_pdu(pdu);
            }
            Ok(None) => return false,
            Err(error) => {
                self.close(Closed::Framing(error));
                self.push_small(|out| encode::generic_nack(CommandStatus::INVALID_COMMAND_LENGTH, 0, out));
            }
        }
        true
    }

    fn read_pdu(&mut self, pdu: Bytes) {
        match decode(pdu) {
            Some(Ok(Decoded { header, body, quirks })) => {
                let command = command::name(header.command_id);
                self.metering.received(command);
                for quirk in quirks.iter() {
                    self.fault(Fault::Quirk { command, quirk });
                }
                self.on_pdu(header, body);
            }
            Some(Err(error)) => self.on_unreadable(error),
            None => debug_assert!(false, "a framed PDU has a header"),
        }
    }

    fn on_pdu(&mut self, header: Header, body: Inbound) {
        match body {
            Inbound::BindResp(bind) => self.on_bind_resp(header, bind),
            Inbound::SubmitSmResp { message_id, tlvs } => {
                self.on_congestion(tlvs.integer(tlv::CONGESTION_STATE));
                self.on_submit_resp(header, Answer::Response { status: header.status, message_id });
            }
            Inbound::QuerySmResp(state) => {
                let answer = match state {
                    Some(state) if header.status.is_ok() => QueryOutcome::State(state),
                    _ => QueryOutcome::Refused { status: header.status },
                };
                self.on_query_resp(header, answer);
            }
            Inbound::GenericNack => self.on_nack(header),
            Inbound::DeliverSm(sm) => self.on_deliver(header, sm),
            Inbound::EnquireLink => self.push_small(|out| encode::enquire_link_resp(header.sequence, out)),
            Inbound::EnquireLinkResp if self.in_flight.get(header.sequence).is_none() => {}
            Inbound::Unbind => self.on_unbind(header),
            Inbound::UnbindResp if matches!(self.phase, Phase::Unbinding { .. }) => self.close(Closed::UnboundByUs),
            Inbound::AlertNotification | Inbound::Outbind => {}
            Inbound::Unknown if !header.is_response() => {
                let Header { command_id, sequence, .. } = header;
                self.push_small(|out| encode::generic_nack(CommandStatus::INVALID_COMMAND_ID, sequence, out));
                self.fault(Fault::UnknownCommand { command_id, sequence });
            }
            Inbound::UnbindResp | Inbound::EnquireLinkResp | Inbound::Unknown => self.on_unmatched(header, None),
        }
    }

    /// Only one bind is ever on its way, so its response is taken even with the wrong number or of another mode: refusing
    /// it would only mean that we never bind at that SMSC.
    fn on_bind_resp(&mut self, header: Header, bind: BindResp) {
        let Phase::Binding { sequence, .. } = self.phase else {
            if self.in_flight.get(header.sequence).is_some() {
                self.on_unmatched(header, None);
            } else {
                self.fault(Fault::UnexpectedBindResponse { status: header.status });
            }
            return;
        };
        if header.sequence != sequence {
            self.fault(Fault::UnexpectedBindResponse { status: header.status });
        }
        let (theirs, needed) = (bind.sc_interface_version, self.config.version_min);
        if let (true, Some(theirs), Some(needed)) = (header.status.is_ok(), theirs, needed)
            && theirs < needed
        {
            self.close(Closed::VersionTooOld { theirs, needed });
        } else if header.status.is_ok() {
            self.phase = Phase::Bound;
            self.events.push_back(Event::Bound(bind));
        } else {
            self.refuse_bind(header.status);
        }
    }

    fn refuse_bind(&mut self, status: CommandStatus) {
        self.events.push_back(Event::BindRefused { status });
        self.close(Closed::BindRefused(status));
    }

    fn on_submit_resp(&mut self, header: Header, answer: Answer) {
        if self.is_answerable(header.sequence, Kind::Submit) {
            self.settle(header.sequence, answer.into());
        } else if let Some(token) = self.recall(header.sequence, Kind::Submit) {
            self.events.push_back(Event::Late { token, answer });
        } else {
            let message_id = match answer {
                Answer::Response { message_id, .. } => message_id,
                Answer::Nack { .. } => None,
            };
            self.on_unmatched(header, message_id);
        }
    }

    fn on_congestion(&mut self, state: Option<u32>) {
        const NEAR: u8 = 90;
        let Some(state) = state.and_then(|state| u8::try_from(state).ok()) else { return };
        if state >= NEAR || self.congestion != Some(state) {
            self.events.push_back(Event::Congestion(state));
        }
        self.congestion = Some(state);
    }

    fn on_query_resp(&mut self, header: Header, answer: QueryOutcome) {
        if self.is_answerable(header.sequence, Kind::Query) {
            self.settle(header.sequence, Settled::Queried(answer));
        } else if self.recall(header.sequence, Kind::Query).is_none() {
            self.on_unmatched(header, None);
        }
    }

    /// A nack is never answered.
    fn on_nack(&mut self, header: Header) {
        let Header { status, sequence, .. } = header;
        match self.phase {
            Phase::Binding { sequence: bind, .. } if sequence == bind || sequence == 0 => {
                return self.refuse_bind(status);
            }
            // It does not know unbind; then closing is all that is left.
            Phase::Unbinding { sequence: unbind, .. } if sequence == unbind => {
                return self.close(Closed::UnboundByUs);
            }
            _ => {}
        }
        if sequence == 0 {
            self.on_nack_zero(status);
        } else if self.in_flight.get(sequence).is_some_and(|request| request.begun) {
            self.settle(sequence, Settled::Nack(status));
        } else if let Some(token) = self.recall(sequence, Kind::Submit) {
            self.events.push_back(Event::Late { token, answer: Answer::Nack { status } });
        } else if self.recall(sequence, Kind::Query).is_none() && sequence != self.enquiry_sequence {
            self.on_unmatched(header, None);
        }
    }

    /// The peer could not even read a sequence number: any request that it has may be the one.
    fn on_nack_zero(&mut self, status: CommandStatus) {
        let sequences = self.in_flight.sequences(true);
        self.fault(Fault::NackZero { status, in_doubt: sequences.len() });
        for sequence in sequences {
            self.doubt(sequence, DoubtCause::NackZero);
        }
    }

    fn on_deliver(&mut self, header: Header, sm: Box<DeliverSm>) {
        let takes = matches!(self.phase, Phase::Binding { .. } | Phase::Bound | Phase::Draining { .. });
        let unanswered = self.unanswered.len();
        if !takes || unanswered >= self.config.unanswered_max {
            self.answer_delivery(header.command_id, header.sequence, CommandStatus::TEMPORARY_APP_ERROR);
            self.fault(Fault::DeliveryPutOff { sequence: header.sequence, unanswered });
            return;
        }
        let delivery = DeliveryId(self.next_delivery);
        self.next_delivery += 1;
        self.unanswered.insert(delivery, (header.sequence, header.command_id));
        self.events.push_back(Event::Deliver { delivery, sequence: header.sequence, sm });
    }

    /// The SMSC ends the session: it gets its answer and nothing more from us, and may still answer what it has.
    fn on_unbind(&mut self, header: Header) {
        self.push_small(|out| encode::unbind_resp(header.sequence, out));
        match self.phase {
            Phase::Binding { .. } => self.close(Closed::UnboundByPeer),
            Phase::Bound | Phase::Draining { .. } => {
                self.phase = Phase::Lingering { until: self.now + self.config.linger };
                self.withdraw_unwritten(&super::Unwritten::Unbind);
            }
            Phase::Unbinding { .. } | Phase::Lingering { .. } | Phase::Closed => {}
        }
    }

    fn on_unreadable(&mut self, error: DecodeError) {
        let Header { command_id, sequence, .. } = error.header;
        self.metering.received(command::name(command_id));
        if error.header.is_response() {
            if self.in_flight.get(sequence).is_some_and(|request| request.begun) {
                self.doubt(sequence, DoubtCause::UnreadableResponse);
            }
        } else {
            self.answer_delivery(command_id, sequence, CommandStatus::INVALID_COMMAND_LENGTH);
        }
        self.fault(Fault::Unreadable(error));
    }

    /// A response that answers no request of its kind. If it has the number of another request, nobody knows which of
    /// the two the peer meant: that request is in doubt.
    fn on_unmatched(&mut self, header: Header, message_id: Option<String>) {
        let Header { command_id, status, sequence } = header;
        let request = self.in_flight.get(sequence).copied();
        let fault = match request {
            Some(request) if request.begun => {
                self.doubt(sequence, DoubtCause::WrongResponse);
                Fault::WrongResponse { command_id, sequence }
            }
            // Not a byte of it is written, so the peer cannot mean it.
            Some(_) => Fault::UnknownSequence { command_id, sequence, status },
            None if self.in_flight.was_used(sequence) => {
                Fault::StaleResponse { command_id, sequence, status, message_id }
            }
            None => Fault::UnknownSequence { command_id, sequence, status },
        };
        self.fault(fault);
    }

    fn is_answerable(&self, sequence: u32, kind: Kind) -> bool {
        self.in_flight.get(sequence).is_some_and(|request| request.begun && request.kind == kind)
    }

    fn recall(&mut self, sequence: u32, kind: Kind) -> Option<u64> {
        self.in_flight.recall(sequence, kind)
    }
}

impl From<Answer> for Settled {
    fn from(answer: Answer) -> Settled {
        match answer {
            Answer::Response { status, message_id } => Settled::Submitted { status, message_id },
            Answer::Nack { status } => Settled::Nack(status),
        }
    }
}
