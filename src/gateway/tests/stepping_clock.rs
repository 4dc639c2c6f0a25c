//! M5: how long ago the last listing was is not told by a clock that somebody sets.

use std::time::Duration;

use super::world::{Over, Setting, World, msisdn};
use crate::{
    charge::State,
    clock::{Clock, SimulatedClock},
    process,
    simulator::{Fault, FaultRule, Operation},
};

#[test]
fn m05_a_wall_clock_that_is_put_forward_again_and_again_does_not_end_a_doubt_before_its_time() {
    for two_step in [false, true] {
        let taking = if two_step { Operation::Reserve } else { Operation::Charge };
        let wall = SimulatedClock::new(Clock::System.now(), process::now);
        let clock = Clock::Simulated(wall.clone());
        let world = World::new(Setting { over: Over::Camara { two_step }, clock, ..Setting::default() });
        let number = "+77051234567";
        // It arrives at the carrier within the time that a request may be under way there, which is a second.
        world.set_fault(FaultRule::for_number(msisdn(number), 1, Fault::HttpLate { ms: 900 }).on(taking));
        let charge = world.bought(number, "1234", "k");
        assert_eq!(charge.state, State::InDoubt, "two_step: {two_step}");
        for _ in 0..5 {
            wall.jump(1_100);
            std::thread::sleep(Duration::from_millis(120));
        }
        let decided = world.until("it is decided", |world| {
            Some(world.charge(charge.reference)).filter(|charge| !charge.state.is_open())
        });
        assert!(!decided.state.is_not_taken(), "two_step: {two_step}: {decided:#?}");
        world.audit();
    }
}
