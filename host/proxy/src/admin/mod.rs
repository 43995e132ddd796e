//! What the admin listener answers. It is never reachable through the public one.
//!
//! | request | answer |
//! |---|---|
//! | `GET /health` | 200 `ok`; 503 `draining` once the process is about to end |
//! | `GET /metrics` | Prometheus text |
//! | `GET /plugins` | JSON: every plugin with its generation, and how it fares |
//! | `POST /plugins/NAME/reload` | reads the plugin's file again |
//! | `POST /plugins/NAME/rollback` | returns to the generation before |
//! | `POST /reload` | reads the configuration and every plugin again |
//!
//! What changes something answers 200 with a sentence that says what changed; 409 with one that says why nothing did; or
//! 404 where there is no such plugin.

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, Response, StatusCode};
use pace_wire::authority;
use pace_wire::refusal::Refusal;
use pace_wire::request::RequestHead;

use crate::reload::{Outcome, Outcomes, Refused, Reloader};
use crate::snapshot::Environment;
use crate::telemetry::METRICS_CONTENT_TYPE;
use pace_base::escape::{self, Lines};

/// What the answers are made of.
pub struct Admin {
    /// Metrics.
    pub environment: std::sync::Arc<Environment>,
    /// Plugins.
    pub reloader: Reloader,
}

impl Admin {
    /// Answers one request.
    pub async fn answer(&self, request: &RequestHead, draining: bool) -> Response<Vec<u8>> {
        let path = request.target.path();
        let has_origin = request.fields.get("origin").is_some();
        // What machines ask for may be asked for by any name that this machine has.
        let for_machines = matches!(path, "/health" | "/metrics") && !has_origin;
        if !for_machines && (has_origin || !is_local(request.authority())) {
            let why =
                "the admin API is not for web pages: no Origin, and a Host that is an address or localhost\n";
            return response(StatusCode::FORBIDDEN, TEXT, why.into());
        }
        let reads = matches!(request.method, Method::GET | Method::HEAD);
        let writes = request.method == Method::POST;
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        match segments[..] {
            ["health"] if reads => health(draining),
            ["metrics"] if reads => response(
                StatusCode::OK,
                METRICS_CONTENT_TYPE,
                self.environment.metrics.render(),
            ),
            ["plugins"] if reads => self.plugins(),
            ["reload"] if writes => outcomes(&self.reloader.reload_all().await),
            ["plugins", name, "reload"] if writes => outcome(&self.reloader.reload(name).await),
            ["plugins", name, "rollback"] if writes => outcome(&self.reloader.rollback(name).await),
            ["health" | "metrics" | "plugins"] => not_allowed("GET, HEAD"),
            ["reload"] | ["plugins", _, "reload" | "rollback"] => not_allowed("POST"),
            _ => {
                let known = "not found; there are /health, /metrics, /plugins, /reload, /plugins/NAME/reload and \
                             /plugins/NAME/rollback\n";
                response(StatusCode::NOT_FOUND, TEXT, known.into())
            }
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

/// The answer to a request that is none.
pub fn refused(refusal: Refusal) -> Response<Vec<u8>> {
    let status = StatusCode::from_u16(refusal.status()).expect("a refusal has a status of HTTP");
    response(status, TEXT, refusal.text().into())
}

/// A browser can be made to send requests to loopback by any page that it shows, but not without `Origin`
/// when they change something, nor without the page's own name in `Host`.
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

fn outcome(outcome: &Outcome) -> Response<Vec<u8>> {
    let status = match outcome {
        Outcome::Refused(Refused::UnknownPlugin(_)) => StatusCode::NOT_FOUND,
        Outcome::Refused(_) => StatusCode::CONFLICT,
        _ => StatusCode::OK,
    };
    response(status, TEXT, format!("{}\n", Lines(outcome)).into())
}

fn outcomes(outcomes: &Outcomes) -> Response<Vec<u8>> {
    let status = match outcomes.is_refused() {
        true => StatusCode::CONFLICT,
        false => StatusCode::OK,
    };
    response(status, TEXT, format!("{}\n", Lines(outcomes)).into())
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
    fn names_of_web_pages_are_not_local() {
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
