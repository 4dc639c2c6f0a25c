use super::{SqliteConfig, StoreError};

/// The store that a text names.
#[derive(Clone, Debug)]
pub(super) enum Address {
    Memory,
    Sqlite(SqliteConfig),
    /// The whole text, which may hold a password.
    Postgres(String),
}

impl Address {
    /// Reads `sqlite:///var/lib/smsbusd/smsbusd.db` (three slashes before an absolute path, two before a relative one),
    /// `postgres://user@host/database` (as libpq takes it) or `memory:`.
    ///
    /// Errors: the text names no store.
    pub(super) fn read(url: &str) -> Result<Address, StoreError> {
        let wrong = |why| Err(StoreError::Address { url: without_password(url), why });
        if ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Ok(Address::Postgres(url.into()));
        }
        match (url, url.strip_prefix("sqlite://")) {
            ("memory:", _) => Ok(Address::Memory),
            (_, None) => wrong("the scheme is none of sqlite://, postgres:// and memory:"),
            (_, Some("" | "/")) => wrong("the path is missing"),
            (_, Some(path)) if path.contains(['?', '#']) => wrong("options are not read here"),
            (_, Some(path)) => Ok(Address::Sqlite(SqliteConfig::new(path))),
        }
    }
}

/// For people. What stands between the first `://` and the last `@` may be a name with a password.
pub(super) fn without_password(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => format!("{}…{}", &url[..scheme + 3], &url[at..]),
        _ => url.into(),
    }
}
