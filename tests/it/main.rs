//! The program as it is used: the built binary, its files, its ports. A module per area.

mod carrier_try;
mod cli;
mod daemon;
mod demo;
mod deployment;
mod migrate;
mod restored;
mod retention;
mod serve;
mod smpp;
