use std::{collections::BTreeMap, fmt};

use minijinja::Value;
use zeroize::Zeroizing;

use crate::{carrier::transcript, tls::TlsMaterials};

/// What a profile's secrets are: read from the files that the configuration names, shown to nobody.
#[derive(Clone)]
pub struct HttpSecrets {
    secrets: BTreeMap<String, Zeroizing<String>>,
    /// The same, as templates want them.
    variables: Value,
    tls: Option<TlsMaterials>,
}

impl HttpSecrets {
    /// From names and values.
    pub fn new<N: Into<String>>(secrets: impl IntoIterator<Item = (N, Zeroizing<String>)>) -> HttpSecrets {
        let secrets: BTreeMap<String, Zeroizing<String>> =
            secrets.into_iter().map(|(name, secret)| (name.into(), secret)).collect();
        let variables = secrets.iter().map(|(name, secret)| (name.clone(), secret.as_str().into()));
        HttpSecrets { variables: Value::from(variables.collect::<BTreeMap<String, Value>>()), secrets, tls: None }
    }

    /// With what TLS is made of; without it, with what the system trusts.
    #[must_use]
    pub fn with_tls(self, tls: TlsMaterials) -> HttpSecrets {
        HttpSecrets { tls: Some(tls), ..self }
    }

    /// What TLS is made of.
    pub fn tls(&self) -> Option<&TlsMaterials> {
        self.tls.as_ref()
    }

    /// Something in the place of each of `names`, to see a request without knowing them: `***sign***`.
    pub fn masks<'a>(names: impl IntoIterator<Item = &'a str>) -> HttpSecrets {
        HttpSecrets::new(names.into_iter().map(|name| (name, Zeroizing::new(format!("***{name}***")))))
    }

    /// The secret of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.secrets.get(name).map(|secret| secret.as_str())
    }

    /// The names that there are.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.secrets.keys().map(String::as_str)
    }

    /// `text` without them, wherever they stand in it.
    pub(super) fn without(&self, text: String) -> String {
        self.secrets.values().fold(text, |text, secret| transcript::without(text, secret))
    }

    pub(super) fn as_variables(&self) -> Value {
        self.variables.clone()
    }
}

impl Default for HttpSecrets {
    fn default() -> HttpSecrets {
        HttpSecrets::new::<String>([])
    }
}

impl fmt::Debug for HttpSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpSecrets")
    }
}
