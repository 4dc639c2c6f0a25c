//! What the configuration refers to: books, number lists, keys, passwords, tokens.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs,
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use zeroize::Zeroizing;

use super::{
    LookUpMaterials, SourceMaterials, carrier_secrets, carrier_secrets::read_password, draft::Draft, fact_sources,
};
use crate::{
    api::TokenConfig,
    carrier::{
        CarrierSecrets,
        web::{WebClient, WebClientConfig},
    },
    charge::CarrierName,
    clock::Timestamp,
    gateway::{Books, Exchange, MoWebhook, Secrets, Webhook, WebhookKey},
    passenger::{Texts, TextsError},
    subscriber::NumberLists,
    ticket::{
        Keyring,
        keyfile::{self, Secret},
    },
    tls::TlsMaterials,
    transit::{Catalogue, CatalogueText},
};

/// No file that is read whole is longer, in bytes; number lists have a bound of their own.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The longest answer of the ticket service to a webhook that is read; only its status counts.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// How long a connection to another instance may take, and half of what an errand may.
const EXCHANGE_WITHIN: Duration = Duration::from_secs(1);

/// What the files hold that the configuration names.
#[derive(Debug)]
pub struct Materials {
    /// Vehicles and fares, the rules of who may pay, the texts.
    pub books: Books,
    /// The number lists.
    pub lists: NumberLists,
    /// The keys that sign tickets.
    pub keyring: Keyring,
    /// The secrets behind MSISDN tags and short codes.
    pub secrets: Secrets,
    /// The way to the ticket service, if one is configured.
    pub mo_webhook: Option<MoWebhook>,
    /// Those who are told of events.
    pub webhooks: Vec<Webhook>,
    /// How other daemons that serve the same database are reached.
    pub exchange: Option<Exchange>,
    /// What each carrier is reached with.
    pub carriers: BTreeMap<CarrierName, CarrierSecrets>,
    /// Who can be asked about subscribers, and what they are reached with.
    pub sources: Vec<SourceMaterials>,
    /// Who can be asked which carrier a number belongs to.
    pub look_up: Option<LookUpMaterials>,
}

/// What of it could be read.
pub(super) struct Found {
    pub(super) books: Option<Books>,
    lists: Option<NumberLists>,
    keys: Option<(Keyring, Secrets)>,
    mo_webhook: Option<MoWebhook>,
    webhooks: Vec<Webhook>,
    exchange: Option<Exchange>,
    carriers: BTreeMap<CarrierName, CarrierSecrets>,
    sources: (Vec<SourceMaterials>, Option<LookUpMaterials>),
}

impl Found {
    pub(super) fn complete(self) -> Option<Materials> {
        let (keyring, secrets) = self.keys?;
        let Found { books, lists, mo_webhook, webhooks, exchange, carriers, sources: (sources, look_up), .. } = self;
        Some(Materials {
            books: books?,
            lists: lists?,
            keyring,
            secrets,
            mo_webhook,
            webhooks,
            exchange,
            carriers,
            sources,
            look_up,
        })
    }
}

/// Reads everything, and notes in `draft` what is wrong with it.
pub(super) fn read(draft: &mut Draft, now: Timestamp) -> Found {
    read_tokens(draft);
    Found {
        books: books(draft),
        lists: lists(draft, now),
        keys: keys(draft, now),
        mo_webhook: mo_webhook(draft),
        webhooks: webhooks(draft),
        exchange: exchange(draft),
        carriers: carrier_secrets::read(draft),
        sources: fact_sources::read(draft),
    }
}

/// How other instances are reached.
fn exchange(draft: &mut Draft) -> Option<Exchange> {
    let file = draft.settings.instances.token_file.clone()?;
    let mut client = WebClientConfig::new("instances".parse().expect("a name"));
    client.connect_timeout = EXCHANGE_WITHIN;
    client.timeout = 2 * EXCHANGE_WITHIN;
    match (read_password(&file), WebClient::new(client, None)) {
        (Ok(token), Ok(client)) => Some(Exchange::new(client, token)),
        (Err(what), _) => {
            draft.problem("instances.token_file", what);
            None
        }
        (_, Err(error)) => {
            draft.problem("instances.address", error.to_string());
            None
        }
    }
}

fn books(draft: &mut Draft) -> Option<Books> {
    let catalogue = if draft.is_sound("transit") { catalogue(draft) } else { None };
    let texts = if draft.is_sound("texts") { texts(draft) } else { None };
    Some(Books { catalogue: catalogue?, rules: draft.settings.eligibility.clone(), texts: texts? })
}

fn catalogue(draft: &mut Draft) -> Option<Catalogue> {
    let directory = draft.settings.transit.directory.clone();
    let file = |name: &str| match read_text(&directory.join(name)) {
        Ok(text) => Some(text),
        Err(what) => {
            draft.problem("transit.directory", what);
            None
        }
    };
    let [cities, agencies, routes, vehicles, fares] =
        ["cities.csv", "agencies.csv", "routes.csv", "vehicles.csv", "fares.csv"].map(file);
    let (cities, agencies, routes, vehicles, fares) = (cities?, agencies?, routes?, vehicles?, fares?);
    let text =
        CatalogueText { cities: &cities, agencies: &agencies, routes: &routes, vehicles: &vehicles, fares: &fares };
    match Catalogue::read(&text) {
        Ok(catalogue) => Some(catalogue),
        Err(error) => {
            for fault in &error.faults {
                draft.problem("transit.directory", format!("{}/{fault}", directory.display()));
            }
            if error.more > 0 {
                draft.problem("transit.directory", format!("and {} more faults", error.more));
            }
            None
        }
    }
}

fn texts(draft: &mut Draft) -> Option<Texts> {
    let Some(file) = draft.settings.texts.file.clone() else { return Some(Texts::shipped()) };
    let text = match read_text(&file) {
        Ok(text) => text,
        Err(what) => {
            draft.problem("texts.file", what);
            return None;
        }
    };
    let file = file.display();
    match Texts::load(&text) {
        Ok(texts) => Some(texts),
        Err(TextsError::Wrong(problems)) => {
            problems.iter().for_each(|problem| draft.problem("texts.file", format!("{file}: {problem}")));
            None
        }
        Err(error) => {
            draft.problem("texts.file", format!("{file}: {error}"));
            None
        }
    }
}

fn lists(draft: &mut Draft, now: Timestamp) -> Option<NumberLists> {
    if !draft.is_sound("numbers") {
        return None;
    }
    match NumberLists::load(&draft.settings.numbers, now) {
        Ok(lists) => Some(lists),
        Err(error) => {
            draft.problem("numbers.lists", error.to_string());
            None
        }
    }
}

/// The private keys: ticket keys of which one signs now, one key for short codes, one for MSISDN tags, and no root.
fn keys(draft: &mut Draft, now: Timestamp) -> Option<(Keyring, Secrets)> {
    const KEY: &str = "keys.directory";
    if !draft.is_sound("keys") {
        return None;
    }
    let directory = draft.settings.keys.directory.clone();
    let listed = match keyfile::list(&directory) {
        Ok(listed) => listed,
        Err(error) => {
            draft.problem(KEY, error.to_string());
            return None;
        }
    };
    let (mut ticket_keys, mut short_codes, mut msisdn_tags) = (Vec::new(), Vec::new(), Vec::new());
    for key in listed {
        match keyfile::load(&key.path) {
            Ok(Secret::Ticket(key)) => ticket_keys.push(key),
            Ok(Secret::ShortCode(key)) => short_codes.push(key),
            Ok(Secret::MsisdnTag(key)) => msisdn_tags.push(key),
            Ok(Secret::Root(_)) => {
                draft.problem(KEY, format!("{}: the root belongs on a machine without a network", key.path.display()));
            }
            Err(error) => draft.problem(KEY, error.to_string()),
        }
    }
    let place = directory.display();
    let keyring = match Keyring::new(ticket_keys) {
        Ok(keyring) => match keyring.signing_key(now, now) {
            Ok(_) => Some(keyring),
            Err(error) => {
                draft.problem(KEY, format!("{place}: {error}; make one with `smsbusd keys generate --purpose ticket`"));
                None
            }
        },
        Err(error) => {
            draft.problem(KEY, format!("{place}: {error}; make a key with `smsbusd keys generate --purpose ticket`"));
            None
        }
    };
    let mut only = |purpose: &str, count: usize| {
        if count != 1 {
            draft.problem(KEY, format!("{place}: {count} keys of purpose {purpose}, one is needed"));
        }
    };
    only("short-code", short_codes.len());
    only("msisdn-tag", msisdn_tags.len());
    let (short_code, msisdn_tag) = (short_codes.pop()?, msisdn_tags.pop()?);
    Some((keyring?, Secrets { msisdn_tag, short_code }))
}

/// The way to the ticket service; `None` if there is none, or if something is wrong with it.
fn mo_webhook(draft: &mut Draft) -> Option<MoWebhook> {
    let config = draft.settings.mo_webhook.clone();
    if config.url.is_none() || !draft.is_sound("mo_webhook") {
        return None;
    }
    let files = (config.secret_files.as_slice(), config.authorities_file.as_deref());
    let (keys, client) = webhook_means(draft, "mo_webhook", "ticket-service", files, config.timeout_ms)?;
    MoWebhook::new(config, keys, client)
}

/// Those who are told of events; without those with which something is wrong.
fn webhooks(draft: &mut Draft) -> Vec<Webhook> {
    if !draft.is_sound("webhooks") {
        return Vec::new();
    }
    let configs = draft.settings.webhooks.clone();
    let mut webhooks = Vec::new();
    for (name, config) in configs {
        // The bounds are checked later, and what is wrong with them is told then.
        if !config.problems(&name).is_empty() {
            continue;
        }
        let files = (config.secret_files.as_slice(), config.authorities_file.as_deref());
        let key = format!("webhooks.{name}");
        let means = webhook_means(draft, &key, &format!("webhook-{name}"), files, config.timeout_ms);
        webhooks.extend(means.and_then(|(keys, client)| Webhook::new(name, config, keys, client)));
    }
    webhooks
}

/// The keys and the client of a webhook, from its files: those of the keys, and the one of the authorities.
fn webhook_means(
    draft: &mut Draft,
    section: &str,
    client: &str,
    (key_files, authorities_file): (&[PathBuf], Option<&Path>),
    timeout_ms: u64,
) -> Option<(Vec<WebhookKey>, WebClient)> {
    let mut keys = Vec::new();
    for (n, file) in key_files.iter().enumerate() {
        let read = read_text(file).map(Zeroizing::new);
        let key = read.and_then(|text| {
            text.trim_end().parse::<WebhookKey>().map_err(|error| format!("{}: {error}", file.display()))
        });
        match key {
            Ok(key) => keys.push(key),
            Err(what) => draft.problem(format!("{section}.secret_files[{n}]"), what),
        }
    }
    let authorities_key = format!("{section}.authorities_file");
    let authorities = match authorities_file.map(read_text).transpose() {
        Ok(authorities) => authorities.map(String::into_bytes),
        Err(what) => {
            draft.problem(authorities_key, what);
            return None;
        }
    };
    let tls = authorities.map(|authorities| TlsMaterials { authorities: Some(authorities), identity: None });
    let name = client.parse().expect("a sound name");
    let timeout = Duration::from_millis(timeout_ms);
    let client = WebClientConfig { timeout, body_bytes_max: ANSWER_BYTES_MAX, ..WebClientConfig::new(name) };
    match WebClient::new(client, tls.as_ref()) {
        Ok(client) => Some((keys, client)),
        Err(error) => {
            draft.problem(authorities_key, error.to_string());
            None
        }
    }
}

/// Adds the tokens of `api.tokens_file` to those of the section.
fn read_tokens(draft: &mut Draft) {
    let Some(file) = draft.settings.api.tokens_file.clone() else { return };
    let place = file.display();
    let read = read_text(&file).and_then(|text| {
        // The parser's own message would show the line.
        toml::from_str(&text).map_err(|error: toml::de::Error| format!("{place}: {}", error.message()))
    });
    let tokens: BTreeMap<String, TokenConfig> = match read {
        Ok(tokens) => tokens,
        Err(what) => return draft.problem("api.tokens_file", what),
    };
    for (name, token) in tokens {
        match draft.settings.api.config.tokens.entry(name) {
            Entry::Vacant(free) => drop(free.insert(token)),
            Entry::Occupied(taken) => {
                let what = format!("{place}: {} is also under api.tokens", taken.key());
                draft.problem("api.tokens_file", what);
            }
        }
    }
}

pub(super) fn read_text(file: &Path) -> Result<String, String> {
    let place = file.display();
    let mut text = String::new();
    let opened = fs::File::open(file).map_err(|error| format!("{place}: {error}"))?;
    let read =
        opened.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| format!("{place}: {error}"))?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(format!("{place}: longer than {FILE_BYTES_MAX} bytes"));
    }
    Ok(text)
}
