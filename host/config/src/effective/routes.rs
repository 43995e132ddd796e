//! `[[routes]]`.

use super::plugins::outcome;
use super::tree::{Node, Table};
use super::{masked, millis, millis_or_zero};
use crate::types::route::{
    Action, Forward, HostMatch, Match, Mirror, PathMatch, PoolShare, Redirect, Respond, Rewrite, Route,
    SHARE_OF_ALL, SplitBy, Timeouts,
};
use crate::types::{BodyLimits, Config, PluginUse};

pub(super) fn route(config: &Config, route: &Route) -> Table {
    let Route {
        name,
        matching,
        body_limit,
        rewrite,
        action,
        plugins,
    } = route;
    // A name that was not given has a `/`, and is made of host and path again.
    let given = Some(name.as_str()).filter(|name| !name.contains('/'));
    let shown = Table::new()
        .with_some("name", given)
        .with("match", self::matching(matching));
    let shown = match action {
        Action::Forward(forward) => self::forward(config, forward, shown),
        Action::Redirect(Redirect { to, status }) => shown.with(
            "redirect",
            Table::new()
                .with("to", masked::text(&to.to_string()))
                .with("status", *status),
        ),
        Action::Respond(Respond { status, body }) => shown.with(
            "respond",
            Table::new().with("status", *status).with("body", body.as_str()),
        ),
    };
    shown
        .with_some("rewrite", self::rewrite(rewrite))
        .with_some("body_limit_kb", body_limit.map(|bytes| bytes >> 10))
        .with(
            "plugins",
            Node::list(plugins.iter().map(|used| plugin(config, used))),
        )
}

fn matching(matching: &Match) -> Table {
    let Match {
        host,
        path,
        methods,
        headers,
        query,
    } = matching;
    let host = match host {
        HostMatch::Any => None,
        HostMatch::Below(_) | HostMatch::Exact(_) => Some(host.to_string()),
    };
    let shown = Table::new().with_some("host", host);
    let shown = match path {
        PathMatch::Exact(path) => shown.with("path", path.as_str()),
        PathMatch::Regex(regex) => shown.with("path_regex", regex.as_str()),
        PathMatch::Prefix(prefix) => shown.with("path_prefix", prefix.as_str()),
    };
    let methods = (!methods.is_empty()).then(|| Node::list(methods.iter().map(String::as_str)));
    let pairs = |pairs: &mut dyn Iterator<Item = (&str, &str)>| {
        let shown = pairs.fold(Table::new(), |shown, (name, value)| {
            shown.with(name, masked::value(name, value))
        });
        Some(shown).filter(|shown| !shown.is_empty())
    };
    let headers = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let query = query.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    shown
        .with_some("methods", methods)
        .with_some("headers", pairs(&mut { headers }))
        .with_some("query", pairs(&mut { query }))
}

fn forward(config: &Config, forward: &Forward, shown: Table) -> Table {
    let Forward {
        pools,
        split_by,
        timeouts: Timeouts { total, first_byte },
        mirror,
    } = forward;
    let name = |pool: usize| config.pools[pool].name.as_str();
    let shown = match (pools.as_slice(), split_by) {
        ([PoolShare { pool, weight: 1 }], None) => shown.with("pool", name(*pool)),
        (pools, split_by) => {
            let share = |PoolShare { pool, weight }: &PoolShare| {
                Table::new().with("pool", name(*pool)).with("weight", *weight)
            };
            let split_by = split_by.as_ref().map(|split_by| match split_by {
                SplitBy::Client => "client".to_owned(),
                SplitBy::Cookie(name) => format!("cookie:{name}"),
                SplitBy::Header(name) => format!("header:{}", name.as_str()),
            });
            shown
                .with("pools", Node::list(pools.iter().map(share)))
                .with_some("split_by", split_by)
        }
    };
    let timeouts = Table::new()
        .with_some("total_ms", total.map(millis_or_zero))
        .with_some("first_byte_ms", first_byte.map(millis));
    shown
        .with_some("timeouts", Some(timeouts).filter(|timeouts| !timeouts.is_empty()))
        .with_some(
            "mirror",
            mirror.as_ref().map(|mirror| self::mirror(config, mirror)),
        )
}

fn mirror(config: &Config, mirror: &Mirror) -> Table {
    let Mirror {
        pool,
        share,
        max_in_flight,
    } = mirror;
    let percent = f64::from(*share) * 100.0 / f64::from(SHARE_OF_ALL);
    Table::new()
        .with("pool", config.pools[*pool].name.as_str())
        .with("percent", serde_json::Value::from(percent))
        .with("max_in_flight", *max_in_flight)
}

fn rewrite(rewrite: &Rewrite) -> Option<Table> {
    let Rewrite { path, host } = rewrite;
    let prefix = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let (strip, add) = path
        .as_ref()
        .map_or((None, None), |path| (prefix(path.strip()), prefix(path.add())));
    let shown = Table::new()
        .with_some("strip_prefix", strip)
        .with_some("add_prefix", add)
        .with_some("host", host.as_deref());
    Some(shown).filter(|shown| !shown.is_empty())
}

fn plugin(config: &Config, used: &PluginUse) -> Table {
    let PluginUse {
        plugin,
        on_failure,
        config: merged,
        own_config,
        body,
    } = used;
    let BodyLimits { whole, time, unit } = *body;
    let limits = Table::new()
        .with("read_body_kb", whole / 1024)
        .with("read_body_ms", millis(time))
        .with("unit_kb", unit / 1024);
    Table::new()
        .with("use", config.plugins[*plugin].name.as_str())
        .with("on_failure", outcome(*on_failure))
        .with("limits", limits)
        .with_some("config", own_config.then(|| masked::table(merged)))
}
