//! Callbacks that are not the carrier's, or that cannot be read: over real sockets, nothing comes of any of them.

use std::{io::Write, net::TcpStream, sync::OnceLock};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use super::world::{CARRIER, CallbackSent, Credential, Outcome, Over, Setting, Told, World, msisdn, raw};
use crate::{
    charge::{Charge, Event, EvidenceSource, Finding, Reference, State},
    simulator::{Fault, FaultRule, Operation},
};

pub(super) const ANNA: &str = "+77051111111";

pub(super) const CARRIERS: [Over; 3] =
    [Over::Camara { two_step: false }, Over::OneApi { two_step: false }, Over::Cis { two_step: false }];

/// What operators see: how often callbacks came to this.
pub(super) fn counted(outcome: &str) -> u64 {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    let handle = HANDLE.get_or_init(|| PrometheusBuilder::new().install_recorder().expect("the only recorder"));
    let line = format!("callbacks_total{{carrier=\"{CARRIER}\",outcome=\"{outcome}\"}} ");
    let text = handle.render();
    text.lines().find_map(|text| text.strip_prefix(&line)).map_or(0, |count| count.parse().expect("a count"))
}

/// A charge that the carrier never took, and of which it says nothing whatever it is asked: in doubt for as long as the test wants.
pub(super) fn in_doubt(world: &World) -> Charge {
    let silent = Fault::HttpErrorBefore { status: 503 };
    world.set_fault(FaultRule { msisdn: Some(msisdn(ANNA)), ..FaultRule::always(silent) });
    world.set_fault(FaultRule::always(silent).on(Operation::List));
    let charge = world.bought(ANNA, "1234", "k");
    assert_eq!(charge.state, State::InDoubt);
    charge
}

/// It stands where it stood: no money, no ticket, no refund, and no word of a callback in its journal, but for another amount,
/// which is a break.
pub(super) fn nothing_came_of_it(world: &World, reference: Reference) {
    let charge = world.charge(reference);
    assert_eq!((charge.state, charge.refunds.len(), world.taken(ANNA)), (State::InDoubt, 0, 0));
    let store = world.gateway().store();
    assert_eq!(world.run(store.ticket(reference)).expect("the store"), None);
    for entry in world.run(store.journal(reference)).expect("the store") {
        let Some(Event::Evidence(evidence)) = entry.event else { continue };
        let is_break =
            matches!(evidence.finding, Finding::Charged { amount: Some(amount), .. } if amount != charge.order.amount);
        assert!(evidence.source != EvidenceSource::Callback || is_break, "{evidence:?}");
    }
    assert_eq!(world.run(store.parked_count()).expect("the store"), 0);
}

#[test]
fn whoever_cannot_prove_to_be_the_carrier_is_refused_and_counted_and_nothing_comes_of_it() {
    for over in CARRIERS {
        let (status, kind) = match over {
            Over::Camara { .. } => (401, "unauthenticated"),
            Over::OneApi { .. } => (401, "credential"),
            _ => (403, "signature"),
        };
        let before = counted(kind);
        let world = World::new(Setting { over, ..Setting::default() });
        let charge = in_doubt(&world);
        for outcome in [Outcome::Charged, Outcome::NotTaken, Outcome::Refunded] {
            for shown in [Credential::None, Credential::Wrong, Credential::Elsewhere] {
                let told = Told { outcome, ..Told::charged(&charge) };
                assert_eq!(world.call_back(&told.as_sent(over, shown)), status, "{over:?} {outcome:?} {shown:?}");
            }
        }
        assert!(counted(kind) >= before + 9, "{over:?}");
        // Right, but at an address that no carrier has.
        let sent = Told::charged(&charge).as_sent(over, Credential::Right);
        assert_eq!(raw(world.callbacks_address(), &sent.bytes("nobody")), Some(404));
        nothing_came_of_it(&world, charge.reference);
    }
}

#[test]
fn what_cannot_be_read_is_refused_with_its_status() {
    for over in CARRIERS {
        let world = World::new(Setting { over, ..Setting::default() });
        let charge = in_doubt(&world);
        let sent = Told::charged(&charge).as_sent(over, Credential::Right);
        // The digest of a form is over what is broken, so it is no longer the carrier's.
        let broken = if matches!(over, Over::Cis { .. }) { 403 } else { 400 };
        let half = sent.body[..sent.body.len() / 2].to_owned();
        for body in [String::new(), half, "[".repeat(60_000), "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>".into()] {
            let shown = body.chars().take(20).collect::<String>();
            assert_eq!(world.call_back(&CallbackSent { body, ..sent.clone() }), broken, "{over:?} {shown}");
        }
        let text = String::from_utf8(sent.bytes(CARRIER)).expect("a text");
        let (head, _) = text.split_once("content-length").expect("a head");
        let not_utf_8 = [format!("{head}content-length: 4\r\n\r\n").as_bytes(), b"\xff\xfe\x00\x80"].concat();
        assert_eq!(raw(world.callbacks_address(), &not_utf_8), Some(broken), "{over:?}");
        let put = text.replacen("POST", "PUT", 1);
        assert_eq!(raw(world.callbacks_address(), put.as_bytes()), Some(405), "{over:?}");
        nothing_came_of_it(&world, charge.reference);
    }
}

#[test]
fn an_oversized_callback_is_refused_whether_it_says_its_length_or_not() {
    for over in CARRIERS {
        let world = World::new(Setting { over, ..Setting::default() });
        let charge = in_doubt(&world);
        let text = String::from_utf8(Told::charged(&charge).as_sent(over, Credential::Right).bytes(CARRIER));
        let text = text.expect("a text");
        let (head, _) = text.split_once("content-length").expect("a head");
        let declared = format!("{head}content-length: 104857600\r\n\r\n");
        assert_eq!(raw(world.callbacks_address(), declared.as_bytes()), Some(413), "{over:?}");
        let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
        let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n{}", chunk.repeat(32));
        assert_eq!(raw(world.callbacks_address(), chunked.as_bytes()), Some(413), "{over:?}");
        nothing_came_of_it(&world, charge.reference);
    }
}

#[test]
fn a_callback_in_drops_holds_up_no_other() {
    let over = CARRIERS[1];
    let world = World::new(Setting { over, ..Setting::default() });
    let charge = in_doubt(&world);
    let sent = Told::charged(&charge).as_sent(over, Credential::Wrong);
    let bytes = sent.bytes(CARRIER);
    let slow: Vec<TcpStream> = (0..64)
        .map(|_| {
            let mut stream = TcpStream::connect(world.callbacks_address()).expect("a connection");
            stream.write_all(&bytes[..bytes.len() - 5]).expect("room");
            stream
        })
        .collect();
    assert_eq!(world.call_back(&sent), 401);
    drop(slow);
    nothing_came_of_it(&world, charge.reference);
}

#[test]
fn what_is_of_no_known_type_is_refused_or_is_only_a_reason_to_ask() {
    for over in CARRIERS {
        let world = World::new(Setting { over, ..Setting::default() });
        let charge = in_doubt(&world);
        let told = Told { outcome: Outcome::Unheard, ..Told::charged(&charge) };
        let refused = matches!(over, Over::Camara { .. });
        let before = counted("unknown_type");
        assert_eq!(world.call_back(&told.as_sent(over, Credential::Right)) == 400, refused, "{over:?}");
        assert!(!refused || counted("unknown_type") > before);
        if refused {
            let mut sent = Told::charged(&charge).as_sent(over, Credential::Right);
            for media_type in ["text/html", "application/json", ""] {
                sent.headers[0].1 = media_type.into();
                assert_eq!(world.call_back(&sent), 400, "{media_type:?}");
            }
        }
        nothing_came_of_it(&world, charge.reference);
    }
}
