//! The whole gateway over virtual time, with a seeded world around it.
//!
//! A *world* is one seed: carriers, passengers, apps, finance, operators, and what goes wrong with all of them, with the store and with
//! the process itself. It runs on one thread, on tokio's paused clock, without a socket; so a world of minutes takes
//! milliseconds, and the same seed is the same world, commit for commit. When its people are done, everything that went
//! wrong is mended, time goes on until nothing is left to do, and `audit` looks at what is there.
//!
//! `plan` draws what a world is like, `world` holds it together and starts the gateway again whenever it was killed, `carriers` and
//! `network` are what the gateway reaches, `office` decides what becomes of its commits, `people` use it, `staff` looks after
//! it, `promises` keeps what they were told, `follower` is told of events, and `weather` spoils it. `docs/simulation.md` says how to
//! run it and how to replay a seed.

mod audit;
mod carriers;
mod complaints;
mod follower;
mod network;
mod office;
mod people;
mod plan;
mod promises;
mod runner;
mod staff;
mod weather;
mod world;
