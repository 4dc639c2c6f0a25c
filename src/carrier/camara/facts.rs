//! Facts of a subscriber: SIM Swap v2.1 and Tenure v0.2.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::Url;

use super::{
    adapter::CamaraCarrier,
    meaning::bounded,
    message::{ErrorInfo, below},
};
use crate::{
    carrier::web::{Answer, Outcome, WebRequest},
    clock::Timestamp,
    msisdn::Msisdn,
};

/// The longest time that SIM Swap looks back, in hours.
const MAX_AGE_HOURS_MAX: u16 = 2_400;

/// When the SIM was last replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimSwapDate {
    /// The moment. `None` if there was none within the time that the carrier remembers, or none at all.
    pub latest: Option<Timestamp>,
    /// How far back the carrier remembers, in days, where it says so.
    pub monitored_days: Option<u32>,
}

/// Whose contract it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContractType {
    /// `PAYG`: prepaid.
    Prepaid,
    /// `PAYM`: paid afterwards.
    Postpaid,
    /// `Business`: a company's.
    Business,
}

/// Why there is no fact.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FactError {
    /// The carrier's profile names no such interface.
    #[error("the carrier has no such interface")]
    NotConfigured,
    /// The carrier does not know the number.
    #[error("not this carrier's subscriber")]
    NotTheirs,
    /// The carrier has the number and says nothing of it.
    #[error("the carrier says nothing of this number")]
    NotApplicable,
    /// Too many questions.
    #[error("too many questions")]
    Busy,
    /// No answer, or none that can be read.
    #[error("{0}")]
    Unavailable(String),
    /// The carrier refused the question.
    #[error("refused: {0}")]
    Refused(String),
}

impl CamaraCarrier {
    /// Whether the SIM was replaced within so many hours (`checkSimSwap`; 1 to 2,400).
    ///
    /// Errors: nothing is known; see [`FactError`]. Takes no send slot.
    pub async fn sim_swap(&self, msisdn: Msisdn, max_age_hours: u16) -> Result<bool, FactError> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct CreateCheckSimSwap {
            phone_number: Msisdn,
            max_age: u16,
        }
        #[derive(Deserialize)]
        struct CheckSimSwapInfo {
            swapped: bool,
        }
        let max_age = max_age_hours.clamp(1, MAX_AGE_HOURS_MAX);
        let body = CreateCheckSimSwap { phone_number: msisdn, max_age };
        let url = self.profile().sim_swap_url.as_deref();
        let info: CheckSimSwapInfo = self.ask("sim_swap", url, "check", &body).await?;
        Ok(info.swapped)
    }

    /// When the SIM was last replaced (`retrieveSimSwapDate`).
    ///
    /// Errors: nothing is known; see [`FactError`]. Takes no send slot.
    pub async fn sim_swap_date(&self, msisdn: Msisdn) -> Result<SimSwapDate, FactError> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct CreateSimSwapDate {
            phone_number: Msisdn,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct SimSwapInfo {
            // Required, and may be null: a body without it is no answer.
            #[serde(deserialize_with = "Option::deserialize")]
            latest_sim_change: Option<Timestamp>,
            monitored_period: Option<u32>,
        }
        let url = self.profile().sim_swap_url.as_deref();
        let body = CreateSimSwapDate { phone_number: msisdn };
        let info: SimSwapInfo = self.ask("sim_swap_date", url, "retrieve-date", &body).await?;
        Ok(SimSwapDate { latest: info.latest_sim_change, monitored_days: info.monitored_period })
    }

    /// Whose contract it is (`checkTenure`), where the carrier says so. `since` is a date that the question must name; nothing is
    /// read from the answer to it.
    ///
    /// Errors: nothing is known; see [`FactError`]. Takes no send slot.
    pub async fn tenure(&self, msisdn: Msisdn, since: Date) -> Result<Option<ContractType>, FactError> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Tenure {
            phone_number: Msisdn,
            tenure_date: Date,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct TenureInfo {
            #[serde(rename = "tenureDateCheck")]
            _tenure_date_check: bool,
            contract_type: Option<String>,
        }
        let url = self.profile().tenure_url.as_deref();
        let body = Tenure { phone_number: msisdn, tenure_date: since };
        let info: TenureInfo = self.ask("tenure", url, "check-tenure", &body).await?;
        match info.contract_type.as_deref() {
            None => Ok(None),
            Some("PAYG") => Ok(Some(ContractType::Prepaid)),
            Some("PAYM") => Ok(Some(ContractType::Postpaid)),
            Some("Business") => Ok(Some(ContractType::Business)),
            Some(unknown) => Err(FactError::Unavailable(format!("contractType {:?} is unknown", bounded(unknown)))),
        }
    }

    async fn ask<T: for<'a> Deserialize<'a>>(
        &self,
        operation: &'static str,
        base: Option<&Url>,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, FactError> {
        let base = base.ok_or(FactError::NotConfigured)?;
        let body = serde_json::to_vec(body).map_err(|error| FactError::Unavailable(error.to_string()))?;
        match self.request(WebRequest::post(operation, below(base, &[path]), "application/json", body)).await {
            Outcome::Answer(answer) if answer.status == 200 => serde_json::from_slice(&answer.body)
                .map_err(|error| FactError::Unavailable(format!("the answer cannot be read: {error}"))),
            Outcome::Answer(answer) => Err(refused(&answer)),
            Outcome::NotSent(why) => Err(FactError::Unavailable(why.to_string())),
            Outcome::Lost(why) => Err(FactError::Unavailable(why.to_string())),
        }
    }
}

/// The errors of both files.
fn refused(answer: &Answer) -> FactError {
    let info = ErrorInfo::read(&answer.body);
    let code = info.as_ref().map_or("", |info| info.code.as_str());
    match (answer.status, code) {
        // SIM Swap says NOT_FOUND for a number, Tenure IDENTIFIER_NOT_FOUND.
        (404, "NOT_FOUND" | "IDENTIFIER_NOT_FOUND") => FactError::NotTheirs,
        (422, "SERVICE_NOT_APPLICABLE") => FactError::NotApplicable,
        (429, _) => FactError::Busy,
        (status @ 400..=499, _) => FactError::Refused(bounded(&format!("{status} {code}"))),
        (status, _) => FactError::Unavailable(format!("answered {status}")),
    }
}
