//! `smsbusd smpp`: for the engineer who connects a new carrier.
//!
//! `probe` measures an SMSC, `send` sends it one message with every field settable: both talk to the SMSC by themselves, beside
//! any daemon, on a connection of their own (`wire`). `trace` shows what goes over the binds of a running daemon, and asks it
//! over its API.

mod message;
mod probe;
mod report;
mod send;
mod talk;
mod target;
mod trace;
mod windows;
mod wire;

use clap::{Args, Subcommand};

use super::Outcome;

/// `smsbusd smpp …`
#[derive(Clone, Debug, Args)]
pub struct SmppArgs {
    #[command(subcommand)]
    command: SmppCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum SmppCommand {
    /// Bind to an SMSC, measure it, and unbind
    ///
    /// Says how long connecting and binding take, what the SMSC says of itself, how it answers enquiries, and how it answers
    /// the unbind. With --to it also sends free messages with growing windows, and says where throttling begins. Messages that
    /// the SMSC delivers meanwhile are put off with ESME_RX_T_APPN, so that it delivers them again.
    Probe(Box<probe::ProbeArgs>),
    /// Send one submit_sm, every field settable, and show the answer
    ///
    /// Messages that the SMSC delivers meanwhile, other than the receipt, are put off with ESME_RX_T_APPN, so that it delivers
    /// them again.
    Send(Box<send::SendArgs>),
    /// Show the PDUs on the binds of a running daemon, as they go
    ///
    /// Phone numbers are masked; passwords and the texts that the daemon sends are left out.
    Trace(trace::TraceArgs),
}

/// Runs one of the commands. Errors: the command line or the configuration is wrong; no connection; for `trace`, the daemon's
/// refusal.
pub async fn smpp(args: &SmppArgs) -> Outcome {
    match &args.command {
        SmppCommand::Probe(args) => probe::probe(args).await,
        SmppCommand::Send(args) => send::send(args).await,
        SmppCommand::Trace(args) => trace::trace(args).await,
    }
}
