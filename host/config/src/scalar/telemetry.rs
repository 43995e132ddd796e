//! Values of `[access_log]`, `[tracing]` and `[admin]`.

use std::ops::RangeInclusive;

use serde::Deserialize;

use super::is_token;
use crate::problem::suggestion;
use crate::types::telemetry;

/// `format` of the access log.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct LogFormat(pub telemetry::LogFormat);

impl TryFrom<String> for LogFormat {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "json" => Ok(LogFormat(telemetry::LogFormat::Json)),
            "text" => Ok(LogFormat(telemetry::LogFormat::Text)),
            _ => Err(format!("{text:?} must be \"json\" or \"text\"")),
        }
    }
}

/// The name of a field of the access log.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct LogField(pub telemetry::LogField);

impl TryFrom<String> for LogField {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut all = telemetry::LogField::ALL.iter();
        match all.find(|field| field.name() == text) {
            Some(field) => Ok(LogField(*field)),
            None => {
                let names: Vec<&str> = telemetry::LogField::ALL
                    .iter()
                    .map(|field| field.name())
                    .collect();
                Err(format!("there is no field {text:?}{}", suggestion(&text, &names)))
            }
        }
    }
}

/// A status, or a range of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Statuses(pub RangeInclusive<u16>);

impl TryFrom<String> for Statuses {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let status = |text: &str| {
            let status = text.parse::<u16>().ok()?;
            (text.len() == 3 && (100..=599).contains(&status)).then_some(status)
        };
        let range = match text.split_once('-') {
            None => status(&text).map(|status| status..=status),
            Some((first, last)) => status(first).zip(status(last)).map(|(first, last)| first..=last),
        };
        range
            .filter(|range| !range.is_empty())
            .map(Statuses)
            .ok_or_else(|| format!("{text:?} must be a status or a range, such as \"404\" or \"500-599\""))
    }
}

/// The name of a field of a request to the collector.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct FieldName(pub String);

impl TryFrom<String> for FieldName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let own = [
            "host",
            "connection",
            "content-type",
            "content-length",
            "transfer-encoding",
        ];
        let name = name.to_ascii_lowercase();
        match own.contains(&name.as_str()) {
            true => Err(format!("{name:?} is written by Pace itself")),
            false if is_token(&name) => Ok(FieldName(name)),
            false => Err(format!("{name:?} is not the name of a header")),
        }
    }
}
