//! Old months of the journal and the ledger.

use std::process::Output;

use crate::deployment::{Deployment, smsbusd, stderr, stdout};

fn retention(deployment: &Deployment, args: &[&str], url: Option<&str>) -> Output {
    let mut command = smsbusd();
    command.arg("retention").args(args).arg("--config").arg(deployment.config());
    command.envs(url.map(|url| ("SMSBUSD__STORE__URL", url)));
    command.output().expect("the program runs")
}

#[test]
fn what_makes_no_sense_is_refused_with_its_name() {
    let deployment = Deployment::new();
    let refused = |args: &[&str], status: i32, why: &str| {
        let output = retention(&deployment, args, None);
        assert!(output.status.code() == Some(status) && stderr(&output).contains(why), "{args:?}: {}", stderr(&output));
    };
    refused(&["--keep-months", "72"], 2, "--archive");
    refused(&["--keep-months", "72", "--archive", "a", "--no-archive"], 2, "cannot be used with");
    refused(&["--keep-months", "0", "--dry-run"], 2, "--keep-months");
    refused(&["--dry-run"], 2, "--keep-months");
    refused(&["--keep-months", "59", "--dry-run"], 2, "store.keep_months_min is 60");
    refused(
        &["--keep-months", "72", "--dry-run"],
        2,
        "only a PostgreSQL store lets go of months; a file keeps everything",
    );
    deployment.append("[store.x]");
    refused(&["--keep-months", "72", "--dry-run"], 78, "store.x");
}

#[test]
fn an_archive_is_checked_for_a_server_only() {
    let deployment = Deployment::new();
    let mut command = smsbusd();
    command.args(["ledger", "check", "--archive", "/srv/nowhere", "--config"]).arg(deployment.config());
    let output = command.output().expect("the program runs");
    assert!(!output.status.success() && stderr(&output).contains("PostgreSQL"), "{}", stderr(&output));
}

mod on_postgres {
    use sqlx::{AssertSqlSafe, ConnectOptions, postgres::PgConnectOptions, postgres::PgConnection};

    use super::*;

    /// The address of a database with the month of March 2020, and a connection to it.
    async fn with_march(deployment: &Deployment) -> (String, PgConnection) {
        let url = std::env::var("SMSBUSD_TEST_POSTGRES").expect("run it with scripts/postgres");
        let schema = format!("retention_{}", std::process::id());
        let mut db = url.parse::<PgConnectOptions>().expect("an address").connect().await.expect("a server");
        let make = format!("CREATE SCHEMA {schema}; SET search_path = {schema}");
        sqlx::raw_sql(AssertSqlSafe(make)).execute(&mut db).await.expect("a schema");
        let url = format!("{url}&options=-csearch_path%3D{schema}");
        let mut command = smsbusd();
        command.args(["migrate", "--config"]).arg(deployment.config()).env("SMSBUSD__STORE__URL", &url);
        assert!(command.status().expect("the program runs").success());
        sqlx::raw_sql("SELECT make_month('2020-03-01')").execute(&mut db).await.expect("a month");
        (url, db)
    }

    #[tokio::test]
    #[ignore = "needs a server: scripts/postgres"]
    async fn a_command_that_is_killed_anywhere_is_run_again_and_the_archive_is_what_was_archived() {
        let (deployment, archive) = (Deployment::new(), tempfile::tempdir().expect("a folder"));
        let (url, mut db) = with_march(&deployment).await;
        let folder = archive.path().to_str().expect("a name");
        let args = ["--keep-months", "60", "--archive", folder];
        for point in ["retention-while-archiving", "retention-after-archive", "retention-before-commit"] {
            let mut command = smsbusd();
            command.arg("retention").args(args).arg("--config").arg(deployment.config());
            command.env("SMSBUSD__STORE__URL", &url).env("KILL_POINT", point);
            let killed = command.output().expect("the program runs");
            assert!(killed.status.code().is_none(), "{point}: {}", stderr(&killed));
            let still = sqlx::query("SELECT 'journal_2020_03'::regclass").fetch_one(&mut db).await;
            assert!(still.is_ok(), "{point}");
        }
        // The server may take a moment to notice that the last one is gone.
        let mut done = retention(&deployment, &args, Some(&url));
        for _ in 0..100 {
            if !stderr(&done).contains("another retention is under way") {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            done = retention(&deployment, &args, Some(&url));
        }
        assert!(
            done.status.success() && stdout(&done).starts_with("2020-03: archived and retired: 0 "),
            "{}",
            stderr(&done)
        );
        let again = retention(&deployment, &args, Some(&url));
        assert!(
            again.status.success() && stdout(&again).starts_with("No month is there before "),
            "{}",
            stdout(&again)
        );
        let mut check = smsbusd();
        check.args(["ledger", "check", "--archive", folder, "--config"]).arg(deployment.config());
        let checked = check.env("SMSBUSD__STORE__URL", &url).output().expect("the program runs");
        assert!(stdout(&checked).contains("1 months in the archive are what was archived"), "{}", stderr(&checked));
    }
}
