//! From a carrier's answer to what it says of the attempt. Whatever a row does not list, whatever cannot be read and whatever speaks of
//! something else is in doubt where money was asked for (M2), and says nothing where only a question was asked (M8).

use minijinja::Value;
use reqwest::StatusCode;

use super::{
    Context, HttpSecrets, Meaning, Operation, Profile,
    body::{Body, Place, Unreadable, decoded},
    decimal::{read_amount, same_decimal},
    document::{AmountUnit, Comparison, Content},
    template::Template,
};
use crate::{
    charge::{Doubt, Finding, Reason, Retry},
    money::{Currency, Money},
    msisdn::Msisdn,
};

/// Characters of a carrier's id that we keep; a longer one is not an id.
const CARRIER_ID_CHARS_MAX: usize = 128;
/// Characters of a carrier's explanation that we keep.
const DETAIL_CHARS_MAX: usize = 200;

/// What an answer was read as, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What it says of the attempt.
    pub finding: Finding,
    /// What the table makes of it; `None` if no row fits.
    pub meaning: Option<Meaning>,
    /// Which row that was, from 0.
    pub row: Option<usize>,
    /// The carrier's result.
    pub result: Option<String>,
    /// What tells more of it.
    pub qualifier: Option<String>,
    /// The carrier's id.
    pub carrier_id: Option<String>,
    /// The amount that it names.
    pub amount: Option<Money>,
    /// In the carrier's words.
    pub detail: String,
    /// Why it is not believed, if so.
    pub trouble: Option<String>,
}

/// A row of a table, to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRow {
    /// `404`, `5xx`, or empty for any.
    pub status: String,
    /// The results that it lists, with their qualifiers.
    pub result: String,
    /// What they mean.
    pub means: Meaning,
    /// Whether it holds as well where the body cannot be read.
    pub any_body: bool,
}

/// How the answers to one operation are read, compiled.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) key: String,
    pub(super) places: Places,
    pub(super) echoes: Vec<Echo>,
    pub(super) rows: Vec<Row>,
    pub(super) not_found_is_complete: bool,
}

/// Where things stand in a body.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub(super) content: Content,
    pub(super) result: Vec<Place>,
    pub(super) qualifier: Vec<Place>,
    pub(super) carrier_id: Vec<Place>,
    pub(super) second_id: Option<SecondId>,
    pub(super) amount: Vec<Place>,
    pub(super) amount_unit: AmountUnit,
    pub(super) currency: Vec<Place>,
    pub(super) detail: Vec<Place>,
}

/// Where a second id stands. Both are kept as one text, with a space between them.
#[derive(Clone, Debug)]
pub(super) struct SecondId {
    pub(super) at: Vec<Place>,
    pub(super) after: String,
}

/// What a good answer repeats.
#[derive(Clone, Debug)]
pub(super) struct Echo {
    pub(super) at: Place,
    pub(super) written: String,
    pub(super) equals: Template,
    pub(super) compare: Comparison,
    pub(super) optional: bool,
}

/// One row of a table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) status: Option<StatusPattern>,
    pub(super) results: Vec<String>,
    pub(super) qualifiers: Vec<String>,
    pub(super) means: Meaning,
    pub(super) any_body: bool,
}

/// Which HTTP statuses a row is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StatusPattern {
    Exact(u16),
    /// The hundreds: 5 for `5xx`.
    Class(u16),
}

impl StatusPattern {
    pub(super) fn fits(self, status: StatusCode) -> bool {
        match self {
            StatusPattern::Exact(exact) => status.as_u16() == exact,
            StatusPattern::Class(class) => status.as_u16() / 100 == class,
        }
    }
}

impl Row {
    fn shown(&self) -> TableRow {
        let status = match self.status {
            None => String::new(),
            Some(StatusPattern::Exact(status)) => status.to_string(),
            Some(StatusPattern::Class(class)) => format!("{class}xx"),
        };
        let qualifier =
            if self.qualifiers.is_empty() { String::new() } else { format!(" + {}", self.qualifiers.join(", ")) };
        TableRow {
            status,
            result: format!("{}{qualifier}", self.results.join(", ")),
            means: self.means,
            any_body: self.any_body,
        }
    }

    /// How exactly it fits, the smallest first; `None` if it does not.
    fn rank(&self, status: StatusCode, found: Option<&Found>) -> Option<u8> {
        if !(found.is_some() || self.any_body) || !self.status.is_none_or(|pattern| pattern.fits(status)) {
            return None;
        }
        let lists = |listed: &[String], value: Option<&String>| {
            listed.is_empty() || value.is_some_and(|value| listed.contains(value))
        };
        let result = found.and_then(|found| found.result.as_ref());
        let qualifier = found.and_then(|found| found.qualifier.as_ref());
        if !lists(&self.results, result) || !lists(&self.qualifiers, qualifier) {
            return None;
        }
        let by_status = match (self.status, self.results.is_empty()) {
            (Some(StatusPattern::Exact(_)), false) => 0,
            (Some(StatusPattern::Class(_)), false) => 1,
            (None, false) => 2,
            (Some(StatusPattern::Exact(_)), true) => 3,
            (Some(StatusPattern::Class(_)), true) => 4,
            (None, true) => return None,
        };
        // A row that says more goes before every row that says less.
        Some(if self.qualifiers.is_empty() { by_status + 5 } else { by_status })
    }
}

/// The most exact row that fits; of two that are as exact, the first. `found`: what stands in the body, if that could be read.
pub(super) fn choose<'r>(rows: &'r [Row], status: StatusCode, found: Option<&Found>) -> Option<(usize, &'r Row)> {
    let fitting = rows.iter().enumerate().filter_map(|(n, row)| Some((row.rank(status, found)?, n, row)));
    fitting.min_by_key(|(rank, n, _)| (*rank, *n)).map(|(_, n, row)| (n, row))
}

/// What stands in a body, before it means anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) result: Option<String>,
    pub(super) qualifier: Option<String>,
    pub(super) carrier_id: Option<String>,
    pub(super) amount: Option<Money>,
    pub(super) detail: String,
    /// An amount or a currency that cannot be read.
    pub(super) bad_amount: Option<String>,
}

impl Places {
    /// Errors: the body is ambiguous.
    pub(super) fn find(&self, body: &Body<'_>, expected: Currency) -> Result<Found, Unreadable> {
        let text = |places: &[Place]| body.first(places).map(|found| found.map(std::borrow::Cow::into_owned));
        let mut found = Found {
            result: text(&self.result)?,
            qualifier: text(&self.qualifier)?,
            carrier_id: self.carrier_id(body)?,
            detail: text(&self.detail)?.map(|detail| shortened(&detail)).unwrap_or_default(),
            ..Found::default()
        };
        let mut currency = expected;
        if let Some(written) = text(&self.currency)? {
            match written.parse() {
                Ok(read) => currency = read,
                Err(_) => found.bad_amount = Some(format!("unknown currency {:?}", shortened(&written))),
            }
        }
        if let Some(written) = text(&self.amount)? {
            found.amount = read_amount(&written, self.amount_unit, currency);
            if found.amount.is_none() {
                found.bad_amount = Some(format!("{:?} is no amount", shortened(&written)));
            }
        } else if currency != expected {
            found.bad_amount = Some(format!("the answer is in {currency}"));
        }
        Ok(found)
    }
}

impl Places {
    fn carrier_id(&self, body: &Body<'_>) -> Result<Option<String>, Unreadable> {
        let text = |places: &[Place]| body.first(places).map(|found| found.filter(|id| is_an_id(id)));
        let Some(first) = text(&self.carrier_id)? else { return Ok(None) };
        let Some(second_id) = &self.second_id else { return Ok(Some(first.into_owned())) };
        let Some(second) = text(&second_id.at)? else { return Ok(None) };
        let after = second_id.after.as_str();
        let second = if after.is_empty() { &second } else { second.rsplit(after).next().unwrap_or_default() };
        // A space would make the two ids three.
        let both = Some(format!("{first} {second}")).filter(|_| !second.is_empty() && !second.contains(' '));
        Ok(both)
    }
}

pub(super) fn is_an_id(text: &str) -> bool {
    text.chars().count() <= CARRIER_ID_CHARS_MAX && !text.chars().any(char::is_control)
}

pub(super) fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(DETAIL_CHARS_MAX).collect()
}

impl Profile {
    /// The table by which answers to `operation` are read. [`Reading::row`] counts its rows.
    pub fn table(&self, operation: Operation) -> Vec<TableRow> {
        let rows = self.operation(operation).map(|operation| operation.reply.rows.as_slice()).unwrap_or_default();
        rows.iter().map(Row::shown).collect()
    }

    /// What an answer to `operation` says. `body` is all of it, or a part that is longer than [`super::BODY_BYTES_MAX`].
    ///
    /// Nothing is believed that a row does not list; money only by a status of success (2xx), a result that is listed, and echoes that are
    /// what was sent.
    pub fn read(&self, operation: Operation, context: &Context<'_>, status: StatusCode, body: &[u8]) -> Reading {
        let Some(reply) = self.operation(operation).map(|operation| &operation.reply) else {
            return Reading::unlisted(operation, Found::default(), Some(format!("the profile has no {operation}")));
        };
        let content = reply.places.content;
        let text = decoded(content, body);
        let parsed = text.as_ref().map_err(|error| *error).and_then(|text| Body::parse(content, text));
        let currency = context.attempt.map_or(Currency::Kzt, |(charge, _)| charge.order.amount.currency);
        let (parsed, found) =
            match parsed.and_then(|body| reply.places.find(&body, currency).map(|found| (body, found))) {
                Ok(read) => read,
                Err(error) => return reply.of_unreadable(operation, status, error),
            };
        let Some((n, row)) = choose(&reply.rows, status, Some(&found)) else {
            return Reading::unlisted(operation, found, None);
        };
        let trouble = self.trouble(reply, row, operation, context, status, &parsed, &found);
        if trouble.is_some() {
            return Reading { meaning: Some(row.means), row: Some(n), ..Reading::unlisted(operation, found, trouble) };
        }
        let finding = reply.finding(operation, row.means, status, &found);
        Reading { finding, meaning: Some(row.means), row: Some(n), ..Reading::unlisted(operation, found, None) }
    }

    /// Why the answer is not believed although a row lists it.
    #[expect(clippy::too_many_arguments, reason = "what was asked, what was answered, and where it is looked for")]
    fn trouble(
        &self,
        reply: &Reply,
        row: &Row,
        operation: Operation,
        context: &Context<'_>,
        status: StatusCode,
        body: &Body<'_>,
        found: &Found,
    ) -> Option<String> {
        let positive = row.means.is_positive();
        if positive && !status.is_success() {
            return Some(format!("{} with HTTP status {}", row.means, status.as_u16()));
        }
        if positive && let Some(problem) = &found.bad_amount {
            return Some(problem.clone());
        }
        if row.means == Meaning::Refunded
            && let Some((amount, refund)) = found.amount.zip(context.refund)
            && amount != refund.amount
        {
            return Some(format!("{amount} went back, not {}", refund.amount));
        }
        if reply.echoes.is_empty() {
            return None;
        }
        let values = match self.variables(operation, context, &HttpSecrets::default()) {
            Ok(values) => Value::from(values),
            Err(error) => return Some(error.to_string()),
        };
        for echo in &reply.echoes {
            let given = match body.find(&echo.at) {
                Ok(given) => given,
                Err(error) => return Some(error.to_string()),
            };
            match given {
                // An answer without our fields is another's only if it claims to be good news.
                None if positive && !echo.optional => return Some(format!("{} is missing", echo.written)),
                None => {}
                Some(given) => match self.templates.render(&echo.equals, &values) {
                    Ok(sent) if echo.compare.same(&sent, &given) => {}
                    Ok(_) => return Some(format!("{} is not what was sent", echo.written)),
                    Err(error) => return Some(error.to_string()),
                },
            }
        }
        None
    }
}

impl Comparison {
    fn same(self, sent: &str, given: &str) -> bool {
        match self {
            Comparison::Text => sent.trim() == given,
            Comparison::Decimal => same_decimal(sent.trim(), given),
            Comparison::Msisdn => {
                let number = |text: &str| text.strip_prefix("tel:").unwrap_or(text).parse::<Msisdn>().ok();
                number(sent.trim()).is_some_and(|sent| number(given) == Some(sent))
            }
        }
    }
}

impl Reply {
    /// What is left where the body says nothing: rows for a status that hold for any body.
    fn of_unreadable(&self, operation: Operation, status: StatusCode, error: Unreadable) -> Reading {
        let found = Found::default();
        let Some((n, row)) = choose(&self.rows, status, None).filter(|(_, row)| !row.means.is_positive()) else {
            return Reading::unlisted(operation, found, Some(error.to_string()));
        };
        let finding = self.finding(operation, row.means, status, &found);
        let trouble = Some(error.to_string());
        Reading { finding, meaning: Some(row.means), row: Some(n), ..Reading::unlisted(operation, found, trouble) }
    }

    fn finding(&self, operation: Operation, meaning: Meaning, status: StatusCode, found: &Found) -> Finding {
        let qualifier =
            found.qualifier.iter().map(|qualifier| format!(" {}", shortened(qualifier))).collect::<String>();
        let detail = match (&found.result, found.detail.as_str()) {
            (Some(result), "") => format!("{}{qualifier}", shortened(result)),
            (Some(result), detail) => format!("{}{qualifier}: {detail}", shortened(result)),
            (None, "") => format!("HTTP {}", status.as_u16()),
            (None, detail) => format!("HTTP {}: {detail}", status.as_u16()),
        };
        let carrier_id = found.carrier_id.clone();
        match finding_of(operation, meaning, carrier_id, found.amount, detail) {
            Finding::NotFound { .. } => Finding::NotFound { complete: self.not_found_is_complete, asked_at: None },
            finding => finding,
        }
    }
}

/// What `meaning` says of an attempt or a refund, as the answer to `operation`.
pub(super) fn finding_of(
    operation: Operation,
    meaning: Meaning,
    carrier_id: Option<String>,
    amount: Option<Money>,
    detail: String,
) -> Finding {
    let refuse = |reason, retry| Finding::Rejected { reason, retry, detail: detail.clone() };
    match meaning {
        Meaning::Charged | Meaning::Refunded => Finding::Charged { carrier_id, amount },
        Meaning::Accepted => Finding::Accepted { carrier_id },
        Meaning::Reserved => Finding::Reserved { carrier_id },
        Meaning::OtpNeeded => Finding::OtpNeeded { carrier_id, validation: None },
        Meaning::Cancelled => Finding::Cancelled,
        Meaning::NotFound if operation.only_asks() => Finding::NotFound { complete: false, asked_at: None },
        Meaning::Rejected(reason) => refuse(reason, Retry::Never),
        Meaning::NotOurSubscriber => refuse(Reason::NotOurSubscriber, Retry::OtherCarrier),
        Meaning::Duplicate if !operation.only_asks() => Finding::Doubtful { cause: Doubt::Duplicate },
        Meaning::Busy | Meaning::SessionFault => match operation {
            // A password that was not taken can be entered again; a question can be asked again.
            Operation::Validate => Finding::Nothing,
            _ if operation.only_asks() => Finding::Nothing,
            // Of the second step it says that the amount is still held.
            _ => refuse(Reason::CarrierUnavailable, Retry::SameCarrier),
        },
        Meaning::InDoubt | Meaning::Duplicate | Meaning::NotFound | Meaning::Found => unlisted(operation),
    }
}

/// What an answer says that nobody foresaw.
pub(super) fn unlisted(operation: Operation) -> Finding {
    if operation.only_asks() { Finding::Nothing } else { Finding::Doubtful { cause: Doubt::UnclearAnswer } }
}

impl Reading {
    fn unlisted(operation: Operation, found: Found, trouble: Option<String>) -> Reading {
        Reading {
            finding: unlisted(operation),
            meaning: None,
            row: None,
            result: found.result,
            qualifier: found.qualifier,
            carrier_id: found.carrier_id,
            amount: found.amount,
            detail: found.detail,
            trouble,
        }
    }
}
