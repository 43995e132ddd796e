//! Parses the operator's table into the plugin's type.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The configuration of a plugin that has nothing to configure: any key is refused.
///
/// ```
/// use pace_plugin::{NoConfig, Plugin};
///
/// struct Hello;
///
/// impl Plugin for Hello {
///     type Config = NoConfig;
///
///     fn configure(_: NoConfig) -> Result<Self, String> {
///         Ok(Hello)
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// Read a configuration as Pace hands it to a plugin: the operator's table as a JSON object.
///
/// It is called automatically before [`configure`](crate::Plugin::configure). Call it in a test, to
/// see the message that an operator would get:
///
/// ```
/// #[derive(Debug, serde::Deserialize)]
/// struct Config {
///     limit: u8,
/// }
///
/// let refusal = pace_plugin::parse_config::<Config>(r#"{"limit": 300}"#).unwrap_err();
/// assert_eq!(refusal, "limit: invalid value: integer `300`, expected u8");
/// ```
///
/// # Errors
///
/// The path of the wrong key, and the reason. The position is left out: it would be one in a JSON text that
/// the operator, who wrote TOML, has never seen.
pub fn parse_config<C: DeserializeOwned>(config: &str) -> Result<C, String> {
    let mut json = serde_json::Deserializer::from_str(config);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let reason = without_position(error.inner());
        // `.` stands for the table itself.
        if path == "." {
            reason
        } else {
            format!("{path}: {reason}")
        }
    })
}

fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&position) {
        Some(reason) => reason.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        limit: u8,
        #[serde(default)]
        rules: Vec<Rule>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Rule {
        path: String,
    }

    #[test]
    fn valid_table_is_accepted() {
        let config = parse_config::<Config>(r#"{"limit": 3, "rules": [{"path": "/a"}]}"#);
        assert_eq!(
            config,
            Ok(Config {
                limit: 3,
                rules: vec![Rule { path: "/a".into() }]
            })
        );
        assert_eq!(parse_config::<NoConfig>("{}"), Ok(NoConfig {}));
    }

    #[test]
    fn wrong_table_is_refused_with_the_path_of_the_key() {
        let refusals = [
            (r#"{}"#, "missing field `limit`"),
            (
                r#"{"limit": 300}"#,
                "limit: invalid value: integer `300`, expected u8",
            ),
            (
                r#"{"limt": 3}"#,
                "limt: unknown field `limt`, expected `limit` or `rules`",
            ),
            (
                r#"{"limit": 3, "rules": [{"path": "/a"}, {"path": 7}]}"#,
                "rules[1].path: invalid type: integer `7`, expected a string",
            ),
            (r#"{"limit": 3, "rules": [{}]}"#, "rules[0]: missing field `path`"),
        ];
        for (config, reason) in refusals {
            assert_eq!(parse_config::<Config>(config), Err(reason.to_owned()), "{config}");
        }
        assert!(
            parse_config::<NoConfig>(r#"{"a": 1}"#).is_err_and(|reason| reason.contains("unknown field `a`"))
        );
    }
}
