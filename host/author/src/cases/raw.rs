//! The file as written, key by key. The defaults of keys are in `resolve` and `overrides`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::budget::Budget;
use super::certificate::Certificate;
use super::keep;
use super::scalar::{
    Address, BodyEnding, EndingName, FailureName, FieldName, FieldValue, HealthName, HookName, HttpVersion,
    JudgementName, LastFailure, LogLevel, Method, Millis, Moment, ReasonName, Scheme, Target, Word,
};
use super::value::{Amount, Kept, Number, Text, Texts};
use pace_config::reading::{
    Int, Isolation as RawIsolation, JsonTable, Limits as RawLimits, Network, OrText, Place, Placed,
    Shorthand, Table,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub name: Option<Placed<String>>,
    pub wasm: Option<Placed<String>>,
    #[serde(default)]
    pub defaults: Table<Defaults>,
    #[serde(default)]
    pub budget: Table<Budget>,
    #[serde(default)]
    pub case: Vec<Table<Case>>,
}

/// Another plugin of the route.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Neighbor {
    pub name: Option<String>,
    pub wasm: String,
    #[serde(default)]
    pub config: JsonTable,
    pub limits: Option<Table<RawLimits>>,
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Defaults {
    pub before: Option<Vec<Table<Neighbor>>>,
    pub after: Option<Vec<Table<Neighbor>>>,
    #[serde(default)]
    pub config: JsonTable,
    pub limits: Option<Table<RawLimits>>,
    pub isolation: Option<RawIsolation>,
    pub clock: Option<Moment>,
    pub log_level: Option<LogLevel>,
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    pub request: Option<Table<Request>>,
    pub pool: Option<Table<Pool>>,
    pub response: Option<Table<Response>>,
    pub outcome: Option<Table<End>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub name: Placed<String>,
    pub before: Option<Vec<Table<Neighbor>>>,
    pub after: Option<Vec<Table<Neighbor>>>,
    #[serde(default)]
    pub config: JsonTable,
    pub limits: Option<Table<RawLimits>>,
    pub isolation: Option<RawIsolation>,
    pub clock: Option<Moment>,
    pub log_level: Option<LogLevel>,
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    #[serde(default)]
    pub counters: BTreeMap<String, Placed<u64>>,
    #[serde(default)]
    pub windows: Vec<Table<Events>>,
    #[serde(default)]
    pub tables: BTreeMap<String, BTreeMap<String, Placed<String>>>,
    pub shuffle: Option<Table<Shuffle>>,
    pub tally: Option<Table<Tally>>,

    pub request: Option<Table<Request>>,
    pub pool: Option<Table<Pool>>,
    pub attempt: Option<Attempt>,
    pub attempts: Option<Vec<OrText<Brought>>>,
    pub tried: Option<Vec<Placed<String>>>,
    pub last_failure: Option<OrText<LastFailure>>,
    pub response: Option<Table<Response>>,
    pub outcome: Option<Table<End>>,
    pub hook: Option<HookName>,
    pub advance_ms: Option<Placed<Millis>>,
    pub repeat: Option<Placed<Repeat>>,
    pub expect: Option<Table<Expect>>,

    #[serde(default)]
    pub step: Vec<Table<Step>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    pub clock: Option<Moment>,
    pub advance_ms: Option<Placed<Millis>>,
    pub repeat: Option<Placed<Repeat>>,
    pub request: Option<Table<Request>>,
    pub pool: Option<Table<Pool>>,
    pub attempt: Option<Attempt>,
    pub attempts: Option<Vec<OrText<Brought>>>,
    pub tried: Option<Vec<Placed<String>>>,
    pub last_failure: Option<OrText<LastFailure>>,
    pub response: Option<Table<Response>>,
    pub outcome: Option<Table<End>>,
    pub hook: Option<HookName>,
    #[serde(default)]
    pub keep: BTreeMap<keep::Name, Placed<OrText<keep::Rule>>>,
    pub expect: Option<Table<Expect>>,
    pub tally: Option<Table<Tally>>,
}

pub(super) type Attempt = Int<1, 1000>;

/// The most repetitions: a million requests take seconds, and more are no test.
pub(super) type Repeat = Int<1, 1_000_000>;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    pub method: Option<Method>,
    pub path: Option<Target>,
    #[serde(default)]
    pub headers: BTreeMap<FieldName, FieldValues>,
    pub body: Option<String>,
    pub pieces: Option<Placed<Vec<String>>>,
    pub ends: Option<BodyEnding>,
    pub client: Option<Address>,
    pub trusted_peer: Option<Address>,
    pub scheme: Option<Scheme>,
    pub version: Option<HttpVersion>,
    pub route: Option<String>,
    pub pools: Option<Vec<String>>,
    pub client_certificate: Option<Placed<OrText<Certificate>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Response {
    pub status: Option<Int<200, 599>>,
    #[serde(default)]
    pub headers: BTreeMap<FieldName, FieldValues>,
    pub body: Option<String>,
    pub pieces: Option<Placed<Vec<String>>>,
    pub ends: Option<BodyEnding>,
}

/// What an attempt brings: a failure, or a table.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Brought {
    pub response: Option<Table<Response>>,
    pub failure: Option<Placed<FailureName>>,
    pub after_ms: Option<Millis>,
}

impl Shorthand for Brought {
    const EXPECTED: &'static str =
        "a failure such as \"connection-refused\" or { response = { status = 503 } }";

    fn from_text(text: &str) -> Result<Self, String> {
        if text == "status" {
            return Err("this failure is a response: { response = { status = 503 } }".to_owned());
        }
        let failure = Placed {
            value: FailureName::try_from(text.to_owned())?,
            place: Place::Nowhere,
        };
        Ok(Brought {
            failure: Some(failure),
            ..Brought::default()
        })
    }
}

/// `outcome`: how the request ended.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    pub ending: Option<EndingName>,
    pub request_bytes: Option<u64>,
    pub response_bytes: Option<u64>,
    pub total_ms: Option<Millis>,
    pub queue_ms: Option<Millis>,
    pub connect_ms: Option<Millis>,
    pub first_byte_ms: Option<Millis>,
}

/// One value, or several in order; an empty list removes the field.
#[derive(Debug, Deserialize)]
#[serde(try_from = "OneOrSeveral")]
pub(super) struct FieldValues(pub Vec<FieldValue>);

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
enum OneOrSeveral {
    One(String),
    Several(Vec<String>),
}

impl TryFrom<OneOrSeveral> for FieldValues {
    type Error = String;

    fn try_from(written: OneOrSeveral) -> Result<Self, String> {
        let values = match written {
            OneOrSeveral::One(value) => vec![value],
            OneOrSeveral::Several(values) => values,
        };
        let parsed = values.into_iter().map(FieldValue::try_from);
        parsed.collect::<Result<_, _>>().map(FieldValues)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pool {
    pub name: Option<String>,
    pub backends: Option<Placed<Vec<OrText<Backend>>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Backend {
    pub address: String,
    pub weight: Option<Int<0, 65535>>,
    pub health: Option<HealthName>,
    pub in_flight: Option<Int<0, { u32::MAX }>>,
    pub latency_ms: Option<Millis>,
}

impl Shorthand for Backend {
    const EXPECTED: &'static str =
        "an address such as \"10.0.0.1:8000\" or { address = \"...\", weight = 2, health = \"ejected\" }";

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(Backend {
            address: text.to_owned(),
            weight: None,
            health: None,
            in_flight: None,
            latency_ms: None,
        })
    }
}

/// Events that a window has beforehand, or must have.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Events {
    pub name: String,
    pub address: Option<Address>,
    pub network: Option<Network>,
    pub text: Option<String>,
    pub events: Int<0, 10_000_000>,
    pub ago_ms: Option<Millis>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shuffle {
    pub seed: Option<u64>,
    pub rounds: Option<Int<1, 100_000>>,
}

/// How many of all requests had an outcome.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tally {
    #[serde(default)]
    pub verdict: BTreeMap<Word, Placed<Number>>,
    #[serde(default)]
    pub status: BTreeMap<String, Placed<Number>>,
    #[serde(default)]
    pub backend: BTreeMap<String, Placed<Number>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    pub verdict: Option<Placed<Word>>,
    pub hook: Option<Placed<HookName>>,
    pub backend: Option<Placed<OrText<Text>>>,
    pub request: Option<Table<ExpectRequest>>,
    pub response: Option<Table<ExpectResponse>>,
    pub pool: Option<Placed<OrText<Text>>>,
    pub attempts: Option<Placed<Vec<Table<ExpectAttempt>>>>,
    pub log: Option<Placed<Vec<OrText<Text>>>>,
    #[serde(default)]
    pub context: BTreeMap<String, Placed<OrText<Text>>>,
    #[serde(default)]
    pub annotations: BTreeMap<String, Placed<OrText<Text>>>,
    #[serde(default)]
    pub counters: BTreeMap<String, Placed<Number>>,
    #[serde(default)]
    pub windows: Vec<Table<ExpectEvents>>,
    #[serde(default)]
    pub tables: BTreeMap<String, BTreeMap<String, Placed<Kept>>>,
    #[serde(default)]
    pub metrics: BTreeMap<String, Placed<Amount>>,
    pub failure: Option<Placed<OrText<ExpectFailure>>>,
    pub refusal: Option<Placed<OrText<Text>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectRequest {
    pub path: Option<Placed<OrText<Text>>>,
    #[serde(default)]
    pub headers: BTreeMap<FieldName, Placed<Texts>>,
    #[serde(default)]
    pub absent: Vec<Placed<FieldName>>,
    pub body: Option<Placed<OrText<Text>>>,
    pub pieces: Option<Placed<Vec<OrText<Text>>>>,
    pub ends: Option<Placed<BodyEnding>>,
    pub unchanged: Option<Placed<bool>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectResponse {
    pub status: Option<Placed<Number>>,
    #[serde(default)]
    pub headers: BTreeMap<FieldName, Placed<Texts>>,
    #[serde(default)]
    pub absent: Vec<Placed<FieldName>>,
    pub body: Option<Placed<OrText<Text>>>,
    pub pieces: Option<Placed<Vec<OrText<Text>>>>,
    pub ends: Option<Placed<BodyEnding>>,
    pub unchanged: Option<Placed<bool>>,
}

/// An attempt that must have been made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectAttempt {
    pub pool: Option<Placed<OrText<Text>>>,
    pub backend: Option<Placed<OrText<Text>>>,
    pub judgement: Option<Placed<JudgementName>>,
    pub request: Option<Table<ExpectSent>>,
}

/// What an attempt must have sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectSent {
    pub path: Option<Placed<OrText<Text>>>,
    #[serde(default)]
    pub headers: BTreeMap<FieldName, Placed<Texts>>,
    #[serde(default)]
    pub absent: Vec<Placed<FieldName>>,
    pub body: Option<Placed<OrText<Text>>>,
    pub unchanged: Option<Placed<bool>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectEvents {
    pub name: String,
    pub address: Option<Address>,
    pub network: Option<Network>,
    pub text: Option<String>,
    pub events: Placed<Number>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectFailure {
    pub reason: Option<ReasonName>,
    pub message: Option<OrText<Text>>,
}

impl Shorthand for ExpectFailure {
    const EXPECTED: &'static str =
        "a reason such as \"trap\" or { reason = \"trap\", message = { contains = \"...\" } }";

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(ExpectFailure {
            reason: Some(ReasonName::try_from(text.to_owned())?),
            message: None,
        })
    }
}
