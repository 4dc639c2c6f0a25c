//! Which modules a file names: `crate::…`, `super::…` and `std::…` paths, groups taken apart, in `use` and in code.

use crate::source::{Source, Token, tokens};

/// One path that the code names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// From the root of the crate, or from `std`: `["charge", "Reason"]`. Empty for the root itself, `*` for a glob.
    pub(crate) path: Vec<String>,
    /// The line of its last segment.
    pub(crate) line: usize,
}

/// The paths within this crate, as seen from its root.
pub(crate) fn crate_paths(source: &Source) -> Vec<Named> {
    find(source, &["crate", "super"])
}

/// The paths into `std`, `core` and `alloc`, without that first segment.
pub(crate) fn std_paths(source: &Source) -> Vec<Named> {
    find(source, &["std", "core", "alloc"])
}

fn find(source: &Source, starts: &[&str]) -> Vec<Named> {
    let tokens = tokens(&source.code);
    let mut named = Vec::new();
    let mut inline = InlineModules::default();
    let mut at = 0;
    while at < tokens.len() {
        inline.pass(&tokens, at);
        let text = tokens[at].text;
        let begins = starts.contains(&text)
            && tokens.get(at + 1).is_some_and(|next| next.text == "::" || next.text == "as")
            && (at == 0 || tokens[at - 1].text != "::");
        if begins {
            let mut base = if text == "super" { source.module_path() } else { Vec::new() };
            if text == "super" {
                base.extend(inline.names());
                base.pop();
            }
            let mut walk = Walk { tokens: &tokens, at: at + 1, named: &mut named };
            walk.after(base);
            at = walk.at;
        } else {
            at += 1;
        }
    }
    named
}

/// Where the walk along one path, or one tree of a `use`, stands.
struct Walk<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    named: &'a mut Vec<Named>,
}

impl Walk<'_> {
    /// After a segment: the path goes on, or ends.
    fn after(&mut self, base: Vec<String>) {
        if self.text() == "::" {
            self.at += 1;
            self.segment(base);
        } else {
            self.end(base);
        }
    }

    fn segment(&mut self, mut base: Vec<String>) {
        match self.text() {
            "{" => self.group(&base),
            "super" => {
                base.pop();
                self.at += 1;
                self.after(base);
            }
            "self" => {
                self.at += 1;
                self.after(base);
            }
            word if word == "*" || word.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                base.push(word.to_owned());
                self.at += 1;
                self.after(base);
            }
            _ => self.end(base),
        }
    }

    fn group(&mut self, base: &[String]) {
        self.at += 1;
        while !matches!(self.text(), "}" | "") {
            self.segment(base.to_vec());
            while !matches!(self.text(), "," | "}" | "") {
                self.at += 1;
            }
            if self.text() == "," {
                self.at += 1;
            }
        }
        self.at += 1;
    }

    fn end(&mut self, path: Vec<String>) {
        let line = self.tokens.get(self.at.saturating_sub(1)).map_or(0, |token| token.line);
        self.named.push(Named { path, line });
    }

    fn text(&self) -> &str {
        self.tokens.get(self.at).map_or("", |token| token.text)
    }
}

/// The inline modules around a token: what `super` means depends on them.
#[derive(Default)]
struct InlineModules {
    depth: usize,
    open: Vec<(String, usize)>,
}

impl InlineModules {
    fn pass(&mut self, tokens: &[Token<'_>], at: usize) {
        match tokens[at].text {
            "{" => {
                self.depth += 1;
                if at >= 2 && tokens[at - 2].text == "mod" {
                    self.open.push((tokens[at - 1].text.to_owned(), self.depth));
                }
            }
            "}" => {
                self.open.retain(|(_, depth)| *depth < self.depth);
                self.depth = self.depth.saturating_sub(1);
            }
            _ => {}
        }
    }

    fn names(&self) -> impl Iterator<Item = String> {
        self.open.iter().map(|(name, _)| name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(path: &str, text: &str) -> Vec<String> {
        crate_paths(&Source::new(path, text)).into_iter().map(|named| named.path.join("::")).collect()
    }

    #[test]
    fn groups_are_taken_apart() {
        let text = "use crate::{charge::{Charge, Reason}, money::*, clock::{self, Timestamp as T}};\nuse {crate::store, std::fs};";
        assert_eq!(
            named("src/x.rs", text),
            ["charge::Charge", "charge::Reason", "money::*", "clock", "clock::Timestamp", "store"]
        );
    }

    #[test]
    fn paths_in_code_are_found_and_visibility_is_no_path() {
        let text = "pub(crate) fn f(a: crate::money::Money) { crate::store::open::<u8>(a); $crate::api::x!(); }";
        assert_eq!(named("src/x.rs", text), ["money::Money", "store::open", "api::x"]);
    }

    #[test]
    fn super_is_followed_to_the_root() {
        assert_eq!(named("src/charge/step.rs", "use super::super::ledger::Posting;"), ["ledger::Posting"]);
        assert_eq!(named("src/charge/mod.rs", "use super::{ledger, money::Money};"), ["ledger", "money::Money"]);
        assert_eq!(named("src/charge/step.rs", "use super::{Reason, super::store};"), ["charge::Reason", "store"]);
        let inline = "mod inner { use super::super::super::store; }\nuse super::Reason;";
        assert_eq!(named("src/charge/step.rs", inline), ["store", "charge::Reason"]);
    }

    #[test]
    fn a_line_is_the_line_of_the_name() {
        let paths = crate_paths(&Source::new("src/x.rs", "use crate::{\n    charge,\n    store::Store,\n};"));
        assert_eq!(paths.iter().map(|named| named.line).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn the_root_under_another_name_is_the_root() {
        assert_eq!(named("src/x.rs", "use crate as root;"), [""]);
        assert_eq!(named("src/x.rs", "use crate::{self as root};"), [""]);
    }

    #[test]
    fn std_is_seen_too() {
        let source = Source::new("src/x.rs", "use std::{fs, net::IpAddr};\nfn f() { core::mem::swap(); }");
        let paths: Vec<_> = std_paths(&source).into_iter().map(|named| named.path.join("::")).collect();
        assert_eq!(paths, ["fs", "net::IpAddr", "mem::swap"]);
    }
}
