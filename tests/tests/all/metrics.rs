//! Metrics on the public listener.

use pace_tests::{HttpBackend, Pace, Request, wait_until};

use crate::sections::{SERVER, pool, short_form, urls};
use crate::swapping::reconfigure;

const REQUESTS: &str = "http_requests_duration_seconds_count";

#[test]
fn histogram_counts_every_request() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&short_form(&[&backend]));
    let mut client = pace.client();
    client.get("/");
    client.get("/");
    client.send(&Request::post("/", "body"));
    client.send(&Request::new("BREW", "/"));

    wait_until("four requests to be counted", || {
        let metrics = pace.metrics();
        metrics.sum(REQUESTS, &[("method", "other")]) == 1
    });
    let metrics = pace.metrics();
    let ok = |method| metrics.sum(REQUESTS, &[("method", method), ("status", "200")]);
    assert!(ok("GET") >= 2, "{metrics:?}");
    assert_eq!((ok("POST"), ok("other")), (1, 1), "a client cannot make series");
    let buckets = |le| {
        metrics.sum(
            "http_requests_duration_seconds_bucket",
            &[("method", "POST"), ("status", "200"), ("le", le)],
        )
    };
    assert_eq!(buckets("+Inf"), 1);
    assert!(metrics.has("http_requests_duration_seconds_sum", &[("method", "POST")]));
}

#[test]
fn metrics_have_the_prometheus_format() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&short_form(&[&backend]));
    pace.get("/");
    // Reading the metrics checks the format of every line.
    let metrics = pace.metrics();
    let foreign: Vec<_> = metrics
        .names()
        .filter(|name| {
            let ours = ["pace_", "process_", "http_requests_duration_seconds"];
            !ours.iter().any(|prefix| name.starts_with(prefix))
        })
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    assert!(metrics.has("pace_build_info", &[("contract", "pace:plugin@0.1.0")]));
    for (plugin, hook) in [
        ("rate-limiter", "request-filter"),
        ("round-robin", "select-upstream"),
        ("header-injection", "response-filter"),
    ] {
        let labels = [("plugin", plugin), ("hook", hook)];
        assert_eq!(metrics.sum("pace_plugin_calls_total", &labels), 1, "{plugin}");
        // The series exists from the start, so that a rate can be computed when the first failure comes.
        assert!(metrics.has("pace_plugin_failures_total", &labels), "{plugin}");
        assert_eq!(metrics.sum("pace_plugin_failures_total", &labels), 0, "{plugin}");
    }

    let response = pace.get("/metrics");
    assert_eq!(response.header("content-type"), Some("text/plain; version=0.0.4"));
    for line in [
        "# TYPE http_requests_duration_seconds histogram",
        "# TYPE pace_connections_open gauge",
        "# TYPE pace_plugin_failures_total counter",
    ] {
        assert!(response.text().contains(line), "{line}");
    }
    let head = pace.client().send(&Request::new("HEAD", "/metrics"));
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn metrics_requests_are_not_limited_and_reach_no_backend() {
    let backend = HttpBackend::named("one");
    let backends = urls(&[&backend]);
    let pace = Pace::with_config(&format!(
        "{SERVER}\n[upstreams]\nbackends = {backends}\n\n[rate_limit]\nmax_requests = 1\n\n[metrics]\n"
    ));
    let mut client = pace.client();
    for _ in 0..5 {
        assert_eq!(client.get("/metrics").status, 200);
        assert_eq!(client.get("/metrics?from=prometheus").status, 200);
    }
    assert!(backend.requests().is_empty());
    assert_eq!(client.get("/").status, 200, "they did not use up the limit");
    assert_eq!(
        client.get("/metrics/below").status,
        429,
        "another path is another"
    );
}

#[test]
fn metrics_path_can_be_changed_or_removed() {
    let backend = HttpBackend::named("one");
    let backends = urls(&[&backend]);
    let start = |metrics: &str| {
        Pace::with_config(&format!(
            "{SERVER}\n[upstreams]\nbackends = {backends}\n\n{metrics}\n"
        ))
    };
    let elsewhere = start("[metrics]\nendpoint = \"/-/stats\"");
    assert!(elsewhere.get("/-/stats").text().contains("pace_build_info"));
    assert_eq!(elsewhere.get("/metrics").text(), "one");
    let refused = elsewhere.client().send(&Request::post("/-/stats", "some"));
    assert_eq!(
        (refused.status, refused.header("allow")),
        (405, Some("GET, HEAD"))
    );

    for none in ["", "[metrics]\nenabled = false"] {
        assert_eq!(start(none).get("/metrics").text(), "one", "{none}");
    }
}

/// A configuration makes series while it is built, which is before it can be refused.
#[test]
fn series_of_pools_are_those_of_the_configuration_that_serves() {
    let backend = HttpBackend::named("one");
    let file = |name: &str, more: &str| {
        let pool = pool(name, &[&backend]);
        format!("{SERVER}\n{pool}max_in_flight = 9\n\n[[routes]]\npool = \"{name}\"\n{more}")
    };
    let pace = Pace::with_config(&file("web", ""));
    let pools = || {
        let metrics = pace.metrics();
        ["web", "next"].map(|name| {
            let pool = [("pool", name)];
            let series = [
                "pace_upstream_attempts_total",
                "pace_upstream_healthy",
                "pace_upstream_queued",
            ];
            series.map(|series| metrics.has(series, &pool))
        })
    };
    assert_eq!(pools(), [[true; 3], [false; 3]]);
    let plugin =
        "[[plugins]]\nname = \"limit\"\nwasm = \"builtin:rate-limiter\"\nconfig = { max_request = 1 }\n";
    let refused = reconfigure(&pace, |_| file("next", plugin));
    assert!(
        refused.0 == 409 && refused.1.contains("max_request"),
        "{refused:?}"
    );
    assert_eq!(pools(), [[true; 3], [false; 3]]);
    assert_eq!(reconfigure(&pace, |_| file("next", "")).0, 200);
    assert_eq!(pools(), [[false; 3], [true; 3]]);
}
