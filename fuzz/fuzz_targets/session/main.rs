//! One session against a script: what is submitted, what the peer writes and reads, how the bytes are cut, when the owner
//! looks, and what the clock does. A [`Witness`] beside it knows the promises of the session and holds it to them.

#![no_main]

mod peer;
mod script;
mod stage;
mod witness;

use libfuzzer_sys::{arbitrary::Unstructured, fuzz_target};

use crate::{
    script::{Ending, Step, config},
    stage::Stage,
};

/// A longer script finds nothing new, and takes longer to read.
const STEPS_MAX: usize = 400;

fuzz_target!(|data: &[u8]| {
    let mut script = Unstructured::new(data);
    let (Ok(config), Ok(ending)) = (config(&mut script), Ending::read(&mut script)) else { return };
    let mut stage = Stage::new(config);
    for _ in 0..STEPS_MAX {
        if script.is_empty() {
            break;
        }
        let Ok(step) = Step::read(&mut script) else { break };
        stage.play(step);
    }
    stage.end(ending);
});
