//! Routes with their plugins, and the fate of their requests.

mod mirror;
mod split;

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use pace_config::route::{self, Respond, Rewrite, Timeouts};
use pace_config::{RedirectUrl, Redirected};
use pace_hook::Reply;
use pace_wire::authority;
use pace_wire::path::EncodedSlashes;
use pace_wire::refusal::Refusal;
use pace_wire::request::RequestHead;
use pace_wire::rewrite::NORMALISED;

pub use self::mirror::{Mirror, MirrorPlace};
pub use self::split::Split;
use crate::chain::Chain;
use crate::telemetry::RouteMetrics;
use crate::upstream::Pool;

/// A route of a snapshot.
pub struct Route {
    /// The name in the configuration.
    pub name: String,
    /// The plugins.
    pub chain: Chain,
    /// The metrics of its requests; `None` for a route of copies.
    pub metrics: Option<Arc<RouteMetrics>>,
    /// The most bytes of a request's body.
    pub body_limit: Option<u64>,
    /// The changes of requests on their way to a backend.
    pub rewrite: Rewrite,
    /// The fate of requests that the request filters have let pass.
    pub action: Action,
}

/// The fate of a route's requests.
pub enum Action {
    /// The requests are sent to a backend.
    Forward(Forward),
    /// The clients are sent elsewhere.
    Redirect(RedirectUrl, StatusCode),
    /// The clients get this answer.
    Respond(Reply),
}

/// Where requests are sent.
pub struct Forward {
    /// The pools of backends.
    pub split: Split<Arc<Pool>>,
    /// Limits of time in place of the pool's.
    pub timeouts: Timeouts,
    /// Where copies of requests go.
    pub mirror: Option<Mirror>,
}

impl Route {
    /// A route of a configuration. `pools` are those of the configuration.
    pub fn new(
        route: &route::Route,
        chain: Chain,
        pools: &[Arc<Pool>],
        mirror: Option<Mirror>,
        metrics: Arc<RouteMetrics>,
    ) -> Route {
        Route {
            name: route.name.clone(),
            chain,
            metrics: Some(metrics),
            body_limit: route.body_limit,
            rewrite: route.rewrite.clone(),
            action: Action::new(&route.action, pools, mirror),
        }
    }

    /// Where requests are sent, if they are.
    pub fn forward(&self) -> Option<&Forward> {
        match &self.action {
            Action::Forward(forward) => Some(forward),
            Action::Redirect(..) | Action::Respond(_) => None,
        }
    }
}

impl Action {
    fn new(action: &route::Action, pools: &[Arc<Pool>], mirror: Option<Mirror>) -> Action {
        match action {
            route::Action::Forward(forward) => {
                let shares = forward.pools.iter().map(|share| {
                    let pool = &pools[share.pool];
                    (Arc::clone(pool), pool.name.as_str(), share.weight)
                });
                Action::Forward(Forward {
                    split: Split::new(shares, forward.split_by.clone()),
                    timeouts: forward.timeouts,
                    mirror,
                })
            }
            route::Action::Redirect(redirect) => {
                Action::Redirect(redirect.to.clone(), status(redirect.status))
            }
            route::Action::Respond(respond) => Action::Respond(reply(respond)),
        }
    }
}

/// The URL that a redirect sends the client of a request to; `None` if that has the host of the request, which names none. A path
/// that a plugin has edited is normalised, so that it cannot be taken for a host, as `//host` would be.
///
/// # Errors
///
/// As for [`PathRewrite::apply`](pace_wire::rewrite::PathRewrite::apply).
pub fn location(
    to: &RedirectUrl,
    rewrite: &Rewrite,
    request: &RequestHead,
    scheme: &str,
    slashes: EncodedSlashes,
) -> Result<Option<String>, Refusal> {
    let path = rewrite.path.as_ref().unwrap_or(&NORMALISED);
    let target = path.apply(&request.target, slashes)?.target;
    let host = rewrite.host.as_deref().or_else(|| request.authority());
    Ok(to.of(&Redirected {
        scheme,
        host: host.map(authority::host),
        path: match target.path() {
            "*" => "/",
            path => path,
        },
        query: target.query(),
    }))
}

fn reply(respond: &Respond) -> Reply {
    let text = Reply::text(status(respond.status), "");
    match respond.body.is_empty() {
        true => Reply {
            headers: Vec::new(),
            ..text
        },
        false => Reply {
            body: Bytes::from(respond.body.clone()),
            ..text
        },
    }
}

fn status(number: u16) -> StatusCode {
    StatusCode::from_u16(number).expect("the configuration has statuses of HTTP only")
}
