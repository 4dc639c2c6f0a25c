//! The digest that signs forms: the named values in their order and the secret last, joined by semicolons.

use md5::Md5;
use sha2::{Digest as _, Sha256};

use super::{Digest, form::Form};

/// The digest over these values and the secret, in lower-case hexadecimal.
pub(super) fn sign(digest: Digest, values: &[&str], secret: &str) -> String {
    let text = [values, &[secret]].concat().join(";");
    match digest {
        Digest::Md5 => data_encoding::HEXLOWER.encode(&Md5::digest(text.as_bytes())),
        Digest::Sha256 => data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes())),
    }
}

/// Whether the form's `sign` is the digest over these of its fields; one that is not there counts as empty.
pub(super) fn is_signed(form: &Form, names: &[&str], digest: Digest, secret: &str) -> bool {
    let values: Vec<&str> = names.iter().map(|name| form.get(name).unwrap_or_default()).collect();
    form.get("sign") == Some(sign(digest, &values, secret).as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_comes_last() {
        // As md5sum and sha256sum give it for "pay;77010000001;secret".
        let values = ["pay", "77010000001"];
        assert_eq!(sign(Digest::Md5, &values, "secret"), "fed24c3a0e30394086a59909989caa12");
        assert_eq!(
            sign(Digest::Sha256, &values, "secret"),
            "a3e6a02bf4431d65858c5fad5fa7847c45669e28fbdd543191bff8d121e705c2"
        );
    }
}
