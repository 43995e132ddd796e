//! The admin listener.

use std::fs;

use pace_tests::{HttpBackend, Pace, Request, root};

use crate::sections::{SERVER, plain};

#[test]
fn known_paths_are_answered() {
    let backend = HttpBackend::named("one");
    let url = backend.url();
    let pace = Pace::with_config(&format!("{SERVER}\n[upstreams]\nbackends = [{url:?}]\n"));
    let mut admin = pace.admin();

    assert_eq!(admin.get("/health").text(), "ok\n");
    let metrics = admin.get("/metrics");
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4"));
    assert!(metrics.text().contains("pace_build_info"));

    let plugins = admin.get("/plugins");
    assert_eq!(plugins.header("content-type"), Some("application/json"));
    let plugins: serde_json::Value = serde_json::from_slice(&plugins.body).expect("it is JSON");
    let all = plugins.as_array().expect("it is a list");
    assert_eq!(all.len(), 3);
    let limiter = all
        .iter()
        .find(|plugin| plugin["name"] == "rate-limiter")
        .expect("it is one of the three");
    assert_eq!(limiter["file"], "builtin:rate-limiter");
    assert_eq!(limiter["contract"], "pace:plugin@0.1.0");
    assert_eq!(limiter["hooks"], serde_json::json!(["request-filter"]));

    let head = admin.send(&Request::new("HEAD", "/health"));
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn unknown_paths_and_methods_are_refused() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&plain(&[&backend]));
    let mut admin = pace.admin();

    assert_eq!(admin.get("/nothing").status, 404);
    assert_eq!(admin.get("/healthy").status, 404);
    let refused = admin.send(&Request::post("/health", ""));
    assert_eq!(
        (refused.status, refused.header("allow")),
        (405, Some("GET, HEAD"))
    );
    assert_eq!(admin.get("/health").status, 200);
    assert!(backend.requests().is_empty());
}

#[test]
fn admin_paths_are_not_on_the_public_listener() {
    let backend = HttpBackend::named("the backend");
    let pace = Pace::with_config(&plain(&[&backend]));
    let mut client = pace.client();
    for path in ["/health", "/metrics", "/plugins"] {
        assert_eq!(client.get(path).text(), "the backend", "{path}");
    }
    let host = Request::get("/plugins").header("Host", "127.0.0.1:9090");
    assert_eq!(client.send(&host).text(), "the backend");
}

/// An answer of 404 lists the paths, one of 405 the methods; the page has a row for each, and no other.
#[test]
fn documented_requests_are_those_that_there_are() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&plain(&[&backend]));
    let mut admin = pace.admin();
    let refused = admin.get("/nothing");
    assert_eq!(refused.status, 404);
    let paths = refused
        .text()
        .split_whitespace()
        .filter(|word| word.starts_with('/'));
    let mut listed: Vec<String> = paths
        .map(|path| {
            let path = path.trim_end_matches(',');
            let refused = admin.send(&Request::new("DELETE", path));
            let method = refused
                .header("allow")
                .and_then(|allowed| allowed.split(", ").next());
            format!("{} {path}", method.expect("it says what is allowed"))
        })
        .collect();
    let page = fs::read_to_string(root().join("docs/operations.md")).expect("the page is there");
    let (_, section) = page
        .split_once("\n## The admin listener\n")
        .expect("it has a section");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.filter_map(|row| Some(row.split_once("` |")?.0));
    let mut documented: Vec<&str> = rows.filter(|row| row.contains(" /")).collect();
    listed.sort();
    documented.sort_unstable();
    assert_eq!(listed, documented);
}

/// A page in a browser can send requests to loopback. They have `Origin`, or the page's name in `Host`.
#[test]
fn requests_of_web_pages_are_refused() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&plain(&[&backend]));
    let mut admin = pace.admin();
    for request in [Request::get("/plugins"), Request::post("/reload", "")] {
        assert_eq!(admin.send(&request).status, 200, "{request:?}");
        for (name, value) in [
            ("Origin", "https://page.example"),
            ("Origin", "null"),
            ("Host", "rebound.example"),
            ("Host", "rebound.example:9090"),
            ("Host", "127.0.0.1.rebound.example"),
        ] {
            let response = admin.send(&request.clone().header(name, value));
            assert_eq!(response.status, 403, "{name}: {value}");
            assert!(response.text().contains("not for web pages"), "{response:?}");
        }
        for host in [
            "localhost",
            "LOCALHOST:9090",
            "127.0.0.1:9090",
            "[::1]:9090",
            "10.0.0.1",
        ] {
            let response = admin.send(&request.clone().header("Host", host));
            assert_eq!(response.status, 200, "{host}");
        }
    }
}

#[test]
fn changes_need_a_post() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&plain(&[&backend]));
    let mut admin = pace.admin();
    for path in ["/reload", "/plugins/limit/reload", "/plugins/limit/rollback"] {
        let refused = admin.get(path);
        assert_eq!(
            (refused.status, refused.header("allow")),
            (405, Some("POST")),
            "{path}"
        );
    }
    for path in ["/plugins/nobody/reload", "/plugins/nobody/rollback"] {
        let refused = admin.send(&Request::post(path, ""));
        assert_eq!(refused.status, 404, "{path}");
        assert!(
            refused.text().contains("there is no plugin `nobody`"),
            "{refused:?}"
        );
    }
    let nothing = admin.send(&Request::post("/reload", ""));
    assert_eq!((nothing.status, nothing.text()), (200, "nothing has changed\n"));
}

#[test]
fn incomplete_request_changes_nothing() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&plain(&[&backend]));
    let reloads = || pace.metrics().sum("pace_config_reloads_total", &[]);
    let before = reloads();
    let mut client = pace.admin();
    client.write("POST /reload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    assert_eq!(client.read("POST").expect("there is an answer").status, 400);
    let mut client = pace.admin();
    client.write("POST /plugins/limit/rollback HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab");
    client.finish();
    assert_eq!(client.read_to_end(), b"");
    assert_eq!(reloads(), before);
}
