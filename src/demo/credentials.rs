//! What the daemon and the carriers know each other by, drawn anew for each morning.

use data_encoding::HEXLOWER;

/// The folder of their files, beside the daemon's configuration.
pub(super) const FOLDER: &str = "credentials";

/// One secret for each door.
#[derive(Debug)]
pub(super) struct Credentials {
    /// The password of every bind: at most 8 characters (SMPP 3.4, 4.1.1).
    pub(super) smsc: String,
    /// For CAMARA's access tokens.
    pub(super) camara_client: String,
    /// What CAMARA carriers call back with.
    pub(super) callback: String,
    /// What altel's requests and notifications are signed with.
    pub(super) sign: String,
    /// Beeline's token for questions about its subscribers.
    pub(super) facts: String,
}

impl Credentials {
    pub(super) fn drawn() -> Credentials {
        Credentials {
            smsc: secret::<4>(),
            camara_client: secret::<16>(),
            callback: secret::<16>(),
            sign: secret::<16>(),
            facts: secret::<16>(),
        }
    }

    /// Each with the name of its file.
    pub(super) fn files(&self) -> [(&'static str, &str); 5] {
        [
            ("smsc", &self.smsc),
            ("camara-client", &self.camara_client),
            ("callback", &self.callback),
            ("sign", &self.sign),
            ("facts", &self.facts),
        ]
    }
}

/// Random bytes in hex.
pub(super) fn secret<const BYTES: usize>() -> String {
    HEXLOWER.encode(&rand::random::<[u8; BYTES]>())
}
