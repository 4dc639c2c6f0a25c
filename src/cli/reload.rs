//! SIGHUP: what the operator keeps in files is read again, while charges go on.

use metrics::counter;
use tracing::{error, info, warn};

use super::logging::LogHandle;
use crate::{
    clock::Clock,
    gateway::Gateway,
    settings::{self, Configuration, Settings, Sources},
};

/// Sections that take effect at once. The books and lists that they name are read again even if the sections are the same.
const RELOADED: [&str; 5] = ["eligibility", "log", "numbers", "texts", "transit"];

/// Reads the configuration again and puts in force what can be while the daemon runs: fares and vehicles, rules, texts,
/// number lists, the log's filter. All of it or nothing: with a problem anywhere, everything stays as it was.
///
/// `running` is what the daemon was started with; what differs elsewhere takes effect with a restart, and is named.
pub(super) async fn reload(sources: &Sources, running: &Settings, gateway: &Gateway, log: &LogHandle) {
    let sources = sources.clone();
    let reading = tokio::task::spawn_blocking(move || settings::load(&sources, Clock::System.now()));
    let result = match reading.await {
        Ok(Ok(configuration)) => put_in_force(configuration, running, gateway, log),
        Ok(Err(problems)) => {
            for problem in &problems.0 {
                error!(%problem, "not reloaded");
            }
            Err(())
        }
        // The hook has logged the panic.
        Err(_) => Err(()),
    };
    let result = if result.is_ok() { "reloaded" } else { "refused" };
    counter!("config_reloads_total", "result" => result).increment(1);
}

fn put_in_force(new: Configuration, running: &Settings, gateway: &Gateway, log: &LogHandle) -> Result<(), ()> {
    let (vehicles, fares) =
        (new.materials.books.catalogue.vehicles().count(), new.materials.books.catalogue.fares().count());
    // The carriers that run may be others than those that the new configuration was checked against.
    gateway.replace_books(new.materials.books).map_err(|error| error!(%error, "not reloaded"))?;
    gateway.subscribers().replace_lists(new.materials.lists);
    if let Err(error) = log.replace_filter(&new.settings.log) {
        warn!(%error, "the log's filter stays as it was");
    }
    info!(
        vehicles,
        fares,
        number_lists = new.settings.numbers.lists.len(),
        "reloaded: fares and vehicles, rules, texts, number lists, log filter"
    );
    let later = needs_restart(running, &new.settings);
    if !later.is_empty() {
        warn!(sections = later.join(", "), "these have changed and take effect with a restart");
    }
    Ok(())
}

/// The sections that differ and are read at start only.
fn needs_restart(running: &Settings, new: &Settings) -> Vec<String> {
    let table = |settings: &Settings| toml::Table::try_from(settings).unwrap_or_default();
    let (running, new) = (table(running), table(new));
    let names = running.keys().chain(new.keys().filter(|name| !running.contains_key(*name)));
    let mut differing: Vec<String> = names
        .filter(|name| running.get(*name) != new.get(*name) && !RELOADED.contains(&name.as_str()))
        .cloned()
        .collect();
    let format = |table: &toml::Table| table.get("log").and_then(|log| log.get("format")).cloned();
    if format(&running) != format(&new) {
        differing.push("log.format".into());
    }
    differing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::LogFormat;

    #[test]
    fn what_needs_a_restart_is_named_and_what_does_not_is_not() {
        let running = Settings::default();
        let mut new = Settings::default();
        assert_eq!(needs_restart(&running, &new), [""; 0]);
        new.log.filter = "debug".into();
        new.transit.directory = "elsewhere".into();
        assert_eq!(needs_restart(&running, &new), [""; 0]);
        new.log.format = LogFormat::Human;
        new.gateway.passengers_max = 2;
        new.store.url = "memory:".into();
        assert_eq!(needs_restart(&running, &new), ["gateway", "store", "log.format"]);
    }

    #[test]
    fn every_section_that_reloads_is_a_section() {
        let sections = toml::Table::try_from(Settings::default()).expect("a table");
        for name in RELOADED {
            assert!(sections.contains_key(name), "{name}");
        }
    }
}
