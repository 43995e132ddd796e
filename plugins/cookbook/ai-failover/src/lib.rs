//! Sends a request to the next provider when one fails, with that provider's host, key and model.
//!
//! | key | | default |
//! |---|---|---|
//! | `providers` | 1 to 11 tables, in the order in which they are tried | required |
//! | `statuses` | the statuses, 400 to 599, that make a request go on | 429, and all from 500 on |
//! | `rest_seconds` | how long at most a provider is tried last because of its `Retry-After`, 0 to 3600 | 60 |
//!
//! | key of a provider | | default |
//! |---|---|---|
//! | `pool` | its pool, which the route lists in `pools` | required |
//! | `host` | the host that it is asked for | required |
//! | `secret` | the name of its key, as the plugin's own `secrets` have it | no key |
//! | `header` | where its key goes, behind `Bearer ` in `Authorization` | `"Authorization"` |
//! | `path` | what stands in place of `/v1` at the beginning of a path | `"/v1"` |
//! | `models` | a table: a model as clients name it, or `*` for all others, and this provider's name for it | as clients name it |
//! | `timeout_ms` | how long the head of its answer may take, 1 to 86400000 | that of its pool |
//!
//! A request begins with the provider of its own pool. One whose pool is no provider's passes as it is.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::time::Duration;

use pace_plugin::{
    Attempt, AttemptFilter, Content, HeaderName, Integer, Json, Judgement, PathPrefix, Plugin,
};
use pace_plugin::{Reply, Request, RequestBodyFilter, RequestFilter, Response, Table, Verdict, context};
use pace_plugin::{error, secrets};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    providers: Vec<Provider>,
    statuses: Option<Vec<Integer<400, 599>>>,
    rest_seconds: Option<Integer<0, 3600>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Provider {
    pool: String,
    host: String,
    secret: Option<String>,
    header: Option<HeaderName>,
    path: Option<PathPrefix>,
    #[serde(default)]
    models: BTreeMap<String, String>,
    timeout_ms: Option<Integer<1, 86_400_000>>,
}

struct AiFailover {
    config: Config,
    /// The pools of providers that have asked for a pause.
    resting: Table,
}

/// The headers in which clients send keys.
const KEYS: [&str; 4] = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];

impl Plugin for AiFailover {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        let providers = &config.providers;
        let pools: BTreeSet<&str> = providers.iter().map(|provider| &*provider.pool).collect();
        if !(1..=11).contains(&providers.len()) || pools.len() < providers.len() {
            return Err("providers: expected 1 to 11, each with a pool of its own".into());
        }
        let mut names = providers.iter().filter_map(|provider| provider.secret.as_ref());
        if let Some(name) = names.find(|name| !secrets::has(name)) {
            return Err(format!("providers: the plugin's own `secrets` have no `{name}`"));
        }
        let resting = Table::open("resting")?;
        Ok(Self { config, resting })
    }
}

impl Provider {
    /// Has the attempt go to this provider, without anybody else's credentials.
    fn take(&self, request: &Request, attempt: &mut Attempt) -> Result<(), Box<dyn Error>> {
        attempt.use_pool(&self.pool)?;
        attempt.set_authority(&self.host)?;
        for name in KEYS.iter().chain(&["cookie"]) {
            attempt.remove_header(name)?;
        }
        if let Some(secret) = &self.secret {
            let header = self.header.as_deref().unwrap_or("authorization");
            let is_bearer = header.eq_ignore_ascii_case("authorization");
            attempt.set_secret_header(header, if is_bearer { "Bearer " } else { "" }, secret)?;
        }
        if let Some(target) = self.target(&request.path(), request.query()) {
            attempt.set_path_and_query(&target)?;
        }
        if let Some(limit) = self.timeout_ms {
            attempt.limit_time(Duration::from_millis(limit.get()))?;
        }
        if let Some(body) = attempt.content()
            && let Ok(Json::Text(model)) = body.json("/model")
            && let Some(name) = self.models.get(&model).or_else(|| self.models.get("*"))
        {
            body.set_json("/model", name)?;
        }
        Ok(())
    }

    /// Path and query, if they are others than the client's.
    fn target(&self, path: &str, query: Option<String>) -> Option<String> {
        let prefix = self.path.as_ref()?.as_str().trim_end_matches('/');
        let rest = path.strip_prefix("/v1/")?;
        let query = query.map_or(String::new(), |query| format!("?{query}"));
        Some(format!("{prefix}/{rest}{query}"))
    }
}

impl AiFailover {
    /// The indices of all providers, in the order in which a request tries them.
    fn order(&self, first: usize) -> Vec<u8> {
        let providers = &self.config.providers;
        let mut order: Vec<usize> = (first..providers.len()).chain(0..first).collect();
        order.sort_by_key(|&index| self.resting.get(&providers[index].pool).is_some());
        order.into_iter().map(|index| index as u8).collect()
    }

    fn is_failure(&self, status: u16) -> bool {
        match &self.config.statuses {
            Some(statuses) => statuses.iter().any(|known| known.get() == u64::from(status)),
            None => status == 429 || status >= 500,
        }
    }

    /// Has a provider that asks for it be tried last for a while.
    fn let_rest(&self, pool: &str, response: &Response) {
        let value = response.header("retry-after").unwrap_or_default();
        // Providers send seconds and no dates.
        let seconds = String::from_utf8_lossy(&value).trim().parse().unwrap_or(0);
        let most = self.config.rest_seconds.map_or(60, Integer::get);
        // Refused for a time of 0.
        let time = Duration::from_secs(most.min(seconds));
        let _ = self.resting.set(pool, b"", time);
    }
}

impl RequestFilter for AiFailover {
    fn request_filter(&mut self, request: &mut Request) -> Verdict {
        if request.method() != "POST" {
            request.skip_body();
        }
        Verdict::Next
    }
}

impl RequestBodyFilter for AiFailover {
    /// Has the body collected, which each attempt can change and send again.
    fn request_body_filter(&mut self, _: &mut Request, _: &mut Content) -> Verdict {
        Verdict::Next
    }
}

impl AttemptFilter for AiFailover {
    fn prepare(&mut self, request: &Request, attempt: &mut Attempt) -> Verdict {
        let (own, providers) = (attempt.pool(), &self.config.providers);
        let Some(first) = providers.iter().position(|provider| provider.pool == own) else {
            return Verdict::Next;
        };
        // It stays, whoever begins to rest meanwhile: no provider is left out.
        let order = context::get("order").unwrap_or_else(|| self.order(first));
        let _ = context::set("order", &order);
        let turn = (attempt.number() as usize - 1) % order.len();
        let provider = &providers[usize::from(order[turn])];
        match provider.take(request, attempt) {
            Ok(()) => Verdict::Next,
            Err(why) => {
                error!("providers: the attempt at `{}` is not made: {why}", provider.pool);
                Reply::new(500).into()
            }
        }
    }

    fn judge(&mut self, _: &Request, attempt: &Attempt, response: Option<&Response>) -> Judgement {
        let is_ours = context::get("order").is_some();
        if !is_ours || response.is_some_and(|response| !self.is_failure(response.status())) {
            return Judgement::Accept;
        }
        if let Some(response) = response {
            self.let_rest(&attempt.pool(), response);
        }
        // The answer of the last one is the client's.
        match (attempt.number() as usize) < self.config.providers.len() {
            true => Judgement::Retry,
            false => Judgement::Accept,
        }
    }
}

pace_plugin::export!(AiFailover: RequestFilter, RequestBodyFilter, AttemptFilter);
