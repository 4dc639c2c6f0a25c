use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::ticket::samples::at;

fn ticket_key() -> NewKey {
    NewKey::Ticket { not_before: at(0), not_after: at(3_600) }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn write(folder: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("some.key");
    write_new(&path, text).expect("written");
    path
}

#[test]
fn what_is_generated_is_private_and_loads_again() {
    let folder = folder();
    for new in [ticket_key(), NewKey::Root, NewKey::ShortCode, NewKey::MsisdnTag] {
        let listed = generate(folder.path(), new).expect("generated");
        let mode = fs::metadata(&listed.path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(load(&listed.path).expect("loads").listed(listed.path.clone()), listed);
    }
    let listed = list(folder.path()).expect("a list");
    let purposes: Vec<Purpose> = listed.iter().map(|l| l.purpose).collect();
    assert_eq!(purposes, [Purpose::MsisdnTag, Purpose::Root, Purpose::ShortCode, Purpose::Ticket]);
    assert_eq!(listed[3].window, Some((at(0), at(3_600))));
}

#[test]
fn a_keyring_is_made_of_the_ticket_keys_alone() {
    let folder = folder();
    let none = load_keyring(folder.path()).expect_err("no key").to_string();
    assert!(none.ends_with("the keyring is empty"), "{none}");
    generate(folder.path(), NewKey::Root).expect("generated");
    let one = generate(folder.path(), ticket_key()).expect("generated");
    generate(folder.path(), ticket_key()).expect("generated");
    let keys = load_keyring(folder.path()).expect("a ring").public_keys(at(0));
    assert_eq!(keys.len(), 2);
    assert!(keys.iter().any(|key| Some(key.kid) == one.kid));
}

#[test]
fn a_file_that_others_can_read_is_refused_by_name() {
    let folder = folder();
    let path = generate(folder.path(), NewKey::Root).expect("generated").path;
    for mode in [0o640, 0o604, 0o660, 0o444] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        let error = load(&path).map(drop).expect_err("exposed").to_string();
        assert!(error.contains(&path.display().to_string()) && error.contains(&format!("{mode:03o}")), "{error}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("set");
    assert!(load(&path).is_ok());
    assert!(is_systemd_credential(0o440, 0) && !is_systemd_credential(0o440, 1_000));
}

#[test]
fn an_existing_key_is_never_overwritten() {
    let folder = folder();
    let first = generate(folder.path(), NewKey::ShortCode).expect("generated");
    let before = fs::read(&first.path).expect("read");
    assert!(matches!(generate(folder.path(), NewKey::ShortCode), Err(KeyFileError::Io { action: "create it", .. })));
    assert_eq!(fs::read(&first.path).expect("read"), before);
}

#[test]
fn what_is_wrong_with_a_file_is_said_without_its_secret() {
    let secret = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
    for (text, what) in [
        (format!("purpose = \"root\"\nprivate_key = \"{secret}\"\n"), "public_key is not that of private_key"),
        (format!("purpose = \"short-code\"\nprivate_key = \"{secret}x\"\n"), "private_key is not 32 bytes"),
        (format!("purpose = \"ticket\"\nprivate_key = \"{secret}\"\n"), "needs not_before and not_after"),
        (format!("purpose = \"tiket\"\nprivate_key = \"{secret}\"\n"), "unknown variant"),
        (format!("purpose = \"root\"\nprivate_key = \"{secret}\"\nend = 1\n"), "unknown field `end`"),
        (format!("private_key = \"{secret}\" \"\n"), "not a key file"),
        ("x".repeat(5_000), "longer than 4096 bytes"),
    ] {
        let folder = folder();
        let path = write(&folder, &text);
        let error = load(&path).map(drop).expect_err(what).to_string();
        assert!(error.contains(what) && error.contains("some.key"), "{error}");
        assert!(!error.contains(secret), "{error}");
    }
    let missing = load(Path::new("/nonexistent/a.key")).map(drop).expect_err("missing").to_string();
    assert!(missing.starts_with("/nonexistent/a.key: cannot open it"), "{missing}");
}
