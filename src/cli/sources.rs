//! Opens those who can be asked about subscribers.

use std::collections::BTreeMap;

use super::Failure;
use crate::{
    carrier::{CamaraCarrier, Carrier, CarrierSecrets, HttpCarrier, HttpMaterials, HttpProfile, SetupError},
    charge::CarrierName,
    money::Currency,
    settings::{LookUpMaterials, Settings, SourceInterface, SourceMaterials},
    subscriber::{AskingSettings, LookUp, LookUpKind, SimSwapBy, Source, SourceKind},
};

/// The name of the look-up, in metrics and logs.
const LOOK_UP: &str = "portability";

/// Opens the sources of the configuration, and the carriers' own: of each carrier that charges over an interface that also answers
/// questions. Nothing is asked yet. Needs a tokio runtime.
///
/// Errors: a configuration that cannot work, named by its key.
pub(super) fn open(
    settings: &Settings,
    carriers: &[Carrier],
    secrets: &BTreeMap<CarrierName, CarrierSecrets>,
    (configured, look_up): (Vec<SourceMaterials>, Option<LookUpMaterials>),
) -> Result<(Vec<Source>, Option<LookUp>), Failure> {
    let mut sources = Vec::new();
    for carrier in carriers {
        let of_it = |source: &&SourceMaterials| {
            matches!(source.interface, SourceInterface::OfCarrier) && source.carrier == *carrier.name()
        };
        let own = configured.iter().find(of_it);
        let name = own.map_or(carrier.name().as_str(), |own| own.name.as_str());
        let asking = own.map_or(&settings.facts.asking, |own| &own.asking);
        let sim_swap = own.map_or(SimSwapBy::default(), |own| own.sim_swap);
        sources.extend(of_carrier(carrier, secrets.get(carrier.name()), name, (asking, sim_swap))?);
    }
    for source in configured {
        let SourceMaterials { name, carrier, asking, sim_swap, interface } = source;
        let client = client_name(&name)?;
        match interface {
            SourceInterface::OfCarrier => {}
            SourceInterface::Camara(camara) => {
                let (profile, secrets) = *camara;
                let own = carriers.iter().find(|own| *own.name() == carrier);
                let currency = own.map_or(Currency::Kzt, |own| own.config().currency);
                let camara = CamaraCarrier::open(client, currency, profile, &secrets);
                let camara = camara.map_err(failure)?;
                sources.extend(Source::camara(&name, &carrier, &camara, sim_swap, &asking));
            }
            SourceInterface::Http(http) => {
                let (section, materials) = *http;
                let kind = SourceKind::Profile(profile(client, section, materials)?);
                sources.push(Source { name: name.into(), carrier, asking, kind });
            }
        }
    }
    let look_up = match look_up {
        Some(LookUpMaterials { asking, section, materials }) => {
            let kind = LookUpKind::Profile(profile(client_name(LOOK_UP)?, section, materials)?);
            Some(LookUp { name: LOOK_UP.into(), asking, kind })
        }
        None => None,
    };
    Ok((sources, look_up))
}

/// What a carrier answers over the interface over which it charges. A profile is asked through a client of its own: a subscriber
/// request that fails must not keep charges waiting.
fn of_carrier(
    carrier: &Carrier,
    secrets: Option<&CarrierSecrets>,
    name: &str,
    (asking, sim_swap): (&AskingSettings, SimSwapBy),
) -> Result<Vec<Source>, Failure> {
    if let Some(camara) = carrier.camara() {
        return Ok(Source::camara(name, carrier.name(), camara, sim_swap, asking));
    }
    let (Some(section), Some(materials)) = (&carrier.config().http, secrets.and_then(|secrets| secrets.http.as_ref()))
    else {
        return Ok(Vec::new());
    };
    if materials.profile.facts().is_empty() {
        return Ok(Vec::new());
    }
    let kind = SourceKind::Profile(profile(carrier.name().clone(), section.clone(), materials.clone())?);
    Ok(vec![Source { name: name.into(), carrier: carrier.name().clone(), asking: asking.clone(), kind }])
}

fn profile(client: CarrierName, section: HttpProfile, materials: HttpMaterials) -> Result<HttpCarrier, Failure> {
    let HttpMaterials { profile, secrets } = materials;
    HttpCarrier::open(client, section, profile, secrets, jiff::tz::TimeZone::UTC).map_err(failure)
}

/// The name under which a client's requests are counted.
fn client_name(name: &str) -> Result<CarrierName, Failure> {
    name.parse().map_err(|_| Failure::configuration(format!("facts.sources.{name}: this cannot name a source")))
}

fn failure(error: SetupError) -> Failure {
    Failure::configuration(error.to_string())
}
