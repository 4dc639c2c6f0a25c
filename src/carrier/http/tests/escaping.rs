use proptest::prelude::*;

use super::*;

const FORMS: &str = r#"
base_url = "https://api.example"
[charge]
url = "/{{ city }}/pay"
query = [["q", "{{ city }}"], ["fixed", "a&b"]]
form = [["text", "{{ city }}"], ["both", "a={{ city }}&"]]
[charge.reply]
content = "none"
rows = [{ status = 200, means = "accepted" }]
[status]
url = "/"
json = '''{"a": {{ city }}, "b": [{{ "x" ~ city }}], {{ city }}: 1}'''
[status.reply]
content = "none"
rows = [{ status = 500, means = "in_doubt" }]
[refund]
url = "/"
xml = '''<a b="{{ city }}" c='{{ city }}'><d>{{ city }}</d></a>'''
[refund.reply]
content = "none"
rows = [{ status = 200, means = "accepted" }]
[contract]
query = { first_after_ms = 1, interval_ms_max = 1 }
"#;

fn forms() -> &'static Profile {
    static PROFILE: std::sync::LazyLock<Profile> = std::sync::LazyLock::new(|| profile(FORMS));
    &PROFILE
}

fn with_city(city: &str, operation: Operation) -> Result<Request, crate::carrier::http::RenderError> {
    let values = SampleValues { city: city.into(), ..SampleValues::default() };
    let sample = sample(forms(), values);
    forms().render(operation, &sample.context(operation), &HttpSecrets::default())
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[\"'<>&{}%+/\\\\ \t\r\n.;?#=\u{0}-\u{1f}\u{fffe}]{0,20}",
        Just("..".to_owned()),
        Just("\u{2028}]]>".to_owned())
    ]
}

proptest! {
    #[test]
    fn json_says_the_same_value(city in any_text()) {
        // As a key it would be one of the two others once more.
        prop_assume!(city != "a" && city != "b");
        let request = with_city(&city, Operation::Status).expect("JSON says everything");
        let json: serde_json::Value = serde_json::from_str(body(&request)).expect("JSON");
        prop_assert_eq!(json["a"].as_str(), Some(city.as_str()));
        prop_assert_eq!(&json["b"][0], &serde_json::Value::from(format!("x{city}")));
        // The keys above are the only others.
        prop_assert!(json.get(&city).is_some());
    }

    #[test]
    fn xml_says_the_same_value_or_is_not_made(city in any_text()) {
        let sayable = city.chars().all(|c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..));
        let request = with_city(&city, Operation::Refund);
        prop_assert_eq!(request.is_ok(), sayable, "{:?}", city);
        let Ok(request) = request else { return Ok(()) };
        let document = roxmltree::Document::parse(body(&request)).expect("XML");
        let root = document.root_element();
        prop_assert_eq!(root.attribute("b"), Some(city.as_str()));
        prop_assert_eq!(root.attribute("c"), Some(city.as_str()));
        prop_assert_eq!(root.attributes().len(), 2);
        let texts: String = root.first_element_child().expect("d").children().filter_map(|node| node.text()).collect();
        prop_assert_eq!(texts, city);
    }

    #[test]
    fn forms_queries_and_paths_say_the_same_value(city in any_text()) {
        let Ok(request) = with_city(&city, Operation::Charge) else {
            // What would be another path.
            prop_assert!(matches!(city.as_str(), "" | "." | ".."), "{city:?}");
            return Ok(());
        };
        let fields: Vec<(String, String)> = url::form_urlencoded::parse(body(&request).as_bytes()).into_owned().collect();
        prop_assert_eq!(fields, vec![("text".to_owned(), city.clone()), ("both".to_owned(), format!("a={city}&"))]);
        let query: Vec<(String, String)> = request.url.query_pairs().into_owned().collect();
        prop_assert_eq!(query, vec![("q".to_owned(), city.clone()), ("fixed".to_owned(), "a&b".to_owned())]);
        let segments: Vec<&str> = request.url.path_segments().expect("segments").collect();
        prop_assert_eq!(segments.len(), 2);
        let decoded: Vec<u8> = percent_decoded(segments[0]);
        prop_assert_eq!(decoded, city.into_bytes());
        prop_assert_eq!(request.url.host_str(), Some("api.example"));
    }
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let hex = std::str::from_utf8(&tail[..2]).expect("hex");
            bytes.push(u8::from_str_radix(hex, 16).expect("hex"));
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    bytes
}

#[test]
fn an_id_of_the_carrier_cannot_climb_out_of_its_place() {
    let profile = profile(JSON);
    for id in ["..", "."] {
        let values = SampleValues { carrier_id: Some(id.into()), ..SampleValues::default() };
        let sample = sample(&profile, values);
        assert!(profile.render(Operation::Status, &sample.context(Operation::Status), &secrets()).is_err(), "{id}");
    }
    let values = SampleValues { carrier_id: Some("../../admin?x=1#y".into()), ..SampleValues::default() };
    let sample = sample(&profile, values);
    let request = profile.render(Operation::Status, &sample.context(Operation::Status), &secrets()).expect("encoded");
    assert_eq!(request.url.as_str(), "https://api.example/v1/payments/..%2F..%2Fadmin%3Fx%3D1%23y");
}
