//! Signatures as Standard Webhooks has them, version 1: HMAC-SHA256 over id, moment and body.

use std::{fmt, str::FromStr};

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

/// A key that requests are signed with: `whsec_` and 24 to 64 bytes in base64.
pub struct WebhookKey(Zeroizing<Vec<u8>>);

/// The text is no key. It is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WebhookKeyError {
    /// Without the prefix, another secret could be taken for a key.
    #[error("a webhook key begins with whsec_")]
    Prefix,
    /// What follows is not base64.
    #[error("behind whsec_ stands the key in base64")]
    Base64,
    /// Too short to be safe, or too long for the specification.
    #[error("a webhook key has 24 to 64 bytes")]
    Length,
}

impl FromStr for WebhookKey {
    type Err = WebhookKeyError;

    fn from_str(text: &str) -> Result<WebhookKey, WebhookKeyError> {
        let encoded = text.strip_prefix("whsec_").ok_or(WebhookKeyError::Prefix)?;
        let key = BASE64.decode(encoded.as_bytes()).map(Zeroizing::new).map_err(|_| WebhookKeyError::Base64)?;
        if (24..=64).contains(&key.len()) { Ok(WebhookKey(key)) } else { Err(WebhookKeyError::Length) }
    }
}

impl fmt::Debug for WebhookKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookKey(…)")
    }
}

/// The value of `webhook-signature`: one signature for each key, with blanks between them.
pub(super) fn signatures(keys: &[WebhookKey], id: &str, unix_seconds: i64, body: &[u8]) -> String {
    let sign = |WebhookKey(key): &WebhookKey| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
        mac.update(format!("{id}.{unix_seconds}.").as_bytes());
        mac.update(body);
        format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()))
    };
    keys.iter().map(sign).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> WebhookKey {
        text.parse().expect("a key")
    }

    #[test]
    fn the_signature_is_that_of_the_libraries_of_standard_webhooks() {
        let (id, at, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        let first = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signatures(std::slice::from_ref(&first), id, at, body), expected);
        let second = key("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
        let both = signatures(&[second, first], id, at, body);
        let (other, same) = both.split_once(' ').expect("two");
        assert!(same == expected && other.starts_with("v1,") && other != same, "{both}");
    }

    #[test]
    fn what_is_no_key_is_refused_and_never_shown() {
        for (text, error) in [
            ("", WebhookKeyError::Prefix),
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", WebhookKeyError::Prefix),
            ("whsec_ÄÄ", WebhookKeyError::Base64),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", WebhookKeyError::Base64),
            ("whsec_c2hvcnQ=", WebhookKeyError::Length),
        ] {
            assert_eq!(text.parse::<WebhookKey>().err(), Some(error), "{text:?}");
        }
        assert_eq!(format!("{:?}", key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")), "WebhookKey(…)");
    }
}
