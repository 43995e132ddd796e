//! Routes as `pace check` and `pace route` show them.

use std::fmt::Write;

use pace_base::escape::Line;
use pace_config::Config;
use pace_config::route::{Action, Forward, PoolShare, Route, SHARE_OF_ALL, SplitBy};

/// The routes in the order in which they are tried.
pub(crate) fn list(config: &Config) -> String {
    let mut listed = String::new();
    for (number, index) in (1..).zip(config.routes_in_order()) {
        let route = &config.routes[index];
        let _ = writeln!(listed, "  route {number}: {}", route.name);
        let _ = writeln!(listed, "    match:   {}", Line(&route.matching));
        let _ = writeln!(listed, "    goes to: {}", goal(config, route));
        let _ = writeln!(listed, "    plugins: {}", plugins(config, route));
    }
    listed
}

/// Where the requests of a route go.
pub(crate) fn goal(config: &Config, route: &Route) -> String {
    match &route.action {
        Action::Forward(forward) => pools(config, forward) + &mirror(config, forward),
        Action::Redirect(redirect) => format!("{} ({})", redirect.to, redirect.status),
        Action::Respond(respond) => format!("an answer of its own ({})", respond.status),
    }
}

fn pools(config: &Config, forward: &Forward) -> String {
    let name = |share: &PoolShare| &config.pools[share.pool].name;
    if let [only] = &forward.pools[..] {
        return format!("pool {}", name(only));
    }
    let shares = forward.pools.iter();
    let shares: Vec<_> = shares
        .map(|share| format!("{} (weight {})", name(share), share.weight))
        .collect();
    let by = match &forward.split_by {
        None => "each request for itself".to_owned(),
        Some(SplitBy::Client) => "by client".to_owned(),
        Some(SplitBy::Cookie(name)) => format!("by the cookie {name}"),
        Some(SplitBy::Header(name)) => format!("by the header {}", name.as_str()),
    };
    format!("pools {}, {by}", shares.join(", "))
}

fn mirror(config: &Config, forward: &Forward) -> String {
    match &forward.mirror {
        None => String::new(),
        Some(mirror) => format!(
            "; {} % are copied to the pool {}",
            f64::from(mirror.share) * 100.0 / f64::from(SHARE_OF_ALL),
            config.pools[mirror.pool].name
        ),
    }
}

/// The plugins of a route, in the order in which they see a request.
pub(crate) fn plugins(config: &Config, route: &Route) -> String {
    let used = route.plugins.iter();
    let names: Vec<_> = used
        .map(|used| config.plugins[used.plugin].name.as_str())
        .collect();
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    }
}
