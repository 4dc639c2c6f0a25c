//! Old months of the journal and the ledger.

use std::process::Output;

use crate::deployment::{Deployment, smsbusd, stderr};

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
