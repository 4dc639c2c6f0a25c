use super::*;
use crate::{
    carrier::{About, Callback, CallbackRequest, Refusal},
    charge::{CarrierName, Finding},
    clock::Timestamp,
    money::Money,
};

fn carrier() -> CarrierName {
    "kcell".parse().expect("a name")
}

struct Sent {
    method: &'static str,
    path: &'static str,
    query: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    peer: &'static str,
}

impl Sent {
    fn new(path: &'static str, body: impl Into<Vec<u8>>) -> Sent {
        Sent { method: "POST", path, query: String::new(), headers: Vec::new(), body: body.into(), peer: "10.1.2.3" }
    }

    fn with(mut self, name: &str, value: &str) -> Sent {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn to(&self, profile: &Profile) -> Result<Callback, Refusal> {
        let request = CallbackRequest {
            method: self.method,
            path: self.path,
            query: &self.query,
            headers: &self.headers,
            body: &self.body,
            peer: self.peer.parse().expect("an address"),
            received_at: Timestamp::from_unix_seconds(1),
        };
        profile.read_callback(&carrier(), &request, &secrets())
    }
}

fn refused(result: Result<Callback, Refusal>) -> (&'static str, u16) {
    let refusal = result.expect_err("refused");
    (refusal.kind, refusal.answer.status)
}

fn cis(sum: &str, result: &str, secret: &str) -> Sent {
    let profile = shipped("cis");
    let values = ["notify", "77011234567", sum, &wire(&profile), "77", result];
    let digest = <md5::Md5 as md5::Digest>::digest([&values[..], &[secret]].concat().join(";"));
    let sign = data_encoding::HEXUPPER.encode(&digest);
    let names = ["command", "account", "sum", "txn_id", "prv_txn", "result"];
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(names.iter().zip(values))
        .append_pair("sign", &sign)
        .finish();
    Sent::new("notify", body)
}

#[test]
fn a_signed_callback_is_news_about_the_attempt_that_it_names() {
    let profile = shipped("cis");
    let callback = cis("80.00", "0", "secret-sign").to(&profile).expect("believed");
    assert_eq!(callback.answer.status, 200);
    assert_eq!(callback.answer.body, b"<response><result>0</result></response>");
    let [notice] = &callback.notices[..] else { panic!("{callback:?}") };
    assert_eq!(notice.about, About::Attempt { reference: SampleValues::default().reference, attempt: 1 });
    assert_eq!(
        notice.finding,
        Some(Finding::Charged { carrier_id: Some("77".into()), amount: Some(Money::kzt(8_000)) })
    );
}

#[test]
fn m09_the_same_callback_again_is_the_same_evidence_and_another_is_not() {
    let profile = shipped("cis");
    let id = |sent: Sent| sent.to(&profile).expect("believed").notices[0].id.clone();
    let first = id(cis("80.00", "0", "secret-sign"));
    assert_eq!(first, id(cis("80.00", "0", "secret-sign")));
    assert_ne!(first, id(cis("80.00", "92", "secret-sign")));
    assert_ne!(first, id(cis("90.00", "0", "secret-sign")));
}

#[test]
fn a_result_that_no_row_lists_only_says_that_it_is_time_to_ask() {
    let profile = shipped("cis");
    assert_eq!(cis("80.00", "777", "secret-sign").to(&profile).expect("believed").notices[0].finding, None);
    assert_eq!(cis("eighty", "0", "secret-sign").to(&profile).expect("believed").notices[0].finding, None);
}

#[test]
fn a_callback_with_a_wrong_signature_or_none_is_refused() {
    let profile = shipped("cis");
    assert_eq!(refused(cis("80.00", "0", "another").to(&profile)), ("signature", 403));
    assert_eq!(refused(cis("80.00", "0", "").to(&profile)), ("signature", 403));
    let mut sent = cis("80.00", "0", "secret-sign");
    let text = String::from_utf8(sent.body.clone()).expect("text");
    sent.body = text.replace("sum=80.00", "sum=8.00").into_bytes();
    assert_eq!(refused(sent.to(&profile)), ("signature", 403));
    sent.body = text.split("&sign").next().expect("a part").into();
    assert_eq!(refused(sent.to(&profile)), ("signature", 403));
    sent.body = format!("{text}&result=0").into_bytes();
    assert_eq!(refused(sent.to(&profile)).1, 403);
}

#[test]
fn what_is_unknown_oversized_or_unreadable_is_refused_with_its_status() {
    let profile = shipped("oneapi");
    assert_eq!(refused(Sent::new("elsewhere", "{}").to(&profile)), ("unknown_path", 404));
    assert_eq!(refused(Sent { method: "GET", ..Sent::new("payment", "{}") }.to(&profile)), ("wrong_method", 405));
    assert_eq!(refused(Sent::new("payment", vec![b' '; 70_000]).to(&profile)), ("too_long", 413));
    assert_eq!(refused(Sent::new("payment", "<xml/>").to(&profile)), ("unreadable", 400));
    assert_eq!(refused(Sent::new("payment", "{}").to(&profile)), ("credential", 401));
    let nothing =
        r#"{"amountTransaction": {"callbackData": "secret-callback", "transactionOperationStatus": "Charged"}}"#;
    assert_eq!(refused(Sent::new("payment", nothing).to(&profile)), ("about_nothing", 400));
}

#[test]
fn what_we_gave_the_carrier_to_repeat_proves_that_it_is_the_carrier() {
    let profile = shipped("oneapi");
    let body = |data: &str| {
        let wire = wire(&profile);
        Sent::new(
            "payment",
            format!(
                r#"{{"amountTransaction": {{"callbackData": "{data}", "referenceCode": "{wire}", "serverReferenceCode": "A-1", "resourceURL": "/x/9", "transactionOperationStatus": "Charged"}}}}"#
            ),
        )
    };
    let callback = body("secret-callback").to(&profile).expect("believed");
    assert_eq!(callback.answer.status, 204);
    assert!(matches!(callback.notices[0].about, About::Attempt { attempt: 1, .. }));
    // Both ids, as its answers have them.
    let Some(Finding::Charged { carrier_id, .. }) = &callback.notices[0].finding else { panic!("{callback:?}") };
    assert_eq!(carrier_id.as_deref(), Some("A-1 9"));
    assert_eq!(refused(body("guessed").to(&profile)), ("credential", 401));
}

const PROVED: &str = r#"
[[callback]]
path = "proved/by"
authentication = [PROOF]
content = "json"
reference = "/id"
carrier_id = "/paymentId"
event_id = "/event"
result = "/status"
rows = [{ result = "OK", means = "charged" }]
accepted = { status = 202, content_type = "application/json", body = '{"seen": {{ fields["/paymentId"] }}}' }
"#;

fn proved(proof: &str) -> Profile {
    profile(&format!("{JSON}{}", PROVED.replace("PROOF", proof)))
}

fn paid() -> Sent {
    Sent::new("proved/by", r#"{"status": "OK", "paymentId": "p \"1\""}"#)
}

#[test]
fn a_bearer_token_a_password_a_header_or_a_network_must_be_right() {
    let bearer = proved(r#"{ bearer = ["callback", "token"] }"#);
    assert!(paid().with("authorization", "Bearer secret-callback").to(&bearer).is_ok());
    assert!(paid().with("authorization", "bearer secret-token").to(&bearer).is_ok());
    for wrong in ["Bearer secret-other", "Bearer ", "secret-callback", "Basic secret-callback"] {
        assert_eq!(refused(paid().with("authorization", wrong).to(&bearer)), ("credential", 401), "{wrong}");
    }
    assert_eq!(refused(paid().to(&bearer)), ("credential", 401));
    let twice = paid().with("authorization", "Bearer secret-callback").with("authorization", "Bearer x");
    assert_eq!(refused(twice.to(&bearer)), ("credential", 401));

    let basic = proved(r#"{ basic = { user = "kcell", password = "callback" } }"#);
    let header = |user: &str| format!("Basic {}", data_encoding::BASE64.encode(user.as_bytes()));
    assert!(paid().with("authorization", &header("kcell:secret-callback")).to(&basic).is_ok());
    assert_eq!(refused(paid().with("authorization", &header("kcell:wrong")).to(&basic)), ("credential", 401));

    let own = proved(r#"{ header = { name = "X-Api-Key", secret = "callback" } }"#);
    assert!(paid().with("x-api-key", "secret-callback").to(&own).is_ok());
    assert_eq!(refused(paid().with("x-api-key", "secret").to(&own)), ("credential", 401));

    let network = proved(r#"{ sources = ["10.1.0.0/16"] }, { bearer = "callback" }"#);
    let inside = paid().with("authorization", "Bearer secret-callback");
    assert!(inside.to(&network).is_ok());
    assert_eq!(refused(Sent { peer: "10.2.0.1", ..inside }.to(&network)), ("source", 403));
    assert_eq!(refused(paid().to(&network)), ("credential", 401));
}

#[test]
fn a_signature_over_the_whole_body_and_a_header_is_checked() {
    let profile = proved(
        r#"{ signature = { algorithm = "hmac-sha256", secret = "callback", at = "header.X-Sign", separator = ".", over = ["{{ headers['x-time'] }}", "{{ body }}"] } }"#,
    );
    let mac = |time: &str| {
        let mac = <hmac::Hmac<sha2::Sha256> as hmac::KeyInit>::new_from_slice(b"secret-callback").expect("a key");
        let body = String::from_utf8(paid().body).expect("text");
        data_encoding::HEXLOWER
            .encode(&hmac::Mac::finalize(hmac::Mac::chain_update(mac, format!("{time}.{body}"))).into_bytes())
    };
    assert!(paid().with("x-time", "17").with("x-sign", &mac("17")).to(&profile).is_ok());
    assert_eq!(refused(paid().with("x-time", "18").with("x-sign", &mac("17")).to(&profile)), ("signature", 401));
    assert_eq!(refused(paid().with("x-sign", &mac("17")).to(&profile)), ("signature", 401));
}

#[test]
fn without_our_reference_the_carriers_id_tells_and_the_answer_says_it_back() {
    let profile = proved(r#"{ bearer = "callback" }"#);
    let sent = paid().with("authorization", "Bearer secret-callback");
    let callback = sent.to(&profile).expect("believed");
    assert_eq!(callback.notices[0].about, About::CarrierId("p \"1\"".into()));
    assert_eq!(callback.answer.status, 202);
    assert_eq!(callback.answer.content_type.as_deref(), Some("application/json"));
    let json: serde_json::Value = serde_json::from_slice(&callback.answer.body).expect("JSON");
    assert_eq!(json["seen"], "p \"1\"");
}

proptest::proptest! {
    #[test]
    fn no_callback_panics_and_none_is_believed_without_its_proof(body: Vec<u8>, query in "\\PC{0,40}", value: Vec<u8>) {
        for (name, path) in [("cis", "notify"), ("oneapi", "payment")] {
            static PROFILES: std::sync::LazyLock<[Profile; 2]> = std::sync::LazyLock::new(|| ["cis", "oneapi"].map(shipped));
            let profile = if name == "cis" { &PROFILES[0] } else { &PROFILES[1] };
            let mut sent = Sent::new(path, body.clone());
            sent.query = query.clone();
            sent.headers.push(("authorization".into(), value.clone()));
            proptest::prop_assert!(sent.to(profile).is_err());
        }
    }
}
