//! What the types of the HTTP configuration cannot check.

use super::{CallbackConfig, CamaraConfig, CisConfig, ConfigError, DelayRange, FactsConfig, HttpConfig, OneApiConfig};
use crate::simulator::config::{DAY_MS, value};

/// No bound may be set above this.
const LIMIT_MAX: usize = 100_000_000;
/// The longest secret, name or path.
const TEXT_MAX: usize = 256;

impl HttpConfig {
    /// Errors: the first value that cannot work, by its key.
    pub(in crate::simulator) fn validate(&self) -> Result<(), ConfigError> {
        if self.carrier.is_empty() || self.carrier.len() > TEXT_MAX {
            return Err(value("http.carrier", format!("needs a name of at most {TEXT_MAX} bytes")));
        }
        delay("http.response_delay_ms", self.response_delay_ms)?;
        if !(1..=DAY_MS).contains(&self.reservation_ms) {
            return Err(value("http.reservation_ms", "must be between 1 ms and a day"));
        }
        if self.amount_min_minor < 1 {
            return Err(value("http.amount_min_minor", "must be at least 1"));
        }
        if self.amount_max_minor.is_some_and(|most| most < self.amount_min_minor) {
            return Err(value("http.amount_max_minor", "must not be below amount_min_minor"));
        }
        if self.requests_per_s_max == Some(0) {
            return Err(value("http.requests_per_s_max", "must be at least 1; leave it out for no limit"));
        }
        self.camara.as_ref().map_or(Ok(()), CamaraConfig::validate)?;
        self.oneapi.as_ref().map_or(Ok(()), OneApiConfig::validate)?;
        self.cis.as_ref().map_or(Ok(()), CisConfig::validate)?;
        self.facts.as_ref().map_or(Ok(()), FactsConfig::validate)?;
        self.callbacks.validate()?;
        let limits = &self.limits;
        let counts = [
            limits.connections_max,
            limits.payments_max,
            limits.tokens_max,
            limits.callbacks_max,
            limits.body_bytes_max,
        ];
        if counts.into_iter().any(|count| count == 0 || count > LIMIT_MAX) {
            return Err(value("http.limits", format!("every limit must be between 1 and {LIMIT_MAX}")));
        }
        Ok(())
    }
}

impl CamaraConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        base_path("http.camara.base_path", &self.base_path)?;
        secret("http.camara.client_id", &self.client_id)?;
        secret("http.camara.client_secret", &self.client_secret)?;
        delay("http.camara.processing_ms", self.processing_ms)?;
        if !(1..=DAY_MS / 1_000).contains(&self.token_lifetime_s) {
            return Err(value("http.camara.token_lifetime_s", "must be between a second and a day"));
        }
        for (key, count) in [
            ("http.camara.otp_tries_max", Some(self.otp_tries_max)),
            ("http.camara.per_page_max", Some(self.per_page_max)),
            ("http.camara.list_max", self.list_max),
        ] {
            if count == Some(0) {
                return Err(value(key, "must be at least 1"));
            }
        }
        Ok(())
    }
}

impl OneApiConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        base_path("http.oneapi.base_path", &self.base_path)?;
        secret("http.oneapi.password", &self.password)?;
        if self.username.contains(':') {
            return Err(value("http.oneapi.username", "basic authentication cannot carry a colon in it"));
        }
        secret("http.oneapi.username", &self.username)
    }
}

impl CisConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        secret("http.cis.secret", &self.secret)?;
        delay("http.cis.processing_ms", self.processing_ms)?;
        if let Some(text) = &self.notify_url {
            web_address("http.cis.notify_url", text)?;
        }
        Ok(())
    }
}

impl FactsConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        secret("http.facts.secret", &self.secret)?;
        secret("http.facts.token", &self.token)
    }
}

impl CallbackConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        delay("http.callbacks.delay_ms", self.delay_ms)?;
        if self.tries_max == 0 || self.tries_max > 1_000 {
            return Err(value("http.callbacks.tries_max", "must be between 1 and 1000"));
        }
        if !(1..=DAY_MS).contains(&self.backoff_ms) {
            return Err(value("http.callbacks.backoff_ms", "must be between 1 ms and a day"));
        }
        if !(1..=DAY_MS).contains(&self.answer_within_ms) {
            return Err(value("http.callbacks.answer_within_ms", "must be between 1 ms and a day"));
        }
        match &self.origin {
            Some(text) => web_address("http.callbacks.origin", text),
            None => Ok(()),
        }
    }
}

fn delay(key: &'static str, range: DelayRange) -> Result<(), ConfigError> {
    if range.min > range.max || range.max > DAY_MS {
        return Err(value(key, "min must not be above max, and max not above a day"));
    }
    Ok(())
}

fn secret(key: &'static str, text: &str) -> Result<(), ConfigError> {
    if text.is_empty() || text.len() > TEXT_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(value(key, format!("needs 1 to {TEXT_MAX} printable ASCII characters, without spaces")));
    }
    Ok(())
}

fn base_path(key: &'static str, path: &str) -> Result<(), ConfigError> {
    let segment = |segment: &str| {
        !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b))
    };
    let good = path.is_empty() || path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(segment));
    if !good || path.len() > TEXT_MAX {
        return Err(value(key, format!("{path:?} must be empty, or like \"/open-gateway/kz\"")));
    }
    Ok(())
}

fn web_address(key: &'static str, text: &str) -> Result<(), ConfigError> {
    let parsed = url::Url::parse(text).map_err(|error| value(key, format!("{text:?}: {error}")))?;
    match (parsed.scheme(), parsed.host_str()) {
        ("http" | "https", Some(_)) => Ok(()),
        _ => Err(value(key, format!("{text:?} must begin with http:// or https:// and a host"))),
    }
}
