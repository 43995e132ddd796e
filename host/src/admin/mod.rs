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
//! What changes something answers 200 with a sentence that says what changed, or 409 with one that says
//! why nothing did.

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, Method, Response, StatusCode};

use crate::escape::{self, Lines};
use crate::reload::{Outcome, Reloader};
use crate::snapshot::Environment;
use crate::telemetry::METRICS_CONTENT_TYPE;

/// What the answers are made of.
pub struct Admin {
    /// Metrics.
    pub environment: std::sync::Arc<Environment>,
    /// Plugins.
    pub reloader: Reloader,
}

impl Admin {
    /// Answers one request.
    pub async fn answer(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        draining: bool,
    ) -> Response<Vec<u8>> {
        // What machines ask for may be asked for by any name that this machine has.
        let for_machines = matches!(path, "/health" | "/metrics") && !headers.contains_key(ORIGIN);
        if !for_machines && !is_local(headers) {
            let why =
                "the admin API is not for web pages: no Origin, and a Host that is an address or localhost\n";
            return response(StatusCode::FORBIDDEN, TEXT, why.into());
        }
        let reads = matches!(*method, Method::GET | Method::HEAD);
        let writes = *method == Method::POST;
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        match segments[..] {
            ["health"] if reads => health(draining),
            ["metrics"] if reads => response(
                StatusCode::OK,
                METRICS_CONTENT_TYPE,
                self.environment.metrics.render(),
            ),
            ["plugins"] if reads => self.plugins(),
            ["reload"] if writes => outcome(self.reloader.reload_all().await),
            ["plugins", name, "reload"] if writes => outcome(self.reloader.reload(name).await),
            ["plugins", name, "rollback"] if writes => outcome(self.reloader.rollback(name).await),
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

/// A browser can be made to send requests to loopback by any page that it shows, but not without `Origin`
/// when they change something, nor without the page's own name in `Host`.
fn is_local(headers: &HeaderMap) -> bool {
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or("localhost");
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    !headers.contains_key(ORIGIN)
        && (name.eq_ignore_ascii_case("localhost") || address.parse::<std::net::IpAddr>().is_ok())
}

fn health(draining: bool) -> Response<Vec<u8>> {
    match draining {
        false => response(StatusCode::OK, TEXT, "ok\n".into()),
        true => response(StatusCode::SERVICE_UNAVAILABLE, TEXT, "draining\n".into()),
    }
}

fn outcome(outcome: Outcome) -> Response<Vec<u8>> {
    match outcome {
        Ok(sentence) => response(StatusCode::OK, TEXT, format!("{}\n", Lines(sentence)).into()),
        Err(sentence) => response(
            StatusCode::CONFLICT,
            TEXT,
            format!("{}\n", Lines(sentence)).into(),
        ),
    }
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

    fn headers(host: &'static str, origin: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, http::HeaderValue::from_static(host));
        if let Some(origin) = origin {
            headers.insert(ORIGIN, http::HeaderValue::from_static(origin));
        }
        headers
    }

    #[test]
    fn web_pages_are_kept_out() {
        for host in ["localhost:9090", "127.0.0.1:9090", "[::1]:9090", "10.0.0.1"] {
            assert!(is_local(&headers(host, None)), "{host}");
        }
        assert!(!is_local(&headers("rebound.example:9090", None)));
        assert!(!is_local(&headers(
            "localhost:9090",
            Some("https://page.example")
        )));
    }
}
