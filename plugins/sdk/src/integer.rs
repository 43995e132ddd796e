//! Integers within bounds, for configurations.

use std::fmt;
use std::ops::RangeInclusive;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// An integer from `MIN` to `MAX`, both included, as a type for a configuration: any other is refused with
/// the bounds in the message.
///
/// ```
/// use pace_plugin::{Integer, parse_config};
///
/// #[derive(Debug, serde::Deserialize)]
/// struct Config {
///     percent: Integer<0, 100>,
/// }
///
/// let config: Config = parse_config(r#"{"percent": 5}"#).unwrap();
/// assert_eq!(config.percent.get(), 5);
/// let refusal = parse_config::<Config>(r#"{"percent": 101}"#).unwrap_err();
/// assert_eq!(refusal, "percent: invalid value: integer `101`, expected an integer from 0 to 100");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Integer<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Integer<MIN, MAX> {
    /// A default for a number that the operator leaves out.
    ///
    /// # Panics
    ///
    /// If it is out of bounds: writing a valid one is up to the author. In a constant this is a compile
    /// error.
    ///
    /// ```
    /// # use pace_plugin::Integer;
    /// const A_MINUTE: Integer<1, 3600> = Integer::new(60);
    /// # assert_eq!(A_MINUTE.get(), 60);
    /// ```
    #[track_caller]
    pub const fn new(value: u64) -> Self {
        assert!(MIN <= value && value <= MAX, "the integer is out of its bounds");
        Self(value)
    }

    /// The number.
    ///
    /// ```
    /// # use pace_plugin::Integer;
    /// # let configured: Option<Integer<1, 400>> = None;
    /// let days = configured.map_or(30, |days| days.get());
    /// # assert_eq!(days, 30);
    /// ```
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Integer<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(Bounds(MIN..=MAX)).map(Self)
    }
}

/// One type for all bounds, so that a plugin has this code once and not for each.
struct Bounds(RangeInclusive<u64>);

impl Visitor<'_> for Bounds {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an integer from {} to {}", self.0.start(), self.0.end())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<u64, E> {
        if self.0.contains(&value) {
            Ok(value)
        } else {
            Err(E::invalid_value(Unexpected::Unsigned(value), &self))
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<u64, E> {
        match u64::try_from(value) {
            Ok(value) => self.visit_u64(value),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(value), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_config;

    #[test]
    fn bounds_are_allowed_and_their_outer_neighbours_are_not() {
        let parse = |text: &str| parse_config::<Integer<2, 4>>(text).map(Integer::get);
        assert_eq!((parse("2"), parse("4")), (Ok(2), Ok(4)));
        for wrong in [
            "1",
            "5",
            "-3",
            "18446744073709551615",
            "3.5",
            "\"3\"",
            "true",
            "null",
        ] {
            let refusal = parse(wrong).expect_err(wrong);
            assert!(
                refusal.ends_with("expected an integer from 2 to 4"),
                "{wrong}: {refusal}"
            );
        }
    }
}
