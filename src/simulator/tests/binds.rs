//! Binds: how many there may be, and how they fail.

use std::{io::ErrorKind, time::Duration};

use rusmpp::{Command, CommandId, CommandStatus, Pdu, values::InterfaceVersion};

use super::{
    peer::{As, Peer, bind, charged, free},
    *,
};

async fn with_fault(rule: FaultRule) -> Simulator {
    let simulator = start(quick()).await;
    simulator.set_fault(rule).expect("a valid rule");
    simulator
}

async fn try_bind(simulator: &Simulator) -> CommandStatus {
    Peer::connect(simulator).await.bind(As::Transceiver, "secret").await.status()
}

#[tokio::test]
async fn case_25_a_bind_is_refused_so_often_and_then_accepted() {
    let simulator = with_fault(FaultRule::next(2, Fault::RefuseBind { status: 0x0D })).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(try_bind(&simulator).await);
    }
    assert_eq!(statuses, [CommandStatus::EsmeRbindfail, CommandStatus::EsmeRbindfail, CommandStatus::EsmeRok]);
    assert_eq!(simulator.stats().binds_refused, 2);
}

#[tokio::test]
async fn case_25_the_smsc_believes_in_a_dropped_bind_for_a_while() {
    let simulator = with_fault(FaultRule::next(1, Fault::StaleBind { ms: 150 })).await;
    let peer = Peer::bound(&simulator).await;
    drop(peer);
    assert!(simulator.wait_until(LIMIT, |simulator| simulator.stats().connections_open == 0).await);
    assert_eq!(try_bind(&simulator).await, CommandStatus::EsmeRalybnd);
    tokio::time::sleep(Duration::from_millis(170)).await;
    assert_eq!(try_bind(&simulator).await, CommandStatus::EsmeRok);
}

#[tokio::test]
async fn who_unbinds_is_not_believed_in() {
    let simulator = with_fault(FaultRule::always(Fault::StaleBind { ms: 10_000 })).await;
    let mut peer = Peer::bound(&simulator).await;
    assert_eq!(peer.ask(Pdu::Unbind).await.id(), CommandId::UnbindResp);
    assert_eq!(peer.end().await, None);
    assert_eq!(try_bind(&simulator).await, CommandStatus::EsmeRok);
}

#[tokio::test]
async fn binds_are_limited_in_all_and_by_mode_and_a_stale_one_takes_a_place() {
    let binds_max = BindsMax { all: Some(3), receiver: Some(1), ..BindsMax::default() };
    let simulator = start(SimulatorConfig { binds_max, ..quick() }).await;
    let _receiver = Peer::bound_as(&simulator, As::Receiver).await;
    let mut second = Peer::connect(&simulator).await;
    assert_eq!(second.bind(As::Receiver, "secret").await.status(), CommandStatus::EsmeRalybnd);
    let transmitter = Peer::bound_as(&simulator, As::Transmitter).await;
    let _transceiver = Peer::bound(&simulator).await;
    assert_eq!(try_bind(&simulator).await, CommandStatus::EsmeRalybnd);
    simulator.set_fault(FaultRule::next(1, Fault::StaleBind { ms: 60_000 })).expect("valid");
    drop(transmitter);
    assert!(simulator.wait_until(LIMIT, |simulator| simulator.stats().faults == 1).await);
    assert_eq!(try_bind(&simulator).await, CommandStatus::EsmeRalybnd, "the stale one counts");
}

#[tokio::test]
async fn case_26_a_bind_is_never_answered_until_the_smsc_hangs_up() {
    let limits = Limits { bind_within_ms: 200, ..Limits::default() };
    let simulator = start(SimulatorConfig { limits, ..quick() }).await;
    simulator.set_fault(FaultRule::next(1, Fault::IgnoreBind)).expect("valid");
    let mut peer = Peer::connect(&simulator).await;
    peer.send(bind(As::Transceiver, "secret", InterfaceVersion::Smpp3_4)).await;
    assert!(peer.is_quiet().await);
    assert_eq!(peer.end().await, None);
    assert_eq!(simulator.stats().binds, 0);
}

#[tokio::test]
async fn case_28_an_enquire_link_comes_before_the_bind_response() {
    let simulator = with_fault(FaultRule::next(1, Fault::EnquireLinkBeforeBindResponse)).await;
    let mut peer = Peer::connect(&simulator).await;
    let sequence = peer.send(bind(As::Transceiver, "secret", InterfaceVersion::Smpp3_4)).await;
    assert_eq!(peer.next().await.map(|command| command.id()), Some(CommandId::EnquireLink));
    assert_eq!(peer.response(sequence).await.status(), CommandStatus::EsmeRok);
}

#[tokio::test]
async fn case_18_the_bind_response_and_a_deliver_sm_leave_in_one_segment() {
    let simulator = with_fault(FaultRule::next(1, Fault::BindInOneSegment { ms: 60 })).await;
    let waiting = simulator.clone();
    let report = tokio::spawn(async move { waiting.send_mo(number(1), "2505", "1234").await });
    assert!(simulator.wait_until(LIMIT, |simulator| simulator.stats().mos == 1).await);
    let mut peer = Peer::connect(&simulator).await;
    peer.send(bind(As::Transceiver, "secret", InterfaceVersion::Smpp3_4)).await;
    let mut octets = bytes::BytesMut::from(&peer.segment().await[..]);
    let mut ids = Vec::new();
    while let Some(frame) = crate::simulator::wire::split(&mut octets).expect("good lengths") {
        ids.push(frame[4..8].to_vec());
    }
    assert_eq!(ids[..2], [vec![0x80, 0, 0, 9], vec![0, 0, 0, 5]]);
    report.abort();
}

#[tokio::test]
async fn a_bind_response_can_be_bare_late_or_followed_by_a_reset() {
    let simulator = with_fault(FaultRule::next(1, Fault::BareBindResponse)).await;
    let mut peer = Peer::connect(&simulator).await;
    peer.send(bind(As::Receiver, "secret", InterfaceVersion::Smpp3_4)).await;
    assert_eq!(peer.frame().await[..], [0, 0, 0, 16, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]);

    simulator.set_fault(FaultRule::next(1, Fault::DelayBind { ms: 50 })).expect("valid");
    let asked = tokio::time::Instant::now();
    assert_eq!(try_bind(&simulator).await, CommandStatus::EsmeRok);
    assert!(asked.elapsed() >= Duration::from_millis(50));

    simulator.set_fault(FaultRule::next(1, Fault::ResetAfterBind { ms: 20 })).expect("valid");
    assert_eq!(Peer::bound(&simulator).await.end().await, Some(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn case_27_bound_and_then_silent_until_the_reset() {
    let simulator = with_fault(FaultRule::next(1, Fault::SilentAfterBind { ms: 250 })).await;
    let mut peer = Peer::bound(&simulator).await;
    peer.send(Pdu::EnquireLink).await;
    peer.send(charged(number(1))).await;
    assert!(peer.is_quiet().await);
    assert_eq!(peer.end().await, Some(ErrorKind::ConnectionReset));
    assert_eq!((simulator.stats().enquire_links, charges(&simulator)), (0, 0), "nothing was read");
}

fn sc_interface_version(response: &Command) -> Option<InterfaceVersion> {
    match response.pdu() {
        Some(Pdu::BindTransceiverResp(body)) => body.sc_interface_version(),
        other => panic!("no bind response: {other:?}"),
    }
}

#[tokio::test]
async fn an_smpp_5_client_is_told_so_pays_by_billing_identification_and_hears_of_the_load() {
    let config = SimulatorConfig { congestion_state: true, window_max: 10, ..quick() };
    let simulator = start(config).await;
    let mut peer = Peer::connect(&simulator).await;
    let bound = peer.ask(bind(As::Transceiver, "secret", InterfaceVersion::Smpp5_0)).await;
    assert_eq!(sc_interface_version(&bound), Some(InterfaceVersion::Smpp5_0));
    assert_eq!(simulator.links()[0].interface_version, 0x50);
    for billing in [&b"\x80BUS_80\0"[..], b"BUS_80"] {
        let mut message = free(number(1), "SMSBUS");
        message.push_tlv(rusmpp::tlvs::MessageSubmissionRequestTlvValue::BillingIdentification(
            rusmpp::types::OctetString::from_slice(billing).expect("short"),
        ));
        assert_eq!(peer.submit(message).await.0, 0);
    }
    assert_eq!(simulator.ledger().total(), Money::kzt(16_000));

    simulator.set_fault(FaultRule::next(1, Fault::Congestion { percent: 95 })).expect("valid");
    let mut states = Vec::new();
    for _ in 0..2 {
        let response = peer.ask(free(number(2), "x")).await;
        let Some(Pdu::SubmitSmResp(body)) = response.pdu() else { panic!("no body") };
        states.push(body.tlvs().iter().find_map(|tlv| match tlv.value() {
            Some(rusmpp::tlvs::TlvValue::CongestionState(state)) => Some(u8::from(*state)),
            _ => None,
        }));
    }
    // One message of a window of ten is a load of ten percent.
    assert_eq!(states, [Some(95), Some(10)]);
}

#[tokio::test]
async fn an_smpp_3_4_client_hears_nothing_of_smpp_5() {
    let simulator = start(SimulatorConfig { congestion_state: true, ..quick() }).await;
    let mut peer = Peer::connect(&simulator).await;
    let bound = peer.bind(As::Transceiver, "secret").await;
    assert_eq!(sc_interface_version(&bound), Some(InterfaceVersion::Smpp3_4));
    peer.send(free(number(1), "x")).await;
    assert_eq!(peer.frame().await.len(), 16 + "1000000".len() + 1);
}
