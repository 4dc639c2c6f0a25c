//! The house around the code: sizes, names, what must not be left lying about, and pages that must exist.

use std::{collections::BTreeSet, fs, io, path::Path};

use crate::{
    source::{Source, tokens},
    walls::Finding,
};

/// A file longer than this is two files.
pub(crate) const LINES_MAX: usize = 700;

/// The sections of every page in `docs/errors`.
pub(crate) const ERROR_PAGE_SECTIONS: [&str; 4] =
    ["## What it means", "## What to do", "## Did money move?", "## May the same key be sent again?"];

/// No file is longer than [`LINES_MAX`].
pub(crate) fn sizes(sources: &[Source]) -> Vec<Finding> {
    let long =
        sources.iter().map(|source| (source, source.text.lines().count())).filter(|(_, lines)| *lines > LINES_MAX);
    long.map(|(source, lines)| {
        Finding::new(source, lines, format!("{lines} lines; {LINES_MAX} at most: split by behaviour"))
    })
    .collect()
}

/// Names that say nothing of what is inside.
pub(crate) fn names(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources {
        if let Some(part) = source.path.trim_end_matches(".rs").split('/').find(|part| says_nothing(part)) {
            findings.push(Finding::new(source, 1, format!("`{part}` says nothing of what is inside")));
        }
        for pair in tokens(&source.code_with_tests).windows(2) {
            let declares = matches!(pair[0].text, "mod" | "struct" | "enum" | "trait" | "type" | "union");
            if declares && says_nothing(pair[1].text) {
                findings.push(Finding::new(
                    source,
                    pair[1].line,
                    format!("`{}` says nothing of what is inside", pair[1].text),
                ));
            }
        }
    }
    findings
}

/// Whether one of the words of a name, in snake or camel case, is an empty one.
fn says_nothing(name: &str) -> bool {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if c == '_' || c == '-' || c.is_uppercase() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
    }
    words.iter().any(|word| {
        matches!(word.trim_matches(['_', '-']), "util" | "utils" | "common" | "helper" | "helpers" | "manager" | "misc")
    })
}

/// Nothing unfinished, and no test that is switched off.
pub(crate) fn leftovers(sources: &[Source]) -> Vec<Finding> {
    // Put together here, so that this file does not find itself.
    let mark = concat!("FIX", "ME");
    let mut findings = Vec::new();
    for source in sources {
        for (line, text) in (1..).zip(source.text.lines()) {
            if text.contains(mark) {
                findings.push(Finding::new(source, line, format!("{mark}: mend it")));
            }
        }
        for three in tokens(&source.code_with_tests).windows(3) {
            match [three[0].text, three[1].text, three[2].text] {
                [name @ ("todo" | "unimplemented"), "!", _] => {
                    findings.push(Finding::new(source, three[0].line, format!("{name}! is not an answer")));
                }
                // scripts/test runs those.
                ["#", "[", "ignore"] if source.text.lines().nth(three[0].line - 1).is_some_and(needs_a_server) => {}
                ["#", "[", "ignore"] => {
                    findings.push(Finding::new(source, three[0].line, "a test that is ignored tests nothing"));
                }
                _ => {}
            }
        }
    }
    findings
}

/// A test for which somebody must have started a server is ignored until then; `scripts/test` starts one.
fn needs_a_server(line: &str) -> bool {
    line.trim() == r#"#[ignore = "needs a server: scripts/postgres"]"#
}

/// Every folder of `src` that the map does not mention as `name/`.
pub(crate) fn not_on_the_map<'a>(sources: &'a [Source], map: &str) -> Vec<&'a str> {
    let folders: BTreeSet<&str> =
        sources.iter().filter(|source| source.path.matches('/').count() > 1).filter_map(Source::module).collect();
    folders.into_iter().filter(|folder| !mentions(map, folder)).collect()
}

fn mentions(map: &str, folder: &str) -> bool {
    let name = format!("{folder}/");
    map.match_indices(&name).any(|(at, _)| !map[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '-'))
}

/// The strings that `fn code` of `src/charge/reason.rs` gives.
pub(crate) fn reason_codes(reason_rs: &str) -> Vec<String> {
    let body = reason_rs.split_once("fn code(").map_or("", |(_, after)| after);
    let body = body.split_once("\n    }").map_or(body, |(body, _)| body);
    body.split("=> \"").skip(1).filter_map(|rest| rest.split_once('"')).map(|(code, _)| code.to_owned()).collect()
}

/// What is wrong with `docs/errors`: a code without a page, a page without its sections, a page that the index does not name.
pub(crate) fn error_pages(folder: &Path, codes: &[String]) -> io::Result<Vec<String>> {
    let index = fs::read_to_string(folder.join("README.md"))?;
    let mut wrong = Vec::new();
    let mut pages = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some(code) = name.strip_suffix(".md").filter(|code| *code != "README") {
            pages.insert(code.to_owned());
            wrong.extend(error_page(code, &fs::read_to_string(folder.join(&name))?, &index));
        }
    }
    wrong.extend(
        codes.iter().filter(|code| !pages.contains(*code)).map(|code| format!("docs/errors/{code}.md:1: missing")),
    );
    Ok(wrong)
}

fn error_page(code: &str, text: &str, index: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if !text.starts_with(&format!("# `{code}`")) {
        wrong.push(format!("docs/errors/{code}.md:1: does not begin with # `{code}`"));
    }
    for section in ERROR_PAGE_SECTIONS {
        if !text.lines().any(|line| line == section) {
            wrong.push(format!("docs/errors/{code}.md:1: no section {section:?}"));
        }
    }
    if !index.contains(&format!("({code}.md)")) {
        wrong.push(format!("docs/errors/README.md:1: does not name {code}.md"));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(check: fn(&[Source]) -> Vec<Finding>, path: &str, text: &str) -> usize {
        check(&[Source::new(path, text)]).len()
    }

    #[test]
    fn a_long_file_is_found() {
        assert_eq!(found(sizes, "src/x.rs", &"\n".repeat(LINES_MAX + 1)), 1);
        assert_eq!(found(sizes, "src/x.rs", &"\n".repeat(LINES_MAX)), 0);
    }

    #[test]
    fn an_empty_name_is_found() {
        assert_eq!(found(names, "src/store/utils.rs", ""), 1);
        assert_eq!(found(names, "src/helpers/mod.rs", ""), 1);
        assert_eq!(found(names, "src/x.rs", "struct SessionManager;"), 1);
        assert_eq!(found(names, "src/x.rs", "mod test_helper {}"), 1);
        assert_eq!(found(names, "src/x.rs", "enum Utilisation {} fn common_prefix() {} // helper"), 0);
    }

    #[test]
    fn what_is_left_lying_about_is_found() {
        assert_eq!(found(leftovers, "src/x.rs", "fn f() { todo!() }"), 1);
        assert_eq!(found(leftovers, "src/x.rs", "fn f() { unimplemented!(\"later\") }"), 1);
        assert_eq!(found(leftovers, "src/x.rs", concat!("// FIX", "ME: later")), 1);
        assert_eq!(found(leftovers, "src/x.rs", "#[test]\n#[ignore]\nfn f() {}"), 1);
        assert_eq!(found(leftovers, "src/x.rs", "#[ignore = \"slow\"]\nfn f() {}"), 1);
        assert_eq!(found(leftovers, "src/x.rs", "    #[ignore = \"needs a server: scripts/postgres\"]\nfn f() {}"), 0);
        assert_eq!(found(leftovers, "src/x.rs", "// todo!() and #[ignore]\nfn ignore(todo: u8) {}"), 0);
    }

    #[test]
    fn a_folder_that_is_not_on_the_map_is_found() {
        let sources = [Source::new("src/charge/mod.rs", ""), Source::new("src/money.rs", "")];
        assert_eq!(not_on_the_map(&sources, "see `charge/`"), [""; 0]);
        assert_eq!(not_on_the_map(&sources, "see `src/charge/step.rs`"), [""; 0]);
        assert_eq!(not_on_the_map(&sources, "see `surcharge/` and the charge"), ["charge"]);
    }

    #[test]
    fn a_reason_without_a_page_is_found() {
        let rs = "fn code(self) {\n  match self { A => \"daily_limit\",\n B => \"barred\" }\n    }\nfn other() { x => \"no\" }";
        assert_eq!(reason_codes(rs), ["daily_limit", "barred"]);
    }

    #[test]
    fn a_page_without_a_section_or_out_of_the_index_is_found() {
        let good = format!("# `barred`\n\n{}\n", ERROR_PAGE_SECTIONS.join("\ntext\n"));
        assert_eq!(error_page("barred", &good, "- [barred](barred.md)"), [""; 0]);
        assert_eq!(error_page("barred", &good, "").len(), 1);
        assert_eq!(error_page("barred", &good.replace("money", "water"), "(barred.md)").len(), 1);
        assert_eq!(error_page("other", &good, "(other.md)").len(), 1);
    }
}
