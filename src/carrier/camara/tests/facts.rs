use super::*;
use crate::msisdn::Msisdn;

fn number() -> Msisdn {
    "77011234567".parse().unwrap()
}

#[tokio::test]
async fn a_replaced_sim_is_known() {
    let scene = Scene::new("").await;
    for swapped in [true, false] {
        scene.server.says("POST /sim-swap/v2/check", 200, format!("{{\"swapped\":{swapped}}}"));
        assert_eq!(scene.carrier.sim_swap(number(), 24).await, Ok(swapped));
    }
    assert_eq!(scene.server.asked()[0].body, r#"{"phoneNumber":"+77011234567","maxAge":24}"#);
    assert_eq!(scene.server.asked()[0].headers["authorization"], "Bearer t0ken");
    scene.server.says("check", 200, "{\"swapped\":false}");
    scene.carrier.sim_swap(number(), 9_999).await.unwrap();
    assert!(scene.server.asked()[2].body.ends_with(r#""maxAge":2400}"#));
}

#[tokio::test]
async fn the_date_of_the_last_replacement_is_known() {
    let scene = Scene::new("").await;
    let says = |body: &str| scene.server.says("POST /sim-swap/v2/retrieve-date", 200, body);
    says(r#"{"latestSimChange":"2023-07-03T14:27:08.312+02:00"}"#);
    let latest = Some("2023-07-03T12:27:08.312Z".parse().unwrap());
    assert_eq!(scene.carrier.sim_swap_date(number()).await, Ok(SimSwapDate { latest, monitored_days: None }));
    says(r#"{"latestSimChange":null,"monitoredPeriod":120}"#);
    let none = SimSwapDate { latest: None, monitored_days: Some(120) };
    assert_eq!(scene.carrier.sim_swap_date(number()).await, Ok(none));
    for body in ["{}", r#"{"latestSimChange":"yesterday"}"#, "[]"] {
        says(body);
        assert!(matches!(scene.carrier.sim_swap_date(number()).await, Err(FactError::Unavailable(_))), "{body}");
    }
}

#[tokio::test]
async fn a_contract_type_is_known_where_the_carrier_says_it() {
    let scene = Scene::new("").await;
    let since = jiff::civil::date(2023, 7, 3);
    for (body, expected) in [
        (r#"{"tenureDateCheck":true,"contractType":"Business"}"#, Some(ContractType::Business)),
        (r#"{"tenureDateCheck":true,"contractType":"PAYG"}"#, Some(ContractType::Prepaid)),
        (r#"{"tenureDateCheck":false,"contractType":"PAYM"}"#, Some(ContractType::Postpaid)),
        (r#"{"tenureDateCheck":true}"#, None),
    ] {
        scene.server.says("POST /kyc-tenure/v0.2/check-tenure", 200, body);
        assert_eq!(scene.carrier.tenure(number(), since).await, Ok(expected));
    }
    assert_eq!(scene.server.asked()[0].body, r#"{"phoneNumber":"+77011234567","tenureDate":"2023-07-03"}"#);
    scene.server.says("tenure", 200, r#"{"tenureDateCheck":true,"contractType":"business"}"#);
    assert!(matches!(scene.carrier.tenure(number(), since).await, Err(FactError::Unavailable(_))));
}

#[tokio::test]
async fn every_error_says_why_nothing_is_known() {
    let scene = Scene::new("").await;
    for (status, code, expected) in [
        (404, "NOT_FOUND", FactError::NotTheirs),
        (404, "IDENTIFIER_NOT_FOUND", FactError::NotTheirs),
        (422, "SERVICE_NOT_APPLICABLE", FactError::NotApplicable),
        (429, "QUOTA_EXCEEDED", FactError::Busy),
        (429, "TOO_MANY_REQUESTS", FactError::Busy),
        (400, "OUT_OF_RANGE", FactError::Refused("400 OUT_OF_RANGE".into())),
        (403, "PERMISSION_DENIED", FactError::Refused("403 PERMISSION_DENIED".into())),
        (500, "INTERNAL", FactError::Unavailable("answered 500".into())),
    ] {
        scene.server.says("/check", status, error(status, code, "x"));
        assert_eq!(scene.carrier.sim_swap(number(), 24).await, Err(expected), "{status} {code}");
    }
    scene.server.says("/check", 404, "no such page");
    assert_eq!(scene.carrier.sim_swap(number(), 24).await, Err(FactError::Refused("404 ".into())));
    let mut profile = scene.carrier.profile().clone();
    profile.sim_swap_url = None;
    assert_eq!(open(&profile).sim_swap(number(), 24).await, Err(FactError::NotConfigured));
    assert!(scene.carrier.standing().takes_charges(), "a fact's failure is none of a charge's");
}
