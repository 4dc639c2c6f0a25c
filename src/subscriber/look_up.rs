use std::{fmt, sync::Arc, time::Instant};

use tracing::debug;

use super::{Asking, AskingSettings, Silence};
use crate::{charge::CarrierName, msisdn::Msisdn};

/// Somebody who can be asked which carrier a number belongs to.
#[derive(Clone, Debug)]
pub struct LookUp {
    /// Its name, in metrics and logs.
    pub name: Arc<str>,
    /// How it may be asked.
    pub asking: AskingSettings,
    /// What it is.
    pub kind: LookUpKind,
}

/// What a look-up is.
#[derive(Clone)]
pub enum LookUpKind {
    /// A closure stands in, for tests of what is around a look-up.
    #[cfg(test)]
    Probe(Arc<dyn Fn(Msisdn) -> ProbeAnswer + Send + Sync>),
}

/// What a probe answers.
#[cfg(test)]
pub(crate) type ProbeAnswer = std::pin::Pin<Box<dyn Future<Output = Found> + Send>>;

/// Whose subscriber a number is; `None` if the look-up does not know. Errors: what happened, for people.
pub(crate) type Found = Result<Option<CarrierName>, String>;

/// A look-up with what watches over it.
#[derive(Debug)]
pub(super) struct AskedLookUp {
    kind: LookUpKind,
    asking: Asking<Option<CarrierName>>,
}

impl LookUpKind {
    async fn ask(&self, msisdn: Msisdn) -> Found {
        match *self {
            #[cfg(test)]
            LookUpKind::Probe(ref probe) => probe(msisdn).await,
        }
    }
}

impl AskedLookUp {
    pub(super) fn new(look_up: LookUp, budget: std::time::Duration) -> AskedLookUp {
        let LookUp { name, asking, kind } = look_up;
        AskedLookUp { kind, asking: Asking::new(name, asking.config(budget)) }
    }

    /// Whose subscriber the number is, if that is said before `until`.
    pub(super) async fn ask(&self, msisdn: Msisdn, until: Instant) -> Result<Option<CarrierName>, Silence> {
        let question = || {
            let kind = self.kind.clone();
            async move { kind.ask(msisdn).await }
        };
        let found = self.asking.begin(msisdn, question)?.answer(until).await;
        debug!(msisdn = msisdn.masked(), ?found, "a look-up of a number's carrier");
        found
    }
}

impl fmt::Debug for LookUpKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            #[cfg(test)]
            LookUpKind::Probe(_) => f.write_str("Probe"),
        }
    }
}
