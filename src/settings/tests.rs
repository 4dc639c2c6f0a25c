use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;

use super::{draft, *};
use crate::{
    api::{ApiConfig, TokenConfig},
    carrier::{
        CamaraProfile, CarrierConfig, HttpProfile, RefundProfile, RoutingSettings, SmppProfile, TariffConfig,
        TlvConfig,
        camara::{ListProfile, MerchantProfile, TokenProfile},
    },
    eligibility::{FactRule, Limits, Rules, SalesLimit, Velocity},
    gateway::{GatewayConfig, MoWebhookConfig, TicketingConfig, WebhookConfig},
    ledger::{DatedFee, DatedVat, VatConfig},
    subscriber::{
        AskingSettings, CamaraFactsSettings, FactSourceSettings, FactsSettings, NumberListSettings, NumberListsSettings,
    },
    ticket::keyfile::{self, NewKey},
};

mod annotated;
mod named_files;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder with a sound configuration: the examples, and keys of its own.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().expect("a folder"));
        let path = folder.path();
        fs::create_dir(path.join("keys")).expect("a folder");
        let window = NewKey::Ticket { not_before: NOW, not_after: Timestamp::from_unix_seconds(1_900_000_000) };
        for new in [window, NewKey::ShortCode, NewKey::MsisdnTag] {
            keyfile::generate(&path.join("keys"), new).expect("a key");
        }
        fs::write(path.join("password"), "secret\n").expect("written");
        let examples = root().join("config/examples");
        let text = fs::read_to_string(examples.join("smsbusd.toml")).expect("the example");
        let text = text
            .replace("\"transit\"", &format!("{:?}", examples.join("transit")))
            .replace("\"numbers/", &format!("\"{}/numbers/", examples.display()));
        fs::write(path.join("smsbusd.toml"), text).expect("written");
        let text = fs::read_to_string(examples.join("carriers/charged-at-delivery.toml")).expect("the example");
        let text = text.replace("$CREDENTIALS_DIRECTORY/carriers_beeline", "password");
        fs::write(path.join("carrier.toml"), text).expect("written");
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn sources(&self, files: &[&str], environment: &[(&str, &str)]) -> Sources {
        let files = ["smsbusd.toml", "carrier.toml"].iter().chain(files).map(|file| self.path().join(file)).collect();
        let environment = environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Sources { files, environment: environment.collect() }
    }

    /// What is wrong once `text` goes over the sound configuration. The file is `more.toml`.
    fn problems(&self, text: &str) -> Vec<String> {
        fs::write(self.path().join("more.toml"), text).expect("written");
        let error = load(&self.sources(&["more.toml"], &[]), NOW).expect_err("a problem");
        let folder = format!("{}/", self.path().display());
        error.to_string().lines().map(|line| line.replace(&folder, "")).collect()
    }
}

fn read(text: &str) -> Settings {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("smsbusd.toml");
    fs::write(&file, text).expect("written");
    let environment = HashMap::from([("CREDENTIALS_DIRECTORY".to_owned(), "/credentials".to_owned())]);
    let draft = draft::read(&Sources { files: vec![file], environment }).expect("TOML");
    assert_eq!(draft.problems.to_string(), "");
    draft.settings
}

#[test]
fn the_examples_are_sound() {
    let folder = Folder::new();
    let beeline = load(&folder.sources(&[], &[]), NOW).expect("sound");
    assert_eq!(
        beeline.materials.carriers["beeline".parse().as_ref().expect("a name")].links.password.as_str(),
        "secret"
    );
    let submission = root().join("config/examples/carriers/charged-at-submission.toml");
    let mut sources = folder.sources(&[], &[("CREDENTIALS_DIRECTORY", &folder.path().display().to_string())]);
    fs::write(folder.path().join("carriers_kcell"), "pass").expect("written");
    sources.files.push(submission);
    let both = load(&sources, NOW).expect("sound");
    let names: Vec<&str> = both.settings.carriers.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["beeline", "kcell"]);
    let kcell = &both.settings.carriers["kcell".parse().as_ref().expect("a name")];
    let smpp = kcell.smpp.as_ref().expect("an SMSC");
    assert_eq!(smpp.password_file, folder.path().join("carriers_kcell"));
    assert_eq!(smpp.statuses.len(), 11);
}

#[test]
fn every_unknown_key_is_named_with_its_file_and_its_place() {
    let text = r#"
        [gateway]
        passengers_mx = 4
        flights = 2
        [carriers.beeline.smpp]
        tsp = 7
        [carriers.beeline.smpp.query]
        first_after_ms = 1
        interval_ms_max = 2
        tries = 3
        [eligibility.limits]
        weekly_minor = 3
        [moon]
        phase = 1
    "#;
    let problems = Folder::new().problems(text);
    let keys: Vec<&str> =
        problems.iter().map(|line| line.rsplit_once(": unknown").map_or(line.as_str(), |(key, _)| key)).collect();
    let expected = [
        "more.toml: carriers.beeline.smpp.query.tries",
        "more.toml: carriers.beeline.smpp.tsp",
        "more.toml: eligibility.limits.weekly_minor",
        "more.toml: gateway.flights",
        "more.toml: gateway.passengers_mx",
        "more.toml: moon",
    ];
    assert_eq!(BTreeSet::from_iter(keys), BTreeSet::from(expected), "{problems:#?}");
    assert!(problems.iter().any(|line| line.contains("expected one of `ticket_deadline_seconds`")), "{problems:#?}");
}

#[test]
fn a_value_of_the_wrong_type_and_one_out_of_bounds_are_told_together() {
    let text = r#"
        [api]
        listen = "nowhere"
        [gateway]
        passengers_max = "many"
        sweep_interval_ms = 1
        late_success = "keep"
        [process]
        drain_seconds_max = 0
        [log]
        filter = "smsbusd=loud"
        [operations]
        listen = "127.0.0.1:80800"
        [store]
        url = "mysql://localhost"
    "#;
    let problems = Folder::new().problems(text);
    let told = |key: &str| problems.iter().any(|line| line.starts_with(&format!("more.toml: {key}: ")));
    for key in [
        "api.listen",
        "gateway.passengers_max",
        "gateway.sweep_interval_ms",
        "gateway.late_success",
        "process.drain_seconds_max",
        "log.filter",
        "operations.listen",
        "store.url",
    ] {
        assert!(told(key), "{key}: {problems:#?}");
    }
    assert_eq!(problems.len(), 8, "{problems:#?}");
}

#[test]
fn a_stop_that_is_announced_leaves_time_to_drain() {
    let folder = Folder::new();
    fs::write(folder.path().join("more.toml"), "process = { drain_seconds_max = 10, announce_seconds = 9 }")
        .expect("written");
    load(&folder.sources(&["more.toml"], &[]), NOW).expect("nothing is wrong");
    let problems = folder.problems("process = { drain_seconds_max = 10, announce_seconds = 10 }");
    assert!(problems.len() == 1 && problems[0].starts_with("more.toml: process.announce_seconds: "), "{problems:#?}");
}

#[test]
fn what_is_missing_is_told_with_the_file_of_its_table() {
    let problems = Folder::new().problems("[carriers.kcell]\nprefixes = [701]");
    assert_eq!(problems, ["more.toml: carriers.kcell.short_number: this key must be there"]);
}

#[test]
fn the_environment_goes_over_the_files_and_is_named() {
    let folder = Folder::new();
    let good = [
        ("SMSBUSD__GATEWAY__PASSENGERS_MAX", "4"),
        ("SMSBUSD__CARRIERS__BEELINE__SMPP__TPS", "7"),
        ("SMSBUSD_TOKEN", "x"),
    ];
    let settings = load(&folder.sources(&[], &good), NOW).expect("sound").settings;
    assert_eq!(settings.gateway.passengers_max, 4);
    assert_eq!(
        settings.carriers["beeline".parse().as_ref().expect("a name")].smpp.as_ref().map(|smpp| smpp.tps),
        Some(7)
    );
    let bad = [("SMSBUSD__GATEWAY__PASSENGERS", "4"), ("SMSBUSD__CARRIERS__BEELINE__SMPP__TPS", "fast")];
    let problems = load(&folder.sources(&[], &bad), NOW).expect_err("two problems").0;
    let places: Vec<(&str, &str)> =
        problems.iter().map(|problem| (problem.file.as_deref().unwrap_or_default(), problem.key.as_str())).collect();
    assert_eq!(places, [("the environment", "carriers.beeline.smpp.tps"), ("the environment", "gateway.passengers")]);
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_named() {
    let folder = Folder::new();
    let gone = load(&folder.sources(&["gone.toml"], &[]), NOW).expect_err("no file").to_string();
    assert!(gone.contains("gone.toml: cannot be read: No such file"), "{gone}");
    let broken = folder.problems("[gateway\n");
    assert!(broken[0].starts_with("more.toml: not TOML: "), "{broken:#?}");
    let none = load(&Sources::default(), NOW).expect_err("no file").to_string();
    assert_eq!(none, "no configuration file is named; give one with --config");
}

#[test]
fn a_fare_without_a_tariff_is_told() {
    let text =
        "[carriers.beeline.smpp]\ntariffs = [{ amount = \"80\" }, { amount = \"160\" }]\n[gateway]\npassengers_max = 2";
    let problems = Folder::new().problems(text);
    assert!(!problems.is_empty());
    let of_this = |line: &String| line.starts_with("more.toml: carriers.beeline.smpp.tariffs: no tariff for ");
    let (last, told) = problems.split_last().expect("problems");
    assert!(told.len() == 20 && told.iter().all(of_this), "{problems:#?}");
    assert!(last.starts_with("more.toml: carriers.beeline.smpp.tariffs: and ") && last.ends_with(" more"), "{last}");
    assert!(problems.iter().any(|line| line.contains("(almaty, reduced, 1 passengers)")), "{problems:#?}");
    assert!(!problems.iter().any(|line| line.contains("(almaty, regular, ")), "{problems:#?}");
}

#[test]
fn what_a_refund_over_smpp_lacks_is_told_by_its_key() {
    let folder = Folder::new();
    let section = "[carriers.beeline.smpp.refund]\nproved_by = \"receipt\"\npartial = false\n";
    let of = |more: &str| folder.problems(&format!("{section}{more}"));
    assert_eq!(
        of("tariffs = [{ service_type = \"RFND\" }]"),
        [
            "more.toml: carriers.beeline.smpp.refund.tariffs[0]: neither text nor a TLV has {carrier_id}; which message does it give back?"
        ]
    );
    let unfit = of(
        "text = \"{carrier_id}\"\ntariffs = [{ amount = \"1\", service_type = \"RFND\" }]\n[gateway]\npassengers_max = 1",
    );
    let of_this = |line: &String| line.starts_with("more.toml: carriers.beeline.smpp.refund.tariffs: ");
    assert!(!unfit.is_empty() && unfit.iter().all(of_this), "{unfit:#?}");
    assert!(unfit.iter().any(|line| line.contains("cannot go back (almaty, regular, 1 passengers)")), "{unfit:#?}");
}

#[test]
fn a_migration_asks_for_the_store_only() {
    let folder = Folder::new();
    fs::remove_dir_all(folder.path().join("keys")).expect("removed");
    let store = load_store(&folder.sources(&[], &[])).expect("a sound store");
    assert_eq!(store.url, format!("sqlite://{}", folder.path().join("smsbusd.db").display()));
    assert!(load_store(&folder.sources(&[], &[("SMSBUSD__STORE__BATCH", "lots")])).is_err());
}

#[test]
fn paths_are_where_they_are_written() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("inner")).expect("a folder");
    fs::write(folder.path().join("inner/more.toml"), "texts.file = \"texts.toml\"").expect("written");
    fs::write(folder.path().join("inner/texts.toml"), "").expect("written");
    let settings = load(&folder.sources(&["inner/more.toml"], &[]), NOW).expect("sound").settings;
    assert_eq!(settings.texts.file, Some(folder.path().join("inner/texts.toml")));
    assert_eq!(settings.keys.directory, PathBuf::from(folder.path()).join("keys"));
}
