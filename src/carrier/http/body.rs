//! What a carrier sends, and what stands where in it. Nothing in here believes a body: it is bounded, it may be anything, and a place that
//! could mean two things means none.

use std::{borrow::Cow, fmt};

use roxmltree::{Document, ParsingOptions};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

use super::document::Content;

/// Longer bodies are not read, in bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Elements, attributes and texts of an XML body.
const XML_NODES_MAX: u32 = 4_096;
/// Fields of a form.
const FIELDS_MAX: usize = 256;
/// Steps of a place.
const STEPS_MAX: usize = 16;
/// Characters of a value that something is made of.
const VALUE_CHARS_MAX: usize = 1_024;

/// Why a body, or a place in it, cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Unreadable {
    /// It is longer than [`BODY_BYTES_MAX`].
    #[error("the body is longer than {BODY_BYTES_MAX} bytes")]
    TooLong,
    /// It is not written in what the profile says.
    #[error("the body is no {0}")]
    NotThis(&'static str),
    /// A place stands in it twice, or as something that is no text or number.
    #[error("a place in the body is ambiguous")]
    Ambiguous,
}

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The steps of a JSON pointer.
    Json(Vec<String>),
    /// The elements from the root down, and the attribute of the last one.
    Xml { elements: Vec<String>, attribute: Option<String> },
    /// A field's name.
    Field(String),
    /// All of a text.
    Whole,
    /// The n-th word of it, from 1.
    Word(usize),
    /// The n-th line of it, from 1.
    Line(usize),
}

impl Place {
    /// As the profile writes it. Errors: how it should be written.
    pub(super) fn parse(content: Content, text: &str) -> Result<Place, String> {
        let place = match content {
            Content::Json => Place::Json(json_pointer(text)?),
            Content::Xml => xml_path(text)?,
            Content::Form if !text.is_empty() => Place::Field(text.to_owned()),
            Content::Form => return Err("want the name of a field".into()),
            Content::Text => text_place(text)?,
            Content::None => return Err("with content = \"none\" nothing is read of the body".into()),
        };
        let steps = match &place {
            Place::Json(steps) => steps.len(),
            Place::Xml { elements, .. } => elements.len(),
            _ => 0,
        };
        if steps > STEPS_MAX { Err(format!("at most {STEPS_MAX} steps")) } else { Ok(place) }
    }
}

fn json_pointer(text: &str) -> Result<Vec<String>, String> {
    let wrong = || "want a JSON pointer such as \"/payment/status\" (RFC 6901)".to_owned();
    let steps = text.strip_prefix('/').ok_or_else(wrong)?;
    Ok(steps.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect())
}

fn xml_path(text: &str) -> Result<Place, String> {
    let wrong = || "want a path from the root, such as \"/response/result\" or \"/response/@code\"".to_owned();
    let mut elements: Vec<String> = text.strip_prefix('/').ok_or_else(wrong)?.split('/').map(str::to_owned).collect();
    let attribute = match elements.last().and_then(|last| last.strip_prefix('@')) {
        Some(name) => {
            let name = name.to_owned();
            elements.pop();
            Some(name)
        }
        None => None,
    };
    let names = elements.iter().chain(&attribute);
    let sound = |name: &String| !name.is_empty() && !name.contains(['@', '[', '*', ':', ' ']);
    if elements.is_empty() || !names.clone().all(sound) { Err(wrong()) } else { Ok(Place::Xml { elements, attribute }) }
}

fn text_place(text: &str) -> Result<Place, String> {
    let wrong = || "want \"\" for the whole text, \"word 1\" or \"line 1\"".to_owned();
    if text.is_empty() {
        return Ok(Place::Whole);
    }
    let (what, number) = text.split_once(' ').ok_or_else(wrong)?;
    let number: usize = number.parse().ok().filter(|number| *number >= 1).ok_or_else(wrong)?;
    match what {
        "word" => Ok(Place::Word(number)),
        "line" => Ok(Place::Line(number)),
        _ => Err(wrong()),
    }
}

/// A body that is what it should be.
#[derive(Debug)]
pub(super) enum Body<'a> {
    Json(&'a RawValue),
    Xml(Document<'a>),
    Form(Vec<(Cow<'a, str>, Cow<'a, str>)>),
    Text(&'a str),
    None,
}

/// The text of a body. What is not UTF-8 (an old carrier's comment in windows-1251) loses those letters and nothing else, but JSON must be
/// UTF-8 (RFC 8259, 8.1). Errors: too long.
pub(super) fn decoded(content: Content, bytes: &[u8]) -> Result<Cow<'_, str>, Unreadable> {
    if bytes.len() > BODY_BYTES_MAX {
        return Err(Unreadable::TooLong);
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    match content {
        Content::Json => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| Unreadable::NotThis("JSON")),
        _ => Ok(String::from_utf8_lossy(bytes)),
    }
}

impl<'a> Body<'a> {
    /// Reads a decoded body. Errors: it is something else.
    pub(super) fn parse(content: Content, text: &'a str) -> Result<Body<'a>, Unreadable> {
        match content {
            Content::Json => serde_json::from_str(text).map(Body::Json).map_err(|_| Unreadable::NotThis("JSON")),
            Content::Xml => {
                let options =
                    ParsingOptions { allow_dtd: false, nodes_limit: XML_NODES_MAX, ..ParsingOptions::default() };
                Document::parse_with_options(text, options).map(Body::Xml).map_err(|_| Unreadable::NotThis("XML"))
            }
            Content::Form => {
                let fields: Vec<_> = url::form_urlencoded::parse(text.trim().as_bytes()).take(FIELDS_MAX + 1).collect();
                let sound = fields.len() <= FIELDS_MAX && !text.trim_start().starts_with(['<', '{', '[']);
                if sound { Ok(Body::Form(fields)) } else { Err(Unreadable::NotThis("form")) }
            }
            Content::Text => Ok(Body::Text(text.trim())),
            Content::None => Ok(Body::None),
        }
    }

    /// What stands at `place`, trimmed; `None` if nothing does. Errors: it stands there twice, or is no plain value.
    pub(super) fn find(&self, place: &Place) -> Result<Option<Cow<'_, str>>, Unreadable> {
        let found = match (self, place) {
            (Body::Json(root), Place::Json(steps)) => in_json(root, steps)?,
            (Body::Xml(document), Place::Xml { elements, attribute }) => {
                in_xml(document, elements, attribute.as_deref())?
            }
            (Body::Form(fields), Place::Field(name)) => {
                let mut values = fields.iter().filter(|(field, _)| field == name).map(|(_, value)| value);
                let first = values.next();
                if values.next().is_some() {
                    return Err(Unreadable::Ambiguous);
                }
                first.map(|value| Cow::Borrowed(value.as_ref()))
            }
            (Body::Text(text), Place::Whole) => Some(Cow::Borrowed(*text)),
            (Body::Text(text), Place::Word(number)) => text.split_whitespace().nth(number - 1).map(Cow::Borrowed),
            (Body::Text(text), Place::Line(number)) => text.lines().nth(number - 1).map(Cow::Borrowed),
            _ => None,
        };
        Ok(found.map(trimmed).filter(|value| !value.is_empty() && value.chars().count() <= VALUE_CHARS_MAX))
    }

    /// What stands at the first of `places` at which something does.
    pub(super) fn first(&self, places: &[Place]) -> Result<Option<Cow<'_, str>>, Unreadable> {
        for place in places {
            if let Some(found) = self.find(place)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

fn trimmed(value: Cow<'_, str>) -> Cow<'_, str> {
    match value {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) if text.trim().len() == text.len() => Cow::Owned(text),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

fn in_xml<'a>(
    document: &'a Document<'_>,
    elements: &[String],
    attribute: Option<&str>,
) -> Result<Option<Cow<'a, str>>, Unreadable> {
    let mut steps = elements.iter();
    let mut node = document.root_element();
    if steps.next().is_none_or(|name| node.tag_name().name() != name) {
        return Ok(None);
    }
    for name in steps {
        let mut named = node.children().filter(|child| child.is_element() && child.tag_name().name() == name);
        let Some(child) = named.next() else { return Ok(None) };
        if named.next().is_some() {
            return Err(Unreadable::Ambiguous);
        }
        node = child;
    }
    if let Some(name) = attribute {
        let mut named = node.attributes().filter(|attribute| attribute.name() == name);
        let first = named.next().map(|attribute| Cow::Borrowed(attribute.value()));
        return if named.next().is_some() { Err(Unreadable::Ambiguous) } else { Ok(first) };
    }
    if node.children().any(|child| child.is_element()) {
        return Err(Unreadable::Ambiguous);
    }
    // A comment or CDATA cuts a text into several.
    Ok(Some(Cow::Owned(node.children().filter(|child| child.is_text()).filter_map(|child| child.text()).collect())))
}

fn in_json<'a>(root: &'a RawValue, steps: &[String]) -> Result<Option<Cow<'a, str>>, Unreadable> {
    let mut value = root;
    for step in steps {
        let below = match value.get().as_bytes().first() {
            Some(b'{') => Step::Key(step),
            Some(b'[') => match step.parse() {
                Ok(index) => Step::Index(index),
                Err(_) => return Ok(None),
            },
            _ => return Ok(None),
        };
        let mut deserializer = serde_json::Deserializer::from_str(value.get());
        match deserializer.deserialize_any(below) {
            Ok(Some(found)) => value = found,
            Ok(None) => return Ok(None),
            Err(_) => return Err(Unreadable::Ambiguous),
        }
    }
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'"') => {
            serde_json::from_str(text).map(|text: String| Some(Cow::Owned(text))).map_err(|_| Unreadable::Ambiguous)
        }
        Some(b'{' | b'[') => Err(Unreadable::Ambiguous),
        _ if text == "null" => Ok(None),
        // A number as it was written, never a float; `true` or `false`.
        _ => Ok(Some(Cow::Borrowed(text))),
    }
}

/// One step down: finds the value of a key or an index, and refuses a key that is there twice.
enum Step<'s> {
    Key(&'s str),
    Index(usize),
}

impl<'de> Visitor<'de> for Step<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Step::Key(wanted) = self else { return Ok(None) };
        let mut found = None;
        while let Some((key, value)) = map.next_entry::<Cow<'de, str>, &'de RawValue>()? {
            if key == wanted && found.replace(value).is_some() {
                return Err(serde::de::Error::custom("a key is there twice"));
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        let mut index = 0;
        while let Some(value) = values.next_element::<&'de RawValue>()? {
            if matches!(self, Step::Index(wanted) if wanted == index) {
                found = Some(value);
            }
            index += 1;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn find(content: Content, text: &str, place: &str) -> Result<Option<String>, Unreadable> {
        let place = Place::parse(content, place).expect("a place");
        Body::parse(content, text)?.find(&place).map(|found| found.map(Cow::into_owned))
    }

    fn some(text: &str) -> Result<Option<String>, Unreadable> {
        Ok(Some(text.to_owned()))
    }

    #[test]
    fn a_json_number_is_read_as_it_is_written() {
        let body = r#"{"a": {"b/c": [80.10, "x", true, null]}, "big": 12345678901234567890.10}"#;
        assert_eq!(find(Content::Json, body, "/a/b~1c/0"), some("80.10"));
        assert_eq!(find(Content::Json, body, "/a/b~1c/1"), some("x"));
        assert_eq!(find(Content::Json, body, "/a/b~1c/2"), some("true"));
        assert_eq!(find(Content::Json, body, "/a/b~1c/3"), Ok(None));
        assert_eq!(find(Content::Json, body, "/a/b~1c/4"), Ok(None));
        assert_eq!(find(Content::Json, body, "/big"), some("12345678901234567890.10"));
        assert_eq!(find(Content::Json, body, "/a/none/0"), Ok(None));
    }

    #[test]
    fn what_stands_twice_or_is_no_plain_value_is_not_guessed() {
        assert_eq!(find(Content::Json, r#"{"a": 0, "a": 1}"#, "/a"), Err(Unreadable::Ambiguous));
        assert_eq!(find(Content::Json, r#"{"a": {"b": 0}, "\u0061": {"b": 1}}"#, "/a/b"), Err(Unreadable::Ambiguous));
        assert_eq!(find(Content::Json, r#"{"a": {}}"#, "/a"), Err(Unreadable::Ambiguous));
        assert_eq!(find(Content::Xml, "<r><a>0</a><a>1</a></r>", "/r/a"), Err(Unreadable::Ambiguous));
        assert_eq!(find(Content::Xml, "<r><a>0<b/></a></r>", "/r/a"), Err(Unreadable::Ambiguous));
        assert_eq!(find(Content::Form, "a=0&a=1", "a"), Err(Unreadable::Ambiguous));
    }

    #[test]
    fn xml_is_read_by_elements_and_attributes_whatever_its_namespace() {
        let body =
            r#"<?xml version="1.0"?><s:r xmlns:s="urn:x" code=" 7 "><a><!-- c -->1<![CDATA[<2]]>3</a><e/></s:r>"#;
        assert_eq!(find(Content::Xml, body, "/r/@code"), some("7"));
        assert_eq!(find(Content::Xml, body, "/r/a"), some("1<23"));
        assert_eq!(find(Content::Xml, body, "/r/e"), Ok(None));
        assert_eq!(find(Content::Xml, body, "/x/a"), Ok(None));
    }

    #[test]
    fn an_entity_bomb_deep_nesting_and_too_many_nodes_are_no_xml() {
        let bomb = r#"<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><r>&b;</r>"#;
        assert_eq!(find(Content::Xml, bomb, "/r"), Err(Unreadable::NotThis("XML")));
        let deep = format!("{}{}", "<a>".repeat(8_000), "</a>".repeat(8_000));
        assert_eq!(find(Content::Xml, &deep, "/a"), Err(Unreadable::NotThis("XML")));
        let deep = "[".repeat(30_000);
        assert_eq!(find(Content::Json, &deep, "/0"), Err(Unreadable::NotThis("JSON")));
    }

    #[test]
    fn forms_and_texts_have_places_too() {
        assert_eq!(find(Content::Form, "result=0&id=5+6%2B7\r\n", "id"), some("5 6+7"));
        assert_eq!(find(Content::Form, "<html>", "id"), Err(Unreadable::NotThis("form")));
        assert_eq!(find(Content::Text, " OK 123\nnext ", "word 2"), some("123"));
        assert_eq!(find(Content::Text, " OK 123\nnext ", "line 2"), some("next"));
        assert_eq!(find(Content::Text, " OK ", ""), some("OK"));
    }

    #[test]
    fn letters_of_another_encoding_are_lost_and_the_rest_is_read() {
        let bytes =
            b"<?xml version=\"1.0\" encoding=\"windows-1251\"?><r><result>0</result><comment>\xCE\xCA</comment></r>";
        let text = decoded(Content::Xml, bytes).expect("a text");
        assert_eq!(find(Content::Xml, &text, "/r/result"), some("0"));
        assert_eq!(decoded(Content::Json, b"{\"a\": \"\xCE\"}"), Err(Unreadable::NotThis("JSON")));
        assert_eq!(decoded(Content::Text, &vec![b'a'; BODY_BYTES_MAX + 1]), Err(Unreadable::TooLong));
    }

    #[test]
    fn a_place_that_is_written_wrong_is_refused() {
        for (content, place) in [
            (Content::Json, "result"),
            (Content::Xml, "response/result"),
            (Content::Xml, "/"),
            (Content::Xml, "/@code"),
            (Content::Xml, "/r/a[1]"),
            (Content::Form, ""),
            (Content::Text, "word 0"),
            (Content::Text, "words"),
            (Content::None, "x"),
        ] {
            assert!(Place::parse(content, place).is_err(), "{content:?} {place:?}");
        }
        assert!(Place::parse(Content::Json, &"/a".repeat(17)).is_err());
    }

    proptest! {
        #[test]
        fn no_body_panics(bytes: Vec<u8>, text in "[<>/a-c&;{}\\[\\]\":,0-9 =]{0,80}") {
            let places = [(Content::Json, "/a/0"), (Content::Xml, "/a/@b"), (Content::Form, "a"), (Content::Text, "word 2")];
            for (content, place) in places {
                let _ = find(content, &text, place);
                if let Ok(text) = decoded(content, &bytes) {
                    let _ = find(content, &text, place);
                }
            }
        }
    }
}
