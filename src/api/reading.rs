//! Reading what came in: bodies, queries and references in paths. What does not fit is answered with its place.

use std::borrow::Cow;

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderMap, header, request::Parts},
};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_path_to_error::Segment;

use super::error::{Code, Problem};
use crate::charge::Reference;

/// A body of JSON. Unknown fields are refused if `T` refuses them.
pub(super) struct JsonBody<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<JsonBody<T>, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(Code::UnsupportedMediaType, "the body must be application/json"));
        }
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|_| Problem::new(Code::BadRequest, "the body could not be read"))?;
        read_json(&bytes).map(JsonBody)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let stated = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = stated.and_then(|stated| stated.split(';').next()).unwrap_or_default();
    media.trim().eq_ignore_ascii_case("application/json")
}

fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // serde would take an array for a struct, with its fields in order.
    if bytes.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
        return Err(Problem::new(Code::BadRequest, "the body must be a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let place = pointer(error.path());
        let error = error.into_inner();
        let detail = without_position(&error);
        if error.is_data() {
            let (place, detail) = placed(place, detail);
            Problem::field(place, detail)
        } else {
            let place = format!("line {}, column {}", error.line(), error.column());
            Problem::new(Code::BadRequest, format!("the body is not JSON: {detail}, {place}"))
        }
    })?;
    json.end().map_err(|_| Problem::new(Code::BadRequest, "something follows the JSON of the body"))?;
    Ok(read)
}

/// What is wrong, without the line and column that a caller's own serialiser made.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    text.get(..end).unwrap_or_default().to_owned()
}

/// A JSON pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path.iter() {
        let name: Cow<'_, str> = match segment {
            Segment::Seq { index } => index.to_string().into(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1").into(),
            Segment::Enum { variant } => variant.as_str().into(),
            Segment::Unknown => continue,
        };
        pointer.push('/');
        // A key is the caller's own text, and may be as long as a body.
        pointer.extend(name.chars().take(64));
    }
    pointer
}

/// A field that is missing has no place of its own: the reader names the object around it.
fn placed(place: String, detail: String) -> (String, String) {
    match detail.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        Some(field) => (format!("{place}/{field}"), "must be there".into()),
        // What is unknown is quoted, and it is the caller's own text.
        None => (place, detail.chars().take(300).collect()),
    }
}

/// The parameters of the query. Each may come once; unknown ones are refused if `T` refuses them.
pub(super) struct QueryOf<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for QueryOf<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<QueryOf<T>, Problem> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| Problem::new(Code::BadRequest, "the query is not understood"))?;
        let mut object = serde_json::Map::new();
        for (name, value) in pairs.0 {
            if object.insert(name.clone(), value.into()).is_some() {
                return Err(Problem::parameter(name, "must come once"));
            }
        }
        serde_path_to_error::deserialize(serde_json::Value::Object(object)).map(QueryOf).map_err(|error| {
            let (place, detail) = placed(pointer(error.path()), error.into_inner().to_string());
            Problem::parameter(place.trim_start_matches('/'), detail)
        })
    }
}

/// The `{reference}` of the path. What is no reference names nothing.
pub(super) struct ReferenceInPath(pub(super) Reference);

impl<S: Send + Sync> FromRequestParts<S> for ReferenceInPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<ReferenceInPath, Problem> {
        let unknown = || Problem::new(Code::NotFound, "a reference is a UUID");
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| unknown())?;
        text.parse().map(ReferenceInPath).map_err(|_| unknown())
    }
}

/// A charge and one of its refunds, both named in the path.
pub(super) struct RefundInPath {
    pub(super) reference: Reference,
    pub(super) refund: Reference,
}

impl<S: Send + Sync> FromRequestParts<S> for RefundInPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<RefundInPath, Problem> {
        let unknown = || Problem::new(Code::NotFound, "a reference is a UUID");
        let names = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((reference, refund)) = names.map_err(|_| unknown())?;
        match (reference.parse(), refund.parse()) {
            (Ok(reference), Ok(refund)) => Ok(RefundInPath { reference, refund }),
            _ => Err(unknown()),
        }
    }
}

/// How many to list: 1 to 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct PageLimit(pub(super) u32);

impl PageLimit {
    /// The most.
    const MAX: u32 = 200;
}

impl Default for PageLimit {
    fn default() -> PageLimit {
        PageLimit(50)
    }
}

impl TryFrom<String> for PageLimit {
    type Error = String;

    fn try_from(text: String) -> Result<PageLimit, String> {
        match text.parse() {
            Ok(limit @ 1..=PageLimit::MAX) => Ok(PageLimit(limit)),
            _ => Err(format!("a number from 1 to {}", PageLimit::MAX)),
        }
    }
}

/// Where a page of a list ended. Opaque to callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Cursor(pub(super) Reference);

impl TryFrom<String> for Cursor {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Cursor, &'static str> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(|bytes| Cursor(Reference::from_bytes(bytes))).ok_or("not the next_cursor of an earlier answer")
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> String {
        BASE64URL_NOPAD.encode(cursor.0.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only how it is refused matters")]
    struct Sample {
        name: String,
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only how it is refused matters")]
    struct Inner {
        numbers: Vec<u8>,
    }

    fn refused(body: &str) -> serde_json::Value {
        let problem = read_json::<Sample>(body.as_bytes()).expect_err("refused");
        let answer = problem.into_answer("t".into());
        let bytes = futures(axum::body::to_bytes(answer.into_body(), 10_000)).expect("a body");
        let mut document: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
        match document["errors"].take() {
            serde_json::Value::Null => document["detail"].take(),
            errors => errors,
        }
    }

    fn futures<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
    }

    #[test]
    fn every_refusal_names_its_place() {
        insta::assert_json_snapshot!(
            [
                r#"{"inner": null}"#,
                r#"{"name": 7}"#,
                r#"{"name": "a", "a/b~c": 1}"#,
                r#"{"name": "a", "inner": {"numbers": [1, 2, 300]}}"#,
                r#"{"name": "a", "inner": {}}"#,
                r#"{"name": "a", "name": "b"}"#,
                r#"[]"#,
                r#"{"name": "a""#,
                r#"{"name": "a"} {}"#,
                "",
            ]
            .map(refused),
            @r#"
        [
          [
            {
              "detail": "must be there",
              "pointer": "/name"
            }
          ],
          [
            {
              "detail": "invalid type: integer `7`, expected a string",
              "pointer": "/name"
            }
          ],
          [
            {
              "detail": "unknown field `a/b~c`, expected `name` or `inner`",
              "pointer": "/a~1b~0c"
            }
          ],
          [
            {
              "detail": "invalid value: integer `300`, expected u8",
              "pointer": "/inner/numbers/2"
            }
          ],
          [
            {
              "detail": "must be there",
              "pointer": "/inner/numbers"
            }
          ],
          [
            {
              "detail": "duplicate field `name`",
              "pointer": ""
            }
          ],
          "the body must be a JSON object",
          "the body is not JSON: EOF while parsing an object, line 1, column 12",
          "something follows the JSON of the body",
          "the body is not JSON: EOF while parsing a value, line 1, column 0"
        ]
        "#
        );
    }

    #[test]
    fn a_body_nested_without_end_is_refused_and_does_not_overflow_the_stack() {
        let deep = format!("{}{}", r#"{"inner":"#, "[".repeat(100_000));
        assert!(read_json::<Sample>(deep.as_bytes()).is_err());
        assert!(read_json::<serde_json::Value>(deep.as_bytes()).is_err());
    }

    #[test]
    fn a_cursor_reads_back_and_noise_does_not() {
        let reference = Reference::from_bytes([7; 16]);
        let text = String::from(Cursor(reference));
        assert_eq!(Cursor::try_from(text), Ok(Cursor(reference)));
        for noise in ["", "BwcHBwcHBwcHBwcHBwcHBw==", "0192-…", "BwcHBw"] {
            assert!(Cursor::try_from(noise.to_owned()).is_err(), "{noise:?}");
        }
    }

    proptest! {
        #[test]
        fn no_body_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_json::<Sample>(&bytes);
        }
    }
}
