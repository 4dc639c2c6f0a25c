//! Subscriber profile and portability.

use super::*;
use crate::simulator::http::Digest;

async fn get(simulator: &Simulator, path: &str, token: &str) -> Answer {
    let url = format!("{}{path}", simulator.http_url(Interface::Facts).expect("there are facts"));
    sent(client().get(url).bearer_auth(token)).await.expect("an answer")
}

async fn form(simulator: &Simulator, body: String) -> Answer {
    let url = format!("{}/profile", simulator.http_url(Interface::Facts).expect("there are facts"));
    let request = client().post(url).header("content-type", "application/x-www-form-urlencoded").body(body);
    sent(request).await.expect("an answer")
}

#[tokio::test]
async fn a_profile_follows_from_the_conditions_unless_a_fact_is_set() {
    let simulator = start(carrier()).await;
    let plain = get(&simulator, "/profile/77010000001", "secret").await;
    assert_eq!(
        plain.json(),
        json!({ "msisdn": "+77010000001", "contract_type": "prepaid", "debt": "0", "topped_up": true,
            "initial_balance_untouched": false })
    );
    let conditions = [
        Condition::CorporateNumber,
        Condition::CreditDebt,
        Condition::NoTopUpSinceActivation,
        Condition::InitialBalanceUnused,
    ];
    let all = conditions.into_iter().fold(Subscriber::with_balance(1), Subscriber::and);
    simulator.set_subscriber(number(1), all).expect("room");
    let told = get(&simulator, "/profile/+77010000001", "secret").await.json();
    assert_eq!((&told["contract_type"], &told["debt"]), (&json!("business"), &json!("500")));
    assert_eq!((&told["topped_up"], &told["initial_balance_untouched"]), (&json!(false), &json!(true)));
    let facts = SubscriberFacts {
        contract_type: Some(ContractType::Contract),
        debt_minor: Some(12_050),
        topped_up: Some(true),
        initial_balance_untouched: Some(false),
        ..SubscriberFacts::default()
    };
    simulator.set_facts(number(1), facts).expect("room");
    let told = get(&simulator, "/profile/77010000001", "secret").await.json();
    assert_eq!((&told["contract_type"], &told["debt"]), (&json!("contract"), &json!("120.50")));
    assert_eq!((&told["topped_up"], &told["initial_balance_untouched"]), (&json!(true), &json!(false)));
}

#[tokio::test]
async fn the_same_profile_comes_as_form_and_xml() {
    let mut config = carrier();
    config.http.facts.as_mut().expect("there are facts").digest = Digest::Sha256;
    let simulator = start(config).await;
    simulator.set_subscriber(number(1), Subscriber::with_balance(1).and(Condition::CreditDebt)).expect("room");
    // sha256 of "profile;77010000001;secret"
    let sign = "94abacda0cbb7de71b634bd1eea8038d2f8daec1a9e1286796663b56ce361bcc";
    let good = format!("command=profile&account=77010000001&sign={sign}");
    let answer = form(&simulator, good.clone()).await;
    assert_eq!(answer.header("content-type"), "application/xml; charset=utf-8");
    let expected = "<response><result>0</result><account>77010000001</account><contract_type>prepaid</contract_type>\
                    <debt>500</debt><topped_up>1</topped_up>\
                    <initial_balance_untouched>0</initial_balance_untouched></response>";
    assert!(answer.text.contains(expected), "{}", answer.text);
    let forged = form(&simulator, good.replace("001&", "002&")).await;
    assert!(forged.text.contains("<result>13</result>"), "{}", forged.text);
    simulator.set_subscriber(number(1), Subscriber::with_balance(1).and(Condition::Unknown)).expect("room");
    assert!(form(&simulator, good).await.text.contains("<result>5</result>"));
}

#[tokio::test]
async fn portability_names_the_carrier_of_a_number() {
    let simulator = start(carrier()).await;
    let told = get(&simulator, "/portability/77010000001", "secret").await;
    assert_eq!(told.json(), json!({ "msisdn": "+77010000001", "carrier": "simulated" }));
    let facts = SubscriberFacts { carrier: Some("beeline".into()), ..SubscriberFacts::default() };
    let gone = Subscriber::with_balance(0).and(Condition::Unknown).with_facts(facts);
    simulator.set_subscriber(number(1), gone).expect("room");
    assert_eq!(get(&simulator, "/portability/77010000001", "secret").await.json()["carrier"], "beeline");
    simulator.set_subscriber(number(2), Subscriber::with_balance(0).and(Condition::Unknown)).expect("room");
    let nobody = get(&simulator, "/portability/77010000002", "secret").await;
    assert_eq!((nobody.status, nobody.json()), (StatusCode::NOT_FOUND, json!({ "error": "unknown_number" })));
    assert_eq!(get(&simulator, "/profile/77010000002", "secret").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn nobody_is_told_without_the_token_and_nonsense_is_a_violation() {
    let simulator = start(carrier()).await;
    assert_eq!(get(&simulator, "/profile/77010000001", "wrong").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(get(&simulator, "/portability/12", "secret").await.status, StatusCode::BAD_REQUEST);
    let stats = simulator.stats().http;
    assert_eq!((stats.unauthenticated, stats.violations), (1, 1));
}
