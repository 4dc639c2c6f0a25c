//! How fast a carrier may be talked to, and when it is left alone: the contract's rate, its own mood, its health, the time that
//! it takes to answer; and who waits until it may be. It reads no clock: whoever asks says what time it is.

mod breaker;
mod latency;
mod limiter;
mod pacer;
mod throttle;
mod waiting;

pub use breaker::{Breaker, BreakerConfig, BreakerState};
pub use latency::Latency;
pub use limiter::Limiter;
pub use pacer::{Pacer, Turn};
pub use throttle::Throttle;
pub use waiting::{Lane, Waiting};
