//! From an attempt to the bytes of a request: the same attempt gives the same bytes (M4).

use std::{borrow::Cow, collections::BTreeMap, fmt};

use bytes::Bytes;
use data_encoding::BASE64;
use minijinja::Value;
use reqwest::{
    Method,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use thiserror::Error;
use url::{Url, form_urlencoded};

use super::{
    Context, HttpSecrets, Operation, Profile,
    context::{Surroundings, variables},
    document::{Authentication, SignaturePlace},
    signature::Signature,
    template::{Template, TemplateError},
};
use crate::charge::Refund;

/// A request as it goes over the wire, but for a token of OAuth 2.0.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where it goes.
    pub url: Url,
    /// The headers that the profile and its authentication give. Those of the connection come on top.
    pub headers: HeaderMap,
    /// The body, if there is one.
    pub body: Option<Bytes>,
}

impl fmt::Debug for Request {
    /// Neither secrets nor numbers: they may stand anywhere in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {})", self.method, self.url.origin().ascii_serialization())
    }
}

/// Why an attempt cannot be put into a request. Nothing was sent then.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RenderError {
    /// The profile does not have this operation.
    #[error("the profile has no {0}")]
    NotOffered(Operation),
    /// It takes a value that is not known yet, such as the carrier's id.
    #[error("{key}: {name} is not known")]
    NotKnown {
        /// Where in the profile.
        key: String,
        /// Which value.
        name: String,
    },
    /// A template, with these values, gives something that cannot be sent.
    #[error("{key}: {what}")]
    Wrong {
        /// Where in the profile.
        key: String,
        /// Why.
        what: String,
    },
}

impl RenderError {
    pub(super) fn at(key: &str, what: impl fmt::Display) -> RenderError {
        RenderError::Wrong { key: key.to_owned(), what: what.to_string() }
    }

    pub(super) fn of_template(key: &str, error: TemplateError) -> RenderError {
        match error {
            TemplateError::NotKnown(name) => RenderError::NotKnown { key: key.to_owned(), name },
            TemplateError::Wrong(what) => RenderError::Wrong { key: key.to_owned(), what },
        }
    }
}

/// The request of one operation, compiled.
#[derive(Clone, Debug)]
pub(super) struct RequestTemplate {
    pub(super) key: String,
    pub(super) method: Method,
    /// Scheme and host, which no template touches, and the path of the base.
    pub(super) base: String,
    pub(super) path: Template,
    pub(super) query: Vec<(String, Template)>,
    pub(super) headers: Vec<(HeaderName, Template)>,
    pub(super) body: BodyTemplate,
    pub(super) signature: Option<(Signature, SignaturePlace)>,
}

/// The body of a request, compiled.
#[derive(Clone, Debug)]
pub(super) enum BodyTemplate {
    None,
    Form(Vec<(String, Template)>),
    Json(Template),
    Xml(Template),
}

type Fields = Vec<(String, String)>;

impl Profile {
    /// The request for `operation`, made of `context`: the same bytes each time for the same context, whatever the time is.
    ///
    /// Errors: the profile has no such operation, or these values cannot be put into it; nothing must be sent then.
    pub fn render(
        &self,
        operation: Operation,
        context: &Context<'_>,
        secrets: &HttpSecrets,
    ) -> Result<Request, RenderError> {
        self.render_shown(operation, context, secrets, secrets)
    }

    /// As [`Profile::render`], with `shown` where a secret would be read, and `secrets` only under signatures: to look at.
    ///
    /// Errors: as there.
    pub fn render_shown(
        &self,
        operation: Operation,
        context: &Context<'_>,
        shown: &HttpSecrets,
        secrets: &HttpSecrets,
    ) -> Result<Request, RenderError> {
        let template = &self.operation(operation).ok_or(RenderError::NotOffered(operation))?.request;
        let mut values = self.variables(operation, context, shown)?;
        let signed = |values: &BTreeMap<&'static str, Value>, signature: &Signature| {
            let mut values = values.clone();
            values.insert("secrets", secrets.as_variables());
            let signature = signature.sign(&self.templates, &Value::from(values), secrets);
            signature.map_err(|(key, error)| RenderError::of_template(&key, error))
        };
        if let Some((signature, SignaturePlace::Template)) = &template.signature {
            values.insert("signature", signed(&values, signature)?.into());
        }
        let filled = Value::from(values.clone());
        let path = self.filled(&format!("{}.url", template.key), &template.path, &filled)?.into_owned();
        let mut query = self.fields(&format!("{}.query", template.key), &template.query, &filled)?;
        let mut headers = self.headers(template, &filled)?;
        let (content_type, mut body) = self.body(template, &filled)?;

        if let Some((signature, place)) =
            template.signature.as_ref().filter(|(_, place)| !matches!(place, SignaturePlace::Template))
        {
            values.insert("method", template.method.as_str().into());
            values.insert("path", Value::from(path_of(&template.base, &path)));
            values.insert("query", as_map(&query));
            values.insert("headers", header_map(&headers));
            match &body {
                RenderedBody::Form(fields) => drop(values.insert("form", as_map(fields))),
                RenderedBody::Text(text) => drop(values.insert("body", text.as_str().into())),
                RenderedBody::None => {}
            }
            if !matches!(place, SignaturePlace::Field(_)) {
                values.insert("body", body.as_text().into());
            }
            let written = signed(&values, signature)?;
            match (place, &mut body) {
                (SignaturePlace::Field(name), RenderedBody::Form(fields)) => fields.push((name.clone(), written)),
                (SignaturePlace::Query(name), _) => query.push((name.clone(), written)),
                (SignaturePlace::Header(name), _) => {
                    insert(&mut headers, &format!("{}.signature.into", template.key), name, &written)?;
                }
                (SignaturePlace::Field(_) | SignaturePlace::Template, _) => {}
            }
        }
        let url = url_of(template, &path, &query)?;
        if let Some(content_type) = content_type.filter(|_| !headers.contains_key(CONTENT_TYPE)) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        self.authorize(&mut headers, shown)?;
        let body = match body {
            RenderedBody::None => None,
            body => Some(Bytes::from(body.as_text().into_owned())),
        };
        Ok(Request { method: template.method.clone(), url, headers, body })
    }

    /// The variables of `operation` for `context`.
    pub(super) fn variables(
        &self,
        operation: Operation,
        context: &Context<'_>,
        secrets: &HttpSecrets,
    ) -> Result<BTreeMap<&'static str, Value>, RenderError> {
        let surroundings = Surroundings {
            constants: &self.constants,
            secrets: secrets.as_variables(),
            callback_path: self.callback_path(),
            has_second_id: self.has_second_id,
            wire_reference_of_refund: &|refund: &Refund| self.wire_reference_of_refund(refund),
        };
        let mut values = variables(operation, context, &surroundings);
        if operation.is_about_a_charge() {
            let description = self.filled("description", &self.description, &Value::from(values.clone()))?.into_owned();
            values.insert("description", description.into());
        }
        Ok(values)
    }

    /// A template, filled. Errors: with its key.
    pub(super) fn filled<'a>(
        &self,
        key: &str,
        template: &'a Template,
        values: &Value,
    ) -> Result<Cow<'a, str>, RenderError> {
        self.templates.render(template, values).map_err(|error| RenderError::of_template(key, error))
    }

    fn fields(&self, key: &str, fields: &[(String, Template)], values: &Value) -> Result<Fields, RenderError> {
        let field = |(n, (name, template)): (usize, &(String, Template))| {
            let text = self.filled(&format!("{key}[{n}]"), template, values)?;
            Ok((name.clone(), text.into_owned()))
        };
        fields.iter().enumerate().map(field).collect()
    }

    fn headers(&self, template: &RequestTemplate, values: &Value) -> Result<HeaderMap, RenderError> {
        let mut headers = HeaderMap::new();
        for (name, header) in &template.headers {
            let key = format!("{}.headers.{name}", template.key);
            let text = self.filled(&key, header, values)?;
            insert(&mut headers, &key, name.as_str(), &text)?;
        }
        Ok(headers)
    }

    fn body(
        &self,
        template: &RequestTemplate,
        values: &Value,
    ) -> Result<(Option<&'static str>, RenderedBody), RenderError> {
        Ok(match &template.body {
            BodyTemplate::None => (None, RenderedBody::None),
            BodyTemplate::Form(fields) => {
                let fields = self.fields(&format!("{}.form", template.key), fields, values)?;
                (Some("application/x-www-form-urlencoded"), RenderedBody::Form(fields))
            }
            BodyTemplate::Json(json) => {
                let key = format!("{}.json", template.key);
                let text = self.filled(&key, json, values)?.into_owned();
                serde_json::from_str::<&serde_json::value::RawValue>(&text).map_err(|error| {
                    RenderError::at(&key, format!("it gives no JSON ({error}); a text brings its own quotes"))
                })?;
                (Some("application/json"), RenderedBody::Text(text))
            }
            BodyTemplate::Xml(xml) => {
                let key = format!("{}.xml", template.key);
                let text = self.filled(&key, xml, values)?.into_owned();
                roxmltree::Document::parse(&text)
                    .map_err(|error| RenderError::at(&key, format!("it gives no XML: {error}")))?;
                (Some("application/xml; charset=utf-8"), RenderedBody::Text(text))
            }
        })
    }

    fn authorize(&self, headers: &mut HeaderMap, secrets: &HttpSecrets) -> Result<(), RenderError> {
        let secret = |key: &str, name: &str| {
            secrets
                .get(name)
                .map(str::to_owned)
                .ok_or_else(|| RenderError::at(key, format!("there is no secret {name}")))
        };
        let value = match &self.authentication {
            Some(Authentication::Basic { user, password }) => {
                let password = secret("authentication.password", password)?;
                format!("Basic {}", BASE64.encode(format!("{user}:{password}").as_bytes()))
            }
            Some(Authentication::Bearer { token }) => format!("Bearer {}", secret("authentication.token", token)?),
            Some(Authentication::Oauth2 { .. }) | None => return Ok(()),
        };
        let mut value = HeaderValue::from_str(&value)
            .map_err(|_| RenderError::at("authentication", "a secret has a character that no header can carry"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        Ok(())
    }
}

enum RenderedBody {
    None,
    Form(Fields),
    Text(String),
}

impl RenderedBody {
    fn as_text(&self) -> Cow<'_, str> {
        match self {
            RenderedBody::None => Cow::Borrowed(""),
            RenderedBody::Form(fields) => Cow::Owned(encoded(fields)),
            RenderedBody::Text(text) => Cow::Borrowed(text),
        }
    }
}

fn encoded(fields: &Fields) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn insert(headers: &mut HeaderMap, key: &str, name: &str, text: &str) -> Result<(), RenderError> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| RenderError::at(key, error))?;
    let value = HeaderValue::from_str(text)
        .map_err(|_| RenderError::at(key, "it gives a character that no header can carry"))?;
    headers.insert(name, value);
    Ok(())
}

/// The URL, if it still says what was written: a value that would climb out of its place in the path is refused.
fn url_of(template: &RequestTemplate, path: &str, query: &Fields) -> Result<Url, RenderError> {
    let key = format!("{}.url", template.key);
    let mut text = format!("{}{path}", template.base);
    if !query.is_empty() {
        text.push(if path.contains('?') { '&' } else { '?' });
        text.push_str(&encoded(query));
    }
    let url = Url::parse(&text).map_err(|error| RenderError::at(&key, error))?;
    if url.as_str() != text || url.fragment().is_some() {
        return Err(RenderError::at(&key, "it is not read as it is written: a \"..\", a space, or no path"));
    }
    Ok(url)
}

/// What of the address is a path, for signatures over it.
fn path_of(base: &str, path: &str) -> String {
    let url = format!("{base}{path}");
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let from = url[after_scheme..].find('/').map_or(url.len(), |at| after_scheme + at);
    url[from..].to_owned()
}

fn as_map(fields: &Fields) -> Value {
    Value::from(
        fields.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect::<BTreeMap<String, Value>>(),
    )
}

fn header_map(headers: &HeaderMap) -> Value {
    let text = |value: &HeaderValue| Value::from(value.to_str().unwrap_or_default());
    Value::from(
        headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), text(value)))
            .collect::<BTreeMap<String, Value>>(),
    )
}
