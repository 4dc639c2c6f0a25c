//! The books move from a file to a server, and the daemon goes on there.

use std::{path::Path, process::Output, sync::atomic::AtomicU32, sync::atomic::Ordering};

use serde_json::Value;
use sqlx::{AssertSqlSafe, ConnectOptions, postgres::PgConnectOptions};

use crate::{
    daemon::{Daemon, answered, ask, simulator},
    deployment::{Deployment, smsbusd, stderr, stdout},
};

/// The address of an empty schema on the server that `scripts/postgres` started.
async fn new_schema() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let url = std::env::var("SMSBUSD_TEST_POSTGRES").expect("run it with scripts/postgres");
    let schema = format!("moved_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let mut db = url.parse::<PgConnectOptions>().expect("an address").connect().await.expect("a server");
    sqlx::query(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).execute(&mut db).await.expect("a schema");
    format!("{url}&options=-csearch_path%3D{schema}")
}

fn file(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

/// `kill_point` ends the process as `kill -9` would.
fn migrate(from: &str, to: &str, kill_point: Option<&str>) -> Output {
    let mut command = smsbusd();
    command.args(["migrate", "--from", from, "--to", to]);
    command.envs(kill_point.map(|point| ("KILL_POINT", point)));
    command.output().expect("the program runs")
}

/// Runs a command on the books that this address names.
fn on(deployment: &Deployment, url: &str, command: &[&str]) -> Output {
    let config = deployment.config();
    let mut program = smsbusd();
    program.args(command).arg("--config").arg(config).env("SMSBUSD__STORE__URL", url);
    program.output().expect("the program runs")
}

fn ledger(deployment: &Deployment, url: &str) -> Value {
    let checked = on(deployment, url, &["ledger", "check", "--json"]);
    assert!(checked.status.success(), "{}", stderr(&checked));
    serde_json::from_slice(&checked.stdout).expect("JSON")
}

fn serve(deployment: &Deployment, url: &str) -> Daemon {
    Daemon::start_with(deployment, |command| {
        command.env("SMSBUSD__STORE__URL", url);
    })
}

fn end(daemon: Daemon) {
    daemon.signal("TERM");
    assert_eq!(daemon.end().code(), Some(0));
}

const BUY: [&str; 10] =
    ["charge", "create", "--msisdn", "+77010000001", "--vehicle", "1234", "--wait", "60", "--key", "first"];

mod on_postgres {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs a server: scripts/postgres"]
    async fn who_bought_before_the_move_is_not_charged_again_after_it() {
        let simulator = simulator().await;
        let deployment = Deployment::with_smsc(simulator.smpp_address());
        let (old, new) = (file(&deployment.path("smsbusd.db")), new_schema().await);
        let daemon = Daemon::start(&deployment);
        daemon.wait_for("bound");
        let charge = answered(&daemon, &BUY);
        assert_eq!(charge["state"], "charged", "{charge:#}");
        let events = stdout(&ask(&daemon, &["events"]));
        let served = migrate(&old, &new, None);
        assert_eq!(served.status.code(), Some(1));
        assert!(stderr(&served).contains("smsbusd.db is in use by process "), "{}", stderr(&served));
        end(daemon);

        let moved = migrate(&old, &new, None);
        assert!(moved.status.success(), "{}", stderr(&moved));
        let said = stdout(&moved);
        assert!(said.lines().any(|line| line.starts_with("charges ") && line.contains("  1  ")), "{said}");
        assert!(said.contains("1 charges, "), "{said}");
        assert!(said.ends_with(&format!("Now configure: store.url = {new:?}\n")), "{said}");
        assert_eq!(ledger(&deployment, &new), ledger(&deployment, &old));
        let refused = on(&deployment, &old, &["serve"]);
        assert_eq!(refused.status.code(), Some(78), "{}", stderr(&refused));
        assert!(stderr(&refused).contains("smsbusd.db were moved to postgres://"), "{}", stderr(&refused));

        let daemon = serve(&deployment, &new);
        daemon.wait_for("bound");
        let taken = migrate(&old, &new, None);
        assert_eq!(taken.status.code(), Some(1));
        assert!(stderr(&taken).contains("serves instances"), "{}", stderr(&taken));
        assert_eq!(answered(&daemon, &BUY)["reference"], charge["reference"], "the same key charges once");
        assert_eq!(simulator.ledger().entries().len(), 1);
        assert_eq!(stdout(&ask(&daemon, &["events"])), events, "the same events, under the same ids");
        end(daemon);
        simulator.shutdown().await;
    }

    /// At no moment can both be served.
    #[cfg(feature = "failpoints")]
    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs a server: scripts/postgres"]
    async fn a_move_that_is_killed_leaves_one_store_to_serve_or_none_and_can_be_made_again() {
        let deployment = Deployment::new();
        let daemon = Daemon::start(&deployment);
        let bought =
            ask(&daemon, &["charge", "create", "--msisdn", "+77010000001", "--vehicle", "1234", "--wait", "1"]);
        assert!(!stdout(&bought).is_empty(), "{}", stderr(&bought));
        end(daemon);
        for (point, old_is_served, new_is_served) in [
            ("transfer-before-mark", true, false),
            ("transfer-after-mark", false, false),
            ("transfer-after-commit", false, true),
        ] {
            let path = deployment.path(&format!("{point}.db"));
            std::fs::copy(deployment.path("smsbusd.db"), &path).expect("copied");
            // With the note of how far it was seen, without which its daemon would ask.
            std::fs::copy(deployment.path("smsbusd.db.watermark"), deployment.path(&format!("{point}.db.watermark")))
                .expect("copied");
            let (old, new) = (file(&path), new_schema().await);
            let killed = migrate(&old, &new, Some(point));
            assert!(stderr(&killed).ends_with(&format!("ended at the kill point {point}\n")), "{}", stderr(&killed));
            let has_books = ledger(&deployment, &new)["charges"] == 1;
            assert_eq!(has_books, new_is_served, "{point}");
            if old_is_served {
                end(serve(&deployment, &old));
            } else {
                let refused = on(&deployment, &old, &["serve"]);
                assert!(stderr(&refused).contains("run the same `smsbusd migrate"), "{point}: {}", stderr(&refused));
            }
            let again = migrate(&old, &new, None);
            assert!(again.status.success(), "{point}: {}", stderr(&again));
            assert_eq!(stdout(&again).contains("were moved there before"), new_is_served, "{}", stdout(&again));
            assert_eq!(ledger(&deployment, &new), ledger(&deployment, &old), "{point}");
            end(serve(&deployment, &new));
            assert_eq!(on(&deployment, &old, &["serve"]).status.code(), Some(78), "{point}");
        }
    }
}
