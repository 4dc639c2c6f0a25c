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

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn annotated() -> String {
    fs::read_to_string(root().join("config/default.toml")).expect("config/default.toml")
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

fn table(settings: &Settings) -> toml::Table {
    toml::Table::try_from(settings).expect("a table")
}

/// The annotated file with what is commented out in force.
fn uncommented() -> String {
    let is_toml = |line: &str| {
        let key: String = line.chars().take_while(|c| c.is_ascii_alphanumeric() || "_.".contains(*c)).collect();
        line.starts_with('[') || !key.is_empty() && line[key.len()..].starts_with(" = ")
    };
    let uncomment = |line: &str| match line.strip_prefix("# ") {
        Some(rest) if is_toml(rest) => rest.to_owned(),
        _ => line.to_owned(),
    };
    let mut lines: Vec<String> = annotated().lines().map(uncomment).collect();
    // The list is written as tables then.
    lines.retain(|line| !["lists = []", "secret_files = []", "rates = []", "agencies = []"].contains(&line.as_str()));
    lines.join("\n")
}

#[test]
fn the_annotated_file_is_the_built_in_defaults() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("default.toml");
    fs::write(&file, annotated()).expect("written");
    let draft = draft::read(&Sources { files: vec![file], environment: HashMap::new() }).expect("TOML");
    assert_eq!(draft.problems.to_string(), "");
    let mut defaults = Settings::default();
    // Relative to the file that they are written in.
    defaults.keys.directory = folder.path().join(&defaults.keys.directory);
    defaults.transit.directory = folder.path().join(&defaults.transit.directory);
    assert_eq!(table(&draft.settings), table(&defaults));

    // And each of them is written there, not only left out to the same effect.
    let written: toml::Table = toml::from_str(&annotated()).expect("TOML");
    let missing = difference("", &table(&Settings::default()), &written);
    assert_eq!(missing, [""; 0]);
}

#[test]
fn what_is_commented_out_is_sound_and_says_the_defaults_of_a_carrier() {
    let shown = table(&read(&uncommented()));
    let minimal = table(&read(
        r#"
        [carriers.kcell]
        short_number = "2505"
        [carriers.kcell.smpp]
        address = "smsc.example:2775"
        system_id = "smsbus"
        password_file = "/password"
        charged_at = "delivery"
        tariffs = [{}]
        "#,
    ));
    let carrier = |table: &toml::Table| table["carriers"]["kcell"].as_table().expect("a carrier").clone();
    let (shown, minimal) = (carrier(&shown), carrier(&minimal));
    let examples = ["prefixes", "test_numbers", "fees", "smpp"];
    for (key, default) in minimal.iter().filter(|(key, _)| !examples.contains(&key.as_str())) {
        assert_eq!(shown.get(key), Some(default), "carriers.kcell.{key}");
    }
    let examples = ["password_file", "binds", "statuses", "errs", "stats", "tariffs", "refund"];
    for (key, default) in minimal["smpp"].as_table().expect("a profile") {
        assert!(
            examples.contains(&key.as_str()) || shown["smpp"].get(key) == Some(default),
            "carriers.kcell.smpp.{key}"
        );
    }
}

#[test]
fn every_key_of_every_structure_is_in_the_annotated_file() {
    let shown: toml::Value = toml::from_str(&uncommented()).expect("TOML");
    let smpp = &shown["carriers"]["kcell"]["smpp"];
    let mut missing = Vec::new();
    let mut look = |place: &str, at: &toml::Value, fields: Vec<String>| {
        assert!(!fields.is_empty(), "{place}");
        missing
            .extend(fields.into_iter().filter(|field| at.get(field).is_none()).map(|field| format!("{place}.{field}")));
    };
    look("store", &shown["store"], fields_of::<StoreSettings>());
    look("callbacks", &shown["callbacks"], fields_of::<CallbacksSettings>());
    look("operations", &shown["operations"], fields_of::<OperationsSettings>());
    look("process", &shown["process"], fields_of::<ProcessSettings>());
    look("log", &shown["log"], fields_of::<LogSettings>());
    look("api", &shown["api"], fields_of::<ApiConfig>());
    look("api", &shown["api"], vec!["listen".into(), "tokens_file".into()]);
    look("api.tokens.NAME", &shown["api"]["tokens"]["ticket-service"], fields_of::<TokenConfig>());
    look("gateway", &shown["gateway"], fields_of::<GatewayConfig>());
    look("ticketing", &shown["ticketing"], fields_of::<TicketingConfig>());
    look("keys", &shown["keys"], fields_of::<KeysSettings>());
    look("transit", &shown["transit"], fields_of::<TransitSettings>());
    look("texts", &shown["texts"], fields_of::<TextsSettings>());
    look("facts", &shown["facts"], fields_of::<FactsSettings>());
    let source = |name: &str| &shown["facts"]["sources"][name];
    let mut of_source = fields_of::<FactSourceSettings>();
    of_source.retain(|field| field != "http");
    look("facts.sources.NAME", source("kcell-facts"), of_source);
    let mut of_camara = fields_of::<CamaraFactsSettings>();
    of_camara.retain(|field| field != "tls");
    look("facts.sources.NAME.camara", &source("kcell-facts")["camara"], of_camara);
    look("facts.sources.NAME", source("kcell-crm"), vec!["http".into()]);
    look("facts.asking", &shown["facts"]["asking"], fields_of::<AskingSettings>());
    look("routing", &shown["routing"], fields_of::<RoutingSettings>());
    look("vat", &shown["vat"], fields_of::<VatConfig>());
    look("vat.rates", &shown["vat"]["rates"][0], fields_of::<DatedVat>());
    look("carriers.NAME.fees", &shown["carriers"]["kcell"]["fees"][0], fields_of::<DatedFee>());
    look("mo_webhook", &shown["mo_webhook"], fields_of::<MoWebhookConfig>());
    look("webhooks.NAME", &shown["webhooks"]["ticket-service"], fields_of::<WebhookConfig>());
    look("numbers", &shown["numbers"], fields_of::<NumberListsSettings>());
    look("numbers.lists", &shown["numbers"]["lists"][0], fields_of::<NumberListSettings>());
    look("eligibility", &shown["eligibility"], fields_of::<Rules>());
    look("eligibility.rules", &shown["eligibility"]["rules"][0], fields_of::<FactRule>());
    look("eligibility.limits", &shown["eligibility"]["limits"], fields_of::<Limits>());
    look("eligibility.limits.velocity", &shown["eligibility"]["limits"]["velocity"], fields_of::<Velocity>());
    let agency = &shown["eligibility"]["agencies"]["green-bus"];
    look("eligibility.agencies.NAME", agency, fields_of::<SalesLimit>());
    let caller = &shown["eligibility"]["callers"]["ticket-service"];
    look("eligibility.callers.NAME", caller, fields_of::<SalesLimit>());
    look("carriers.NAME", &shown["carriers"]["kcell"], fields_of::<CarrierConfig>());
    look("carriers.NAME.smpp", smpp, fields_of::<SmppProfile>());
    let camara = &shown["carriers"]["kcell"]["camara"];
    look("carriers.NAME.camara", camara, fields_of::<CamaraProfile>());
    look("carriers.NAME.camara.token", &camara["token"], fields_of::<TokenProfile>());
    look("carriers.NAME.camara.list", &camara["list"], fields_of::<ListProfile>());
    look("carriers.NAME.camara.merchant", &camara["merchant"], fields_of::<MerchantProfile>());
    look("carriers.NAME.http", &shown["carriers"]["kcell"]["http"], fields_of::<HttpProfile>());
    look("carriers.NAME.smpp.tariffs", &smpp["tariffs"][0], fields_of::<TariffConfig>());
    look("carriers.NAME.smpp.tariffs.tlvs", &smpp["tariffs"][0]["tlvs"][0], fields_of::<TlvConfig>());
    look("carriers.NAME.smpp.refund", &smpp["refund"], fields_of::<RefundProfile>());
    let sections = table(&Settings::default()).keys().cloned().collect();
    look("", &shown, sections);
    assert_eq!(missing, [""; 0]);
}

/// The fields of a structure, as its refusal of another one lists them.
fn fields_of<T: DeserializeOwned>() -> Vec<String> {
    let Err(error) = toml::from_str::<T>("no_such_key = 1") else { return Vec::new() };
    error.message().split('`').skip(3).step_by(2).map(str::to_owned).collect()
}

/// The keys of `wanted` that `written` does not have.
fn difference(key: &str, wanted: &toml::Table, written: &toml::Table) -> Vec<String> {
    let mut missing = Vec::new();
    for (name, value) in wanted {
        let key = format!("{key}.{name}");
        match (value, written.get(name)) {
            (toml::Value::Table(wanted), Some(toml::Value::Table(written))) => {
                missing.extend(difference(&key, wanted, written));
            }
            (_, Some(_)) => {}
            (_, None) => missing.push(key),
        }
    }
    missing
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
fn the_way_to_the_ticket_service_is_checked_whole_and_no_key_is_shown() {
    let folder = Folder::new();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    assert_eq!(
        folder.problems("carriers.beeline.purchase = \"webhook\""),
        [
            "more.toml: carriers.beeline.purchase: it is \"webhook\"; set mo_webhook.url to where the ticket service listens"
        ]
    );
    let webhook = "[mo_webhook]\nurl = \"https://tickets.example/purchases\"\nsecret_files = [\"new\", \"old\"]\n";
    write("new", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    write("old", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    write("authorities.pem", "none");
    assert_eq!(
        folder.problems(&format!("{webhook}authorities_file = \"authorities.pem\"")),
        [
            "more.toml: mo_webhook.authorities_file: certificate authorities: there is none",
            "more.toml: mo_webhook.secret_files[1]: old: a webhook key begins with whsec_",
        ]
    );
    write("old", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
    let late = folder.problems(&format!("{webhook}answer_seconds = 60"));
    assert!(late.len() == 1 && late[0].starts_with("more.toml: mo_webhook.answer_seconds: 60 is not less"), "{late:?}");
    write("more.toml", &format!("carriers.beeline.purchase = \"webhook\"\n{webhook}"));
    let sound = load(&folder.sources(&["more.toml"], &[]), NOW).expect("a sound configuration");
    assert!(sound.materials.mo_webhook.is_some());
    assert!(!format!("{:?}", sound.materials.mo_webhook).contains("C2FVsBQ"));
}

#[test]
fn those_who_are_told_of_events_are_checked_whole_and_no_key_is_shown() {
    let folder = Folder::new();
    fs::write(folder.path().join("good"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").expect("written");
    fs::write(folder.path().join("bad"), "hunter2\n").expect("written");
    let problems = folder.problems(
        r#"
        [webhooks.tickets]
        url = "https://tickets.example/events"
        secret_files = ["good", "bad"]
        [webhooks.books]
        url = "ftp://books.example/"
        secret_files = ["good"]
        retry_seconds = 0
        "#,
    );
    assert_eq!(
        problems,
        [
            "more.toml: webhooks.books.retry_seconds: 0 is not between 1 and 3600",
            "more.toml: webhooks.books.url: \"ftp://books.example/\" is neither https:// nor http:// and a host",
            "more.toml: webhooks.tickets.secret_files[1]: bad: a webhook key begins with whsec_",
        ]
    );
    let unknown =
        folder.problems("[webhooks.tickets]\nurl = \"https://x/\"\ntypes = [\"charge.paid\"]\nsecret = \"x\"");
    assert!(unknown.iter().any(|problem| problem.contains("webhooks.tickets.secret: unknown key")), "{unknown:?}");
    assert!(unknown.iter().any(|problem| problem.contains("\"charge.paid\" is no type of events")), "{unknown:?}");
    let sound = "[webhooks.tickets]\nurl = \"https://tickets.example/events\"\nsecret_files = [\"good\"]\ntypes = [\"ticket.*\"]";
    fs::write(folder.path().join("more.toml"), sound).expect("written");
    let configuration = load(&folder.sources(&["more.toml"], &[]), NOW).expect("sound");
    let [webhook] = &configuration.materials.webhooks[..] else { panic!("{:?}", configuration.materials.webhooks) };
    assert_eq!(webhook.name(), "tickets");
    assert!(!format!("{webhook:?}").contains("MfKQ9r8GK"));
}

#[test]
fn everything_that_is_named_is_read_and_all_that_is_wrong_with_it_is_told() {
    let folder = Folder::new();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    fs::remove_file(folder.path().join("keys/short-code.key")).expect("removed");
    keyfile::generate(&folder.path().join("keys"), NewKey::Root).expect("a root");
    write("password", "far too long a password");
    write("texts.toml", "[no_such_text]\nru = \"x\"");
    write("numbers.csv", "12");
    write("tokens.toml", "ticket-service = { sha256 = \"00\", roles = [] }");
    fs::create_dir(folder.path().join("transit")).expect("a folder");
    for name in ["cities.csv", "agencies.csv", "routes.csv", "vehicles.csv"] {
        write(&format!("transit/{name}"), "x\n");
    }
    let text = r#"
        api.tokens_file = "tokens.toml"
        texts.file = "texts.toml"
        transit.directory = "transit"
        numbers.lists = [{ name = "a", asserts = "denied_number", file = "numbers.csv", carrier = "tele2" }]
        eligibility.carriers.tele2.limits.daily_minor = 5
        store.url = "sqlite://no/such/folder/smsbusd.db"
    "#;
    let problems = folder.problems(text);
    for expected in [
        "more.toml: api.tokens_file: tokens.toml: ",
        "more.toml: texts.file: texts.toml: text \"no_such_text\"",
        "more.toml: transit.directory: transit/fares.csv: No such file",
        "more.toml: numbers.lists: numbers.csv, line 1, column 1",
        "more.toml: numbers.lists[0].carrier: no carrier has the name \"tele2\"",
        "more.toml: eligibility.carriers.tele2: no carrier has this name",
        "more.toml: store.url: the folder no/such/folder is not there",
        "smsbusd.toml: keys.directory: keys: 0 keys of purpose short-code, one is needed",
        "smsbusd.toml: keys.directory: keys/root-",
        "carrier.toml: carriers.beeline.smpp.password_file: password: a password has 1 to 8 characters",
    ] {
        assert!(problems.iter().any(|line| line.starts_with(expected)), "{expected}\n{problems:#?}");
    }
    assert!(!problems.iter().any(|line| line.contains("far too long")), "a secret was told");
}

#[test]
fn tokens_may_lie_in_a_file_of_their_own() {
    let folder = Folder::new();
    let hash = "00".repeat(32);
    fs::write(folder.path().join("tokens.toml"), format!("[support]\nsha256 = \"{hash}\"\nroles = [\"support\"]\n"))
        .expect("written");
    fs::write(folder.path().join("more.toml"), "api.tokens_file = \"tokens.toml\"").expect("written");
    let settings = load(&folder.sources(&["more.toml"], &[]), NOW).expect("sound").settings;
    let names: Vec<&str> = settings.api.config.tokens.keys().map(String::as_str).collect();
    assert_eq!(names, ["support", "ticket-service"]);
}

#[test]
fn credentials_that_nobody_gave_are_told() {
    let problems = Folder::new().problems("keys.directory = \"$CREDENTIALS_DIRECTORY\"");
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(problems[0].starts_with("more.toml: keys.directory: $CREDENTIALS_DIRECTORY: "), "{problems:#?}");
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

#[test]
fn sources_of_facts_are_read_with_their_secrets_and_what_is_wrong_with_them_is_told() {
    let folder = Folder::new();
    fs::write(folder.path().join("secret"), "s3cret\n").expect("written");
    let profile = root().join("config/examples/profiles/facts.toml");
    let http = format!("profile = {profile:?}\nsecret_files = {{ token = \"secret\" }}");
    let camara = r#"
        tenure_url = "https://api.example/kyc-tenure/v0.2"
        token = { url = "https://api.example/token", client_id = "smsbus", client_secret_file = "secret" }
    "#;
    let sound = format!(
        "[facts.sources.crm]\ncarrier = \"beeline\"\nasking.timeout_ms = 900\n[facts.sources.crm.http]\n{http}\n\
         [facts.sources.camara]\ncarrier = \"beeline\"\n[facts.sources.camara.camara]\n{camara}\n\
         [facts.look_up.http]\n{http}\n"
    );
    fs::write(folder.path().join("more.toml"), &sound).expect("written");
    let materials = load(&folder.sources(&["more.toml"], &[]), NOW).expect("sound").materials;
    let names: Vec<_> =
        materials.sources.iter().map(|source| (source.name.as_str(), source.asking.timeout_ms)).collect();
    assert_eq!(names, [("camara", 2_000), ("crm", 900)]);
    let camara = match &materials.sources[0].interface {
        SourceInterface::Camara(camara) => (camara.0.tenure_url.is_some(), camara.1.client_secret.as_str()),
        other => panic!("{other:?}"),
    };
    assert_eq!(camara, (true, "s3cret"));
    assert!(materials.look_up.is_some());

    let cis = root().join("config/examples/profiles/cis.toml");
    let unsound = format!(
        r#"
        facts.budget_ms = 20_000
        facts.asking.questions_max = 0
        facts.sources.a = {{ carrier = "tele2" }}
        facts.sources.b = {{ carrier = "beeline" }}
        facts.sources.c.carrier = "beeline"
        facts.sources.c.camara.token = {{ url = "https://x.example", client_id = "x", client_secret_file = "none" }}
        facts.look_up.http = {{ profile = {cis:?} }}
        routing.numbers_max = 0
        eligibility.agencies.nobody.daily_minor = 1
        eligibility.callers.nobody.daily_minor = 1
        "#
    );
    let problems = folder.problems(&unsound);
    for expected in [
        "more.toml: facts.budget_ms: 20000 is not between 10 and 15000",
        "more.toml: facts.asking.questions_max: 0 is not between",
        "more.toml: facts.sources.a.carrier: no carrier has the name \"tele2\"",
        "more.toml: facts.sources.b: its carrier charges by SMPP, which answers no questions",
        "more.toml: facts.sources.c.camara.sim_swap_url: name it, or tenure_url",
        "more.toml: facts.look_up.http.secret_files.",
        "more.toml: facts.look_up.http.profile: the profile has no [portability]",
        "more.toml: routing.numbers_max: 0 is not between",
        "more.toml: eligibility.agencies.nobody: no agency has this id",
        "more.toml: eligibility.callers.nobody: no caller of the API has this name",
    ] {
        assert!(problems.iter().any(|line| line.starts_with(expected)), "{expected}\n{problems:#?}");
    }
    assert!(!problems.iter().any(|line| line.contains("s3cret")), "a secret was told");
}
