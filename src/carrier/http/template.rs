//! Templates: what a profile writes around the values of a charge. Each value is escaped for where it stands, by construction: a template
//! cannot print one any other way.

use std::{borrow::Cow, fmt::Write as _};

use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value, filters, value::Object,
};
use thiserror::Error as ThisError;

/// Instructions that one rendering may take. A request takes dozens.
const FUEL: u64 = 20_000;
/// The longest that a template may become, in bytes.
const RENDERED_BYTES_MAX: usize = 64 * 1024;

/// Where a template stands, and so how values are written in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// As they are: fields of a form or a query (which are encoded as a whole later), headers, the text under a signature.
    Plain,
    /// As whole JSON values: texts bring their quotes.
    Json,
    /// As text or attribute of XML 1.0.
    Xml,
    /// As part of a URL's path.
    Url,
}

impl Escape {
    const fn suffix(self) -> &'static str {
        match self {
            Escape::Plain => "#plain",
            Escape::Json => "#json",
            Escape::Xml => "#xml",
            Escape::Url => "#url",
        }
    }

    fn of_template(name: &str) -> Escape {
        [Escape::Json, Escape::Xml, Escape::Url]
            .into_iter()
            .find(|escape| name.ends_with(escape.suffix()))
            .unwrap_or(Escape::Plain)
    }
}

/// Why a template gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
pub enum TemplateError {
    /// It prints a value that there may be, and that is not there now: the carrier's id before it is known.
    #[error("{0} is not known")]
    NotKnown(String),
    /// It is wrong.
    #[error("{0}")]
    Wrong(String),
}

/// A template of a profile, compiled under its key.
#[derive(Clone, Debug)]
pub(super) struct Template(Source);

#[derive(Clone, Debug)]
enum Source {
    /// Without a placeholder: always the same.
    Fixed(String),
    /// By its name in the environment.
    Compiled(String),
}

/// The templates of one profile.
#[derive(Clone, Debug)]
pub(super) struct Templates(Environment<'static>);

impl Templates {
    /// None yet. There are no functions, no loaders, and only filters that give the same for the same.
    pub(super) fn new() -> Templates {
        let mut environment = Environment::empty();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_formatter(write_escaped);
        // What a block captures was written for its place already, and is marked so.
        environment.set_auto_escape_callback(|_| AutoEscape::Custom("by place".into()));
        environment.set_debug(false);
        environment.add_filter("upper", filters::upper);
        environment.add_filter("lower", filters::lower);
        environment.add_filter("trim", filters::trim);
        environment.add_filter("replace", filters::replace);
        environment.add_filter("length", filters::length);
        environment.add_filter("number", number);
        Templates(environment)
    }

    /// Compiles the template that stands at `key`. Errors: it is no template.
    pub(super) fn add(&mut self, key: &str, escape: Escape, source: &str) -> Result<Template, TemplateError> {
        if !source.contains("{{") && !source.contains("{%") && !source.contains("{#") {
            return Ok(Template(Source::Fixed(source.to_owned())));
        }
        let name = format!("{key}{}", escape.suffix());
        self.0.add_template_owned(name.clone(), source.to_owned()).map_err(wrong)?;
        Ok(Template(Source::Compiled(name)))
    }

    /// The template filled with `values`. Errors: it cannot be, with the values as they are.
    pub(super) fn render<'a>(&self, template: &'a Template, values: &Value) -> Result<Cow<'a, str>, TemplateError> {
        let name = match &template.0 {
            Source::Fixed(text) => return Ok(Cow::Borrowed(text)),
            Source::Compiled(name) => name,
        };
        let rendered = self.0.get_template(name).and_then(|template| template.render(values.clone())).map_err(wrong)?;
        if rendered.len() > RENDERED_BYTES_MAX {
            return Err(TemplateError::Wrong(format!("it became longer than {RENDERED_BYTES_MAX} bytes")));
        }
        Ok(Cow::Owned(rendered))
    }
}

fn wrong(error: Error) -> TemplateError {
    let detail = error.detail().map(str::to_owned).unwrap_or_else(|| error.kind().to_string());
    if let Some(name) = detail.strip_prefix(NOT_KNOWN) {
        return TemplateError::NotKnown(name.to_owned());
    }
    let line = error.line().map(|line| format!(" (line {line} of the template)")).unwrap_or_default();
    TemplateError::Wrong(match error.kind() {
        ErrorKind::UndefinedError => format!("there is no such variable here{line}: {detail}"),
        kind => format!("{kind}{line}: {detail}"),
    })
}

/// A value that there may be in this operation, and is not there now. It is false in a condition, and cannot be printed.
#[derive(Debug)]
pub(super) struct NotKnown(pub(super) &'static str);

const NOT_KNOWN: &str = "not known: ";

impl Object for NotKnown {
    fn is_true(self: &std::sync::Arc<Self>) -> bool {
        false
    }
}

/// A text that is a decimal number, to be written without quotes.
#[derive(Debug)]
struct Decimal(String);

impl Object for Decimal {}

/// `{{ amount.major | number }}`: an exact decimal text as a JSON number.
fn number(value: &Value) -> Result<Value, Error> {
    let text = value.as_str().map(str::to_owned).or_else(|| value.is_integer().then(|| value.to_string()));
    let text = text.filter(|text| is_json_number(text));
    let wrong = || Error::new(ErrorKind::InvalidOperation, "`number` wants an exact decimal such as 80.50");
    text.map(|text| Value::from_object(Decimal(text))).ok_or_else(wrong)
}

fn is_json_number(text: &str) -> bool {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let whole = whole.strip_prefix('-').unwrap_or(whole);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && (whole == "0" || !whole.starts_with('0')) && fraction.is_none_or(digits)
}

/// Writes a value for where it stands. Nothing else writes values.
fn write_escaped(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let refuse = |what: String| Err(Error::new(ErrorKind::InvalidOperation, what));
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    if let Some(NotKnown(name)) = value.downcast_object_ref() {
        return refuse(format!("{NOT_KNOWN}{name}"));
    }
    if value.is_safe() {
        return refuse("a block that was captured cannot be printed: it would be escaped twice".into());
    }
    let escape = Escape::of_template(state.name());
    if let Some(Decimal(text)) = value.downcast_object_ref() {
        return out.write_str(text).map_err(Error::from);
    }
    if let Some(text) = value.as_str() {
        return write_text(out, escape, text);
    }
    if value.is_integer() {
        return write!(out, "{value}").map_err(Error::from);
    }
    match bool::try_from(value.clone()) {
        Ok(flag) if !value.is_none() => out.write_str(if flag { "true" } else { "false" }).map_err(Error::from),
        _ => refuse(format!("a {} cannot be printed: name one of its parts, such as amount.major", value.kind())),
    }
}

fn write_text(out: &mut Output<'_>, escape: Escape, text: &str) -> Result<(), Error> {
    let written = match escape {
        Escape::Plain => out.write_str(text),
        Escape::Json => {
            let quoted = serde_json::to_string(text)
                .map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?;
            out.write_str(&quoted)
        }
        Escape::Xml => out.write_str(&in_xml(text)?),
        Escape::Url => out.write_str(&in_path(text)),
    };
    written.map_err(Error::from)
}

/// Escaped so that text and attributes read back the same, line ends and tabs included (XML 1.0, 2.11 and 3.3.3).
fn in_xml(text: &str) -> Result<String, Error> {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\t' | '\n' | '\r' => {
                write!(escaped, "&#{};", u32::from(c)).map_err(Error::from)?;
            }
            // XML 1.0, 2.2: these cannot be said at all.
            '\0'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}' => {
                return Err(Error::new(ErrorKind::InvalidOperation, "a control character cannot stand in XML"));
            }
            c => escaped.push(c),
        }
    }
    Ok(escaped)
}

/// Percent-encoded but for RFC 3986's unreserved characters.
fn in_path(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}
