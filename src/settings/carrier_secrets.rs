//! Passwords, tokens, certificates and keys with which carriers are reached, from the files that the configuration names.

use std::{collections::BTreeMap, path::Path};

use zeroize::Zeroizing;

use super::{draft::Draft, materials::read_text};
use crate::{
    carrier::{
        CamaraProfile, CamaraSecrets, CarrierConfig, CarrierSecrets, HttpMaterials, HttpProfile, HttpSecrets,
        LinkSecrets, SmppProfile, TlsConfig,
    },
    charge::CarrierName,
    smpp::{Tls, TlsMaterials},
};

/// A password in a bind has eight characters at most (SMPP 3.4, 4.1.1).
const PASSWORD_CHARS_MAX: usize = 8;
/// No secret of a request is longer.
const SECRET_BYTES_MAX: usize = 4_096;

/// Reads them all, and notes in `draft` what is wrong with them.
pub(super) fn read(draft: &mut Draft) -> BTreeMap<CarrierName, CarrierSecrets> {
    let carriers = draft.settings.carriers.clone();
    carriers.into_iter().map(|(name, carrier)| (name.clone(), of_carrier(draft, &name, &carrier))).collect()
}

fn of_carrier(draft: &mut Draft, name: &CarrierName, carrier: &CarrierConfig) -> CarrierSecrets {
    let mut secrets = CarrierSecrets::default();
    if let Some(profile) = &carrier.smpp {
        of_smsc(draft, &format!("carriers.{name}.smpp"), profile, &mut secrets.links);
    }
    if let Some(profile) = &carrier.camara {
        of_camara(draft, &format!("carriers.{name}.camara"), profile, &mut secrets.camara);
    }
    if let Some(section) = &carrier.http {
        secrets.http = of_profile(draft, &format!("carriers.{name}.http"), section);
    }
    secrets
}

pub(super) fn of_camara(draft: &mut Draft, key: &str, profile: &CamaraProfile, secrets: &mut CamaraSecrets) {
    let read = read_secret(&profile.token.client_secret_file);
    secrets.client_secret = noted(draft, &format!("{key}.token.client_secret_file"), read).unwrap_or_default();
    for (n, file) in profile.callback_token_files.iter().enumerate() {
        secrets.callback_tokens.extend(noted(draft, &format!("{key}.callback_token_files[{n}]"), read_secret(file)));
    }
    secrets.tls = profile.tls.as_ref().map(|tls| tls_materials(draft, &format!("{key}.tls"), tls));
}

/// The profile itself is a file too; what is wrong with it is told with its lines.
pub(super) fn of_profile(draft: &mut Draft, key: &str, section: &HttpProfile) -> Option<HttpMaterials> {
    let mut read = Vec::new();
    for (secret, file) in &section.secret_files {
        let value = noted(draft, &format!("{key}.secret_files.{secret}"), read_secret(file));
        read.extend(value.map(|value| (secret.clone(), value)));
    }
    let mut secrets = HttpSecrets::new(read);
    if let Some(tls) = &section.tls {
        secrets = secrets.with_tls(tls_materials(draft, &format!("{key}.tls"), tls));
    }
    match section.load() {
        Ok(profile) => {
            section.problems(&profile).iter().for_each(|problem| draft.problem_below(key, problem));
            Some(HttpMaterials { profile, secrets })
        }
        Err(error) => {
            error.0.iter().for_each(|problem| draft.problem(format!("{key}.profile"), problem.to_string()));
            None
        }
    }
}

fn of_smsc(draft: &mut Draft, key: &str, profile: &SmppProfile, secrets: &mut LinkSecrets) {
    if !profile.password_file.as_os_str().is_empty() {
        let read = read_password(&profile.password_file);
        secrets.password = noted(draft, &format!("{key}.password_file"), read).unwrap_or_default();
    }
    for (n, bind) in profile.binds.iter().enumerate() {
        let Some(file) = &bind.password_file else { continue };
        if let Some(password) = noted(draft, &format!("{key}.binds[{n}].password_file"), read_password(file)) {
            secrets.bind_passwords.insert(bind.name.clone(), password);
        }
    }
    if let Some(tls) = &profile.tls {
        secrets.tls = tls_materials(draft, &format!("{key}.tls"), tls);
    }
}

fn tls_materials(draft: &mut Draft, key: &str, tls: &TlsConfig) -> TlsMaterials {
    let mut file = |name: &str, path: Option<&Path>| {
        noted(draft, &format!("{key}.{name}"), read_text(path?)).map(String::into_bytes)
    };
    let authorities = file("authorities_file", tls.authorities_file.as_deref());
    let certificate = file("certificate_file", tls.certificate_file.as_deref());
    let key_file = file("key_file", tls.key_file.as_deref()).map(Zeroizing::new);
    let materials = TlsMaterials { authorities, identity: certificate.zip(key_file) };
    // What cannot be used is found out now, not when the link is opened.
    noted(draft, key, Tls::new(&materials, tls.server_name.as_deref()).map(drop).map_err(|error| error.to_string()));
    materials
}

fn noted<T>(draft: &mut Draft, key: &str, read: Result<T, String>) -> Option<T> {
    read.map_err(|what| draft.problem(key, what)).ok()
}

/// Reads a secret that goes into a request. Errors: what is wrong with the file, in words that do not show the secret.
fn read_secret(file: &Path) -> Result<Zeroizing<String>, String> {
    let text = Zeroizing::new(read_text(file)?);
    let secret = text.trim_end_matches(['\r', '\n']);
    let place = file.display();
    if secret.is_empty() || secret.len() > SECRET_BYTES_MAX {
        return Err(format!("{place}: a secret has 1 to {SECRET_BYTES_MAX} bytes"));
    }
    if secret.chars().any(char::is_control) {
        return Err(format!("{place}: a secret is on one line"));
    }
    Ok(Zeroizing::new(secret.to_owned()))
}

/// Reads the password of a bind. Errors: what is wrong with the file, in words that do not show the password.
pub fn read_password(file: &Path) -> Result<Zeroizing<String>, String> {
    let text = Zeroizing::new(read_text(file)?);
    let password = text.trim_end_matches(['\r', '\n']);
    let place = file.display();
    if password.is_empty() || password.chars().count() > PASSWORD_CHARS_MAX {
        // The length is no secret; the text is.
        return Err(format!("{place}: a password has 1 to {PASSWORD_CHARS_MAX} characters (SMPP 3.4, 4.1.1)"));
    }
    if !password.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        return Err(format!("{place}: a password is printable ASCII on one line"));
    }
    Ok(Zeroizing::new(password.to_owned()))
}
