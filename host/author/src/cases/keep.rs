//! Values that a step keeps, and the texts of later steps that name them as `{name}`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::header::{HeaderName, HeaderValue};
use regex::bytes::Regex;
use serde::Deserialize;

use super::check::{Check, Difference, Observed, Written, response, shown, values_of};
use super::template::{filled, is_name};
use super::texts::{self, Part};
use super::value::Text;
use pace_config::Location;
use pace_config::reading::{Shorthand, suggestion};
use pace_harness::Exchange;

/// A value that a step keeps, as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    from: Source,
    matches: Option<Pattern>,
}

/// The name of a kept value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Name(String);

/// The place where a value is found, written as the key of `expect` that speaks of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
enum Source {
    RequestPath,
    RequestHeader(HeaderName),
    RequestBody,
    ResponseHeader(HeaderName),
    ResponseBody,
    Context(String),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Pattern(Regex);

/// A value that a step keeps, with its place in the file.
pub(super) struct Keep {
    pub(super) location: Location,
    pub(super) name: Name,
    pub(super) rule: Rule,
}

/// The values that the steps of a case have kept so far.
#[derive(Debug, Default)]
pub(super) struct Values(BTreeMap<String, String>);

const SOURCES: [&str; 6] = [
    "request.path",
    "request.headers.NAME",
    "request.body",
    "response.headers.NAME",
    "response.body",
    "context.NAME",
];

impl Name {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match is_name(&text) {
            true => Ok(Name(text)),
            false => Err(format!(
                "{text:?} must be a letter and behind it letters, digits, `_` and `-`, all of ASCII"
            )),
        }
    }
}

impl TryFrom<String> for Source {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let header = |name: &str| {
            let parsed = HeaderName::from_bytes(name.as_bytes());
            parsed.map_err(|_| format!("{name:?} is not the name of a header"))
        };
        match text.as_str() {
            "request.path" => return Ok(Source::RequestPath),
            "request.body" => return Ok(Source::RequestBody),
            "response.body" => return Ok(Source::ResponseBody),
            _ => {}
        }
        if let Some(name) = text.strip_prefix("request.headers.") {
            return header(name).map(Source::RequestHeader);
        }
        if let Some(name) = text.strip_prefix("response.headers.") {
            return header(name).map(Source::ResponseHeader);
        }
        match text.strip_prefix("context.") {
            Some(name) if !name.is_empty() => Ok(Source::Context(name.to_owned())),
            _ => Err(format!(
                "nothing is kept from `{text}`{}",
                suggestion(&text, &SOURCES)
            )),
        }
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Regex::new(&text)
            .map(Pattern)
            .map_err(|error| format!("{text:?} is not a regular expression: {error}"))
    }
}

impl Shorthand for Rule {
    const EXPECTED: &'static str = "a source such as \"response.body\" or { from = \"response.headers.set-cookie\", matches = \"sid=([^;]+)\" }";

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(Rule {
            from: Source::try_from(text.to_owned())?,
            matches: None,
        })
    }
}

impl Keep {
    /// Keeps the value that a request has left. Returns the difference if there is none.
    pub(super) fn keep(&self, observed: Observed<'_>, values: &mut Values) -> Option<Difference> {
        let found = match self.rule.found(observed) {
            Ok(value) => {
                values.0.insert(self.name.0.clone(), value);
                return None;
            }
            Err(found) => found,
        };
        Some(Difference {
            location: Some(self.location.clone()),
            key: format!("keep.{}", self.name.0),
            expected: match &self.rule.matches {
                Some(Pattern(regex)) => Text::matching(regex).to_string(),
                None => "a text".to_owned(),
            },
            found,
        })
    }
}

impl Rule {
    /// The value, or what is there instead.
    fn found(&self, observed: Observed<'_>) -> Result<String, String> {
        let request = observed.request();
        match &self.from {
            Source::RequestPath => {
                let target = request.target();
                self.of([target.as_bytes()], || format!("{target:?}"))
            }
            Source::RequestHeader(name) => {
                let values = request.headers.get_all(name).iter().map(HeaderValue::as_bytes);
                self.of(values, || values_of(&request.headers, name))
            }
            Source::RequestBody => self.of([&*request.body], || shown(&request.body)),
            Source::ResponseHeader(name) => {
                let headers = &response(observed.outcome)?.headers;
                let values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
                self.of(values, || values_of(headers, name))
            }
            Source::ResponseBody => {
                let body = response(observed.outcome)?.body.as_deref().unwrap_or_default();
                self.of([body], || shown(body))
            }
            Source::Context(name) => {
                let value = observed.session.context(name);
                let there = value.as_deref();
                self.of(there, || there.map_or_else(|| "no such value".to_owned(), shown))
            }
        }
    }

    /// The part of the first of these texts that matches: the first group that has taken part, or the whole match if there is none.
    fn of<'t>(
        &self,
        texts: impl IntoIterator<Item = &'t [u8]>,
        there: impl FnOnce() -> String,
    ) -> Result<String, String> {
        let mut texts = texts.into_iter();
        let part = match &self.matches {
            None => texts.next(),
            Some(Pattern(regex)) => texts.find_map(|text| {
                let captures = regex.captures(text)?;
                let group = captures.iter().skip(1).flatten().next();
                group.or_else(|| captures.get(0)).map(|part| part.as_bytes())
            }),
        };
        let text = part.and_then(|part| str::from_utf8(part).ok());
        text.map(str::to_owned).ok_or_else(there)
    }
}

impl Values {
    fn of(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0.get(name).map(|value| Cow::Borrowed(value.as_str()))
    }

    /// The exchange with the values in place of their names.
    ///
    /// # Errors
    ///
    /// A part of it cannot have the text that this makes.
    pub(super) fn fill<'e>(&self, exchange: &'e Exchange) -> Result<Cow<'e, Exchange>, (Part, String)> {
        if self.0.is_empty() {
            return Ok(Cow::Borrowed(exchange));
        }
        let mut exchange = exchange.clone();
        texts::edit(&mut exchange, &mut |text| filled(text, |name| self.of(name)))?;
        Ok(Cow::Owned(exchange))
    }

    /// The check with the values in place of their names.
    pub(super) fn fill_check<'c>(&self, check: &'c Check) -> Cow<'c, Check> {
        if self.0.is_empty() {
            return Cow::Borrowed(check);
        }
        let mut check = check.clone();
        check.for_each_text(&mut |written| match written {
            Written::Text(text) => text.fill(&|name| self.of(name)),
            Written::Name(text) => {
                if let Some(new) = filled(text, |name| self.of(name)) {
                    *text = new;
                }
            }
        });
        Cow::Owned(check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(matches: Option<&str>) -> Rule {
        Rule {
            from: Source::RequestBody,
            matches: matches.map(|regex| Pattern(Regex::new(regex).expect("it is one"))),
        }
    }

    #[test]
    fn kept_value_is_the_group_or_the_whole_match_of_the_first_text_that_matches() {
        let of = |matches, texts: &[&'static str]| {
            let texts = texts.iter().map(|text| text.as_bytes());
            rule(matches).of(texts, || "nothing".to_owned())
        };
        let cookies = ["theme=dark", "sid=1; Path=/"];
        assert_eq!(of(Some("sid=([^;]+)"), &cookies).as_deref(), Ok("1"));
        assert_eq!(of(Some("sid=[^;]+"), &cookies).as_deref(), Ok("sid=1"));
        assert_eq!(of(Some("a=(.)|sid=(.)"), &cookies).as_deref(), Ok("1"));
        assert_eq!(of(None, &cookies).as_deref(), Ok("theme=dark"));
        assert_eq!(of(Some("x"), &cookies), Err("nothing".to_owned()));
        assert_eq!(of(None, &[]), Err("nothing".to_owned()));
    }

    #[test]
    fn source_is_a_key_of_expect() {
        for known in SOURCES {
            let known = known.replace("NAME", "x-a");
            assert!(Source::try_from(known.clone()).is_ok(), "{known}");
        }
        for unknown in ["response.bodies", "response.headers.a b", "context.", "status"] {
            assert!(Source::try_from(unknown.to_owned()).is_err(), "{unknown}");
        }
    }
}
