//! The configuration as the operator writes it. What is read here is legal: nothing is left to be refused
//! later but a message that becomes too large.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use pace_plugin::{Header, header};
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use crate::policy::Edits;

/// The plugin's table. The crate's documentation has the meaning of each key.
#[derive(Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub identify: bool,
    pub request: RequestEdits,
    pub response: ResponseEdits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            identify: true,
            request: RequestEdits::default(),
            response: ResponseEdits::default(),
        }
    }
}

/// Edits that are legal for a request.
#[derive(Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "Tables")]
pub struct RequestEdits(pub Edits);

/// Edits that are legal for a response.
#[derive(Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "Tables")]
pub struct ResponseEdits(pub Edits);

/// `request` and `response` as written.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Tables {
    remove: Vec<Name>,
    set: BTreeMap<Name, Value>,
    add: BTreeMap<Name, Values>,
}

impl TryFrom<Tables> for RequestEdits {
    type Error = String;

    /// A request has one `host`, no more and no less.
    fn try_from(tables: Tables) -> Result<Self, String> {
        let edits = Edits::try_from(tables)?;
        let is_host = |name: &str| name.eq_ignore_ascii_case("host");
        if let Some(host) = edits
            .set
            .iter()
            .find(|header| is_host(&header.name) && !is_authority(&header.value))
        {
            let value = String::from_utf8_lossy(&host.value);
            return Err(format!(
                "set.{}: {value:?} is not a host with an optional port",
                host.name
            ));
        }
        let host_is_removed = edits.remove.iter().any(|name| is_host(name));
        let host_is_added = edits.add.iter().any(|header| is_host(&header.name));
        if host_is_removed || host_is_added {
            return Err("`host` can be set, but neither added nor removed".into());
        }
        Ok(Self(edits))
    }
}

impl TryFrom<Tables> for ResponseEdits {
    type Error = String;

    fn try_from(tables: Tables) -> Result<Self, String> {
        Edits::try_from(tables).map(Self)
    }
}

impl TryFrom<Tables> for Edits {
    type Error = String;

    fn try_from(tables: Tables) -> Result<Self, String> {
        let mut names = HashSet::new();
        if let Some(again) = tables
            .set
            .keys()
            .find(|name| !names.insert(name.0.to_ascii_lowercase()))
        {
            return Err(format!("`{}` is set twice, in different spellings", again.0));
        }
        let header = |name: &str, value: Value| Header {
            name: name.into(),
            value: value.0.into(),
        };
        let all =
            |(name, values): (Name, Values)| values.0.into_iter().map(move |value| header(&name.0, value));
        Ok(Self {
            remove: tables.remove.into_iter().map(|name| name.0).collect(),
            set: tables
                .set
                .into_iter()
                .map(|(name, value)| header(&name.0, value))
                .collect(),
            add: tables.add.into_iter().flat_map(all).collect(),
        })
    }
}

/// The name of a header that a plugin may touch.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(try_from = "String")]
struct Name(String);

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match header::check_name(&name) {
            Ok(()) => Ok(Self(name)),
            Err(error) => Err(format!("`{name}`: {error}")),
        }
    }
}

/// The value of a header.
#[derive(Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
struct Value(String);

impl TryFrom<String> for Value {
    type Error = String;

    fn try_from(value: String) -> Result<Self, String> {
        match header::check_value(value.as_bytes()) {
            Ok(()) => Ok(Self(value)),
            Err(error) => Err(format!("{value:?}: {error}")),
        }
    }
}

/// One value, or a list of them.
#[derive(Debug)]
struct Values(Vec<Value>);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;

        impl<'de> Visitor<'de> for OneOrSeveral {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Values, E> {
                let value = Value::try_from(value.to_owned()).map_err(E::custom)?;
                Ok(Values(vec![value]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Values, A::Error> {
                let mut all = Vec::new();
                while let Some(value) = values.next_element()? {
                    all.push(value);
                }
                Ok(Values(all))
            }
        }

        deserializer.deserialize_any(OneOrSeveral)
    }
}

/// Whether this has only what a host and a port may have (RFC 3986, section 3.2.2).
fn is_authority(value: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte);
    !value.is_empty() && value.iter().all(allowed)
}

#[cfg(test)]
mod tests;
