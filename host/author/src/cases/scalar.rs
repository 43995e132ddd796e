//! Values that are one word, one number or one text.

use std::net::IpAddr;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::template::begins_with_name;
use pace_config::reading::{Int, Shorthand, suggestion};
use pace_harness::Judged;
use pace_hook::field::check_target;
use pace_hook::{AttemptFailure, Ending, FailureReason, Health, Hook};

/// Defines a word out of those in `$all`, under the name that the rest of Pace has for it.
macro_rules! word {
    ($(#[$doc:meta])* $name:ident: $type:ty = $all:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
        #[serde(try_from = "String")]
        pub(super) struct $name(usize);

        impl $name {
            pub(super) fn value(self) -> $type {
                $all[self.0]
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                let known = $all.map(|word| word.name());
                match known.iter().position(|name| *name == text) {
                    Some(index) => Ok($name(index)),
                    None => Err(format!("there is no `{text}` here{}", suggestion(&text, &known))),
                }
            }
        }
    };
}

word! {
    /// A plugin's decision.
    Word: pace_harness::Word = pace_harness::Word::ALL
}
word! {
    /// A hook.
    HookName: Hook = Hook::ALL
}
word! {
    /// The state of a backend.
    HealthName: Health = Health::ALL
}
word! {
    /// The way in which a request ended.
    EndingName: Ending = Ending::ALL
}
word! {
    /// The way in which a body ended, as stream filters are told it.
    BodyEnding: Ending = [Ending::Complete, Ending::ClientGone, Ending::BackendFailed, Ending::Cut]
}
word! {
    /// A plugin's judgement about an attempt.
    JudgementName: Judged = Judged::ALL
}
word! {
    /// Why an attempt failed.
    FailureName: AttemptFailure = AttemptFailure::ALL
}
/// Why the previous attempt failed: a word, or `{ status = 503 }`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(from = "Answered")]
pub(super) struct LastFailure(pub AttemptFailure);

/// The failure that needs more than its name.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answered {
    status: Int<200, 599>,
}

impl From<Answered> for LastFailure {
    fn from(Answered { status }: Answered) -> LastFailure {
        let status = u16::try_from(status.value()).expect("it is at most 599");
        LastFailure(AttemptFailure::Status(status))
    }
}

impl Shorthand for LastFailure {
    const EXPECTED: &'static str = "a failure such as \"connection-refused\" or { status = 503 }";

    fn from_text(text: &str) -> Result<Self, String> {
        if text == "status" {
            return Err("this failure has a number: { status = 503 }".to_owned());
        }
        FailureName::try_from(text.to_owned()).map(|name| LastFailure(name.value()))
    }
}

word! {
    /// Why a hook failed.
    ReasonName: FailureReason = FailureReason::ALL
}

/// `log_level`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct LogLevel(pub log::Level);

impl TryFrom<String> for LogLevel {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        const KNOWN: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
        match (KNOWN.contains(&text.as_str()), text.parse()) {
            (true, Ok(level)) => Ok(LogLevel(level)),
            _ => Err(format!("there is no level `{text}`{}", suggestion(&text, &KNOWN))),
        }
    }
}

/// The version of HTTP that the client speaks.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) enum HttpVersion {
    #[serde(rename = "1.0")]
    Http10,
    #[serde(rename = "1.1")]
    Http11,
    #[serde(rename = "2")]
    Http2,
}

impl HttpVersion {
    /// The name in the contract.
    pub(super) fn name(self) -> &'static str {
        match self {
            HttpVersion::Http10 => "1.0",
            HttpVersion::Http11 => "1.1",
            HttpVersion::Http2 => "2",
        }
    }
}

/// `scheme`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Scheme {
    pub(super) https: bool,
}

impl TryFrom<String> for Scheme {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "http" => Ok(Scheme { https: false }),
            "https" => Ok(Scheme { https: true }),
            _ => Err(format!("{text:?} must be \"http\" or \"https\"")),
        }
    }
}

/// `method`.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Method(pub http::Method);

impl TryFrom<String> for Method {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        http::Method::from_bytes(text.as_bytes())
            .map(Method)
            .map_err(|_| format!("{text:?} is not a method"))
    }
}

/// The target of a request: a path with or without a query. It may begin with the name of a value that a step keeps.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Target(pub String);

impl TryFrom<String> for Target {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let checked = match begins_with_name(&text) {
            true => check_target(&format!("/{text}")),
            false => check_target(&text),
        };
        match checked {
            Ok(()) => Ok(Target(text)),
            Err(_) => Err(format!(
                "{text:?} must begin with `/` and be written as in a request: no spaces, other characters as %XX"
            )),
        }
    }
}

/// An IP address.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Address(pub IpAddr);

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
            .map(Address)
            .map_err(|_| format!("{text:?} is not an IP address such as \"192.0.2.1\" or \"2001:db8::1\""))
    }
}

/// The name of a header, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct FieldName(String);

impl FieldName {
    pub(super) fn parsed(&self) -> HeaderName {
        HeaderName::from_bytes(self.0.as_bytes()).expect("it was parsed before")
    }
}

impl TryFrom<String> for FieldName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match HeaderName::from_bytes(text.as_bytes()) {
            Ok(name) => Ok(FieldName(name.as_str().to_owned())),
            Err(_) => Err(format!("{text:?} is not the name of a header")),
        }
    }
}

/// The value of a header.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct FieldValue(pub HeaderValue);

impl TryFrom<String> for FieldValue {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        HeaderValue::from_bytes(text.as_bytes())
            .map(FieldValue)
            .map_err(|_| format!("{text:?} cannot be the value of a header"))
    }
}

/// A moment, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment(pub u64);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = toml::value::Datetime::deserialize(deserializer)?.to_string();
        written
            .parse::<jiff::Timestamp>()
            .ok()
            .and_then(|moment| u64::try_from(moment.as_nanosecond()).ok())
            .map(Moment)
            .ok_or_else(|| {
                D::Error::custom(format!(
                    "{written} is not a date since 1970 with time and offset, such as 2026-01-31T12:00:00Z"
                ))
            })
    }
}

/// A length of time in milliseconds, whole or not, up to a year.
#[derive(Clone, Copy, Debug)]
pub(super) struct Millis(pub Duration);

const LONGEST_MS: f64 = 366.0 * 24.0 * 3_600_000.0;

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = Millis;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number of milliseconds from 0 to a year")
            }

            fn visit_f64<E: Error>(self, millis: f64) -> Result<Millis, E> {
                if (0.0..=LONGEST_MS).contains(&millis) {
                    Ok(Millis(Duration::from_secs_f64(millis / 1000.0)))
                } else {
                    Err(E::invalid_value(serde::de::Unexpected::Float(millis), &self))
                }
            }

            fn visit_i64<E: Error>(self, millis: i64) -> Result<Millis, E> {
                match u64::try_from(millis).map(Duration::from_millis) {
                    Ok(time) if time.as_millis() as f64 <= LONGEST_MS => Ok(Millis(time)),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Signed(millis), &self)),
                }
            }
        }

        deserializer.deserialize_any(Number)
    }
}
