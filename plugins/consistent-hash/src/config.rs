//! The configuration as the operator writes it.

use pace_plugin::header::is_token;
use serde::Deserialize;

/// The configuration. The crate's documentation has the meaning of each key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub key: Key,
    pub max_load_percent: MaxLoad,
}

/// The part of a request that its key is taken from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Key {
    #[default]
    Client,
    Path,
    Header(String),
    Cookie(String),
}

impl TryFrom<String> for Key {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let named = |name: &str, what: &str| match is_token(name) {
            true => Ok(name.to_owned()),
            false => Err(format!("`{name}` is not the name of a {what}")),
        };
        match text.split_once(':') {
            None if text == "client" => Ok(Self::Client),
            None if text == "path" => Ok(Self::Path),
            Some(("header", name)) => Ok(Self::Header(named(name, "header")?.to_ascii_lowercase())),
            Some(("cookie", name)) => named(name, "cookie").map(Self::Cookie),
            _ => Err(format!(
                "unknown value `{text}`, expected `client`, `path`, `header:NAME` or `cookie:NAME`"
            )),
        }
    }
}

/// The most requests in flight that a backend may have, in percent of its share; `None` if there is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u64")]
pub struct MaxLoad(pub Option<u64>);

impl TryFrom<u64> for MaxLoad {
    type Error = String;

    fn try_from(percent: u64) -> Result<Self, String> {
        match percent {
            0 => Ok(Self(None)),
            101..=10_000 => Ok(Self(Some(percent))),
            _ => Err(format!(
                "{percent} is out of range: 101 to 10000, or 0 for no bound"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pace_plugin::parse_config;

    #[test]
    fn keys_are_read() {
        let key = |text: &str| Key::try_from(text.to_owned());
        assert_eq!(key("client"), Ok(Key::Client));
        assert_eq!(key("path"), Ok(Key::Path));
        assert_eq!(key("header:X-Tenant"), Ok(Key::Header("x-tenant".to_owned())));
        assert_eq!(key("cookie:sid"), Ok(Key::Cookie("sid".to_owned())));
        assert_eq!(parse_config::<Config>("{}"), Ok(Config::default()));
    }

    #[test]
    fn wrong_values_are_refused_with_key_and_remedy() {
        let refusals = [
            (
                r#"{"key": "ip"}"#,
                "key: unknown value `ip`, expected `client`, `path`, `header:NAME` or `cookie:NAME`",
            ),
            (r#"{"key": "header:"}"#, "key: `` is not the name of a header"),
            (
                r#"{"key": "cookie:a b"}"#,
                "key: `a b` is not the name of a cookie",
            ),
            (
                r#"{"max_load_percent": 100}"#,
                "max_load_percent: 100 is out of range: 101 to 10000, or 0 for no bound",
            ),
            (
                r#"{"max_load": 125}"#,
                "max_load: unknown field `max_load`, expected `key` or `max_load_percent`",
            ),
        ];
        for (config, reason) in refusals {
            assert_eq!(parse_config::<Config>(config), Err(reason.to_owned()), "{config}");
        }
    }
}
