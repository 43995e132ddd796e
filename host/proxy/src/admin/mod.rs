//! The admin API. It is never reachable through a public listener.
//!
//! [`ROUTES`] lists every endpoint once. An endpoint that changes something answers 200 with a sentence that says what
//! changed, 409 with a sentence that says why nothing did, or 404 if there is no such plugin.

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{Response, StatusCode};
use pace_wire::authority;
use pace_wire::refusal::Refusal;
use pace_wire::request::RequestHead;

use crate::reload::{Refused, ReloadOutcome, ReloadOutcomes, Reloader};
use crate::snapshot::Shared;
use crate::telemetry::METRICS_CONTENT_TYPE;
use pace_base::escape::{self, Lines};

/// The admin API, with the parts of Pace that it shows and changes.
pub struct Admin {
    /// The parts that all configurations share, for the metrics.
    pub shared: std::sync::Arc<Shared>,
    /// The status of plugins, and their reload.
    pub reloader: Reloader,
}

/// A path, with the methods and the endpoint behind it.
struct Route {
    /// The path, with `NAME` in the place of a plugin's name.
    path: &'static str,
    /// The methods, as the header `Allow` lists them.
    methods: &'static str,
    /// Whether any name may be in `Host`, as monitoring and load balancers send it.
    for_machines: bool,
    endpoint: Endpoint,
}

/// The functions of the API.
enum Endpoint {
    /// 200 `ok`; 503 `draining` once the process is about to end.
    Health,
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
}

const READ: &str = "GET, HEAD";
const WRITE: &str = "POST";

/// The routes of the API, in the order in which a 404 lists them.
const ROUTES: [Route; 6] = [
    Route::new("/health", READ, Endpoint::Health).for_machines(),
    Route::new("/metrics", READ, Endpoint::Metrics).for_machines(),
    Route::new("/plugins", READ, Endpoint::Plugins),
    Route::new("/reload", WRITE, Endpoint::Reload),
    Route::new("/plugins/NAME/reload", WRITE, Endpoint::ReloadPlugin),
    Route::new("/plugins/NAME/rollback", WRITE, Endpoint::RollBackPlugin),
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

    /// The plugin that a request's path names, or `""` if the route names none; `None` if the path is another route's.
    fn plugin_of<'p>(&self, path: &'p str) -> Option<&'p str> {
        let mut plugin = "";
        let mut segments = path.trim_matches('/').split('/');
        for expected in self.path.trim_matches('/').split('/') {
            let segment = segments.next()?;
            match expected {
                "NAME" => plugin = segment,
                expected if expected == segment => {}
                _ => return None,
            }
        }
        segments.next().is_none().then_some(plugin)
    }
}

impl Admin {
    /// Answers one request.
    pub async fn answer(&self, request: &RequestHead, draining: bool) -> Response<Vec<u8>> {
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
        let found = ROUTES
            .iter()
            .find_map(|route| Some((route, route.plugin_of(path)?)));
        let Some((route, plugin)) = found else {
            return not_found();
        };
        if !route.methods.split(", ").any(|method| request.method == method) {
            return not_allowed(route.methods);
        }
        match route.endpoint {
            Endpoint::Health => health(draining),
            Endpoint::Metrics => response(StatusCode::OK, METRICS_CONTENT_TYPE, self.shared.metrics.render()),
            Endpoint::Plugins => self.plugins(),
            Endpoint::Reload => outcomes(&self.reloader.reload_all().await),
            Endpoint::ReloadPlugin => outcome(&self.reloader.reload(plugin).await),
            Endpoint::RollBackPlugin => outcome(&self.reloader.rollback(plugin).await),
        }
    }

    fn plugins(&self) -> Response<Vec<u8>> {
        let list = self.reloader.status().list();
        let text = serde_json::to_string_pretty(&list).expect("names, numbers and lists of names are JSON");
        let body = format!("{}\n", escape::json(&text));
        response(StatusCode::OK, "application/json", body.into())
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

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

fn health(draining: bool) -> Response<Vec<u8>> {
    match draining {
        false => response(StatusCode::OK, TEXT, "ok\n".into()),
        true => response(StatusCode::SERVICE_UNAVAILABLE, TEXT, "draining\n".into()),
    }
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
    fn path_matches_one_route_and_yields_its_plugin() {
        let found = |path: &str| {
            let plugins = ROUTES.iter().map(|route| (route.path, route.plugin_of(path)));
            let found = plugins.filter_map(|(route, plugin)| Some((route, plugin?.to_owned())));
            found.collect::<Vec<_>>()
        };
        for (path, route, plugin) in [
            ("/health", "/health", ""),
            ("/health/", "/health", ""),
            ("/plugins", "/plugins", ""),
            ("/plugins/limit/reload", "/plugins/NAME/reload", "limit"),
            ("/plugins/reload/rollback", "/plugins/NAME/rollback", "reload"),
            ("/plugins//reload", "/plugins/NAME/reload", ""),
        ] {
            assert_eq!(found(path), [(route, plugin.to_owned())], "{path}");
        }
        for path in [
            "/",
            "/healthy",
            "/plugins/limit",
            "/plugins/limit/reload/now",
            "/plugins/reload",
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
