//! A profile, read and checked whole: every template is tried on a sample, every table on what its operation may say.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::Value;

use super::{
    Operation, ProfileError,
    body::Place,
    callback::CallbackReading,
    document::{Authentication, Document},
    facts::FactReading,
    problem::Problems,
    reply::Reply,
    request::RequestTemplate,
    template::{Template, Templates},
    wire_reference::WireReferences,
};
use crate::{
    carrier::{BreakerProfile, web::ClientAuthentication},
    charge::{CarrierName, Contract, Refund},
};

/// How one carrier's private HTTP interface is spoken: values in, requests out; answers in, findings out. No I/O.
#[derive(Clone, Debug)]
pub struct Profile {
    pub(super) contract: HttpContract,
    pub(super) templates: Templates,
    pub(super) description: Template,
    pub(super) constants: Value,
    pub(super) secrets: BTreeSet<String>,
    pub(super) has_second_id: bool,
    pub(super) authentication: Option<Authentication>,
    pub(super) wire_references: WireReferences,
    pub(super) operations: BTreeMap<Operation, Compiled>,
    pub(super) callbacks: Vec<CallbackReading>,
}

/// What the configuration may put in the place of what the profile says.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// In the place of `base_url`.
    pub base_url: Option<String>,
    /// In the place of that, for single operations whose URL is only a path.
    pub base_urls: BTreeMap<Operation, String>,
    /// Over `[constants]`, by name.
    pub constants: BTreeMap<String, String>,
}

/// What the contract with the carrier says about requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpContract {
    /// What is copied into each attempt.
    pub attempt: Contract,
    /// Whether a charge is held first and confirmed then.
    pub two_step: bool,
    /// How long a connection may take, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long a whole request may take, in milliseconds.
    pub timeout_ms: u64,
    /// Requests a second.
    pub tps: u32,
    /// Requests at once.
    pub concurrency: u16,
    /// When a carrier that answers nothing is left alone for a while.
    pub breaker: BreakerProfile,
}

/// OAuth 2.0 client credentials, as the profile has them (RFC 6749, 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oauth2<'a> {
    /// Where a token is asked for.
    pub token_url: &'a str,
    /// Our name there.
    pub client_id: &'a str,
    /// The name of the secret that goes with it.
    pub client_secret: &'a str,
    /// What the token is for.
    pub scope: Option<&'a str>,
    /// How the secret is shown.
    pub authentication: ClientAuthentication,
}

/// One operation, compiled.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    pub(super) request: RequestTemplate,
    pub(super) reply: Reply,
    pub(super) facts: Vec<FactReading>,
    pub(super) carrier: Vec<Place>,
    pub(super) carriers: BTreeMap<String, CarrierName>,
}

impl Profile {
    /// Reads and checks `text`, the content of the file called `file`.
    ///
    /// Errors: everything that is wrong with it, each with line and key.
    pub fn parse(file: &str, text: &str, overrides: &Overrides) -> Result<Profile, ProfileError> {
        let mut problems = Problems::new(file, text);
        let document: Document = match toml::from_str(text) {
            Ok(document) => document,
            Err(error) => return Err(problems.unreadable(&error)),
        };
        let profile = Profile::compile(&document, overrides, &mut problems);
        problems.into_result()?;
        let Some(profile) = profile else { return Err(ProfileError(Vec::new())) };
        Ok(profile)
    }

    /// What the contract says.
    pub fn contract(&self) -> &HttpContract {
        &self.contract
    }

    /// The operations that it has.
    pub fn operations(&self) -> impl Iterator<Item = Operation> {
        self.operations.keys().copied()
    }

    /// Whether it has this operation.
    pub fn offers(&self, operation: Operation) -> bool {
        self.operations.contains_key(&operation)
    }

    /// Whether it can charge, in one step or two.
    pub fn charges(&self) -> bool {
        self.offers(Operation::Charge) || self.offers(Operation::Reserve)
    }

    /// The request that a charge begins with.
    pub fn first_step(&self) -> Operation {
        if self.contract.two_step { Operation::Reserve } else { Operation::Charge }
    }

    /// The names of the secrets that it uses.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(String::as_str)
    }

    /// How the carrier is given our references.
    pub fn wire_references(&self) -> &WireReferences {
        &self.wire_references
    }

    /// The token that a request needs, where it needs one of OAuth 2.0.
    pub fn oauth2(&self) -> Option<Oauth2<'_>> {
        match self.authentication.as_ref()? {
            Authentication::Oauth2 { token_url, client_id, client_secret, scope, authentication } => Some(Oauth2 {
                token_url,
                client_id,
                client_secret,
                scope: scope.as_deref(),
                authentication: *authentication,
            }),
            _ => None,
        }
    }

    /// Whether every request goes over TLS, or stays on this machine.
    pub fn is_confidential(&self) -> bool {
        let token_url = self.oauth2().map(|oauth2| oauth2.token_url);
        let bases = self.operations.values().map(|operation| operation.request.base.as_str()).chain(token_url);
        bases.into_iter().all(|base| {
            let url = url::Url::parse(base);
            url.is_ok_and(|url| url.scheme() == "https" || is_this_machine(&url))
        })
    }

    /// The paths of its callbacks, below `/carriers/NAME/`.
    pub fn callback_paths(&self) -> impl Iterator<Item = &str> {
        self.callbacks.iter().map(|callback| callback.path.as_str())
    }

    /// What the carrier tells the requests of `refund` by: another for each that it lost.
    pub fn wire_reference_of_refund(&self, refund: &Refund) -> String {
        self.wire_references.write(refund.reference, refund.tries.max(1))
    }

    pub(super) fn operation(&self, operation: Operation) -> Option<&Compiled> {
        self.operations.get(&operation)
    }

    /// Where the carrier tells the outcome of a charge.
    pub(super) fn callback_path(&self) -> Option<&str> {
        self.callbacks.first().map(|callback| callback.path.as_str())
    }
}

fn is_this_machine(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
