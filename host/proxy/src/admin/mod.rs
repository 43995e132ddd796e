//! The admin API. It is never reachable through a public listener.
//!
//! [`ROUTES`] lists every endpoint once. An endpoint that changes something answers 200 with a sentence that says what
//! changed, 409 with a sentence that says why nothing did, or 404 if there is no such plugin, pool or backend.

mod config;
mod connections;
mod pools;
mod routes;

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use pace_wire::authority;
use pace_wire::refusal::Refusal;
use pace_wire::request::RequestHead;
use serde::Serialize;

use crate::proxy::BackendConnections;
use crate::reload::{Refused, ReloadOutcome, ReloadOutcomes, Reloader};
use crate::server::Phase;
use crate::snapshot::{Shared, Snapshot};
use crate::telemetry::METRICS_CONTENT_TYPE;
use pace_base::escape::{self, Lines};
use pace_config::telemetry::Secret;

/// The admin API, with the parts of Pace that it shows and changes.
pub struct Admin {
    /// The parts that all configurations share, for the metrics.
    pub shared: Arc<Shared>,
    /// The snapshot that serves, for its pools.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// The status of plugins, and their reload.
    pub reloader: Reloader,
    /// The connections of all workers to backends.
    pub backends: BackendConnections,
}

/// A path, with the methods and the endpoint behind it.
struct Route {
    /// The path, with `NAME` in the place of a plugin's or pool's name, and `ADDR` in that of a backend's address.
    path: &'static str,
    /// The methods, as the header `Allow` lists them.
    methods: &'static str,
    /// Whether any name may be in `Host`, as monitoring and load balancers send it.
    for_machines: bool,
    endpoint: Endpoint,
}

/// The functions of the API.
enum Endpoint {
    /// 200 `ok`; 503 `draining` once no more connections are accepted.
    Health,
    /// 200 `ready`; 503 as soon as the process has been asked to end, while it still accepts connections.
    Ready,
    /// Prometheus text.
    Metrics,
    /// JSON: every plugin with its generation, its calls and failures.
    Plugins,
    /// Reads the configuration and every plugin again.
    Reload,
    /// Reads the plugin's file again.
    ReloadPlugin,
    /// Returns a plugin to the generation before.
    RollBackPlugin,
    /// TOML or JSON: the configuration that serves, with defaults and without secrets.
    Config,
    /// JSON: the connections of clients and to backends.
    Connections,
    /// JSON: every route, in the order in which they are tried.
    Routes,
    /// JSON: every pool with its backends, their health and load.
    Pools,
    /// Drains a backend.
    DrainBackend,
    /// Ends the drain of a backend.
    EnableBackend,
}

/// The names in a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Named<'p> {
    /// The plugin or the pool; `""` if the path names none.
    name: &'p str,
    /// The backend's address, as the path spells it; `""` if it names none.
    address: &'p str,
}

const READ: &str = "GET, HEAD";
const WRITE: &str = "POST";

/// The routes of the API, in the order in which a 404 lists them.
const ROUTES: [Route; 13] = [
    Route::new("/health", READ, Endpoint::Health).for_machines(),
    Route::new("/readyz", READ, Endpoint::Ready).for_machines(),
    Route::new("/metrics", READ, Endpoint::Metrics).for_machines(),
    Route::new("/plugins", READ, Endpoint::Plugins),
    Route::new("/reload", WRITE, Endpoint::Reload),
    Route::new("/plugins/NAME/reload", WRITE, Endpoint::ReloadPlugin),
    Route::new("/plugins/NAME/rollback", WRITE, Endpoint::RollBackPlugin),
    Route::new("/config", READ, Endpoint::Config),
    Route::new("/connections", READ, Endpoint::Connections),
    Route::new("/routes", READ, Endpoint::Routes),
    Route::new("/pools", READ, Endpoint::Pools),
    Route::new("/pools/NAME/backends/ADDR/drain", WRITE, Endpoint::DrainBackend),
    Route::new("/pools/NAME/backends/ADDR/enable", WRITE, Endpoint::EnableBackend),
];

impl Route {
    const fn new(path: &'static str, methods: &'static str, endpoint: Endpoint) -> Route {
        Route {
            path,
            methods,
            for_machines: false,
            endpoint,
        }
    }

    const fn for_machines(self) -> Route {
        Route {
            for_machines: true,
            ..self
        }
    }

    /// The names in a request's path; `None` if the path is another route's.
    fn named_by<'p>(&self, path: &'p str) -> Option<Named<'p>> {
        let mut named = Named::default();
        let mut rest = path.trim_matches('/');
        let before = match self.path.split_once("ADDR") {
            // An address may have slashes, as the path of a socket has.
            Some((before, after)) => {
                let left = rest.strip_suffix(after)?;
                let pieces = left.splitn(before.matches('/').count(), '/');
                named.address = pieces.last().filter(|address| !address.is_empty())?;
                rest = left.strip_suffix(named.address)?.trim_end_matches('/');
                before
            }
            None => self.path,
        };
        let mut segments = rest.split('/');
        for expected in before.trim_matches('/').split('/') {
            let segment = segments.next()?;
            match expected {
                "NAME" => named.name = segment,
                expected if expected == segment => {}
                _ => return None,
            }
        }
        segments.next().is_none().then_some(named)
    }
}

impl Admin {
    /// Answers one request.
    pub async fn answer(&self, request: &RequestHead, phase: Phase) -> Response<Vec<u8>> {
        let path = request.target.path();
        let has_origin = request.fields.get("origin").is_some();
        let for_machines = ROUTES
            .iter()
            .any(|route| route.for_machines && route.path == path && !has_origin);
        if !for_machines && (has_origin || !is_local(request.authority())) {
            let why =
                "the admin API is not for web pages: no Origin, and a Host that is an address or localhost\n";
            return response(StatusCode::FORBIDDEN, TEXT, why.into());
        }
        let is_open = matches!(path, "/health" | "/health/");
        if let Some(token) = &self.snapshot.load().admin_token
            && !is_open
            && !is_authorised(request, token)
        {
            return unauthorised();
        }
        let found = ROUTES
            .iter()
            .find_map(|route| Some((route, route.named_by(path)?)));
        let Some((route, Named { name, address })) = found else {
            return not_found();
        };
        if !route.methods.split(", ").any(|method| request.method == method) {
            return not_allowed(route.methods);
        }
        match route.endpoint {
            Endpoint::Health => health(phase),
            Endpoint::Ready => ready(phase),
            Endpoint::Metrics => response(StatusCode::OK, METRICS_CONTENT_TYPE, self.shared.metrics.render()),
            Endpoint::Plugins => self.plugins(),
            Endpoint::Reload => outcomes(&self.reloader.reload_all().await),
            Endpoint::ReloadPlugin => outcome(&self.reloader.reload(name).await),
            Endpoint::RollBackPlugin => outcome(&self.reloader.rollback(name).await),
            Endpoint::Config => config::show(&self.snapshot.load().config, request),
            Endpoint::Connections => {
                let clients = &self.shared.metrics.clients;
                connections::list(&self.snapshot.load(), clients, &self.backends)
            }
            Endpoint::Routes => routes::list(&self.snapshot.load().config),
            Endpoint::Pools => pools::list(&self.snapshot.load()),
            Endpoint::DrainBackend => pools::drain(&self.snapshot.load(), name, address, true),
            Endpoint::EnableBackend => pools::drain(&self.snapshot.load(), name, address, false),
        }
    }

    fn plugins(&self) -> Response<Vec<u8>> {
        json(&self.reloader.status().list())
    }
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// A response with tables, lists, texts and numbers, for people and programs.
fn json(value: &impl Serialize) -> Response<Vec<u8>> {
    let text = serde_json::to_string_pretty(value).expect("tables, lists, texts and numbers are JSON");
    response(StatusCode::OK, JSON, format!("{}\n", escape::json(&text)).into())
}

/// The response to a request that was refused when it was read.
pub fn refused(refusal: Refusal) -> Response<Vec<u8>> {
    let status = StatusCode::from_u16(refusal.status()).expect("a refusal has a status of HTTP");
    response(status, TEXT, refusal.text().into())
}

/// Whether the authority is an address or `localhost`, as it is for requests that no web page has made.
///
/// Any page can make a browser send requests to loopback, but not without `Origin` if they change something, nor without
/// the page's own name in `Host`.
fn is_local(authority: Option<&str>) -> bool {
    let name = authority::host(authority.unwrap_or("localhost"));
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || address.parse::<std::net::IpAddr>().is_ok()
}

/// Whether a request has the token. The comparison takes as long wherever the first difference is.
fn is_authorised(request: &RequestHead, token: &Secret) -> bool {
    let mut given = request.fields.get_all("authorization");
    let (Some(value), None) = (given.next(), given.next()) else {
        return false;
    };
    let Some((scheme, given)) = value.split_at_checked("Bearer ".len()) else {
        return false;
    };
    let token = token.expose().trim().as_bytes();
    let given = given.trim_ascii();
    let differences = given
        .iter()
        .zip(token)
        .fold(0, |found, (one, other)| found | (one ^ other));
    scheme.eq_ignore_ascii_case(b"bearer ") && given.len() == token.len() && differences == 0
}

fn unauthorised() -> Response<Vec<u8>> {
    let mut refused = response(
        StatusCode::UNAUTHORIZED,
        TEXT,
        "the admin API wants a token: Authorization: Bearer TOKEN\n".into(),
    );
    refused
        .headers_mut()
        .insert(WWW_AUTHENTICATE, http::HeaderValue::from_static("Bearer"));
    refused
}

fn health(phase: Phase) -> Response<Vec<u8>> {
    match phase {
        Phase::Serving | Phase::Leaving => response(StatusCode::OK, TEXT, "ok\n".into()),
        Phase::Draining | Phase::HandedOver => unavailable("draining\n"),
    }
}

fn ready(phase: Phase) -> Response<Vec<u8>> {
    match phase {
        Phase::Serving => response(StatusCode::OK, TEXT, "ready\n".into()),
        Phase::Leaving => unavailable("leaving\n"),
        Phase::Draining | Phase::HandedOver => unavailable("draining\n"),
    }
}

fn unavailable(text: &str) -> Response<Vec<u8>> {
    response(StatusCode::SERVICE_UNAVAILABLE, TEXT, text.into())
}

fn outcome(outcome: &ReloadOutcome) -> Response<Vec<u8>> {
    let status = match outcome {
        ReloadOutcome::Refused(Refused::UnknownPlugin(_)) => StatusCode::NOT_FOUND,
        ReloadOutcome::Refused(_) => StatusCode::CONFLICT,
        _ => StatusCode::OK,
    };
    response(status, TEXT, format!("{}\n", Lines(outcome)).into())
}

fn outcomes(outcomes: &ReloadOutcomes) -> Response<Vec<u8>> {
    let status = match outcomes.is_refused() {
        true => StatusCode::CONFLICT,
        false => StatusCode::OK,
    };
    response(status, TEXT, format!("{}\n", Lines(outcomes)).into())
}

fn not_found() -> Response<Vec<u8>> {
    let [others @ .., last] = ROUTES.map(|route| route.path);
    let known = format!("not found; there are {} and {last}\n", others.join(", "));
    response(StatusCode::NOT_FOUND, TEXT, known.into())
}

fn not_allowed(allowed: &'static str) -> Response<Vec<u8>> {
    let mut refused = response(
        StatusCode::METHOD_NOT_ALLOWED,
        TEXT,
        format!("only {allowed}\n").into(),
    );
    refused
        .headers_mut()
        .insert(ALLOW, http::HeaderValue::from_static(allowed));
    refused
}

fn response(status: StatusCode, content_type: &str, body: Vec<u8>) -> Response<Vec<u8>> {
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, content_type)
        .header(CONTENT_LENGTH, body.len())
        .header(CACHE_CONTROL, "no-store")
        .body(body)
        .expect("the headers are constants that are valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_matches_one_route_and_yields_what_it_names() {
        let found = |path: &str| {
            let named = ROUTES.iter().map(|route| (route.path, route.named_by(path)));
            let found = named.filter_map(|(route, named)| {
                let Named { name, address } = named?;
                Some((route, format!("{name} {address}")))
            });
            found.collect::<Vec<_>>()
        };
        for (path, route, named) in [
            ("/health", "/health", " "),
            ("/health/", "/health", " "),
            ("/plugins", "/plugins", " "),
            ("/plugins/limit/reload", "/plugins/NAME/reload", "limit "),
            ("/plugins/reload/rollback", "/plugins/NAME/rollback", "reload "),
            ("/plugins//reload", "/plugins/NAME/reload", " "),
            ("/pools", "/pools", " "),
            (
                "/pools/web/backends/10.0.0.1:80/drain",
                "/pools/NAME/backends/ADDR/drain",
                "web 10.0.0.1:80",
            ),
            (
                "/pools/web/backends/unix:/run/drain/enable/drain/",
                "/pools/NAME/backends/ADDR/drain",
                "web unix:/run/drain/enable",
            ),
            (
                "/pools/backends/backends/a/enable",
                "/pools/NAME/backends/ADDR/enable",
                "backends a",
            ),
        ] {
            assert_eq!(found(path), [(route, named.to_owned())], "{path}");
        }
        for path in [
            "/",
            "/healthy",
            "/plugins/limit",
            "/plugins/limit/reload/now",
            "/plugins/reload",
            "/pools/web",
            "/pools/web/backends/drain",
            "/pools/web/backends//drain",
            "/pools/web/10.0.0.1:80/drain",
            "/drain",
        ] {
            assert_eq!(found(path), [], "{path}");
        }
    }

    #[test]
    fn authority_with_the_name_of_a_web_page_is_not_local() {
        for host in [
            "localhost:9090",
            "127.0.0.1:9090",
            "[::1]:9090",
            "10.0.0.1",
            "LOCALHOST",
        ] {
            assert!(is_local(Some(host)), "{host}");
        }
        assert!(is_local(None));
        for host in ["rebound.example:9090", "localhost.example", "a127.0.0.1"] {
            assert!(!is_local(Some(host)), "{host}");
        }
    }
}
