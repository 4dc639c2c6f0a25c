//! The two simulated carriers, and the profiles by which the gateway knows them.

use std::collections::BTreeMap;

use super::{DemoError, cast::CarrierId};
use crate::simulator::{
    Charging, ChargingMoment, DelayRange, MessageIdForm, ReceiptForm, Redelivery, Simulator, SimulatorConfig,
};

/// The short number that passengers write to.
pub(super) const SHORT_NUMBER: &str = "2505";
/// The name under which the gateway binds.
const SYSTEM_ID: &str = "smsbus";
/// After so long without a response the gateway holds a charge to be in doubt. Short, so that the demo is.
pub(super) const RESPONSE_TIMEOUT_MS: u64 = 800;

/// Both carriers, running.
#[derive(Debug)]
pub(super) struct Carriers {
    kcell: Simulator,
    beeline: Simulator,
}

impl Carriers {
    /// Starts both on free ports of loopback. `password` is what binds have to show.
    pub(super) async fn start(password: &str) -> Result<Carriers, DemoError> {
        Ok(Carriers {
            kcell: Simulator::start(simulated(CarrierId::Kcell, password)).await?,
            beeline: Simulator::start(simulated(CarrierId::Beeline, password)).await?,
        })
    }

    pub(super) fn of(&self, carrier: CarrierId) -> &Simulator {
        match carrier {
            CarrierId::Kcell => &self.kcell,
            CarrierId::Beeline => &self.beeline,
        }
    }

    /// The `[carriers.…]` sections of the daemon's configuration.
    pub(super) fn profiles(&self) -> String {
        CarrierId::ALL.map(|carrier| profile(carrier, self.of(carrier))).concat()
    }
}

fn simulated(carrier: CarrierId, password: &str) -> SimulatorConfig {
    let (at, message_id, receipt_form) = match carrier {
        CarrierId::Kcell => (ChargingMoment::Submission, MessageIdForm::Hex, ReceiptForm::Both),
        CarrierId::Beeline => (ChargingMoment::Delivery, MessageIdForm::Decimal, ReceiptForm::Text),
    };
    SimulatorConfig {
        system_id: SYSTEM_ID.into(),
        password: password.into(),
        charging: Charging { at },
        message_id,
        receipt_form,
        tariffs: tariffs(),
        delivery_delay_ms: DelayRange { min: 10, max: 40 },
        response_delay_ms: DelayRange { min: 2, max: 10 },
        redelivery: Redelivery { backoff_max_ms: 200, ..Redelivery::default() },
        ..SimulatorConfig::default()
    }
}

/// A price for every fare of the example books and up to nine passengers.
fn tariffs() -> BTreeMap<String, i64> {
    let fares = [40, 70, 80, 90, 180];
    let totals = fares.into_iter().flat_map(|fare| (1..=9).map(move |passengers| fare * passengers));
    totals.map(|tenge: i64| (format!("BUS{tenge}"), 100 * tenge)).collect()
}

/// How each carrier is unlike the other: when it charges, how it writes ids, and how it says no.
fn profile(carrier: CarrierId, simulator: &Simulator) -> String {
    let name = carrier.name();
    let (language, prefixes, own) = match carrier {
        CarrierId::Kcell => ("ru", "[701, 702, 775, 778]", KCELL),
        CarrierId::Beeline => ("kk", "[705, 706, 771, 776, 777]", BEELINE),
    };
    format!(
        r#"
[carriers.{name}]
short_number = "{SHORT_NUMBER}"
language = "{language}"
prefixes = {prefixes}

[carriers.{name}.smpp]
address = "{address}"
system_id = "{SYSTEM_ID}"
password_file = "password"
window = 50
tps = 1000
reconnect_ms_max = 100
response_timeout_ms = {RESPONSE_TIMEOUT_MS}
tariffs = [{{ tlvs = [
    {{ tag = 0x1401, type = "c_octet_string", value = "BUS{{major}}" }},
    {{ tag = 0x1402, type = "reference" }},
] }}]
{own}"#,
        address = simulator.smpp_address(),
    )
}

const KCELL: &str = r#"
charged_at = "submission"
message_id = { response = "hex", receipt_text = "hex", receipt_tlv = "hex" }

[carriers.kcell.smpp.statuses]
0x450 = { rejected = "insufficient_balance" }
0x451 = { rejected = "corporate_number" }
0x452 = { rejected = "credit_debt" }
0x453 = { rejected = "no_top_up_since_activation" }
0x454 = { rejected = "initial_balance_unused" }
0x455 = { rejected = "recent_sim_swap" }
0x456 = { rejected = "carrier_account" }
0x457 = { rejected = "not_our_subscriber" }
0x458 = { rejected = "barred" }
"#;

const BEELINE: &str = r#"
charged_at = "delivery"
message_id = { response = "decimal", receipt_text = "decimal", receipt_tlv = "decimal" }

[carriers.beeline.smpp.errs]
050 = "insufficient_balance"
051 = "corporate_number"
052 = "credit_debt"
053 = "no_top_up_since_activation"
054 = "initial_balance_unused"
055 = "recent_sim_swap"
056 = "carrier_account"
057 = "not_our_subscriber"
058 = "barred"
"#;
