use std::{collections::BTreeSet, fs, path::Path};

use axum::http::StatusCode;
use serde_json::Value;

use super::world::{ANNA, World, fare};
use crate::{
    api::{
        Role,
        auth::Access,
        error::{Code, Problem},
        openapi, routes,
    },
    charge::Reason,
};

const CODES: [Code; 23] = [
    Code::BadRequest,
    Code::IdempotencyKeyMissing,
    Code::Unauthenticated,
    Code::Forbidden,
    Code::NotFound,
    Code::MethodNotAllowed,
    Code::NotAcceptable,
    Code::Timeout,
    Code::Conflict,
    Code::IdempotencyKeyConflict,
    Code::MoAnswered,
    Code::PayloadTooLarge,
    Code::UnsupportedMediaType,
    Code::Impossible(Reason::UnknownVehicle),
    Code::Impossible(Reason::FareNotFound),
    Code::Impossible(Reason::ZoneMissing),
    Code::Impossible(Reason::ZoneUnexpected),
    Code::Impossible(Reason::UnknownZone),
    Code::Impossible(Reason::NoRoute),
    Code::TooManyRequests,
    Code::Internal,
    Code::Overloaded,
    Code::Unavailable,
];

fn document() -> Value {
    serde_json::to_value(openapi::document()).expect("JSON")
}

#[tokio::test]
async fn the_document_is_open_to_anyone() {
    let world = World::new().await;
    let answer = world.get("/openapi.json").unknown().send().await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.json(), document());
    assert!(answer.json()["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
}

#[test]
fn the_document_lists_exactly_the_routes_of_the_router() {
    let document = document();
    let listed: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().expect("operations").keys().map(|method| (method.to_uppercase(), path.clone()))
        })
        .collect();
    let routed = routes::table().into_iter().map(|route| (route.method.to_string(), route.path.to_owned()));
    assert_eq!(listed, routed.collect());
}

#[test]
fn every_operation_says_who_may_call_it_and_which_errors_come() {
    let document = document();
    for route in routes::table() {
        let operation = &document["paths"][route.path][route.method.as_str().to_lowercase()];
        let place = format!("{} {}", route.method, route.path);
        let security = operation["security"].as_array().unwrap_or_else(|| panic!("{place} has no security"));
        let roles: Vec<&str> = security.iter().filter_map(|either| either["bearer"][0].as_str()).collect();
        match route.access {
            Access::Anyone => assert!(security.is_empty(), "{place}"),
            Access::AnyCaller => assert!(security.len() == 1 && roles.is_empty(), "{place}"),
            Access::OneOf(wanted) => assert_eq!(roles, wanted.iter().map(|r| r.code()).collect::<Vec<_>>(), "{place}"),
        }
        for field in ["summary", "operationId", "tags"] {
            assert!(!operation[field].is_null(), "{place}: {field}");
        }
        for (status, answer) in operation["responses"].as_object().expect("answers") {
            assert!(answer["description"].as_str().is_some_and(|text| !text.is_empty()), "{place} {status}");
            if status.as_str() >= "400" {
                let schema = &answer["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/Problem", "{place} {status}");
            }
        }
    }
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str));
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 10, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("a place in the document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

/// A few words of JSON Schema: enough to tell a field that the document does not know, lacks, or has another type.
fn misfits(document: &Value, schema: &Value, value: &Value, place: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#')).expect("a schema");
        return misfits(document, target, value, place);
    }
    for any in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[any].as_array() {
            let all: Vec<Vec<String>> = choices.iter().map(|choice| misfits(document, choice, value, place)).collect();
            return if all.iter().any(Vec::is_empty) { Vec::new() } else { all.concat() };
        }
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = match &schema["type"] {
        Value::String(stated) => stated == kind,
        Value::Array(stated) => stated.iter().any(|stated| stated == kind),
        _ => true,
    };
    let mut wrong = Vec::new();
    if !fits {
        wrong.push(format!("{place} is {kind}, not {}", schema["type"]));
    }
    if let Some(allowed) = schema["enum"].as_array().filter(|allowed| !allowed.contains(value)) {
        wrong.push(format!("{place} is {value}, not one of {allowed:?}"));
    }
    match value {
        Value::Object(object) if schema["properties"].is_object() => {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            wrong.extend(
                required.filter(|name| !object.contains_key(*name)).map(|name| format!("{place}/{name} is missing")),
            );
            for (name, value) in object {
                match schema["properties"].get(name) {
                    Some(schema) => wrong.extend(misfits(document, schema, value, &format!("{place}/{name}"))),
                    None => wrong.push(format!("{place}/{name} is not in the document")),
                }
            }
        }
        Value::Array(values) => {
            let each = values.iter().enumerate();
            wrong.extend(each.flat_map(|(i, v)| misfits(document, &schema["items"], v, &format!("{place}/{i}"))));
        }
        _ => {}
    }
    wrong
}

#[tokio::test]
async fn real_answers_fit_the_document() {
    let world = World::new().await;
    let bought = world.bought("k1", &fare(ANNA)).await;
    let second = serde_json::json!({"msisdn": ANNA, "vehicle": "1234", "passengers": 2});
    let reference = bought.reference();
    let document = document();
    let calls = [
        ("post", "/v1/charges", world.buy("k2", &second).header("prefer", "wait=5")),
        ("post", "/v1/charges", world.buy("k1", &second)),
        ("post", "/v1/charges", world.buy("k1", &serde_json::json!({}))),
        ("get", "/v1/charges", world.get("/v1/charges?limit=1")),
        ("get", "/v1/charges/{reference}", world.get(&format!("/v1/charges/{reference}")).by(Role::Support)),
        (
            "get",
            "/v1/charges/{reference}/journal",
            world.get(&format!("/v1/charges/{reference}/journal")).by(Role::Support),
        ),
        ("get", "/v1/eligibility", world.get("/v1/eligibility?msisdn=87051111111")),
        ("get", "/v1/eligibility", world.get("/v1/eligibility?msisdn=87470000000")),
        ("get", "/v1/tickets", world.get("/v1/tickets?msisdn=87051111111")),
        ("get", "/v1/tickets/{reference}", world.get(&format!("/v1/tickets/{reference}"))),
        ("get", "/v1/keys", world.get("/v1/keys")),
        ("get", "/v1/carriers", world.get("/v1/carriers").by(Role::Operations)),
        (
            "post",
            "/v1/carriers/{name}/pause",
            world.call(axum::http::Method::POST, "/v1/carriers/beeline/pause").by(Role::Operations),
        ),
    ];
    for (method, path, call) in calls {
        let answer = call.send().await;
        let stated = &document["paths"][path][method]["responses"][answer.status.as_str()];
        let media = answer.header("content-type");
        let schema = &stated["content"][media]["schema"];
        assert!(schema.is_object(), "{method} {path} {} {media}: {stated}", answer.status);
        assert_eq!(misfits(&document, schema, &answer.json(), ""), [""; 0], "{method} {path}");
    }
}

#[test]
fn every_code_has_a_page_under_its_title_and_a_status_of_an_error() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors");
    for code in CODES {
        let page = fs::read_to_string(pages.join(format!("{}.md", code.code()))).expect("a page");
        let heading = page.lines().next().expect("a heading").replace('`', "");
        assert_eq!(heading, format!("# {}: {}", code.code(), code.title()));
        let status: StatusCode = code.status();
        assert!(status.is_client_error() || status.is_server_error());
    }
}

#[tokio::test]
async fn what_went_wrong_inside_stays_inside() {
    let answer = Problem::internal("disk full at /var/lib").into_answer("t".repeat(32));
    let body = axum::body::to_bytes(answer.into_body(), 10_000).await.expect("a body");
    assert!(!String::from_utf8_lossy(&body).contains("disk"), "{body:?}");
}
