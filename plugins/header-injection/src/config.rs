//! The configuration as the operator writes it. Parsing checks everything: later an edit can only be refused
//! because the message becomes too large.

use std::fmt;
use std::marker::PhantomData;

use pace_plugin::{HeaderName, HeaderValue};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

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

/// The tables `request` and `response` as written.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Tables {
    remove: Vec<HeaderName>,
    #[serde(deserialize_with = "entries")]
    set: Vec<(HeaderName, HeaderValue)>,
    #[serde(deserialize_with = "entries")]
    add: Vec<(HeaderName, Values)>,
}

impl TryFrom<Tables> for RequestEdits {
    type Error = String;

    /// Checks that a request keeps exactly one `host`.
    fn try_from(tables: Tables) -> Result<Self, String> {
        let edits = Edits::try_from(tables)?;
        let is_host = |name: &HeaderName| name.eq_ignore_ascii_case("host");
        if let Some((name, value)) = edits
            .set
            .iter()
            .find(|(name, value)| is_host(name) && !is_authority(value))
        {
            return Err(format!(
                "set.{name}: {:?} is not a host with an optional port",
                value.as_str()
            ));
        }
        let host_is_removed = edits.remove.iter().any(is_host);
        let host_is_added = edits.add.iter().any(|(name, _)| is_host(name));
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
        for (earlier, (again, _)) in tables.set.iter().enumerate() {
            let mut before = tables.set[..earlier].iter();
            if before.any(|(name, _)| name.eq_ignore_ascii_case(again)) {
                return Err(format!("`{again}` is set twice, in different spellings"));
            }
        }
        let each = |(name, values): (HeaderName, Values)| {
            values.0.into_iter().map(move |value| (name.clone(), value))
        };
        Ok(Self {
            remove: tables.remove,
            set: tables.set,
            add: tables.add.into_iter().flat_map(each).collect(),
        })
    }
}

/// Reads a table as a list. The few headers are never looked up, and a tree or a map of each kind would be
/// code that every swap compiles.
fn entries<'de, D, V>(deserializer: D) -> Result<Vec<(HeaderName, V)>, D::Error>
where
    D: Deserializer<'de>,
    V: Deserialize<'de>,
{
    struct Entries<V>(PhantomData<V>);

    impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
        type Value = Vec<(HeaderName, V)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table of headers")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some(entry) = entries.next_entry()? {
                all.push(entry);
            }
            Ok(all)
        }
    }

    deserializer.deserialize_map(Entries(PhantomData))
}

/// One value, or a list of them.
#[derive(Debug)]
struct Values(Vec<HeaderValue>);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;

        impl<'de> Visitor<'de> for OneOrSeveral {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Values, E> {
                let value = HeaderValue::try_from(value.to_owned()).map_err(E::custom)?;
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

/// Whether the value has only the characters of a host and a port (RFC 3986, section 3.2.2).
fn is_authority(value: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte);
    !value.is_empty() && value.bytes().all(allowed)
}

#[cfg(test)]
mod tests;
