//! Files of private keys: generate, load, list.
//!
//! One secret per file, in a small TOML. Whoever reads a key file can print tickets, so nobody but its owner may.
//!
//! ```toml
//! purpose = "ticket"
//! private_key = "…"   # 32 bytes, base64url without padding
//! public_key = "…"    # of signing keys: tells a damaged file
//! not_before = "2026-03-01T00:00:00.000Z"   # of ticket keys
//! not_after = "2026-06-01T00:00:00.000Z"
//! ```

use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use data_encoding::BASE64URL_NOPAD;
use rand::{TryRng, rngs::SysRng};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use super::{Keyring, Kid, MsisdnTagKey, SigningKey, keyring::KeyringError, short_code::ShortCodeMaster};
use crate::clock::Timestamp;

/// What to generate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewKey {
    /// A key that signs tickets in this time.
    Ticket {
        /// From here.
        not_before: Timestamp,
        /// Until before here.
        not_after: Timestamp,
    },
    /// The root that signs key sets; belongs on a machine without a network.
    Root,
    /// The master of all short codes.
    ShortCode,
    /// The key of MSISDN tags.
    MsisdnTag,
}

/// What a key file holds.
#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "a handful exist, read at start")]
pub enum Secret {
    /// Signs tickets.
    Ticket(SigningKey),
    /// Signs key sets.
    Root(ed25519_dalek::SigningKey),
    /// Derives the keys of short codes.
    ShortCode(ShortCodeMaster),
    /// Tags MSISDNs.
    MsisdnTag(MsisdnTagKey),
}

/// What a key is for, as its file says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Signs tickets.
    Ticket,
    /// Signs key sets.
    Root,
    /// Derives the keys of short codes.
    ShortCode,
    /// Tags MSISDNs.
    MsisdnTag,
}

/// A key file without its secret, for a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Where it lies.
    pub path: PathBuf,
    /// What it is for.
    pub purpose: Purpose,
    /// The id of a signing key.
    pub kid: Option<Kid>,
    /// The public key of a signing key, base64url: what a verifier pins of a root.
    pub public_key: Option<String>,
    /// From when until before when a ticket key signs.
    pub window: Option<(Timestamp, Timestamp)>,
}

/// Why a key file could not be written or read. Every message names the file.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// The system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Others could read the secret.
    #[error("{}: mode {mode:03o} lets others at a private key; set 0600", path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not a key file, or not one of that purpose.
    #[error("{}: {what}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong. Never holds the secret.
        what: String,
    },
    /// The keys of a folder do not make a keyring.
    #[error("{}: {source}", path.display())]
    Keyring {
        /// Which folder or file.
        path: PathBuf,
        /// Why.
        source: KeyringError,
    },
}

/// No key file is longer, in bytes.
const FILE_BYTES_MAX: usize = 4_096;
/// One byte more tells a longer file.
const READ_MAX: u64 = 4_097;
/// No folder of keys holds more.
const FILES_MAX: usize = 256;
const EXTENSION: &str = "key";

/// Makes a key from the system's random numbers and writes it to a new file in `directory`, mode 0600, durable when this
/// returns. The name holds the purpose, and a signing key's id. An existing file is never overwritten.
pub fn generate(directory: &Path, new: NewKey) -> Result<Listed, KeyFileError> {
    let mut secret = Zeroizing::new([0_u8; 32]);
    SysRng.try_fill_bytes(secret.as_mut_slice()).map_err(|error| KeyFileError::Io {
        path: directory.to_owned(),
        action: "get random numbers",
        source: io::Error::other(error),
    })?;
    let secret = new.secret(&secret).map_err(|source| KeyFileError::Keyring { path: directory.to_owned(), source })?;
    let mut listed = secret.listed(directory.to_owned());
    let name = match (listed.purpose, listed.kid) {
        (Purpose::Ticket, Some(kid)) => format!("ticket-{kid}"),
        (Purpose::Root, Some(kid)) => format!("root-{kid}"),
        (Purpose::MsisdnTag, _) => "msisdn-tag".to_owned(),
        _ => "short-code".to_owned(),
    };
    listed.path = directory.join(name).with_extension(EXTENSION);
    write_new(&listed.path, &secret.to_toml(&listed))?;
    Ok(listed)
}

/// Reads one key file. Errors: unreadable, readable by others, or not what it says.
pub fn load(path: &Path) -> Result<Secret, KeyFileError> {
    let text = read_private(path)?;
    let content = |what: String| KeyFileError::Content { path: path.to_owned(), what };
    // The parser's own message may quote the line, and with it the secret.
    let mut stored: Stored = toml::from_str(&text)
        .map_err(|error| content(format!("not a key file: {}", error.message().lines().next().unwrap_or_default())))?;
    let secret = decode_secret(&stored.private_key);
    stored.private_key.zeroize();
    let secret = secret.ok_or_else(|| content("private_key is not 32 bytes in base64url without padding".into()))?;
    let new = stored.new_key().map_err(|what| content(what.into()))?;
    let secret = new.secret(&secret).map_err(|source| KeyFileError::Keyring { path: path.to_owned(), source })?;
    if secret.listed(path.to_owned()).public_key != stored.public_key {
        return Err(content("public_key is not that of private_key; the file is damaged".into()));
    }
    Ok(secret)
}

/// All key files of `directory` by name, without their secrets. Errors: as [`load`], at the first bad file.
pub fn list(directory: &Path) -> Result<Vec<Listed>, KeyFileError> {
    let paths = key_paths(directory)?;
    paths.into_iter().map(|path| load(&path).map(|secret| secret.listed(path))).collect()
}

/// The ticket keys of `directory`. Errors: as [`load`], or there is none.
pub fn load_keyring(directory: &Path) -> Result<Keyring, KeyFileError> {
    let mut keys = Vec::new();
    for path in key_paths(directory)? {
        if let Secret::Ticket(key) = load(&path)? {
            keys.push(key);
        }
    }
    Keyring::new(keys).map_err(|source| KeyFileError::Keyring { path: directory.to_owned(), source })
}

/// What is in a file. Unknown entries are refused: a misspelt `not_after` must not be passed over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    purpose: Purpose,
    private_key: String,
    public_key: Option<String>,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
}

impl Stored {
    fn new_key(&self) -> Result<NewKey, &'static str> {
        match (self.purpose, self.not_before, self.not_after) {
            (Purpose::Ticket, Some(not_before), Some(not_after)) => Ok(NewKey::Ticket { not_before, not_after }),
            (Purpose::Ticket, ..) => Err("a ticket key needs not_before and not_after"),
            (Purpose::Root, None, None) => Ok(NewKey::Root),
            (Purpose::ShortCode, None, None) => Ok(NewKey::ShortCode),
            (Purpose::MsisdnTag, None, None) => Ok(NewKey::MsisdnTag),
            _ => Err("only a ticket key has not_before and not_after"),
        }
    }
}

impl NewKey {
    fn secret(self, secret: &[u8; 32]) -> Result<Secret, KeyringError> {
        Ok(match self {
            NewKey::Ticket { not_before, not_after } => Secret::Ticket(SigningKey::new(secret, not_before, not_after)?),
            NewKey::Root => Secret::Root(ed25519_dalek::SigningKey::from_bytes(secret)),
            NewKey::ShortCode => Secret::ShortCode(ShortCodeMaster::new(*secret)),
            NewKey::MsisdnTag => Secret::MsisdnTag(MsisdnTagKey::new(*secret)),
        })
    }
}

impl Secret {
    /// What of it may be shown.
    pub fn listed(&self, path: PathBuf) -> Listed {
        let (purpose, key, window) = match self {
            Secret::Ticket(key) => {
                let public = key.public();
                (Purpose::Ticket, Some(public.key), Some((public.not_before, public.not_after)))
            }
            Secret::Root(key) => (Purpose::Root, Some(key.verifying_key()), None),
            Secret::ShortCode(_) => (Purpose::ShortCode, None, None),
            Secret::MsisdnTag(_) => (Purpose::MsisdnTag, None, None),
        };
        let public_key = key.map(|key| BASE64URL_NOPAD.encode(key.as_bytes()));
        Listed { path, purpose, kid: key.as_ref().map(Kid::of), public_key, window }
    }

    fn bytes(&self) -> &[u8; 32] {
        match self {
            Secret::Ticket(key) => key.secret(),
            Secret::Root(key) => key.as_bytes(),
            Secret::ShortCode(key) => key.secret(),
            Secret::MsisdnTag(key) => key.secret(),
        }
    }

    fn to_toml(&self, listed: &Listed) -> Zeroizing<String> {
        let purpose = match listed.purpose {
            Purpose::Ticket => "ticket",
            Purpose::Root => "root",
            Purpose::ShortCode => "short-code",
            Purpose::MsisdnTag => "msisdn-tag",
        };
        // Large enough from the start: growing would leave copies of the secret behind.
        let mut out = Zeroizing::new(String::with_capacity(512));
        let secret = Zeroizing::new(BASE64URL_NOPAD.encode(self.bytes()));
        let mut line = |name: &str, value: &str| {
            writeln!(out, "{name} = \"{value}\"").expect("a String takes everything");
        };
        line("purpose", purpose);
        line("private_key", &secret);
        if let Some(public_key) = &listed.public_key {
            line("public_key", public_key);
        }
        if let Some((not_before, not_after)) = listed.window {
            line("not_before", &not_before.to_string());
            line("not_after", &not_after.to_string());
        }
        out
    }
}

fn decode_secret(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let bytes = Zeroizing::new(BASE64URL_NOPAD.decode(text.as_bytes()).ok()?);
    bytes.as_slice().try_into().ok().map(Zeroizing::new)
}

fn key_paths(directory: &Path) -> Result<Vec<PathBuf>, KeyFileError> {
    let failed = |source| KeyFileError::Io { path: directory.to_owned(), action: "list the folder", source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            paths.push(path);
        }
        if paths.len() > FILES_MAX {
            let what = format!("more than {FILES_MAX} key files");
            return Err(KeyFileError::Content { path: directory.to_owned(), what });
        }
    }
    paths.sort();
    Ok(paths)
}

fn read_private(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let failed = |action| move |source| KeyFileError::Io { path: path.to_owned(), action, source };
    let file = File::open(path).map_err(failed("open it"))?;
    // Asked of the open file, so that it cannot be exchanged in between.
    let metadata = file.metadata().map_err(failed("see its permissions"))?;
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 && !is_systemd_credential(mode, metadata.uid()) {
        return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES_MAX + 1));
    file.take(READ_MAX).read_to_string(&mut text).map_err(failed("read it"))?;
    if text.len() > FILE_BYTES_MAX {
        let what = format!("longer than {FILE_BYTES_MAX} bytes, so not a key file");
        return Err(KeyFileError::Content { path: path.to_owned(), what });
    }
    Ok(text)
}

/// systemd may grant the service its credential by an ACL: the file is then root's, and its group bits show the mask.
fn is_systemd_credential(mode: u32, owner: u32) -> bool {
    mode == 0o440 && owner == 0
}

fn write_new(path: &Path, text: &str) -> Result<(), KeyFileError> {
    let failed = |action| move |source| KeyFileError::Io { path: path.to_owned(), action, source };
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed("create it"))?;
    file.write_all(text.as_bytes()).map_err(failed("write it"))?;
    file.sync_all().map_err(failed("make it durable"))?;
    let directory = path.parent().unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed("make its name durable"))
}

#[cfg(test)]
mod tests;
