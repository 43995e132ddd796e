//! The client of a request: its peer, unless a trusted proxy names another. The limit of one request per
//! client shows which client Pace assumes, and `X-Forwarded-For` at the backend shows which one it names.

use std::net::TcpStream;
use std::time::Duration;

use pace_tests::{HttpBackend, Pace, Request};

use socket2::SockRef;

use crate::sections::{SERVER, pool};

#[test]
fn forwarded_header_is_ignored_without_trusted_proxies() {
    let backend = HttpBackend::named("one");
    let pace = start(&backend, "");
    let mut client = pace.client();

    let mut ask = |forwarded_for: &str| {
        let request = Request::get("/").header("X-Forwarded-For", forwarded_for);
        client.send(&request).status
    };
    assert_eq!(ask("192.0.2.1"), 200);
    assert_eq!(ask("192.0.2.2"), 429);
    assert_eq!(ask("127.0.0.1"), 429);
    assert_eq!(backend.request().headers.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(pace.client_from("127.0.0.2").get("/").status, 200);
}

#[test]
fn trusted_proxy_names_its_clients() {
    let backend = HttpBackend::named("one");
    let pace = start(&backend, "trusted_proxies = [\"127.0.0.1/32\"]");
    let mut proxy = pace.client();

    let mut ask = |forwarded_for: &str| {
        let request = Request::get("/").header("X-Forwarded-For", forwarded_for);
        proxy.send(&request).status
    };
    assert_eq!((ask("192.0.2.1"), ask("192.0.2.2")), (200, 200));
    assert_eq!((ask("192.0.2.1"), ask("192.0.2.2")), (429, 429));
    // Addresses that a client has written itself stand before those that the proxy adds.
    assert_eq!(ask("203.0.113.9, 192.0.2.1"), 429);
    assert_eq!(
        ask("203.0.113.9, 192.0.2.2, 127.0.0.1"),
        429,
        "the last is a trusted proxy"
    );
    assert_eq!(
        (ask("2001:db8::1"), ask("2001:db8::2")),
        (200, 429),
        "one /64 is one client"
    );

    let seen = backend.requests();
    assert_eq!(seen[0].headers.all("x-forwarded-for"), ["192.0.2.1, 127.0.0.1"]);
    // Without the header the proxy is the client, and so it is for a value that is no address.
    assert_eq!(proxy.get("/").status, 200);
    let nonsense = Request::get("/").header("X-Forwarded-For", "unknown");
    assert_eq!(proxy.send(&nonsense).status, 429);
}

#[test]
fn untrusted_peer_cannot_name_its_clients() {
    let backend = HttpBackend::named("one");
    let pace = start(&backend, "trusted_proxies = [\"127.0.0.1/32\"]");
    let mut client = pace.client_from("127.0.0.2");

    let mut ask = |forwarded_for: &str| {
        let request = Request::get("/").header("X-Forwarded-For", forwarded_for);
        client.send(&request).status
    };
    assert_eq!((ask("192.0.2.1"), ask("192.0.2.2")), (200, 429));
    assert_eq!(backend.request().headers.all("x-forwarded-for"), ["127.0.0.2"]);
}

#[test]
fn proxy_header_names_the_client() {
    let backend = HttpBackend::named("one");
    let pace = start(&backend, PROXY_PROTOCOL);

    let ask = |header: &[u8]| {
        let mut balancer = pace.client();
        balancer.write(header);
        balancer.get("/").status
    };
    let v1 = b"PROXY TCP4 192.0.2.1 192.0.2.200 40000 80\r\n";
    assert_eq!((ask(v1), ask(v1)), (200, 429));
    assert_eq!(ask(b"PROXY TCP4 192.0.2.2 192.0.2.200 40000 80\r\n"), 200);
    assert_eq!(ask(b"PROXY TCP6 2001:db8::1 2001:db8::2 40000 80\r\n"), 200);
    assert_eq!(ask(&v2([192, 0, 2, 1])), 429, "the client of version 1 above");
    assert_eq!((ask(&v2([192, 0, 2, 3])), ask(&v2([192, 0, 2, 3]))), (200, 429));

    let seen: Vec<_> = backend
        .requests()
        .into_iter()
        .map(|request| request.headers.get("x-forwarded-for").map(str::to_owned))
        .collect();
    let clients = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "192.0.2.3"];
    assert_eq!(seen, clients.map(|client| Some(client.to_owned())));
    assert_eq!(pace.metrics().sum("pace_proxy_header_errors_total", &[]), 0);
}

/// The header may arrive in pieces, and together with the request.
#[test]
fn proxy_header_is_read_wherever_it_is_cut() {
    let backend = HttpBackend::named("one");
    let pace = start(&backend, PROXY_PROTOCOL);
    for (number, cut) in [1, 5, 11, 12, 15, 16, 20, 27].into_iter().enumerate() {
        let header = v2([198, 51, 100, number as u8]);
        let mut balancer = pace.client();
        balancer.write(&header[..cut]);
        balancer.write(&header[cut..]);
        assert_eq!(balancer.get("/").status, 200, "cut after {cut} bytes");
    }
    let mut balancer = pace.client();
    let whole = [&v2([198, 51, 100, 99])[..], b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
    assert_eq!(balancer.exchange(whole).status, 200);
    assert_eq!(
        balancer.get("/").status,
        429,
        "the header is for the whole connection"
    );
}

/// Certificates and tokens travel in such fields.
#[test]
fn proxy_header_may_be_as_long_as_its_length_field_says() {
    let backend = HttpBackend::named("one");
    let pace = start(&backend, PROXY_PROTOCOL);
    let mut header = v2([192, 0, 2, 7]);
    header[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
    header.extend([0xe0, 0xff, 0xf0]);
    header.resize(header.len() + 0xfff0, b'x');

    let mut balancer = pace.client();
    balancer.write([&header[..], b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
    assert_eq!(balancer.read("GET").expect("there is a response").status, 200);
    assert_eq!(backend.request().headers.all("x-forwarded-for"), ["192.0.2.7"]);
}

#[test]
fn probe_that_only_connects_is_no_error_and_no_warning() {
    let backend = HttpBackend::named("one");
    let pace = start(&backend, PROXY_PROTOCOL);
    for _ in 0..5 {
        drop(TcpStream::connect(pace.address()).expect("Pace listens"));
        let reset = TcpStream::connect(pace.address()).expect("Pace listens");
        SockRef::from(&reset)
            .set_linger(Some(Duration::ZERO))
            .expect("it is a TCP socket");
        drop(reset);
    }
    pace.wait_for_metric("pace_connections_total", &[], 10);
    pace.wait_for_metric("pace_connections_open", &[], 0);
    assert_eq!(pace.metrics().sum("pace_proxy_header_errors_total", &[]), 0);
    assert!(!pace.log().contains(" closed: "), "{}", pace.log());

    let mut half = pace.client();
    half.write("PROX");
    half.finish();
    pace.wait_for_metric("pace_proxy_header_errors_total", &[], 1);
}

#[test]
fn trusted_peer_without_a_proxy_header_is_refused() {
    let backend = HttpBackend::named("one");
    let pace = start(&backend, PROXY_PROTOCOL);

    let mut broken = v2([192, 0, 2, 1]);
    broken[12] = 0x31;
    let not_headers: [&[u8]; 3] = [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PROXY TCP4 not an address\r\n",
        &broken,
    ];
    for (count, bytes) in (1..).zip(not_headers) {
        let mut peer = pace.client();
        peer.write(bytes);
        assert_eq!(peer.read_to_end(), b"", "{}", bytes.escape_ascii());
        pace.wait_for_metric("pace_proxy_header_errors_total", &[], count);
    }
    assert!(backend.requests().is_empty());
}

#[test]
fn untrusted_peer_speaks_plain_http() {
    let backend = HttpBackend::named("one");
    let pace = start(&backend, PROXY_PROTOCOL);

    assert_eq!(pace.client_from("127.0.0.2").get("/").status, 200);
    assert_eq!(backend.request().headers.all("x-forwarded-for"), ["127.0.0.2"]);
    // A PROXY header of an untrusted peer is not a request.
    let mut liar = pace.client_from("127.0.0.3");
    liar.write("PROXY TCP4 192.0.2.1 192.0.2.200 40000 80\r\n\r\n");
    assert_eq!(liar.read("GET").expect("there is a response").status, 400);
    assert_eq!(backend.requests().len(), 1);
}

const PROXY_PROTOCOL: &str = "trusted_proxies = [\"127.0.0.1/32\"]\nproxy_protocol = true";

/// Starts Pace with a limit of one request per client.
fn start(backend: &HttpBackend, server: &str) -> Pace {
    let server = SERVER.replace("workers = 2", &format!("workers = 2\n{server}"));
    let pool = pool("web", &[backend]);
    Pace::with_config(&format!(
        r#"{server}
[[plugins]]
name = "limit"
wasm = "builtin:rate-limiter"
config = {{ max_requests = 1, window_seconds = 3600 }}

{pool}
[[routes]]
pool = "web"
plugins = ["limit"]
"#
    ))
}

/// A PROXY header of version 2 for a TCP connection of this client.
fn v2(client: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x21, 0x11, 0, 12]);
    header.extend(client);
    header.extend([192, 0, 2, 200]);
    header.extend([0x9c, 0x40, 0, 80]);
    header
}
