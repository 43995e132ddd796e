//! Texts without the secrets in them.
//!
//! Pace knows its own secrets: they are not in the file, and what is shown is where they are. What a plugin's configuration
//! means is known to the plugin alone, so texts there are hidden by the names of their keys, and so are values of fields and of
//! queries.

use serde_json::{Map, Value};

use super::tree::{Node, Table};
use crate::types::telemetry::{Secret, SecretSource};

/// The text that stands for a secret.
pub(super) const MASK: &str = "(secret)";

/// Parts of names whose values are secrets.
const SECRET_PARTS: [&str; 11] = [
    "secret",
    "password",
    "passwd",
    "passphrase",
    "token",
    "credential",
    "authorization",
    "api_key",
    "api-key",
    "apikey",
    "private",
];

/// Whole names whose values are secrets: tables of clients with the hashes of what these know.
const SECRET_NAMES: [&str; 3] = ["keys", "users", "pwd"];

/// The place where a secret is read.
pub(super) fn source(secret: &Secret) -> Table {
    match secret.source() {
        Some(SecretSource::Env(name)) => Table::new().with("env", name.as_str()),
        Some(SecretSource::File(path)) => Table::new().with("file", super::path(path)),
        None => Table::new(),
    }
}

/// A text whose meaning is known, without the user of a URL and without values of its query that have the name of a secret.
pub(super) fn text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, authority) = rest.split_at(at + "://".len());
        let end = authority
            .find(|c: char| matches!(c, '/' | '?' | '#' | '"' | '\'') || c.is_whitespace())
            .unwrap_or(authority.len());
        shown += before;
        rest = authority;
        if let Some(host) = authority[..end].rfind('@') {
            shown += MASK;
            rest = &authority[host..];
        }
    }
    shown += rest;
    query(&shown)
}

/// The value of a field of a request or of a key of its query as it is shown: not at all if the name is that of a secret.
pub fn value(name: &str, value: &str) -> String {
    match is_secret(name) || (is_cookie(name) && value.contains('=')) {
        true => MASK.to_owned(),
        false => text(value),
    }
}

/// The configuration of a plugin.
pub(super) fn table(table: &Map<String, Value>) -> Table {
    let pairs = table.iter();
    pairs.fold(Table::new(), |shown, (key, value)| {
        shown.with(key, node(key, value, is_secret(key)))
    })
}

fn node(name: &str, value: &Value, is_hidden: bool) -> Node {
    match value {
        Value::String(_) | Value::Number(_) if is_hidden => MASK.into(),
        Value::String(text) => self::value(name, text).into(),
        Value::Array(items) => Node::list(items.iter().map(|item| node(name, item, is_hidden))),
        Value::Object(fields) => {
            let pairs = fields.iter();
            let shown = pairs.fold(Table::new(), |shown, (key, value)| {
                shown.with(key, node(key, value, is_hidden || is_secret(key)))
            });
            shown.into()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone().into(),
    }
}

/// Hides values of a query whose names are those of secrets.
fn query(text: &str) -> String {
    let Some((path, query)) = text.split_once('?') else {
        return text.to_owned();
    };
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if is_secret(name) || name.eq_ignore_ascii_case("key") => format!("{name}={MASK}"),
        _ => pair.to_owned(),
    });
    format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.contains(&name.as_str()) || SECRET_PARTS.iter().any(|part| name.contains(part))
}

fn is_cookie(name: &str) -> bool {
    name.eq_ignore_ascii_case("cookie") || name.eq_ignore_ascii_case("set-cookie")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn user_of_a_url_and_secrets_of_its_query_are_hidden() {
        for (written, shown) in [
            ("https://ca.example/dir", "https://ca.example/dir"),
            ("https://me:pw@ca.example/dir", "https://(secret)@ca.example/dir"),
            ("https://a:b@c@host", "https://(secret)@host"),
            ("http://x/a@b", "http://x/a@b"),
            (
                "'http://u:p@x' and http://v:q@y/",
                "'http://(secret)@x' and http://(secret)@y/",
            ),
            ("/health?token=abc&deep=1", "/health?token=(secret)&deep=1"),
            ("https://x/v1?Key=abc", "https://x/v1?Key=(secret)"),
            ("mailto:a@b.example", "mailto:a@b.example"),
        ] {
            assert_eq!(text(written), shown);
        }
    }

    #[test]
    fn texts_of_a_plugin_are_hidden_by_the_names_of_their_keys() {
        let config = json!({
            "key": "client_ip",
            "public_key": "-----BEGIN PUBLIC KEY-----",
            "jwt_secret": "abc",
            "pin_token": 12,
            "credentials": true,
            "keys": { "shop": "2bb8" },
            "users": { "ann": "6fdf" },
            "cookie": { "name": "canary" },
            "request": { "set": { "Authorization": "Basic abc", "cookie": "id=1", "x-env": "prod" } },
            "next": [{ "password": "abc", "url": "http://u:p@x/" }],
        });
        let Value::Object(config) = config else {
            unreachable!("it is an object")
        };
        let shown = serde_json::to_value(table(&config)).expect("it is JSON");
        let expected = json!({
            "key": "client_ip",
            "public_key": "-----BEGIN PUBLIC KEY-----",
            "jwt_secret": "(secret)",
            "pin_token": "(secret)",
            "credentials": true,
            "keys": { "shop": "(secret)" },
            "users": { "ann": "(secret)" },
            "cookie": { "name": "canary" },
            "request": { "set": { "Authorization": "(secret)", "cookie": "(secret)", "x-env": "prod" } },
            "next": [{ "password": "(secret)", "url": "http://(secret)@x/" }],
        });
        assert_eq!(shown, expected);
    }
}
