//! COSE_Sign1 (RFC 9052, section 4.2) with Ed25519, as tickets and key sets use it.
//!
//! The profile is narrow on purpose: tagged, everything in the protected header, an empty unprotected header (anybody
//! could change it), the payload inside, no external data.

use std::fmt;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::cbor::{CborError, Reader, Writer};

/// EdDSA, as RFC 9053 names it; what we sign with.
pub(super) const ALG_EDDSA: i64 = -8;
/// Ed25519, as RFC 9864 names the same thing; accepted too.
pub(super) const ALG_ED25519: i64 = -19;

const TAG_SIGN1: u64 = 18;
const HEADER_ALG: i64 = 1;
const HEADER_CRIT: i64 = 2;
const HEADER_CONTENT_TYPE: i64 = 3;
const HEADER_KID: i64 = 4;
const HEADER_CWT_CLAIMS: i64 = 15;
const CLAIM_EXP: i64 = 4;
const CLAIM_IAT: i64 = 6;

/// A key's id: the first eight bytes of SHA-256 of the raw public key. Shown in hex; base64url in a JWKS.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kid(pub [u8; 8]);

impl Kid {
    /// The id of `key`.
    pub fn of(key: &VerifyingKey) -> Kid {
        let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        let mut kid = [0; 8];
        kid.copy_from_slice(&digest[..8]);
        Kid(kid)
    }

    /// As a JWK writes it.
    pub fn base64url(self) -> String {
        BASE64URL_NOPAD.encode(&self.0)
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kid({self})")
    }
}

/// Why bytes are not a COSE_Sign1 of our profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CoseError {
    /// Not even deterministic CBOR of that shape.
    #[error("not a signed message: {0}")]
    Cbor(#[from] CborError),
    /// Another CBOR tag than 18.
    #[error("CBOR tag {0} where COSE_Sign1 has 18")]
    WrongTag(u64),
    /// Not an array of four.
    #[error("COSE_Sign1 has 4 items, {0} came")]
    WrongLength(usize),
    /// A header says that it must be understood, and we don't know it.
    #[error("a header is marked critical, which this verifier does not understand")]
    CriticalHeader,
    /// Something stands outside the signature.
    #[error("the unprotected header must be empty")]
    UnprotectedHeader,
    /// Neither −8 nor −19.
    #[error("algorithm {0} where Ed25519 is -8 or -19")]
    WrongAlgorithm(i64),
    /// A protected header that must be there is not.
    #[error("the protected header lacks {0}")]
    MissingHeader(&'static str),
    /// Signed, but as something else.
    #[error("content type {found:?} where {wanted:?} belongs")]
    WrongContentType {
        /// What the signer says it is.
        found: Option<u16>,
        /// What it should be.
        wanted: Option<u16>,
    },
}

/// What stands in the protected header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Protected {
    pub(super) kid: Kid,
    /// CoAP content format; none for a ticket, where every byte counts.
    pub(super) content_type: Option<u16>,
    /// `iat` and `exp` in Unix seconds, in the CWT claims header (RFC 9597); none for a ticket.
    pub(super) lifetime: Option<(u32, u32)>,
}

impl Protected {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(48);
        out.map(2 + usize::from(self.content_type.is_some()) + usize::from(self.lifetime.is_some()));
        out.int(HEADER_ALG).int(ALG_EDDSA);
        if let Some(content_type) = self.content_type {
            out.int(HEADER_CONTENT_TYPE).int(content_type.into());
        }
        out.int(HEADER_KID).bytes(&self.kid.0);
        if let Some((issued_at, expires_at)) = self.lifetime {
            out.int(HEADER_CWT_CLAIMS).map(2);
            out.int(CLAIM_EXP).int(expires_at.into()).int(CLAIM_IAT).int(issued_at.into());
        }
        out.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Protected, CoseError> {
        let (mut alg, mut kid, mut content_type, mut lifetime) = (None, None, None, None);
        let mut reader = Reader::new(bytes);
        reader.int_map(|label, value| {
            match label {
                HEADER_ALG => alg = Some(value.int()?),
                HEADER_CRIT => return Err(CoseError::CriticalHeader),
                HEADER_CONTENT_TYPE => content_type = Some(value.uint()?),
                HEADER_KID => kid = Some(Kid(value.byte_array("a key id of 8 bytes")?)),
                HEADER_CWT_CLAIMS => lifetime = decode_lifetime(value)?,
                _ => value.skip()?,
            }
            Ok(())
        })?;
        reader.end()?;
        match alg {
            Some(ALG_EDDSA | ALG_ED25519) => {}
            Some(other) => return Err(CoseError::WrongAlgorithm(other)),
            None => return Err(CoseError::MissingHeader("the algorithm")),
        }
        let kid = kid.ok_or(CoseError::MissingHeader("the key id"))?;
        Ok(Protected { kid, content_type, lifetime })
    }
}

fn decode_lifetime(value: &mut Reader<'_>) -> Result<Option<(u32, u32)>, CborError> {
    let (mut issued_at, mut expires_at) = (None, None);
    value.int_map::<CborError>(|claim, value| {
        match claim {
            CLAIM_EXP => expires_at = Some(value.uint()?),
            CLAIM_IAT => issued_at = Some(value.uint()?),
            _ => value.skip()?,
        }
        Ok(())
    })?;
    Ok(issued_at.zip(expires_at))
}

/// `payload` signed with `key`, as a tagged COSE_Sign1.
pub(super) fn sign(key: &SigningKey, protected: &Protected, payload: &[u8]) -> Vec<u8> {
    let header = protected.encode();
    let signature = signature_of(key, &header, payload);
    let mut out = Writer::with_capacity(header.len() + payload.len() + 80);
    out.tag(TAG_SIGN1).array(4).bytes(&header).map(0).bytes(payload).bytes(&signature);
    out.finish()
}

/// The signature alone, over a protected header as encoded and a payload.
pub(super) fn signature_of(key: &SigningKey, header: &[u8], payload: &[u8]) -> [u8; 64] {
    key.sign(&to_be_signed(header, payload)).to_bytes()
}

/// A COSE_Sign1 that was read and not yet verified.
pub(super) struct Sign1<'a> {
    pub(super) protected: Protected,
    pub(super) payload: &'a [u8],
    header: &'a [u8],
    signature: Signature,
}

impl<'a> Sign1<'a> {
    /// Reads a message that says it is of `content_type`.
    pub(super) fn read(bytes: &'a [u8], content_type: Option<u16>) -> Result<Sign1<'a>, CoseError> {
        let mut reader = Reader::new(bytes);
        match reader.tag()? {
            TAG_SIGN1 => {}
            other => return Err(CoseError::WrongTag(other)),
        }
        match reader.array()? {
            4 => {}
            other => return Err(CoseError::WrongLength(other)),
        }
        let header = reader.bytes()?;
        reader.int_map(|_, _| Err(CoseError::UnprotectedHeader))?;
        let payload = reader.bytes()?;
        let signature = reader.byte_array("a signature of 64 bytes")?;
        reader.end()?;
        let protected = Protected::decode(header)?;
        if protected.content_type != content_type {
            return Err(CoseError::WrongContentType { found: protected.content_type, wanted: content_type });
        }
        Ok(Sign1 { protected, payload, header, signature: Signature::from_bytes(&signature) })
    }

    /// Whether `key` signed it. Strict: neither weak keys nor second spellings of a signature pass.
    pub(super) fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        key.verify_strict(&to_be_signed(self.header, self.payload), &self.signature).is_ok()
    }
}

/// The Sig_structure of RFC 9052, section 4.4.
fn to_be_signed(header: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut out = Writer::with_capacity(header.len() + payload.len() + 24);
    out.array(4).text("Signature1").bytes(header).bytes(&[]).bytes(payload);
    out.finish()
}
