//! From the tables of a file to a profile that can be used, noting everything that is wrong on the way.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::Value;
use reqwest::{Method, header::HeaderName};

use super::{
    Meaning, Operation, Overrides, Profile,
    body::Place,
    callback::{AnswerTemplate, CallbackReading, Proof, SignatureAt},
    document::{
        AnswerSection, Authentication, CallbackSection, Content, Document, OneOrMany, OperationSection, ProofSection,
        ReplySection, RowSection, SecondIdSection, SignaturePlace, SignatureSection, StatusSection,
    },
    facts::FactReading,
    problem::Problems,
    profile::{Compiled, HttpContract},
    reply::{Echo, Places, Reply, Row, SecondId, StatusPattern},
    request::{BodyTemplate, RequestTemplate},
    signature::Signature,
    template::{Escape, Template, Templates},
    wire_reference::WireReferences,
};
use crate::charge::{CarrierName, Contract};

/// Rows, fields, headers, echoes: so many of each.
const ENTRIES_MAX: usize = 500;
/// Callbacks that one profile may have.
const CALLBACKS_MAX: usize = 8;
/// Headers that belong to the connection.
const CONNECTION_HEADERS: [&str; 7] =
    ["host", "content-length", "transfer-encoding", "connection", "expect", "upgrade", "te"];
/// What is noted for a purchase whose profile has no `description`.
const DESCRIPTION: &str = "Bus fare, vehicle {{ vehicle }}";

impl Profile {
    /// The profile that `document` describes. What is wrong is noted in `problems`; nothing is used then.
    pub(super) fn compile(document: &Document, overrides: &Overrides, problems: &mut Problems) -> Option<Profile> {
        let mut compiler = Compiler {
            templates: Templates::new(),
            secrets: document.secrets.iter().cloned().collect(),
            base_url: overrides.base_url.clone().or_else(|| document.base_url.clone()),
            base_urls: overrides.base_urls.clone(),
            second_id: document.second_id.clone(),
            rows: document.rows.clone(),
            problems,
        };
        compiler.check_names(document);
        compiler.check_rows(document);
        for (operation, base) in &overrides.base_urls {
            let fine = is_base_url(base) && document.operation(*operation).is_some();
            compiler.problems.check(
                fine,
                &format!("base_urls.{operation}"),
                "want http://host or https://host, of an operation that there is",
            );
        }
        let constants: BTreeMap<String, String> =
            document.constants.clone().into_iter().chain(overrides.constants.clone()).collect();
        let description = document.description.as_deref().unwrap_or(DESCRIPTION);
        let description = compiler.template("description", Escape::Plain, description);
        let mut operations = BTreeMap::new();
        for operation in Operation::ALL {
            if let Some(section) = document.operation(operation) {
                let compiled = compiler.operation(operation, section);
                compiled.map(|compiled| operations.insert(operation, compiled));
            }
        }
        let callbacks = compiler.callbacks(document);
        let contract = compiler.contract(document);
        let wire_references = match WireReferences::new(&document.wire_reference) {
            Ok(references) => Some(references),
            Err((key, what)) => {
                compiler.problems.note(&format!("wire_reference.{key}"), what);
                None
            }
        };
        let Compiler { templates, secrets, problems, .. } = compiler;
        let profile = Profile {
            contract,
            templates,
            description: description?,
            constants: Value::from(
                constants.into_iter().map(|(n, v)| (n, v.into())).collect::<BTreeMap<String, Value>>(),
            ),
            secrets,
            has_second_id: document.second_id.is_some(),
            authentication: document.authentication.clone(),
            wire_references: wire_references?,
            operations,
            callbacks,
        };
        profile.try_out(document, problems);
        Some(profile)
    }
}

struct Compiler<'p> {
    templates: Templates,
    secrets: BTreeSet<String>,
    base_url: Option<String>,
    base_urls: BTreeMap<Operation, String>,
    second_id: Option<SecondIdSection>,
    rows: Vec<RowSection>,
    problems: &'p mut Problems,
}

impl Compiler<'_> {
    fn check_names(&mut self, document: &Document) {
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        for (n, name) in document.secrets.iter().enumerate() {
            self.problems.check(is_name(name), &format!("secrets[{n}]"), "small letters, digits and '_' only");
        }
        for name in document.constants.keys() {
            self.problems.check(is_name(name), &format!("constants.{name}"), "small letters, digits and '_' only");
        }
        if let Some(base) = self.base_url.clone() {
            self.problems.check(
                is_base_url(&base),
                "base_url",
                "want http://host or https://host, perhaps with a path",
            );
        }
        match &document.authentication {
            Some(Authentication::Basic { password, .. }) => self.secret("authentication.password", password),
            Some(Authentication::Bearer { token }) => self.secret("authentication.token", token),
            Some(Authentication::Oauth2 { client_secret, token_url, .. }) => {
                self.secret("authentication.client_secret", client_secret);
                let fine = is_base_url(token_url);
                self.problems.check(fine, "authentication.token_url", "want a whole URL: https://host/path");
            }
            None => {}
        }
        let has = |operation| document.operation(operation).is_some();
        let asks_only = !has(Operation::Charge) && !has(Operation::Reserve);
        let any = Operation::ALL.into_iter().any(has);
        self.problems.check(any, "", "it has no operation: at least `charge`, `subscriber` or `portability`");
        for needs in [Operation::Confirm, Operation::Cancel] {
            let both = has(Operation::Reserve) == has(needs);
            self.problems.check(both, "reserve", "`reserve`, `confirm` and `cancel` go together: all of them, or none");
        }
        for needs in [Operation::Status, Operation::Refund, Operation::Validate] {
            let fine = !(asks_only && has(needs));
            self.problems.check(fine, needs.code(), "it goes with `charge` or `reserve`, and there is neither");
        }
        let fine = !has(Operation::RefundStatus) || has(Operation::Refund);
        self.problems.check(fine, "refund_status", "it goes with `refund`, and there is none");
    }

    fn secret(&mut self, key: &str, name: &str) {
        let known = self.secrets.contains(name);
        self.problems.check(known, key, format!("{name:?} is not in `secrets`"));
    }

    fn contract(&mut self, document: &Document) -> HttpContract {
        let section = &document.contract;
        let (one, two) = (document.charge.is_some(), document.reserve.is_some());
        let two_step = section.two_step.unwrap_or(two && !one);
        let mut check = |fine, key: &str, what: &str| self.problems.check(fine, &format!("contract.{key}"), what);
        check(!(one && two) || section.two_step.is_some(), "two_step", "say it: there are both `charge` and `reserve`");
        check(!two_step || two, "two_step", "there is no `reserve`");
        check(two_step || one || !two, "two_step", "there is no `charge`");
        check(
            !two_step || section.reservation_ms.is_some(),
            "reservation_ms",
            "say how long the carrier holds a reservation",
        );
        check(section.reservation_ms.is_none_or(|ms| ms >= 1_000), "reservation_ms", "at least 1000");
        check((100..=600_000).contains(&section.timeout_ms), "timeout_ms", "100 to 600000");
        check(
            (10..section.timeout_ms).contains(&section.connect_timeout_ms),
            "connect_timeout_ms",
            "at least 10, and less than timeout_ms: or what was not sent would be in doubt",
        );
        check((1..=100_000).contains(&section.tps), "tps", "1 to 100000");
        check((1..=1_000).contains(&section.concurrency), "concurrency", "1 to 1000");
        check(section.in_flight_delay_ms >= 1_000, "in_flight_delay_ms", "at least 1000");
        let query = section.query;
        check(query.is_none() || document.status.is_some(), "query", "there is no `status` to ask with");
        check(
            query.is_none_or(|query| (1..=query.interval_ms_max).contains(&query.first_after_ms)),
            "query",
            "first_after_ms: at least 1, and not more than interval_ms_max",
        );
        check(document.status.is_none() || query.is_some(), "query", "say when `status` is asked for what is in doubt");
        HttpContract {
            attempt: Contract {
                in_flight_delay_ms: section.in_flight_delay_ms,
                queries: query,
                can_refund: document.refund.is_some(),
                replays_keys: section.replays_keys,
                reservation_ms: section.reservation_ms.filter(|_| two_step),
            },
            two_step,
            connect_timeout_ms: section.connect_timeout_ms,
            timeout_ms: section.timeout_ms,
            tps: section.tps,
            concurrency: section.concurrency,
            breaker: section.breaker.clone(),
        }
    }

    fn template(&mut self, key: &str, escape: Escape, source: &str) -> Option<Template> {
        let compiled = self.templates.add(key, escape, source);
        self.problems.noted(key, compiled)
    }

    fn operation(&mut self, operation: Operation, section: &OperationSection) -> Option<Compiled> {
        let key = operation.code();
        let request = self.request(operation, section);
        let reply = self.reply(operation, section);
        let facts = section.facts.iter().map(|(name, fact)| {
            let key = format!("{key}.facts.{}", name.code());
            let says_something = !fact.yes.is_empty() || !fact.no.is_empty() || fact.positive.is_some();
            let says_something = says_something || fact.present.is_some() || fact.absent.is_some();
            self.problems.check(says_something, &key, "say what means what: yes, no, positive, present or absent");
            let contradicts = fact.yes.iter().any(|value| fact.no.contains(value));
            self.problems.check(!contradicts, &key, "a value is under both yes and no");
            FactReading {
                name: *name,
                at: self.places(&format!("{key}.at"), section.reply.content, Some(&fact.at)),
                yes: fact.yes.clone(),
                no: fact.no.clone(),
                positive: fact.positive,
                present: fact.present,
                absent: fact.absent,
            }
        });
        let facts: Vec<FactReading> = facts.collect();
        let is_subscriber = operation == Operation::Subscriber;
        self.problems.check(
            facts.is_empty() != is_subscriber,
            &format!("{key}.facts"),
            match is_subscriber {
                true => "say what at least one fact is read from",
                false => "only `subscriber` has facts",
            },
        );
        let carrier = self.places(&format!("{key}.carrier"), section.reply.content, section.carrier.as_ref());
        let is_portability = operation == Operation::Portability;
        let says_carrier = !carrier.is_empty() && !section.carriers.is_empty();
        let fine = if is_portability { says_carrier } else { carrier.is_empty() && section.carriers.is_empty() };
        self.problems.check(
            fine,
            &format!("{key}.carrier"),
            match is_portability {
                true => "say where the carrier's name stands, and in `carriers` which of ours each name is",
                false => "only `portability` has `carrier` and `carriers`",
            },
        );
        let mut carriers = BTreeMap::new();
        for (theirs, ours) in &section.carriers {
            let name = self.problems.noted(&format!("{key}.carriers.{theirs}"), ours.parse::<CarrierName>());
            name.map(|name| carriers.insert(theirs.clone(), name));
        }
        let has_completeness = matches!(operation, Operation::Status | Operation::RefundStatus);
        let fine = has_completeness || !section.not_found_is_complete;
        let key = format!("{key}.not_found_is_complete");
        self.problems.check(fine, &key, "only `status` and `refund_status` can say that something is not there");
        Some(Compiled { request: request?, reply, facts, carrier, carriers })
    }

    fn request(&mut self, operation: Operation, section: &OperationSection) -> Option<RequestTemplate> {
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

    fn body(&mut self, key: &str, section: &OperationSection) -> Option<BodyTemplate> {
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

    fn fields(&mut self, key: &str, fields: &[(String, String)]) -> Vec<(String, Template)> {
        self.problems.check(fields.len() <= ENTRIES_MAX, key, format!("at most {ENTRIES_MAX}"));
        let mut compiled = Vec::new();
        for (n, (name, source)) in fields.iter().enumerate().take(ENTRIES_MAX) {
            let template = self.template(&format!("{key}[{n}]"), Escape::Plain, source);
            compiled.extend(template.map(|template| (name.clone(), template)));
        }
        compiled
    }

    fn method(&mut self, key: &str, written: &str) -> Option<Method> {
        let known = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        let method = known.into_iter().find(|method| method.as_str() == written);
        self.problems.check(method.is_some(), key, "GET, POST, PUT, PATCH or DELETE");
        method
    }

    fn header(&mut self, key: &str, name: &str) -> Option<HeaderName> {
        let name = self.problems.noted(key, HeaderName::from_bytes(name.as_bytes()))?;
        let ours = !CONNECTION_HEADERS.contains(&name.as_str());
        self.problems.check(ours, key, "this header belongs to the connection");
        ours.then_some(name)
    }

    fn request_signature(
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

    fn signature(&mut self, key: &str, section: &SignatureSection) -> Signature {
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

    fn places(&mut self, key: &str, content: Content, written: Option<&OneOrMany>) -> Vec<Place> {
        let Some(written) = written else { return Vec::new() };
        let several = written.as_slice().len() > 1;
        let mut places = Vec::new();
        for (n, text) in written.as_slice().iter().enumerate() {
            let key = if several { format!("{key}[{n}]") } else { key.to_owned() };
            places.extend(self.problems.noted(&key, Place::parse(content, text)));
        }
        places
    }

    fn second_id(&mut self, content: Content) -> Option<SecondId> {
        let section = self.second_id.clone()?;
        let at = self.places("second_id.at", content, Some(&section.at));
        Some(SecondId { at, after: section.after })
    }

    fn reply_places(&mut self, key: &str, section: &ReplySection) -> Places {
        let content = section.content;
        Places {
            content,
            result: self.places(&format!("{key}.result"), content, section.result.as_ref()),
            qualifier: self.places(&format!("{key}.qualifier"), content, section.qualifier.as_ref()),
            carrier_id: self.places(&format!("{key}.carrier_id"), content, section.carrier_id.as_ref()),
            second_id: if section.carrier_id.is_some() { self.second_id(content) } else { None },
            amount: self.places(&format!("{key}.amount"), content, section.amount.as_ref()),
            amount_unit: section.amount_unit,
            currency: self.places(&format!("{key}.currency"), content, section.currency.as_ref()),
            detail: self.places(&format!("{key}.detail"), content, section.detail.as_ref()),
        }
    }

    fn reply(&mut self, operation: Operation, section: &OperationSection) -> Reply {
        let key = format!("{operation}.reply");
        let places = self.reply_places(&key, &section.reply);
        let mut echoes = Vec::new();
        for (n, echo) in section.reply.echoes.iter().enumerate().take(ENTRIES_MAX) {
            let key = format!("{key}.echoes[{n}]");
            let at = self.problems.noted(&format!("{key}.at"), Place::parse(section.reply.content, &echo.at));
            let equals = self.template(&format!("{key}.equals"), Escape::Plain, &echo.equals);
            echoes.extend(at.zip(equals).map(|(at, equals)| Echo {
                at,
                written: echo.at.clone(),
                equals,
                compare: echo.compare,
                optional: echo.optional,
            }));
        }
        let rows = &section.reply.rows;
        let rows_key = format!("{key}.rows");
        self.problems.check(rows.len() <= ENTRIES_MAX, &rows_key, format!("at most {ENTRIES_MAX}"));
        let mut seen = BTreeSet::new();
        let mut compiled = Vec::new();
        for (n, row) in rows.iter().enumerate().take(ENTRIES_MAX) {
            let key = format!("{rows_key}[{n}]");
            self.meaning(&key, operation.meanings(), operation.code(), row.means);
            compiled.push(self.row(&key, row, Some(&section.reply)));
            for (result, qualifier) in pairs(row) {
                let new = seen.insert((row.status.as_ref().map(|status| format!("{status:?}")), result, qualifier));
                self.problems.check(new, &key, "a row before says what this answer means");
            }
        }
        // Those of the whole profile come after, where they can mean what they say.
        for row in self.rows.clone() {
            let fits_places = (row.result.is_none() || section.reply.result.is_some())
                && (row.qualifier.is_none() || section.reply.qualifier.is_some());
            if fits_places && operation.meanings().contains(&row.means.code()) {
                compiled.push(self.row(&rows_key, &row, Some(&section.reply)));
            }
        }
        self.problems.check(!compiled.is_empty(), &rows_key, "say what at least one answer means");
        let rows = compiled;
        Reply { key, places, echoes, rows, not_found_is_complete: section.not_found_is_complete }
    }

    fn meaning(&mut self, key: &str, allowed: &[&str], whose: &str, means: Meaning) {
        let fine = allowed.contains(&means.code());
        let key = format!("{key}.means");
        self.problems.check(fine, &key, format!("of `{whose}` an answer means one of {}", allowed.join(", ")));
    }

    fn status(&mut self, key: &str, status: &StatusSection) -> Option<StatusPattern> {
        let pattern = match status {
            StatusSection::Exact(status) if (100..600).contains(status) => Some(StatusPattern::Exact(*status)),
            StatusSection::Exact(_) => None,
            StatusSection::Class(text) => {
                let class = text.strip_suffix("xx").and_then(|class| class.parse::<u16>().ok());
                class.filter(|class| (1..=5).contains(class)).map(StatusPattern::Class)
            }
        };
        self.problems.check(
            pattern.is_some(),
            &format!("{key}.status"),
            "a status such as 404, or a class such as \"5xx\"",
        );
        pattern
    }

    /// One row; of the profile's own rows, without the reply that it is meant for.
    fn row(&mut self, key: &str, row: &RowSection, reply: Option<&ReplySection>) -> Row {
        let listed = |values: &Option<OneOrMany>| values.as_ref().map(|v| v.as_slice().to_vec()).unwrap_or_default();
        let (results, qualifiers) = (listed(&row.result), listed(&row.qualifier));
        let status = row.status.as_ref().and_then(|status| self.status(key, status));
        let problems = &mut *self.problems;
        problems.check(row.status.is_some() || !results.is_empty(), key, "want a status, a result, or both");
        let has_result = reply.is_none_or(|reply| reply.result.is_some());
        let fine = results.is_empty() || has_result;
        problems.check(fine, &format!("{key}.result"), "the reply does not say where a result stands");
        let has_qualifier = reply.is_none_or(|reply| reply.qualifier.is_some());
        let fine = qualifiers.is_empty() || (has_qualifier && !results.is_empty());
        problems.check(fine, &format!("{key}.qualifier"), "it goes with a result, and the reply says where it stands");
        let positive = row.means.is_positive();
        let success = match status {
            None => true,
            Some(StatusPattern::Exact(status)) => (200..300).contains(&status),
            Some(StatusPattern::Class(class)) => class == 2,
        };
        let means = row.means;
        problems.check(!positive || success, &format!("{key}.status"), format!("`{means}` needs a success (2xx)"));
        let by_result = !has_result || !results.is_empty();
        problems.check(
            // What is found of a number stands in its own places; money needs a word.
            !positive || by_result || means == Meaning::Found,
            &format!("{key}.result"),
            format!("`{means}` needs a result: the reply says where it stands"),
        );
        let fine = !row.any_body || (results.is_empty() && !positive);
        problems.check(fine, &format!("{key}.any_body"), "only for a row without a result that is no good news");
        Row { status, results, qualifiers, means, any_body: row.any_body }
    }

    /// The rows that are for every operation: checked here once, and that one operation has a use for each.
    fn check_rows(&mut self, document: &Document) {
        for (n, row) in document.rows.iter().enumerate() {
            let key = format!("rows[{n}]");
            self.row(&key, row, None);
            let fits = |operation: &Operation| {
                document.operation(*operation).is_some() && operation.meanings().contains(&row.means.code())
            };
            let used = Operation::ALL.iter().any(fits);
            self.problems.check(used, &format!("{key}.means"), "no operation of this profile can be answered so");
        }
    }

    fn callbacks(&mut self, document: &Document) -> Vec<CallbackReading> {
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

    fn callback(&mut self, key: &str, section: &CallbackSection) -> Option<CallbackReading> {
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
            second_id: None,
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

    fn proofs(&mut self, key: &str, section: &CallbackSection) -> Vec<Proof> {
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

    fn callback_signature(&mut self, key: &str, content: Content, section: &SignatureSection) -> Option<Proof> {
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

    fn answer(&mut self, key: &str, section: &AnswerSection) -> AnswerTemplate {
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

/// Every answer that a row lists: each result with each qualifier.
fn pairs(row: &RowSection) -> Vec<(Option<String>, Option<String>)> {
    let or_none = |values: &Option<OneOrMany>| match values {
        None => vec![None],
        Some(values) => values.as_slice().iter().cloned().map(Some).collect(),
    };
    let qualifiers = or_none(&row.qualifier);
    let with_each =
        |result: Option<String>| qualifiers.iter().map(move |qualifier| (result.clone(), qualifier.clone()));
    or_none(&row.result).into_iter().flat_map(with_each).collect()
}

/// Scheme, host and perhaps a path; what a template is added to.
fn is_base_url(text: &str) -> bool {
    let known = text.starts_with("https://") || text.starts_with("http://");
    let url =
        url::Url::parse(text).ok().filter(|url| url.has_host() && url.query().is_none() && url.fragment().is_none());
    known && url.is_some_and(|url| url.username().is_empty() && url.password().is_none())
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
