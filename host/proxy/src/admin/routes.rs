//! Routes, as the admin API shows them.

use http::Response;
use pace_config::Config;
use pace_config::route::{Action, Route};
use serde::Serialize;

use super::json;

/// A route, as `GET /routes` shows it.
#[derive(Serialize)]
struct RouteStatus<'c> {
    name: &'c str,
    /// Which requests take it.
    #[serde(rename = "match")]
    matching: String,
    /// What becomes of them: `forward`, `redirect` or `respond`.
    action: &'static str,
    pools: Vec<Share<'c>>,
    mirror: Option<&'c str>,
    /// The status of a redirect or an answer.
    status: Option<u16>,
    plugins: Vec<&'c str>,
}

#[derive(Serialize)]
struct Share<'c> {
    pool: &'c str,
    weight: u32,
}

/// The routes of a configuration, in the order in which they are tried.
pub(super) fn list(config: &Config) -> Response<Vec<u8>> {
    let order = config.routes_in_order().into_iter();
    let routes: Vec<_> = order.map(|index| status(config, &config.routes[index])).collect();
    json(&routes)
}

fn status<'c>(config: &'c Config, route: &'c Route) -> RouteStatus<'c> {
    let (action, pools, status) = match &route.action {
        Action::Forward(forward) => {
            let share = |share: &pace_config::route::PoolShare| Share {
                pool: &config.pools[share.pool].name,
                weight: share.weight,
            };
            ("forward", forward.pools.iter().map(share).collect(), None)
        }
        Action::Redirect(redirect) => ("redirect", Vec::new(), Some(redirect.status)),
        Action::Respond(respond) => ("respond", Vec::new(), Some(respond.status)),
    };
    RouteStatus {
        name: &route.name,
        matching: route.matching.to_string(),
        action,
        pools,
        mirror: route
            .mirror()
            .map(|mirror| config.pools[mirror.pool].name.as_str()),
        status,
        plugins: route
            .plugins
            .iter()
            .map(|used| config.plugins[used.plugin].name.as_str())
            .collect(),
    }
}
