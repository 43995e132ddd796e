//! Routes that answer by themselves: `redirect` and `respond`.

use pace_tests::{Http2, HttpBackend, Pace, Request, fixture};

use super::routed;
use crate::sections::{SERVER, plugin, pool};

#[test]
fn redirect_leads_to_the_url_with_its_placeholders_filled_in() {
    let pace = Pace::with_config(&format!(
        "{SERVER}
         [[routes]]
         redirect = {{ to = 'https://www.example.com{{path}}', status = 308 }}
         [[routes]]
         match = {{ path_prefix = '/old' }}
         rewrite = {{ strip_prefix = '/old', add_prefix = '/new' }}
         redirect = {{ to = '{{scheme}}://{{host}}:8443{{path}}?' }}
         [[routes]]
         match = {{ path_prefix = '/login' }}
         redirect = {{ to = '/sign-in?back={{path}}&{{query}}', status = 302 }}"
    ));
    let mut client = pace.client();
    let mut ask = |request: &Request| {
        let response = client.send(request);
        assert_eq!(response.text(), "");
        (
            response.status,
            response.header("location").unwrap_or_default().to_owned(),
        )
    };
    for (target, status, location) in [
        ("/a//b/?c=d", 308, "https://www.example.com/a/b/?c=d"),
        ("/", 308, "https://www.example.com/"),
        ("/old/a?c=d", 307, "http://a.test:8443/new/a"),
        ("/login/x?c=d", 302, "/sign-in?back=/login/x&c=d"),
    ] {
        let request = Request::get(target).header("Host", "a.test:80");
        assert_eq!(ask(&request), (status, location.to_owned()), "{target}");
    }
    assert_eq!(ask(&Request::post("/x", "a body")).0, 308);
    assert_eq!(client.connections(), 1);
    let mut client = Http2::connect(pace.address());
    assert_eq!(
        client.get("/x?y").header("location"),
        Some("https://www.example.com/x?y")
    );

    // The URL has the host, and an old client may name none.
    let mut client = pace.client();
    let response = client.exchange("GET /old HTTP/1.0\r\n\r\n");
    assert_eq!(
        (response.status, response.text()),
        (400, "bad request: Host is missing\n")
    );
}

#[test]
fn path_that_a_plugin_has_edited_leads_to_no_other_host() {
    let pace = Pace::with_config(&format!(
        "{SERVER}\n{}
         [[routes]]
         redirect = {{ to = '{{path}}' }}
         plugins = ['editor']",
        plugin("editor", &fixture("path-editor")),
    ));
    let mut client = pace.client();
    for (edited, location) in [
        ("//evil.test/x", "/evil.test/x"),
        ("///evil.test", "/evil.test"),
        ("/a/../b?c=d", "/b?c=d"),
        ("/%65vil", "/evil"),
    ] {
        let response = client.send(&Request::get("/").header("x-path", edited));
        assert_eq!(response.header("location"), Some(location), "{edited}");
    }
    let response = client.send(&Request::get("/").header("x-path", "/\\evil.test"));
    assert_eq!((response.status, response.header("location")), (400, None));
}

#[test]
fn response_has_status_and_body() {
    let pace = Pace::with_config(&format!(
        "{SERVER}
         [[routes]]
         respond = {{ body = \"ok\\n\" }}
         [[routes]]
         match = {{ path_prefix = '/gone' }}
         respond = {{ status = 410 }}
         [[routes]]
         match = {{ path_prefix = '/nothing' }}
         respond = {{ status = 204 }}"
    ));
    let mut client = pace.client();
    let response = client.get("/x");
    assert_eq!((response.status, response.text()), (200, "ok\n"));
    assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
    let response = client.get("/gone");
    assert_eq!(
        (response.status, response.text(), response.header("content-type")),
        (410, "", None)
    );
    assert_eq!(client.get("/nothing").status, 204);
    let response = client.send(&Request::new("HEAD", "/x"));
    assert_eq!(
        (response.status, response.header("content-length")),
        (200, Some("3"))
    );
    assert_eq!(client.send(&Request::post("/x", "a body")).text(), "ok\n");
    assert_eq!(client.connections(), 1);
    let mut client = Http2::connect(pace.address());
    assert_eq!(client.get("/x").text(), "ok\n");
    assert_eq!(pace.metrics().sum("pace_upstream_attempts_total", &[]), 0);
}

/// The time of a call holds on every route, and the answer is in the words of gRPC.
#[test]
fn call_of_grpc_gets_the_answer_in_its_words() {
    let pace = Pace::with_config(&format!(
        "{SERVER}[[routes]]\nrespond = {{ status = 503, body = 'later' }}"
    ));
    let call = Request::post("/service/method", "a message")
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "10S");
    let response = Http2::connect(pace.address()).send(&call);
    assert_eq!(
        (response.status, response.header("grpc-status")),
        (200, Some("14"))
    );
    assert_eq!(response.header("grpc-message"), Some("later"));
}

/// Plugins guard these routes, and see their answers, as those of all others.
#[test]
fn plugins_come_before_the_answer_and_see_it() {
    let pace = Pace::with_config(&format!(
        "{SERVER}
         [[plugins]]
         name = 'limit'
         wasm = 'builtin:rate-limiter'
         config = {{ max_requests = 2 }}
         [[plugins]]
         name = 'headers'
         wasm = 'builtin:header-injection'
         config = {{ response = {{ set = {{ strict-transport-security = 'max-age=31536000' }} }} }}
         [[routes]]
         respond = {{ body = 'ok' }}
         plugins = ['limit', 'headers']
         [[routes]]
         match = {{ path_prefix = '/old' }}
         redirect = {{ to = '/new' }}
         plugins = ['limit', 'headers']"
    ));
    let mut client = pace.client();
    for (path, status) in [("/", 200), ("/old", 307), ("/", 429)] {
        let response = client.get(path);
        assert_eq!(response.status, status, "{path}");
        assert_eq!(
            response.header("strict-transport-security"),
            Some("max-age=31536000"),
            "{path}"
        );
    }
}

#[test]
fn routes_with_and_without_pools_serve_side_by_side() {
    let backend = HttpBackend::named("one");
    let pace = routed(
        &[("web", &backend)],
        &[
            "pool = 'web'",
            "match = { path = '/healthz' }\nrespond = { body = 'ok' }",
        ],
    );
    assert_eq!((pace.get("/").text(), pace.get("/healthz").text()), ("one", "ok"));
    assert_eq!(backend.request().target, "/");
    // A reload turns one into the other.
    let text = format!(
        "{SERVER}{}[[routes]]\nredirect = {{ to = '/elsewhere' }}\n",
        pool("web", &[&backend])
    );
    let (status, _) = crate::swapping::reconfigure(&pace, |_| text);
    assert_eq!(status, 200);
    assert_eq!(pace.get("/").header("location"), Some("/elsewhere"));
}
