//! What a carrier tells us unasked. A callback is the carrier's only if every proof that the profile wants holds; it is about one of our
//! attempts only if it names our reference or the carrier's id; and the same one again gives evidence with the same id (M9).

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use data_encoding::{BASE64, HEXLOWER};
use minijinja::{Value, value::Object};
use reqwest::{
    Method,
    header::{AUTHORIZATION, HeaderMap, HeaderName},
};
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use super::{
    HttpSecrets, Network, Operation, Profile,
    body::{BODY_BYTES_MAX, Body, Place, decoded},
    document::{About, Content},
    reply::{Places, finding_of, is_an_id},
    signature::{Signature, same_secret},
    template::Template,
};
use crate::{
    charge::{Finding, Reference},
    money::Currency,
    msisdn::Msisdn,
};

/// A request of a carrier, as it came.
#[derive(Clone, Copy, Debug)]
pub struct CallbackParts<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path below `/carriers/NAME/`, as it was sent.
    pub path: &'a str,
    /// What stood after the question mark, as it was sent.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: &'a [u8],
    /// From where it came.
    pub source: IpAddr,
}

/// What a callback says, once it is believed to be the carrier's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Names it: the same callback again has the same id.
    pub id: String,
    /// What it is about.
    pub about: About,
    /// The charge (or refund) and the number of the attempt, where it echoes our wire reference and that can be read back.
    pub reference: Option<(Reference, u16)>,
    /// The reference as it stood there.
    pub wire_reference: Option<String>,
    /// The carrier's own id.
    pub carrier_id: Option<String>,
    /// The number that it names: it must be the charge's.
    pub msisdn: Option<Msisdn>,
    /// What it says. [`Finding::Nothing`] for a result that no row lists.
    pub finding: Finding,
    /// What the carrier is answered once this is durable.
    pub answer: CallbackAnswer,
}

/// What a carrier is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The content type of the body.
    pub content_type: String,
    /// The body.
    pub body: String,
}

/// A callback that is not taken: nothing of it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackRefusal {
    /// Why, for the log and the metrics.
    pub why: RefusedBecause,
    /// What the sender is answered.
    pub answer: CallbackAnswer,
}

/// Why a callback is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RefusedBecause {
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
    /// The stable code, as in logs and metrics.
    pub const fn code(self) -> &'static str {
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
pub(super) struct Callback {
    pub(super) key: String,
    pub(super) path: String,
    pub(super) method: Method,
    pub(super) about: About,
    pub(super) proofs: Vec<Proof>,
    pub(super) places: Places,
    pub(super) reference: Vec<Place>,
    pub(super) msisdn: Vec<Place>,
    pub(super) event_id: Vec<Place>,
    pub(super) rows: Vec<super::reply::Row>,
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

impl Profile {
    /// What a callback says. Nothing is durable yet: the answer is sent once the evidence is.
    ///
    /// Errors: it is not the carrier's, or cannot be read; nothing of it counts.
    pub fn read_callback(
        &self,
        parts: &CallbackParts<'_>,
        secrets: &HttpSecrets,
    ) -> Result<Notification, CallbackRefusal> {
        let at_path = || self.callbacks.iter().filter(|callback| callback.path == parts.path.trim_matches('/'));
        let Some(callback) = at_path().find(|callback| callback.method == parts.method) else {
            let why =
                if at_path().next().is_some() { RefusedBecause::WrongMethod } else { RefusedBecause::UnknownPath };
            return Err(CallbackRefusal { why, answer: CallbackAnswer::plain(why.status()) });
        };
        self.read_proved(callback, parts, secrets).map_err(|why| CallbackRefusal {
            why,
            answer: self.answer(callback.refused.as_ref(), why.status(), Content::None, ""),
        })
    }

    fn read_proved(
        &self,
        callback: &Callback,
        parts: &CallbackParts<'_>,
        secrets: &HttpSecrets,
    ) -> Result<Notification, RefusedBecause> {
        if parts.body.len() > BODY_BYTES_MAX || parts.query.len() > BODY_BYTES_MAX {
            return Err(RefusedBecause::TooLong);
        }
        // A form may come in the query of a GET.
        let content = callback.places.content;
        let in_query = content == Content::Form && parts.body.is_empty();
        let bytes = if in_query { parts.query.as_bytes() } else { parts.body };
        let decoded = decoded(content, bytes);
        // Everybody else is refused before anything of the body is looked at.
        for proof in callback.proofs.iter().filter(|proof| !matches!(proof, Proof::Signature { .. })) {
            proof.check(parts, secrets)?;
        }
        let text = decoded.map_err(|_| RefusedBecause::Unreadable)?;
        let body = Body::parse(content, &text).map_err(|_| RefusedBecause::Unreadable)?;
        for proof in &callback.proofs {
            if let Proof::Signature { signature, at } = proof {
                self.check_signature(signature, at, parts, secrets, (content, &text, &body))?;
            }
        }
        self.notification(callback, (content, &text, &body))
    }

    fn check_signature(
        &self,
        signature: &Signature,
        at: &SignatureAt,
        parts: &CallbackParts<'_>,
        secrets: &HttpSecrets,
        (content, text, body): (Content, &str, &Body<'_>),
    ) -> Result<(), RefusedBecause> {
        let wrong = RefusedBecause::Signature;
        let given = match at {
            SignatureAt::Header(name) => {
                parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
            }
            SignatureAt::Query(name) => fields_of(parts.query).remove(name),
            SignatureAt::Body(place) => body.find(place).map_err(|_| wrong)?.map(std::borrow::Cow::into_owned),
        };
        let given = given.ok_or(wrong)?;
        let values = signed_values(self, parts, secrets, content, text);
        let expected = signature.sign(&self.templates, &values, secrets).map_err(|_| wrong)?;
        if signature.is(&expected, given.trim()) { Ok(()) } else { Err(wrong) }
    }

    fn notification(
        &self,
        callback: &Callback,
        (content, text, body): (Content, &str, &Body<'_>),
    ) -> Result<Notification, RefusedBecause> {
        let unreadable = |_| RefusedBecause::Unreadable;
        let found = callback.places.find(body, Currency::Kzt).map_err(unreadable)?;
        let place = |places: &[Place]| body.first(places).map(|found| found.map(std::borrow::Cow::into_owned));
        let wire_reference = place(&callback.reference).map_err(unreadable)?.filter(|text| is_an_id(text));
        let reference = wire_reference.as_deref().and_then(|text| self.wire_references.read(text));
        let msisdn = match place(&callback.msisdn).map_err(unreadable)? {
            Some(text) => {
                let number = text.strip_prefix("tel:").unwrap_or(&text);
                Some(number.parse().map_err(|_| RefusedBecause::Unreadable)?)
            }
            None => None,
        };
        if wire_reference.is_none() && found.carrier_id.is_none() {
            return Err(RefusedBecause::AboutNothing);
        }
        let row = super::reply::choose(&callback.rows, reqwest::StatusCode::OK, found.result.as_deref(), true);
        let asked = match callback.about {
            About::Charge => Operation::Status,
            About::Refund => Operation::RefundStatus,
        };
        let detail = match (&found.result, found.detail.as_str()) {
            (Some(result), "") => super::reply::shortened(result),
            (result, detail) => format!("{}: {detail}", super::reply::shortened(result.as_deref().unwrap_or_default())),
        };
        let finding = match row {
            Some((_, row)) if !(row.means.is_positive() && found.bad_amount.is_some()) => {
                finding_of(asked, row.means, found.carrier_id.clone(), found.amount, detail)
            }
            _ => Finding::Nothing,
        };
        let event_id = place(&callback.event_id).map_err(unreadable)?;
        let parts = [
            event_id.as_deref(),
            wire_reference.as_deref(),
            found.carrier_id.as_deref(),
            found.result.as_deref(),
            found.amount.map(|amount| amount.to_string()).as_deref(),
        ]
        .map(|part| part.unwrap_or_default().to_owned());
        Ok(Notification {
            id: notification_id(&callback.path, &parts),
            about: callback.about,
            reference,
            wire_reference,
            carrier_id: found.carrier_id,
            msisdn,
            finding,
            answer: self.answer(Some(&callback.accepted), callback.accepted.status, content, text),
        })
    }

    /// What is answered; where the template fails on this callback, its status alone.
    fn answer(&self, template: Option<&AnswerTemplate>, status: u16, content: Content, text: &str) -> CallbackAnswer {
        let Some(template) = template else { return CallbackAnswer::plain(status) };
        let fields = Value::from_object(Fields { content, text: text.to_owned() });
        let values = Value::from(BTreeMap::from([("fields", fields), ("constants", self.constants.clone())]));
        let body = template.body.as_ref().and_then(|body| self.templates.render(body, &values).ok());
        let body = body.map(std::borrow::Cow::into_owned).unwrap_or_default();
        CallbackAnswer { status: template.status, content_type: template.content_type.clone(), body }
    }
}

impl CallbackAnswer {
    /// A status and nothing else.
    pub fn plain(status: u16) -> CallbackAnswer {
        CallbackAnswer { status, content_type: "text/plain".into(), body: String::new() }
    }
}

impl Proof {
    fn check(&self, parts: &CallbackParts<'_>, secrets: &HttpSecrets) -> Result<(), RefusedBecause> {
        let header = |name: &HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let holds = match self {
            Proof::Sources(networks) => {
                let within = networks.iter().any(|network| network.contains(parts.source));
                return if within { Ok(()) } else { Err(RefusedBecause::Source) };
            }
            Proof::Bearer(names) => {
                let token = header(&AUTHORIZATION).and_then(|value| after_scheme(value, "bearer"));
                token.is_some_and(|token| is_one_of(secrets, names, |secret| same_secret(secret, token)))
            }
            Proof::Basic { user, passwords } => {
                let given = header(&AUTHORIZATION).and_then(|value| after_scheme(value, "basic"));
                let given = given.and_then(|given| BASE64.decode(given.as_bytes()).ok());
                let given = given.and_then(|given| String::from_utf8(given).ok());
                let is_right = |given: &str, password: &str| same_secret(&format!("{user}:{password}"), given);
                given.is_some_and(|given| is_one_of(secrets, passwords, |password| is_right(&given, password)))
            }
            Proof::Header { name, secrets: names } => {
                header(name).is_some_and(|given| is_one_of(secrets, names, |secret| same_secret(secret, given.trim())))
            }
            // Checked once the body is read.
            Proof::Signature { .. } => true,
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

fn signed_values(
    profile: &Profile,
    parts: &CallbackParts<'_>,
    secrets: &HttpSecrets,
    content: Content,
    text: &str,
) -> Value {
    let headers = parts.headers.iter();
    let headers = headers.map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap_or_default().into()));
    let query = fields_of(parts.query).into_iter().map(|(name, value)| (name, Value::from(value)));
    Value::from(BTreeMap::from([
        ("fields", Value::from_object(Fields { content, text: text.to_owned() })),
        ("headers", Value::from(headers.collect::<BTreeMap<String, Value>>())),
        ("query", Value::from(query.collect::<BTreeMap<String, Value>>())),
        // As it came, byte for byte: a body that is no UTF-8 has no signature over text.
        ("body", Value::from(std::str::from_utf8(parts.body).unwrap_or_default())),
        ("method", Value::from(parts.method.as_str())),
        ("path", Value::from(parts.path)),
        ("constants", profile.constants.clone()),
        ("secrets", secrets.as_variables()),
    ]))
}

/// Names a callback by what it says, so that a repeat is the same piece of evidence.
fn notification_id(path: &str, parts: &[String]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    format!("callback:{path}:{}", HEXLOWER.encode(&hash.finalize()[..16]))
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
