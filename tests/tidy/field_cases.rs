//! The forty field cases of SMPP: the table in `docs/smpp.md` against the tests that it names.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Source, tokens};

const CASES: std::ops::RangeInclusive<u8> = 1..=40;
const CELL_CHARS_MAX: usize = 200;

/// What is wrong with the table: a case without a row or with two, a row that names no test of its case or one that there is not, a
/// file with tests of a case that the case's row does not name, and one that it names for nothing.
///
/// A row names tests (`case_07_…`) and files with tests, without `src/`, `.rs` and what is called `tests`. What the simulator does
/// to play a case is not in it.
pub(crate) fn wrong_rows(doc: &str, sources: &[Source]) -> Vec<String> {
    let there = tests_by_case(sources);
    let rows = rows(doc);
    let mut wrong = Vec::new();
    for case in CASES {
        let mut rows = rows.iter().filter(|row| row.case == case);
        let (row, another) = (rows.next(), rows.next());
        match row {
            Some(row) => wrong.extend(row.problems(there.get(&case).unwrap_or(&BTreeMap::new()))),
            None => wrong.push(format!("case {case} has no row")),
        }
        wrong.extend(another.map(|row| format!("line {}: case {case} has a second row", row.line)));
    }
    let unknown = there.keys().filter(|case| !CASES.contains(case));
    wrong.extend(unknown.map(|case| format!("there are tests of a case {case}")));
    wrong
}

/// For each case its tests, by the file that they are in.
type Tests = BTreeMap<String, BTreeSet<String>>;

struct Row {
    case: u8,
    line: usize,
    cells: Vec<String>,
}

impl Row {
    fn problems(&self, tests: &Tests) -> Vec<String> {
        let named: BTreeSet<String> = self.cells.iter().flat_map(|cell| code_spans(cell)).collect();
        let is_there = |name: &String| tests.values().any(|names| names.contains(name));
        let mut problems = Vec::new();
        if !named.iter().any(is_there) {
            problems.push("no test of this case is named".into());
        }
        let cases = named.iter().filter(|name| name.starts_with("case_"));
        problems.extend(cases.filter(|name| !is_there(name)).map(|name| format!("`{name}` is no test of this case")));
        problems
            .extend(tests.keys().filter(|file| !named.contains(*file)).map(|file| format!("`{file}` has tests of it")));
        let files = named.iter().filter(|name| name.contains('/') && !tests.contains_key(*name));
        problems.extend(files.map(|file| format!("`{file}` has no test of it")));
        let long = self.cells.iter().filter(|cell| cell.chars().count() > CELL_CHARS_MAX);
        problems.extend(long.map(|_| format!("a cell of more than {CELL_CHARS_MAX} characters")));
        problems.iter().map(|problem| format!("line {}: case {}: {problem}", self.line, self.case)).collect()
    }
}

/// The rows of the table that begin with a number.
fn rows(doc: &str) -> Vec<Row> {
    let row = |(line, text): (usize, &str)| {
        let cells: Vec<String> = text
            .strip_prefix('|')?
            .trim_end()
            .trim_end_matches('|')
            .split('|')
            .map(|cell| cell.trim().into())
            .collect();
        Some(Row { case: cells.first()?.parse().ok()?, line, cells })
    };
    (1..).zip(doc.lines()).filter_map(row).collect()
}

fn code_spans(cell: &str) -> impl Iterator<Item = String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

fn tests_by_case(sources: &[Source]) -> BTreeMap<u8, Tests> {
    let mut cases: BTreeMap<u8, Tests> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.module() != Some("simulator")) {
        for pair in tokens(&source.code_with_tests).windows(2).filter(|pair| pair[0].text == "fn") {
            for case in cases_of(pair[1].text) {
                let tests = cases.entry(case).or_default().entry(label(&source.path)).or_default();
                tests.insert(pair[1].text.to_owned());
            }
        }
    }
    cases
}

/// The cases that a test's name begins with: `case_01_and_04_…` is of two.
fn cases_of(name: &str) -> Vec<u8> {
    let mut cases = Vec::new();
    let mut rest = name.strip_prefix("case_");
    while let Some((number, behind)) = rest.and_then(|rest| rest.split_once('_')) {
        let Ok(case) = number.parse() else { break };
        cases.push(case);
        rest = behind.strip_prefix("and_");
    }
    cases
}

fn label(path: &str) -> String {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    path.split('/').filter(|part| *part != "tests").collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A whole table, and the tests that it names.
    fn good() -> (String, Vec<Source>) {
        let row = |case| format!("| {case} | odd | right | `case_{case:02}_is_right` (`smpp/session`) |\n");
        let test = |case| format!("#[test] fn case_{case:02}_is_right() {{}}\n");
        let source = Source::new("src/smpp/session/tests.rs", &CASES.map(test).collect::<String>());
        (CASES.map(row).collect(), vec![source])
    }

    #[test]
    fn a_table_that_names_every_case_and_test_is_right() {
        let (doc, mut sources) = good();
        sources.push(Source::new("src/simulator/tests/x.rs", "fn case_07_is_played() {}"));
        assert_eq!(wrong_rows(&doc, &sources), [""; 0]);
    }

    #[test]
    fn a_row_that_is_missing_or_there_twice_is_found() {
        let (doc, sources) = good();
        let without: String = doc.lines().filter(|line| !line.starts_with("| 7 ")).collect::<Vec<_>>().join("\n");
        assert_eq!(wrong_rows(&without, &sources), ["case 7 has no row"]);
        let twice = format!("{doc}{}\n", doc.lines().next().unwrap());
        assert_eq!(wrong_rows(&twice, &sources), ["line 41: case 1 has a second row"]);
    }

    #[test]
    fn a_test_that_is_gone_or_new_is_found() {
        let (doc, sources) = good();
        let gone = [Source::new("src/smpp/session/tests.rs", &sources[0].text.replace("case_07_is", "case_07_was"))];
        assert_eq!(
            wrong_rows(&doc, &gone),
            [
                "line 7: case 7: no test of this case is named",
                "line 7: case 7: `case_07_is_right` is no test of this case"
            ]
        );
        let (doc, mut sources) = good();
        sources.push(Source::new("src/smpp/new.rs", "fn case_07_and_09_too() {}"));
        assert_eq!(
            wrong_rows(&doc, &sources),
            ["line 7: case 7: `smpp/new` has tests of it", "line 9: case 9: `smpp/new` has tests of it"]
        );
        sources.push(Source::new("src/smpp/late.rs", "fn case_41_too() {}"));
        assert_eq!(wrong_rows(&doc, &sources).last().unwrap(), "there are tests of a case 41");
    }

    #[test]
    fn a_test_of_another_case_a_file_without_tests_and_a_long_cell_are_found() {
        let (doc, sources) = good();
        let other = doc.replace("`case_07_is_right`", "`case_08_is_right`");
        assert_eq!(wrong_rows(&other, &sources).len(), 2);
        let file = doc.replace("`case_07_is_right`", "`case_07_is_right` (`smpp/old`)");
        assert_eq!(wrong_rows(&file, &sources), ["line 7: case 7: `smpp/old` has no test of it"]);
        let long = doc.replace("| 7 | odd", &format!("| 7 | {}", "o".repeat(CELL_CHARS_MAX + 1)));
        assert_eq!(wrong_rows(&long, &sources), ["line 7: case 7: a cell of more than 200 characters"]);
    }
}
