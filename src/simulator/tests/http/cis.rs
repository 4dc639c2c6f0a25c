//! The CIS-style interface.

use md5::{Digest as _, Md5};

use super::*;

/// Signs and posts a command. The fields come in the order of the signature: command, account, sum, `txn_id`, `txn_date`,
/// `orig_txn_id`.
async fn post(simulator: &Simulator, fields: &[(&str, &str)]) -> Answer {
    let value = |name: &str| fields.iter().find(|(other, _)| *other == name).map_or("", |(_, value)| *value);
    let mut signed = ["command", "account", "sum", "txn_id", "txn_date"].map(value).join(";");
    if !value("orig_txn_id").is_empty() {
        signed = format!("{signed};{}", value("orig_txn_id"));
    }
    let sign = data_encoding::HEXLOWER.encode(&Md5::digest(format!("{signed};secret")));
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    let body = form.extend_pairs(fields).append_pair("sign", &sign).finish();
    let url = format!("{}/pay", simulator.http_url(Interface::Cis).expect("there is CIS"));
    let request = client().post(url).header("content-type", "application/x-www-form-urlencoded").body(body);
    sent(request).await.expect("an answer")
}

async fn command(simulator: &Simulator, command: &str, sum: &str, txn_id: &str) -> Answer {
    let account = number(1).e164().to_string();
    let mut fields =
        vec![("command", command), ("account", &account), ("txn_id", txn_id), ("txn_date", "20260301123000")];
    if !sum.is_empty() {
        fields.push(("sum", sum));
    }
    post(simulator, &fields).await
}

fn element(answer: &Answer, name: &str) -> String {
    let document = roxmltree::Document::parse(&answer.text).expect("XML");
    assert_eq!(document.root_element().tag_name().name(), "response");
    let element = document.root_element().children().find(|child| child.has_tag_name(name));
    element.and_then(|element| element.text()).unwrap_or_default().to_owned()
}

fn result(answer: &Answer) -> u16 {
    element(answer, "result").parse().expect("a number")
}

#[tokio::test]
async fn a_payment_is_taken_once_and_its_number_replays_the_result() {
    let simulator = start(carrier()).await;
    let answer = command(&simulator, "pay", "80.50", "T-1").await;
    assert_eq!((result(&answer), element(&answer, "osmp_txn_id").as_str()), (0, "T-1"));
    assert_eq!((element(&answer, "sum").as_str(), element(&answer, "comment").as_str()), ("80.50", "paid"));
    assert_eq!(element(&answer, "prv_txn"), simulator.payments()[0].id);
    let again = command(&simulator, "pay", "80.50", "T-1").await;
    assert_eq!(again.text, answer.text);
    assert_eq!(result(&command(&simulator, "pay", "81", "T-1").await), 215);
    assert_eq!(result(&command(&simulator, "check", "", "T-1").await), 0);
    assert_eq!(result(&command(&simulator, "check", "", "T-2").await), 210);
    assert_eq!((charges(&simulator), simulator.ledger().total()), (1, Money::kzt(8_050)));
    assert_eq!(simulator.ledger().entries()[0].request_reference.as_deref(), Some("T-1"));
    let stats = simulator.stats().http;
    assert_eq!((stats.replays, stats.duplicates, stats.violations), (1, 1, 0));
}

#[tokio::test]
async fn reservations_are_confirmed_or_cancelled() {
    let simulator = start(carrier()).await;
    assert_eq!(result(&command(&simulator, "reserve", "80", "T-1").await), 0);
    assert_eq!(result(&command(&simulator, "check", "", "T-1").await), 91);
    assert_eq!(charges(&simulator), 0);
    assert_eq!(result(&command(&simulator, "confirm", "80", "T-1").await), 0);
    assert_eq!(result(&command(&simulator, "confirm", "80", "T-1").await), 0);
    assert_eq!(result(&command(&simulator, "cancel", "", "T-1").await), 233);
    assert_eq!(result(&command(&simulator, "check", "", "T-1").await), 0);
    assert_eq!(result(&command(&simulator, "reserve", "80", "T-2").await), 0);
    assert_eq!(result(&command(&simulator, "cancel", "", "T-2").await), 0);
    assert_eq!(result(&command(&simulator, "confirm", "80", "T-2").await), 234);
    assert_eq!(result(&command(&simulator, "check", "", "T-2").await), 92);
    assert_eq!(result(&command(&simulator, "confirm", "80", "T-3").await), 210);
    assert_eq!(charges(&simulator), 1);
    assert_books_balance(&simulator, number(1), 20_000);
}

#[tokio::test]
async fn refunds_name_their_payment() {
    let simulator = start(carrier()).await;
    command(&simulator, "pay", "80", "T-1").await;
    let account = number(1).e164().to_string();
    let refund = async |txn_id: &str, of: &str, sum: &str| {
        let fields = [
            ("command", "refund"),
            ("account", account.as_str()),
            ("sum", sum),
            ("txn_id", txn_id),
            ("txn_date", "20260301130000"),
            ("orig_txn_id", of),
        ];
        post(&simulator, &fields).await
    };
    assert_eq!(result(&refund("B-1", "T-1", "30").await), 0);
    assert_eq!(result(&refund("B-1", "T-1", "30").await), 0);
    assert_eq!(result(&refund("B-2", "T-1", "50.01").await), 231);
    assert_eq!(result(&refund("B-3", "T-1", "50").await), 0);
    assert_eq!(result(&refund("B-4", "T-1", "1").await), 230);
    assert_eq!(result(&refund("B-5", "T-9", "1").await), 210);
    assert_eq!(result(&command(&simulator, "check", "", "B-1").await), 0);
    assert_eq!(simulator.ledger().refunded(), Money::kzt(8_000));
    assert_books_balance(&simulator, number(1), 20_000);
}

#[tokio::test]
async fn every_refusal_has_its_number() {
    let mut config = carrier();
    config.http.amount_min_minor = 100;
    config.http.amount_max_minor = Some(15_000);
    let simulator = start(config).await;
    for (n, (condition, expected)) in [
        (Condition::Unknown, 5),
        (Condition::Barred, 7),
        (Condition::NoTopUpSinceActivation, 79),
        (Condition::CreditDebt, 221),
        (Condition::CorporateNumber, 222),
        (Condition::InitialBalanceUnused, 224),
        (Condition::RecentSimSwap, 225),
    ]
    .into_iter()
    .enumerate()
    {
        simulator.set_subscriber(number(1), Subscriber::with_balance(20_000).and(condition)).expect("room");
        let txn_id = format!("X-{n}");
        assert_eq!(result(&command(&simulator, "pay", "80", &txn_id).await), expected);
        assert_eq!(result(&command(&simulator, "check", "", &txn_id).await), expected);
    }
    simulator.set_subscriber(number(1), Subscriber::with_balance(5_000)).expect("room");
    for (txn_id, sum, expected) in [("A", "80", 220), ("B", "0.99", 241), ("C", "150.01", 242)] {
        assert_eq!(result(&command(&simulator, "pay", sum, txn_id).await), expected);
    }
    simulator.set_own_account_empty(true);
    assert_eq!(result(&command(&simulator, "pay", "10", "D").await), 8);
    assert_eq!((charges(&simulator), simulator.stats().http.violations), (0, 0));
}

#[tokio::test]
async fn bad_forms_and_bad_signatures_are_told_apart() {
    let simulator = start(carrier()).await;
    let account = number(1).e164().to_string();
    let good = [
        ("command", "pay"),
        ("account", account.as_str()),
        ("sum", "80"),
        ("txn_id", "T"),
        ("txn_date", "20260301123000"),
    ];
    let with = |name: &'static str, value: &'static str| good.map(|(n, v)| (n, if n == name { value } else { v }));
    for fields in [
        with("command", "steal"),
        with("account", "+77010000001"),
        with("sum", "80,00"),
        with("sum", "80.001"),
        with("txn_id", "a b"),
        with("txn_date", "2026-03-01"),
        with("txn_date", "20261301123000"),
    ] {
        assert_eq!(result(&post(&simulator, &fields).await), 150, "{fields:?}");
    }
    assert_eq!(simulator.stats().http.violations, 7);
    let url = format!("{}/pay", simulator.http_url(Interface::Cis).expect("there is CIS"));
    let body = format!("command=pay&account={account}&sum=80&txn_id=T&txn_date=20260301123000&sign=0");
    let request = client().post(url).header("content-type", "application/x-www-form-urlencoded").body(body);
    assert_eq!(result(&sent(request).await.expect("an answer")), 13);
    assert_eq!((charges(&simulator), simulator.stats().http.unauthenticated), (0, 1));
}

#[tokio::test]
async fn a_payment_in_progress_is_told_when_it_is_settled() {
    let listener = Listener::start().await;
    let mut config = carrier();
    let cis = config.http.cis.as_mut().expect("there is CIS");
    cis.answers = Answers::Processing;
    cis.processing_ms = DelayRange::exactly(30);
    cis.notify_url = Some(listener.url.clone());
    let simulator = start(config).await;
    assert_eq!(result(&command(&simulator, "pay", "80", "T-1").await), 90);
    assert_eq!(result(&command(&simulator, "pay", "80", "T-1").await), 90);
    assert_eq!(result(&command(&simulator, "check", "", "T-1").await), 90);
    assert!(simulator.wait_until(LIMIT, |_| !listener.heard().is_empty()).await);
    let (headers, body) = listener.heard().remove(0);
    assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
    let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["command", "account", "sum", "txn_id", "prv_txn", "result", "sign"]);
    let values: Vec<&str> = fields.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!((values[0], values[2], values[3], values[5]), ("notify", "80", "T-1", "0"));
    let signed = format!("{};secret", values[..6].join(";"));
    assert_eq!(values[6], data_encoding::HEXLOWER.encode(&Md5::digest(signed)));
    assert_eq!(result(&command(&simulator, "pay", "80", "T-1").await), 0);
    assert_eq!(charges(&simulator), 1);
}
