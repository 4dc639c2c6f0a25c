use super::*;

fn wrong(text: &str) -> Vec<String> {
    match Profile::parse("kcell.toml", text, &Overrides::default()) {
        Ok(_) => vec!["it is sound".into()],
        Err(error) => error.0.iter().map(ToString::to_string).collect(),
    }
}

/// `JSON` with one thing changed, and what is said of it.
fn changed(from: &str, to: &str) -> String {
    assert!(JSON.contains(from), "{from}");
    wrong(&JSON.replacen(from, to, 1)).join("\n")
}

#[test]
fn the_shipped_profiles_are_sound_and_offer_what_they_say() {
    use Operation::*;
    let offers = |name: &str| shipped(name).operations().collect::<Vec<_>>();
    assert_eq!(offers("oneapi"), [Charge, Reserve, Confirm, Cancel, Status, Refund, RefundStatus]);
    assert_eq!(offers("cis"), [Charge, Reserve, Confirm, Cancel, Status, Refund, RefundStatus, Subscriber]);
    assert_eq!(offers("facts"), [Subscriber, Portability]);
    assert!(shipped("oneapi").charges() && !shipped("facts").charges());
    // What is asked about by the carrier's own id only, its contract says so.
    let by_id = |name| shipped(name).contract().attempt.queries_by_carrier_id;
    assert_eq!((by_id("oneapi"), by_id("cis")), (true, false));
    assert!(
        shipped("oneapi").contract().attempt.queries_refunds && !shipped("facts").contract().attempt.queries_refunds
    );
    assert_eq!(shipped("oneapi").first_step(), Charge);
}

#[test]
fn what_is_wrong_is_told_with_file_line_and_key() {
    let line = |needle: &str| JSON.lines().position(|line| line.contains(needle)).expect("a line") + 1;
    let told = changed(
        "\"{{ wire_reference }}\" },\n  { at = \"/msisdn\"",
        "\"{{ wire_refrence }}\" },\n  { at = \"/msisdn\"",
    );
    let at = line("at = \"/id\", equals");
    assert!(
        told.starts_with(&format!("kcell.toml:{at}: charge.reply.echoes[0].equals: there is no such variable")),
        "{told}"
    );
    let told = changed("first_after_ms = 1000", "first_after_ms = 0");
    assert!(told.starts_with(&format!("kcell.toml:{}: contract.query: ", line("first_after_ms"))), "{told}");
    let told =
        changed("{ result = \"PENDING\", means = \"accepted\" }", "{ result = \"PENDING\", means = \"reserved\" }");
    let at = line("PENDING");
    assert!(
        told.starts_with(&format!("kcell.toml:{at}: charge.reply.rows[1].means: of `charge` an answer means one of")),
        "{told}"
    );
}

#[test]
fn a_key_that_there_is_not_is_refused_with_its_line() {
    let line = JSON.lines().position(|line| line.starts_with("replays_keys")).expect("a line") + 1;
    let told = changed("replays_keys = true", "replays_key = true");
    assert!(
        told.starts_with(&format!("kcell.toml:{line}: ")) && told.contains("unknown field `replays_key`"),
        "{told}"
    );
    let told = changed("means = \"accepted\"", "means = \"taken\"");
    assert!(told.contains("unknown variant `taken`"), "{told}");
    let told = wrong("base_url = \"https://x\"\n[charge\n").join("");
    assert!(told.starts_with("kcell.toml:2"), "{told}");
    let told = wrong("").join("");
    assert_eq!(told, "kcell.toml: it has no operation: at least `charge`, `subscriber` or `portability`");
}

#[test]
fn every_problem_is_told_at_once() {
    let text = JSON
        .replace("result = [\"/status\", \"/error/code\"]", "result = \"status\"")
        .replace("\"NO_MONEY\", means", "\"NO_MONEY\", any_body = true, means");
    let told = wrong(&text);
    assert!(told.len() >= 3, "{told:?}");
}

#[test]
fn a_template_is_tried_before_anything_is_sent() {
    for (from, to, expected) in [
        ("{{ description }}", "\"{{ description }}\"", "charge.json: it gives no JSON"),
        ("{{ city }}}", "{{ city }}", "charge.json: it gives no JSON"),
        ("{{ city }}", "{{ town }}", "charge.json: there is no such variable here"),
        ("{{ city }}", "{{ otp }}", "charge.json: there is no such variable here"),
        ("{{ city }}", "{{ carrier_id }}", "charge.json: there is no such variable here"),
        ("{{ city }}", "{{ msisdn }}", "charge.json: invalid operation"),
        ("{{ city }}", "{{ secrets.sign }}", "charge.json: there is no such variable here"),
        ("{{ city }}", "{{ city | safe }}", "charge.json: unknown filter"),
        ("{{ city }}", "{% set x %}{{ city }}{% endset %}{{ x }}", "charge.json: invalid operation"),
        ("{{ city }}", "{{ 1.5 }}", "charge.json: invalid operation"),
        ("{{ city }}", "{{ now() }}", "charge.json: unknown function"),
        ("{{ city }}", "{% include \"/etc/passwd\" %}{{ city }}", "charge.json: "),
        (
            "{{ city }}",
            "{% for x in city %}{% for y in city %}{% for z in [1,2,3,4,5,6,7,8,9] %}{% for w in [1,2,3,4,5,6,7,8,9,0] %}{% for v in [1,2,3,4,5,6,7,8,9,0] %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{{ city }}",
            "charge.json: engine ran out of fuel",
        ),
        ("{{ city }}", "{{ city", "charge.json: "),
        ("/payments/{{ msisdn.e164 }}", "/payments/a b", "charge.url: it is not read as it is written"),
        (
            "/payments/{{ msisdn.e164 }}",
            "/payments/../{{ msisdn.e164 }}",
            "charge.url: it is not read as it is written",
        ),
        ("/payments/{{ msisdn.e164 }}", "https://{{ city }}.example/", "charge.url: scheme and host are fixed"),
        ("/payments/{{ msisdn.e164 }}", "ftp://host/", "charge.url: want a path"),
        (
            "url = \"/payments/{{ msisdn.e164 }}\"",
            "url = \"/payments\"\nheaders = { X = \"{{ city }}\\n{{ city }}\" }",
            "charge.headers.x: it gives a character",
        ),
        (
            "url = \"/payments/{{ msisdn.e164 }}\"",
            "url = \"/payments\"\nheaders = { Host = \"x\" }",
            "charge.headers.Host: this header belongs",
        ),
    ] {
        let told = changed(from, to);
        assert!(told.contains(expected), "{to}: {told}");
    }
}

#[test]
fn a_table_that_would_believe_too_much_is_refused() {
    for (from, to, expected) in [
        (
            "{ result = \"OK\", means = \"charged\" },\n  { result = \"PENDING\"",
            "{ status = 200, means = \"charged\" },\n  { result = \"PENDING\"",
            "`charged` needs a result",
        ),
        (
            "{ result = \"OK\", means = \"charged\" },\n  { result = \"PENDING\"",
            "{ status = 500, result = \"OK\", means = \"charged\" },\n  { result = \"PENDING\"",
            "`charged` needs a success (2xx)",
        ),
        ("{ status = 409, means = \"duplicate\" }", "{ means = \"duplicate\" }", "want a status, a result, or both"),
        (
            "{ status = 409, means = \"duplicate\" }",
            "{ status = \"6xx\", means = \"duplicate\" }",
            "a status such as 404",
        ),
        ("{ status = 409, means = \"duplicate\" }", "{ result = \"OK\", means = \"duplicate\" }", "a row before says"),
        (
            "{ status = 409, means = \"duplicate\" }",
            "{ status = 409, means = \"not_found\" }",
            "of `charge` an answer means",
        ),
        (
            "{ status = 404, means = \"not_found\" },",
            "{ status = 404, means = \"duplicate\" },",
            "of `status` an answer means",
        ),
        ("means = \"refunded\"", "means = \"charged\"", "of `refund` an answer means"),
        (
            "{ result = \"OK\", means = \"charged\" },\n  { result = \"PENDING\"",
            "{ result = \"OK\", means = \"charged\", any_body = true },\n  { result = \"PENDING\"",
            "no good news",
        ),
    ] {
        let told = changed(from, to);
        assert!(told.contains(expected), "{to}: {told}");
    }
}

#[test]
fn operations_that_belong_together_come_together() {
    let told = changed("[charge]", "[reserve]").replace("[charge.reply]", "");
    assert!(told.contains("missing field") || told.contains("go together"), "{told}");
    let told = wrong(&JSON.replace("[charge]", "[reserve]").replace("[charge.reply]", "[reserve.reply]")).join("\n");
    assert!(told.contains("`reserve`, `confirm` and `cancel` go together"), "{told}");
    assert!(told.contains("contract.reservation_ms"), "{told}");
    let told = wrong(&JSON.replace("query = {", "# query = {")).join("\n");
    assert!(told.contains("contract.query: say when `status` is asked"), "{told}");
    let told = changed("replays_keys = true", "replays_keys = true\nin_flight_delay_ms = 5_000\ntimeout_ms = 5_001");
    assert!(told.contains("contract.in_flight_delay_ms: at least timeout_ms"), "{told}");
    let told = changed("replays_keys = true", "replays_keys = true\nin_flight_delay_ms = 21_600_001");
    assert!(told.contains("contract.in_flight_delay_ms: 1000 to 21600000, six hours"), "{told}");
    assert_eq!(changed("replays_keys = true", "in_flight_delay_ms = 5_000\ntimeout_ms = 5_000"), "it is sound");
    let shipped =
        include_str!("../../../../config/examples/profiles/cis.toml").replace("two_step = false", "two_step = true");
    let (before, rest) = shipped.split_once("\n[status]").expect("a status");
    let (_, after) = rest.split_once("\n[refund]").expect("a refund");
    let told = wrong(&format!("{before}\n[refund]{after}")).join("\n");
    assert!(told.contains("contract.two_step: there is no `status`"), "{told}");
    let told = changed("token = \"token\"", "token = \"tokem\"");
    assert!(told.contains("authentication.token: \"tokem\" is not in `secrets`"), "{told}");
}

#[test]
fn a_callback_that_anybody_could_send_is_refused() {
    let callback = r#"
[[callback]]
path = "payment"
authentication = []
content = "json"
reference = "/id"
result = "/status"
rows = [{ result = "OK", means = "charged" }]
"#;
    let told = wrong(&format!("{JSON}{callback}")).join("\n");
    assert!(told.contains("callback[0].authentication: say what proves"), "{told}");
    let unsigned =
        callback.replace("[]", r#"[{ signature = { algorithm = "md5", at = "/sign", over = ["{{ body }}"] } }]"#);
    let told = wrong(&format!("{JSON}{unsigned}")).join("\n");
    assert!(told.contains("authentication[0].signature.over: one part must be a secret"), "{told}");
    let about_nothing = callback.replace("[]", "[{ bearer = \"callback\" }]").replace("reference = \"/id\"", "");
    let told = wrong(&format!("{JSON}{about_nothing}")).join("\n");
    assert!(told.contains("callback[0]: say where our reference or the carrier's id stands"), "{told}");
}

#[test]
fn the_configuration_puts_its_own_in_place_of_addresses_and_constants() {
    let overrides = Overrides {
        base_url: Some("http://127.0.0.1:9/test/".into()),
        base_urls: [(Operation::Status, "http://127.0.0.1:10".to_owned())].into(),
        constants: [("channel".to_owned(), "QR".to_owned())].into(),
    };
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/examples/profiles/oneapi.toml");
    let profile = Profile::load(file.as_ref(), &overrides).expect("sound");
    let charge = render(&profile, Operation::Charge);
    assert!(
        charge.url.as_str().starts_with("http://127.0.0.1:9/test/tel%3A%2B77011234567/transactions"),
        "{}",
        charge.url
    );
    assert!(render(&profile, Operation::Status).url.as_str().starts_with("http://127.0.0.1:10/tel"));
    assert!(body(&charge).contains("\"QR\""));
    assert!(profile.is_confidential(), "loopback needs no TLS");
}

#[test]
fn the_section_of_the_configuration_is_checked_against_its_profile() {
    let section: crate::carrier::http::HttpProfile = toml::from_str(
        r#"
        profile = "x.toml"
        base_url = "http://api.example"
        callback_url = "https://pay.example/carriers/kcell/"
        tps = 0
        secret_files = { token = "token", tokken = "token" }
        "#,
    )
    .expect("a section");
    let profile = Profile::parse("x.toml", JSON, &section.overrides()).expect("sound");
    let problems = section.problems(&profile).join("\n");
    for key in ["secret_files.callback", "secret_files.tokken", "callback_url", "tps", "plain_http"] {
        assert!(problems.contains(key), "{key}: {problems}");
    }
}

proptest::proptest! {
    #[test]
    fn no_file_panics(noise in "\\PC{0,60}", cut in 0_usize..2000) {
        let cut = JSON.char_indices().map(|(at, _)| at).nth(cut).unwrap_or(JSON.len());
        let _ = Profile::parse("x.toml", &format!("{}{noise}{}", &JSON[..cut], &JSON[cut..]), &Overrides::default());
        let _ = Profile::parse("x.toml", &noise, &Overrides::default());
    }
}

#[test]
fn no_path_leads_to_another_host() {
    let profile = profile(&JSON.replace("/payments/{{ msisdn.e164 }}", "//evil.example/x"));
    assert_eq!(render(&profile, Operation::Charge).url.host_str(), Some("api.example"));
}

const PAGE: &str = include_str!("../../../../docs/http-carriers.md");

#[test]
fn the_examples_of_the_documentation_are_sound() {
    let blocks: Vec<&str> = PAGE.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let [profile, section, facts] = blocks[..] else { panic!("{} examples", blocks.len()) };
    let charge = "{\"requestId\": \"REF\", \"code\": 0, \"billId\": 5, \"tiyn\": 8000}";
    let profile = super::profile(profile);
    let finding = read(&profile, Operation::Charge, 200, &charge.replace("REF", &wire(&profile))).finding;
    let amount = Some(crate::money::Money::kzt(8_000));
    assert_eq!(finding, crate::charge::Finding::Charged { carrier_id: Some("5".into()), amount });
    assert!(read(&profile, Operation::Charge, 200, "{\"code\": 12}").row.is_some());
    #[derive(serde::Deserialize)]
    struct Page {
        carriers:
            std::collections::BTreeMap<String, std::collections::BTreeMap<String, crate::carrier::http::HttpProfile>>,
    }
    let page: Page = toml::from_str(section).expect("a section");
    assert_eq!(page.carriers["kcell"]["http"].problems(&profile), Vec::<String>::new());
    let questions = "secrets = []\nbase_url = \"https://x\"\n[subscriber]\nurl = \"/\"\n[subscriber.reply]\ncontent = \"json\"\nrows = [{ status = 200, means = \"found\" }]\n";
    super::profile(&format!("{questions}{facts}"));
}

#[test]
fn every_variable_is_explained_and_means_something() {
    for (name, says) in crate::carrier::http::VARIABLES {
        assert!(PAGE.contains(&format!("| `{name}` | {says} |")), "docs/http-carriers.md: {name}");
        let text = match *name {
            "otp" => EVERYTHING.replace("VALIDATE", "{{ otp }}"),
            "signature" => EVERYTHING.replace("VALIDATE", "{{ signature }}"),
            name => EVERYTHING.replace("REFUND", &format!("{{{{ {} }}}}", name.replace("NAME", "name"))),
        };
        let sound = Profile::parse("x.toml", &text, &Overrides::default());
        assert!(sound.is_ok(), "{name}: {}", sound.expect_err("why"));
    }
}

/// A profile that has whatever a variable could need.
const EVERYTHING: &str = r#"
base_url = "https://x"
secrets = ["name"]
second_id = { at = "/second" }
[constants]
name = "value"
[charge]
url = "/"
[charge.reply]
content = "json"
carrier_id = "/id"
rows = [{ status = 500, means = "in_doubt" }]
[validate]
url = "/VALIDATE"
signature = { algorithm = "md5", over = ["{{ secrets.name }}"], into = "template" }
[validate.reply]
content = "json"
rows = [{ status = 500, means = "in_doubt" }]
[refund]
url = '/REFUND'
[refund.reply]
content = "json"
rows = [{ status = 500, means = "in_doubt" }]
[[callback]]
path = "x"
authentication = [{ bearer = "name" }]
content = "json"
carrier_id = "/id"
result = "/r"
rows = []
"#;
