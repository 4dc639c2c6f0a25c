//! Source files as the checks see them: the text, the code without comments, strings and tests, and the code as tokens.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

/// One source file.
pub(crate) struct Source {
    /// Relative to the crate, with slashes: `src/charge/step.rs`.
    pub(crate) path: String,
    /// As it stands in the file.
    pub(crate) text: String,
    /// The code of the daemon: comments, the contents of literals, and items under `#[cfg(test)]` are spaces. Lines stay where they are.
    pub(crate) code: String,
    /// Like `code`, but with the tests.
    pub(crate) code_with_tests: String,
}

impl Source {
    /// From a path and a text, as the file itself or a planted violation gives it.
    pub(crate) fn new(path: &str, text: &str) -> Source {
        let code_with_tests = blank_comments_and_literals(text);
        let code = blank_tests(&code_with_tests);
        Source { path: path.to_owned(), text: text.to_owned(), code, code_with_tests }
    }

    /// The folder or file directly under `src` that this belongs to: `charge` for `src/charge/step.rs`, `money` for `src/money.rs`.
    pub(crate) fn module(&self) -> Option<&str> {
        let rest = self.path.strip_prefix("src/")?;
        Some(rest.split('/').next().unwrap_or(rest).trim_end_matches(".rs"))
    }

    /// The path of this file's module from the crate's root: `["charge", "step"]`.
    pub(crate) fn module_path(&self) -> Vec<String> {
        let Some(rest) = self.path.strip_prefix("src/") else { return Vec::new() };
        let mut path: Vec<String> = rest.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if matches!(path.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            path.pop();
        }
        path
    }

    /// Removes the daemon's code: what is compiled for tests only is not the daemon's.
    fn clear_code(&mut self) {
        self.code = blank(&self.code);
    }
}

/// All Rust files below `folders` of the crate, in order of path. Files that only tests compile have no `code`.
pub(crate) fn read_all(root: &Path, folders: &[&str]) -> io::Result<Vec<Source>> {
    let mut files = Vec::new();
    for folder in folders.iter().filter(|folder| root.join(folder).exists()) {
        collect(&root.join(folder), &mut files)?;
    }
    files.sort();
    let mut sources = Vec::new();
    for file in files {
        let path = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().replace('\\', "/");
        sources.push(Source::new(&path, &fs::read_to_string(&file)?));
    }
    clear_test_files(&mut sources);
    Ok(sources)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Clears the code of files that are declared with `#[cfg(test)] mod name;`, and of everything below them.
pub(crate) fn clear_test_files(sources: &mut [Source]) {
    let declared: BTreeSet<Vec<String>> = sources.iter().flat_map(test_modules).collect();
    for source in sources {
        let path = source.module_path();
        if (1..=path.len()).any(|length| declared.contains(&path[..length])) {
            source.clear_code();
        }
    }
}

/// Modules that are declared with a semicolon among the tests, but not in the daemon's code.
fn test_modules(source: &Source) -> Vec<Vec<String>> {
    let declarations = |code: &str| -> BTreeSet<String> {
        let tokens = tokens(code);
        tokens
            .windows(3)
            .filter(|three| three[0].text == "mod" && three[2].text == ";")
            .map(|three| three[1].text.to_owned())
            .collect()
    };
    let mut names = declarations(&source.code_with_tests);
    for name in declarations(&source.code) {
        names.remove(&name);
    }
    let within = |name: String| source.module_path().into_iter().chain([name]).collect();
    names.into_iter().map(within).collect()
}

/// A word, or one character of punctuation (`::` is one token).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    /// Counted from 1.
    pub(crate) line: usize,
}

/// The tokens of code in which literals are already blank.
pub(crate) fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let length = if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let (text, after) = rest.split_at(length);
        if first == '\n' {
            line += 1;
        } else if !first.is_whitespace() {
            tokens.push(Token { text, line });
        }
        rest = after;
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The text with a space for every character but the ends of lines.
fn blank(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect()
}

/// Blanks comments and the contents of string and character literals; of a literal one quote stays.
fn blank_comments_and_literals(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut after_word = false;
    while let Some(first) = rest.chars().next() {
        let found = comment_or_literal(rest, after_word);
        let (piece, after) = rest.split_at(found.map_or(first.len_utf8(), |(_, length)| length));
        match found {
            None => out.push(first),
            Some((Blank::Comment, _)) => out.push_str(&blank(piece)),
            Some((Blank::Literal, _)) => {
                out.push('"');
                out.extend(blank(piece).chars().skip(1));
            }
        }
        after_word = found.is_none() && is_word(first);
        rest = after;
    }
    out
}

#[derive(Clone, Copy)]
enum Blank {
    Comment,
    Literal,
}

/// If a comment or literal begins here: which of them, and how many bytes it has.
fn comment_or_literal(rest: &str, after_word: bool) -> Option<(Blank, usize)> {
    if rest.starts_with("//") {
        return Some((Blank::Comment, rest.find('\n').unwrap_or(rest.len())));
    }
    if rest.starts_with("/*") {
        return Some((Blank::Comment, block_comment(rest)));
    }
    if rest.starts_with('\'') {
        return character(rest).map(|length| (Blank::Literal, length));
    }
    if rest.starts_with('"') {
        return Some((Blank::Literal, quoted(rest)));
    }
    if after_word {
        return None;
    }
    let raw = rest.strip_prefix(['b', 'c']).unwrap_or(rest);
    let hashes = raw.strip_prefix('r').map(|raw| raw.len() - raw.trim_start_matches('#').len());
    if let Some(hashes) = hashes
        && raw[1 + hashes..].starts_with('"')
    {
        let opening = rest.len() - raw.len() + 2 + hashes;
        let closing = format!("\"{}", "#".repeat(hashes));
        let length = rest[opening..].find(&closing).map_or(rest.len(), |at| opening + at + closing.len());
        return Some((Blank::Literal, length));
    }
    None
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of a character literal; none for a lifetime.
fn character(rest: &str) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first == '\\' {
        chars.next()?;
        return chars.find(|&(_, c)| c == '\'').map(|(at, _)| at + 1);
    }
    chars.next().filter(|&(_, c)| c == '\'').map(|(at, _)| at + 1)
}

/// Blanks the items that are compiled for tests only.
fn blank_tests(code: &str) -> String {
    const ATTRIBUTE: &str = "#[cfg(test)]";
    if code.contains("#![cfg(test)]") {
        return blank(code);
    }
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(ATTRIBUTE) {
        let (before, item) = rest.split_at(at);
        let length = ATTRIBUTE.len() + item_length(&item[ATTRIBUTE.len()..]);
        out.push_str(before);
        out.push_str(&blank(&item[..length]));
        rest = &item[length..];
    }
    out.push_str(rest);
    out
}

/// The length of the item that begins here: to its closing brace, or to its semicolon outside of brackets. A field or a match arm
/// ends at its comma.
fn item_length(item: &str) -> usize {
    let mut depth = 0_usize;
    let mut generics = 0_usize;
    let mut before = ' ';
    for (at, c) in item.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => return at,
            '}' if depth == 1 => return at + 1,
            ')' | ']' | '}' => depth -= 1,
            ';' if depth == 0 => return at + 1,
            ',' if depth == 0 && generics == 0 => return at + 1,
            '<' if depth == 0 => generics += 1,
            '>' if depth == 0 && !matches!(before, '-' | '=') => generics = generics.saturating_sub(1),
            _ => {}
        }
        before = c;
    }
    item.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(code: &str) -> Vec<&str> {
        tokens(code).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_and_literals_are_not_code() {
        let source = Source::new(
            "src/x.rs",
            r##"
            a(); // tokio::spawn
            /* sqlx /* nested */ sqlx */ b("tokio \" sqlx", r#"tokio " sqlx"#, b"sqlx", 'x', '\'', '\u{41}');
            fn c<'tokio>(x: &'tokio str) -> &'static str { "" }
            "##,
        );
        assert!(!source.code.contains("sqlx"));
        assert_eq!(source.code.matches("tokio").count(), 2, "the lifetimes only: {}", source.code);
        assert!(words(&source.code).contains(&"static"));
        assert_eq!(source.code.lines().count(), source.text.lines().count());
    }

    #[test]
    fn tests_are_not_the_daemons_code() {
        let source = Source::new(
            "src/x.rs",
            "use a;
#[cfg(test)]
use tokio::x;
#[cfg(test)]
#[allow(dead_code)]
mod tests { fn f() { tokio(); } }
#[cfg(test)]
fn f<A, B>(a: A) -> Option<B> { tokio() }
struct S { #[cfg(test)] tokio: u8, real: u8 }
fn g() {}
",
        );
        assert!(!source.code.contains("tokio"));
        assert!(source.code_with_tests.contains("tokio"));
        assert!(tokens(&source.code).contains(&Token { text: "g", line: 10 }));
        assert!(source.code.contains("real: u8"));
        assert!(!Source::new("src/x.rs", "#![cfg(test)]\nuse tokio;").code.contains("tokio"));
    }

    #[test]
    fn a_file_that_only_tests_declare_is_a_test() {
        let mut sources = [
            Source::new("src/x/mod.rs", "mod real;\n#[cfg(test)]\nmod tests;"),
            Source::new("src/x/real.rs", "fn f() { tokio() }"),
            Source::new("src/x/tests.rs", "fn f() { tokio() }"),
            Source::new("src/x/tests/deep.rs", "fn f() { tokio() }"),
        ];
        clear_test_files(&mut sources);
        let with_tokio: Vec<_> = sources.iter().filter(|s| s.code.contains("tokio")).map(|s| s.path.as_str()).collect();
        assert_eq!(with_tokio, ["src/x/real.rs"]);
    }

    #[test]
    fn a_path_is_a_module() {
        assert_eq!(Source::new("src/charge/step.rs", "").module(), Some("charge"));
        assert_eq!(Source::new("src/money.rs", "").module(), Some("money"));
        assert_eq!(Source::new("tests/tidy.rs", "").module(), None);
        assert_eq!(Source::new("src/charge/step/late.rs", "").module_path(), ["charge", "step", "late"]);
        assert_eq!(Source::new("src/charge/mod.rs", "").module_path(), ["charge"]);
        assert!(Source::new("src/lib.rs", "").module_path().is_empty());
    }
}
