//! The three languages in which passengers are answered.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A language that passengers are answered in. Which one is the default is the carrier's setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// Kazakh.
    Kk,
    /// Russian.
    Ru,
    /// English.
    En,
}

/// Not one of the three languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("unknown language; known are kk, ru, en")]
pub struct UnknownLanguage;

impl Language {
    /// All of them, in the order of the documentation.
    pub const ALL: [Language; 3] = [Language::Kk, Language::Ru, Language::En];

    /// The two letters of ISO 639-1.
    pub const fn code(self) -> &'static str {
        match self {
            Language::Kk => "kk",
            Language::Ru => "ru",
            Language::En => "en",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Language {
    type Err = UnknownLanguage;

    fn from_str(code: &str) -> Result<Language, UnknownLanguage> {
        Language::ALL.into_iter().find(|language| language.code() == code).ok_or(UnknownLanguage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_what_serde_writes_and_what_reads_back() {
        for language in Language::ALL {
            assert_eq!(serde_json::to_string(&language).expect("a plain enum"), format!("\"{language}\""));
            assert_eq!(language.code().parse(), Ok(language));
        }
        assert_eq!("KZ".parse::<Language>(), Err(UnknownLanguage));
    }
}
