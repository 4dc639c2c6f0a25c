//! Killing the process while its tasks stand at a named point.

use std::{
    panic::resume_unwind,
    sync::{Mutex, PoisonError, mpsc},
};

use tokio::task::block_in_place;

use super::world::World;

/// A point in the code that nobody passes any more.
pub(super) struct Held {
    point: &'static str,
    until_dropped: mpsc::Sender<()>,
}

/// Whoever comes to `point` stays there until the process is killed, and takes no further step.
pub(super) fn hold(point: &'static str) -> Held {
    let (until_dropped, dropped) = mpsc::channel();
    let dropped = Mutex::new(dropped);
    let stay = move || {
        // The other tasks of this thread go on.
        let _ = block_in_place(|| dropped.lock().unwrap_or_else(PoisonError::into_inner).recv());
        // A task that only went on would go on for as long as the runtime takes to end.
        resume_unwind(Box::new("killed"));
    };
    fail::cfg_callback(point, stay).expect("a kill point");
    Held { point, until_dropped }
}

pub(super) fn kill_and_start(world: &mut World, held: Held) {
    let Held { point, until_dropped } = held;
    drop(until_dropped);
    world.kill();
    fail::remove(point);
    world.start();
}
