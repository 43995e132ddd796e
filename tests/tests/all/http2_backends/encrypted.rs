//! The protocol that is agreed upon with encrypted backends.

use pace_tests::{
    Answer, Authority, BackendTls, Call, Certificate, Http2, Http2Backend, Http2Options, HttpBackend, Pace,
    Request, Setup,
};

use super::config;

/// An authority, and what it has issued to backends.
struct World {
    authority: Authority,
    certificate: Certificate,
}

fn world() -> World {
    let authority = Authority::new("backends");
    let certificate = authority.issue(&["127.0.0.1", "localhost"]);
    World {
        authority,
        certificate,
    }
}

impl World {
    fn tls(&self, protocols: &[&str]) -> BackendTls {
        BackendTls::new(&self.certificate, protocols)
    }

    fn http2(
        &self,
        protocols: &[&str],
        handle: impl Fn(&mut Call) -> Result<(), pace_tests::Http2Error> + Send + Sync + 'static,
    ) -> Http2Backend {
        let options = Http2Options {
            tls: Some(self.tls(protocols)),
            ..Http2Options::default()
        };
        Http2Backend::with(options, handle)
    }

    fn pace(&self, backends: &[String], pool: &str) -> Pace {
        self.setup(backends, pool).start()
    }

    fn setup(&self, backends: &[String], pool: &str) -> Setup {
        let pool = format!("tls = {{ ca = \"ca.pem\" }}\n{pool}");
        let setup = Setup::new().config(&config(backends, &pool));
        let written = std::fs::write(setup.directory().join("ca.pem"), self.authority.pem());
        written.expect("the directory is ours");
        setup
    }
}

fn answering(call: &mut Call) -> Result<(), pace_tests::Http2Error> {
    let body = call.body()?;
    call.answer(if body.is_empty() { b"h2".to_vec() } else { body })
}

#[test]
fn http_2_is_chosen_where_the_backend_speaks_it() {
    let world = world();
    for (pool, protocols) in [
        ("", &["h2", "http/1.1"][..]),
        ("", &["h2"]),
        ("protocol = \"h2\"", &["h2"]),
    ] {
        let backend = world.http2(protocols, answering);
        let pace = world.pace(&[backend.url()], pool);
        for response in super::send(&pace, &Request::post("/a", "body")) {
            assert_eq!(
                (response.status, response.text()),
                (200, "body"),
                "{pool} {protocols:?}"
            );
        }
        let seen = backend.requests();
        assert_eq!((seen.len(), &*seen[0].scheme), (2, "https"));
        assert_eq!(backend.connections(), 1);
    }
}

#[test]
fn http_1_1_is_chosen_where_the_backend_speaks_nothing_else() {
    let world = world();
    for protocols in [&["http/1.1"][..], &[]] {
        let backend =
            HttpBackend::encrypted(&world.tls(protocols), |request| Answer::new(request.body.clone()));
        let pace = world.pace(&[backend.url()], "");
        for _ in 0..5 {
            assert_eq!(pace.client().send(&Request::post("/", "body")).text(), "body");
        }
        assert_eq!(backend.connections(), 1, "{protocols:?}: it is kept");
        assert_eq!(
            Http2::connect(pace.address())
                .send(&Request::post("/", "body"))
                .text(),
            "body"
        );
    }
}

/// Whoever waits to learn what the backend speaks gets a connection of its own.
#[test]
fn first_requests_at_once_reach_a_backend_of_http_1_1() {
    let world = world();
    let backend = HttpBackend::encrypted(&world.tls(&["http/1.1"]), |_| Answer::new("one"));
    let pace = world.pace(&[backend.url()], "");
    let requests: Vec<_> = (0..20)
        .map(|_| super::in_background(&pace, Request::post("/", "body")))
        .collect();
    for request in requests {
        assert_eq!(request.join().expect("no panic").text(), "one");
    }
    assert_eq!(pace.metrics().sum("pace_upstream_failures_total", &[]), 0);
}

#[test]
fn pool_of_http_1_1_offers_nothing_else() {
    let world = world();
    let backend = HttpBackend::encrypted(&world.tls(&["h2", "http/1.1"]), |_| Answer::new("one"));
    let pace = world.pace(&[backend.url()], "protocol = \"http/1.1\"");
    assert_eq!(pace.get("/").text(), "one");
}

#[test]
fn pool_of_http_2_refuses_a_backend_that_does_not_choose_it() {
    let world = world();
    for protocols in [&["http/1.1"][..], &[]] {
        let backend = HttpBackend::encrypted(&world.tls(protocols), |_| Answer::new("one"));
        let pace = world.pace(&[backend.url()], "protocol = \"h2\"");
        let response = pace.get("/");
        assert_eq!(
            (response.status, response.text()),
            (503, "no backend is available\n")
        );
        pace.wait_for_log(&[
            "(tls)",
            "none of the protocols that it was offered (ALPN): see `protocol`",
        ]);
    }
}

/// A stream switches to no other protocol, so the connection for an upgrade offers HTTP/1.1 alone.
#[test]
fn upgrade_under_auto_uses_http_1_1() {
    let world = world();
    let switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello";
    let backend = HttpBackend::encrypted(&world.tls(&["h2", "http/1.1"]), move |_| Answer::raw(switching));
    let pace = world.pace(&[backend.url()], "");
    let mut client = pace.client();
    client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    let answer = String::from_utf8(client.read_to_end()).expect("it is text");
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
}

#[test]
fn upgrade_to_backends_of_http_2_is_a_501() {
    let backend = Http2Backend::named("one");
    let pace = super::before(&backend.label(), "");
    let mut client = pace.client();
    for _ in 0..2 {
        let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        let response = client.exchange(request);
        assert_eq!(response.status, 501);
        assert!(
            response.text().contains("the backends speak HTTP/2"),
            "{response:?}"
        );
    }
    assert_eq!(client.connections(), 1);
    assert!(backend.requests().is_empty());
}

#[test]
fn session_shows_the_certificate_of_its_pool() {
    let world = world();
    let clients = Authority::new("clients");
    let own = clients.issue(&["pace"]);
    let options = Http2Options {
        tls: Some(BackendTls::demanding(&world.certificate, &["h2"], &clients)),
        ..Http2Options::default()
    };
    let backend = Http2Backend::with(options, answering);
    for (identity, status) in [("", 503), (", cert = \"own.pem\", key = \"own.key\"", 200)] {
        let pool = format!("tls = {{ ca = \"ca.pem\"{identity} }}\nprotocol = \"h2\"");
        let setup = Setup::new().config(&config(&[backend.url()], &pool));
        let written = std::fs::write(setup.directory().join("ca.pem"), world.authority.pem());
        written.expect("the directory is ours");
        own.write(setup.directory(), "own");
        let pace = setup.start();
        let response = pace.get("/");
        // In TLS 1.3 a refused certificate is noticed behind the handshake, by the first stream.
        let is_refused = matches!(response.status, 502 | 503);
        assert!(
            response.status == status || (status == 503 && is_refused),
            "{response:?}"
        );
        if is_refused {
            pace.wait_for_log(&[
                "WARN",
                "demands one (alert CertificateRequired): see `cert` and `key`",
            ]);
        }
    }
}
