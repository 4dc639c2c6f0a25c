use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Operation, Overrides, Profile, ProfileError, ProfileProblem};
use crate::carrier::TlsConfig;

/// A profile is a page or two, in bytes.
const PROFILE_BYTES_MAX: u64 = 1024 * 1024;

/// How a carrier charges over a private HTTP interface: `[carriers.NAME.http]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpProfile {
    /// The file with the profile.
    pub profile: PathBuf,
    /// In the place of the profile's `base_url`: the carrier's test system and its real one speak the same.
    #[serde(default)]
    pub base_url: Option<String>,
    /// The same for single operations: what is known of subscribers may stand on another host.
    #[serde(default)]
    pub base_urls: BTreeMap<Operation, String>,
    /// Where the carrier reaches our carriers' listener from outside, for this carrier: `https://pay.example/carriers/kcell`.
    #[serde(default)]
    pub callback_url: Option<String>,
    /// In the place of the profile's constants, by name.
    #[serde(default)]
    pub constants: BTreeMap<String, String>,
    /// The file of each secret that the profile names; a trailing line end is passed over.
    #[serde(default)]
    pub secret_files: BTreeMap<String, PathBuf>,
    /// TLS: our own authorities, and our certificate where the carrier asks for one.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    /// Requests a second, in the place of the profile's.
    #[serde(default)]
    pub tps: Option<u32>,
    /// Requests at once, in the place of the profile's.
    #[serde(default)]
    pub concurrency: Option<u16>,
    /// Whether `http://` is allowed beyond this machine: only where the way is protected otherwise.
    #[serde(default)]
    pub plain_http: bool,
}

impl HttpProfile {
    /// Reads and checks the profile's file. Errors: it cannot be read, or everything that is wrong with it.
    pub fn load(&self) -> Result<Profile, ProfileError> {
        Profile::load(&self.profile, &self.overrides())
    }

    /// What of the profile this section puts something else in the place of.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            base_url: self.base_url.clone(),
            base_urls: self.base_urls.clone(),
            constants: self.constants.clone(),
        }
    }

    /// What is wrong with the section, given its profile, each with its key; empty if nothing is.
    pub fn problems(&self, profile: &Profile) -> Vec<String> {
        let mut problems = Vec::new();
        for name in profile.secrets().filter(|name| !self.secret_files.contains_key(*name)) {
            problems.push(format!("secret_files.{name}: the profile needs this secret"));
        }
        for name in self.secret_files.keys().filter(|name| profile.secrets().all(|known| known != name.as_str())) {
            problems.push(format!("secret_files.{name}: the profile has no such secret"));
        }
        if let Some(url) = &self.callback_url {
            let sound =
                url::Url::parse(url).is_ok_and(|url| url.has_host() && matches!(url.scheme(), "http" | "https"));
            if !sound || url.ends_with('/') {
                problems.push("callback_url: want https://host/path without a slash at its end".into());
            }
        }
        if self.tps.is_some_and(|tps| !(1..=100_000).contains(&tps)) {
            problems.push("tps: 1 to 100000".into());
        }
        if self.concurrency.is_some_and(|concurrency| !(1..=1_000).contains(&concurrency)) {
            problems.push("concurrency: 1 to 1000".into());
        }
        if !self.plain_http && !profile.is_confidential() {
            problems.push("plain_http: https, or plain_http = true if the way is protected otherwise".into());
        }
        if let Some(tls) = &self.tls
            && tls.certificate_file.is_some() != tls.key_file.is_some()
        {
            problems.push("tls: certificate_file and key_file go together".into());
        }
        problems
    }
}

impl Profile {
    /// Reads and checks the file. Errors: it cannot be read, or everything that is wrong with it.
    pub fn load(file: &Path, overrides: &Overrides) -> Result<Profile, ProfileError> {
        let name = file.display().to_string();
        let text = read_text(file).map_err(|what| {
            ProfileError(vec![ProfileProblem { file: name.clone(), line: None, key: String::new(), what }])
        })?;
        Profile::parse(&name, &text, overrides)
    }
}

fn read_text(file: &Path) -> Result<String, String> {
    let mut text = String::new();
    let opened = fs::File::open(file).map_err(|error| error.to_string())?;
    let read = opened.take(PROFILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if read as u64 > PROFILE_BYTES_MAX {
        return Err(format!("longer than {PROFILE_BYTES_MAX} bytes"));
    }
    Ok(text)
}
