use std::sync::Arc;

use jiff::tz::TimeZone;
use tokio::sync::mpsc;

use super::{
    CamaraCarrier, CamaraSecrets, Carrier, CarrierConfig, CarrierEvent, HttpCarrier, HttpSecrets, LinkSecrets,
    SetupError, SmppCarrier, Standing, http, web::Gate,
};
use crate::charge::CarrierName;

/// Whether a carrier that is opened is used at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtStart {
    /// It is.
    Use,
    /// Its binds and its rate may be somebody else's.
    Wait,
}

/// What the files of one carrier hold.
#[derive(Clone, Debug, Default)]
pub struct CarrierSecrets {
    /// For its SMSC.
    pub links: LinkSecrets,
    /// For CAMARA.
    pub camara: CamaraSecrets,
    /// For a profile.
    pub http: Option<HttpMaterials>,
}

/// A profile, and the secrets that it names.
#[derive(Clone, Debug)]
pub struct HttpMaterials {
    /// How the interface is spoken.
    pub profile: http::Profile,
    /// What may not stand in it.
    pub secrets: HttpSecrets,
}

/// A carrier that is charged over HTTP, and whose messages go over SMPP if it has an SMSC at all. Clones share it.
#[derive(Clone, Debug)]
pub struct OverHttp<C> {
    pub(super) charging: C,
    pub(super) around: Arc<Around>,
}

/// What is the same whatever is spoken over HTTP.
#[derive(Debug)]
pub(super) struct Around {
    pub(super) name: CarrierName,
    pub(super) config: CarrierConfig,
    pub(super) zone: TimeZone,
    pub(super) texts: Option<SmppCarrier>,
}

impl<C> OverHttp<C> {
    pub(super) fn standing(&self, charging: Standing) -> Standing {
        charging.with_texts(self.around.texts.as_ref().map(SmppCarrier::standing))
    }
}

impl Carrier {
    /// Opens everything that the carrier is reached by. Its events must be read; one that has no SMSC has none.
    ///
    /// Errors: a configuration that cannot work, named by its key.
    pub fn open(
        name: CarrierName,
        config: CarrierConfig,
        secrets: &CarrierSecrets,
    ) -> Result<(Carrier, mpsc::Receiver<CarrierEvent>), SetupError> {
        Carrier::open_to(AtStart::Use, name, config, secrets)
    }

    /// The same, where other daemons may have what it is reached by: nothing is used before [`Carrier::use_only`].
    pub fn open_to(
        at_start: AtStart,
        name: CarrierName,
        config: CarrierConfig,
        secrets: &CarrierSecrets,
    ) -> Result<(Carrier, mpsc::Receiver<CarrierEvent>), SetupError> {
        if config.charges_by_smpp() {
            let (carrier, events) = SmppCarrier::open(name, config, &secrets.links, at_start)?;
            return Ok((Carrier::Smpp(carrier), events));
        }
        let (texts, events) = match &config.smpp {
            Some(_) => {
                let (texts, events) = SmppCarrier::open(name.clone(), config.clone(), &secrets.links, at_start)?;
                (Some(texts), events)
            }
            None => (None, mpsc::channel(1).1),
        };
        let wrong = |problem: String| SetupError::Config { carrier: name.clone(), problem };
        let zone = config.zone().map_err(wrong)?;
        let (camara, http) = (config.camara.clone(), config.http.clone());
        let around = Arc::new(Around { name: name.clone(), config, zone: zone.clone(), texts });
        let carrier = match (camara, http, &secrets.http) {
            (Some(camara), None, _) => {
                let charging = CamaraCarrier::open(name, around.config.currency, camara, &secrets.camara)?;
                Carrier::Camara(OverHttp { charging, around })
            }
            (None, Some(http), Some(HttpMaterials { profile, secrets })) => {
                let charging = HttpCarrier::open(name, http, profile.clone(), secrets.clone(), zone)?;
                Carrier::Http(OverHttp { charging, around })
            }
            _ => return Err(wrong("it needs one section of smpp, camara and http that says how it charges".into())),
        };
        if at_start == AtStart::Wait {
            carrier.use_only(|_| false);
        }
        Ok((carrier, events))
    }

    /// Puts in force what of a new configuration can be while the carrier is open: rates at once, credentials and certificates from
    /// the next connection on. Everything else needs a restart.
    ///
    /// Errors: what cannot be used, named by its key; it stays as it was.
    pub fn reload(&self, config: &CarrierConfig, secrets: &CarrierSecrets) -> Result<(), SetupError> {
        match self {
            Carrier::Smpp(carrier) => return carrier.reload(config, &secrets.links),
            Carrier::Camara(carrier) => {
                if let Some(profile) = &config.camara {
                    carrier.charging.reload(profile, &secrets.camara)?;
                }
            }
            Carrier::Http(carrier) => {
                if let (Some(section), Some(materials)) = (&config.http, &secrets.http) {
                    carrier.charging.reload(section, materials.secrets.clone())?;
                }
            }
        }
        match self.texts() {
            Some(texts) => texts.reload(config, &secrets.links),
            None => Ok(()),
        }
    }
}

impl Carrier {
    /// Gives the send slots, if it charges over HTTP.
    pub(super) fn gate(&self) -> Option<&Gate> {
        match self {
            Carrier::Smpp(_) => None,
            Carrier::Camara(carrier) => Some(carrier.charging.gate()),
            Carrier::Http(carrier) => Some(carrier.charging.gate()),
        }
    }

    /// The way to its CAMARA interfaces, if it charges over them.
    pub fn camara(&self) -> Option<&CamaraCarrier> {
        match self {
            Carrier::Camara(carrier) => Some(&carrier.charging),
            Carrier::Smpp(_) | Carrier::Http(_) => None,
        }
    }
}
