//! The simulated carriers, each with its own subscribers, balances and books.

use std::{collections::BTreeMap, net::SocketAddr};

use super::{DemoError, cast::CarrierId, credentials::Credentials};
use crate::simulator::{
    Answers, CallbackConfig, CamaraConfig, Charging, ChargingMoment, CisConfig, DelayRange, FactsConfig, HttpConfig,
    MessageIdForm, ReceiptForm, Redelivery, Simulator, SimulatorConfig,
};

/// The short number that passengers write to.
pub(super) const SHORT_NUMBER: &str = "2505";
/// The name under which the gateway binds, and asks for access tokens.
pub(super) const CLIENT: &str = "smsbus";

/// All carriers, running.
#[derive(Debug)]
pub(super) struct Carriers {
    kcell: Simulator,
    beeline: Simulator,
    tele2: Simulator,
    altel: Simulator,
}

impl Carriers {
    /// Starts all of them on free ports of loopback. They call back to `callbacks`, where the daemon will listen.
    pub(super) async fn start(credentials: &Credentials, callbacks: SocketAddr) -> Result<Carriers, DemoError> {
        let start = |carrier| Simulator::start(simulated(carrier, credentials, callbacks));
        Ok(Carriers {
            kcell: start(CarrierId::Kcell).await?,
            beeline: start(CarrierId::Beeline).await?,
            tele2: start(CarrierId::Tele2).await?,
            altel: start(CarrierId::Altel).await?,
        })
    }

    pub(super) fn of(&self, carrier: CarrierId) -> &Simulator {
        match carrier {
            CarrierId::Kcell => &self.kcell,
            CarrierId::Beeline => &self.beeline,
            CarrierId::Tele2 => &self.tele2,
            CarrierId::Altel => &self.altel,
        }
    }

    pub(super) fn all(&self) -> [&Simulator; 4] {
        CarrierId::ALL.map(|carrier| self.of(carrier))
    }
}

fn simulated(carrier: CarrierId, credentials: &Credentials, callbacks: SocketAddr) -> SimulatorConfig {
    let (at, message_id, receipt_form) = match carrier {
        CarrierId::Kcell => (ChargingMoment::Submission, MessageIdForm::Hex, ReceiptForm::Both),
        _ => (ChargingMoment::Delivery, MessageIdForm::Decimal, ReceiptForm::Text),
    };
    // The SMSC of a carrier that is charged over HTTP takes no money.
    let tariffs = match carrier {
        CarrierId::Kcell | CarrierId::Beeline => tariffs(),
        CarrierId::Tele2 | CarrierId::Altel => BTreeMap::new(),
    };
    SimulatorConfig {
        system_id: CLIENT.into(),
        password: credentials.smsc.clone(),
        charging: Charging { at },
        message_id,
        receipt_form,
        tariffs,
        delivery_delay_ms: DelayRange { min: 10, max: 40 },
        response_delay_ms: DelayRange { min: 2, max: 10 },
        redelivery: Redelivery { backoff_max_ms: 200, ..Redelivery::default() },
        http: over_http(carrier, credentials, callbacks),
        ..SimulatorConfig::default()
    }
}

/// What each offers over HTTP: kcell and beeline only answer questions, tele2 and altel are charged by it.
fn over_http(carrier: CarrierId, credentials: &Credentials, callbacks: SocketAddr) -> HttpConfig {
    let camara = CamaraConfig {
        client_id: CLIENT.into(),
        client_secret: credentials.camara_client.clone(),
        ..CamaraConfig::default()
    };
    let facts =
        FactsConfig { secret: credentials.sign.clone(), token: credentials.facts.clone(), ..FactsConfig::default() };
    let cis = CisConfig {
        secret: credentials.sign.clone(),
        answers: Answers::Processing,
        processing_ms: DelayRange { min: 100, max: 200 },
        notify_url: Some(format!("http://{callbacks}/carriers/{}/notify", carrier.name())),
        ..CisConfig::default()
    };
    let (camara, cis, facts) = match carrier {
        CarrierId::Kcell => (Some(camara), None, None),
        CarrierId::Beeline => (None, None, Some(facts)),
        CarrierId::Tele2 => (Some(camara), None, None),
        CarrierId::Altel => (None, Some(cis), Some(facts)),
    };
    HttpConfig {
        camara,
        cis,
        facts,
        carrier: carrier.name().into(),
        response_delay_ms: DelayRange { min: 2, max: 10 },
        callbacks: CallbackConfig { delay_ms: DelayRange { min: 1, max: 10 }, ..CallbackConfig::default() },
        ..HttpConfig::default()
    }
}

/// A price for every fare of the example books and up to nine passengers.
fn tariffs() -> BTreeMap<String, i64> {
    let fares = [40, 70, 80, 90, 180];
    let totals = fares.into_iter().flat_map(|fare| (1..=9).map(move |passengers| fare * passengers));
    totals.map(|tenge: i64| (format!("BUS{tenge}"), 100 * tenge)).collect()
}
