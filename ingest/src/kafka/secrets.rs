//! Which settings and librdkafka properties hold secrets, and what people may see of their values.
//!
//! By the name alone, so that it also works on texts that nobody has checked. Used by SHOW CREATE, logs,
//! system tables and errors alike: one rule, one place.

use rdkafka::error::KafkaError;

/// Parts of names, dots for underscores, whose values are secrets.
const SECRET_PARTS: &[&str] =
    &["password", "secret", "token", "key.pem", "jaas", "oauthbearer.config", "private.key"];

/// Whether the value of a setting or of a librdkafka property may be secret.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', ".");
    // The address of a token's endpoint is none.
    SECRET_PARTS.iter().any(|s| name.contains(s)) && !name.ends_with("endpoint.url")
}

/// What to show of the setting `name`; None: its value as it is.
pub fn hidden_value(name: &str, value: &str) -> Option<String> {
    let short = name.to_ascii_lowercase();
    if short.ends_with("kafka_properties") {
        return Some(hide_properties(value));
    }
    if short.ends_with("_url") {
        return hidden_url(value);
    }
    (is_secret(name) && !value.is_empty()).then(|| "[HIDDEN]".to_string())
}

/// A URL without the password in it; None if there is none.
fn hidden_url(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let at = rest[..host_end].rfind('@')?;
    let (user, _) = rest[..at].split_once(':')?;
    Some(format!("{scheme}://{user}:[HIDDEN]{}", &rest[at..]))
}

/// The text of `kafka_properties` for people to see: values that may be secret are hidden.
fn hide_properties(text: &str) -> String {
    let items = text.split(';').map(|item| match item.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}=[HIDDEN]"),
        _ => item.to_string(),
    });
    items.collect::<Vec<_>>().join(";")
}

/// What a client's error says, without the value of a property that may be secret.
pub(super) fn error_text(e: &KafkaError) -> String {
    match e {
        KafkaError::ClientConfig(_, text, name, value) => {
            let hide = is_secret(name) && !value.is_empty();
            let text = if hide { text.replace(value, "[HIDDEN]") } else { text.clone() };
            format!("property {name}: {text}")
        }
        e => e.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden() {
        let text = "client.rack=a; ssl.key.password=p=q;sasl.oauthbearer.client.secret=s";
        assert_eq!(
            hide_properties(text),
            "client.rack=a; ssl.key.password=[HIDDEN];sasl.oauthbearer.client.secret=[HIDDEN]"
        );
        for name in ["kafka_sasl_password", "KAFKA_SSL_KEY_PEM", "kafka_sasl_oauthbearer_config"] {
            assert_eq!(hidden_value(name, "x").as_deref(), Some("[HIDDEN]"), "{name}");
        }
        assert_eq!(hidden_value("kafka_sasl_username", "x"), None);
        assert_eq!(hidden_value("kafka_sasl_oauthbearer_token_endpoint_url", "http://a/b"), None);
        let url = "format_avro_schema_registry_url";
        assert_eq!(
            hidden_value(url, "https://u:p@w@host:1/x@y").as_deref(),
            Some("https://u:[HIDDEN]@host:1/x@y")
        );
        assert_eq!(hidden_value(url, "http://host/a:b@c"), None);
    }
}
