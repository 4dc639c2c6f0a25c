//! What several daemons that serve one database divide among them of a carrier: its binds, and with them its rate; or, over HTTP, the rate alone.

use std::collections::BTreeMap;

use super::{BindConfig, Carrier, CarrierConfig, Mode};
use crate::charge::CarrierName;

/// The rate of an HTTP carrier is divided into at most so many parts: it goes up in halves, thirds, quarters and sixths.
const RATE_PARTS_MAX: u32 = 12;

/// Things of one kind, of which each daemon may have some, and no two the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divisible {
    /// The kind. Daemons that are configured alike have it in common, and only those divide.
    pub name: String,
    /// The things, by name.
    pub units: Vec<String>,
}

impl CarrierConfig {
    /// What is to be divided of the carrier `name`.
    pub fn divisible(&self, name: &CarrierName) -> Vec<Divisible> {
        let mut by_mode: BTreeMap<&str, Vec<BindConfig>> = BTreeMap::new();
        for bind in self.smpp.iter().flat_map(|profile| profile.binds()) {
            by_mode.entry(code(bind.mode)).or_default().push(bind);
        }
        let binds = by_mode.into_iter().map(|(mode, binds)| {
            let names: Vec<&str> = binds.iter().map(|bind| bind.name.as_str()).collect();
            let units = names.iter().map(|bind| bind_unit(name, bind)).collect();
            Divisible { name: format!("{name} {mode} {}", names.join(" ")), units }
        });
        let web = self.web_tps().map(|tps| {
            let parts = tps.clamp(1, RATE_PARTS_MAX);
            Divisible { name: format!("{name} rate {parts}"), units: (0..parts).map(|n| rate_unit(name, n)).collect() }
        });
        binds.chain(web).collect()
    }

    /// The contract's rate over HTTP, if it charges over it.
    fn web_tps(&self) -> Option<u32> {
        match (&self.camara, &self.http) {
            (Some(camara), _) => Some(camara.tps),
            (None, Some(http)) => Some(http.tps.unwrap_or(u32::MAX)),
            (None, None) => None,
        }
    }
}

impl Carrier {
    /// Uses from now on what of it is ours, and nothing else. What was ours before is still in use for a while: see
    /// [`Carrier::is_using`].
    pub fn use_only(&self, is_ours: impl Fn(&str) -> bool) {
        let name = self.name();
        if let Some(links) = self.texts() {
            links.set_wanted(|bind| is_ours(&bind_unit(name, bind)));
        }
        let parts = self.config().web_tps().map(|tps| tps.clamp(1, RATE_PARTS_MAX));
        if let (Some(gate), Some(parts)) = (self.gate(), parts) {
            let ours = (0..parts).filter(|n| is_ours(&rate_unit(name, *n))).count();
            gate.set_part(u32::try_from(ours).unwrap_or(parts), parts);
        }
    }

    /// The units by which charges are sent.
    pub fn sending_units(&self) -> Vec<String> {
        let (name, config) = (self.name(), self.config());
        if let Some(tps) = config.web_tps() {
            return (0..tps.clamp(1, RATE_PARTS_MAX)).map(|n| rate_unit(name, n)).collect();
        }
        self.texting_units()
    }

    /// The units by which texts are sent.
    pub fn texting_units(&self) -> Vec<String> {
        let binds = self.config().smpp.iter().flat_map(|profile| profile.binds());
        binds.filter(|bind| bind.mode != Mode::Receiver).map(|bind| bind_unit(self.name(), &bind.name)).collect()
    }

    /// Whether a unit is in use still.
    pub fn is_using(&self, unit: &str) -> bool {
        let standing = self.texts().map(|links| links.binds_in_use());
        standing.into_iter().flatten().any(|bind| bind_unit(self.name(), &bind) == unit)
    }
}

fn bind_unit(carrier: &CarrierName, bind: &str) -> String {
    format!("bind {carrier} {bind}")
}

fn rate_unit(carrier: &CarrierName, part: u32) -> String {
    format!("rate {carrier} {part}")
}

fn code(mode: Mode) -> &'static str {
    match mode {
        Mode::Transceiver => "transceivers",
        Mode::Transmitter => "transmitters",
        Mode::Receiver => "receivers",
    }
}
