//! The shortest configuration is a complete proxy, and the full form that it stands for is the same proxy.

use pace_tests::{HttpBackend, Pace, Request, wait_until};

use crate::sections::{short_form, urls};

/// The short form, written out.
fn full_form(backends: &[&HttpBackend]) -> String {
    let backends = urls(backends);
    format!(
        r#"
[server]
listen = "127.0.0.1:0"
workers = 4

[metrics]

[[plugins]]
name = "limit"
wasm = "builtin:rate-limiter"
config = {{ max_requests = 100, window_seconds = 60, key = "client_ip" }}

[[plugins]]
name = "balance"
wasm = "builtin:round-robin"

[[plugins]]
name = "headers"
wasm = "builtin:header-injection"

[[pools]]
name = "web"
backends = {backends}

[[routes]]
pool = "web"
plugins = ["limit", "balance", "headers"]
"#
    )
}

#[test]
fn short_form_is_a_complete_proxy() {
    is_a_complete_proxy(short_form);
}

#[test]
fn full_form_is_the_same_proxy() {
    is_a_complete_proxy(full_form);
}

fn is_a_complete_proxy(config: fn(&[&HttpBackend]) -> String) {
    let (one, two) = (HttpBackend::named("one"), HttpBackend::named("two"));
    let pace = Pace::with_config(&config(&[&one, &two]));
    let mut client = pace.client();

    // The backends take turns strictly, and 100 requests pass.
    for turn in 0..100 {
        let (name, backend) = [("one", &one), ("two", &two)][turn % 2];
        let response = client.get("/");
        assert_eq!((response.status, response.text()), (200, name), "request {turn}");
        assert_eq!(response.header("x-proxy"), Some("pace"));
        assert_eq!(response.header("x-backend"), Some(backend.label().as_str()));
    }
    assert_eq!((one.requests().len(), two.requests().len()), (50, 50));

    // The 101st request does not pass.
    let denied = client.get("/");
    assert_eq!(denied.status, 429);
    let retry_after: u64 = denied
        .header("retry-after")
        .and_then(|seconds| seconds.parse().ok())
        .expect("whole seconds");
    // The window has steps of a 1024th of its length, and an event may stay for one more.
    assert!((1..=61).contains(&retry_after), "Retry-After: {retry_after}");
    assert_eq!(denied.header("ratelimit-limit"), Some("100"));
    assert_eq!(denied.header("ratelimit-remaining"), Some("0"));
    assert_eq!(
        denied.header("ratelimit-reset"),
        Some(retry_after.to_string().as_str())
    );

    // Another client is not affected.
    assert_eq!(pace.client_from("127.0.0.2").get("/").status, 200);

    // Metrics requests are neither limited nor proxied. A request may be counted after its client has the
    // response.
    let count = "http_requests_duration_seconds_count";
    wait_until("every request to be counted", || {
        let metrics = pace.metrics();
        let requests = |status| metrics.sum(count, &[("method", "GET"), ("status", status)]);
        requests("200") >= 101 && requests("429") == 1
    });
    let seen = one.requests().into_iter().chain(two.requests());
    assert_eq!(seen.filter(|request| request.target != "/").count(), 0);
}

/// Proxies and people compare names without regard to case; scripts with `grep` do not.
#[test]
fn header_names_are_spelled_as_documented() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&short_form(&[&backend]));

    let response = pace.get("/");
    let names = response.headers.names();
    assert!(
        names.contains(&"X-Proxy") && names.contains(&"X-Backend"),
        "{names:?}"
    );
    let request = backend.request();
    assert!(request.headers.names().contains(&"X-Proxy"), "{request:?}");
    assert_eq!(request.headers.get("x-proxy"), Some("pace"));
    assert_eq!(request.headers.get("x-backend"), None, "that is for clients");
}

#[test]
fn clients_x_proxy_and_x_backend_are_replaced() {
    let backend = HttpBackend::new(|_| pace_tests::Answer::new("").header("x-backend", "made up"));
    let pace = Pace::with_config(&short_form(&[&backend]));

    let response = pace
        .client()
        .send(&Request::get("/").header("x-proxy", "made up"));
    assert_eq!(response.headers.all("x-backend"), [backend.label()]);
    assert_eq!(backend.request().headers.all("x-proxy"), ["pace"]);
}
