//! SIGHUP: what the operator keeps in files is read again, while charges go on.

use std::collections::BTreeSet;

use metrics::counter;
use tracing::{error, info, warn};

use super::logging::LogHandle;
use crate::{
    clock::Clock,
    gateway::Gateway,
    settings::{self, Configuration, Settings, Sources},
};

/// Keys that take effect at once, with all beneath them; `*` is any name. The files that they name are read again even if the keys
/// are the same. Credentials and certificates are used from the next connection of a bind on: none is dropped for it.
const RELOADED: [&str; 25] = [
    "carriers.*.camara.callback_token_files",
    "carriers.*.camara.tls.authorities_file",
    "carriers.*.camara.tls.certificate_file",
    "carriers.*.camara.tls.key_file",
    "carriers.*.camara.token.client_secret_file",
    "carriers.*.camara.tps",
    "carriers.*.http.secret_files",
    "carriers.*.http.tls.authorities_file",
    "carriers.*.http.tls.certificate_file",
    "carriers.*.http.tls.key_file",
    "carriers.*.http.tps",
    "carriers.*.smpp.password_file",
    "carriers.*.smpp.tls.authorities_file",
    "carriers.*.smpp.tls.certificate_file",
    "carriers.*.smpp.tls.key_file",
    "carriers.*.smpp.tps",
    "eligibility",
    "log.filter",
    "mo_webhook.authorities_file",
    "mo_webhook.secret_files",
    "numbers",
    "texts",
    "transit",
    "webhooks.*.authorities_file",
    "webhooks.*.secret_files",
];

/// Reads the configuration again and puts in force what can be while the daemon runs: fares and vehicles, rules, texts,
/// number lists, the log's filter, carriers' rates, passwords and certificates, webhooks' keys and authorities. With a problem anywhere in it, everything stays
/// as it was.
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
    gateway.replace_webhook_keys(new.materials.mo_webhook.as_ref(), &new.materials.webhooks);
    for carrier in gateway.carriers() {
        let name = carrier.name();
        let (Some(config), Some(secrets)) = (new.settings.carriers.get(name), new.materials.carriers.get(name)) else {
            continue;
        };
        // It was checked when it was read, so this is a defect of one carrier; the others are reloaded all the same.
        if let Err(error) = carrier.reload(config, secrets) {
            error!(%error, "a carrier stays as it was");
        }
    }
    if let Err(error) = log.replace_filter(&new.settings.log) {
        warn!(%error, "the log's filter stays as it was");
    }
    info!(
        vehicles,
        fares,
        number_lists = new.settings.numbers.lists.len(),
        "reloaded: fares and vehicles, rules, texts, number lists, log filter, carriers' rates, passwords and certificates, webhooks' keys"
    );
    let later = needs_restart(running, &new.settings);
    if !later.is_empty() {
        warn!(keys = later.join(", "), "these have changed and take effect with a restart");
    }
    Ok(())
}

/// The keys that differ and are read at start only.
fn needs_restart(running: &Settings, new: &Settings) -> Vec<String> {
    let table = |settings: &Settings| toml::Table::try_from(settings).unwrap_or_default();
    let mut differing = Vec::new();
    differences("", &table(running), &table(new), &mut differing);
    differing.retain(|key| !RELOADED.iter().any(|reloaded| covers(reloaded, key)));
    differing
}

/// The keys of all values that are not the same in both, in order; a table that only one has counts as one key.
fn differences(prefix: &str, running: &toml::Table, new: &toml::Table, found: &mut Vec<String>) {
    let names: BTreeSet<&String> = running.keys().chain(new.keys()).collect();
    for name in names {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match (running.get(name), new.get(name)) {
            (Some(toml::Value::Table(running)), Some(toml::Value::Table(new))) => {
                differences(&key, running, new, found);
            }
            (running, new) if running != new => found.push(key),
            _ => {}
        }
    }
}

/// Whether `key` is `pattern` or beneath it.
fn covers(pattern: &str, key: &str) -> bool {
    let mut key = key.split('.');
    pattern.split('.').all(|part| key.next().is_some_and(|name| part == "*" || part == name))
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
        assert_eq!(needs_restart(&running, &new), ["gateway.passengers_max", "log.format", "store.url"]);
    }

    #[test]
    fn every_key_that_reloads_is_in_a_section_that_exists() {
        let sections = toml::Table::try_from(Settings::default()).expect("a table");
        for key in RELOADED {
            assert!(key.split('.').next().is_some_and(|section| sections.contains_key(section)), "{key}");
        }
    }

    #[test]
    fn a_pattern_covers_what_is_beneath_it_and_nothing_beside_it() {
        assert!(covers("transit", "transit.directory"));
        assert!(covers("carriers.*.smpp.tps", "carriers.kcell.smpp.tps"));
        assert!(!covers("carriers.*.smpp.tps", "carriers.kcell.smpp.window"));
        assert!(!covers("log.filter", "log"));
    }
}
