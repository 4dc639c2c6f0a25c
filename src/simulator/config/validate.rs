//! What the types of a configuration cannot check.

use super::{DAY_MS, Limits, Redelivery, SimulatorConfig};
use crate::simulator::{
    config::{BindsMax, ConfigError},
    faults::FaultRule,
};

impl SimulatorConfig {
    /// Checks what types cannot. Errors: the first value that cannot work, by its key.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_ascii("system_id", &self.system_id, 15)?;
        check_ascii("password", &self.password, 8)?;
        if self.control_listen.is_some_and(|address| !address.ip().is_loopback()) {
            return Err(value("control_listen", "the control has no password and listens on loopback only"));
        }
        for (code, price) in &self.tariffs {
            check_ascii("tariffs", code, 64)?;
            if code.is_empty() || *price <= 0 {
                return Err(value("tariffs", format!("{code:?}: needs a code and a price of at least one minor unit")));
            }
        }
        for (address, code) in &self.source_addresses {
            check_ascii("source_addresses", address, 20)?;
            if !self.tariffs.contains_key(code) {
                return Err(value(
                    "source_addresses",
                    format!("{address:?} names tariff {code:?}, which is not there"),
                ));
            }
        }
        if let Some(refunds) = &self.refunds {
            check_ascii("refunds.service_type", &refunds.service_type, 5)?;
            if refunds.service_type.is_empty() {
                return Err(value("refunds.service_type", "without one, every message would give money back"));
            }
        }
        for (key, range) in
            [("delivery_delay_ms", self.delivery_delay_ms), ("response_delay_ms", self.response_delay_ms)]
        {
            if range.min > range.max || range.max > DAY_MS {
                return Err(value(key, "min must not be above max, and max not above a day"));
            }
        }
        self.zone()?;
        self.redelivery.validate()?;
        self.limits.validate()?;
        self.http.validate()?;
        if self.window_max == 0 {
            return Err(value("window_max", "must be at least 1"));
        }
        for (key, tps_max) in [("tps_max", self.tps_max), ("bind_tps_max", self.bind_tps_max)] {
            if tps_max == Some(0) {
                return Err(value(key, "must be at least 1; leave it out for no limit"));
            }
        }
        self.binds_max.validate()?;
        if self.smpp_listen_more.len() > LISTENERS_MAX {
            return Err(value("smpp_listen_more", format!("at most {LISTENERS_MAX} addresses")));
        }
        if self.enquire_link_every_ms.is_some_and(|ms| !(1..=DAY_MS).contains(&ms)) {
            return Err(value("enquire_link_every_ms", "must be between 1 ms and a day; leave it out for never"));
        }
        if !(1..=0x7FFF_FFFF).contains(&self.first_sequence) {
            return Err(value("first_sequence", "must be between 1 and 0x7FFFFFFF"));
        }
        if self.subscribers.len() > self.limits.subscribers_max {
            return Err(value(
                "subscribers",
                format!("more than limits.subscribers_max = {}", self.limits.subscribers_max),
            ));
        }
        self.faults.iter().try_for_each(FaultRule::validate).map_err(|problem| value("faults", problem))
    }
}

impl BindsMax {
    fn validate(&self) -> Result<(), ConfigError> {
        if [self.all, self.transceiver, self.transmitter, self.receiver].contains(&Some(0)) {
            return Err(value("binds_max", "must be at least 1; leave it out for no limit"));
        }
        Ok(())
    }
}

impl Redelivery {
    fn validate(&self) -> Result<(), ConfigError> {
        let all = [self.acknowledge_within_ms, self.backoff_min_ms, self.backoff_max_ms, self.mo_patience_ms];
        if all.contains(&0) || all.into_iter().any(|ms| ms > DAY_MS) {
            return Err(value("redelivery", "times must be between 1 ms and a day"));
        }
        if self.backoff_min_ms > self.backoff_max_ms {
            return Err(value("redelivery.backoff_min_ms", "must not be above backoff_max_ms"));
        }
        if self.mo_tries_max == 0 || self.window == 0 || self.window > 10_000 {
            return Err(value("redelivery", "mo_tries_max must be at least 1, and window between 1 and 10000"));
        }
        Ok(())
    }
}

impl Limits {
    fn validate(&self) -> Result<(), ConfigError> {
        let counts = [
            self.connections_max,
            self.messages_pending_max,
            self.messages_kept_max,
            self.deliveries_max,
            self.ledger_entries_max,
            self.subscribers_max,
            self.inbox_messages_max,
        ];
        if counts.contains(&0) || counts.into_iter().any(|count| count > LIMIT_MAX) {
            return Err(value("limits", format!("every count must be between 1 and {LIMIT_MAX}")));
        }
        if self.bind_within_ms == 0 || self.bind_within_ms > DAY_MS {
            return Err(value("limits.bind_within_ms", "must be between 1 ms and a day"));
        }
        // A pending message must stay known until it is delivered.
        if self.messages_kept_max < self.messages_pending_max {
            return Err(value("limits.messages_kept_max", "must not be below messages_pending_max"));
        }
        Ok(())
    }
}

/// Addresses beside the first.
const LISTENERS_MAX: usize = 16;
/// No bound may be set above this.
const LIMIT_MAX: usize = 100_000_000;

pub(in crate::simulator) fn value(key: &'static str, problem: impl ToString) -> ConfigError {
    ConfigError::Value { key, problem: problem.to_string() }
}

fn check_ascii(key: &'static str, text: &str, length_max: usize) -> Result<(), ConfigError> {
    if text.len() > length_max || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(value(
            key,
            format!("{text:?} must be at most {length_max} printable ASCII characters, without spaces"),
        ));
    }
    Ok(())
}
