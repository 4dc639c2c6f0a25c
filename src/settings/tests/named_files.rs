//! What the configuration names is read, and all that is wrong with it is told; secrets are shown to nobody.

use super::*;

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
