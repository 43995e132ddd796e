//! The tables of a pool as they are written.

use serde::Deserialize;

use super::Millis;
use crate::scalar::Int;
use crate::scalar::pool::{CheckKind, CheckPath, CookieName, Statuses};
use crate::shape::Placed;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HealthCheck {
    pub kind: Option<CheckKind>,
    pub path: Option<Placed<CheckPath>>,
    pub interval_ms: Option<Millis>,
    pub timeout_ms: Option<Millis>,
    pub healthy_after: Option<Int<1, 1000>>,
    pub unhealthy_after: Option<Int<1, 1000>>,
    pub expect: Option<Placed<Statuses>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ejection {
    pub failures: Option<Int<1, 10_000>>,
    pub for_ms: Option<Int<1, 3_600_000>>,
    pub max_percent: Option<Int<1, 100>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stickiness {
    pub cookie: Option<CookieName>,
    pub ttl_seconds: Option<Int<0, 31_536_000>>,
}
