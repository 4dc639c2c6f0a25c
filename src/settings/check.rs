//! What single values cannot know: bounds, and whether the parts fit each other.

use std::{collections::BTreeMap, path::Path};

use tracing_subscriber::EnvFilter;
use url::Url;

use super::{draft::Draft, origins::below};
use crate::{
    carrier::{PrefixTable, PurchaseMode},
    gateway::{Books, missing_tariffs},
    ledger::DatedFee,
    store::Store,
};

/// Of tariffs that are missing at one carrier, so many are told; the rest are counted.
const MISSING_TARIFFS_MAX: usize = 20;

/// Notes in `draft` what is wrong.
pub(super) fn check(draft: &mut Draft, books: Option<&Books>) {
    bounds(draft);
    listeners(draft);
    store(draft);
    carriers(draft);
    if let Some(books) = books {
        tariffs(draft, books);
        agencies(draft, books);
    }
}

fn bounds(draft: &mut Draft) {
    let settings = &draft.settings;
    let sections = [
        ("gateway", settings.gateway.problems()),
        ("ticketing", settings.ticketing.problems()),
        ("mo_webhook", settings.mo_webhook.problems(settings.gateway.ticket_deadline_seconds)),
        ("api", settings.api.config.problems()),
        ("facts", settings.facts.problems(settings.gateway.ticket_deadline())),
        ("routing", settings.routing.problems()),
        ("vat", settings.vat.problems()),
    ];
    for (section, problems) in sections {
        problems.iter().for_each(|problem| draft.problem_below(section, problem));
    }
    for (name, webhook) in draft.settings.webhooks.clone() {
        let key = below("webhooks", &name);
        webhook.problems(&name).iter().for_each(|problem| draft.problem_below(&key, problem));
    }
    let within = [
        ("store.queue", draft.settings.store.queue as u64, 1..=1_000_000),
        ("store.batch", draft.settings.store.batch as u64, 1..=100_000),
        ("instances.lease_seconds", draft.settings.instances.lease_seconds, 2..=300),
        ("process.drain_seconds_max", draft.settings.process.drain_seconds_max, 1..=3_600),
    ];
    for (key, value, range) in within {
        if !range.contains(&value) {
            draft.problem(key, format!("{value} is not between {} and {}", range.start(), range.end()));
        }
    }
    let process = draft.settings.process.clone();
    if process.announce_seconds > 0 && process.announce_seconds >= process.drain_seconds_max {
        draft.problem("process.announce_seconds", "it is a part of process.drain_seconds_max, and must be less");
    }
    let name = draft.settings.instances.name.clone();
    if name.is_empty() || name.len() > 63 || name.contains(char::is_control) {
        draft.problem("instances.name", "1 to 63 characters");
    }
    let instances = draft.settings.instances.clone();
    if instances.listen.is_some() != instances.token_file.is_some() {
        draft.problem("instances.token_file", "it goes with instances.listen");
    }
    let is_plain = |url: Url| matches!(url.scheme(), "http" | "https") && url.has_host() && url.password().is_none();
    if let Some(address) = &instances.address
        && !Url::parse(address).is_ok_and(is_plain)
    {
        draft.problem("instances.address", "want http://HOST:PORT");
    }
    if instances.address.is_none() && instances.listen.is_some_and(|listen| listen.ip().is_unspecified()) {
        draft.problem("instances.address", "instances.listen says everywhere; say where the others reach this one");
    }
    if let Err(error) = EnvFilter::try_new(&draft.settings.log.filter) {
        draft.problem("log.filter", error.to_string());
    }
}

fn listeners(draft: &mut Draft) {
    let settings = &draft.settings;
    let (api, callbacks, operations) = (settings.api.listen, settings.callbacks.listen, settings.operations.listen);
    if api == operations && api.port() != 0 {
        let what = format!("{operations} is also api.listen; metrics have a listener of their own");
        draft.problem("operations.listen", what);
    }
    if [api, operations].contains(&callbacks) && callbacks.port() != 0 {
        let what = format!("{callbacks} is another listener's too; callbacks have a listener of their own");
        draft.problem("callbacks.listen", what);
    }
}

pub(super) fn store(draft: &mut Draft) {
    let keeps = draft.settings.store.keep_months_min;
    if !(1..=1_200).contains(&keeps) {
        draft.problem("store.keep_months_min", format!("{keeps} is not between 1 and 1200"));
    }
    let url = draft.settings.store.url.clone();
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Store::complaint(&url).into_iter().for_each(|what| draft.problem("store.url", what));
    }
    match url.strip_prefix("sqlite://") {
        Some(path) => {
            let path = Path::new(path);
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            if path.file_name().is_none() {
                draft
                    .problem("store.url", format!("{url:?} names no file; write sqlite:///var/lib/smsbusd/smsbusd.db"));
            } else if !folder.is_dir() {
                draft.problem("store.url", format!("the folder {} is not there", folder.display()));
            }
        }
        None if url == "memory:" => {}
        None => {
            draft.problem(
                "store.url",
                format!("{:?} is none of sqlite://PATH, postgres://USER@HOST/DATABASE and memory:", Store::shown(&url)),
            );
        }
    }
}

pub(super) fn carriers(draft: &mut Draft) {
    let carriers = draft.settings.carriers.clone();
    if carriers.is_empty() && draft.is_sound("carriers") {
        draft.problem("carriers", "there is none; config/examples/carriers shows two");
    }
    for (name, carrier) in &carriers {
        let key = format!("carriers.{name}");
        if !carrier.can_charge() {
            draft.problem(&key, "it needs one section of smpp, camara and http that says how it charges; smpp may stand beside another, for messages");
        }
        if let Some(camara) = &carrier.camara {
            camara.problems().iter().for_each(|problem| draft.problem_below(&below(&key, "camara"), problem));
        }
        if carrier.purchase == PurchaseMode::Webhook && draft.settings.mo_webhook.url.is_none() {
            draft.problem(
                below(&key, "purchase"),
                "it is \"webhook\"; set mo_webhook.url to where the ticket service listens",
            );
        }
        if let Some(smpp) = &carrier.smpp {
            let problems = if carrier.charges_by_smpp() { smpp.problems() } else { smpp.link_only_problems() };
            problems.iter().for_each(|problem| draft.problem_below(&below(&key, "smpp"), problem));
            if smpp.password_file.as_os_str().is_empty() {
                draft.problem(below(&key, "smpp.password_file"), "it is empty; name the file that holds the password");
            }
        }
        DatedFee::problems(&carrier.fees).iter().for_each(|problem| draft.problem_below(&key, problem));
        if let Err(problem) = carrier.zone() {
            draft.problem_below(&key, &problem);
        }
        let is_address =
            |text: &str| (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_address(&carrier.short_number) {
            draft.problem(below(&key, "short_number"), "1 to 20 printable ASCII characters (SMPP 3.4, 5.2.8)");
        }
    }
    let prefixes = carriers.iter().map(|(name, carrier)| (name, carrier.prefixes.as_slice()));
    if let Err(problem) = PrefixTable::new(prefixes) {
        draft.problem_below("", &problem);
    }
    let known = |name: &str| carriers.keys().any(|known| known.as_str() == name);
    let strangers: Vec<String> =
        draft.settings.eligibility.carriers().filter(|name| !known(name)).map(str::to_owned).collect();
    for name in strangers {
        draft.problem(format!("eligibility.carriers.{name}"), "no carrier has this name");
    }
    let is_caller = |name: &str| draft.settings.api.config.tokens.contains_key(name);
    let strangers: Vec<String> =
        draft.settings.eligibility.callers().filter(|name| !is_caller(name)).map(str::to_owned).collect();
    for name in strangers {
        draft.problem(format!("eligibility.callers.{name}"), "no caller of the API has this name");
    }
    for (n, list) in draft.settings.numbers.lists.clone().iter().enumerate() {
        if let Some(name) = list.carrier.as_deref().filter(|name| !known(name)) {
            draft.problem(format!("numbers.lists[{n}].carrier"), format!("no carrier has the name {name:?}"));
        }
    }
}

fn agencies(draft: &mut Draft, books: &Books) {
    let is_known = |id: &str| books.catalogue.agency(id).is_some();
    let strangers: Vec<String> =
        draft.settings.eligibility.agencies().filter(|id| !is_known(id)).map(str::to_owned).collect();
    for id in strangers {
        draft.problem(format!("eligibility.agencies.{id}"), "no agency has this id");
    }
    let strangers: Vec<String> = draft.settings.vat.agencies.iter().filter(|id| !is_known(id)).cloned().collect();
    for id in strangers {
        draft.problem("vat.agencies", format!("no agency has the id {id:?}"));
    }
}

fn tariffs(draft: &mut Draft, books: &Books) {
    let sound = draft.settings.carriers.iter().filter(|(name, _)| draft.is_sound(&format!("carriers.{name}")));
    let missing = missing_tariffs(&books.catalogue, sound, draft.settings.gateway.passengers_max.min(50));
    let mut told: BTreeMap<&str, usize> = BTreeMap::new();
    for problem in &missing {
        let count = told.entry(problem.split(": ").next().unwrap_or_default()).or_default();
        *count += 1;
        if *count <= MISSING_TARIFFS_MAX {
            draft.problem_below("", problem);
        }
    }
    for (key, count) in told {
        if count > MISSING_TARIFFS_MAX {
            draft.problem(key, format!("and {} more", count - MISSING_TARIFFS_MAX));
        }
    }
}
