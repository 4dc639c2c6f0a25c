use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

/// What a carrier said of a charge, word for word. Personal data may be in it, so it is kept beside the journal, which has its digest:
/// it can be erased, and what is left still proves what it was. The salt is erased with it, or the digest could be tried with all
/// telephone numbers.
#[derive(Clone, PartialEq, Eq)]
pub struct Verbatim {
    /// The words.
    pub words: String,
    /// Sixteen bytes that nobody can guess.
    pub salt: [u8; 16],
}

impl Verbatim {
    /// These words with a salt of their own.
    pub fn new(words: &str, salt: [u8; 16]) -> Verbatim {
        Verbatim { words: words.to_owned(), salt }
    }

    /// SHA-256 over salt and words, in base64url.
    pub fn digest(&self) -> String {
        let digest = Sha256::new().chain_update(self.salt).chain_update(&self.words).finalize();
        BASE64URL_NOPAD.encode(&digest)
    }
}

/// Logs and panics show no words of a carrier.
impl fmt::Debug for Verbatim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verbatim({} bytes)", self.words.len())
    }
}
