//! The walls of the house, checked from the source text. Each check has tests of its own that it finds a planted violation.

use std::{fs, path::Path};

#[path = "tidy/field_cases.rs"]
mod field_cases;
#[path = "tidy/house.rs"]
mod house;
#[path = "tidy/paths.rs"]
mod paths;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/walls.rs"]
mod walls;

use source::Source;
use walls::Finding;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn daemon() -> Vec<Source> {
    let sources = source::read_all(root(), &["src"]).expect("the sources can be read");
    assert!(sources.iter().any(|source| source.path == "src/lib.rs"), "this is not the crate's folder");
    sources
}

fn everything() -> Vec<Source> {
    source::read_all(root(), &["src", "tests", "benches", "fuzz", "examples"]).expect("the sources can be read")
}

fn none(findings: &[Finding]) {
    let list: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert!(list.is_empty(), "\n{}", list.join("\n"));
}

#[test]
fn arrows_point_one_way() {
    none(&walls::arrows(&daemon()));
}

#[test]
fn modules_form_no_circle() {
    none(&walls::circles(&daemon()));
}

#[test]
fn pure_modules_are_pure() {
    let daemon = daemon();
    for module in walls::PURE {
        assert!(
            daemon.iter().any(|source| source.module() == Some(module)),
            "PURE names `{module}`, and there is none"
        );
    }
    none(&walls::purity(&daemon));
}

#[test]
fn no_file_is_too_long() {
    none(&house::sizes(&everything()));
}

#[test]
fn names_say_what_is_inside() {
    none(&house::names(&everything()));
}

#[test]
fn nothing_unfinished_is_left_lying_about() {
    none(&house::leftovers(&everything()));
}

#[test]
fn every_folder_is_on_the_map() {
    let missing = house::not_on_the_map(&daemon(), &read("ARCHITECTURE.md")).join(", ");
    assert!(missing.is_empty(), "ARCHITECTURE.md:1: does not mention the folders {missing}");
}

#[test]
fn every_field_case_has_its_row_and_every_row_its_tests() {
    let wrong: Vec<String> = field_cases::wrong_rows(&read("docs/smpp.md"), &daemon());
    assert!(wrong.is_empty(), "docs/smpp.md:\n{}", wrong.join("\n"));
}

#[test]
fn every_reason_has_a_page() {
    let codes = house::reason_codes(&read("src/charge/reason.rs"));
    assert!(codes.len() >= 20, "src/charge/reason.rs:1: only {} codes found: has `fn code` moved?", codes.len());
    let wrong = house::error_pages(&root().join("docs/errors"), &codes).expect("docs/errors can be read");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
