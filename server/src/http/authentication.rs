//! Who is asking. Decided from headers and URL before a byte of the body is read.

use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};

use super::parameters::Parameters;
use crate::config::Config;

/// The user's name, or error 516 / 194. ClickHouse's own headers win over Basic, that over the URL;
/// two ways at once are an error.
pub fn authenticate(
    config: &Config,
    headers: &HeaderMap,
    parameters: &Parameters,
    peer_is_loopback: bool,
) -> Result<String> {
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let own = (header("x-clickhouse-user"), header("x-clickhouse-key"));
    let basic =
        header("authorization").filter(|v| *v != "never").map(basic_credentials).transpose()?;
    let url = (parameters.get("user"), parameters.get("password"));
    let given = usize::from(own.0.is_some() || own.1.is_some())
        + usize::from(basic.is_some())
        + usize::from(url.0.is_some() || url.1.is_some());
    if given > 1 {
        return Err(failed(
            "Invalid authentication: it is not allowed to use several authentication methods simultaneously",
        ));
    }
    let (user, password) = if own.0.is_some() || own.1.is_some() {
        (own.0.unwrap_or("default").to_string(), own.1.unwrap_or("").to_string())
    } else if let Some(pair) = basic {
        pair
    } else {
        (url.0.unwrap_or("default").to_string(), url.1.unwrap_or("").to_string())
    };
    if given == 0 && !config.password.is_empty() {
        return Err(Error::new(
            codes::REQUIRED_PASSWORD,
            "default: Authentication failed: password is required",
        ));
    }
    check_password(config, &user, &password, peer_is_loopback)
}

/// The user's name if the password is right; error 516 else. Without a password in the configuration
/// only loopback may enter.
pub fn check_password(
    config: &Config,
    user: &str,
    password: &str,
    peer_is_loopback: bool,
) -> Result<String> {
    let known = user == "default";
    let open = config.password.is_empty() && peer_is_loopback;
    let matches = equal_in_constant_time(password.as_bytes(), config.password.as_bytes());
    if known && (matches && !config.password.is_empty() || open && password.is_empty()) {
        return Ok(user.to_string());
    }
    Err(failed(&format!(
        "{user}: Authentication failed: password is incorrect, or there is no user with such name."
    )))
}

fn failed(message: &str) -> Error {
    Error::new(codes::AUTHENTICATION_FAILED, message)
}

fn basic_credentials(value: &str) -> Result<(String, String)> {
    let encoded =
        value.strip_prefix("Basic ").or_else(|| value.strip_prefix("basic ")).ok_or_else(|| {
            failed("Invalid authentication: only Basic HTTP authorization is supported")
        })?;
    let decoded = STANDARD
        .decode(encoded.trim())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| failed("Invalid authentication: Basic credentials cannot be decoded"))?;
    let (user, password) = decoded.split_once(':').unwrap_or((&decoded, ""));
    Ok((if user.is_empty() { "default" } else { user }.into(), password.into()))
}

/// Takes as long for a wrong first byte as for a wrong last one.
fn equal_in_constant_time(a: &[u8], b: &[u8]) -> bool {
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

    fn code(password: &str, headers: &[(&'static str, &str)], url: &str, loopback: bool) -> u32 {
        let config = Config { password: password.into(), ..Config::default() };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        match authenticate(&config, &map, &Parameters::parse(url), loopback) {
            Ok(_) => 0,
            Err(e) => e.code(),
        }
    }

    #[test]
    fn who_may_enter() {
        assert_eq!(code("", &[], "", true), 0);
        assert_eq!(code("", &[], "", false), 516);
        assert_eq!(code("s", &[], "", true), 194);
        assert_eq!(code("s", &[("x-clickhouse-key", "s")], "", false), 0);
        assert_eq!(code("s", &[("x-clickhouse-key", "t")], "", true), 516);
        assert_eq!(code("s", &[], "user=default&password=s", false), 0);
        assert_eq!(code("s", &[("authorization", "Basic ZGVmYXVsdDpz")], "", false), 0);
        assert_eq!(
            code("s", &[("authorization", "Basic ZGVmYXVsdDpz")], "user=default", false),
            516
        );
        assert_eq!(code("", &[("x-clickhouse-user", "root")], "", true), 516);
        assert_eq!(code("", &[("authorization", "Bearer x")], "", true), 516);
    }
}
