//! The command line, and nothing else: the bodies of the commands are in `smsbusd::cli`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use smsbusd::{
    cli::{
        self, ConfigArgs, Exit, Failure, MigrateArgs, Outcome, SimulateArgs,
        backup::{BackupArgs, backup},
        carrier::{CarrierArgs, carrier},
        charge::{ChargeArgs, charge},
        check_config::check_config,
        events::{EventsArgs, events},
        keys::{KeysArgs, keys},
        ledger::{LedgerArgs, ledger},
        restored::{RestoredArgs, restored},
        retention::{RetentionArgs, retention},
        serve::serve,
        smpp::{SmppArgs, smpp},
        ticket::{TicketArgs, ticket},
        webhook::{WebhookArgs, webhook},
    },
    demo::{self, DemoOptions},
};

/// The carrier billing gateway of SMSBUS: bus fares from the phone's balance, signed tickets back.
#[derive(Parser)]
#[command(version, max_term_width = 100, after_help = EXIT_STATUSES)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

const EXIT_STATUSES: &str = "\
Exit status:
  0   done
  1   failed; to try again may help
  2   the command line does not make sense
  78  the configuration is wrong
Of `ticket verify`: 0 valid, 3 invalid, 4 expired or for another vehicle, 5 cannot tell
Of `smpp probe` and `smpp send`: 0 good, 3 refused by the SMSC, 5 not answered";

#[derive(Subcommand)]
enum Command {
    /// Run the gateway
    ///
    /// SIGTERM and SIGINT let what is on its way be answered and end it; a second one ends it at once. SIGHUP rereads fares
    /// and vehicles, rules, texts, number lists, secrets and the log's filter.
    Serve(ConfigArgs),
    /// Play a morning with every outcome against a simulated carrier on this machine, and audit the books
    Demo {
        /// Say it for machines; the last line is the verdict
        #[arg(long)]
        json: bool,
    },
    /// Run only the simulated carrier, to test against; the first line says where it listens
    Simulate(SimulateArgs),
    /// Bring the schema of the store up to date, as `serve` does; or move the books to another store
    ///
    /// With --from and --to, the books of the embedded store go to a PostgreSQL database, and every row is compared there before
    /// it counts. No daemon may serve either meanwhile.
    Migrate(MigrateArgs),
    /// Copy the embedded store to a file, beside a daemon that goes on serving it
    ///
    /// The copy is consistent, and on the disk when the command ends. A PostgreSQL server is backed up with its own tools: docs/backup.md.
    Backup(BackupArgs),
    /// Say that the store was put back from a back-up, so that it can be served again
    ///
    /// The books go on as another generation: what was under way when they end is in doubt, its carriers are asked, and no serial, cursor or
    /// number is given out twice. No daemon may serve the store meanwhile.
    Restored(RestoredArgs),
    /// Read the configuration and everything that it refers to, and tell every problem with its file and key
    CheckConfig(ConfigArgs),
    /// Make, list and publish the keys that sign tickets
    Keys(KeysArgs),
    /// Verify or show a ticket, without a daemon and without a network
    Ticket(TicketArgs),
    /// Ask a running daemon to charge, show a charge, list refunds, or settle what is in doubt or owed
    Charge(ChargeArgs),
    /// Check the books: that nothing was changed, that they add up, and that they agree with the charges
    Ledger(LedgerArgs),
    /// Let go of old months of the journal and the ledger, with an archive
    ///
    /// For a PostgreSQL store, beside daemons that serve. A month with a charge that is open, in doubt or has a refund outstanding
    /// stays. Exit status 1: a month that is old enough had to stay, and its line says why.
    Retention(RetentionArgs),
    /// List, pause and resume the carriers of a running daemon; try the profile of an HTTP carrier
    Carrier(CarrierArgs),
    /// Print what became of charges, a line of JSON for each event of a running daemon
    Events(EventsArgs),
    /// List the webhooks of a running daemon; send them events once more
    Webhook(WebhookArgs),
    /// Probe an SMSC, send it one message, or trace what a running daemon says to it
    Smpp(SmppArgs),
}

fn main() -> ExitCode {
    // Kill points by name, from the environment variable FAILPOINTS; only in builds for crash tests.
    #[cfg(feature = "failpoints")]
    let _kill_points = fail::FailScenario::setup();
    #[cfg(feature = "failpoints")]
    arm_kill_point();
    cli::finish(run(CommandLine::parse().command))
}

/// `KILL_POINT=gateway-after-open:7` ends the process, as `kill -9` would, when it comes to this kill point for the seventh time. A
/// panic, the most that `FAILPOINTS` can do, ends a task only. The last line on the standard error tells a kill point from any other abort.
#[cfg(feature = "failpoints")]
fn arm_kill_point() {
    use std::{
        io::{Write, stderr},
        sync::atomic::{AtomicU64, Ordering},
    };

    let Ok(wanted) = std::env::var("KILL_POINT") else { return };
    let (point, times) = wanted.split_once(':').unwrap_or((&wanted, "1"));
    let times: u64 = times.parse().expect("KILL_POINT=NAME:TIMES");
    let passed = AtomicU64::new(0);
    let name = point.to_owned();
    let end_in_time = move || {
        if passed.fetch_add(1, Ordering::Relaxed) + 1 == times {
            // Where it cannot be written the end is the same.
            let _unsaid = writeln!(stderr(), "ended at the kill point {name}");
            std::process::abort();
        }
    };
    fail::cfg_callback(point, end_in_time).expect("any name can be a kill point");
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    let exit = match command {
        Command::Serve(args) => cli::run(serve(&args)),
        Command::Demo { json } => cli::run(demonstrate(json)),
        Command::Simulate(args) => cli::run(cli::simulate(&args)),
        Command::Migrate(args) => cli::run(cli::migrate(&args)),
        Command::Backup(args) => cli::run(backup(&args)),
        Command::Restored(args) => cli::run(restored(&args)),
        Command::CheckConfig(args) => check_config(&args),
        Command::Keys(args) => keys(&args),
        Command::Ticket(args) => ticket(&args),
        Command::Charge(args) => cli::run(charge(&args)),
        Command::Ledger(args) => cli::run(ledger(&args)),
        Command::Retention(args) => cli::run(retention(&args)),
        Command::Carrier(args) => cli::run(carrier(&args)),
        Command::Events(args) => cli::run(events(&args)),
        Command::Webhook(args) => cli::run(webhook(&args)),
        Command::Smpp(args) => cli::run(smpp(&args)),
    };
    exit.map(ExitCode::from)
}

/// Its exit status is the verdict of the audit.
async fn demonstrate(json: bool) -> Outcome {
    match demo::run(DemoOptions { json }).await {
        Ok(true) => Ok(Exit::Done),
        Ok(false) => Err(Failure::new("the morning ended with books that differ, or with something in doubt")),
        Err(error) => Err(Failure::new(error.to_string())),
    }
}
