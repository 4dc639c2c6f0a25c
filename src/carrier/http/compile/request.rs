use reqwest::{Method, header::HeaderName};

use super::{CONNECTION_HEADERS, Compiler, ENTRIES_MAX};
use crate::carrier::http::{
    Operation,
    document::{OperationSection, SignaturePlace, SignatureSection},
    request::{BodyTemplate, RequestTemplate},
    signature::Signature,
    template::{Escape, Template},
};

impl Compiler<'_> {
    pub(super) fn request(&mut self, operation: Operation, section: &OperationSection) -> Option<RequestTemplate> {
        let key = operation.code();
        let method = self.method(&format!("{key}.method"), &section.method);
        let url_key = format!("{key}.url");
        let (base, path) = match split_url(self.base_urls.get(&operation).or(self.base_url.as_ref()), &section.url) {
            Ok(parts) => parts,
            Err(what) => {
                self.problems.note(&url_key, what);
                return None;
            }
        };
        let path = self.template(&url_key, Escape::Url, &path);
        let query = self.fields(&format!("{key}.query"), &section.query);
        let mut headers = Vec::new();
        for (name, source) in &section.headers {
            let key = format!("{key}.headers.{name}");
            let template = self.template(&key, Escape::Plain, source);
            let name = self.header(&key, name);
            headers.extend(name.zip(template));
        }
        let bodies = [section.form.is_some(), section.json.is_some(), section.xml.is_some()];
        let bodies = bodies.into_iter().filter(|there| *there).count();
        self.problems.check(bodies <= 1, key, "one body at most: form, json or xml");
        let is_get = method.as_ref().is_some_and(|method| *method == Method::GET);
        self.problems.check(!is_get || bodies == 0, &format!("{key}.method"), "a GET has no body");
        let body = self.body(key, section)?;
        let signature =
            section.signature.as_ref().and_then(|signature| self.request_signature(key, section, signature));
        Some(RequestTemplate {
            key: key.to_owned(),
            method: method?,
            base,
            path: path?,
            query,
            headers,
            body,
            signature,
        })
    }

    pub(super) fn body(&mut self, key: &str, section: &OperationSection) -> Option<BodyTemplate> {
        if let Some(fields) = &section.form {
            return Some(BodyTemplate::Form(self.fields(&format!("{key}.form"), fields)));
        }
        if let Some(source) = &section.json {
            return self.template(&format!("{key}.json"), Escape::Json, source).map(BodyTemplate::Json);
        }
        if let Some(source) = &section.xml {
            return self.template(&format!("{key}.xml"), Escape::Xml, source).map(BodyTemplate::Xml);
        }
        Some(BodyTemplate::None)
    }

    pub(super) fn fields(&mut self, key: &str, fields: &[(String, String)]) -> Vec<(String, Template)> {
        self.problems.check(fields.len() <= ENTRIES_MAX, key, format!("at most {ENTRIES_MAX}"));
        let mut compiled = Vec::new();
        for (n, (name, source)) in fields.iter().enumerate().take(ENTRIES_MAX) {
            let template = self.template(&format!("{key}[{n}]"), Escape::Plain, source);
            compiled.extend(template.map(|template| (name.clone(), template)));
        }
        compiled
    }

    pub(super) fn method(&mut self, key: &str, written: &str) -> Option<Method> {
        let known = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        let method = known.into_iter().find(|method| method.as_str() == written);
        self.problems.check(method.is_some(), key, "GET, POST, PUT, PATCH or DELETE");
        method
    }

    pub(super) fn header(&mut self, key: &str, name: &str) -> Option<HeaderName> {
        let name = self.problems.noted(key, HeaderName::from_bytes(name.as_bytes()))?;
        let ours = !CONNECTION_HEADERS.contains(&name.as_str());
        self.problems.check(ours, key, "this header belongs to the connection");
        ours.then_some(name)
    }

    pub(super) fn request_signature(
        &mut self,
        key: &str,
        section: &OperationSection,
        signature: &SignatureSection,
    ) -> Option<(Signature, SignaturePlace)> {
        let key = format!("{key}.signature");
        let compiled = self.signature(&key, signature);
        self.problems.check(signature.at.is_none(), &format!("{key}.at"), "only a callback's signature has it");
        let into = signature.into.clone();
        self.problems.check(
            into.is_some(),
            &format!("{key}.into"),
            "say where it goes: a field, a query, a header or \"template\"",
        );
        if let Some(SignaturePlace::Field(_)) = into {
            self.problems.check(
                section.form.is_some(),
                &format!("{key}.into"),
                "a field goes into a form, and there is none",
            );
        }
        if let Some(SignaturePlace::Header(name)) = &into {
            self.header(&format!("{key}.into"), name);
        }
        Some((compiled, into?))
    }

    pub(super) fn signature(&mut self, key: &str, section: &SignatureSection) -> Signature {
        let keyed = section.algorithm.is_keyed();
        let fine = keyed == section.secret.is_some();
        self.problems.check(
            fine,
            &format!("{key}.secret"),
            match keyed {
                true => "an HMAC needs the name of its secret",
                false => "a plain digest takes its secret as a part: over = [\"…\", \"{{ secrets.NAME }}\"]",
            },
        );
        if let Some(secret) = &section.secret {
            self.secret(&format!("{key}.secret"), secret);
        }
        // A digest over nothing secret is anybody's.
        let has_secret = keyed || section.over.iter().any(|part| part.contains("secrets."));
        self.problems.check(has_secret, &format!("{key}.over"), "one part must be a secret: \"{{ secrets.NAME }}\"");
        self.problems.check(!section.over.is_empty(), &format!("{key}.over"), "say what it is over");
        let mut over = Vec::new();
        for (n, part) in section.over.iter().enumerate() {
            let key = format!("{key}.over[{n}]");
            let template = self.template(&key, Escape::Plain, part);
            over.extend(template.map(|template| (key, template)));
        }
        Signature::new(section, over)
    }
}

/// The part of a URL that no template touches, and the template after it.
fn split_url(base_url: Option<&String>, url: &str) -> Result<(String, String), String> {
    if url.starts_with('/') {
        let base = base_url.ok_or("it is only a path, and there is no base_url")?;
        return Ok((normalised(base)?, url.to_owned()));
    }
    let after_scheme =
        ["https://", "http://"].into_iter().find_map(|scheme| Some(scheme.len()).filter(|_| url.starts_with(scheme)));
    let after_scheme = after_scheme.ok_or("want a path that begins with '/', or a whole URL: https://host/path")?;
    let path_at = url[after_scheme..].find('/').map_or(url.len(), |at| after_scheme + at);
    let (base, path) = url.split_at(path_at);
    if base.contains("{{") || base.contains("{%") {
        return Err("scheme and host are fixed: a template begins after them".into());
    }
    Ok((normalised(base)?, if path.is_empty() { "/".into() } else { path.to_owned() }))
}

/// As it is written in a request, without the slash at its end.
fn normalised(base: &str) -> Result<String, String> {
    let url = url::Url::parse(base).map_err(|error| error.to_string())?;
    Ok(url.as_str().trim_end_matches('/').to_owned())
}
