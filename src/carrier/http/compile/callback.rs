use super::{Compiler, ENTRIES_MAX};
use crate::carrier::http::{
    Operation,
    body::Place,
    callback::{AnswerTemplate, CallbackReading, Proof, SignatureAt},
    document::{AnswerSection, CallbackSection, Content, Document, OneOrMany, ProofSection, SignatureSection},
    reply::{Places, Row},
    template::Escape,
};

/// Callbacks that one profile may have.
const CALLBACKS_MAX: usize = 8;

impl Compiler<'_> {
    pub(super) fn callbacks(&mut self, document: &Document) -> Vec<CallbackReading> {
        self.problems.check(document.callback.len() <= CALLBACKS_MAX, "callback", format!("at most {CALLBACKS_MAX}"));
        let mut callbacks = Vec::new();
        for (n, section) in document.callback.iter().enumerate().take(CALLBACKS_MAX) {
            let key = format!("callback[{n}]");
            let twin = |other: &CallbackSection| other.path == section.path && other.method == section.method;
            let twins = document.callback.iter().take(n).any(twin);
            self.problems.check(!twins, &format!("{key}.path"), "a callback before has this path and method");
            callbacks.extend(self.callback(&key, section));
        }
        callbacks
    }

    pub(super) fn callback(&mut self, key: &str, section: &CallbackSection) -> Option<CallbackReading> {
        let path = section.path.as_str();
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./".contains(&b);
        let fine = !path.is_empty() && path.bytes().all(is_plain) && !path.starts_with('/') && !path.ends_with('/');
        self.problems.check(
            fine,
            &format!("{key}.path"),
            "letters, digits, '-', '_', '.' and '/', which is not first or last",
        );
        let method = self.method(&format!("{key}.method"), &section.method);
        self.problems.check(
            !section.authentication.is_empty(),
            &format!("{key}.authentication"),
            "say what proves that it is the carrier's: anybody can call it",
        );
        let content = section.content;
        // Half of an id is none: what asks by it later could not be written.
        let second_id = if section.carrier_id.is_some() { self.second_id(content) } else { None };
        let mut place =
            |name: &str, written: &Option<OneOrMany>| self.places(&format!("{key}.{name}"), content, written.as_ref());
        let (reference, carrier_id) =
            (place("reference", &section.reference), place("carrier_id", &section.carrier_id));
        let event_id = place("event_id", &section.event_id);
        let places = Places {
            content,
            result: place("result", &section.result),
            amount: place("amount", &section.amount),
            amount_unit: section.amount_unit,
            currency: place("currency", &section.currency),
            detail: place("detail", &section.detail),
            qualifier: Vec::new(),
            second_id,
            carrier_id,
        };
        let about_something = !reference.is_empty() || !places.carrier_id.is_empty();
        self.problems.check(about_something, key, "say where our reference or the carrier's id stands");
        self.problems.check(!places.result.is_empty(), key, "say where the result stands");
        let mut rows = Vec::new();
        for (n, row) in section.rows.iter().enumerate().take(ENTRIES_MAX) {
            let allowed: Vec<&str> = Operation::Status
                .meanings()
                .iter()
                .copied()
                .filter(|code| !matches!(*code, "not_found" | "busy" | "session_fault"))
                .collect();
            self.meaning(&format!("{key}.rows[{n}]"), &allowed, "callback", row.means);
            rows.push(Row {
                status: None,
                results: row.result.as_slice().to_vec(),
                qualifiers: Vec::new(),
                means: row.means,
                any_body: false,
            });
        }
        let proofs = self.proofs(key, section);
        let accepted = section.accepted.as_ref().map(|answer| self.answer(&format!("{key}.accepted"), answer));
        let refused = section.refused.as_ref().map(|answer| self.answer(&format!("{key}.refused"), answer));
        let accepted =
            accepted.unwrap_or_else(|| AnswerTemplate { status: 200, content_type: "text/plain".into(), body: None });
        let success = (200..300).contains(&accepted.status);
        self.problems.check(success, &format!("{key}.accepted.status"), "want a success (2xx)");
        Some(CallbackReading {
            key: key.to_owned(),
            path: path.to_owned(),
            method: method?,
            proofs,
            places,
            reference,
            event_id,
            rows,
            accepted,
            refused,
        })
    }

    pub(super) fn proofs(&mut self, key: &str, section: &CallbackSection) -> Vec<Proof> {
        let mut proofs = Vec::new();
        for (n, proof) in section.authentication.iter().enumerate() {
            let key = format!("{key}.authentication[{n}]");
            let mut known = |names: &OneOrMany| {
                names.as_slice().iter().for_each(|name| self.secret(&key, name));
                names.as_slice().to_vec()
            };
            proofs.extend(match proof {
                ProofSection::Bearer(names) => Some(Proof::Bearer(known(names))),
                ProofSection::Basic { user, password } => {
                    Some(Proof::Basic { user: user.clone(), passwords: known(password) })
                }
                ProofSection::Header { name, secret } => {
                    let secrets = known(secret);
                    self.header(&key, name).map(|name| Proof::Header { name, secrets })
                }
                ProofSection::Field { at, secret } => {
                    let secrets = known(secret);
                    let at = self.places(&format!("{key}.field.at"), section.content, Some(at));
                    Some(Proof::Field { at, secrets })
                }
                ProofSection::Sources(networks) => {
                    self.problems.check(!networks.is_empty(), &key, "say at least one network");
                    Some(Proof::Sources(networks.clone()))
                }
                ProofSection::Signature(signature) => self.callback_signature(&key, section.content, signature),
            });
        }
        proofs
    }

    pub(super) fn callback_signature(
        &mut self,
        key: &str,
        content: Content,
        section: &SignatureSection,
    ) -> Option<Proof> {
        self.problems.check(
            section.into.is_none(),
            &format!("{key}.signature.into"),
            "only a request's signature has it",
        );
        let signature = self.signature(&format!("{key}.signature"), section);
        let at_key = format!("{key}.signature.at");
        let Some(at) = section.at.as_deref() else {
            self.problems.note(&at_key, "say where it stands: header.NAME, query.NAME or a place in the body");
            return None;
        };
        let at = if let Some(name) = at.strip_prefix("header.") {
            self.header(&at_key, name).map(SignatureAt::Header)
        } else if let Some(name) = at.strip_prefix("query.") {
            Some(SignatureAt::Query(name.to_owned()))
        } else {
            self.problems.noted(&at_key, Place::parse(content, at)).map(SignatureAt::Body)
        };
        at.map(|at| Proof::Signature { signature, at })
    }

    pub(super) fn answer(&mut self, key: &str, section: &AnswerSection) -> AnswerTemplate {
        let fine = (200..600).contains(&section.status);
        self.problems.check(fine, &format!("{key}.status"), "200 to 599");
        let content_type = section.content_type.clone().unwrap_or_else(|| "text/plain".into());
        let escape = match content_type.as_str() {
            content_type if content_type.contains("json") => Escape::Json,
            content_type if content_type.contains("xml") => Escape::Xml,
            _ => Escape::Plain,
        };
        let body = section.body.as_deref().and_then(|body| self.template(&format!("{key}.body"), escape, body));
        AnswerTemplate { status: section.status, content_type, body }
    }
}
