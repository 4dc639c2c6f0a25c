use insta::assert_snapshot;

use super::*;

fn text(request: &Request) -> String {
    let mut text = format!("{} {}\n", request.method, request.url);
    for (name, value) in &request.headers {
        text.push_str(&format!("{name}: {}\n", value.to_str().expect("text")));
    }
    format!("{text}\n{}", body(request))
}

#[test]
fn oneapi_charges_as_its_specification_writes_it() {
    assert_snapshot!(text(&render(&shipped("oneapi"), Operation::Charge)), @r#"
    POST https://api.example/payment/v1/tel%3A%2B77011234567/transactions/amount
    content-type: application/json
    authorization: Basic c21zYnVzOnNlY3JldC1wYXNzd29yZA==

    {"amountTransaction": {
      "clientCorrelator": "019ca84d-d93b-7b5b-9b5b-5b5b5b5b5b5b-01",
      "endUserId": "tel:+77011234567",
      "paymentAmount": {
        "chargingInformation": {
          "amount": "80.00",
          "currency": "KZT",
          "description": "Bus fare, vehicle 1234"
        },
        "chargingMetaData": {"onBehalfOf": "green-bus", "channel": "SMS"}
      },
      "notifyURL": "https://pay.example/carriers/example/payment", "callbackData": "secret-callback",
      "referenceCode": "019ca84d-d93b-7b5b-9b5b-5b5b5b5b5b5b-01",
      "transactionOperationStatus": "Charged"
    }}
    "#);
}

#[test]
fn oneapi_takes_what_it_holds_at_the_address_of_the_reservation() {
    assert_snapshot!(text(&render(&shipped("oneapi"), Operation::Confirm)), @r#"
    POST https://api.example/payment/v1/tel%3A%2B77011234567/transactions/amountReservation/4712
    content-type: application/json
    authorization: Basic c21zYnVzOnNlY3JldC1wYXNzd29yZA==

    {"amountReservationTransaction": {
      "clientCorrelator": "019ca84d-d93b-7b5b-9b5b-5b5b5b5b5b5b-01-confirm",
      "endUserId": "tel:+77011234567",
      "paymentAmount": {
        "chargingInformation": {
          "amount": "80.00",
          "currency": "KZT",
          "description": "Bus fare, vehicle 1234"
        }
      },
      "referenceCode": "019ca84d-d93b-7b5b-9b5b-5b5b5b5b5b5b-01",
      "referenceSequence": 2,
      "transactionOperationStatus": "Charged"
    }}
    "#);
}

#[test]
fn oneapi_refunds_what_the_carrier_calls_by_its_own_code() {
    assert_snapshot!(text(&render(&shipped("oneapi"), Operation::Refund)), @r#"
    POST https://api.example/payment/v1/tel%3A%2B77011234567/transactions/amount
    content-type: application/json
    authorization: Basic c21zYnVzOnNlY3JldC1wYXNzd29yZA==

    {"amountTransaction": {
      "clientCorrelator": "019ca84d-d93b-8da2-9b3e-b88afa82aeab-01",
      "endUserId": "tel:+77011234567",
      "originalServerReferenceCode": "4711",
      "paymentAmount": {
        "chargingInformation": {
          "amount": "80.00",
          "currency": "KZT",
          "description": "Bus fare, vehicle 1234"
        }
      },
      "referenceCode": "019ca84d-d93b-8da2-9b3e-b88afa82aeab-01",
      "transactionOperationStatus": "Refunded"
    }}
    "#);
}

#[test]
fn cis_signs_the_values_of_its_form_with_the_secret_last() {
    let request = render(&shipped("cis"), Operation::Charge);
    assert_snapshot!(text(&request), @r#"
    POST https://pay.example/pay
    content-type: application/x-www-form-urlencoded

    command=pay&account=77011234567&sum=80.00&txn_id=019ca84d-d93b-7b5b-9b5b-5b5b5b5b5b5b-01&txn_date=20260301123000&sign=8bcd07a8eb4bea2441bec7343d9f1009
    "#);
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(body(&request).as_bytes()).into_owned().collect();
    let values: Vec<&str> = fields[..5].iter().map(|(_, value)| value.as_str()).collect();
    let signed = format!("{};secret-sign", values.join(";"));
    let digest = <md5::Md5 as md5::Digest>::digest(signed);
    assert_eq!(fields[5], ("sign".into(), data_encoding::HEXLOWER.encode(&digest)));
}

#[test]
fn cis_refunds_by_a_number_of_its_own() {
    assert_snapshot!(text(&render(&shipped("cis"), Operation::Refund)), @r#"
    POST https://pay.example/pay
    content-type: application/x-www-form-urlencoded

    command=refund&account=77011234567&sum=80.00&txn_id=019ca84d-d93b-8da2-9b3e-b88afa82aeab-01&txn_date=20260301123000&orig_txn_id=019ca84d-d93b-7b5b-9b5b-5b5b5b5b5b5b-01&sign=97447c603d838320c26c49357f9ae3ee
    "#);
}

#[test]
fn questions_about_a_number_need_no_charge() {
    assert_snapshot!(text(&render(&shipped("facts"), Operation::Portability)), @r#"
    GET https://facts.example/portability/%2B77011234567
    authorization: Bearer secret-token
    "#);
}

#[test]
fn m04_the_same_attempt_gives_the_same_bytes() {
    for name in ["oneapi", "cis", "facts"] {
        let profile = shipped(name);
        for operation in profile.operations() {
            let again = shipped(name);
            assert_eq!(render(&profile, operation), render(&again, operation), "{name} {operation}");
        }
    }
}

#[test]
fn a_value_that_is_not_known_yet_makes_no_request() {
    let profile = profile(JSON);
    let unknown = SampleValues { carrier_id: None, ..SampleValues::default() };
    let sample = sample(&profile, unknown);
    let error = profile.render(Operation::Status, &sample.context(Operation::Status), &secrets()).expect_err("no id");
    let expected = crate::carrier::http::RenderError::NotKnown { key: "status.url".into(), name: "carrier_id".into() };
    assert_eq!(error, expected);
    let error = profile.render(Operation::Reserve, &sample.context(Operation::Reserve), &secrets()).expect_err("none");
    assert_eq!(error, crate::carrier::http::RenderError::NotOffered(Operation::Reserve));
}

#[test]
fn a_secret_that_is_missing_makes_no_request() {
    for (name, operation) in
        [("oneapi", Operation::Charge), ("cis", Operation::Charge), ("facts", Operation::Subscriber)]
    {
        let profile = shipped(name);
        let sample = sample(&profile, SampleValues::default());
        let rendered = profile.render(operation, &sample.context(operation), &HttpSecrets::default());
        assert!(rendered.is_err(), "{name}");
    }
}

#[test]
fn masks_stand_for_secrets_and_signatures_are_still_right() {
    let profile = shipped("cis");
    let sample = sample(&profile, SampleValues::default());
    let masks = HttpSecrets::masks(profile.secrets());
    let context = sample.context(Operation::Charge);
    let shown = profile.render_shown(Operation::Charge, &context, &masks, &secrets()).expect("a request");
    assert_eq!(body(&shown), body(&render(&profile, Operation::Charge)));
    let profile = shipped("oneapi");
    let sample = super::sample(&profile, SampleValues::default());
    let masks = HttpSecrets::masks(profile.secrets());
    let context = sample.context(Operation::Charge);
    let shown = profile.render_shown(Operation::Charge, &context, &masks, &secrets()).expect("a request");
    let debug = format!("{:?} {shown:?} {}", shown.headers, body(&shown));
    assert!(!debug.contains("secret-") && body(&shown).contains("***callback***"), "{debug}");
}

const SIGNED: &str = r#"
base_url = "https://api.example/v1"
secrets = ["key"]
[charge]
url = "/pay"
query = [["v", "2"]]
json = '''{"id": {{ wire_reference }}{% if signature %}, "sign": {{ signature }}{% endif %}}'''
signature = SIGNATURE
[charge.reply]
content = "json"
result = "/status"
rows = [{ result = "OK", means = "charged" }]
"#;

fn signed(signature: &str) -> Request {
    let text = SIGNED.replace("SIGNATURE", signature);
    let text = if signature.contains("template") {
        text
    } else {
        text.replace("{% if signature %}, \"sign\": {{ signature }}{% endif %}", "")
    };
    let profile = profile(&text);
    let sample = sample(&profile, SampleValues::default());
    let secrets = HttpSecrets::new([("key", Zeroizing::new("Jefe".to_owned()))]);
    profile.render(Operation::Charge, &sample.context(Operation::Charge), &secrets).expect("a request")
}

#[test]
fn a_signature_goes_into_a_header_the_query_or_the_template() {
    let request = signed(
        r#"{ algorithm = "hmac-sha256", secret = "key", prefix = "sha256=", encoding = "base64", into = { header = "X-Sign" }, over = ["{{ method }}", "{{ path }}", "{{ query.v }}", "{{ body }}"], separator = "|" }"#,
    );
    let message = format!("POST|/v1/pay|2|{}", body(&request));
    let mac = <hmac::Hmac<sha2::Sha256> as hmac::KeyInit>::new_from_slice(b"Jefe").expect("a key");
    let mac = hmac::Mac::chain_update(mac, message);
    let expected = format!("sha256={}", data_encoding::BASE64.encode(&hmac::Mac::finalize(mac).into_bytes()));
    assert_eq!(request.headers.get("x-sign").expect("signed"), expected.as_str());

    let request = signed(
        r#"{ algorithm = "hmac-sha1", secret = "key", encoding = "HEX", into = { query = "s" }, over = ["{{ body }}"] }"#,
    );
    let (_, sign) = request.url.query_pairs().find(|(name, _)| name == "s").expect("signed");
    assert!(sign.len() == 40 && sign.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()), "{sign}");

    let request =
        signed(r#"{ algorithm = "sha512", into = "template", over = ["{{ wire_reference }}", "{{ secrets.key }}"] }"#);
    let json: serde_json::Value = serde_json::from_str(body(&request)).expect("JSON");
    assert_eq!(json["sign"].as_str().map(str::len), Some(128));
}
