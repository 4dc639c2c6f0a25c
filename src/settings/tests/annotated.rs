//! The annotated file says every key, and of each what is built in.

use super::*;

fn annotated() -> String {
    fs::read_to_string(root().join("config/default.toml")).expect("config/default.toml")
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
