//! The shapes of values: with a place, as a table, as a table or a string.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

/// Where a value was written.
#[derive(Debug, Clone, Default)]
pub enum Place {
    /// These bytes of the file.
    File(Range<usize>),
    /// This option of the command line.
    Option(&'static str),
    /// No single place.
    #[default]
    Nowhere,
}

/// A value with its place.
#[derive(Debug, Clone)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// The place where it was written.
    pub place: Place,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Placed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = toml::Spanned::deserialize(deserializer)?;
        let place = Place::File(spanned.span());
        Ok(Placed {
            value: spanned.into_inner(),
            place,
        })
    }
}

/// A table with its place.
#[derive(Debug, Default)]
pub struct Table<T> {
    /// The value.
    pub value: T,
    /// The place where it was written.
    pub place: Place,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Placed {
            value: OnlyTable(value),
            place,
        } = Placed::deserialize(deserializer)?;
        Ok(Table { value, place })
    }
}

/// Accepts tables only: serde alone would take the list `limits = [5, 8]` for the fields in order.
struct OnlyTable<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OnlyTable<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(table))
            }
        }

        deserializer.deserialize_map(Fields(PhantomData)).map(OnlyTable)
    }
}

/// A table whose keys the operator chooses.
#[derive(Debug)]
pub(crate) struct Entries<K, V>(pub Vec<(K, V)>);

impl<K, V> Default for Entries<K, V> {
    fn default() -> Self {
        Entries(Vec::new())
    }
}

impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for Entries<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<K, V>(PhantomData<(K, V)>);

        impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Visitor<'de> for Pairs<K, V> {
            type Value = Vec<(K, V)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Vec<(K, V)>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = table.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }

        deserializer.deserialize_map(Pairs(PhantomData)).map(Entries)
    }
}

/// A table with a short spelling as a string.
pub trait Shorthand: Sized {
    /// Both spellings, for the end of an "expected ..." message.
    const EXPECTED: &'static str;

    /// The table that the string stands for.
    fn from_text(text: &str) -> Result<Self, String>;
}

/// A `T`, written as a table or as a string.
#[derive(Debug)]
pub struct OrText<T>(pub T);

impl<'de, T: Shorthand + Deserialize<'de>> Deserialize<'de> for OrText<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);

        // serde's `untagged` would lose the place of a mistake inside the table.
        impl<'de, T: Shorthand + Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::EXPECTED)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
                T::from_text(text).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(table))
            }
        }

        deserializer.deserialize_any(Either(PhantomData)).map(OrText)
    }
}
