//! A consistent copy of the file, made beside a daemon that goes on writing.
//!
//! `VACUUM INTO` reads one snapshot from its beginning to its end, whatever is committed meanwhile. The online back-up of SQLite would
//! begin anew with each commit of another connection, and never end under load.

use std::{
    fs::{self, File, OpenOptions},
    io::ErrorKind,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use sqlx::{ConnectOptions, Connection, Row, sqlite::SqliteConnection};

use super::{SqliteConfig, options};
use crate::{
    clock::Timestamp,
    store::{BackedUp, StoreError},
};

/// Copies the file to `to`, which must not exist. Durable on return: the copy and its folder are on the disk.
///
/// Errors: the copy exists, or cannot be written; then nothing is left of it.
pub(in crate::store) async fn back_up(config: &SqliteConfig, to: &Path) -> Result<BackedUp, StoreError> {
    let cannot = |path: &Path, why: String| StoreError::BackUp { path: path.into(), why };
    let folder = match to.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => return Err(cannot(to, "this is no file".into())),
    };
    if fs::symlink_metadata(to).is_ok() {
        return Err(cannot(to, "it exists, and a back-up overwrites nothing".into()));
    }
    let source = options(config).create_if_missing(false);
    let mut source = source
        .connect()
        .await
        .map_err(|error| StoreError::Open { path: config.path.clone(), why: error.to_string() })?;
    let part = Part::new(to).map_err(|error| cannot(to, error.to_string()))?;
    let text = part.0.to_str().ok_or_else(|| cannot(to, "its name is not UTF-8".into()))?;
    sqlx::query("VACUUM INTO ?1")
        .bind(text)
        .execute(&mut source)
        .await
        .map_err(|error| cannot(to, error.to_string()))?;
    source.close().await?;
    let latest = look(&part.0).await.map_err(|error| cannot(to, format!("the copy cannot be read: {error}")))?;
    let bytes = keep(&part.0, to, folder).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => cannot(to, "it exists, and a back-up overwrites nothing".into()),
        _ => cannot(to, error.to_string()),
    })?;
    Ok(BackedUp { bytes, latest })
}

/// A copy that is not whole yet. What is left of it goes.
struct Part(PathBuf);

impl Part {
    /// Nobody else may read what passengers paid: an empty file is made first, with the rights of its owner alone.
    fn new(to: &Path) -> std::io::Result<Part> {
        let mut name = to.as_os_str().to_owned();
        name.push(format!(".part-{}", std::process::id()));
        let part = Part(name.into());
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part.0)?;
        Ok(part)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Under its name it is kept already, or it is worth nothing.
        let _ = fs::remove_file(&self.0);
    }
}

/// The moment of the last commit in the copy.
async fn look(part: &Path) -> Result<Option<Timestamp>, sqlx::Error> {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(part).read_only(true).disable_statement_logging();
    let mut copy: SqliteConnection = options.connect().await?;
    let last: Option<i64> = sqlx::query("SELECT max(at) FROM chain").fetch_one(&mut copy).await?.try_get(0)?;
    copy.close().await?;
    Ok(last.map(Timestamp::from_unix_ms))
}

/// Gives it its name, which nobody else has, and sees to it that both are on the disk.
fn keep(part: &Path, to: &Path, folder: &Path) -> std::io::Result<u64> {
    let file = File::open(part)?;
    file.sync_all()?;
    fs::hard_link(part, to)?;
    File::open(folder)?.sync_all()?;
    Ok(file.metadata()?.len())
}
