//! From TOML and environment to sections, with every problem on the way.

use std::{collections::BTreeSet, fs, path::Path};

use config::{Config, ConfigError, Environment, File, FileFormat, Map, Source, Value, ValueKind};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    Problem, Problems, Settings, Sources,
    origins::{ENVIRONMENT, Origins, below, folder_of},
    sections::ApiSettings,
};
use crate::{
    api::ApiConfig,
    carrier::{HttpProfile, TlsConfig},
    charge::CarrierName,
};

/// No section is read again more often: so many of its problems are told at once.
const PROBLEMS_PER_SECTION_MAX: usize = 100;

/// What could be read. Sections with a problem hold what was left of them, or their defaults.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) settings: Settings,
    pub(super) origins: Origins,
    pub(super) problems: Problems,
    faulty: BTreeSet<String>,
}

impl Draft {
    /// Notes what is wrong with `key`.
    pub(super) fn problem(&mut self, key: impl Into<String>, what: impl Into<String>) {
        let key = key.into();
        self.faulty.insert(section(&key).to_owned());
        let file = self.origins.of(&key).map(str::to_owned);
        self.problems.0.push(Problem { file, key, what: what.into() });
    }

    /// Notes what is wrong under `prefix`; `problem` begins with the rest of the key.
    pub(super) fn problem_below(&mut self, prefix: &str, problem: &str) {
        match problem.split_once(": ") {
            Some((key, what)) => self.problem(below(prefix, key), what),
            None => self.problem(prefix, problem),
        }
    }

    /// Whether nothing is wrong with a section so far, so that it is worth looking further.
    pub(super) fn is_sound(&self, section: &str) -> bool {
        !self.faulty.contains(section)
    }
}

/// The part of a key that is looked at as a whole: `gateway`, or `carriers.kcell`.
fn section(key: &str) -> &str {
    let dots = if key.starts_with("carriers.") { 1 } else { 0 };
    key.match_indices(['.', '[']).nth(dots).map_or(key, |(at, _)| &key[..at])
}

/// Reads all sources. Errors: one that cannot be read at all; the rest would only seem wrong then.
pub(super) fn read(sources: &Sources) -> Result<Draft, Problems> {
    let mut problems = Problems::default();
    let mut builder = Config::builder();
    for file in &sources.files {
        match Written::read(file) {
            Ok(written) => builder = builder.add_source(written),
            Err(what) => problems.0.push(Problem { file: Some(file.display().to_string()), key: String::new(), what }),
        }
    }
    if sources.files.is_empty() {
        let what = "no configuration file is named; give one with --config".to_owned();
        problems.0.push(Problem { file: None, key: String::new(), what });
    }
    let environment = Environment::with_prefix("SMSBUSD")
        .prefix_separator("__")
        .separator("__")
        .try_parsing(true)
        .source(Some(sources.environment.clone().into_iter().collect()));
    let written = builder.add_source(environment).build().and_then(|config| config.collect()).map_err(|error| {
        Problems(vec![Problem { file: Some(ENVIRONMENT.into()), key: String::new(), what: error.to_string() }])
    });
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut written = written?;
    let mut draft = Draft::default();
    draft.origins.first_folder = sources.files.first().map(|file| folder_of(file)).unwrap_or_default();
    draft.origins.credentials_directory = sources.environment.get("CREDENTIALS_DIRECTORY").map(Into::into);
    written.iter().for_each(|(key, value)| draft.origins.note(key, value));
    read_sections(&mut draft, &mut written);
    resolve_paths(&mut draft);
    Ok(draft)
}

fn read_sections(draft: &mut Draft, written: &mut Map<String, Value>) {
    macro_rules! sections {
        ($($section:ident),*) => {$(
            if let Some(value) = written.remove(stringify!($section))
                && let Some(read) = read_section(draft, stringify!($section), value)
            {
                draft.settings.$section = read;
            }
        )*};
    }
    sections!(
        store,
        callbacks,
        operations,
        instances,
        process,
        log,
        gateway,
        ticketing,
        keys,
        transit,
        numbers,
        facts,
        routing,
        eligibility,
        texts,
        vat,
        mo_webhook,
        webhooks
    );
    if let Some(api) = written.remove("api") {
        read_api(draft, api);
    }
    if let Some(carriers) = written.remove("carriers") {
        read_carriers(draft, carriers);
    }
    let known = serde_names(&Settings::default());
    for stranger in written.keys() {
        draft.problem(stranger, format!("unknown section; known are {}", known.join(", ")));
    }
}

/// The names of a structure's fields.
fn serde_names(settings: &Settings) -> Vec<String> {
    let table = toml::Table::try_from(settings).unwrap_or_default();
    table.keys().cloned().collect()
}

/// `listen` and `tokens_file` are ours; the rest of the section belongs to the API.
fn read_api(draft: &mut Draft, api: Value) {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Ours {
        listen: std::net::SocketAddr,
        tokens_file: Option<std::path::PathBuf>,
    }
    impl Default for Ours {
        fn default() -> Ours {
            let ApiSettings { listen, tokens_file, .. } = ApiSettings::default();
            Ours { listen, tokens_file }
        }
    }
    let Ok(mut theirs) = api.into_table() else {
        return draft.problem("api", "a table is expected");
    };
    let ours: Map<String, Value> =
        ["listen", "tokens_file"].into_iter().filter_map(|key| theirs.remove_entry(key)).collect();
    if let Some(Ours { listen, tokens_file }) = read_section(draft, "api", Value::new(None, ours)) {
        draft.settings.api.listen = listen;
        draft.settings.api.tokens_file = tokens_file;
    }
    if let Some(config) = read_section::<ApiConfig>(draft, "api", Value::new(None, theirs)) {
        draft.settings.api.config = config;
    }
}

fn read_carriers(draft: &mut Draft, carriers: Value) {
    let Ok(carriers) = carriers.into_table() else {
        return draft.problem("carriers", "a table per carrier is expected");
    };
    for (name, value) in carriers {
        let key = below("carriers", &name);
        match name.parse::<CarrierName>() {
            Ok(name) => {
                if let Some(carrier) = read_section(draft, &key, value) {
                    draft.settings.carriers.insert(name, carrier);
                }
            }
            Err(error) => draft.problem(key, error.to_string()),
        }
    }
}

/// Reads one section. What is wrong in it is noted, taken out, and the rest read again: so that all of it is told.
fn read_section<T: DeserializeOwned>(draft: &mut Draft, section: &str, mut value: Value) -> Option<T> {
    let mut taken_out: Vec<String> = Vec::new();
    for _ in 0..PROBLEMS_PER_SECTION_MAX {
        let mut passed_over = Vec::new();
        // Some structures are kept in the store as well, and there they pass over what they do not know. Not here.
        let note = |path: serde_ignored::Path<'_>| passed_over.push(path.to_string().replace(".?", ""));
        let error = match serde_ignored::deserialize::<_, _, T>(value.clone(), note) {
            Ok(read) => {
                passed_over.iter().for_each(|stranger| draft.problem(below(section, stranger), "unknown key"));
                return Some(read);
            }
            Err(error) => error,
        };
        let (inner, what) = key_and_reason(error);
        // A key that is missing because it was taken out has been told already.
        if !taken_out.contains(&inner) {
            draft.problem(if inner.is_empty() { section.to_owned() } else { below(section, &inner) }, what);
        }
        if inner.is_empty() || !take_out(&mut value, &inner) {
            return None;
        }
        taken_out.push(inner);
    }
    None
}

/// Where an error lies, seen from the section, and what it says.
fn key_and_reason(error: ConfigError) -> (String, String) {
    match error {
        ConfigError::NotFound(key) => (key, "this key must be there".into()),
        ConfigError::Type { unexpected, expected, key, .. } => {
            (key.unwrap_or_default(), format!("{expected} is expected, not {unexpected}"))
        }
        ConfigError::At { error, key, .. } => {
            let key = key.unwrap_or_default();
            let what = error.to_string();
            match unknown_field(&what) {
                Some(field) => {
                    (below(&key, field), what.replacen(&format!("unknown field `{field}`"), "unknown key", 1))
                }
                None => (key, what),
            }
        }
        ConfigError::Message(what) => match unknown_field(&what) {
            Some(field) => (field.to_owned(), what.replacen(&format!("unknown field `{field}`"), "unknown key", 1)),
            None => (String::new(), what),
        },
        other => (String::new(), other.to_string()),
    }
}

/// The name in serde's words for a field that must not be there.
fn unknown_field(what: &str) -> Option<&str> {
    what.strip_prefix("unknown field `")?.split('`').next()
}

/// Removes the value under `key`. Whether there was one.
fn take_out(value: &mut Value, key: &str) -> bool {
    let (name, rest) = match key.find(['.', '[']) {
        Some(0) => {
            let Some((index, rest)) = key[1..].split_once(']') else { return false };
            let (ValueKind::Array(values), Ok(index)) = (&mut value.kind, index.parse::<usize>()) else { return false };
            if index >= values.len() {
                return false;
            }
            let rest = rest.strip_prefix('.').unwrap_or(rest);
            // An element keeps its place, or the numbers of those after it would change.
            return !rest.is_empty() && take_out(&mut values[index], rest);
        }
        Some(at) => (&key[..at], key[at..].strip_prefix('.').unwrap_or(&key[at..])),
        None => (key, ""),
    };
    let ValueKind::Table(table) = &mut value.kind else { return false };
    match rest {
        "" => table.remove(name).is_some(),
        // A list with an element that is no table is taken out whole.
        rest if rest.starts_with('[') && rest.ends_with(']') => table.remove(name).is_some(),
        rest => table.get_mut(name).is_some_and(|inner| take_out(inner, rest)),
    }
}

/// Makes every path absolute, or relative to the working directory.
fn resolve_paths(draft: &mut Draft) {
    let mut settings = std::mem::take(&mut draft.settings);
    let mut resolve = |key: String, path: &mut std::path::PathBuf| match draft.origins.path(&key, path) {
        Ok(resolved) => *path = resolved,
        Err(what) => draft.problem(key, what),
    };
    resolve("keys.directory".into(), &mut settings.keys.directory);
    resolve("transit.directory".into(), &mut settings.transit.directory);
    if let Some(file) = &mut settings.store.watermark {
        resolve("store.watermark".into(), file);
    }
    if let Some(file) = &mut settings.texts.file {
        resolve("texts.file".into(), file);
    }
    if let Some(file) = &mut settings.api.tokens_file {
        resolve("api.tokens_file".into(), file);
    }
    if let Some(file) = &mut settings.instances.token_file {
        resolve("instances.token_file".into(), file);
    }
    for (n, file) in settings.mo_webhook.secret_files.iter_mut().enumerate() {
        resolve(format!("mo_webhook.secret_files[{n}]"), file);
    }
    if let Some(file) = &mut settings.mo_webhook.authorities_file {
        resolve("mo_webhook.authorities_file".into(), file);
    }
    for (name, webhook) in &mut settings.webhooks {
        for (n, file) in webhook.secret_files.iter_mut().enumerate() {
            resolve(format!("webhooks.{name}.secret_files[{n}]"), file);
        }
        if let Some(file) = &mut webhook.authorities_file {
            resolve(format!("webhooks.{name}.authorities_file"), file);
        }
    }
    for (n, list) in settings.numbers.lists.iter_mut().enumerate() {
        resolve(format!("numbers.lists[{n}].file"), &mut list.file);
    }
    for (name, carrier) in &mut settings.carriers {
        let key = format!("carriers.{name}");
        if let Some(smpp) = &mut carrier.smpp {
            resolve(format!("{key}.smpp.password_file"), &mut smpp.password_file);
            for (n, bind) in smpp.binds.iter_mut().enumerate() {
                if let Some(file) = &mut bind.password_file {
                    resolve(format!("{key}.smpp.binds[{n}].password_file"), file);
                }
            }
            tls_files(&mut smpp.tls).for_each(|(file, path)| resolve(format!("{key}.smpp.tls.{file}"), path));
        }
        if let Some(camara) = &mut carrier.camara {
            resolve(format!("{key}.camara.token.client_secret_file"), &mut camara.token.client_secret_file);
            for (n, file) in camara.callback_token_files.iter_mut().enumerate() {
                resolve(format!("{key}.camara.callback_token_files[{n}]"), file);
            }
            tls_files(&mut camara.tls).for_each(|(file, path)| resolve(format!("{key}.camara.tls.{file}"), path));
        }
        if let Some(http) = &mut carrier.http {
            profile_files(http).for_each(|(file, path)| resolve(format!("{key}.http.{file}"), path));
        }
    }
    for (name, source) in &mut settings.facts.sources {
        let key = format!("facts.sources.{name}");
        if let Some(camara) = &mut source.camara {
            resolve(format!("{key}.camara.token.client_secret_file"), &mut camara.token.client_secret_file);
            tls_files(&mut camara.tls).for_each(|(file, path)| resolve(format!("{key}.camara.tls.{file}"), path));
        }
        if let Some(http) = &mut source.http {
            profile_files(http).for_each(|(file, path)| resolve(format!("{key}.http.{file}"), path));
        }
    }
    if let Some(look_up) = &mut settings.facts.look_up {
        profile_files(&mut look_up.http).for_each(|(file, path)| resolve(format!("facts.look_up.http.{file}"), path));
    }
    if let Some(path) =
        settings.store.url.strip_prefix("sqlite://").filter(|path| !path.starts_with('/') && !path.is_empty())
    {
        let mut path = path.into();
        resolve("store.url".into(), &mut path);
        settings.store.url = format!("sqlite://{}", path.display());
    }
    draft.settings = settings;
}

/// The files of a section about a profile, by their keys.
fn profile_files(http: &mut HttpProfile) -> impl Iterator<Item = (String, &mut std::path::PathBuf)> {
    let secrets = http.secret_files.iter_mut().map(|(secret, path)| (format!("secret_files.{secret}"), path));
    let tls = tls_files(&mut http.tls).map(|(file, path)| (format!("tls.{file}"), path));
    std::iter::once(("profile".to_owned(), &mut http.profile)).chain(secrets).chain(tls)
}

/// The files of a TLS section, by their keys.
fn tls_files(tls: &mut Option<TlsConfig>) -> impl Iterator<Item = (&'static str, &mut std::path::PathBuf)> {
    let files = tls.as_mut().map(|tls| {
        [
            ("authorities_file", &mut tls.authorities_file),
            ("certificate_file", &mut tls.certificate_file),
            ("key_file", &mut tls.key_file),
        ]
    });
    files.into_iter().flatten().filter_map(|(key, path)| Some((key, path.as_mut()?)))
}

/// One file, its values marked with its name.
#[derive(Clone, Debug)]
struct Written(Map<String, Value>);

impl Written {
    fn read(file: &Path) -> Result<Written, String> {
        let text = fs::read_to_string(file).map_err(|error| format!("cannot be read: {error}"))?;
        let table = File::from_str(&text, FileFormat::Toml).collect().map_err(|error| match error {
            ConfigError::FileParse { cause, .. } => format!("not TOML: {}", cause.to_string().trim_end()),
            other => other.to_string(),
        })?;
        let origin = file.display().to_string();
        Ok(Written(table.into_iter().map(|(key, value)| (key, marked(value, &origin))).collect()))
    }
}

fn marked(value: Value, origin: &String) -> Value {
    let kind = match value.kind {
        ValueKind::Table(table) => {
            ValueKind::Table(table.into_iter().map(|(key, value)| (key, marked(value, origin))).collect())
        }
        ValueKind::Array(values) => ValueKind::Array(values.into_iter().map(|value| marked(value, origin)).collect()),
        other => other,
    };
    Value::new(Some(origin), kind)
}

impl Source for Written {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}
