//! What happens to the world beside the odds of single messages: links cut, clocks that jump, a process that ends.

use std::{sync::Arc, time::Duration};

use rand::{RngExt, seq::IndexedRandom};
use tokio::time::sleep;

use super::{
    plan::{Role, dice, pause},
    world::World,
};

/// Sets off everything that the plan wants.
pub(super) fn begin(world: &Arc<World>) {
    for number in 0..world.carriers.len() {
        tokio::spawn(reset_links(world.clone(), number));
    }
    tokio::spawn(end_processes(world.clone()));
    tokio::spawn(jump(world.clone()));
}

async fn reset_links(world: Arc<World>, number: usize) {
    let mut dice = dice(world.plan.seed, Role::Weather(number as u64));
    let carrier = &world.carriers[number];
    let Some(every) = carrier.plan.resets_every else { return };
    loop {
        sleep(pause(&mut dice, every)).await;
        if !world.is_spoilt() {
            return;
        }
        match dice.random_range(0..10) {
            0 => carrier.simulator.set_own_account_empty(true),
            1..=3 => carrier.simulator.set_own_account_empty(false),
            _ => {
                world.note(format_args!("weather: the links of {} are reset", carrier.plan.name));
                carrier.simulator.drop_links();
            }
        }
    }
}

async fn end_processes(world: Arc<World>) {
    let mut dice = dice(world.plan.seed, Role::Weather(100));
    let Some(every) = world.plan.ends_every else { return };
    loop {
        sleep(pause(&mut dice, every)).await;
        if !world.is_spoilt() {
            return;
        }
        if dice.random_bool(0.2) {
            world.note(format_args!("weather: the gateway is stopped"));
            world.stop().await;
        } else {
            world.note(format_args!("weather: the gateway is killed"));
            world.kill();
        }
    }
}

async fn jump(world: Arc<World>) {
    let mut dice = dice(world.plan.seed, Role::Weather(101));
    let Some(every) = world.plan.jumps_every else { return };
    loop {
        sleep(pause(&mut dice, every)).await;
        if !world.is_spoilt() {
            return;
        }
        let by = Duration::from_secs(*[1, 30, 600, 7_200].choose(&mut dice).expect("there are some"));
        let ms = i64::try_from(by.as_millis()).unwrap_or(0);
        let ms = if dice.random_bool(0.5) { ms } else { -ms };
        world.note(format_args!("weather: the wall clock jumps by {ms} ms"));
        world.clock.jump(ms);
    }
}
