use std::borrow::Cow;

use super::faults::{Fault, FaultReason, Faults};

/// A CSV text whose first line names the columns.
pub(super) struct Table<'a> {
    file: &'static str,
    /// For each column of the layout, which field it is.
    columns: Vec<(&'static str, usize)>,
    /// The lines after the first, with their numbers.
    lines: Vec<(usize, &'a str)>,
}

/// One line of a table.
pub(super) struct Row<'a> {
    file: &'static str,
    columns: &'a [(&'static str, usize)],
    pub(super) line: usize,
    fields: Vec<Cow<'a, str>>,
}

const LINES_MAX: usize = 1_000_000;

impl<'a> Table<'a> {
    /// The table of `text`, if its first line names exactly the columns of `layout`, in any order, and perhaps some of
    /// `optional`: an older file has not got them, and then they are empty.
    pub(super) fn open(
        file: &'static str,
        layout: &[&'static str],
        optional: &[&'static str],
        text: &'a str,
        faults: &mut Faults,
    ) -> Option<Table<'a>> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let written = |(_, line): &(usize, &str)| !line.trim().is_empty() && !line.starts_with('#');
        let mut written = (1..).zip(text.lines()).filter(written);
        let first = written.next();
        let lines: Vec<_> = written.take(LINES_MAX + 1).collect();
        let line = first.map_or(1, |(line, _)| line);
        let mut complain = |column: Option<&str>, reason| {
            faults.add(Fault { file, line, column: column.map(str::to_owned), reason });
        };
        let names = match first.map(|(_, names)| split(names)) {
            None => Err(FaultReason::Empty),
            Some(None) => Err(FaultReason::OpenQuote),
            Some(Some(_)) if lines.len() > LINES_MAX => Err(FaultReason::TooManyLines(LINES_MAX)),
            Some(Some(names)) => Ok(names),
        };
        let names = names.map_err(|reason| complain(None, reason)).ok()?;
        let mut sound = true;
        for (nth, name) in names.iter().enumerate() {
            let reason = match layout.contains(&name.as_ref()) || optional.contains(&name.as_ref()) {
                true if !names.iter().take(nth).any(|earlier| earlier == name) => continue,
                true => FaultReason::RepeatedColumn,
                false => FaultReason::UnknownColumn([layout, optional].concat().join(", ")),
            };
            complain(Some(&name.chars().take(32).collect::<String>()), reason);
            sound = false;
        }
        let mut columns = Vec::with_capacity(layout.len() + optional.len());
        for column in layout.iter().chain(optional) {
            match names.iter().position(|name| name == column) {
                Some(field) => columns.push((*column, field)),
                None if optional.contains(column) => {}
                None => {
                    complain(Some(column), FaultReason::MissingColumn);
                    sound = false;
                }
            }
        }
        sound.then_some(Table { file, columns, lines })
    }

    /// Hands every line that has all its fields to `read`.
    pub(super) fn each(&self, faults: &mut Faults, mut read: impl FnMut(&Row<'_>, &mut Faults)) {
        for &(line, text) in &self.lines {
            let Some(fields) = split(text) else {
                faults.add(Fault { file: self.file, line, column: None, reason: FaultReason::OpenQuote });
                continue;
            };
            let row = Row { file: self.file, columns: &self.columns, line, fields };
            if row.is_complete(faults) {
                read(&row, faults);
            }
        }
    }
}

impl Row<'_> {
    /// The text of a column of the layout; empty if it is an optional one that the file has not got.
    pub(super) fn text(&self, column: &'static str) -> &str {
        let field =
            self.columns.iter().find(|(name, _)| *name == column).and_then(|(_, field)| self.fields.get(*field));
        field.map_or("", |field| field)
    }

    /// What `read` makes of a column's text; a fault if it makes nothing of it.
    pub(super) fn read<T>(
        &self,
        column: &'static str,
        faults: &mut Faults,
        read: impl FnOnce(&str) -> Result<T, FaultReason>,
    ) -> Option<T> {
        read(self.text(column)).map_err(|reason| self.fault(column, reason, faults)).ok()
    }

    /// Notes that something is wrong with a column.
    pub(super) fn fault(&self, column: &str, reason: FaultReason, faults: &mut Faults) {
        faults.add(Fault { file: self.file, line: self.line, column: Some(column.to_owned()), reason });
    }

    fn is_complete(&self, faults: &mut Faults) -> bool {
        let missing =
            self.columns.iter().filter(|(_, field)| *field >= self.fields.len()).min_by_key(|(_, field)| *field);
        if let Some((column, _)) = missing {
            self.fault(column, FaultReason::MissingField, faults);
        }
        let too_many = self.fields.iter().skip(self.columns.len()).any(|field| !field.is_empty());
        if too_many {
            faults.add(Fault { file: self.file, line: self.line, column: None, reason: FaultReason::TooManyFields });
        }
        missing.is_none() && !too_many
    }
}

/// The fields of a line as RFC 4180 has them, without the spaces around them; `None` if a quote stays open.
fn split(line: &str) -> Option<Vec<Cow<'_, str>>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = match rest.trim_start().strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let (field, after) = rest.split_at(end);
                (Cow::Borrowed(field.trim()), after)
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return Some(fields),
        }
    }
}

/// The field up to its closing quote, and what follows from the next comma on. A doubled quote is one.
fn quoted_field(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut end = text.find('"')?;
    while text.get(end + 1..).is_some_and(|after| after.starts_with('"')) {
        end += 2 + text.get(end + 2..)?.find('"')?;
    }
    let (field, after) = (text.get(..end)?, text.get(end + 1..)?.trim_start());
    let field = if field.contains('"') { Cow::Owned(field.replace("\"\"", "\"")) } else { Cow::Borrowed(field) };
    (after.is_empty() || after.starts_with(',')).then_some((field, after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_split_as_rfc_4180_says() {
        let fields = |line| split(line).map(|fields| fields.into_iter().map(Cow::into_owned).collect::<Vec<_>>());
        let some = |expected: &[&str]| Some(expected.iter().map(|field| (*field).to_owned()).collect::<Vec<_>>());
        assert_eq!(fields("a, b ,,"), some(&["a", "b", "", ""]));
        assert_eq!(fields(r#""a,b" , "say ""no""",c"d"#), some(&["a,b", "say \"no\"", "c\"d"]));
        assert_eq!(fields(r#""","""""#), some(&["", "\""]));
        for open in [r#"""#, r#""a"#, r#""a"b,c"#, r#""a"""#, r#"b,"a"#] {
            assert_eq!(fields(open), None, "{open}");
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_reads_back(texts in prop::collection::vec("[^\\r\\n]{0,8}", 1..5)) {
            let quoted = |text: &String| format!("\"{}\"", text.replace('"', "\"\""));
            let line = texts.iter().map(quoted).collect::<Vec<_>>().join(",");
            let fields = split(&line).expect("all closed");
            prop_assert_eq!(fields.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), texts);
        }

        #[test]
        fn plain_fields_are_those_that_the_csv_crate_reads(line in "[a-c, ]{1,20}") {
            let mut reader = csv::ReaderBuilder::new();
            let mut reader = reader.has_headers(false).trim(csv::Trim::All).from_reader(line.as_bytes());
            let theirs = reader.records().next().and_then(Result::ok).expect("one line");
            let ours = split(&line).expect("no quotes");
            prop_assert_eq!(ours.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), theirs.iter().collect::<Vec<_>>());
        }

        #[test]
        fn no_line_panics(line in "[a\", é]{0,20}") {
            let _ = split(&line);
        }
    }
}
