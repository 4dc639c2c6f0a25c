//! `GET /v1/keys`: what verifiers know tickets by.

use axum::{
    Json,
    extract::State,
    http::{HeaderName, HeaderValue, header},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::Problem;
use crate::{gateway::Gateway, ticket::KeySet};

/// A key is published long before it signs, so a verifier may keep the set for a while.
const CACHE_CONTROL: (HeaderName, HeaderValue) =
    (header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=300"));

/// A JSON Web Key Set (RFC 7517).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Jwks)]
pub(super) struct JwksDocument {
    /// Every key that signs, will sign, or has signed a ticket that is still valid.
    keys: Vec<Jwk>,
}

/// An Ed25519 key (RFC 8037).
#[derive(Debug, Serialize, ToSchema)]
struct Jwk {
    /// `OKP`.
    #[schema(example = "OKP")]
    kty: String,
    /// `Ed25519`.
    #[schema(example = "Ed25519")]
    crv: String,
    /// The public key, base64url.
    x: String,
    /// The key's id: the first 8 bytes of SHA-256 of the public key, base64url.
    kid: String,
    /// `EdDSA`.
    #[schema(example = "EdDSA")]
    alg: String,
    /// `sig`.
    #[serde(rename = "use")]
    #[schema(example = "sig")]
    purpose: String,
    /// From then on it signs, in seconds since 1970.
    nbf: i64,
    /// From then on it has ended, and all its tickets with it.
    exp: i64,
}

/// Reads the public keys that tickets are verified with
#[utoipa::path(
    get, path = "/v1/keys", tag = "keys",
    responses((status = 200, description = "The key set. Not signed: for clients that trust the connection.", body = JwksDocument)),
)]
pub(super) async fn read_keys(
    State(gateway): State<Gateway>,
) -> Result<([(HeaderName, HeaderValue); 1], Json<serde_json::Value>), Problem> {
    let now = gateway.now();
    let keyring = gateway.keyring();
    let keys = KeySet { issued_at: now, expires_at: keyring.last_end(), keys: keyring.public_keys(now) };
    Ok(([CACHE_CONTROL], Json(keys.to_jwks())))
}
