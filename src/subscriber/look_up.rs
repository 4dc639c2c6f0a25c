use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::{debug, warn};

use super::{Asking, AskingSettings, Silence};
use crate::{
    carrier::{HttpCarrier, http::PortabilityReading},
    charge::CarrierName,
    msisdn::Msisdn,
};

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
    /// The `portability` request of an HTTP profile.
    Profile(HttpCarrier),
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
    patience: Duration,
    asking: Asking<Option<CarrierName>>,
}

impl LookUpKind {
    async fn ask(&self, msisdn: Msisdn, patience: Duration) -> Found {
        match self {
            LookUpKind::Profile(http) => match http.portability(msisdn, patience).await {
                PortabilityReading::Carrier(carrier) => Ok(Some(carrier)),
                PortabilityReading::NotFound => Ok(None),
                PortabilityReading::Unlisted(name) => {
                    warn!(name, "a look-up names a carrier that its profile does not list");
                    Ok(None)
                }
                PortabilityReading::Unclear(why) => Err(why),
            },
            #[cfg(test)]
            LookUpKind::Probe(probe) => probe(msisdn).await,
        }
    }
}

impl AskedLookUp {
    pub(super) fn new(look_up: LookUp, budget: Duration) -> AskedLookUp {
        let LookUp { name, asking, kind } = look_up;
        let patience = Duration::from_millis(asking.timeout_ms);
        AskedLookUp { kind, patience, asking: Asking::new(name, asking.config(budget)) }
    }

    /// Whose subscriber the number is, if that is said before `until`.
    pub(super) async fn ask(&self, msisdn: Msisdn, until: Instant) -> Result<Option<CarrierName>, Silence> {
        let question = || {
            let (kind, patience) = (self.kind.clone(), self.patience);
            async move { kind.ask(msisdn, patience).await }
        };
        let found = self.asking.begin(msisdn, question)?.answer(until).await;
        debug!(msisdn = msisdn.masked(), ?found, "a look-up of a number's carrier");
        found
    }
}

impl fmt::Debug for LookUpKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LookUpKind::Profile(_) => "Profile",
            #[cfg(test)]
            LookUpKind::Probe(_) => "Probe",
        })
    }
}
