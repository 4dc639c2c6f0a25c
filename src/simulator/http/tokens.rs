//! Access tokens (RFC 6749): who has which, for what, until when.

use std::{collections::BTreeMap, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::clock::Timestamp;

/// The tokens that are good.
#[derive(Debug)]
pub(in crate::simulator) struct Tokens {
    good: BTreeMap<String, Token>,
    count_max: usize,
    rng: StdRng,
}

/// What a token is good for.
#[derive(Debug)]
struct Token {
    scopes: Vec<String>,
    until: Timestamp,
}

impl Tokens {
    pub(in crate::simulator) fn new(seed: u64, count_max: usize) -> Tokens {
        // Not the seed of payments' ids: a token must not look like one.
        Tokens { good: BTreeMap::new(), count_max, rng: StdRng::seed_from_u64(!seed) }
    }

    /// A new token. None if there are too many.
    pub(super) fn issue(&mut self, scopes: Vec<String>, lifetime: Duration, now: Timestamp) -> Option<String> {
        self.good.retain(|_, token| token.until > now);
        if self.good.len() >= self.count_max {
            return None;
        }
        let octets: [u8; 24] = self.rng.random();
        let token = data_encoding::BASE64URL_NOPAD.encode(&octets);
        self.good.insert(token.clone(), Token { scopes, until: now.plus(lifetime) });
        Some(token)
    }

    /// Whether the token is good now, and for one of these scopes. None if it is not good at all.
    pub(super) fn allows(&self, token: &str, scopes: &[&str], now: Timestamp) -> Option<bool> {
        let token = self.good.get(token).filter(|token| token.until > now)?;
        Some(token.scopes.iter().any(|scope| scopes.contains(&scope.as_str())))
    }

    /// No token is good any more.
    pub(in crate::simulator) fn clear(&mut self) {
        self.good.clear();
    }
}
