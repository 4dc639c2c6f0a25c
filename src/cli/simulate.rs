//! `smsbusd simulate`

use std::{net::SocketAddr, path::PathBuf};

use clap::builder::RangedU64ValueParser;
use serde_json::json;

use super::{Exit, Failure, Outcome, output};
use crate::{
    msisdn::Msisdn,
    simulator::{ChaosConfig, ChaosReport, Passengers, Simulator, SimulatorConfig, Spell, Weather},
};

/// A configuration of the simulator is never longer, in bytes.
const CONFIG_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How long the end of a chaos is calm, in minutes.
const CALM_MINUTES: u64 = 1;

/// What `simulate` is told.
#[derive(Clone, Debug, clap::Args)]
pub struct SimulateArgs {
    /// What the carrier is like (TOML, see config/examples/simulator.toml); all defaults without it
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the SMSC listens, in place of the file's; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// Where the HTTP control listens, in place of the file's; loopback only
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub control: Option<SocketAddr>,
    /// Faults of every kind.
    #[command(flatten)]
    pub chaos: ChaosArgs,
}

/// What kind of chaos `simulate` plays.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Chaos")]
pub struct ChaosArgs {
    /// Play a weather of faults drawn from this seed, a JSON line per change, and end with a report; exit status 1 if
    /// anybody was charged twice
    #[arg(long = "chaos", value_name = "SEED")]
    pub seed: Option<u64>,
    /// How long; the last minute is calm
    #[arg(long = "chaos-minutes", value_name = "N", default_value_t = 10, requires = "seed",
        value_parser = RangedU64ValueParser::<u64>::new().range(CALM_MINUTES + 1..=10_000))]
    pub minutes: u64,
    /// How many passengers send texts meanwhile
    #[arg(long = "chaos-passengers", value_name = "N", requires = "seed")]
    pub passengers: Option<u32>,
    /// How many texts a second they send together
    #[arg(long = "chaos-rate", value_name = "R", default_value_t = 1, requires = "passengers")]
    pub rate: u32,
    /// The codes that they send
    #[arg(
        long = "chaos-codes",
        value_name = "CODE,…",
        value_delimiter = ',',
        default_value = "1234",
        requires = "passengers"
    )]
    pub codes: Vec<String>,
    /// The short number that they write to
    #[arg(long = "chaos-to", value_name = "NUMBER", default_value = "2505", requires = "passengers")]
    pub to: String,
    /// The first passenger's number; the others follow it
    #[arg(long = "chaos-first", value_name = "MSISDN", requires = "passengers")]
    pub first: Option<Msisdn>,
    /// Only these kinds of weather, by their names in docs/simulator.md
    #[arg(long = "chaos-weather", value_name = "KIND,…", value_delimiter = ',', value_parser = weather, requires = "seed")]
    pub weathers: Vec<Weather>,
    /// Leave out faults after which the client may never learn what came of a message
    #[arg(long = "chaos-settling", requires = "seed")]
    pub settling: bool,
    /// Stay after the chaos, until SIGINT or SIGTERM
    #[arg(long = "chaos-stay", requires = "seed")]
    pub stay: bool,
}

/// Runs a simulated carrier until SIGINT or SIGTERM, or to the end of its chaos. The first line says where it listens, as
/// JSON.
///
/// Errors: a configuration that cannot work (78), an address that is taken, a chaos in which somebody was charged twice.
pub async fn simulate(args: &SimulateArgs) -> Outcome {
    let config = configuration(args)?;
    let mut signals = super::serve::Signals::install()?;
    let simulator = Simulator::start(config).await.map_err(|error| Failure::new(error.to_string()))?;
    let addresses = json!({
        "smpp": simulator.smpp_address(),
        "control": simulator.control_address(),
        "listeners": simulator.listeners(),
        "http": simulator.http_addresses(),
    });
    output::print(addresses.to_string())?;
    let report = tokio::select! {
        report = play(&simulator, &args.chaos) => report,
        _ = signals.stop() => {
            simulator.shutdown().await;
            return Ok(Exit::Done);
        }
    }?;
    if args.chaos.stay {
        signals.stop().await;
    }
    simulator.shutdown().await;
    match report.is_clean() {
        true => Ok(Exit::Done),
        false => Err(Failure::new("the chaos ended with a number charged twice, or with PDUs that break the protocol")),
    }
}

fn configuration(args: &SimulateArgs) -> Result<SimulatorConfig, Failure> {
    let mut config = match &args.config {
        None => SimulatorConfig::default(),
        Some(file) => {
            let bytes = output::read(file, CONFIG_BYTES_MAX)?;
            let wrong = |what: String| Failure::configuration(format!("{}: {what}", file.display()));
            let text = String::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
            SimulatorConfig::from_toml(&text).map_err(|error| wrong(error.to_string()))?
        }
    };
    config.smpp_listen = args.listen.unwrap_or(config.smpp_listen);
    config.control_listen = args.control.or(config.control_listen);
    config.seed = args.chaos.seed.unwrap_or(config.seed);
    Ok(config)
}

/// Plays the chaos that was asked for, and prints it. Without one it never ends.
async fn play(simulator: &Simulator, args: &ChaosArgs) -> Result<ChaosReport, Failure> {
    let Some(seed) = args.seed else { return std::future::pending().await };
    let tell = |spell: &Spell| {
        // Who does not read the weather still gets the report, or the reason why not.
        let _ = output::print(json!({ "weather": spell }).to_string());
    };
    let report = simulator.chaos(args.config(seed), tell).await;
    let report = report.map_err(|error| Failure::new(error.to_string()))?;
    output::print(json!({ "report": report }).to_string())?;
    Ok(report)
}

impl ChaosArgs {
    fn config(&self, seed: u64) -> ChaosConfig {
        let all = ChaosConfig::default().weathers;
        ChaosConfig {
            seed,
            length_ms: self.minutes * 60_000,
            calm_at_end_ms: CALM_MINUTES * 60_000,
            weathers: if self.weathers.is_empty() { all } else { self.weathers.clone() },
            settling: self.settling,
            passengers: self.passengers.map(|count| Passengers {
                count,
                per_second: self.rate,
                first: self.first,
                to: self.to.clone(),
                codes: self.codes.clone(),
            }),
            ..ChaosConfig::default()
        }
    }
}

fn weather(name: &str) -> Result<Weather, String> {
    serde_json::from_value(json!(name)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: SimulateArgs,
    }

    fn parsed(words: &[&str]) -> Result<SimulateArgs, String> {
        let words = std::iter::once(&"simulate").chain(words);
        Line::try_parse_from(words).map(|line| line.args).map_err(|error| error.to_string())
    }

    #[test]
    fn chaos_and_its_passengers_are_as_the_line_says() {
        let words = [
            "--chaos",
            "7",
            "--chaos-minutes",
            "3",
            "--chaos-passengers",
            "5",
            "--chaos-rate",
            "20",
            "--chaos-codes",
            "1234,1235",
            "--chaos-first",
            "+77770000001",
            "--chaos-weather",
            "calm,link_resets",
            "--chaos-settling",
        ];
        let args = parsed(&words).expect("a good line").chaos;
        let config = args.config(args.seed.expect("a seed"));
        assert_eq!((config.seed, config.length_ms, config.calm_at_end_ms), (7, 180_000, 60_000));
        assert_eq!((config.weathers, config.settling), (vec![Weather::Calm, Weather::LinkResets], true));
        let passengers = config.passengers.expect("there are some");
        assert_eq!((passengers.count, passengers.per_second, passengers.codes.len()), (5, 20, 2));
        assert_eq!(passengers.first, Some("77770000001".parse().expect("a number")));
    }

    #[test]
    fn without_a_seed_there_is_no_chaos_and_all_weathers_come_where_none_is_named() {
        assert!(parsed(&[]).expect("nothing is needed").chaos.seed.is_none());
        let args = parsed(&["--chaos", "1"]).expect("a good line").chaos;
        assert_eq!(args.config(1), ChaosConfig { seed: 1, ..ChaosConfig::default() });
    }

    #[test]
    fn lines_that_make_no_sense_are_refused() {
        for (words, told) in [
            (&["--chaos-minutes", "3"][..], "--chaos"),
            (&["--chaos", "1", "--chaos-minutes", "1"], "2..=10000"),
            (&["--chaos", "1", "--chaos-rate", "3"], "--chaos-passengers"),
            (&["--chaos", "1", "--chaos-weather", "hail"], "hail"),
        ] {
            let error = parsed(words).expect_err(told);
            assert!(error.contains(told), "{error}");
        }
    }
}
