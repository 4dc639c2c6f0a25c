use std::sync::Arc;

use jiff::tz::TimeZone;
use tokio::sync::mpsc;

use super::{
    CamaraCarrier, CamaraSecrets, Carrier, CarrierConfig, CarrierEvent, LinkSecrets, SetupError, SmppCarrier, Standing,
};
use crate::charge::CarrierName;

/// What the files of one carrier hold.
#[derive(Clone, Debug, Default)]
pub struct CarrierSecrets {
    /// For its SMSC.
    pub links: LinkSecrets,
    /// For CAMARA.
    pub camara: CamaraSecrets,
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
        if config.charges_by_smpp() {
            let (carrier, events) = SmppCarrier::open(name, config, &secrets.links)?;
            return Ok((Carrier::Smpp(carrier), events));
        }
        let wrong = |problem: String| SetupError::Config { carrier: name.clone(), problem };
        let zone = config.zone().map_err(wrong)?;
        let Some(camara) = config.camara.clone() else {
            return Err(wrong("it charges in no way; it needs a section smpp, camara or http".into()));
        };
        let charging = CamaraCarrier::open(name.clone(), config.currency, camara, &secrets.camara)?;
        let (texts, events) = match &config.smpp {
            Some(_) => {
                let (texts, events) = SmppCarrier::open(name.clone(), config.clone(), &secrets.links)?;
                (Some(texts), events)
            }
            None => (None, mpsc::channel(1).1),
        };
        let around = Arc::new(Around { name, config, zone, texts });
        Ok((Carrier::Camara(OverHttp { charging, around }), events))
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
        }
        match self.texts() {
            Some(texts) => texts.reload(config, &secrets.links),
            None => Ok(()),
        }
    }
}
