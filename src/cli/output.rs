//! What commands print.

use std::{
    fs::OpenOptions,
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use serde_json::Value;

use super::Failure;

/// Prints a line. That nobody reads on (`| head`) is no failure.
pub(super) fn print(line: impl AsRef<str>) -> Result<(), Failure> {
    print_bytes(format!("{}\n", line.as_ref()).as_bytes())
}

/// Prints a line, and tells whether somebody still reads.
pub(super) fn print_on(line: impl AsRef<str>) -> Result<bool, Failure> {
    write(format!("{}\n", line.as_ref()).as_bytes())
}

/// Prints a value as JSON on several lines.
pub(super) fn print_json(value: &Value) -> Result<(), Failure> {
    print(format!("{value:#}"))
}

/// Prints bytes as they are.
pub(super) fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    write(bytes).map(drop)
}

/// Whether somebody still reads.
fn write(bytes: &[u8]) -> Result<bool, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(format!("cannot write to the standard output: {error}"))),
    }
}

/// Writes a new file that everybody may read. Errors: it is there already, or cannot be written.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |error| Failure::new(format!("{}: {error}", path.display()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)
}

/// Reads a whole file, or the standard input if the path is `-`. Errors: unreadable, or longer than `bytes_max`.
pub(super) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Failure> {
    let failed = |error| Failure::new(format!("{}: {error}", path.display()));
    let input: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(io::stdin().lock()),
        _ => Box::new(std::fs::File::open(path).map_err(failed)?),
    };
    let mut bytes = Vec::new();
    input.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > bytes_max {
        return Err(Failure::new(format!("{}: longer than {bytes_max} bytes", path.display())));
    }
    Ok(bytes)
}
