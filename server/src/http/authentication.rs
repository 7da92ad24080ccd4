//! Who is asking. Decided from headers and URL before a byte of the body is read.

use std::net::IpAddr;

use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};

use super::parameters::Parameters;
use crate::access;
use crate::server::Server;

/// The user's name, or error 516 / 194. ClickHouse's own headers win over Basic, that over the URL;
/// two ways at once are an error.
pub fn authenticate(
    server: &Server,
    headers: &HeaderMap,
    parameters: &Parameters,
    peer: IpAddr,
) -> Result<String> {
    let (user, password) = credentials(headers, parameters, !server.config.password.is_empty())?;
    access::authentication::authenticate(server, &user, &password, peer)
}

/// User and password as they are given; `needed`: who gives none is told that one is.
fn credentials(
    headers: &HeaderMap,
    parameters: &Parameters,
    needed: bool,
) -> Result<(String, String)> {
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
    if given == 0 && needed {
        return Err(Error::new(
            codes::REQUIRED_PASSWORD,
            "default: Authentication failed: password is required",
        ));
    }
    Ok(if own.0.is_some() || own.1.is_some() {
        (own.0.unwrap_or("default").to_string(), own.1.unwrap_or("").to_string())
    } else if let Some(pair) = basic {
        pair
    } else {
        (url.0.unwrap_or("default").to_string(), url.1.unwrap_or("").to_string())
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn given(
        needed: bool,
        headers: &[(&'static str, &str)],
        url: &str,
    ) -> std::result::Result<String, u32> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        credentials(&map, &Parameters::parse(url), needed)
            .map(|(user, password)| format!("{user}:{password}"))
            .map_err(|e| e.code())
    }

    #[test]
    fn credentials_come_one_way() {
        assert_eq!(given(false, &[], ""), Ok("default:".into()));
        assert_eq!(given(true, &[], ""), Err(194));
        assert_eq!(given(true, &[("x-clickhouse-key", "s")], ""), Ok("default:s".into()));
        assert_eq!(given(true, &[], "user=u&password=s"), Ok("u:s".into()));
        let basic = ("authorization", "Basic ZGVmYXVsdDpz");
        assert_eq!(given(true, &[basic], ""), Ok("default:s".into()));
        assert_eq!(given(true, &[basic], "user=default"), Err(516));
        assert_eq!(given(false, &[("authorization", "Bearer x")], ""), Err(516));
    }
}
