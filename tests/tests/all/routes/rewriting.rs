//! `rewrite`: the backend gets another path and host than the client has asked for.

use pace_tests::{Http2, Http2Backend, HttpBackend, Pace, Request, fixture};

use super::routed;
use crate::sections::{SERVER, plugin, pool};

#[test]
fn backend_gets_the_rewritten_path_and_host() {
    let backend = HttpBackend::named("one");
    let pace = routed(
        &[("web", &backend)],
        &[
            "pool = 'web'\nmatch = { path_prefix = '/v1' }\nrewrite = { strip_prefix = '/v1', add_prefix = '/api', host = 'api.internal:81' }",
            "pool = 'web'\nmatch = { path_prefix = '/bare' }\nrewrite = { strip_prefix = '/bare' }",
            "pool = 'web'\nrewrite = { add_prefix = '/site' }",
        ],
    );
    let mut client = pace.client();
    for (target, sent, prefix) in [
        ("/v1/users?a=/v1", "/api/users?a=/v1", Some("/v1")),
        ("/v1", "/api", Some("/v1")),
        ("/v1/", "/api/", Some("/v1")),
        ("/v1//x/../users", "/api/users", Some("/v1")),
        ("/v1;a=b/users", "/api/users", Some("/v1")),
        ("/bare/x", "/x", Some("/bare")),
        ("/bare", "/", Some("/bare")),
        ("/v10?", "/site/v10?", None),
    ] {
        let request = Request::get(target)
            .header("Host", "a.test")
            .header("X-Forwarded-Prefix", "/claimed");
        assert_eq!(client.send(&request).status, 200);
        let seen = backend.requests().pop().expect("it has just come");
        assert_eq!(seen.target, sent, "{target}");
        let is_v1 = target.starts_with("/v1") && prefix.is_some();
        let host = if is_v1 { "api.internal:81" } else { "a.test" };
        assert_eq!(seen.headers.all("host"), [host], "{target}");
        assert_eq!(seen.headers.all("x-forwarded-host"), ["a.test"], "{target}");
        assert_eq!(seen.headers.get("x-forwarded-prefix"), prefix, "{target}");
    }
    let mut client = Http2::connect(pace.address());
    assert_eq!(client.get("/v1/x").status, 200);
    assert_eq!(
        backend.requests().pop().expect("it has just come").target,
        "/api/x"
    );
    // The whole server has no path.
    assert_eq!(pace.client().send(&Request::new("OPTIONS", "*")).status, 200);
    assert_eq!(backend.requests().pop().expect("it has just come").target, "*");
}

#[test]
fn backend_of_http_2_gets_the_rewritten_path_and_authority() {
    let backend = Http2Backend::named("one");
    let label = backend.label();
    let pace = Pace::with_config(&format!(
        "{SERVER}[[pools]]\nname = 'web'\nbackends = ['{label}']\nprotocol = 'h2'\n[[routes]]\npool = 'web'\n\
         rewrite = {{ strip_prefix = '/v1', add_prefix = '/api', host = 'api.internal' }}\n"
    ));
    let request = Request::get("/v1/users?a=b").header("Host", "a.test");
    assert_eq!(pace.client().send(&request).text(), "one");
    let seen = backend.request();
    assert_eq!(
        (seen.request.target.as_str(), seen.authority.as_str()),
        ("/api/users?a=b", "api.internal")
    );
    assert_eq!(seen.request.headers.all("x-forwarded-host"), ["a.test"]);
    assert_eq!(seen.request.headers.all("x-forwarded-prefix"), ["/v1"]);
}

#[test]
fn prefix_of_a_trusted_peer_comes_before_the_stripped_one() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&format!(
        "[server]\nlisten = '127.0.0.1:0'\ntrusted_proxies = ['127.0.0.1']\n{}[[routes]]\npool = 'web'\n\
         rewrite = {{ strip_prefix = '/v1' }}\n",
        pool("web", &[&backend])
    ));
    let request = Request::get("/v1/x").header("X-Forwarded-Prefix", "/outer");
    assert_eq!(pace.client().send(&request).status, 200);
    let seen = backend.request();
    assert_eq!(
        (seen.target.as_str(), seen.headers.all("x-forwarded-prefix")),
        ("/x", vec!["/outer/v1"])
    );
}

/// A plugin decides about the path that the client has asked for. If it makes another of it, that is rewritten, too.
#[test]
fn plugins_see_the_clients_path_and_cannot_leave_the_added_prefix() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&format!(
        "{SERVER}{}{}[[routes]]\npool = 'web'\nplugins = ['editor']\n\
         rewrite = {{ strip_prefix = '/v1', add_prefix = '/inner' }}\n",
        plugin("editor", &fixture("path-editor")),
        pool("web", &[&backend])
    ));
    let mut client = pace.client();
    for (edited, seen, sent) in [
        (None, "/v1/x /v1/x", "/inner/x"),
        (Some("/v1/y?z"), "/v1/x /v1/y", "/inner/y?z"),
        (Some("/v1/../../admin"), "/v1/x /v1/../../admin", "/inner/admin"),
        (
            Some("/v1/%2e%2e/%2E%2e/admin"),
            "/v1/x /v1/%2e%2e/%2E%2e/admin",
            "/inner/admin",
        ),
        (Some("//admin"), "/v1/x //admin", "/inner/admin"),
    ] {
        let request = Request::get("/v1/x");
        let request = match edited {
            Some(path) => request.header("X-Path", path),
            None => request,
        };
        let response = client.send(&request);
        assert_eq!(response.header("x-seen-paths"), Some(seen), "{edited:?}");
        assert_eq!(
            backend.requests().pop().expect("it has just come").target,
            sent,
            "{edited:?}"
        );
    }
    let before = backend.requests().len();
    for path in ["/v1/..;x/admin", "/v1/%zz", "/v1/..%2fadmin"] {
        let request = Request::get("/v1/x").header("X-Path", path);
        assert_eq!(client.send(&request).status, 400, "{path}");
    }
    assert_eq!(backend.requests().len(), before);
}

/// `Location` of a response is the backend's own business.
#[test]
fn response_is_not_rewritten() {
    let backend = HttpBackend::new(|_| pace_tests::Answer::status(302).header("Location", "/api/next"));
    let pace = routed(
        &[("web", &backend)],
        &["pool = 'web'\nrewrite = { strip_prefix = '/v1', add_prefix = '/api' }"],
    );
    assert_eq!(pace.get("/v1/x").header("location"), Some("/api/next"));
}

#[test]
fn every_attempt_gets_the_rewritten_request() {
    let (down, up) = (HttpBackend::down(), HttpBackend::named("up"));
    let pace = Pace::with_config(&format!(
        "{SERVER}{}[[routes]]\npool = 'web'\nrewrite = {{ strip_prefix = '/v1', add_prefix = '/api', host = 'x.test' }}\n",
        pool("web", &[&down, &up])
    ));
    let mut client = pace.client();
    for _ in 0..2 {
        assert_eq!(client.get("/v1/x").text(), "up");
    }
    let seen = backend_targets(&up);
    assert_eq!(
        seen,
        [
            ("/api/x".to_owned(), "x.test".to_owned()),
            ("/api/x".to_owned(), "x.test".to_owned())
        ]
    );
}

fn backend_targets(backend: &HttpBackend) -> Vec<(String, String)> {
    let requests = backend.requests().into_iter();
    requests
        .map(|request| {
            let host = request.headers.get("host").unwrap_or_default().to_owned();
            (request.target, host)
        })
        .collect()
}
