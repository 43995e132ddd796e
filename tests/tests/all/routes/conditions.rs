//! The conditions of routes, and their order.

use pace_tests::{Http2, HttpBackend, Request};

use super::routed;

const NAMES: [&str; 8] = ["any", "below", "path", "regex", "post", "header", "query", "both"];

#[test]
fn condition_of_each_kind_decides_about_the_route() {
    let backends = NAMES.map(HttpBackend::named);
    let named: Vec<_> = NAMES.into_iter().zip(&backends).collect();
    let pace = routed(
        &named,
        &[
            "pool = 'any'",
            "pool = 'below'\nmatch = { host = '*.example.com' }",
            "pool = 'path'\nname = 'path'\nmatch = { path = '/a' }",
            "pool = 'regex'\nname = 'regex'\nmatch = { path_regex = '^/u/[0-9]+$' }",
            "pool = 'post'\nname = 'post'\nmatch = { path_prefix = '/a', methods = ['POST'] }",
            "pool = 'header'\nname = 'header'\nmatch = { path_prefix = '/a', headers = { X-Canary = 'yes' } }",
            "pool = 'query'\nname = 'query'\nmatch = { path_prefix = '/a', query = { q = 'a b' } }",
            "pool = 'both'\nname = 'both'\nmatch = { path_prefix = '/a', headers = { x-canary = 'yes' }, query = { q = 'a b' } }",
        ],
    );
    let mut client = pace.client();
    for (request, name) in [
        (Request::get("/"), "any"),
        (Request::get("/a"), "path"),
        (Request::get("/a;v=1"), "path"),
        (Request::get("/a/"), "any"),
        (Request::get("/u/7"), "regex"),
        (Request::get("/u/7/x"), "any"),
        (Request::get("/u/%37"), "regex"),
        (Request::post("/a/b", "x"), "post"),
        (Request::get("/a/b").header("x-canary", "yes"), "header"),
        (
            Request::get("/a/b")
                .header("x-canary", "no")
                .header("X-CANARY", "yes"),
            "header",
        ),
        (Request::get("/a/b").header("x-canary", "yes, no"), "any"),
        (Request::get("/a/b?x=1&q=a+b"), "query"),
        (Request::get("/a/b?%71=a%20b"), "query"),
        (Request::get("/a/b?q=a%2Bb"), "any"),
        (Request::get("/a/b?q=a+b").header("x-canary", "yes"), "both"),
        (
            Request::get("/a/b").header("Host", "www.example.com:8080"),
            "below",
        ),
        (Request::get("/a/b").header("Host", "a.b.EXAMPLE.com"), "below"),
        (Request::get("/a/b").header("Host", "example.com"), "any"),
        (Request::get("/a/b").header("Host", "wwwexample.com"), "any"),
    ] {
        assert_eq!(client.send(&request).text(), name, "{request:?}");
    }
    // The same over HTTP/2, whose method, path and host are pseudo-header fields.
    let mut client = Http2::connect(pace.address());
    for (request, name) in [
        (Request::get("/u/7"), "regex"),
        (Request::post("/a/b", "x"), "post"),
        (Request::get("/a/b?q=a+b").header("x-canary", "yes"), "both"),
    ] {
        assert_eq!(client.send(&request).text(), name, "{request:?}");
    }
}

#[test]
fn get_has_head_with_it() {
    let (get, any) = (HttpBackend::named("get"), HttpBackend::named("any"));
    let pace = routed(
        &[("get", &get), ("any", &any)],
        &[
            "pool = 'get'\nname = 'get'\nmatch = { methods = ['GET'] }",
            "pool = 'any'",
        ],
    );
    let mut client = pace.client();
    assert_eq!(client.send(&Request::new("HEAD", "/")).status, 200);
    assert_eq!(client.send(&Request::new("OPTIONS", "/")).text(), "any");
    assert_eq!((get.requests().len(), any.requests().len()), (1, 1));
}

#[test]
fn request_that_differs_in_its_method_alone_is_a_405_with_the_methods() {
    let backend = HttpBackend::named("one");
    let pace = routed(
        &[("web", &backend)],
        &[
            "pool = 'web'\nmatch = { path_prefix = '/a', methods = ['GET', 'POST'] }",
            "pool = 'web'\nname = 'put'\nmatch = { path_prefix = '/a', methods = ['PUT'], headers = { x-a = 'b' } }",
        ],
    );
    let mut client = pace.client();
    let mut ask = |request: &Request| {
        let response = client.send(request);
        (response.status, response.header("allow").map(str::to_owned))
    };
    let allow = |methods: &str| (405, Some(methods.to_owned()));
    assert_eq!(ask(&Request::new("DELETE", "/a/b")), allow("GET, HEAD, POST"));
    let with_field = Request::new("DELETE", "/a").header("X-A", "b");
    assert_eq!(ask(&with_field), allow("GET, HEAD, POST, PUT"));
    assert_eq!(ask(&Request::new("DELETE", "/b")), (404, None));
    assert_eq!(ask(&Request::get("/a")).0, 200);
    assert_eq!(client.connections(), 1, "it goes on behind the answers");
    let mut client = Http2::connect(pace.address());
    let response = client.send(&Request::new("DELETE", "/a"));
    assert_eq!(
        (response.status, response.header("allow")),
        (405, Some("GET, HEAD, POST"))
    );
}

/// A route with a guard is for every spelling that a server takes for its path.
#[test]
fn no_spelling_leads_round_a_path_or_an_expression() {
    let (open, guarded) = (HttpBackend::named("open"), HttpBackend::named("guarded"));
    let pace = routed(
        &[("open", &open), ("guarded", &guarded)],
        &[
            "pool = 'open'",
            "pool = 'guarded'\nmatch = { path = '/admin' }",
            "pool = 'guarded'\nname = 'users'\nmatch = { path_regex = '^/users/[a-z]+$' }",
        ],
    );
    let mut client = pace.client();
    for path in [
        "/admin",
        "//admin",
        "/%61dmin",
        "/x/../admin",
        "/./admin",
        "/admin;x",
        "/admin;x=1;y",
        "/users/ann",
        "//users//ann",
        "/users/%61nn",
        "/users;x/ann",
        "/users/ann;x=1",
        "/x/%2e%2e/users/ann",
    ] {
        assert_eq!(client.get(path).text(), "guarded", "{path}");
    }
}
