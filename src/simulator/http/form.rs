//! Forms (`application/x-www-form-urlencoded`), in bodies and in queries.

use super::desk::Call;

/// Names and values, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Form {
    fields: Vec<(String, String)>,
}

impl Form {
    /// The form in a body. Errors: another media type, no UTF-8, a field twice.
    pub(super) fn read(call: &Call) -> Result<Form, String> {
        if call.media_type() != "application/x-www-form-urlencoded" {
            return Err(format!("Content-Type {:?}, not application/x-www-form-urlencoded", call.media_type()));
        }
        let form = Form::parse(&call.body);
        for (at, (name, value)) in form.fields.iter().enumerate() {
            if value.contains('\u{FFFD}') {
                return Err(format!("{name}: not UTF-8"));
            }
            if form.fields.iter().take(at).any(|(before, _)| before == name) {
                return Err(format!("{name}: twice"));
            }
        }
        Ok(form)
    }

    /// The fields of a query, which may have one several times.
    pub(super) fn query(call: &Call) -> Form {
        Form::parse(call.uri.query().unwrap_or_default().as_bytes())
    }

    fn parse(octets: &[u8]) -> Form {
        Form { fields: url::form_urlencoded::parse(octets).into_owned().collect() }
    }

    /// Errors: a field of another name.
    pub(super) fn only(&self, names: &[&str]) -> Result<(), String> {
        match self.fields.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            Some((name, _)) => Err(format!("{name}: no such field")),
            None => Ok(()),
        }
    }

    /// The first value of a field.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a field.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// A field that must be there and not empty. Errors: which one is not.
    pub(super) fn need(&self, name: &str) -> Result<&str, String> {
        self.get(name).filter(|value| !value.is_empty()).ok_or_else(|| format!("{name}: missing"))
    }
}
