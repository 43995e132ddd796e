//! The admin listener.

use pace_tests::{Origin, Pace, Request};

use crate::sections::{SERVER, plain};

#[test]
fn it_answers_what_it_knows() {
    let origin = Origin::named("one");
    let url = origin.url();
    let pace = Pace::with_config(&format!("{SERVER}\n[upstreams]\nbackends = [{url:?}]\n"));
    let mut admin = pace.admin();

    assert_eq!(admin.get("/health").text(), "ok\n");
    let metrics = admin.get("/metrics");
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4"));
    assert!(metrics.text().contains("pace_build_info"));

    let plugins = admin.get("/plugins");
    assert_eq!(plugins.header("content-type"), Some("application/json"));
    let plugins: serde_json::Value = serde_json::from_slice(&plugins.body).expect("it is JSON");
    let limiter = &plugins[0];
    assert_eq!(limiter["name"], "rate-limiter");
    assert_eq!(limiter["file"], "builtin:rate-limiter");
    assert_eq!(limiter["contract"], "pace:plugin@0.1.0");
    assert_eq!(limiter["hooks"], serde_json::json!(["request-filter"]));
    assert_eq!(plugins.as_array().map(Vec::len), Some(3));

    let head = admin.send(&Request::new("HEAD", "/health"));
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn it_refuses_what_it_does_not_know() {
    let origin = Origin::named("one");
    let pace = Pace::with_config(&plain(&[&origin]));
    let mut admin = pace.admin();

    assert_eq!(admin.get("/").status, 404);
    assert_eq!(admin.get("/health/").status, 404);
    let refused = admin.send(&Request::post("/health", ""));
    assert_eq!(
        (refused.status, refused.header("allow")),
        (405, Some("GET, HEAD"))
    );
    assert_eq!(admin.get("/health").status, 200);
    assert!(origin.requests().is_empty());
}

#[test]
fn it_cannot_be_reached_through_the_public_listener() {
    let origin = Origin::named("the backend");
    let pace = Pace::with_config(&plain(&[&origin]));
    let mut client = pace.client();
    for path in ["/health", "/metrics", "/plugins"] {
        assert_eq!(client.get(path).text(), "the backend", "{path}");
    }
    let host = Request::get("/plugins").header("Host", "127.0.0.1:9090");
    assert_eq!(client.send(&host).text(), "the backend");
}
