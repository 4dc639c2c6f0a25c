//! From the tables of a file to a profile that can be used, noting everything that is wrong on the way.

mod callback;
mod reply;
mod request;

use std::collections::{BTreeMap, BTreeSet};

use minijinja::Value;

use super::{
    Operation, Overrides, Profile,
    body::Place,
    document::{Authentication, Content, Document, OneOrMany, OperationSection, RowSection, SecondIdSection},
    facts::FactReading,
    problem::Problems,
    profile::{Compiled, HttpContract},
    template::{Escape, Template, Templates},
    wire_reference::WireReferences,
};
use crate::charge::{CarrierName, Contract};

/// Rows, fields, headers, echoes: so many of each.
const ENTRIES_MAX: usize = 500;
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
        let mut profile = Profile {
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
        profile.contract.attempt.queries_by_carrier_id = profile.wants_carrier_id(Operation::Status);
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
        check(
            (1_000..=Contract::IN_FLIGHT_DELAY_MS_MAX).contains(&section.in_flight_delay_ms),
            "in_flight_delay_ms",
            "1000 to 21600000, six hours: restarts could keep a doubt open for ever",
        );
        check(
            section.in_flight_delay_ms >= section.timeout_ms,
            "in_flight_delay_ms",
            "at least timeout_ms: what is waited for is in flight still",
        );
        check(
            !two_step || document.status.is_some(),
            "two_step",
            "there is no `status`: a lost confirmation could never be asked about",
        );
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
                // Known once its templates have been tried.
                queries_by_carrier_id: false,
                queries_refunds: document.refund_status.is_some(),
                can_refund: document.refund.is_some(),
                refund_message: None,
                replays_keys: section.replays_keys,
                reservation_ms: section.reservation_ms.filter(|_| two_step),
                fee: None,
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
        let facts = self.facts(operation, section);
        let (carrier, carriers) = self.carriers(operation, section);
        let has_completeness = matches!(operation, Operation::Status | Operation::RefundStatus);
        let fine = has_completeness || !section.not_found_is_complete;
        let key = format!("{key}.not_found_is_complete");
        self.problems.check(fine, &key, "only `status` and `refund_status` can say that something is not there");
        Some(Compiled { request: request?, reply, facts, carrier, carriers })
    }

    fn facts(&mut self, operation: Operation, section: &OperationSection) -> Vec<FactReading> {
        let mut facts = Vec::new();
        for (name, fact) in &section.facts {
            let key = format!("{operation}.facts.{}", name.code());
            let says_something = !fact.yes.is_empty() || !fact.no.is_empty() || fact.positive.is_some();
            let says_something = says_something || fact.present.is_some() || fact.absent.is_some();
            self.problems.check(says_something, &key, "say what means what: yes, no, positive, present or absent");
            let contradicts = fact.yes.iter().any(|value| fact.no.contains(value));
            self.problems.check(!contradicts, &key, "a value is under both yes and no");
            facts.push(FactReading {
                name: *name,
                at: self.places(&format!("{key}.at"), section.reply.content, Some(&fact.at)),
                yes: fact.yes.clone(),
                no: fact.no.clone(),
                positive: fact.positive,
                present: fact.present,
                absent: fact.absent,
            });
        }
        let is_subscriber = operation == Operation::Subscriber;
        let what =
            if is_subscriber { "say what at least one fact is read from" } else { "only `subscriber` has facts" };
        self.problems.check(facts.is_empty() != is_subscriber, &format!("{operation}.facts"), what);
        facts
    }

    fn carriers(
        &mut self,
        operation: Operation,
        section: &OperationSection,
    ) -> (Vec<Place>, BTreeMap<String, CarrierName>) {
        let key = format!("{operation}.carrier");
        let places = self.places(&key, section.reply.content, section.carrier.as_ref());
        if operation == Operation::Portability {
            let fine = !places.is_empty() && !section.carriers.is_empty();
            let what = "say where the carrier's name stands, and in `carriers` which of ours each name is";
            self.problems.check(fine, &key, what);
        } else {
            let fine = places.is_empty() && section.carriers.is_empty();
            self.problems.check(fine, &key, "only `portability` has `carrier` and `carriers`");
        }
        let mut carriers = BTreeMap::new();
        for (theirs, ours) in &section.carriers {
            let name = self.problems.noted(&format!("{key}s.{theirs}"), ours.parse::<CarrierName>());
            name.map(|name| carriers.insert(theirs.clone(), name));
        }
        (places, carriers)
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
}

/// Scheme, host and perhaps a path; what a template is added to.
fn is_base_url(text: &str) -> bool {
    let known = text.starts_with("https://") || text.starts_with("http://");
    let url =
        url::Url::parse(text).ok().filter(|url| url.has_host() && url.query().is_none() && url.fragment().is_none());
    known && url.is_some_and(|url| url.username().is_empty() && url.password().is_none())
}
