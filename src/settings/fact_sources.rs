//! What those are reached with who can be asked about subscribers.

use super::{carrier_secrets, draft::Draft};
use crate::{
    carrier::{CamaraProfile, CamaraSecrets, HttpMaterials, HttpProfile, http::Operation},
    charge::CarrierName,
    subscriber::{AskingSettings, FactSourceSettings, LookUpSettings, SimSwapBy},
};

/// A source of `[facts.sources]`, with what its files hold.
#[derive(Debug)]
pub struct SourceMaterials {
    /// Its name.
    pub name: String,
    /// Whose subscribers it knows.
    pub carrier: CarrierName,
    /// How it may be asked.
    pub asking: AskingSettings,
    /// Which operation of SIM Swap is asked.
    pub sim_swap: SimSwapBy,
    /// How it is reached.
    pub interface: SourceInterface,
}

/// How a source is reached.
#[derive(Debug)]
pub enum SourceInterface {
    /// By the interface over which its carrier charges.
    OfCarrier,
    /// CAMARA.
    Camara(Box<(CamaraProfile, CamaraSecrets)>),
    /// A profile.
    Http(Box<(HttpProfile, HttpMaterials)>),
}

/// The look-up of `[facts.look_up]`, with what its files hold.
#[derive(Debug)]
pub struct LookUpMaterials {
    /// How it may be asked.
    pub asking: AskingSettings,
    /// Its section.
    pub section: HttpProfile,
    /// Its profile, and the secrets that it names.
    pub materials: HttpMaterials,
}

/// Reads what belongs to the sources, and notes in `draft` what is wrong with it.
pub(super) fn read(draft: &mut Draft) -> (Vec<SourceMaterials>, Option<LookUpMaterials>) {
    let facts = draft.settings.facts.clone();
    let sources = facts.sources.iter().filter_map(|(name, source)| source_of(draft, name, source, &facts.asking));
    let sources = sources.collect();
    let look_up = facts.look_up.as_ref().and_then(|look_up| look_up_of(draft, look_up, &facts.asking));
    (sources, look_up)
}

fn source_of(
    draft: &mut Draft,
    name: &str,
    source: &FactSourceSettings,
    default: &AskingSettings,
) -> Option<SourceMaterials> {
    let key = format!("facts.sources.{name}");
    let FactSourceSettings { carrier, asking, sim_swap, camara, http } = source;
    if name.parse::<CarrierName>().is_err() {
        draft.problem(key.as_str(), "a source's name has 1 to 32 small letters, digits, '-' or '_'");
    }
    let Some(own) = draft.settings.carriers.get(carrier) else {
        draft.problem(format!("{key}.carrier"), format!("no carrier has the name {:?}", carrier.as_str()));
        return None;
    };
    let interface = match (camara, http) {
        (Some(camara), _) => {
            let profile = camara.profile()?;
            let mut secrets = CamaraSecrets::default();
            carrier_secrets::of_camara(draft, &format!("{key}.camara"), &profile, &mut secrets);
            SourceInterface::Camara(Box::new((profile, secrets)))
        }
        (None, Some(section)) => {
            let materials = carrier_secrets::of_profile(draft, &format!("{key}.http"), section)?;
            offers(draft, &format!("{key}.http"), &materials, Operation::Subscriber);
            SourceInterface::Http(Box::new((section.clone(), materials)))
        }
        (None, None) => {
            if own.camara.is_none() && own.http.is_none() {
                draft.problem(
                    key.as_str(),
                    "its carrier charges by SMPP, which answers no questions; add camara or http",
                );
            }
            SourceInterface::OfCarrier
        }
    };
    let (carrier, asking) = (carrier.clone(), asking.as_ref().unwrap_or(default).clone());
    Some(SourceMaterials { name: name.to_owned(), carrier, asking, sim_swap: *sim_swap, interface })
}

fn look_up_of(draft: &mut Draft, look_up: &LookUpSettings, default: &AskingSettings) -> Option<LookUpMaterials> {
    const KEY: &str = "facts.look_up.http";
    let materials = carrier_secrets::of_profile(draft, KEY, &look_up.http)?;
    offers(draft, KEY, &materials, Operation::Portability);
    let asking = look_up.asking.as_ref().unwrap_or(default).clone();
    Some(LookUpMaterials { asking, section: look_up.http.clone(), materials })
}

fn offers(draft: &mut Draft, key: &str, materials: &HttpMaterials, wanted: Operation) {
    if materials.profile.operations().all(|operation| operation != wanted) {
        draft.problem(format!("{key}.profile"), format!("the profile has no [{}]", wanted.code()));
    }
}
