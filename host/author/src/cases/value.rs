//! Expected texts and numbers, and their comparison.

use std::borrow::Cow;
use std::fmt;

use regex::bytes::Regex;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::template::filled;
use pace_config::reading::{OrText, Shorthand};

/// An expected text: exactly this one, or a pattern.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "TextTable")]
pub(super) enum Text {
    Is(String),
    Contains(String),
    Matches(Pattern),
}

/// A regular expression as it is written, which may name values that are known only when a case runs.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    written: String,
    /// `None` while a value is missing without which it is no regular expression.
    regex: Option<Regex>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TextTable {
    contains: Option<String>,
    matches: Option<String>,
}

const TEXT: &str = "a text, { contains = \"...\" } or { matches = \"REGEX\" }";

impl TryFrom<TextTable> for Text {
    type Error = String;

    fn try_from(table: TextTable) -> Result<Self, String> {
        match (table.contains, table.matches) {
            (Some(part), None) => Ok(Text::Contains(part)),
            (None, Some(written)) => Pattern::parse(written).map(Text::Matches),
            _ => Err("one of `contains` and `matches` is needed, and not both".to_owned()),
        }
    }
}

impl Shorthand for Text {
    const EXPECTED: &'static str = TEXT;

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(Text::Is(text.to_owned()))
    }
}

impl Text {
    /// Whether the bytes match.
    pub(super) fn fits(&self, found: &[u8]) -> bool {
        match self {
            Text::Is(text) => text.as_bytes() == found,
            Text::Contains(part) => {
                let part = part.as_bytes();
                part.is_empty() || found.windows(part.len()).any(|window| window == part)
            }
            Text::Matches(pattern) => pattern.regex.as_ref().is_some_and(|regex| regex.is_match(found)),
        }
    }

    /// A text that this regular expression finds.
    pub(super) fn matching(regex: &Regex) -> Text {
        Text::Matches(Pattern {
            written: regex.as_str().to_owned(),
            regex: Some(regex.clone()),
        })
    }

    /// Puts values in place of their names.
    pub(super) fn fill<'v>(&mut self, value: &dyn Fn(&str) -> Option<Cow<'v, str>>) {
        match self {
            Text::Is(text) | Text::Contains(text) => {
                if let Some(new) = filled(text, value) {
                    *text = new;
                }
            }
            Text::Matches(pattern) => {
                let escaped = |name: &str| value(name).map(|value| regex::escape(&value).into());
                if let Some(written) = filled(&pattern.written, escaped) {
                    let regex = Regex::new(&written).ok();
                    *pattern = Pattern { written, regex };
                }
            }
        }
    }

    /// The text as it is written, and whether it can be compared without the values that it names.
    pub(super) fn written(&self) -> (&str, bool) {
        match self {
            Text::Is(text) | Text::Contains(text) => (text, true),
            Text::Matches(pattern) => (&pattern.written, pattern.regex.is_some()),
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Text::Is(text) => write!(out, "{text:?}"),
            Text::Contains(part) => write!(out, "a text that contains {part:?}"),
            Text::Matches(pattern) => write!(out, "a text that matches {:?}", pattern.written),
        }
    }
}

impl Pattern {
    fn parse(written: String) -> Result<Pattern, String> {
        let error = match Regex::new(&written) {
            Ok(regex) => {
                let regex = Some(regex);
                return Ok(Pattern { written, regex });
            }
            Err(error) => error,
        };
        // Braces around a name are no part of a regular expression, but a value may come in their place.
        let with_values = filled(&written, |_| Some("x".into()));
        match with_values.is_some_and(|text| Regex::new(&text).is_ok()) {
            true => Ok(Pattern { written, regex: None }),
            false => Err(format!("{written:?} is not a regular expression: {error}")),
        }
    }
}

/// One text, or several in order.
#[derive(Clone, Debug)]
pub(super) struct Texts(pub Vec<Text>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;

        impl<'de> Visitor<'de> for OneOrSeveral {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{TEXT}, or a list of them")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts(vec![Text::Is(text.to_owned())]))
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Texts, A::Error> {
                let text = Text::deserialize(MapAccessDeserializer::new(table))?;
                Ok(Texts(vec![text]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while let Some(OrText(text)) = list.next_element()? {
                    texts.push(text);
                }
                Ok(Texts(texts))
            }
        }

        deserializer.deserialize_any(OneOrSeveral)
    }
}

impl Texts {
    /// Whether as many values are found, and each matches.
    pub(super) fn fit(&self, found: &[&[u8]]) -> bool {
        self.0.len() == found.len() && self.0.iter().zip(found).all(|(text, found)| text.fits(found))
    }
}

/// An expected number: exactly this one, or a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    least: u64,
    most: u64,
}

impl Number {
    pub(super) fn fits(self, found: u64) -> bool {
        (self.least..=self.most).contains(&found)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least, self.most) {
            (least, most) if least == most => write!(out, "{least}"),
            (least, u64::MAX) => write!(out, "at least {least}"),
            (0, most) => write!(out, "at most {most}"),
            (least, most) => write!(out, "{least} to {most}"),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NumberTable {
    least: Option<u64>,
    most: Option<u64>,
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrBetween;

        impl<'de> Visitor<'de> for OneOrBetween {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer from 0 on, or { least = 1, most = 9 } with one of the two or both")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Number, E> {
                match u64::try_from(number) {
                    Ok(number) => Ok(Number {
                        least: number,
                        most: number,
                    }),
                    Err(_) => Err(E::invalid_value(serde::de::Unexpected::Signed(number), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Number, A::Error> {
                let NumberTable { least, most } =
                    NumberTable::deserialize(MapAccessDeserializer::new(table))?;
                let number = Number {
                    least: least.unwrap_or(0),
                    most: most.unwrap_or(u64::MAX),
                };
                if (least.is_none() && most.is_none()) || number.least > number.most {
                    return Err(A::Error::custom(
                        "`least` or `most` is needed, and `least` must not be more than `most`",
                    ));
                }
                Ok(number)
            }
        }

        deserializer.deserialize_any(OneOrBetween)
    }
}

/// An expected value in a table: a text, or none.
#[derive(Clone, Debug)]
pub(super) enum Kept {
    Text(Text),
    Absent,
}

impl Kept {
    pub(super) fn fits(&self, found: Option<&[u8]>) -> bool {
        match (self, found) {
            (Kept::Text(text), Some(found)) => text.fits(found),
            (Kept::Absent, None) => true,
            (Kept::Text(_), None) | (Kept::Absent, Some(_)) => false,
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kept::Text(text) => text.fmt(out),
            Kept::Absent => out.write_str("no value"),
        }
    }
}

impl<'de> Deserialize<'de> for Kept {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrFalse;

        impl<'de> Visitor<'de> for TextOrFalse {
            type Value = Kept;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{TEXT}, or `false` for no value")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Kept, E> {
                Ok(Kept::Text(Text::Is(text.to_owned())))
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Kept, A::Error> {
                Text::deserialize(MapAccessDeserializer::new(table)).map(Kept::Text)
            }

            fn visit_bool<E: Error>(self, is_there: bool) -> Result<Kept, E> {
                match is_there {
                    false => Ok(Kept::Absent),
                    true => Err(E::invalid_value(serde::de::Unexpected::Bool(true), &self)),
                }
            }
        }

        deserializer.deserialize_any(TextOrFalse)
    }
}

/// An expected number with a fraction: exactly this one, or a range.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amount {
    least: f64,
    most: f64,
}

impl Amount {
    pub(super) fn fits(self, found: f64) -> bool {
        (self.least..=self.most).contains(&found)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least, self.most) {
            (least, most) if least == most => write!(out, "{least}"),
            (least, f64::INFINITY) => write!(out, "at least {least}"),
            (f64::NEG_INFINITY, most) => write!(out, "at most {most}"),
            (least, most) => write!(out, "{least} to {most}"),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AmountTable {
    least: Option<f64>,
    most: Option<f64>,
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrBetween;

        impl<'de> Visitor<'de> for OneOrBetween {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or { least = 0.5, most = 9 } with one of the two or both")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Amount, E> {
                self.visit_f64(number as f64)
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Amount, E> {
                Ok(Amount {
                    least: number,
                    most: number,
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Amount, A::Error> {
                let AmountTable { least, most } =
                    AmountTable::deserialize(MapAccessDeserializer::new(table))?;
                let amount = Amount {
                    least: least.unwrap_or(f64::NEG_INFINITY),
                    most: most.unwrap_or(f64::INFINITY),
                };
                if (least.is_none() && most.is_none()) || amount.least > amount.most {
                    return Err(A::Error::custom(
                        "`least` or `most` is needed, and `least` must not be more than `most`",
                    ));
                }
                Ok(amount)
            }
        }

        deserializer.deserialize_any(OneOrBetween)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Values {
        texts: Texts,
        number: Number,
    }

    fn parse(texts: &str, number: &str) -> Result<Values, toml::de::Error> {
        toml::from_str(&format!("texts = {texts}\nnumber = {number}"))
    }

    fn values(texts: &str, number: &str) -> Values {
        parse(texts, number).expect("both are legal")
    }

    #[test]
    fn text_is_compared_searched_or_matched() {
        let fits = |text: &str, found: &str| values(text, "0").texts.fit(&[found.as_bytes()]);
        assert!(fits("'abc'", "abc") && !fits("'abc'", "abcd"));
        assert!(fits("{ contains = 'bc' }", "abcd") && !fits("{ contains = 'x' }", "abcd"));
        assert!(fits("{ contains = '' }", ""));
        assert!(fits("{ matches = '^[0-9]+$' }", "17") && !fits("{ matches = '^[0-9]+$' }", "1x"));
        assert!(!values("['a', { contains = 'b' }]", "0").texts.fit(&[b"a"]));
        assert!(
            values("['a', { contains = 'b' }]", "0")
                .texts
                .fit(&[b"a", b"abc"])
        );
        assert!(values("[]", "0").texts.fit(&[]));
    }

    #[test]
    fn number_is_compared_or_in_a_range() {
        let fits = |number: &str, found| values("''", number).number.fits(found);
        assert!(fits("3", 3) && !fits("3", 4));
        assert!(fits("{ least = 3 }", 3) && fits("{ least = 3 }", u64::MAX) && !fits("{ least = 3 }", 2));
        assert!(fits("{ least = 3, most = 5 }", 5) && !fits("{ least = 3, most = 5 }", 6));
    }

    #[test]
    fn value_of_a_table_is_a_text_or_none() {
        #[derive(Deserialize)]
        struct Values {
            kept: Kept,
        }
        let parse = |text: &str| toml::from_str::<Values>(&format!("kept = {text}"));
        let fits = |text: &str, found: Option<&[u8]>| parse(text).expect("it is legal").kept.fits(found);
        assert!(fits("'a'", Some(b"a")) && !fits("'a'", Some(b"b")) && !fits("'a'", None));
        assert!(fits("false", None) && !fits("false", Some(b"")));
        assert!(fits("{ contains = 'b' }", Some(b"abc")));
        let error = parse("true").err().expect("it is no value").to_string();
        assert!(error.contains("or `false` for no value"), "{error}");
    }

    #[test]
    fn amount_is_compared_or_in_a_range() {
        #[derive(Deserialize)]
        struct Values {
            amount: Amount,
        }
        let parse = |text: &str| toml::from_str::<Values>(&format!("amount = {text}"));
        let fits = |text: &str, found| parse(text).expect("it is legal").amount.fits(found);
        assert!(fits("3", 3.0) && !fits("3", 3.5) && fits("-0.5", -0.5));
        assert!(fits("{ least = 0.5 }", 0.5) && !fits("{ least = 1 }", 0.5) && fits("{ most = 2 }", -9.0));
        for wrong in ["{}", "{ least = 2, most = 1 }", "'1'"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn contradictory_expectation_is_refused() {
        for (texts, number, part) in [
            ("5", "0", "expected a text, { contains"),
            ("{}", "0", "one of `contains` and `matches`"),
            ("{ matches = '(' }", "0", "is not a regular expression"),
            ("''", "-1", "an integer from 0 on"),
            ("''", "{ least = 5, most = 4 }", "must not be more"),
        ] {
            let error = parse(texts, number).err().expect(part).to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
