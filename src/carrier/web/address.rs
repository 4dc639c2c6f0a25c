use std::{fmt, ops::Deref};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::{Host, Url};

/// An address of HTTP in a configuration: `https://host/…`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebAddress(Url);

/// A text that is no such address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("want https://host/…: {0}")]
pub struct WebAddressError(String);

impl WebAddress {
    /// Whether what goes there can be read on the way: it is not `https`, and not on this machine.
    pub fn is_exposed(&self) -> bool {
        let is_local = match self.0.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        self.0.scheme() != "https" && !is_local
    }

    /// Whether it is a base that paths can be added to: without user, query and fragment.
    pub fn is_base(&self) -> bool {
        self.0.query().is_none()
            && self.0.fragment().is_none()
            && self.0.username().is_empty()
            && self.0.password().is_none()
    }
}

impl Deref for WebAddress {
    type Target = Url;

    fn deref(&self) -> &Url {
        &self.0
    }
}

impl TryFrom<String> for WebAddress {
    type Error = WebAddressError;

    fn try_from(text: String) -> Result<WebAddress, WebAddressError> {
        let url: Url = text.parse().map_err(|error: url::ParseError| WebAddressError(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(WebAddressError("neither http nor https".into()));
        }
        Ok(WebAddress(url))
    }
}

impl From<WebAddress> for String {
    fn from(address: WebAddress) -> String {
        address.0.into()
    }
}

impl fmt::Debug for WebAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<WebAddress, WebAddressError> {
        WebAddress::try_from(text.to_owned())
    }

    #[test]
    fn only_web_addresses_are_taken() {
        assert!(read("https://api.example.kz/v1").is_ok());
        for text in ["", "api.example.kz", "ftp://api.example.kz", "https://", "file:///etc/passwd", "/v1"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn in_the_clear_is_fine_on_this_machine_only() {
        for (text, exposed) in [
            ("https://api.example.kz", false),
            ("http://api.example.kz", true),
            ("http://127.0.0.1:8080", false),
            ("http://[::1]:8080", false),
            ("http://localhost", false),
            ("http://localhost.example.kz", true),
            ("http://10.0.0.1", true),
        ] {
            assert_eq!(read(text).unwrap().is_exposed(), exposed, "{text}");
        }
        assert!(!read("https://user:pass@host/").unwrap().is_base());
        assert!(!read("https://host/?a=1").unwrap().is_base());
    }
}
