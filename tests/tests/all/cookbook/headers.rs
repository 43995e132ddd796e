//! Plugins that set headers for backends and browsers.

use std::collections::HashSet;

use pace_tests::{Answer, HttpBackend, Request, Response};

use super::{last_seen, refusal, start, start_behind_proxy};

const CORS: &str = "origins = [\"https://app.example\"]\nmethods = [\"PUT\"]\nheaders = [\"X-Token\"]\n\
                    expose = [\"X-Total\"]\ncredentials = true";

fn preflight(origin: &str) -> Request {
    Request::new("OPTIONS", "/")
        .header("Origin", origin)
        .header("Access-Control-Request-Method", "PUT")
}

#[test]
fn cors_answers_preflight_requests() {
    let backend = HttpBackend::named("in");
    let pace = start("cors", CORS, &[&backend]);
    let mut client = pace.client();
    let yes = client.send(&preflight("https://app.example"));
    assert_eq!((yes.status, yes.body.len()), (204, 0));
    let is = |name: &str, value: &str| assert_eq!(yes.headers.all(name), [value]);
    is("access-control-allow-origin", "https://app.example");
    is("access-control-allow-credentials", "true");
    is("access-control-allow-methods", "GET, HEAD, POST, PUT");
    is("access-control-allow-headers", "X-Token");
    is("access-control-max-age", "600");
    is(
        "vary",
        "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
    );

    for other in ["https://app.example.evil", "http://app.example", "null"] {
        let no = client.send(&preflight(other));
        assert_eq!(
            (no.status, no.header("access-control-allow-origin")),
            (403, None),
            "{other}"
        );
    }
    assert!(backend.requests().is_empty(), "backends are not asked");
    // An OPTIONS request that is no preflight goes to the backend.
    assert_eq!(client.send(&Request::new("OPTIONS", "/")).text(), "in");
}

#[test]
fn cors_replaces_headers_of_the_backends() {
    let backend = HttpBackend::new(|_| {
        Answer::new("in")
            .header("Access-Control-Allow-Origin", "*")
            .header("Vary", "Accept")
    });
    let pace = start("cors", CORS, &[&backend]);
    let ask = |origin: &str| pace.client().send(&Request::get("/").header("Origin", origin));
    let yes = ask("https://app.example");
    assert_eq!(
        yes.headers.all("access-control-allow-origin"),
        ["https://app.example"]
    );
    assert_eq!(yes.headers.all("access-control-expose-headers"), ["X-Total"]);
    assert_eq!(yes.headers.all("vary"), ["Accept", "Origin"]);
    for no in [ask("https://evil.example"), pace.get("/")] {
        assert_eq!(
            (no.text(), no.header("access-control-allow-origin")),
            ("in", None)
        );
        assert_eq!(
            no.headers.all("vary"),
            ["Accept", "Origin"],
            "a cache must not mix them up"
        );
    }
}

#[test]
fn cors_for_all_origins_needs_no_vary() {
    let backend = HttpBackend::named("in");
    let pace = start("cors", "origins = [\"*\"]", &[&backend]);
    let response = pace
        .client()
        .send(&Request::get("/").header("Origin", "https://any.example"));
    assert_eq!(response.headers.all("access-control-allow-origin"), ["*"]);
    assert_eq!(response.header("vary"), None);
    let message = refusal("cors", "origins = [\"*\"]\ncredentials = true");
    assert!(
        message.contains("credentials: `*` does not stand for all then"),
        "{message}"
    );
}

fn careless() -> HttpBackend {
    HttpBackend::new(|_| {
        Answer::new("in")
            .header("Server", "secret/1.0")
            .header("X-Frame-Options", "SAMEORIGIN")
            .header("X-Content-Type-Options", "sniff")
    })
}

#[test]
fn security_headers_are_set_where_backends_set_none() {
    let backend = careless();
    let pace = start(
        "security-headers",
        "csp = \"default-src 'self'\"\nopener = \"\"\nhsts = { max_age_days = 1 }",
        &[&backend],
    );
    let response = pace.get("/");
    let is = |name: &str, values: &[&str]| assert_eq!(response.headers.all(name), values, "{name}");
    is("content-security-policy", &["default-src 'self'"]);
    is("x-content-type-options", &["nosniff"]);
    is("x-frame-options", &["SAMEORIGIN"]);
    is("referrer-policy", &["strict-origin-when-cross-origin"]);
    is("cross-origin-opener-policy", &[]);
    is("server", &[]);
    is("strict-transport-security", &[]);
}

#[test]
fn security_headers_include_hsts_behind_tls() {
    let backend = careless();
    let hsts = "hsts = { max_age_days = 365, include_subdomains = true, behind_tls = true }";
    let pace = start("security-headers", hsts, &[&backend]);
    let response = pace.get("/");
    assert_eq!(
        response.header("strict-transport-security"),
        Some("max-age=31536000; includeSubDomains")
    );
    let message = refusal("security-headers", "hsts = { max_age_days = 1, preload = true }");
    assert!(
        message.contains("hsts.preload: needs include_subdomains"),
        "{message}"
    );
}

#[test]
fn request_id_is_shared_by_client_and_backend() {
    let backend = HttpBackend::named("in");
    let pace = start("request-id", "", &[&backend]);
    let mut ids = HashSet::new();
    for _ in 0..200 {
        let response = pace
            .client()
            .send(&Request::get("/").header("X-Request-Id", "forged"));
        let id = response.header("x-request-id").expect("each has one").to_owned();
        assert_eq!(last_seen(&backend).all("x-request-id"), [id.as_str()]);
        // xxxxxxxx-xxxx-7xxx-yxxx-xxxxxxxxxxxx, RFC 9562.
        assert_eq!((id.len(), id.as_bytes()[14]), (36, b'7'), "{id}");
        assert!(b"89ab".contains(&id.as_bytes()[19]), "{id}");
        assert!(ids.insert(id), "each is another");
    }
}

#[test]
fn request_id_of_a_trusted_proxy_is_kept() {
    let backend = HttpBackend::named("in");
    let pace = start("request-id", "trust = [\"127.0.0.1\"]", &[&backend]);
    let ask = |id: &str| pace.client().send(&Request::get("/").header("X-Request-Id", id));
    assert_eq!(
        ask("from-the-edge").headers.all("x-request-id"),
        ["from-the-edge"]
    );
    assert_ne!(
        ask("two words").headers.all("x-request-id"),
        ["two words"],
        "what could forge a log line"
    );
    let stranger = pace
        .client_from("127.0.0.2")
        .send(&Request::get("/").header("X-Request-Id", "mine"));
    assert_ne!(stranger.headers.all("x-request-id"), ["mine"]);
    assert!(refusal("request-id", "trust = [\"edge\"]").contains("trust[0]: `edge` is no network"));
}

#[test]
fn geo_header_names_the_clients_place() {
    let backend = HttpBackend::named("in");
    let config = "otherwise = \"ZZ\"\n[plugins.config.places]\nAT = [\"192.0.2.0/24\"]\n\
                  CH = [\"192.0.2.128/25\", \"2001:db8::/32\"]";
    let pace = start_behind_proxy("geo-header", config, &[&backend]);
    let mut proxy = pace.client();
    let mut told = |client: &str| {
        let request = Request::get("/")
            .header("X-Forwarded-For", client)
            .header("X-Geo-Country", "XX");
        let _: Response = proxy.send(&request);
        last_seen(&backend).all("x-geo-country").join(", ")
    };
    assert_eq!(
        [told("192.0.2.1"), told("192.0.2.200"), told("2001:db8::1")],
        ["AT", "CH", "CH"]
    );
    assert_eq!(told("198.51.100.1"), "ZZ");
    let message = refusal(
        "geo-header",
        "places = { AT = [\"10.0.0.0/8\"], CH = [\"10.0.0.0/8\"] }",
    );
    assert!(
        message.contains("places: 10.0.0.0/8 is in CH and in AT"),
        "{message}"
    );
}

#[test]
fn geo_header_of_the_client_is_dropped_for_an_unknown_place() {
    let backend = HttpBackend::named("in");
    let pace = start("geo-header", "places = { AT = [\"192.0.2.0/24\"] }", &[&backend]);
    pace.client()
        .send(&Request::get("/").header("X-Geo-Country", "AT"));
    assert_eq!(backend.request().headers.get("x-geo-country"), None);
}
