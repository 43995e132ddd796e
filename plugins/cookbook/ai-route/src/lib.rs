//! Sends requests to a pool by the model that their JSON body names.
//!
//! | key | | default |
//! |---|---|---|
//! | `models` | a table: a model, or the beginning of its name and `*`, and its pool, which the route lists in `pools` | required |
//! | `default` | the pool of all other models; without it they are answered with 404 | none |
//!
//! A whole name comes before a beginning, and a longer beginning before a shorter one. Only POST is looked at.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use pace_plugin::{
    Content, Json, Plugin, Reply, Request, RequestBodyFilter, RequestFilter, Verdict, error, log,
};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AiRoute {
    models: BTreeMap<String, String>,
    default: Option<String>,
}

impl Plugin for AiRoute {
    type Config = Self;

    fn configure(config: Self) -> Result<Self, String> {
        if config.models.is_empty() && config.default.is_none() {
            return Err("models: at least one is needed, or a `default`".into());
        }
        let inner = |name: &&String| name.trim_end_matches('*').contains('*') || name.ends_with("**");
        match config.models.keys().find(inner) {
            Some(name) => Err(format!("models: `{name}`: `*` stands at the end, once")),
            None => Ok(config),
        }
    }
}

impl AiRoute {
    fn pool(&self, model: &str) -> Option<&str> {
        let family = || {
            let families = self
                .models
                .iter()
                .filter_map(|(name, pool)| Some((name.strip_suffix('*')?, pool)));
            let known = families.filter(|(beginning, _)| model.starts_with(beginning));
            known
                .max_by_key(|(beginning, _)| beginning.len())
                .map(|(_, pool)| pool)
        };
        let pool = self.models.get(model).or_else(family).or(self.default.as_ref());
        pool.map(String::as_str)
    }
}

/// An error as clients of OpenAI's interface read it.
fn refuse(status: u16, message: &str) -> Verdict {
    let error = serde_json::json!({ "error": { "message": message, "type": "invalid_request_error" } });
    let reply = Reply::new(status).header("content-type", "application/json");
    reply.body(error.to_string()).into()
}

impl RequestFilter for AiRoute {
    fn request_filter(&mut self, request: &mut Request) -> Verdict {
        // `GET /v1/models` names none.
        if request.method() != "POST" {
            request.skip_body();
        }
        Verdict::Next
    }
}

impl RequestBodyFilter for AiRoute {
    fn request_body_filter(&mut self, request: &mut Request, body: &mut Content) -> Verdict {
        let model = match body.json("/model") {
            Ok(Json::Text(model)) => model,
            Ok(other) => return refuse(400, &format!("model: expected a string, found {}", other.kind())),
            Err(reason) => return refuse(400, &format!("the body cannot be read: {reason}")),
        };
        let Some(pool) = self.pool(&model) else {
            return refuse(404, &format!("the model `{model}` is not served here"));
        };
        if let Err(refused) = request.use_pool(pool) {
            error!("models: the pool `{pool}` of `{model}`: {refused}; the route has to list it in `pools`");
            return refuse(500, "the model has no backend");
        }
        // Refused for a name that is too long, which is no reason to refuse the request.
        let _ = log::annotate("model", &model);
        Verdict::Next
    }
}

pace_plugin::export!(AiRoute: RequestFilter, RequestBodyFilter);
