//! Who can be asked about subscribers: prompt, slow, dead, and not always of the same opinion.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::plan::CarrierPlan;
use crate::{
    eligibility::{FactName, FactValue},
    msisdn::Msisdn,
    process,
    subscriber::{AskingSettings, Source, SourceKind},
};

/// The source of a carrier's facts, where it has one.
pub(super) fn of(carrier: &CarrierPlan) -> Option<Source> {
    let slowest = carrier.facts_within?;
    let ask = move |msisdn: Msisdn| -> std::pin::Pin<Box<dyn Future<Output = _> + Send>> {
        // Asked within the gateway's process, so it draws from that process' chance.
        let (takes, mood) = (process::random_range(Duration::ZERO..=slowest), process::random_range(0..10));
        Box::pin(async move {
            sleep(takes).await;
            match mood {
                0 => std::future::pending().await,
                1 => Err("it has no time".to_owned()),
                2 => Ok(vec![(FactName::CreditDebt, FactValue::Unknown)]),
                _ => Ok(vec![(FactName::CreditDebt, FactValue::from(Some(is_in_debt(msisdn))))]),
            }
        })
    };
    Some(Source {
        name: format!("{}.facts", carrier.name).into(),
        carrier: carrier.name.parse().expect("a name"),
        asking: AskingSettings::default(),
        kind: SourceKind::Probe(vec![FactName::CreditDebt], Arc::new(ask)),
    })
}

/// Every third passenger.
fn is_in_debt(msisdn: Msisdn) -> bool {
    msisdn.to_string().bytes().last().is_some_and(|digit| digit % 3 == 0)
}
