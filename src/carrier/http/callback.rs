//! What a carrier tells us unasked. A callback is the carrier's only if every proof that the profile wants holds; it is about one of our
//! attempts only if it names our reference or the carrier's id; and the same one again gives evidence with the same id (M9).

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use data_encoding::{BASE64, HEXLOWER};
use minijinja::{Value, value::Object};
use reqwest::{Method, StatusCode, header::HeaderName};
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use super::{
    HttpSecrets, Network, Operation, Profile,
    body::{BODY_BYTES_MAX, Body, Place, decoded},
    document::Content,
    reply::{Found, Places, Row, choose, finding_of, is_an_id, shortened},
    signature::{Signature, same_secret},
    template::Template,
};
use crate::{
    carrier::{About, Callback, CallbackAnswer, CallbackRequest, Notice, Refusal, transcript},
    charge::{CarrierName, Finding},
    money::Currency,
};

/// Why a callback is not taken: nothing of it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub(super) enum RefusedBecause {
    /// The profile has no callback at this path.
    #[error("unknown path")]
    UnknownPath,
    /// The path is right, the method is not.
    #[error("wrong method")]
    WrongMethod,
    /// The body is too long.
    #[error("too long")]
    TooLong,
    /// It comes from a network that is not the carrier's.
    #[error("from a network that is not the carrier's")]
    Source,
    /// A credential is missing or wrong.
    #[error("credential missing or wrong")]
    Credential,
    /// The signature is missing or wrong.
    #[error("signature missing or wrong")]
    Signature,
    /// The body is not what it should be.
    #[error("unreadable")]
    Unreadable,
    /// It names neither our reference nor a carrier's id.
    #[error("about nothing")]
    AboutNothing,
}

impl RefusedBecause {
    /// The stable code, as in metrics.
    const fn code(self) -> &'static str {
        match self {
            RefusedBecause::UnknownPath => "unknown_path",
            RefusedBecause::WrongMethod => "wrong_method",
            RefusedBecause::TooLong => "too_long",
            RefusedBecause::Source => "source",
            RefusedBecause::Credential => "credential",
            RefusedBecause::Signature => "signature",
            RefusedBecause::Unreadable => "unreadable",
            RefusedBecause::AboutNothing => "about_nothing",
        }
    }

    const fn status(self) -> u16 {
        match self {
            RefusedBecause::UnknownPath => 404,
            RefusedBecause::WrongMethod => 405,
            RefusedBecause::TooLong => 413,
            RefusedBecause::Source => 403,
            RefusedBecause::Credential | RefusedBecause::Signature => 401,
            RefusedBecause::Unreadable | RefusedBecause::AboutNothing => 400,
        }
    }
}

/// A callback of the profile, compiled.
#[derive(Clone, Debug)]
pub(super) struct CallbackReading {
    pub(super) key: String,
    pub(super) path: String,
    pub(super) method: Method,
    pub(super) proofs: Vec<Proof>,
    pub(super) places: Places,
    pub(super) reference: Vec<Place>,
    pub(super) event_id: Vec<Place>,
    pub(super) rows: Vec<Row>,
    pub(super) accepted: AnswerTemplate,
    pub(super) refused: Option<AnswerTemplate>,
}

/// What is answered, compiled.
#[derive(Clone, Debug)]
pub(super) struct AnswerTemplate {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) body: Option<Template>,
}

/// One thing that must hold, compiled.
#[derive(Clone, Debug)]
pub(super) enum Proof {
    Bearer(Vec<String>),
    Basic { user: String, passwords: Vec<String> },
    Header { name: HeaderName, secrets: Vec<String> },
    Field { at: Vec<Place>, secrets: Vec<String> },
    Sources(Vec<Network>),
    Signature { signature: Signature, at: SignatureAt },
}

/// Where a callback's signature stands.
#[derive(Clone, Debug)]
pub(super) enum SignatureAt {
    Header(HeaderName),
    Query(String),
    Body(Place),
}

/// The body of a callback, and what it is written in.
#[derive(Clone, Copy)]
struct Message<'m> {
    content: Content,
    text: &'m str,
    body: &'m Body<'m>,
}

impl Profile {
    /// What a callback to `carrier` says, and what the carrier is answered once that is durable.
    ///
    /// Errors: it is not the carrier's, or cannot be read; nothing of it counts.
    pub fn read_callback(
        &self,
        carrier: &CarrierName,
        request: &CallbackRequest<'_>,
        secrets: &HttpSecrets,
    ) -> Result<Callback, Refusal> {
        let refusal =
            |why: RefusedBecause, answer: CallbackAnswer| Refusal { answer, kind: why.code(), why: why.to_string() };
        let at_path = || self.callbacks.iter().filter(|callback| callback.path == request.path.trim_matches('/'));
        let Some(callback) = at_path().find(|callback| callback.method.as_str() == request.method) else {
            let why =
                if at_path().next().is_some() { RefusedBecause::WrongMethod } else { RefusedBecause::UnknownPath };
            return Err(refusal(why, CallbackAnswer::bare(why.status())));
        };
        self.read_proved(carrier, callback, request, secrets)
            .map_err(|why| refusal(why, self.answer(callback.refused.as_ref(), why.status(), Content::None, "")))
    }

    fn read_proved(
        &self,
        carrier: &CarrierName,
        callback: &CallbackReading,
        request: &CallbackRequest<'_>,
        secrets: &HttpSecrets,
    ) -> Result<Callback, RefusedBecause> {
        if request.body.len() > BODY_BYTES_MAX || request.query.len() > BODY_BYTES_MAX {
            return Err(RefusedBecause::TooLong);
        }
        // Everybody else is refused before anything of the body is looked at.
        for proof in &callback.proofs {
            proof.check(request, secrets)?;
        }
        let content = callback.places.content;
        // A form may come in the query of a GET.
        let in_query = content == Content::Form && request.body.is_empty();
        let bytes = if in_query { request.query.as_bytes() } else { request.body };
        let text = decoded(content, bytes).map_err(|_| RefusedBecause::Unreadable)?;
        let body = Body::parse(content, &text).map_err(|_| RefusedBecause::Unreadable)?;
        let message = Message { content, text: &text, body: &body };
        for proof in &callback.proofs {
            match proof {
                Proof::Signature { signature, at } => self.check_signature(signature, at, request, secrets, message)?,
                Proof::Field { at, secrets: names } => {
                    let given = body.first(at).map_err(|_| RefusedBecause::Unreadable)?;
                    let holds =
                        given.is_some_and(|given| is_one_of(secrets, names, |secret| same_secret(secret, &given)));
                    holds.then_some(()).ok_or(RefusedBecause::Credential)?;
                }
                _ => {}
            }
        }
        let notice = self.notice(carrier, callback, message)?;
        let answer = self.answer(Some(&callback.accepted), callback.accepted.status, content, &text);
        let words = transcript::of_body(text.as_bytes(), |body| secrets.without(body));
        Ok(Callback { notices: vec![Notice { words, ..notice }], answer })
    }

    fn check_signature(
        &self,
        signature: &Signature,
        at: &SignatureAt,
        request: &CallbackRequest<'_>,
        secrets: &HttpSecrets,
        message: Message<'_>,
    ) -> Result<(), RefusedBecause> {
        let wrong = RefusedBecause::Signature;
        let given = match at {
            SignatureAt::Header(name) => request.header(name.as_str()).map(str::to_owned),
            SignatureAt::Query(name) => fields_of(request.query).remove(name),
            SignatureAt::Body(place) => message.body.find(place).map_err(|_| wrong)?.map(Cow::into_owned),
        };
        let given = given.ok_or(wrong)?;
        let values = self.signed_values(request, secrets, message);
        let expected = signature.sign(&self.templates, &values, secrets).map_err(|_| wrong)?;
        if signature.is(&expected, given.trim()) { Ok(()) } else { Err(wrong) }
    }

    fn signed_values(&self, request: &CallbackRequest<'_>, secrets: &HttpSecrets, message: Message<'_>) -> Value {
        let headers = request.headers.iter();
        let headers = headers.map(|(name, _)| (name.clone(), request.header(name).unwrap_or_default().into()));
        let query = fields_of(request.query).into_iter().map(|(name, value)| (name, Value::from(value)));
        let fields = Fields { content: message.content, text: message.text.to_owned() };
        Value::from(BTreeMap::from([
            ("fields", Value::from_object(fields)),
            ("headers", Value::from(headers.collect::<BTreeMap<String, Value>>())),
            ("query", Value::from(query.collect::<BTreeMap<String, Value>>())),
            // As it came, byte for byte: over a body that is no UTF-8 there is no signature.
            ("body", Value::from(std::str::from_utf8(request.body).unwrap_or_default())),
            ("method", Value::from(request.method)),
            ("path", Value::from(request.path)),
            ("constants", self.constants.clone()),
            ("secrets", secrets.as_variables()),
        ]))
    }

    fn notice(
        &self,
        carrier: &CarrierName,
        callback: &CallbackReading,
        message: Message<'_>,
    ) -> Result<Notice, RefusedBecause> {
        let body = message.body;
        let unreadable = |_| RefusedBecause::Unreadable;
        let found = callback.places.find(body, Currency::Kzt).map_err(unreadable)?;
        let place = |places: &[Place]| body.first(places).map(|found| found.map(Cow::into_owned)).map_err(unreadable);
        let wire_reference = place(&callback.reference)?.filter(|text| is_an_id(text));
        let ours = wire_reference.as_deref().map(|text| self.wire_references.read(text));
        let about = match (ours, &found.carrier_id) {
            (Some(Some((reference, attempt))), _) => About::Attempt { reference, attempt },
            // A reference that cannot be read back, as in the short forms, is no lie: then the carrier's id tells.
            (_, Some(id)) => About::CarrierId(id.clone()),
            (_, None) => return Err(RefusedBecause::AboutNothing),
        };
        let event_id = place(&callback.event_id)?;
        let said = [
            event_id.as_deref(),
            wire_reference.as_deref(),
            found.carrier_id.as_deref(),
            found.result.as_deref(),
            found.amount.map(|amount| amount.to_string()).as_deref(),
        ]
        .map(|part| part.unwrap_or_default().to_owned());
        let finding = callback.finding(&found);
        let id = name_of(&callback.path, &said);
        Ok(Notice { carrier: carrier.clone(), id, about, finding, words: String::new() })
    }

    /// What is answered; where the template fails on this callback, its status alone.
    fn answer(&self, template: Option<&AnswerTemplate>, status: u16, content: Content, text: &str) -> CallbackAnswer {
        let Some(template) = template else { return CallbackAnswer::bare(status) };
        let fields = Value::from_object(Fields { content, text: text.to_owned() });
        let values = Value::from(BTreeMap::from([("fields", fields), ("constants", self.constants.clone())]));
        let body = template.body.as_ref().and_then(|body| self.templates.render(body, &values).ok());
        let body = body.map(|body| body.into_owned().into_bytes()).unwrap_or_default();
        let content_type = Some(template.content_type.clone()).filter(|_| !body.is_empty());
        CallbackAnswer { status: template.status, content_type, body }
    }
}

impl CallbackReading {
    /// What it says; `None` where no row lists it or it cannot be believed: then it is time to ask.
    fn finding(&self, found: &Found) -> Option<Finding> {
        let (_, row) = choose(&self.rows, StatusCode::OK, Some(found))?;
        if row.means.is_positive() && found.bad_amount.is_some() {
            return None;
        }
        let result = shortened(found.result.as_deref().unwrap_or_default());
        let detail = if found.detail.is_empty() { result } else { format!("{result}: {}", found.detail) };
        let id = found.carrier_id.clone();
        Some(finding_of(Operation::Status, row.means, id, found.amount, detail))
            .filter(|said| *said != Finding::Nothing)
    }
}

impl Proof {
    /// Whether it holds. What stands in the body, and a signature over it, is checked once the body is read.
    fn check(&self, request: &CallbackRequest<'_>, secrets: &HttpSecrets) -> Result<(), RefusedBecause> {
        let holds = match self {
            Proof::Sources(networks) => {
                let within = networks.iter().any(|network| network.contains(request.peer));
                return if within { Ok(()) } else { Err(RefusedBecause::Source) };
            }
            Proof::Bearer(names) => {
                let token = request.header("authorization").and_then(|value| after_scheme(value, "bearer"));
                token.is_some_and(|token| is_one_of(secrets, names, |secret| same_secret(secret, token)))
            }
            Proof::Basic { user, passwords } => {
                let given = request.header("authorization").and_then(|value| after_scheme(value, "basic"));
                let given = given.and_then(|given| BASE64.decode(given.as_bytes()).ok());
                let given = given.and_then(|given| String::from_utf8(given).ok());
                let is_right = |given: &str, password: &str| same_secret(&format!("{user}:{password}"), given);
                given.is_some_and(|given| is_one_of(secrets, passwords, |password| is_right(&given, password)))
            }
            Proof::Header { name, secrets: names } => request
                .header(name.as_str())
                .is_some_and(|given| is_one_of(secrets, names, |secret| same_secret(secret, given.trim()))),
            Proof::Field { .. } | Proof::Signature { .. } => true,
        };
        if holds { Ok(()) } else { Err(RefusedBecause::Credential) }
    }
}

/// Whether one of these secrets fits. All are compared: which one it was shows in no time.
fn is_one_of(secrets: &HttpSecrets, names: &[String], fits: impl Fn(&str) -> bool) -> bool {
    let known = names.iter().filter_map(|name| secrets.get(name)).filter(|secret| !secret.is_empty());
    known.map(fits).fold(false, |any, fits| any | fits)
}

fn after_scheme<'v>(value: &'v str, scheme: &str) -> Option<&'v str> {
    let (given, rest) = value.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

fn fields_of(query: &str) -> BTreeMap<String, String> {
    form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// Names a callback by what it says, so that a repeat is the same piece of evidence.
fn name_of(path: &str, parts: &[String]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    format!("{path}:{}", HEXLOWER.encode(&hash.finalize()[..16]))
}

/// `fields["/a/b"]`: what stands at a place of a callback, written as everywhere in the profile.
#[derive(Debug)]
pub(super) struct Fields {
    pub(super) content: Content,
    pub(super) text: String,
}

impl Object for Fields {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let place = Place::parse(self.content, key.as_str()?).ok()?;
        let body = Body::parse(self.content, &self.text).ok()?;
        let found = body.find(&place).ok()?;
        // What is absent is an empty text: carriers sign empty fields too.
        Some(found.map_or_else(|| Value::from(""), |found| Value::from(found.as_ref())))
    }
}
