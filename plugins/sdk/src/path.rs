//! Paths, for configurations.

use std::fmt;

use serde::Deserialize;

/// A path and everything below it, as a type for a configuration: `"/health"` is for `/health` and `/health/live`,
/// not for `/healthy`.
///
/// ```
/// use pace_plugin::{PathPrefix, parse_config};
///
/// #[derive(Debug, serde::Deserialize)]
/// struct Config {
///     except: Vec<PathPrefix>,
/// }
///
/// let config: Config = parse_config(r#"{"except": ["/health"]}"#).unwrap();
/// assert!(config.except[0].contains("/health/live"));
/// let refusal = parse_config::<Config>(r#"{"except": ["health"]}"#).unwrap_err();
/// assert_eq!(refusal, "except[0]: `health` is no path: it starts with `/`");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct PathPrefix(String);

impl PathPrefix {
    /// A default for a path that the operator leaves out.
    ///
    /// # Panics
    ///
    /// If it does not start with `/`: writing a valid one is up to the author.
    ///
    /// ```
    /// # use pace_plugin::PathPrefix;
    /// # let configured: Option<PathPrefix> = None;
    /// let health = configured.unwrap_or_else(|| PathPrefix::from_static("/health"));
    /// # assert_eq!(health.to_string(), "/health");
    /// ```
    #[track_caller]
    pub fn from_static(path: &'static str) -> Self {
        Self::try_from(path.to_owned()).unwrap_or_else(|refusal| panic!("{refusal}"))
    }

    /// The path as it is configured.
    ///
    /// ```
    /// # use pace_plugin::PathPrefix;
    /// assert_eq!(PathPrefix::from_static("/health").as_str(), "/health");
    /// ```
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a path is this one or below it. The prefix ends at a segment, and a slash at its end makes no
    /// difference.
    ///
    /// The path is one as [`Request::path`](crate::Request::path) has it, in its one spelling. One that still has `..`, or an encoded
    /// dot, slash or backslash, never is: a backend may take it for another path.
    ///
    /// ```
    /// # use pace_plugin::PathPrefix;
    /// let public = PathPrefix::try_from("/public/".to_owned()).unwrap();
    /// assert!(public.contains("/public") && public.contains("/public/a"));
    /// assert!(public.contains("/public/a%20b") && !public.contains("/public/a%2Fb"));
    /// assert!(!public.contains("/publicity") && !public.contains("/public/../admin"));
    /// ```
    pub fn contains(&self, path: &str) -> bool {
        let encodes = |code: &str| path.to_ascii_lowercase().contains(code);
        let hides = path.contains('%') && ["%2e", "%2f", "%5c"].into_iter().any(encodes);
        let is_plain = !path.contains("..") && !hides;
        let rest = path.strip_prefix(self.0.trim_end_matches('/'));
        is_plain && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl TryFrom<String> for PathPrefix {
    type Error = String;

    fn try_from(path: String) -> Result<Self, String> {
        match path.starts_with('/') {
            true => Ok(Self(path)),
            false => Err(format!("`{path}` is no path: it starts with `/`")),
        }
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_ends_at_a_segment() {
        let prefix = PathPrefix("/a".into());
        for below in ["/a", "/a/", "/a/b", "/a//b"] {
            assert!(prefix.contains(below), "{below}");
        }
        for other in ["/", "/ab", "/A", "a", "/b/a", "/a/../b", "/a/%2e%2e/b", "/a%2f"] {
            assert!(!prefix.contains(other), "{other}");
        }
    }

    #[test]
    fn root_contains_every_plain_path() {
        let root = PathPrefix("/".into());
        assert!(
            root.contains("/") && root.contains("/a/b") && root.contains("/%20") && !root.contains("/%2F")
        );
    }
}
