//! `pace route`: which route a request would take, and why not the others.

use std::fmt::Write;

use pace_base::escape::Line;
use pace_config::listener::Listener;
use pace_config::route::{Action, Forward, Route};
use pace_config::{Config, RedirectUrl};
use pace_proxy::route::{Split, location};
use pace_proxy::router::{Router, mismatch};
use pace_wire::request::RequestHead;

use crate::cli::RouteArgs;
use crate::request::Request;
use crate::routes;

/// The answer of `pace route`.
pub(crate) struct Answer {
    /// The text for the operator.
    pub(crate) text: String,
    /// Whether a route takes the request.
    pub(crate) is_routed: bool,
}

/// No route takes the request, which has been said.
#[derive(Debug, thiserror::Error)]
#[error("no route takes this request")]
pub(crate) struct NoRoute;

/// Looks for the route of a request as the proxy does.
pub(crate) fn answer(config: &Config, args: &RouteArgs, request: &Request) -> Answer {
    let listener = listener(config, request);
    let mut text = String::new();
    if config.listeners.len() > 1 {
        let _ = writeln!(text, "at the listener {}", listener.listen);
    }
    let metrics = config.metrics.as_ref().map(|metrics| metrics.endpoint.as_str());
    let before = if listener.redirect_to_https {
        Some("no route: the listener redirects every request to https")
    } else if metrics == Some(request.head.target.path()) {
        Some("no route: the metrics are the answer")
    } else {
        None
    };
    if let Some(before) = before {
        let _ = writeln!(text, "{before}");
        return Answer {
            text,
            is_routed: false,
        };
    }
    let served = |index: &usize| listener.serves(*index);
    let order: Vec<usize> = config.routes_in_order().into_iter().filter(served).collect();
    let numbered = (0..config.routes.len()).filter(served);
    let router = Router::new(numbered.map(|index| (config.routes[index].matching.clone(), index)));
    let found = router.find(&request.head).copied();
    match found {
        Some(index) => text += &taken(config, &config.routes[index], args, request),
        None => {
            let allowed = router.allowed(&request.head).join(", ");
            let _ = match allowed.is_empty() {
                true => writeln!(text, "no route: 404"),
                false => writeln!(text, "no route: 405, allowed are {allowed}"),
            };
        }
    }
    text += &others(config, &order, found, &request.head);
    Answer {
        text,
        is_routed: found.is_some(),
    }
}

/// The listener that a client would connect to: that of the URL's port, or one that speaks its scheme, or the first.
fn listener<'c>(config: &'c Config, request: &Request) -> &'c Listener {
    let speaks = |listener: &&Listener| listener.tls.is_some() == (request.scheme == "https");
    let listeners = || config.listeners.iter();
    let at_port = listeners().find(|listener| request.port == Some(listener.listen.port));
    at_port
        .or_else(|| listeners().find(speaks))
        .unwrap_or(&config.listeners[0])
}

/// The route, and what becomes of the request there.
fn taken(config: &Config, route: &Route, args: &RouteArgs, request: &Request) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "route {}", route.name);
    let _ = writeln!(text, "  match:   {}", Line(&route.matching));
    let _ = writeln!(text, "  goes to: {}", routes::goal(config, route));
    match &route.action {
        Action::Forward(forward) => {
            if let Some(pool) = chosen(config, forward, args, &request.head) {
                let _ = writeln!(text, "  pool:    {pool}, with the client {}", args.client);
            }
            let _ = writeln!(text, "  sent as: {}", Line(sent(config, route, &request.head)));
        }
        Action::Redirect(redirect) => {
            let url = redirected(config, route, &redirect.to, request);
            let _ = writeln!(text, "  url:     {}", Line(url));
        }
        Action::Respond(_) => {}
    }
    let _ = writeln!(text, "  plugins: {}", routes::plugins(config, route));
    text
}

/// The pool of a request that is split by what it has, not by chance.
fn chosen<'c>(
    config: &'c Config,
    forward: &Forward,
    args: &RouteArgs,
    head: &RequestHead,
) -> Option<&'c str> {
    let by = forward.split_by.clone()?;
    let name = |pool: usize| config.pools[pool].name.as_str();
    let shares = forward.pools.iter();
    let split = Split::new(
        shares.map(|share| (name(share.pool), name(share.pool), share.weight)),
        Some(by),
    );
    Some(split.pool(split.choose(args.client.to_canonical(), head)))
}

/// The first line of the request as the backend gets it, with its host.
fn sent(config: &Config, route: &Route, head: &RequestHead) -> String {
    let target = route
        .rewrite
        .target(&head.target, config.server.rules.encoded_slashes);
    let target = match &target {
        Ok(target) => target.as_str(),
        Err(refusal) => return format!("nothing: {refusal}"),
    };
    let host = route.rewrite.host.as_deref().or_else(|| head.authority());
    let host = host.unwrap_or("that of the backend");
    format!("{} {target}, Host: {host}", head.method)
}

/// Where a redirect leads.
fn redirected(config: &Config, route: &Route, to: &RedirectUrl, request: &Request) -> String {
    let slashes = config.server.rules.encoded_slashes;
    match location(to, &route.rewrite, &request.head, request.scheme, slashes) {
        Ok(Some(url)) => url,
        Ok(None) => "none: the request names no host".to_owned(),
        Err(refusal) => format!("none: {refusal}"),
    }
}

/// The other routes, in the order in which they are tried, and why the request takes none of them.
fn others(config: &Config, order: &[usize], found: Option<usize>, head: &RequestHead) -> String {
    let mut text = String::new();
    for index in order.iter().copied().filter(|index| found != Some(*index)) {
        let route = &config.routes[index];
        let why = match mismatch(&route.matching, head) {
            Some(mismatch) => mismatch.to_string(),
            None => "it matches, too, and is tried later".to_owned(),
        };
        let _ = writeln!(text, "not {}: {}", route.name, Line(why));
    }
    text
}
