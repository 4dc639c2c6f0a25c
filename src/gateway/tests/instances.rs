//! A gateway beside other daemons of the same database.

use super::world::{Over, Setting, World};
use crate::gateway::GatewayConfig;

const PASSENGERS: u32 = 20;

#[test]
#[ignore = "needs a server: scripts/postgres"]
fn m1_a_charge_whose_carrier_nobody_reaches_waits_for_its_deadline_and_was_never_sent() {
    for over in [Over::Smpp, Over::Camara { two_step: false }, Over::Cis { two_step: false }] {
        let gateway = GatewayConfig { ticket_deadline_seconds: 2, ..Setting::default().gateway };
        let mut world = World::unstarted(Setting { over, gateway, sqlite: true, ..Setting::default() });
        let _another = world.give_all_to_another();
        world.begin();
        let buy = |n: u32| world.purchase(&format!("+7705111{n:04}"), "1234", 1, &format!("k{n}")).expect("a charge");
        let references: Vec<_> = (0..PASSENGERS).map(|n| buy(n).charge().reference).collect();
        // A flight that looked again and again without a pause would hold its thread, and nothing would ever come of it.
        for reference in references {
            let charge = world.until("its deadline ends it", |world| {
                let charge = world.charge(reference);
                (!charge.state.is_open()).then_some(charge)
            });
            assert!(charge.attempts.is_empty(), "{over:?}: {charge:?}");
        }
        assert!(world.simulator.ledger().entries().is_empty(), "{over:?}");
    }
}
