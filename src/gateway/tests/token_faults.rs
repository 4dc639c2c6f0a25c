//! The token end point of a carrier: without a token nothing is sent, and with the next one everything goes on.

use std::{thread, time::Duration};

use super::world::{Over, Setting, World};
use crate::{
    charge::{AttemptState, Event, Finding, Reason, State},
    simulator::{CamaraConfig, Fault, FaultRule, Operation},
};

const ANNA: &str = "+77051111111";
const OVER: Over = Over::Camara { two_step: false };

fn charges_asked_for(world: &World) -> u64 {
    world.simulator.stats().http.requests_by_operation.get(&Operation::Charge).copied().unwrap_or_default()
}

#[test]
fn whatever_the_token_end_point_does_nothing_is_sent_without_one_and_the_charge_waits_for_it() {
    let faults = [
        Fault::HttpTimeOutBefore { ms: 600 },
        Fault::HttpResetBefore,
        Fault::HttpErrorBefore { status: 503 },
        Fault::HttpTokenExpired,
        Fault::HttpRedirect,
        Fault::HttpSlow { ms: 200 },
        Fault::HttpGarbage,
        Fault::HttpOversized { bytes: 1_000_000 },
        Fault::HttpTruncated,
    ];
    // After a failure the end point is left alone for a while: all of them at once.
    thread::scope(|scope| {
        for fault in faults {
            scope.spawn(move || {
                let world = World::new(Setting { over: OVER, ..Setting::default() });
                world.set_fault(FaultRule::next(1, fault).on(Operation::Token));
                let charge = world.bought(ANNA, "1234", "k");
                assert_eq!(charge.state, State::Charged, "{fault:?} {charge:?}");
                let (last, before) = charge.attempts.split_last().expect("an attempt");
                assert!(last.state == AttemptState::Charged, "{fault:?}");
                assert!(before.iter().all(|attempt| attempt.state == AttemptState::NotSent), "{fault:?} {before:?}");
                assert_eq!((charges_asked_for(&world), world.taken(ANNA)), (1, 8_000), "{fault:?}");
                world.audit();
            });
        }
    });
}

#[test]
fn a_token_end_point_that_stays_down_ends_the_charge_at_its_deadline_and_nothing_was_sent() {
    let mut setting = Setting { over: OVER, ..Setting::default() };
    setting.gateway.ticket_deadline_seconds = 1;
    let world = World::new(setting);
    world.set_fault(FaultRule::always(Fault::HttpErrorBefore { status: 500 }).on(Operation::Token));
    let charge = world.bought(ANNA, "1234", "k");
    assert_eq!(charge.state, State::Declined(Reason::CarrierUnavailable), "{charge:?}");
    assert_eq!((charges_asked_for(&world), world.taken(ANNA)), (0, 0));
    for entry in world.run(world.gateway().store().journal(charge.reference)).expect("the store") {
        let Some(Event::Evidence(evidence)) = entry.event else { continue };
        assert_eq!(evidence.finding, Finding::NotSent, "it was never in doubt");
    }
    world.audit();
}

#[test]
fn a_token_that_ends_while_passengers_buy_is_renewed_and_nobody_notices() {
    let mut setting = Setting { over: Over::Camara { two_step: true }, ..Setting::default() };
    setting.simulator.http.camara = Some(CamaraConfig { token_lifetime_s: 2, ..CamaraConfig::default() });
    let world = World::new(setting);
    for n in 0..25 {
        let number = format!("+770560000{n:02}");
        let charge = world.bought(&number, "1234", &number);
        assert_eq!((charge.state, charge.attempts.len()), (State::Charged, 1), "{charge:?}");
        thread::sleep(Duration::from_millis(100));
    }
    let http = world.simulator.stats().http;
    assert!(http.tokens >= 2 && http.unauthenticated == 0, "{http:?}");
    world.audit();
}
