use super::*;

fn problems(more: &str) -> Vec<String> {
    profile("https://api.example.kz", more).problems()
}

#[test]
fn the_defaults_work_and_the_contract_says_so() {
    assert_eq!(problems(""), [""; 0]);
    let contract = profile("https://api.example.kz", "two_step = true").contract();
    assert_eq!((contract.reservation_ms, contract.replays_keys, contract.can_refund), (Some(300_000), false, true));
    assert_eq!(profile("https://api.example.kz", "").contract().reservation_ms, None);
}

#[test]
fn what_cannot_work_is_named() {
    let found = problems(
        r#"
        sink = "http://pay.example.kz/carriers/kcell?x=1"
        tps = 0
        concurrency = 0
        idle_timeout_ms = 1
        reservation_ms = 1
        in_flight_delay_ms = 1
        description = " "
        breaker = { failures_max = 0, pause_ms = 1, pause_ms_max = 1 }
        list = { per_page = 0, pages_max = 0 }
        tls = { certificate_file = "only.pem" }
        "#,
    );
    assert_eq!(
        found,
        [
            "sink: https, or plain_http = true if the way is protected otherwise",
            "sink: without user, query or fragment",
            "callback_token_files: with a sink, the token that the carrier calls back with",
            "in_flight_delay_ms: at least response_timeout_ms: what is waited for is in flight still",
            "idle_timeout_ms: 100 to 60000",
            "tps: 1 to 100000",
            "concurrency: 1 to 1000",
            "breaker.failures_max: 1 to 10000",
            "breaker.pause_ms: 100 to 3600000",
            "breaker.pause_ms_max: 100 to 3600000",
            "list.per_page: 1 to 1000",
            "list.pages_max: 1 to 1000",
            "reservation_ms: 1000 to 86400000",
            "description: what the subscriber's bill shows",
            "tls: certificate_file and key_file go together",
        ]
    );
    let patient = problems("in_flight_delay_ms = 21_600_001");
    assert_eq!(patient, ["in_flight_delay_ms: at most 21600000, or restarts could keep a doubt open for ever"]);
    let exposed = profile("http://api.example.kz", "").problems();
    assert_eq!(exposed.len(), 5, "{exposed:?}");
    assert_eq!(profile("http://api.example.kz", "plain_http = true").problems(), [""; 0]);
}

#[test]
fn an_unknown_key_is_refused() {
    let unknown = "billing_url = \"https://a.kz\"\ntoken = { url = \"https://a.kz\", client_id = \"x\", client_secret_file = \"y\" }\nbilling_uri = 1";
    assert!(toml::from_str::<CamaraProfile>(unknown).unwrap_err().to_string().contains("billing_uri"));
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let open = |more: &str, secrets: &CamaraSecrets| {
        let profile = profile("https://api.example.kz", more);
        CamaraCarrier::open("kcell".parse().unwrap(), Currency::Kzt, profile, secrets)
            .map(drop)
            .map_err(|e| e.to_string())
    };
    assert_eq!(open("tps = 0", &secrets()).unwrap_err(), "carriers.kcell: camara.tps: 1 to 100000");
    let sink = "sink = \"https://pay.example.kz/carriers/kcell\"\ncallback_token_files = [\"x\"]";
    assert!(open(sink, &secrets()).is_ok());
    assert!(open(sink, &CamaraSecrets::default()).unwrap_err().contains("callback_token_files"));
    let garbage = crate::tls::TlsMaterials { authorities: Some(b"garbage".to_vec()), identity: None };
    assert!(open("", &CamaraSecrets { tls: Some(garbage), ..secrets() }).unwrap_err().contains("camara.tls"));
}
