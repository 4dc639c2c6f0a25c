use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::Signer;
use serde_json::json;

use super::{
    contents::{ContentsError, TicketContents},
    cose::Kid,
};

/// `contents` as a compact JWS (RFC 7515) of type JWT, EdDSA (RFC 8037). Claims have the names of RFC 7519 where there is
/// one (`jti` is the reference) and those of [`TicketContents`] otherwise. Errors: [`TicketContents::check`].
pub fn sign(contents: &TicketContents, key: &ed25519_dalek::SigningKey) -> Result<String, ContentsError> {
    contents.check()?;
    let header = json!({ "alg": "EdDSA", "kid": Kid::of(&key.verifying_key()).base64url(), "typ": "JWT" });
    let mut claims = json!({
        "iss": contents.issuer,
        "iat": contents.issued_at.unix_seconds(),
        "nbf": contents.not_before.unix_seconds(),
        "exp": contents.expires_at.unix_seconds(),
        "jti": contents.reference.to_string(),
        "fare_class": contents.fare_class,
        "passengers": contents.passengers,
        "amount_minor": contents.amount.minor,
        "currency": contents.amount.currency.code(),
        "city": contents.city,
        "vehicle": contents.vehicle,
        "route": contents.route,
        "msisdn_tag": data_encoding::HEXLOWER.encode(&contents.msisdn_tag),
    });
    if let Some(trip) = &contents.trip {
        claims["trip"] = json!(trip);
    }
    let encode = |value: &serde_json::Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let signing_input = format!("{}.{}", encode(&header), encode(&claims));
    let signature = BASE64URL_NOPAD.encode(&key.sign(signing_input.as_bytes()).to_bytes());
    Ok(format!("{signing_input}.{signature}"))
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::Signature;

    use super::*;
    use crate::ticket::samples::{key, typical};

    #[test]
    fn a_web_client_can_verify_and_read_it() {
        let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
        let jws = sign(&typical(), &key).expect("signed");
        let (input, signature) = jws.rsplit_once('.').expect("three parts");
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).expect("base64url");
        let signature = Signature::from_slice(&signature).expect("64 bytes");
        key.verifying_key().verify_strict(input.as_bytes(), &signature).expect("verifies");

        let (header, claims) = input.split_once('.').expect("two parts");
        let read = |part: &str| -> serde_json::Value {
            serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).expect("base64url")).expect("JSON")
        };
        assert_eq!(read(header)["kid"], super::Kid::of(&key.verifying_key()).base64url());
        let claims = read(claims);
        assert_eq!(claims["jti"], typical().reference.to_string());
        assert_eq!(claims["exp"], typical().expires_at.unix_seconds());
        assert_eq!(claims["amount_minor"], 8_000);
        assert!(claims.get("trip").is_none());
    }

    #[test]
    fn the_keyring_signs_both_forms_alike() {
        let ring = crate::ticket::Keyring::new(vec![key(1)]).expect("a ring");
        let jws = ring.sign_jws(&typical()).expect("signed");
        assert_eq!(jws, sign(&typical(), &ed25519_dalek::SigningKey::from_bytes(&[1; 32])).expect("signed"));
    }
}
