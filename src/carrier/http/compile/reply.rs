use std::collections::BTreeSet;

use super::{Compiler, ENTRIES_MAX};
use crate::carrier::http::{
    Meaning, Operation,
    body::Place,
    document::{Content, Document, OneOrMany, OperationSection, ReplySection, RowSection, StatusSection},
    reply::{Echo, Places, Reply, Row, SecondId, StatusPattern},
    template::Escape,
};

impl Compiler<'_> {
    pub(super) fn second_id(&mut self, content: Content) -> Option<SecondId> {
        let section = self.second_id.clone()?;
        let at = self.places("second_id.at", content, Some(&section.at));
        Some(SecondId { at, after: section.after })
    }

    pub(super) fn reply_places(&mut self, key: &str, section: &ReplySection) -> Places {
        let content = section.content;
        Places {
            content,
            result: self.places(&format!("{key}.result"), content, section.result.as_ref()),
            qualifier: self.places(&format!("{key}.qualifier"), content, section.qualifier.as_ref()),
            carrier_id: self.places(&format!("{key}.carrier_id"), content, section.carrier_id.as_ref()),
            second_id: if section.carrier_id.is_some() { self.second_id(content) } else { None },
            amount: self.places(&format!("{key}.amount"), content, section.amount.as_ref()),
            amount_unit: section.amount_unit,
            currency: self.places(&format!("{key}.currency"), content, section.currency.as_ref()),
            detail: self.places(&format!("{key}.detail"), content, section.detail.as_ref()),
        }
    }

    pub(super) fn reply(&mut self, operation: Operation, section: &OperationSection) -> Reply {
        let key = format!("{operation}.reply");
        let places = self.reply_places(&key, &section.reply);
        let mut echoes = Vec::new();
        for (n, echo) in section.reply.echoes.iter().enumerate().take(ENTRIES_MAX) {
            let key = format!("{key}.echoes[{n}]");
            let at = self.problems.noted(&format!("{key}.at"), Place::parse(section.reply.content, &echo.at));
            let equals = self.template(&format!("{key}.equals"), Escape::Plain, &echo.equals);
            echoes.extend(at.zip(equals).map(|(at, equals)| Echo {
                at,
                written: echo.at.clone(),
                equals,
                compare: echo.compare,
                optional: echo.optional,
            }));
        }
        let rows = &section.reply.rows;
        let rows_key = format!("{key}.rows");
        self.problems.check(rows.len() <= ENTRIES_MAX, &rows_key, format!("at most {ENTRIES_MAX}"));
        let mut seen = BTreeSet::new();
        let mut compiled = Vec::new();
        for (n, row) in rows.iter().enumerate().take(ENTRIES_MAX) {
            let key = format!("{rows_key}[{n}]");
            self.meaning(&key, operation.meanings(), operation.code(), row.means);
            compiled.push(self.row(&key, row, Some(&section.reply)));
            for (result, qualifier) in pairs(row) {
                let new = seen.insert((row.status.as_ref().map(|status| format!("{status:?}")), result, qualifier));
                self.problems.check(new, &key, "a row before says what this answer means");
            }
        }
        // Those of the whole profile come after, where they can mean what they say.
        for row in self.rows.clone() {
            let fits_places = (row.result.is_none() || section.reply.result.is_some())
                && (row.qualifier.is_none() || section.reply.qualifier.is_some());
            if fits_places && operation.meanings().contains(&row.means.code()) {
                compiled.push(self.row(&rows_key, &row, Some(&section.reply)));
            }
        }
        self.problems.check(!compiled.is_empty(), &rows_key, "say what at least one answer means");
        let rows = compiled;
        Reply { key, places, echoes, rows, not_found_is_complete: section.not_found_is_complete }
    }

    pub(super) fn meaning(&mut self, key: &str, allowed: &[&str], whose: &str, means: Meaning) {
        let fine = allowed.contains(&means.code());
        let key = format!("{key}.means");
        self.problems.check(fine, &key, format!("of `{whose}` an answer means one of {}", allowed.join(", ")));
    }

    pub(super) fn status(&mut self, key: &str, status: &StatusSection) -> Option<StatusPattern> {
        let pattern = match status {
            StatusSection::Exact(status) if (100..600).contains(status) => Some(StatusPattern::Exact(*status)),
            StatusSection::Exact(_) => None,
            StatusSection::Class(text) => {
                let class = text.strip_suffix("xx").and_then(|class| class.parse::<u16>().ok());
                class.filter(|class| (1..=5).contains(class)).map(StatusPattern::Class)
            }
        };
        self.problems.check(
            pattern.is_some(),
            &format!("{key}.status"),
            "a status such as 404, or a class such as \"5xx\"",
        );
        pattern
    }

    /// One row; of the profile's own rows, without the reply that it is meant for.
    pub(super) fn row(&mut self, key: &str, row: &RowSection, reply: Option<&ReplySection>) -> Row {
        let listed = |values: &Option<OneOrMany>| values.as_ref().map(|v| v.as_slice().to_vec()).unwrap_or_default();
        let (results, qualifiers) = (listed(&row.result), listed(&row.qualifier));
        let status = row.status.as_ref().and_then(|status| self.status(key, status));
        let problems = &mut *self.problems;
        problems.check(row.status.is_some() || !results.is_empty(), key, "want a status, a result, or both");
        let has_result = reply.is_none_or(|reply| reply.result.is_some());
        let fine = results.is_empty() || has_result;
        problems.check(fine, &format!("{key}.result"), "the reply does not say where a result stands");
        let has_qualifier = reply.is_none_or(|reply| reply.qualifier.is_some());
        let fine = qualifiers.is_empty() || (has_qualifier && !results.is_empty());
        problems.check(fine, &format!("{key}.qualifier"), "it goes with a result, and the reply says where it stands");
        let positive = row.means.is_positive();
        let success = match status {
            None => true,
            Some(StatusPattern::Exact(status)) => (200..300).contains(&status),
            Some(StatusPattern::Class(class)) => class == 2,
        };
        let means = row.means;
        problems.check(!positive || success, &format!("{key}.status"), format!("`{means}` needs a success (2xx)"));
        let by_result = !has_result || !results.is_empty();
        problems.check(
            // What is found of a number stands in its own places; money needs a word.
            !positive || by_result || means == Meaning::Found,
            &format!("{key}.result"),
            format!("`{means}` needs a result: the reply says where it stands"),
        );
        let fine = !row.any_body || (results.is_empty() && !positive);
        problems.check(fine, &format!("{key}.any_body"), "only for a row without a result that is no good news");
        Row { status, results, qualifiers, means, any_body: row.any_body }
    }

    /// The rows that are for every operation: checked here once, and that one operation has a use for each.
    pub(super) fn check_rows(&mut self, document: &Document) {
        for (n, row) in document.rows.iter().enumerate() {
            let key = format!("rows[{n}]");
            self.row(&key, row, None);
            let fits = |operation: &Operation| {
                document.operation(*operation).is_some() && operation.meanings().contains(&row.means.code())
            };
            let used = Operation::ALL.iter().any(fits);
            self.problems.check(used, &format!("{key}.means"), "no operation of this profile can be answered so");
        }
    }
}

/// Every answer that a row lists: each result with each qualifier.
fn pairs(row: &RowSection) -> Vec<(Option<String>, Option<String>)> {
    let or_none = |values: &Option<OneOrMany>| match values {
        None => vec![None],
        Some(values) => values.as_slice().iter().cloned().map(Some).collect(),
    };
    let qualifiers = or_none(&row.qualifier);
    let with_each =
        |result: Option<String>| qualifiers.iter().map(move |qualifier| (result.clone(), qualifier.clone()));
    or_none(&row.result).into_iter().flat_map(with_each).collect()
}
