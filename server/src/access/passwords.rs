//! Secrets of users: what is kept of a password, and whether a given one is right.
//!
//! Comparing takes as long for a wrong first byte as for a wrong last one.

use pumphouse_query::error::codes;
use pumphouse_query::functions::{sha1, sha256};
use pumphouse_query::sql::access::AuthenticationMethod;
use pumphouse_query::{Error, Result};
use uuid::Uuid;

/// What is kept of a method as CREATE USER gives it: a hash in the place of a password.
pub fn kept(method: &AuthenticationMethod) -> Result<AuthenticationMethod> {
    let secret = method.secret.clone().unwrap_or_default();
    let mut kept = method.clone();
    match method.kind.as_str() {
        "" | "sha256_password" => {
            let salt = hex(&[*Uuid::new_v4().as_bytes(), *Uuid::new_v4().as_bytes()].concat());
            kept.kind = "sha256_hash".into();
            kept.secret = Some(hex(&sha256(format!("{secret}{salt}").as_bytes(), false)));
            kept.salt = Some(salt);
        }
        "double_sha1_password" => {
            kept.kind = "double_sha1_hash".into();
            kept.secret = Some(hex(&sha1(&sha1(secret.as_bytes()))));
        }
        "sha256_hash" => kept.secret = Some(checked_hash(&secret, 32)?),
        "double_sha1_hash" => kept.secret = Some(checked_hash(&secret, 20)?),
        "plaintext_password" | "no_password" => {}
        other => {
            let message = format!(
                "Authentication by {other} is not supported: known are no_password, plaintext_password, \
                 sha256_password, sha256_hash, double_sha1_password and double_sha1_hash"
            );
            return Err(Error::new(codes::NOT_IMPLEMENTED, message));
        }
    }
    Ok(kept)
}

/// How a kept method is shown, without its secret.
pub fn shown(method: &AuthenticationMethod) -> AuthenticationMethod {
    let kind = match method.kind.as_str() {
        "sha256_hash" => "sha256_password",
        "double_sha1_hash" => "double_sha1_password",
        other => other,
    };
    AuthenticationMethod {
        kind: kind.into(),
        valid_until: method.valid_until.clone(),
        ..Default::default()
    }
}

/// Whether `password` is the one that was kept.
pub fn is_right(method: &AuthenticationMethod, password: &str) -> bool {
    let secret = method.secret.as_deref().unwrap_or_default();
    let salt = method.salt.as_deref().unwrap_or_default();
    match method.kind.as_str() {
        "no_password" => true,
        "plaintext_password" => equal_in_constant_time(secret.as_bytes(), password.as_bytes()),
        "sha256_hash" => {
            let hash = hex(&sha256(format!("{password}{salt}").as_bytes(), false));
            equal_in_constant_time(secret.as_bytes(), hash.as_bytes())
        }
        "double_sha1_hash" => {
            let hash = hex(&sha1(&sha1(password.as_bytes())));
            equal_in_constant_time(secret.as_bytes(), hash.as_bytes())
        }
        _ => false,
    }
}

fn checked_hash(text: &str, bytes: usize) -> Result<String> {
    let is_hex = text.bytes().all(|b| b.is_ascii_hexdigit());
    match is_hex && text.len() == bytes * 2 {
        true => Ok(text.to_ascii_uppercase()),
        false => {
            let message =
                format!("The hash of a password must have {} hexadecimal digits", bytes * 2);
            Err(Error::new(codes::BAD_ARGUMENTS, message))
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02X}")).collect()
}

/// Takes as long for a wrong first byte as for a wrong last one.
pub fn equal_in_constant_time(a: &[u8], b: &[u8]) -> bool {
    let mut difference = a.len() ^ b.len();
    for i in 0..a.len().max(b.len()) {
        let (x, y) = (a.get(i).copied().unwrap_or(0), b.get(i).copied().unwrap_or(0));
        difference |= usize::from(x ^ y);
    }
    difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_kept_as_hashes() {
        for kind in ["", "sha256_password", "double_sha1_password", "plaintext_password"] {
            let method = AuthenticationMethod {
                kind: kind.into(),
                secret: Some("qwerty".into()),
                ..Default::default()
            };
            let kept = kept(&method).unwrap();
            assert!(is_right(&kept, "qwerty") && !is_right(&kept, "qwert") && !is_right(&kept, ""));
            assert!(kind == "plaintext_password" || kept.secret != method.secret);
            assert_eq!(shown(&kept).secret, None);
        }
    }
}
