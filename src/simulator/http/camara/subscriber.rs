//! SIM Swap v2.1 and Tenure v0.2.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use jiff::civil::Date;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    admit,
    body::{self, PhoneNumber},
    errors,
};
use crate::{
    clock::Timestamp,
    msisdn::Msisdn,
    simulator::{
        exchange::Exchange,
        http::{
            ContractType, Operation,
            desk::{Call, Desk, Done},
            failure::Failure,
        },
        subscribers::{Refusal, Subscriber},
    },
};

/// How long back SIM swaps are known by their date.
const MONITORED_DAYS: u64 = 120;

/// `CreateCheckSimSwap`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CheckSimSwap {
    phone_number: Option<String>,
    /// In hours.
    #[serde(default = "ten_days")]
    max_age: i64,
}

/// `Tenure`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Tenure {
    phone_number: Option<String>,
    tenure_date: String,
}

fn ten_days() -> i64 {
    240
}

/// `checkSimSwap`
pub(super) async fn check_sim_swap(State(desk): State<Desk>, request: Request) -> Response {
    let scopes = &["sim-swap:check", "sim-swap"];
    let (call, wanted) = match admitted::<CheckSimSwap>(&desk, request, scopes).await {
        Ok(wanted) => wanted,
        Err(response) => return response,
    };
    let hours = u64::try_from(wanted.max_age).ok().filter(|hours| (1..=2_400).contains(hours));
    let Some(hours) = hours else { return desk.refuse(&call, Failure::OutOfRange) };
    let msisdn = body::number(wanted.phone_number.as_deref());
    tell(&desk, &call, msisdn, move |_, subscriber, now| {
        let since = now.minus(Duration::from_secs(hours * 3_600));
        Ok(json!({ "swapped": subscriber.sim_swapped_at(now).is_some_and(|at| at >= since) }))
    })
    .await
}

/// `retrieveSimSwapDate`
pub(super) async fn sim_swap_date(State(desk): State<Desk>, request: Request) -> Response {
    let scopes = &["sim-swap:retrieve-date", "sim-swap"];
    let (call, wanted) = match admitted::<PhoneNumber>(&desk, request, scopes).await {
        Ok(wanted) => wanted,
        Err(response) => return response,
    };
    let msisdn = body::number(wanted.phone_number.as_deref());
    tell(&desk, &call, msisdn, |_, subscriber, now| {
        let since = now.minus(Duration::from_secs(MONITORED_DAYS * 86_400));
        Ok(match subscriber.sim_swapped_at(now).filter(|at| *at >= since) {
            Some(at) => json!({ "latestSimChange": at }),
            None => json!({ "latestSimChange": null, "monitoredPeriod": MONITORED_DAYS }),
        })
    })
    .await
}

/// `checkTenure`
pub(super) async fn check_tenure(State(desk): State<Desk>, request: Request) -> Response {
    let (call, wanted) = match admitted::<Tenure>(&desk, request, &["kyc-tenure:check-tenure"]).await {
        Ok(wanted) => wanted,
        Err(response) => return response,
    };
    // `Date` reads more than the format `date` allows.
    let date = wanted.tenure_date.parse::<Date>().ok().filter(|date| date.to_string() == wanted.tenure_date);
    let Some(date) = date else {
        let reason = format!("tenureDate: {:?} is no date", wanted.tenure_date);
        return desk.refuse(&call, Failure::Malformed(reason));
    };
    let msisdn = body::number(wanted.phone_number.as_deref());
    tell(&desk, &call, msisdn, move |exchange, subscriber, now| {
        if date > now.date_in(&exchange.zone) {
            return Err(Failure::OutOfRange);
        }
        let contract = match subscriber.contract_type() {
            ContractType::Prepaid => "PAYG",
            ContractType::Contract => "PAYM",
            ContractType::Business => "Business",
        };
        let kept = subscriber.facts.subscriber_since.is_none_or(|since| since.date_in(&exchange.zone) <= date);
        Ok(json!({ "tenureDateCheck": kept, "contractType": contract }))
    })
    .await
}

async fn admitted<T: DeserializeOwned>(desk: &Desk, request: Request, scopes: &[&str]) -> Result<(Call, T), Response> {
    let call = desk.read(request).await?;
    match admit(desk, &call, scopes).and_then(|()| body::read(&call)) {
        Ok(wanted) => Ok((call, wanted)),
        Err(failure) => Err(desk.refuse(&call, failure)),
    }
}

/// Tells something of a subscriber of this carrier.
async fn tell<F>(desk: &Desk, call: &Call, msisdn: Result<Msisdn, Failure>, what: F) -> Response
where
    F: FnOnce(&Exchange, &Subscriber, Timestamp) -> Result<Value, Failure> + Send + 'static,
{
    let msisdn = match msisdn {
        Ok(msisdn) => msisdn,
        Err(failure) => return desk.refuse(call, failure),
    };
    let reply = call.clone();
    desk.answer(call, Operation::Facts, Some(msisdn), move |exchange, _, now| {
        let subscriber = exchange.subscribers.get(msisdn);
        if !subscriber.is_ours() {
            return Err(Failure::Refused(Refusal::NotOurSubscriber));
        }
        let told = what(exchange, &subscriber, now)?;
        Ok(Done::only(errors::json(&reply, StatusCode::OK, &told)))
    })
    .await
}
