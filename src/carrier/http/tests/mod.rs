//! Profiles from load to answer, without a network; and the adapter against servers that misbehave.

mod adapter;
mod callbacks;
mod escaping;
mod loading;
mod reading;
mod rendering;
mod simulated;

use reqwest::StatusCode;

use super::{HttpSecrets, Operation, Overrides, Profile, Reading, Request, Sample, SampleValues};
use zeroize::Zeroizing;

/// A JSON carrier with every kind of operation, short enough to read.
pub(super) const JSON: &str = r#"
base_url = "https://api.example/v1"
secrets = ["token", "callback"]

[contract]
replays_keys = true
query = { first_after_ms = 1000, interval_ms_max = 60000 }

[authentication]
kind = "bearer"
token = "token"

[charge]
url = "/payments/{{ msisdn.e164 }}"
json = '''{"id": {{ wire_reference }}, "amount": {{ amount.major | number }}, "text": {{ description }}, "city": {{ city }}}'''

[charge.reply]
content = "json"
result = ["/status", "/error/code"]
qualifier = "/error/sub"
carrier_id = "/paymentId"
amount = "/amount"
currency = "/currency"
detail = "/error/text"
echoes = [
  { at = "/id", equals = "{{ wire_reference }}" },
  { at = "/msisdn", equals = "{{ msisdn.e164 }}", compare = "msisdn", optional = true },
  { at = "/asked", equals = "{{ amount.fixed }}", compare = "decimal", optional = true },
]
rows = [
  { result = "OK", means = "charged" },
  { result = "PENDING", means = "accepted" },
  { result = "OTP", means = "otp_needed" },
  { result = "NO_MONEY", means = { rejected = "insufficient_balance" } },
  { result = "POLICY", means = { rejected = "carrier_refused" } },
  { result = "POLICY", qualifier = "debt", means = { rejected = "credit_debt" } },
  { status = 404, result = "NO_MONEY", means = "not_our_subscriber" },
  { status = "4xx", result = "POLICY", means = { rejected = "barred" } },
  { status = 409, means = "duplicate" },
  { status = 429, means = "busy", any_body = true },
  { status = 400, means = { rejected = "carrier_refused" } },
  { status = "4xx", means = { rejected = "barred" } },
]

[status]
method = "GET"
url = "/payments/{{ carrier_id }}"

[status.reply]
content = "json"
result = "/status"
carrier_id = "/paymentId"
echoes = [{ at = "/id", equals = "{{ wire_reference }}", optional = true }]
rows = [
  { result = "OK", means = "charged" },
  { result = "FAILED", means = { rejected = "insufficient_balance" } },
  { status = 404, means = "not_found" },
  { status = 429, means = "busy", any_body = true },
]

[refund]
url = "/payments/{{ carrier_id }}/refunds"
json = '''{"id": {{ refund_reference }}, "amount": {{ refund_amount.fixed }}}'''

[refund.reply]
content = "json"
result = "/status"
amount = "/amount"
rows = [{ result = "OK", means = "refunded" }, { result = "NO", means = { rejected = "carrier_refused" } }]
"#;

pub(super) fn profile(text: &str) -> Profile {
    Profile::parse("test.toml", text, &Overrides::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// One of those that are shipped.
pub(super) fn shipped(name: &str) -> Profile {
    let file = format!("{}/config/examples/profiles/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    Profile::load(file.as_ref(), &Overrides::default()).unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn secrets() -> HttpSecrets {
    let secrets = ["token", "callback", "password", "sign", "other"];
    HttpSecrets::new(secrets.map(|name| (name, Zeroizing::new(format!("secret-{name}")))))
}

pub(super) fn sample(profile: &Profile, values: SampleValues) -> Sample {
    Sample::new(profile, values).expect("a charge")
}

pub(super) fn render(profile: &Profile, operation: Operation) -> Request {
    let sample = sample(profile, SampleValues::default());
    profile.render(operation, &sample.context(operation), &secrets()).expect("a request")
}

pub(super) fn body(request: &Request) -> &str {
    std::str::from_utf8(request.body.as_deref().unwrap_or_default()).expect("text")
}

/// What the sample's wire reference is.
pub(super) fn wire(profile: &Profile) -> String {
    profile.wire_references().write(SampleValues::default().reference, 1)
}

pub(super) fn read(profile: &Profile, operation: Operation, status: u16, body: &str) -> Reading {
    let sample = sample(profile, SampleValues::default());
    let status = StatusCode::from_u16(status).expect("a status");
    profile.read(operation, &sample.context(operation), status, body.as_bytes())
}
