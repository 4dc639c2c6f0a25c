//! The daemon's HTTP API, as a ticket service uses it.

use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode, header};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use super::{DemoError, cast::Passenger};
use crate::{
    charge::Reference,
    clock::Timestamp,
    eligibility::{Fact, FactName, FactValue},
    money::Money,
    tls,
};

/// No request takes longer; a purchase waits for its outcome for [`WAIT_SECONDS`] within this.
const REQUEST_MAX: Duration = Duration::from_secs(15);
/// How long a purchase waits for its outcome.
const WAIT_SECONDS: u64 = 10;
/// Pages of a list; a morning has one or two.
const PAGES_MAX: usize = 100;

/// A client. Clones share its connections.
#[derive(Clone, Debug)]
pub(super) struct Api {
    http: reqwest::Client,
    address: String,
    token: String,
}

/// What of a charge's representation the demo looks at.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct ApiCharge {
    pub(super) reference: Reference,
    pub(super) state: String,
    #[serde(default)]
    pub(super) reason: Option<String>,
    pub(super) amount: Money,
    pub(super) vehicle: String,
    pub(super) received_at: Timestamp,
    #[serde(default)]
    pub(super) charged_at: Option<Timestamp>,
    #[serde(default)]
    pub(super) refunded_amount: Option<Money>,
    #[serde(default)]
    pub(super) repeat_of: Option<Reference>,
    /// Not in lists.
    #[serde(default)]
    pub(super) ticket: Option<ApiTicket>,
}

/// What of a charge's ticket the demo looks at.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct ApiTicket {
    pub(super) short_code: String,
    #[serde(default)]
    pub(super) revoked_at: Option<Timestamp>,
}

/// What of the answer to why a number can or cannot pay the demo looks at.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct ApiEligibility {
    #[serde(default)]
    pub(super) carrier: Option<String>,
    #[serde(default)]
    pub(super) carrier_by: Option<String>,
    pub(super) allowed: bool,
    #[serde(default)]
    pub(super) reason: Option<String>,
    pub(super) judged_at: Timestamp,
    pub(super) findings: Vec<ApiFinding>,
}

/// How one rule came out.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct ApiFinding {
    pub(super) rule: String,
    pub(super) declines: bool,
    pub(super) basis: ApiBasis,
    #[serde(default)]
    pub(super) silent: Vec<ApiSilent>,
}

/// What a rule looked at. Only rules over facts have a `name` and `counted_as`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct ApiBasis {
    #[serde(default)]
    pub(super) name: Option<FactName>,
    #[serde(default)]
    pub(super) fact: Option<Fact>,
    #[serde(default)]
    pub(super) counted_as: Option<FactValue>,
}

/// Who said nothing about a fact, and why.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct ApiSilent {
    #[serde(default)]
    pub(super) source: Option<String>,
    pub(super) why: String,
}

impl ApiCharge {
    /// Whether nothing but a refund can change it any more.
    pub(super) fn is_final(&self) -> bool {
        !matches!(self.state.as_str(), "processing" | "awaiting_otp" | "in_doubt")
    }
}

#[derive(Debug, Deserialize)]
struct ChargePage {
    charges: Vec<ApiCharge>,
    #[serde(default)]
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
struct CarrierList {
    carriers: Vec<ApiCarrier>,
}

#[derive(Debug, Deserialize)]
struct ApiCarrier {
    up: bool,
    binds: Vec<ApiBind>,
}

#[derive(Debug, Deserialize)]
struct ApiBind {
    up: bool,
}

impl ApiCarrier {
    /// Whether charges can be sent to it, and messages to and from its passengers.
    fn is_ready(&self) -> bool {
        self.up && self.binds.iter().all(|bind| bind.up)
    }
}

impl Api {
    /// Errors: the client cannot be made.
    pub(super) fn new(address: String, token: String) -> Result<Api, DemoError> {
        let http = tls::client_in_the_clear(Some(REQUEST_MAX)).map_err(DemoError::Client)?;
        Ok(Api { http, address, token })
    }

    /// `POST /v1/charges`: the charge as soon as its outcome is known or it is in doubt.
    pub(super) async fn buy(&self, passenger: Passenger, vehicle: &str, key: &str) -> Result<ApiCharge, DemoError> {
        let body = json!({ "msisdn": passenger.msisdn(), "vehicle": vehicle });
        let request = self.http.post(self.url("/v1/charges")).json(&body);
        self.json(request.header("idempotency-key", key).header("prefer", format!("wait={WAIT_SECONDS}"))).await
    }

    /// `POST /v1/charges/{reference}/otp`: the charge after the carrier has judged the password.
    pub(super) async fn enter_password(&self, reference: Reference, otp: &str) -> Result<ApiCharge, DemoError> {
        let request = self.http.post(self.url(&format!("/v1/charges/{reference}/otp"))).json(&json!({ "otp": otp }));
        self.json(request.header("prefer", format!("wait={WAIT_SECONDS}"))).await
    }

    /// `POST /v1/charges/{reference}/refunds` of everything. Durable when it returns, and on its way.
    pub(super) async fn refund(&self, reference: Reference, key: &str) -> Result<(), DemoError> {
        let request = self.http.post(self.url(&format!("/v1/charges/{reference}/refunds"))).json(&json!({}));
        self.send(request.header("idempotency-key", key)).await.map(|_| ())
    }

    /// `GET /v1/eligibility`, for a ride on `vehicle`.
    pub(super) async fn eligibility(&self, passenger: Passenger, vehicle: &str) -> Result<ApiEligibility, DemoError> {
        let msisdn = passenger.msisdn().e164();
        self.json(self.get(&format!("/v1/eligibility?msisdn={msisdn}&vehicle={vehicle}"))).await
    }

    /// `GET /v1/charges/{reference}`, with its ticket.
    pub(super) async fn charge(&self, reference: Reference) -> Result<ApiCharge, DemoError> {
        self.json(self.get(&format!("/v1/charges/{reference}"))).await
    }

    /// `GET /v1/charges`: all of them, or those that `filter` (a query without `?`) leaves, newest first.
    pub(super) async fn charges(&self, filter: &str) -> Result<Vec<ApiCharge>, DemoError> {
        let mut charges = Vec::new();
        let mut path = format!("/v1/charges?limit=50&{filter}");
        for _ in 0..PAGES_MAX {
            let page: ChargePage = self.json(self.get(&path)).await?;
            charges.extend(page.charges);
            let Some(cursor) = page.next_cursor else { return Ok(charges) };
            path = format!("/v1/charges?limit=50&{filter}&cursor={cursor}");
        }
        Err(DemoError::Otherwise(format!("the list of charges has more than {PAGES_MAX} pages")))
    }

    /// The charges of one passenger, newest first.
    pub(super) async fn charges_of(&self, passenger: Passenger) -> Result<Vec<ApiCharge>, DemoError> {
        self.charges(&format!("msisdn={}", passenger.msisdn().e164())).await
    }

    /// `GET /v1/tickets/{reference}` as the text of its QR code, if there is a ticket.
    pub(super) async fn ticket(&self, reference: Reference) -> Result<Option<String>, DemoError> {
        let request = self.get(&format!("/v1/tickets/{reference}")).header(header::ACCEPT, "text/plain");
        match self.send(request).await {
            Ok(response) => Ok(Some(response.text().await?)),
            Err(DemoError::Refused { status, .. }) if status == StatusCode::NOT_FOUND.as_u16() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `GET /v1/keys`: a JWKS.
    pub(super) async fn keys(&self) -> Result<serde_json::Value, DemoError> {
        self.json(self.get("/v1/keys")).await
    }

    /// How many carriers can be charged and written to, by `GET /v1/carriers`.
    pub(super) async fn carriers_up(&self) -> Result<usize, DemoError> {
        let list: CarrierList = self.json(self.get("/v1/carriers")).await?;
        Ok(list.carriers.iter().filter(|carrier| carrier.is_ready()).count())
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(self.url(path))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, DemoError> {
        Ok(self.send(request).await?.json().await?)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, DemoError> {
        let (client, request) = request.bearer_auth(&self.token).build_split();
        let request = request?;
        let asked = format!("{} {}", request.method(), request.url().path());
        let response = client.execute(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.text().await.unwrap_or_default();
        Err(DemoError::Refused { request: asked, status: status.as_u16(), body })
    }
}
