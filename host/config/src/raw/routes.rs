//! `[[routes]]` as it is written.

use serde::Deserialize;

use super::{Millis, PluginUse};
use crate::scalar::route::{
    Authority, FieldValue, HostPattern, MatchField, Method, PathRegex, Percent, QueryKey, RedirectStatus,
    RedirectTo, SplitBy,
};
use crate::scalar::{Int, Name, UrlPath};
use crate::shape::{Entries, OrText, Placed, Table};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Route {
    pub name: Option<Placed<Name>>,
    #[serde(default, rename = "match")]
    pub matching: Table<Match>,
    pub pool: Option<Placed<String>>,
    pub pools: Option<Placed<Vec<Table<PoolShare>>>>,
    pub split_by: Option<Placed<SplitBy>>,
    pub mirror: Option<Table<Mirror>>,
    pub rewrite: Option<Table<Rewrite>>,
    pub timeouts: Option<Table<Timeouts>>,
    pub body_limit_kb: Option<Int<1, { u32::MAX }>>,
    pub redirect: Option<Table<Redirect>>,
    pub respond: Option<Table<Respond>>,
    #[serde(default)]
    pub plugins: Vec<Placed<OrText<PluginUse>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Match {
    pub host: Option<HostPattern>,
    pub path_prefix: Option<Placed<UrlPath>>,
    pub path: Option<Placed<UrlPath>>,
    pub path_regex: Option<Placed<PathRegex>>,
    pub methods: Option<Placed<Vec<Method>>>,
    #[serde(default)]
    pub headers: Entries<MatchField, Placed<FieldValue>>,
    #[serde(default)]
    pub query: Entries<QueryKey, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PoolShare {
    pub pool: Placed<String>,
    pub weight: Option<Int<0, 65535>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mirror {
    pub pool: Placed<String>,
    pub percent: Option<Percent>,
    pub max_in_flight: Option<Int<1, 65535>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rewrite {
    pub strip_prefix: Option<Placed<UrlPath>>,
    pub add_prefix: Option<Placed<UrlPath>>,
    pub host: Option<Authority>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Timeouts {
    pub total_ms: Option<Int<0, 86_400_000>>,
    pub first_byte_ms: Option<Millis>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Redirect {
    pub to: RedirectTo,
    pub status: Option<RedirectStatus>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Respond {
    pub status: Option<Int<200, 599>>,
    pub body: Option<Placed<String>>,
}
