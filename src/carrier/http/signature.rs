use data_encoding::{BASE64, HEXLOWER, HEXUPPER};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use minijinja::Value;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

use super::{
    HttpSecrets,
    document::{Algorithm, DigestEncoding, SignatureSection},
    template::{Template, TemplateError, Templates},
};

/// A digest or keyed digest over parts of a message.
#[derive(Clone, Debug)]
pub(super) struct Signature {
    algorithm: Algorithm,
    secret: Option<String>,
    over: Vec<(String, Template)>,
    separator: String,
    encoding: DigestEncoding,
    prefix: String,
}

impl Signature {
    /// With the parts of `section`, compiled under their keys.
    pub(super) fn new(section: &SignatureSection, over: Vec<(String, Template)>) -> Signature {
        Signature {
            algorithm: section.algorithm,
            secret: section.secret.clone(),
            over,
            separator: section.separator.clone(),
            encoding: section.encoding,
            prefix: section.prefix.clone(),
        }
    }

    /// The signature over what `values` give. Errors: the key of the part that cannot be had, and why.
    pub(super) fn sign(
        &self,
        templates: &Templates,
        values: &Value,
        secrets: &HttpSecrets,
    ) -> Result<String, (String, TemplateError)> {
        let mut signed = Vec::new();
        for (n, (key, part)) in self.over.iter().enumerate() {
            if n > 0 {
                signed.extend_from_slice(self.separator.as_bytes());
            }
            let text = templates.render(part, values).map_err(|error| (key.clone(), error))?;
            signed.extend_from_slice(text.as_bytes());
        }
        let key = self.key(secrets)?;
        let digest = digest(self.algorithm, key.as_bytes(), &signed);
        let written = match self.encoding {
            DigestEncoding::Hex => HEXLOWER.encode(&digest),
            DigestEncoding::HexUpper => HEXUPPER.encode(&digest),
            DigestEncoding::Base64 => BASE64.encode(&digest),
        };
        Ok(format!("{}{written}", self.prefix))
    }

    /// A digest without a key is nobody's signature: a secret that is missing is an error, never an empty one.
    fn key<'s>(&self, secrets: &'s HttpSecrets) -> Result<&'s str, (String, TemplateError)> {
        let Some(name) = self.secret.as_deref() else { return Ok("") };
        let missing = || (format!("secrets.{name}"), TemplateError::Wrong("there is no such secret".into()));
        secrets.get(name).filter(|secret| !secret.is_empty()).ok_or_else(missing)
    }

    /// Whether `given` is the signature, in constant time. Hexadecimal digits may be large or small.
    pub(super) fn is(&self, expected: &str, given: &str) -> bool {
        match self.encoding {
            DigestEncoding::Base64 => same_secret(expected, given),
            DigestEncoding::Hex | DigestEncoding::HexUpper => {
                same_secret(&expected.to_ascii_lowercase(), &given.to_ascii_lowercase())
            }
        }
    }
}

impl Algorithm {
    /// Whether it takes a key of its own.
    pub const fn is_keyed(self) -> bool {
        matches!(self, Algorithm::HmacSha1 | Algorithm::HmacSha256 | Algorithm::HmacSha512)
    }
}

/// Whether two secrets are the same, in a time that tells neither where they differ nor how long they are.
pub(super) fn same_secret(one: &str, other: &str) -> bool {
    Sha256::digest(one).ct_eq(&Sha256::digest(other)).into()
}

fn digest(algorithm: Algorithm, key: &[u8], message: &[u8]) -> Vec<u8> {
    match algorithm {
        Algorithm::HmacSha1 => keyed::<Hmac<Sha1>>(key, message),
        Algorithm::HmacSha256 => keyed::<Hmac<Sha256>>(key, message),
        Algorithm::HmacSha512 => keyed::<Hmac<Sha512>>(key, message),
        Algorithm::Md5 => Md5::digest(message).to_vec(),
        Algorithm::Sha1 => Sha1::digest(message).to_vec(),
        Algorithm::Sha256 => Sha256::digest(message).to_vec(),
        Algorithm::Sha512 => Sha512::digest(message).to_vec(),
    }
}

fn keyed<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("an HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(algorithm: Algorithm, key: &str, message: &str) -> String {
        HEXLOWER.encode(&digest(algorithm, key.as_bytes(), message.as_bytes()))
    }

    #[test]
    fn the_digests_are_those_of_their_specifications() {
        // RFC 1321, A.5; FIPS 180-4 examples; RFC 2202 and RFC 4231, test case 2.
        let abc = |algorithm| hex(algorithm, "", "abc");
        assert_eq!(abc(Algorithm::Md5), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(abc(Algorithm::Sha1), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(abc(Algorithm::Sha256), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(abc(Algorithm::Sha512).starts_with("ddaf35a193617abacc417349ae204131"));
        let jefe = |algorithm| hex(algorithm, "Jefe", "what do ya want for nothing?");
        assert_eq!(jefe(Algorithm::HmacSha1), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        assert_eq!(jefe(Algorithm::HmacSha256), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert!(jefe(Algorithm::HmacSha512).starts_with("164b7a7bfcf819e2e395fbe73b56e0a3"));
    }

    #[test]
    fn secrets_are_compared_whole() {
        assert!(same_secret("abc", "abc") && same_secret("", ""));
        assert!(!same_secret("abc", "abd") && !same_secret("abc", "ab") && !same_secret("", "a"));
    }
}
