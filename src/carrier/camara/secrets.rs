use zeroize::Zeroizing;

use crate::tls::TlsMaterials;

/// What a carrier is reached with and no configuration may hold: read from the files that it names.
#[derive(Clone, Default)]
pub struct CamaraSecrets {
    /// The secret of our client id.
    pub client_secret: Zeroizing<String>,
    /// Tokens that the carrier may call us back with. The first is given to it; the others are still taken, so that a token can
    /// be replaced while events are under way.
    pub callback_tokens: Vec<Zeroizing<String>>,
    /// For TLS; `None` for what the system trusts.
    pub tls: Option<TlsMaterials>,
}

impl std::fmt::Debug for CamaraSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CamaraSecrets")
    }
}
