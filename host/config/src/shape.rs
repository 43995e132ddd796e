//! The shapes that values come in: with their place, as a table, as a table or a string.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

/// Where something was written.
#[derive(Debug, Clone, Default)]
pub enum Place {
    /// In these bytes of the file.
    File(Range<usize>),
    /// On the command line, with this option.
    Option(&'static str),
    /// In no single place.
    #[default]
    Nowhere,
}

/// A value, and where it was written.
#[derive(Debug, Clone)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Its place.
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

/// A table, and where it was written.
#[derive(Debug, Default)]
pub struct Table<T> {
    /// The value.
    pub value: T,
    /// Its place.
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

/// Without this, serde would take the list `limits = [5, 8]` for the fields in order.
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

/// What a table's short spelling is.
pub trait Shorthand: Sized {
    /// Both spellings, as "expected ..." in a message goes on.
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

        // Not serde's `untagged`: that would forget where a mistake inside the table is.
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
