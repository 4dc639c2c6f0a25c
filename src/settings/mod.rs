//! Configuration: TOML files and environment, checked whole before anything starts.
//!
//! [`Sources`] says where it is written, [`load`] reads it with everything that it refers to (books, number lists, keys,
//! passwords) and checks the parts against each other. Either all of it is sound, or every [`Problem`] is told, each with its
//! file and key. `config/default.toml` shows every key.

mod carrier_secrets;
mod check;
mod draft;
mod fact_sources;
mod materials;
mod origins;
mod problem;
mod sections;
#[cfg(test)]
mod tests;

pub use carrier_secrets::read_password;
pub use fact_sources::{LookUpMaterials, SourceInterface, SourceMaterials};
pub use materials::Materials;
pub use problem::{Problem, Problems};
pub use sections::{
    ApiSettings, CallbacksSettings, InstancesSettings, KeysSettings, LogFormat, LogSettings, OperationsSettings,
    ProcessSettings, Settings, StoreSettings, TextsSettings, TransitSettings,
};

use std::{collections::HashMap, net::SocketAddr, path::PathBuf};

use crate::{
    carrier::{CarrierConfig, LinkSecrets},
    charge::CarrierName,
    clock::Timestamp,
};

/// Where the configuration is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// TOML files; a later one goes over an earlier one, key by key. Lists are replaced whole.
    pub files: Vec<PathBuf>,
    /// The environment, which goes over the files: `SMSBUSD__GATEWAY__PASSENGERS_MAX=4`. Other variables are passed over.
    pub environment: HashMap<String, String>,
}

impl Sources {
    /// These files, and the environment of the process.
    pub fn of_process(files: Vec<PathBuf>) -> Sources {
        // A variable that is not UTF-8 cannot be one of ours.
        let utf8 = |(key, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((key.into_string().ok()?, value.into_string().ok()?))
        };
        Sources { files, environment: std::env::vars_os().filter_map(utf8).collect() }
    }
}

/// A sound configuration, and everything that it refers to.
#[derive(Debug)]
pub struct Configuration {
    /// What is written in it.
    pub settings: Settings,
    /// What the files hold that it names.
    pub materials: Materials,
}

/// Reads and checks everything. Blocking: a caller on an async runtime hands it to a thread. Writes nothing, opens no
/// connection.
///
/// Errors: every problem that was found.
pub fn load(sources: &Sources, now: Timestamp) -> Result<Configuration, Problems> {
    let mut draft = draft::read(sources)?;
    let materials = materials::read(&mut draft, now);
    check::check(&mut draft, materials.books.as_ref());
    match (draft.problems.is_empty(), materials.complete()) {
        (true, Some(materials)) => Ok(Configuration { settings: draft.settings, materials }),
        _ => Err(draft.problems.in_order()),
    }
}

/// One carrier: what its SMSC can be talked to with.
#[derive(Debug)]
pub struct OneCarrier {
    /// Its section.
    pub config: CarrierConfig,
    /// What its password, certificate and key files hold.
    pub links: LinkSecrets,
    /// Where a running daemon with this configuration can be seen.
    pub operations: SocketAddr,
}

/// Reads the section of one carrier, and its secrets: neither keys nor books are needed. Blocking.
///
/// Errors: what is wrong with this section; no carrier has this name.
pub fn load_carrier(sources: &Sources, name: &CarrierName) -> Result<OneCarrier, Problems> {
    let mut draft = draft::read(sources)?;
    check::carriers(&mut draft);
    let links = carrier_secrets::read(&mut draft).remove(name).map(|secrets| secrets.links);
    let key = format!("carriers.{name}");
    let config = draft.settings.carriers.remove(name);
    if config.is_none() && draft.is_sound(&key) {
        draft.problem(&key, "no carrier has this name");
    }
    let of_this =
        |problem: &Problem| problem.key.strip_prefix(&key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let operations = draft.settings.operations.listen;
    let problems: Vec<Problem> = draft.problems.0.into_iter().filter(of_this).collect();
    match (problems.is_empty(), config, links) {
        (true, Some(config), Some(links)) => Ok(OneCarrier { config, links, operations }),
        _ => Err(Problems(problems)),
    }
}

/// Reads the section `store` alone: what a migration needs. Errors: what is wrong with this section.
pub fn load_store(sources: &Sources) -> Result<StoreSettings, Problems> {
    let mut draft = draft::read(sources)?;
    check::store(&mut draft);
    let problems: Vec<Problem> =
        draft.problems.0.into_iter().filter(|problem| problem.key.split('.').next() == Some("store")).collect();
    if problems.is_empty() { Ok(draft.settings.store) } else { Err(Problems(problems)) }
}
