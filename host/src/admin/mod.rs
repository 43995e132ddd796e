//! What the admin listener answers. It is never reachable through the public one.
//!
//! | request | answer |
//! |---|---|
//! | `GET /health` | 200 `ok`; 503 `draining` once the process is about to end |
//! | `GET /metrics` | Prometheus text |
//! | `GET /plugins` | JSON: every plugin with its file, hooks and imports |

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, Response, StatusCode};

use crate::snapshot::{Environment, Snapshot};
use crate::telemetry::METRICS_CONTENT_TYPE;

/// Answers one request.
pub fn answer(
    method: &Method,
    path: &str,
    environment: &Environment,
    snapshot: &Snapshot,
    draining: bool,
) -> Response<Vec<u8>> {
    let get: fn(&Environment, &Snapshot, bool) -> Response<Vec<u8>> = match path {
        "/health" => |_, _, draining| health(draining),
        "/metrics" => {
            |environment, _, _| response(StatusCode::OK, METRICS_CONTENT_TYPE, environment.metrics.render())
        }
        "/plugins" => |_, snapshot, _| plugins(snapshot),
        _ => {
            let known = "not found; there are /health, /metrics and /plugins\n";
            return response(StatusCode::NOT_FOUND, TEXT, known.into());
        }
    };
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut refused = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET\n".into());
        refused
            .headers_mut()
            .insert(ALLOW, http::HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    get(environment, snapshot, draining)
}

const TEXT: &str = "text/plain; charset=utf-8";

fn health(draining: bool) -> Response<Vec<u8>> {
    match draining {
        false => response(StatusCode::OK, TEXT, "ok\n".into()),
        true => response(StatusCode::SERVICE_UNAVAILABLE, TEXT, "draining\n".into()),
    }
}

fn plugins(snapshot: &Snapshot) -> Response<Vec<u8>> {
    let mut body = serde_json::to_vec_pretty(&snapshot.plugins).expect("names and lists of names are JSON");
    body.push(b'\n');
    response(StatusCode::OK, "application/json", body)
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
