//! The ticket: the signed right to ride.
//!
//! The way of a ticket: [`TicketContents`] say what was bought, [`validity`] says until when, the [`Keyring`] signs them
//! as a CWT ([`cwt`]), [`qr`] draws it, and a [`Verifier`] with nothing but a pinned root and a published [`KeySet`]
//! tells an inspector one of four answers without a network. A plain phone gets a [`short_code`] instead.
//!
//! PURE, but for [`keyfile`], which reads and writes the files of private keys.

mod cbor;
mod contents;
mod cose;
/// Encoding a ticket as a CWT (RFC 8392) inside a tagged COSE_Sign1, and decoding it strictly.
pub mod cwt;
/// The same ticket as a JWS for web clients.
pub mod jws;
mod key_set;
// Files of private keys: generate, load, list.
pub mod keyfile;
mod keyring;
/// A ticket as a QR code: text, SVG, terminal.
pub mod qr;
#[cfg(test)]
mod samples;
// The eight characters that a plain phone shows.
pub mod short_code;
/// Until when a ticket is valid.
pub mod validity;
mod verify;

pub use cbor::CborError;
pub use contents::{ContentsError, MsisdnTagKey, TicketContents, limits, trip_name};
pub use cose::{CoseError, Kid};
pub use cwt::{DecodeError, SignedTicket};
pub use key_set::{KEYS_MAX, KeySet, KeySetError, PublicKey, parse_public_key};
pub use keyring::{Keyring, KeyringError, SigningKey};
pub use short_code::ShortCode;
pub use verify::{Doubt, Fault, Revocations, Verdict, Verifier};
