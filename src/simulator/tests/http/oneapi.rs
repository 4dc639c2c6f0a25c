//! OMA/GSMA OneAPI Payment.

use super::*;

struct OneApi {
    client: reqwest::Client,
    base: String,
}

const USER: &str = "tel%3A%2B77010000001";

impl OneApi {
    fn of(simulator: &Simulator) -> OneApi {
        OneApi { client: client(), base: simulator.http_url(Interface::Oneapi).expect("there is OneAPI") }
    }

    async fn send(&self, path: &str, kind: &str, body: String) -> Answer {
        let url = format!("{}/payment/v1/{USER}/transactions/{path}", self.base);
        let request = self.client.post(url).basic_auth("smsbus", Some("secret")).header("content-type", kind);
        sent(request.body(body)).await.expect("an answer")
    }

    async fn form(&self, path: &str, fields: &str) -> Answer {
        let body = format!("endUserId={USER}&{fields}");
        self.send(path, "application/x-www-form-urlencoded", body).await
    }

    async fn json(&self, path: &str, body: Value) -> Answer {
        self.send(path, "application/json", body.to_string()).await
    }

    async fn get(&self, path: &str) -> Answer {
        let url = format!("{}/payment/v1/{USER}/transactions/{path}", self.base);
        sent(self.client.get(url).basic_auth("smsbus", Some("secret"))).await.expect("an answer")
    }
}

const CHARGE: &str = "transactionOperationStatus=Charged&description=bus+1234&currency=KZT&amount=80.50&referenceCode=REF-1\
                      &clientCorrelator=c1&onBehalfOf=smsbus&channel=SMS";

fn error(answer: &Answer) -> (u16, String, String) {
    let body = answer.json();
    let request_error = body["requestError"].as_object().expect("an error");
    let exception = request_error.values().next().expect("an exception");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    (answer.status.as_u16(), text(&exception["messageId"]), text(&exception["variables"][0]))
}

#[tokio::test]
async fn a_charge_by_form_is_taken_once_and_its_correlator_replays_the_answer() {
    let simulator = start(carrier()).await;
    let oneapi = OneApi::of(&simulator);
    let answer = oneapi.form("amount", CHARGE).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let shown = &answer.json()["amountTransaction"];
    assert_eq!(
        (&shown["transactionOperationStatus"], &shown["endUserId"]),
        (&json!("Charged"), &json!("tel:+77010000001"))
    );
    assert_eq!(shown["paymentAmount"]["totalAmountCharged"], "80.50");
    assert_eq!(shown["paymentAmount"]["chargingInformation"]["description"], "bus 1234");
    assert_eq!(answer.header("location"), shown["resourceURL"].as_str().expect("an address"));
    let again = oneapi.form("amount", CHARGE).await;
    assert_eq!((again.status, again.json()), (StatusCode::CREATED, answer.json()));
    assert_eq!((charges(&simulator), simulator.stats().http.replays), (1, 1));
    assert_eq!(simulator.ledger().entries()[0].request_reference.as_deref(), Some("REF-1"));

    let other = oneapi.form("amount", &CHARGE.replace("80.50", "81")).await;
    assert_eq!(error(&other), (409, "SVC0005".into(), "clientCorrelator".into()));
    let id = shown["resourceURL"].as_str().and_then(|url| url.rsplit('/').next()).expect("an id");
    assert_eq!(oneapi.get(&format!("amount/{id}")).await.json(), answer.json());
    assert_eq!(error(&oneapi.get("amount/4711").await).0, 404);
    assert_eq!(charges(&simulator), 1);
}

#[tokio::test]
async fn json_says_the_same_as_a_form() {
    let simulator = start(carrier()).await;
    let oneapi = OneApi::of(&simulator);
    let body = |amount: Value, correlator: &str| {
        json!({ "amountTransaction": { "endUserId": "tel:+77010000001", "transactionOperationStatus": "Charged",
            "referenceCode": "REF-1", "clientCorrelator": correlator, "paymentAmount": {
                "chargingInformation": { "amount": amount, "currency": "KZT", "description": "bus" },
                "chargingMetaData": { "onBehalfOf": "smsbus", "channel": "SMS", "taxAmount": "0" } } } })
    };
    assert_eq!(oneapi.json("amount", body(json!("80.5"), "a")).await.status, StatusCode::CREATED);
    assert_eq!(oneapi.json("amount", body(json!(80), "b")).await.status, StatusCode::CREATED);
    assert_eq!(simulator.ledger().total(), Money::kzt(16_050));
    assert_eq!(simulator.stats().http.violations, 0);
}

#[tokio::test]
async fn a_charge_is_refunded_in_parts_but_never_more_than_it_took() {
    let simulator = start(carrier()).await;
    let oneapi = OneApi::of(&simulator);
    let charged = oneapi.form("amount", CHARGE).await.json();
    let original = charged["amountTransaction"]["serverReferenceCode"].as_str().expect("a code").to_owned();
    let refund = |amount: &str, correlator: &str| {
        format!(
            "transactionOperationStatus=Refunded&originalServerReferenceCode={original}&description=back&currency=KZT\
             &amount={amount}&referenceCode=B-{correlator}&clientCorrelator={correlator}"
        )
    };
    let answer = oneapi.form("amount", &refund("50", "b1")).await;
    let shown = &answer.json()["amountTransaction"];
    assert_eq!((answer.status, &shown["transactionOperationStatus"]), (StatusCode::CREATED, &json!("Refunded")));
    assert_eq!(
        (&shown["paymentAmount"]["totalAmountRefunded"], &shown["referenceCode"]),
        (&json!("50"), &json!("B-b1"))
    );
    assert_eq!(oneapi.form("amount", &refund("50", "b1")).await.json(), answer.json());
    assert_eq!(error(&oneapi.form("amount", &refund("30.51", "b2")).await).2, "refund_exceeds_charge");
    assert_eq!(oneapi.form("amount", &refund("30.50", "b3")).await.status, StatusCode::CREATED);
    let id = shown["resourceURL"].as_str().and_then(|url| url.rsplit('/').next()).expect("an id");
    assert_eq!(oneapi.get(&format!("amount/{id}")).await.json(), answer.json());
    assert_eq!(simulator.ledger().refunded(), Money::kzt(8_050));
    assert_books_balance(&simulator, number(1), 20_000);
}

#[tokio::test]
async fn a_reservation_is_raised_charged_in_part_and_the_rest_let_go() {
    let simulator = start(carrier()).await;
    let oneapi = OneApi::of(&simulator);
    let step = |status: &str, amount: &str, sequence: u32| {
        format!(
            "transactionOperationStatus={status}&description=bus&currency=KZT&amount={amount}&referenceCode=R\
             &referenceSequence={sequence}"
        )
    };
    let reserved = oneapi.form("amountReservation", &(step("Reserved", "80", 1) + "&clientCorrelator=c1")).await;
    assert_eq!(reserved.status, StatusCode::CREATED, "{}", reserved.text);
    let shown = reserved.json()["amountReservationTransaction"].clone();
    assert_eq!(
        (&shown["paymentAmount"]["amountReserved"], &shown["paymentAmount"]["totalAmountCharged"]),
        (&json!("80"), &json!("0"))
    );
    let id = shown["resourceURL"].as_str().and_then(|url| url.rsplit('/').next()).expect("an id").to_owned();
    let path = format!("amountReservation/{id}");
    let more = oneapi.form(&path, &step("Reserved", "20", 2)).await.json();
    assert_eq!(more["amountReservationTransaction"]["paymentAmount"]["amountReserved"], "100");
    // The same step again changes nothing.
    oneapi.form(&path, &step("Reserved", "20", 2)).await;
    assert_eq!(simulator.balance(number(1)), Money::kzt(10_000));
    let too_much = oneapi.form(&path, &step("Charged", "100.01", 3)).await;
    assert_eq!(error(&too_much).1, "POL0254");
    let charged = oneapi.form(&path, &step("Charged", "60", 4)).await;
    assert_eq!(charged.json()["amountReservationTransaction"]["transactionOperationStatus"], "Charged");
    let release = format!("transactionOperationStatus=Released&referenceSequence={}", 5);
    assert_eq!(error(&oneapi.form(&path, &release).await), (403, "SVC0270".into(), "already_charged".into()));
    assert_eq!(
        oneapi.get(&path).await.json()["amountReservationTransaction"]["paymentAmount"]["totalAmountCharged"],
        "60"
    );
    assert_eq!(simulator.ledger().total(), Money::kzt(6_000));
    assert_books_balance(&simulator, number(1), 20_000);

    let other = oneapi.form("amountReservation", &(step("Reserved", "80", 1) + "&clientCorrelator=c2")).await;
    let url = other.header("location").to_owned();
    let path = format!("amountReservation/{}", url.rsplit('/').next().expect("an id"));
    let released = oneapi.form(&path, "transactionOperationStatus=Released&referenceSequence=2").await;
    assert_eq!(released.json()["amountReservationTransaction"]["transactionOperationStatus"], "Released");
    assert_books_balance(&simulator, number(1), 20_000);
    assert_eq!((charges(&simulator), simulator.stats().http.violations), (1, 0));
}

#[tokio::test]
async fn refusals_have_their_exceptions() {
    let simulator = start(carrier()).await;
    let oneapi = OneApi::of(&simulator);
    for (n, (condition, told)) in [
        (Condition::CorporateNumber, (403, "POL0001", "corporate_number")),
        (Condition::CreditDebt, (403, "POL0001", "credit_debt")),
        (Condition::NoTopUpSinceActivation, (403, "POL0001", "no_top_up_since_activation")),
        (Condition::InitialBalanceUnused, (403, "POL0001", "initial_balance_unused")),
        (Condition::RecentSimSwap, (403, "POL0001", "recent_sim_swap")),
        (Condition::Barred, (403, "POL0001", "barred")),
        (Condition::Unknown, (400, "SVC0004", "endUserId")),
    ]
    .into_iter()
    .enumerate()
    {
        simulator.set_subscriber(number(1), Subscriber::with_balance(20_000).and(condition)).expect("room");
        let charge = CHARGE.replace("=c1", &format!("=x{n}"));
        assert_eq!(error(&oneapi.form("amount", &charge).await), (told.0, told.1.into(), told.2.into()));
    }
    simulator.set_subscriber(number(1), Subscriber::with_balance(1)).expect("room");
    assert_eq!(error(&oneapi.form("amount", CHARGE).await).1, "POL1000");
    // A rejection is replayed as well: a new try needs a new key.
    simulator.set_subscriber(number(1), Subscriber::with_balance(20_000)).expect("room");
    assert_eq!(error(&oneapi.form("amount", CHARGE).await).1, "POL1000");
    assert_eq!((charges(&simulator), simulator.stats().http.violations), (0, 0));
}

#[tokio::test]
async fn what_the_specification_does_not_have_is_a_violation() {
    let simulator = start(carrier()).await;
    let oneapi = OneApi::of(&simulator);
    for (from, to) in [
        ("amount=80.50", "amount=80,50"),
        ("amount=80.50", "amount=1e2"),
        ("Charged", "Taken"),
        ("Charged", "Reserved"),
        ("&description=bus+1234", ""),
        ("&referenceCode=REF-1", ""),
        ("&channel=SMS", "&colour=red"),
        ("&channel=SMS", "&channel=SMS&channel=WAP"),
        ("&currency=KZT", "&currency=USD"),
    ] {
        assert_eq!(oneapi.form("amount", &CHARGE.replace(from, to)).await.status, 400, "{to}");
    }
    let other =
        oneapi.send("amount", "application/x-www-form-urlencoded", format!("endUserId=tel%3A%2B77010000002&{CHARGE}"));
    assert_eq!(error(&other.await).1, "SVC0002");
    let url = format!("{}/payment/v1/{USER}/transactions/amount", oneapi.base);
    assert_eq!(sent(client().post(url).body(CHARGE)).await.expect("an answer").status, StatusCode::UNAUTHORIZED);
    assert_eq!(oneapi.get("amounts").await.status, StatusCode::NOT_FOUND);
    assert_eq!((charges(&simulator), simulator.stats().http.violations), (0, 11));
}

#[tokio::test]
async fn a_notify_url_is_told_with_its_callback_data() {
    let simulator = start(carrier()).await;
    let (oneapi, listener) = (OneApi::of(&simulator), Listener::start().await);
    let charge = format!("{CHARGE}&notifyURL={}&callbackData=mine", listener.url);
    oneapi.form("amount", &charge).await;
    let told = listener.hears(1).await.remove(0);
    assert_eq!(told["amountTransaction"]["callbackData"], "mine");
    assert_eq!(told["amountTransaction"]["transactionOperationStatus"], "Charged");
    assert_eq!(told["amountTransaction"]["referenceCode"], "REF-1");
}
