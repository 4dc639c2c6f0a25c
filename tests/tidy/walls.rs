//! The walls between the modules: who may import whom, what PURE modules must not name, and no circles.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{
    paths::{crate_paths, std_paths},
    source::{Source, tokens},
};

/// Values in, values out: no I/O, no clock, nothing spawned.
pub(crate) const PURE: [&str; 10] =
    ["charge", "eligibility", "ledger", "ticket", "passenger", "language", "transit", "money", "msisdn", "clock"];

/// What each module may import beside itself. `pure` stands for all of them.
const WALLS: [(&str, &[&str]); 17] = [
    ("pure", &["pure"]),
    // What every kind of link to a carrier needs; they know of nothing else.
    ("pace", &[]),
    ("tls", &[]),
    // What a process has from its machine. Whoever spawns, draws or connects has it from here, so that a simulation can give it.
    ("process", &[]),
    // The protocol knows nothing of charges.
    ("smpp", &["pace", "tls", "process"]),
    ("store", &["process", "pure"]),
    // It asks carriers, and keeps what they say.
    ("subscriber", &["carrier", "store", "pace", "process", "pure"]),
    ("carrier", &["smpp", "pace", "tls", "process", "pure"]),
    ("gateway", &["carrier", "subscriber", "store", "process", "pure"]),
    ("api", &["gateway", "carrier", "subscriber", "store", "pure"]),
    ("finance", &["gateway", "carrier", "subscriber", "store", "pure"]),
    // The judge in every test owes nothing to what it judges.
    ("simulator", &["money", "msisdn", "clock"]),
    // What puts the whole together may see the whole.
    ("settings", &["api", "finance", "gateway", "carrier", "subscriber", "store", "smpp", "tls", "simulator", "pure"]),
    ("demo", &["settings", "api", "finance", "gateway", "carrier", "subscriber", "store", "simulator", "tls", "pure"]),
    // Its tools for the engineer speak to an SMSC without the gateway.
    (
        "cli",
        &[
            "settings",
            "api",
            "finance",
            "gateway",
            "carrier",
            "subscriber",
            "store",
            "smpp",
            "simulator",
            "tls",
            "pure",
        ],
    ),
    // Only compiled for tests: a whole world around the gateway.
    ("sim", &["gateway", "carrier", "subscriber", "store", "process", "simulator", "pure"]),
    ("lib", &[]),
];

/// One violation, where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl Finding {
    pub(crate) fn new(source: &Source, line: usize, message: impl Into<String>) -> Finding {
        Finding { path: source.path.clone(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Arrows point one way. `main.rs` is the command line and sees what it needs.
pub(crate) fn arrows(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources {
        let Some(module) = source.module().filter(|module| *module != "main") else { continue };
        let Some(allowed) = may_import(module) else {
            findings.push(Finding::new(source, 1, format!("`{module}` has no row in WALLS of tests/tidy/walls.rs")));
            continue;
        };
        for named in crate_paths(source) {
            let target = named.path.first().map_or("", String::as_str);
            if target == module || allowed.contains(&target) {
                continue;
            }
            let message = if may_import(target).is_some() {
                format!("`{module}` must not import `{target}` (WALLS of tests/tidy/walls.rs)")
            } else {
                format!("`crate::{target}` is no module of this crate: name what you use by its module")
            };
            findings.push(Finding::new(source, named.line, message));
        }
    }
    findings
}

fn may_import(module: &str) -> Option<Vec<&'static str>> {
    let row = if PURE.contains(&module) { "pure" } else { module };
    let (_, allowed) = WALLS.iter().find(|(name, _)| *name == row)?;
    Some(allowed.iter().flat_map(|&name| if name == "pure" { PURE.to_vec() } else { vec![name] }).collect())
}

/// No module imports itself by way of another.
pub(crate) fn circles(sources: &[Source]) -> Vec<Finding> {
    let mut arrows: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for source in sources {
        let Some(module) = source.module().filter(|module| !matches!(*module, "main" | "lib")) else { continue };
        let targets = crate_paths(source).into_iter().filter_map(|named| named.path.into_iter().next());
        arrows.entry(module).or_default().extend(targets.filter(|target| target != module));
    }
    let mut findings = Vec::new();
    for source in sources {
        let Some(module) = source.module() else { continue };
        for named in crate_paths(source) {
            let Some(target) = named.path.first().filter(|target| *target != module) else { continue };
            if reaches(&arrows, target, module) {
                let message = format!("`{module}` imports `{target}`, and `{target}` leads back to `{module}`");
                findings.push(Finding::new(source, named.line, message));
            }
        }
    }
    findings
}

fn reaches(arrows: &BTreeMap<&str, BTreeSet<String>>, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(module) = open.pop() {
        if module == to {
            return true;
        }
        if seen.insert(module) {
            open.extend(arrows.get(module).into_iter().flatten().map(String::as_str));
        }
    }
    false
}

/// PURE modules do no I/O, read no clock, spawn nothing, measure nothing and log nothing.
pub(crate) fn purity(sources: &[Source]) -> Vec<Finding> {
    sources
        .iter()
        .filter(|source| source.module().is_some_and(|module| PURE.contains(&module)))
        .flat_map(impure)
        .collect()
}

fn impure(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |line: usize, what: &str, why: &str| {
        findings.push(Finding::new(source, line, format!("`{what}` in a PURE module: {why}")));
    };
    // Key files are the one thing that a PURE module reads.
    let reads_files = source.path == "src/ticket/keyfile.rs";
    for named in std_paths(source) {
        let module = named.path.first().map_or("", String::as_str);
        if matches!(module, "fs" | "net" | "thread" | "process" | "env") && !(module == "fs" && reads_files) {
            find(named.line, &format!("std::{module}"), "it does no I/O and spawns nothing");
        }
    }
    // `clock.rs` is where the clock is, for the edges to hold.
    let holds_the_clock = source.path == "src/clock.rs";
    let tokens = tokens(&source.code);
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| tokens.get(at)).map_or("", |token| token.text);
        let after = tokens.get(at + 1).map_or("", |token| token.text);
        match token.text {
            "tokio" | "sqlx" | "axum" | "reqwest" => find(token.line, token.text, "it does no I/O"),
            "metrics" | "tracing" if after == "::" => find(token.line, token.text, "the edges measure and log"),
            "now" if before == "::" && !holds_the_clock => find(token.line, "now", "time is passed in"),
            "now_v7" | "new_v4" => find(token.line, token.text, "references are passed in"),
            "Clock" if !holds_the_clock => find(token.line, "Clock", "time is passed in as a `Timestamp`"),
            _ => {}
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(check: fn(&[Source]) -> Vec<Finding>, files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<Source> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        check(&sources).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn an_arrow_against_the_grain_is_found() {
        for (path, text) in [
            ("src/store/sqlite.rs", "use crate::gateway::Engine;"),
            ("src/store/mod.rs", "use super::gateway::Engine;"),
            ("src/charge/step.rs", "fn f() { crate::store::open() }"),
            ("src/smpp/link.rs", "use crate::{money::Money};"),
            ("src/gateway/run.rs", "use crate::smpp::Link;"),
            ("src/gateway/run.rs", "use crate::settings::Settings;"),
            ("src/simulator/smsc.rs", "use crate::smpp::pdu;"),
            ("src/simulator/ledger.rs", "use crate::ledger::Posting;"),
            ("src/api/charges.rs", "use crate::demo;"),
            ("src/money.rs", "use crate::*;"),
            ("src/ledger/mod.rs", "use crate as root;"),
            ("src/newcomer/mod.rs", ""),
            ("src/lib.rs", "use crate::api::serve;"),
        ] {
            assert_eq!(found(arrows, &[(path, text)]).len(), 1, "{path}: {text}");
        }
    }

    #[test]
    fn an_arrow_with_the_grain_is_fine() {
        for (path, text) in [
            ("src/store/sqlite.rs", "use crate::{charge::Charge, money::Money, store::batch};"),
            ("src/carrier/smpp.rs", "use crate::smpp::Link;"),
            ("src/api/charges.rs", "use crate::{gateway::Gateway, store::Store, msisdn::Msisdn};"),
            ("src/settings/mod.rs", "use crate::{api::Config, gateway};"),
            ("src/demo/mod.rs", "use crate::{settings::Settings, simulator::Simulator, gateway::Gateway};"),
            ("src/main.rs", "use smsbusd::{api, demo}; use crate::anything;"),
            (
                "src/store/sqlite.rs",
                "// use crate::gateway\n#[cfg(test)] mod tests { use crate::simulator::Simulator; }",
            ),
        ] {
            assert_eq!(found(arrows, &[(path, text)]), [""; 0], "{path}: {text}");
        }
    }

    #[test]
    fn a_finding_names_the_file_and_the_line() {
        let found = found(arrows, &[("src/smpp/link.rs", "\n\nuse crate::charge;")]);
        assert_eq!(found, ["src/smpp/link.rs:3: `smpp` must not import `charge` (WALLS of tests/tidy/walls.rs)"]);
    }

    #[test]
    fn a_circle_is_found() {
        let circle = [
            ("src/charge/mod.rs", "use crate::ledger::Posting;"),
            ("src/ledger/mod.rs", "use crate::ticket;"),
            ("src/ticket/mod.rs", "use crate::{money, charge::Reason};"),
            ("src/money.rs", ""),
        ];
        assert_eq!(found(circles, &circle).len(), 3);
        assert_eq!(found(circles, &circle[1..]), [""; 0]);
    }

    #[test]
    fn what_a_pure_module_must_not_name_is_found() {
        for text in [
            "use tokio::time::sleep;",
            "async fn f() { tokio::spawn(g()) }",
            "use {sqlx::Row};",
            "use std::{collections::BTreeMap, fs};",
            "use std::net::IpAddr;",
            "fn f() { std::thread::sleep(d) }",
            "fn f() { let _ = SystemTime::now(); }",
            "fn f() { let _ = std::time::Instant::now(); }",
            "fn f() { let _ = jiff::Timestamp::now(); }",
            "fn f(c: &Clock) {}",
            "fn f() { tracing::info!(\"x\") }",
            "use metrics::counter;",
            "fn f() { Uuid::now_v7() }",
        ] {
            for path in ["src/charge/step.rs", "src/money.rs", "src/ticket/cwt.rs"] {
                assert_eq!(found(purity, &[(path, text)]).len(), 1, "{path}: {text}");
            }
            assert_eq!(found(purity, &[("src/gateway/run.rs", text)]), [""; 0], "{text}");
        }
    }

    #[test]
    fn key_files_are_read_in_one_place_and_the_clock_is_in_one_place() {
        assert_eq!(found(purity, &[("src/ticket/keyfile.rs", "use std::fs;")]), [""; 0]);
        assert_eq!(found(purity, &[("src/ticket/key_set.rs", "use std::fs;")]).len(), 1);
        assert_eq!(found(purity, &[("src/ticket/keyfile.rs", "use tokio::fs;")]).len(), 1);
        assert_eq!(found(purity, &[("src/clock.rs", "fn now(c: Clock) { jiff::Timestamp::now() }")]), [""; 0]);
        assert_eq!(
            found(purity, &[("src/charge/mod.rs", "fn step(now: Timestamp, tokens: u8) { self.metrics }")]),
            [""; 0]
        );
    }
}
