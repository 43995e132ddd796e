//! `[access_log]` and `[tracing]` as they are written.

use serde::Deserialize;

use crate::raw::Millis;
use crate::scalar::Int;
use crate::scalar::telemetry::{FieldName, LogField, LogFormat, Statuses};
use crate::shape::{Entries, Placed, Table};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessLog {
    pub enabled: Option<bool>,
    pub file: Option<String>,
    pub format: Option<LogFormat>,
    pub fields: Option<Placed<Vec<LogField>>>,
    pub sample_one_in: Option<Int<1, 1_000_000>>,
    pub statuses: Option<Vec<Statuses>>,
    pub always: Option<Vec<Statuses>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tracing {
    pub collector: Placed<String>,
    pub headers: Option<Entries<FieldName, Table<Secret>>>,
    pub ca: Option<Placed<String>>,
    pub service: Option<Placed<String>>,
    pub sample_one_in: Option<Int<1, 1_000_000>>,
    pub timeout_ms: Option<Millis>,
}

/// A text that is not written in the configuration: where it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Secret {
    pub env: Option<String>,
    pub file: Option<String>,
}
