//! Checked names and values of headers, for configurations.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use serde::Deserialize;

use super::{check_name, check_value};

/// The name of a header that a plugin may set, as a type for a configuration: any other is refused with the
/// key under which it was written.
///
/// ```
/// use pace_plugin::{HeaderName, parse_config};
///
/// #[derive(Debug, serde::Deserialize)]
/// struct Config {
///     forward: HeaderName,
/// }
///
/// let config: Config = parse_config(r#"{"forward": "X-User"}"#).unwrap();
/// assert_eq!(config.forward.as_str(), "X-User");
/// let refusal = parse_config::<Config>(r#"{"forward": "Connection"}"#).unwrap_err();
/// assert!(refusal.starts_with("forward: `Connection`: the header belongs to the connection"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct HeaderName(String);

impl HeaderName {
    /// A default for a name that the operator leaves out.
    ///
    /// # Panics
    ///
    /// If a plugin may not set this name: writing a valid one is up to the author.
    ///
    /// ```
    /// # use pace_plugin::HeaderName;
    /// # let configured: Option<HeaderName> = None;
    /// let header = configured.unwrap_or_else(|| HeaderName::from_static("X-User"));
    /// assert_eq!(header.as_str(), "X-User");
    /// ```
    #[track_caller]
    pub fn from_static(name: &'static str) -> Self {
        Self::try_from(name.to_owned()).unwrap_or_else(|refusal| panic!("{refusal}"))
    }

    /// The name, in the spelling in which it was written.
    ///
    /// ```
    /// # use pace_plugin::HeaderName;
    /// let name = HeaderName::try_from("X-User".to_owned()).unwrap();
    /// assert_eq!(name.as_str(), "X-User");
    /// ```
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HeaderName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match check_name(&name) {
            Ok(()) => Ok(Self(name)),
            Err(error) => Err(format!("`{name}`: {error}")),
        }
    }
}

/// Lets a name be passed wherever a text is expected: `request.header(&self.header)`.
impl Deref for HeaderName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// Lets a list of names be joined to a text.
impl Borrow<str> for HeaderName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value that a plugin may give a header, as a type for a configuration.
///
/// ```
/// use pace_plugin::{HeaderValue, parse_config};
///
/// #[derive(Debug, serde::Deserialize)]
/// struct Config {
///     realm: HeaderValue,
/// }
///
/// let refusal = parse_config::<Config>(r#"{"realm": "a\nb"}"#).unwrap_err();
/// assert!(refusal.starts_with(r#"realm: "a\nb": the value has a character or a form that is not allowed"#));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct HeaderValue(String);

impl HeaderValue {
    /// A default for a value that the operator leaves out.
    ///
    /// # Panics
    ///
    /// If a plugin may not set this value: writing a valid one is up to the author.
    ///
    /// ```
    /// # use pace_plugin::HeaderValue;
    /// # let configured: Option<HeaderValue> = None;
    /// let realm = configured.unwrap_or_else(|| HeaderValue::from_static("Restricted"));
    /// assert_eq!(realm.as_str(), "Restricted");
    /// ```
    #[track_caller]
    pub fn from_static(value: &'static str) -> Self {
        Self::try_from(value.to_owned()).unwrap_or_else(|refusal| panic!("{refusal}"))
    }

    /// The value.
    ///
    /// ```
    /// # use pace_plugin::HeaderValue;
    /// let value = HeaderValue::try_from("no-store".to_owned()).unwrap();
    /// assert_eq!(value.as_str(), "no-store");
    /// ```
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HeaderValue {
    type Error = String;

    fn try_from(value: String) -> Result<Self, String> {
        match check_value(value.as_bytes()) {
            Ok(()) => Ok(Self(value)),
            Err(error) => Err(format!("{value:?}: {error}")),
        }
    }
}

/// Lets a value be passed wherever a text is expected.
impl Deref for HeaderValue {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HeaderValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Lets a value be set as it is: `request.set_header("x-env", &self.value)`.
impl AsRef<[u8]> for HeaderValue {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}
