//! The real daemon: this very program, as a child process.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::process::{Child, Command};

use super::{DemoError, files::Configured};

/// How long it may take to drain. Its own limit is below this.
const STOP_MAX: Duration = Duration::from_secs(15);
/// What of its log is shown when something goes wrong.
const LOG_LINES: usize = 20;

/// A running daemon. Killed when dropped.
#[derive(Debug)]
pub(super) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `smsbusd serve`. What it logs is appended to `log`.
    pub(super) fn start(configured: &Configured, log: PathBuf) -> Result<Daemon, DemoError> {
        let failed = |source| DemoError::Process { action: "start", source };
        let program = std::env::current_exe().map_err(failed)?;
        let output = File::options().create(true).append(true).open(&log);
        let output = output.map_err(|source| DemoError::File { path: log.clone(), source })?;
        let child = Command::new(program)
            .arg("serve")
            .arg("--config")
            .arg(&configured.path)
            // Nothing of the surroundings may change the morning: neither SMSBUSD__… nor a supervisor's socket.
            .env_clear()
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(failed)?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        Ok(Daemon { child, log })
    }

    /// Its process id, while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Errors: it has ended.
    pub(super) fn check_running(&mut self) -> Result<(), DemoError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(DemoError::Ended(status)),
            Err(source) => Err(DemoError::Process { action: "look at", source }),
        }
    }

    /// `kill -9`. Returns when the process is gone.
    pub(super) async fn kill(&mut self) -> Result<(), DemoError> {
        self.child.kill().await.map_err(|source| DemoError::Process { action: "kill", source })
    }

    /// SIGTERM, as systemd stops it. Returns when it has drained and gone. Errors: it does not, or not with success.
    pub(super) async fn stop(&mut self) -> Result<(), DemoError> {
        let failed = |source| DemoError::Process { action: "stop", source };
        let Some(pid) = self.pid() else { return Ok(()) };
        // Only a child that has not been waited for: its id cannot belong to another process yet.
        let told = Command::new("sh").arg("-c").arg(format!("kill -TERM {pid}")).status().await.map_err(failed)?;
        if !told.success() {
            return Err(DemoError::Process { action: "stop", source: std::io::Error::other(told.to_string()) });
        }
        let ended: ExitStatus = tokio::time::timeout(STOP_MAX, self.child.wait())
            .await
            .map_err(|_| DemoError::InVain { what: "the daemon has drained".into(), limit: STOP_MAX })?
            .map_err(failed)?;
        if ended.success() { Ok(()) } else { Err(DemoError::Ended(ended)) }
    }

    pub(super) fn log_file(&self) -> &Path {
        &self.log
    }
}

/// The last lines of a log, for somebody who wonders what went wrong.
pub(super) fn last_lines(log: &Path) -> String {
    // A log that cannot be read must not hide the error that it was to explain.
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}
