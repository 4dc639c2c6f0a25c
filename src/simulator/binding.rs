//! Who may bind, and how the bind is answered.

use std::{sync::Arc, time::Duration};

use rusmpp::{
    CommandId, CommandStatus, Pdu,
    pdus::{BindReceiverResp, BindTransceiverResp, BindTransmitterResp},
    types::COctetString,
    values::InterfaceVersion,
};
use tokio::time::sleep;

use super::{
    answers::{self, SMPP_5_0},
    faults::{Fault, Strikes},
    link::Outgoing,
    links::BindMode,
    session::{Halt, Session, State},
    wire,
};

impl Session {
    /// Answers a bind, or does not.
    pub(super) async fn bind(
        &mut self,
        sequence: u32,
        mode: BindMode,
        system_id: &COctetString<1, 16>,
        password: &COctetString<1, 9>,
        version: InterfaceVersion,
    ) {
        let faults = if self.state == State::Open { self.draws(Strikes::Bind) } else { Vec::new() };
        for fault in &faults {
            match fault {
                Fault::IgnoreBind => return,
                Fault::DelayBind { ms } => sleep(Duration::from_millis(*ms)).await,
                _ => {}
            }
        }
        let status = self.status(mode, system_id, password, version.into(), &faults);
        let id = match mode {
            BindMode::Transmitter => CommandId::BindTransmitterResp,
            BindMode::Receiver => CommandId::BindReceiverResp,
            BindMode::Transceiver => CommandId::BindTransceiverResp,
        };
        if status != CommandStatus::EsmeRok {
            self.shared.exchange().stats.binds_refused += 1;
            return self.send(wire::header_only(id, status, sequence)).await;
        }
        self.shared.exchange().stats.binds += 1;
        self.state = State::Bound(mode);
        let response = match faults.contains(&Fault::BareBindResponse) {
            true => wire::header_only(id, status, sequence),
            false => wire::pdu(status, sequence, body(mode, u8::from(version))),
        };
        self.before_response(&faults).await;
        self.send(response).await;
        // Only now: no deliver_sm may come before the bind response.
        self.link.set_receives(mode.receives());
        self.shared.links.receiving();
        self.after_response(&faults);
    }

    /// Whether this bind may be. A good one counts from here on.
    fn status(
        &self,
        mode: BindMode,
        system_id: &COctetString<1, 16>,
        password: &COctetString<1, 9>,
        version: u8,
        faults: &[Fault],
    ) -> CommandStatus {
        let config = &self.shared.config;
        let refused = faults.iter().find_map(|fault| match fault {
            Fault::RefuseBind { status } => Some(CommandStatus::from(*status)),
            _ => None,
        });
        if self.state != State::Open {
            CommandStatus::EsmeRalybnd
        } else if system_id.as_str() != config.system_id {
            CommandStatus::EsmeRinvsysid
        } else if password.as_str() != config.password {
            CommandStatus::EsmeRinvpaswd
        } else if let Some(refused) = refused {
            refused
        } else if !self.shared.links.bind(&self.link, mode, version, config.binds_max) {
            CommandStatus::EsmeRalybnd
        } else {
            CommandStatus::EsmeRok
        }
    }

    async fn before_response(&self, faults: &[Fault]) {
        for fault in faults {
            match fault {
                Fault::BindInOneSegment { ms } => {
                    self.link.send(Outgoing::Gather(Duration::from_millis(*ms))).await;
                }
                Fault::EnquireLinkBeforeBindResponse => self.send(answers::enquire_link(&self.link)).await,
                _ => {}
            }
        }
    }

    fn after_response(&mut self, faults: &[Fault]) {
        for fault in faults {
            match fault {
                Fault::SilentAfterBind { ms } => self.halt = Some(Halt::Silent(Duration::from_millis(*ms))),
                Fault::ResetAfterBind { ms } => {
                    let (link, span) = (Arc::clone(&self.link), Duration::from_millis(*ms));
                    self.shared.spawn(async move {
                        sleep(span).await;
                        link.reset();
                    });
                }
                _ => {}
            }
        }
        if let Some(ms) = self.shared.config.enquire_link_every_ms {
            let (link, every) = (Arc::clone(&self.link), Duration::from_millis(ms));
            let end = self.link.end.clone();
            self.shared.spawn(end.run_until_cancelled_owned(async move {
                loop {
                    sleep(every).await;
                    if !link.is_bound() {
                        return;
                    }
                    link.send(Outgoing::Pdu(answers::enquire_link(&link))).await;
                }
            }));
        }
    }
}

fn body(mode: BindMode, version: u8) -> Pdu {
    let system_id = wire::c_string("SMSBUS-SIM");
    let version = if version >= SMPP_5_0 { InterfaceVersion::Smpp5_0 } else { InterfaceVersion::Smpp3_4 };
    match mode {
        BindMode::Transmitter => BindTransmitterResp::new(system_id, Some(version)).into(),
        BindMode::Receiver => BindReceiverResp::new(system_id, Some(version)).into(),
        BindMode::Transceiver => BindTransceiverResp::new(system_id, Some(version)).into(),
    }
}
