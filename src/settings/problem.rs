use std::fmt;

use thiserror::Error;

/// One thing that is wrong with the configuration, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file that it is written in, or `the environment`; `None` if it is written nowhere: a built-in default, or a key
    /// that is missing.
    pub file: Option<String>,
    /// The key, with dots: `carriers.kcell.smpp.tps`. Empty if the file as a whole is meant.
    pub key: String,
    /// What is wrong there. Never holds a secret.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in [self.file.as_deref(), Some(self.key.as_str()).filter(|key| !key.is_empty())].into_iter().flatten()
        {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.what)
    }
}

/// Everything that is wrong with the configuration. One per line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Error)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// By file and key; what is said of one key keeps its order.
    pub(super) fn in_order(mut self) -> Problems {
        self.0.sort_by(|a, b| (&a.file, &a.key).cmp(&(&b.file, &b.key)));
        self
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}
