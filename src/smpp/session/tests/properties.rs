//! Whatever the peer, the socket and the clock do: no panic, and one outcome for every request.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::smpp::{
    framing::Framer,
    pdu::QuerySm,
    status::CommandStatus,
    wire::{accepted, deliver, pdu},
};

/// One thing that may happen.
#[derive(Clone, Debug)]
enum Step {
    Submit,
    Query,
    Written(usize),
    Bytes(Vec<u8>),
    Accepted(u32),
    AnyPdu { command_id: u32, status: u32, sequence: u32, body: Vec<u8> },
    Deliver,
    Respond,
    Pass(u64),
    NotListening,
    Unbind,
    Lost,
}

fn step() -> impl Strategy<Value = Step> {
    let command_id = prop_oneof![
        Just(command::GENERIC_NACK),
        Just(0x8000_0001u32),
        Just(0x8000_0003),
        Just(0x8000_0004),
        Just(0x8000_0015),
        Just(command::UNBIND),
        Just(0x8000_0006),
        Just(0x8000_0009),
        Just(command::DELIVER_SM),
        Just(command::DATA_SM),
        Just(command::ENQUIRE_LINK),
        any::<u32>(),
    ];
    let any_pdu =
        (command_id, prop_oneof![Just(0u32), 0u32..0x110], 0u32..16, prop::collection::vec(any::<u8>(), 0..60))
            .prop_map(|(command_id, status, sequence, body)| Step::AnyPdu { command_id, status, sequence, body });
    prop_oneof![
        8 => Just(Step::Submit),
        2 => Just(Step::Query),
        6 => (0usize..300).prop_map(Step::Written),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Step::Bytes),
        6 => (0u32..16).prop_map(Step::Accepted),
        4 => any_pdu,
        3 => Just(Step::Deliver),
        3 => Just(Step::Respond),
        4 => (0u64..20_000).prop_map(Step::Pass),
        1 => Just(Step::NotListening),
        1 => Just(Step::Unbind),
        1 => Just(Step::Lost),
    ]
}

/// What is known of every request that was accepted.
#[derive(Default)]
struct Ledger {
    outcomes: HashMap<u64, Option<SubmitOutcome>>,
    late: HashMap<u64, u32>,
    queries: HashMap<u64, u32>,
    closed: u32,
}

impl Ledger {
    fn record(&mut self, event: Event) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.closed, 0, "closed is the last event");
        match event {
            Event::Outcome { token, outcome, .. } => {
                let known = self.outcomes.get_mut(&token);
                prop_assert!(matches!(known, Some(None)), "one outcome, of an accepted request");
                self.outcomes.insert(token, Some(outcome));
            }
            Event::Late { token, .. } => {
                let before = self.outcomes.get(&token);
                prop_assert!(matches!(before, Some(Some(SubmitOutcome::InDoubt { .. }))), "late only after doubt");
                let count = self.late.entry(token).or_default();
                *count += 1;
                prop_assert_eq!(*count, 1, "late at most once");
            }
            Event::Queried { token, .. } => *self.queries.get_mut(&token).unwrap() += 1,
            Event::Closed(_) => self.closed += 1,
            Event::Bound(_)
            | Event::BindRefused { .. }
            | Event::Deliver { .. }
            | Event::Congestion(_)
            | Event::Fault(_) => {}
        }
        Ok(())
    }
}

fn play(scene: &mut Scene, steps: Vec<Step>) -> Result<Ledger, TestCaseError> {
    let mut ledger = Ledger::default();
    let mut deliveries = Vec::new();
    let feed = |scene: &mut Scene, bytes: &[u8]| {
        let _taken = scene.session.receive(bytes, scene.now);
    };
    for (token, step) in (0u64..).zip(steps) {
        match step {
            Step::Submit => {
                if scene.session.submit(message(), token, scene.now).is_ok() {
                    ledger.outcomes.insert(token, None);
                }
            }
            Step::Query => {
                let query = QuerySm { message_id: "id".into(), source: Address::short_code("2505") };
                if scene.session.query(query, token, scene.now + Duration::from_secs(4), scene.now).is_ok() {
                    ledger.queries.insert(token, 0);
                }
            }
            Step::Written(count) => {
                let count = count.min(scene.session.outgoing().len());
                scene.session.written(count, scene.now);
            }
            Step::Bytes(bytes) => feed(scene, &bytes),
            Step::Accepted(sequence) => feed(scene, &accepted(sequence, "id")),
            Step::AnyPdu { command_id, status, sequence, body } => {
                feed(scene, &pdu(command_id, status, sequence, &body))
            }
            Step::Deliver => feed(scene, &deliver(7, b"1234")),
            Step::Respond => {
                if let Some(delivery) = deliveries.pop() {
                    scene.session.respond(delivery, CommandStatus::OK);
                }
            }
            Step::Pass(ms) => scene.pass(Duration::from_millis(ms)),
            Step::NotListening => scene.session.not_listening(scene.now),
            Step::Unbind => scene.session.unbind(scene.now),
            Step::Lost => scene.session.link_lost("lost", scene.now),
        }
        prop_assert!(scene.session.in_flight() <= config().window);
        prop_assert!(scene.session.room() <= Framer::CAPACITY);
        prop_assert!(scene.session.deadline().is_none() == scene.session.is_closed());
        for event in scene.events() {
            if let Event::Deliver { delivery, .. } = &event {
                deliveries.push(*delivery);
            }
            ledger.record(event)?;
        }
    }
    Ok(ledger)
}

proptest! {
    #[test]
    fn every_request_gets_exactly_one_outcome(steps in prop::collection::vec(step(), 1..120)) {
        let mut scene = Scene::bound();
        let mut ledger = play(&mut scene, steps)?;
        scene.session.link_lost("the end", scene.now);
        for event in scene.events() {
            ledger.record(event)?;
        }
        prop_assert_eq!(ledger.closed, 1);
        prop_assert!(ledger.outcomes.values().all(Option::is_some));
        prop_assert!(ledger.queries.values().all(|count| *count == 1));
        prop_assert_eq!(scene.session.in_flight(), 0);
    }

    #[test]
    fn arbitrary_bytes_never_make_it_panic(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20)) {
        let mut scene = Scene::binding(config());
        for chunk in chunks {
            let _taken = scene.session.receive(&chunk, scene.now);
            scene.pass(Duration::from_millis(100));
        }
    }

    /// A request is "not written" if and only if not one of its bytes was handed to the connection.
    #[test]
    fn not_written_is_said_of_exactly_the_requests_without_a_written_byte(
        requests in 1usize..4,
        written in 0usize..400,
    ) {
        let mut scene = Scene::bound();
        let mut starts = Vec::new();
        for token in 0..requests {
            starts.push(scene.session.outgoing().len());
            scene.submit(u64::try_from(token).unwrap());
        }
        let written = written.min(scene.session.outgoing().len());
        scene.session.written(written, scene.now);
        scene.session.link_lost("cut", scene.now);
        for (token, outcome) in scene.outcomes() {
            let start = starts[usize::try_from(token).unwrap()];
            let not_written = matches!(outcome, SubmitOutcome::NotWritten { .. });
            prop_assert_eq!(not_written, written <= start);
        }
    }
}
