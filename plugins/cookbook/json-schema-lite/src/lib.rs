//! Refuses requests whose JSON lacks fields, or has values of another type in them.
//!
//! | key | | default |
//! |---|---|---|
//! | `required` | a table: the JSON Pointer of a field, and its type: `"string"`, `"number"`, `"integer"`, `"boolean"`, `"object"`, `"array"` or `"any"` | none |
//! | `optional` | the same for fields that may be left out | none |
//! | `methods` | the requests that have such a body | `["POST", "PUT", "PATCH"]` |
//!
//! Who is refused reads all that is wrong, as RFC 9457 writes problems. An integer is written without a fraction.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use pace_plugin::{
    Content, Json, JsonError, Plugin, Reply, Request, RequestBodyFilter, RequestFilter, Verdict,
};
use serde::Deserialize;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Schema {
    required: BTreeMap<String, Kind>,
    optional: BTreeMap<String, Kind>,
    methods: Option<Vec<String>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    String,
    Number,
    Integer,
    Boolean,
    Object,
    Array,
    Any,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Object => "object",
            Self::Array => "array",
            Self::Any => "a value",
        }
    }

    fn takes(self, value: &Json) -> bool {
        match self {
            Self::Any => *value != Json::Absent,
            Self::Number => matches!(value, Json::Integer(_) | Json::Number(_)),
            _ => value.kind() == self.name(),
        }
    }
}

impl Plugin for Schema {
    type Config = Self;

    fn configure(config: Self) -> Result<Self, String> {
        let mut fields = config.required.keys().chain(config.optional.keys());
        match fields.find(|field| !field.starts_with('/')) {
            Some(field) => Err(format!("`{field}`: a JSON Pointer begins with `/`")),
            None if config.required.is_empty() && config.optional.is_empty() => {
                Err("required, optional: at least one field is needed".into())
            }
            None => Ok(config),
        }
    }
}

/// A problem as RFC 9457 has it.
fn refuse(status: u16, errors: &[String]) -> Verdict {
    let problem = serde_json::json!({ "title": "The body is not as it must be", "errors": errors });
    let reply = Reply::new(status).header("content-type", "application/problem+json");
    reply.body(problem.to_string()).into()
}

impl RequestFilter for Schema {
    fn request_filter(&mut self, request: &mut Request) -> Verdict {
        let method = request.method();
        let is_meant = match &self.methods {
            Some(methods) => methods.contains(&method),
            None => ["POST", "PUT", "PATCH"].contains(&&*method),
        };
        if !is_meant {
            request.skip_body();
        }
        Verdict::Next
    }
}

impl RequestBodyFilter for Schema {
    fn request_body_filter(&mut self, _: &mut Request, body: &mut Content) -> Verdict {
        let required = self.required.iter().map(|field| (field, true));
        let optional = self.optional.iter().map(|field| (field, false));
        let mut wrong = Vec::new();
        for ((field, kind), is_required) in required.chain(optional) {
            match body.json(field) {
                Ok(Json::Absent) if !is_required => {}
                Ok(value) if kind.takes(&value) => {}
                Ok(value) => wrong.push(format!(
                    "{field}: expected {}, found {}",
                    kind.name(),
                    value.kind()
                )),
                // This is so for each field.
                Err(why @ (JsonError::Malformed | JsonError::TooDeep)) => {
                    return refuse(400, &[why.to_string()]);
                }
                Err(why) => wrong.push(format!("{field}: {why}")),
            }
        }
        match wrong.is_empty() {
            true => Verdict::Next,
            false => refuse(422, &wrong),
        }
    }
}

pace_plugin::export!(Schema: RequestFilter, RequestBodyFilter);
