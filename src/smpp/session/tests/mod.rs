//! The session against a peer that is driven byte by byte.

mod binding;
mod closing;
mod properties;
mod responses;
mod traffic;

use std::time::{Duration, Instant};

use crate::smpp::{
    pdu::{Address, Bind, Header, SubmitSm, command},
    session::{Event, Session, SessionConfig, SubmitOutcome},
    wire::{resp, split},
};

/// A session, the peer's hands, and the clock.
struct Scene {
    session: Session,
    now: Instant,
}

fn config() -> SessionConfig {
    SessionConfig { window: 4, ..SessionConfig::new("test", "test", bind()) }
}

fn bind() -> Bind {
    Bind { system_id: "bus".into(), password: "secret".into(), ..Bind::default() }
}

fn message() -> SubmitSm {
    let mut sm = SubmitSm::new(Address::short_code("2505"), Address::international("77015554433"));
    sm.short_message = b"ok".as_slice().into();
    sm
}

impl Scene {
    /// The bind is written and not answered.
    fn binding(config: SessionConfig) -> Scene {
        let now = Instant::now();
        let mut scene = Scene { session: Session::new(config, now).unwrap(), now };
        let bind = scene.read();
        assert_eq!(bind.len(), 1);
        assert_eq!((bind[0].command_id, bind[0].sequence), (command::BIND_TRANSCEIVER, 1));
        scene
    }

    fn bound_with(config: SessionConfig) -> Scene {
        let mut scene = Scene::binding(config);
        scene.write(&resp(command::BIND_TRANSCEIVER, 0, 1, b"smsc\0"));
        assert!(matches!(scene.events().as_slice(), [Event::Bound(bind)] if bind.system_id == "smsc"));
        scene
    }

    fn bound() -> Scene {
        Scene::bound_with(config())
    }

    /// The peer writes.
    fn write(&mut self, bytes: &[u8]) {
        assert_eq!(self.session.receive(bytes, self.now), bytes.len());
    }

    /// The peer reads all there is.
    fn read(&mut self) -> Vec<Header> {
        let pdus = split(self.session.outgoing()).into_iter().map(|(header, _)| header).collect();
        self.session.written(self.session.outgoing().len(), self.now);
        pdus
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }

    /// The outcomes among the events.
    fn outcomes(&mut self) -> Vec<(u64, SubmitOutcome)> {
        let outcome = |event| match event {
            Event::Outcome { token, outcome, .. } => Some((token, outcome)),
            _ => None,
        };
        self.events().into_iter().filter_map(outcome).collect()
    }

    /// Submitted, not written.
    fn submit(&mut self, token: u64) -> u32 {
        self.session.submit(message(), token, self.now).unwrap()
    }

    /// Submitted and written.
    fn send(&mut self, token: u64) -> u32 {
        let sequence = self.submit(token);
        let written = self.read();
        assert_eq!(
            written.last().map(|header| (header.command_id, header.sequence)),
            Some((command::SUBMIT_SM, sequence))
        );
        sequence
    }

    /// Time passes, with every deadline on the way.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.session.deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.session.tick(self.now);
        }
        self.now = end;
    }
}

fn response(status: u32, message_id: Option<&str>) -> SubmitOutcome {
    let status = crate::smpp::CommandStatus(status);
    SubmitOutcome::Response { status, message_id: message_id.map(str::to_owned) }
}
