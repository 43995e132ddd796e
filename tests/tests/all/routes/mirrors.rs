//! `mirror`: copies of requests for another pool.

use pace_tests::{Gate, Http2, Http2Backend, HttpBackend, Pace, Request, Scripted, wait_until};

use super::{file, routed};
use crate::sections::SERVER;
use crate::swapping::reconfigure;

const ROUTE: &str = "pool = 'web'\nmirror = { pool = 'next' }";

fn counted(pace: &Pace, result: &str, count: u64) {
    let labels = [("pool", "next"), ("result", result)];
    pace.wait_for_metric("pace_mirrored_requests_total", &labels, count);
}

fn arrived(backend: &HttpBackend, count: usize) -> Vec<Request> {
    wait_until("the copies to arrive", || backend.requests().len() >= count);
    backend.requests()
}

#[test]
fn copy_is_the_request_that_the_backend_gets() {
    let (web, next) = (HttpBackend::named("web"), HttpBackend::named("next"));
    let route = format!("{ROUTE}\nrewrite = {{ strip_prefix = '/v1', host = 'a.internal' }}");
    let pace = routed(&[("web", &web), ("next", &next)], &[&route]);
    let mut client = pace.client();
    let chunked = "POST /v1/c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    assert_eq!(
        client.send(&Request::get("/v1/a?b").header("X-A", "b")).text(),
        "web"
    );
    assert_eq!(
        client
            .send(&Request::post("/v1/b", "a body").header("Expect", "100-continue"))
            .text(),
        "web"
    );
    assert_eq!(client.exchange(chunked).text(), "web");
    let mut http2 = Http2::connect(pace.address());
    assert_eq!(http2.send(&Request::new("PUT", "/v1/d")).text(), "web");

    let mut copies = arrived(&next, 4);
    let mut sent = web.requests();
    copies.sort_by(|one, other| one.target.cmp(&other.target));
    sent.sort_by(|one, other| one.target.cmp(&other.target));
    for (copy, sent) in copies.iter().zip(&sent) {
        assert_eq!(
            (&copy.method, &copy.target, &copy.body),
            (&sent.method, &sent.target, &sent.body)
        );
        for field in ["host", "x-a", "x-forwarded-for", "x-forwarded-prefix"] {
            assert_eq!(copy.headers.all(field), sent.headers.all(field), "{field}");
        }
        assert_eq!(copy.headers.get("expect"), None, "its body is there already");
        assert_eq!(copy.headers.get("transfer-encoding"), None, "its length is known");
    }
    let targets: Vec<_> = copies.iter().map(|copy| copy.target.as_str()).collect();
    assert_eq!(targets, ["/a?b", "/b", "/c", "/d"]);
    assert_eq!(copies[2].body, b"hello world");
    counted(&pace, "answered", 4);
    assert_eq!(client.connections(), 1);
}

#[test]
fn copy_may_go_to_backends_of_http_2() {
    let web = HttpBackend::named("web");
    let next = Http2Backend::new(|call| {
        let body = call.body()?;
        call.answer(body)
    });
    let (web_label, next_label) = (web.label(), next.label());
    let pace = Pace::with_config(&format!(
        "{SERVER}[[pools]]\nname = 'web'\nbackends = ['{web_label}']\n\
         [[pools]]\nname = 'next'\nbackends = ['{next_label}']\nprotocol = 'h2'\n[[routes]]\n{ROUTE}\n"
    ));
    let mut client = pace.client();
    assert_eq!(client.send(&Request::post("/a", "a body")).text(), "web");
    assert_eq!(client.send(&Request::get("/b")).text(), "web");
    counted(&pace, "answered", 2);
    let mut copies = next.requests();
    copies.sort_by(|one, other| one.request.target.cmp(&other.request.target));
    let lengths = copies
        .iter()
        .map(|copy| copy.request.headers.get("content-length"));
    assert_eq!(lengths.collect::<Vec<_>>(), [Some("6"), None]);
}

#[test]
fn client_notices_nothing_of_a_mirror_that_hangs_dies_or_is_gone() {
    let web = HttpBackend::named("web");
    for hangs in [true, false] {
        let gate = Gate::new();
        let next = match hangs {
            true => HttpBackend::behind(&gate, "late"),
            false => HttpBackend::down(),
        };
        let pace = routed(&[("web", &web), ("next", &next)], &[ROUTE]);
        let mut client = pace.client();
        for _ in 0..5 {
            let response = client.send(&Request::post("/", "a body"));
            assert_eq!((response.status, response.text()), (200, "web"));
        }
        assert_eq!(client.connections(), 1);
        match hangs {
            true => {
                pace.wait_for_metric("pace_mirrored_requests_in_flight", &[], 5);
                wait_until("no request of a client to be in flight", || {
                    pace.metrics().sum("pace_requests_in_flight", &[]) == 0
                });
                gate.open();
                counted(&pace, "answered", 5);
            }
            false => counted(&pace, "failed", 5),
        }
        pace.wait_for_metric("pace_mirrored_requests_total", &[], 5);
        wait_until("all copies to end", || {
            pace.metrics().sum("pace_mirrored_requests_in_flight", &[]) == 0
        });
    }
    let next = Scripted::saying("this is no response\r\n\r\n");
    let pace = Pace::with_config(&format!(
        "{SERVER}[[pools]]\nname = 'web'\nbackends = ['{}']\n[[pools]]\nname = 'next'\nbackends = ['{}']\n[[routes]]\n{ROUTE}\n",
        web.label(),
        next.label()
    ));
    assert_eq!(pace.get("/").text(), "web");
    counted(&pace, "failed", 1);
}

#[test]
fn copies_in_flight_are_bounded_also_over_a_reload() {
    let web = HttpBackend::named("web");
    let gate = Gate::new();
    let next = HttpBackend::behind(&gate, "late");
    let with = |keys: &str| {
        let mirror = format!("pool = 'web'\nmirror = {{ pool = 'next', max_in_flight = 2 }}\n{keys}");
        file(&[("web", &web), ("next", &next)], &[&mirror])
    };
    let pace = Pace::with_config(&with(""));
    for _ in 0..5 {
        assert_eq!(pace.get("/").text(), "web");
    }
    arrived(&next, 2);
    counted(&pace, "too-many", 3);
    assert_eq!(reconfigure(&pace, |_| with("body_limit_kb = 9")).0, 200);
    assert_eq!(pace.get("/").text(), "web");
    counted(&pace, "too-many", 4);
    gate.open();
    counted(&pace, "answered", 2);
    // Places are given back before the count, so there is one.
    assert_eq!(pace.get("/").text(), "web");
    counted(&pace, "answered", 3);
    assert_eq!(next.requests().len(), 3);
}

#[test]
fn body_beyond_the_replay_buffer_is_not_copied() {
    let (web, next) = (HttpBackend::named("web"), HttpBackend::named("next"));
    let text = file(&[("web", &web), ("next", &next)], &[ROUTE]);
    let text = text.replacen("name = \"web\"", "name = \"web\"\nretry_body_kb = 4", 1);
    let pace = Pace::with_config(&text);
    let mut client = pace.client();
    assert_eq!(
        client.send(&Request::post("/large", vec![b'x'; 4097])).text(),
        "web"
    );
    counted(&pace, "incomplete", 1);
    assert_eq!(
        client.send(&Request::post("/fits", vec![b'x'; 4096])).text(),
        "web"
    );
    let copies = arrived(&next, 1);
    assert_eq!(
        (copies.len(), copies[0].target.as_str(), copies[0].body.len()),
        (1, "/fits", 4096)
    );
}

#[test]
fn share_of_requests_is_copied() {
    let (web, next) = (HttpBackend::named("web"), HttpBackend::named("next"));
    let pace = routed(
        &[("web", &web), ("next", &next)],
        &["pool = 'web'\nmirror = { pool = 'next', percent = 25, max_in_flight = 1000 }"],
    );
    let mut client = pace.client();
    for _ in 0..400 {
        assert_eq!(client.get("/").text(), "web");
    }
    let total = |pace: &Pace| {
        pace.metrics()
            .sum("pace_mirrored_requests_total", &[("result", "answered")])
    };
    // One of 100 million runs is beyond this.
    wait_until("a quarter of them to be copied", || total(&pace) >= 50);
    assert!(total(&pace) <= 150);
    assert_eq!(web.requests().len(), 400);
}

/// Plugins of the route neither see the copy nor its response.
#[test]
fn plugins_are_asked_once() {
    let (web, next) = (HttpBackend::named("web"), HttpBackend::named("next"));
    let plugin =
        "[[plugins]]\nname = 'limit'\nwasm = 'builtin:rate-limiter'\nconfig = { max_requests = 2 }\n";
    let route = format!("{ROUTE}\nplugins = ['limit']");
    let pace = Pace::with_config(&(plugin.to_owned() + &file(&[("web", &web), ("next", &next)], &[&route])));
    let mut client = pace.client();
    let statuses = [(); 3].map(|()| client.get("/").status);
    assert_eq!(statuses, [200, 200, 429]);
    counted(&pace, "answered", 2);
    assert_eq!(
        pace.metrics().sum(
            "pace_plugin_calls_total",
            &[("plugin", "limit"), ("hook", "request-filter")]
        ),
        3
    );
}

/// Behind the switch there are no requests, and both sides talk.
#[test]
fn upgrade_is_not_copied() {
    let web = Scripted::new(|line| {
        while let Some(head) = line.head()? {
            match head.contains("Upgrade: x") {
                true => line.write(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nhello",
                )?,
                false => line.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?,
            }
        }
        Ok(())
    });
    let next = HttpBackend::named("next");
    let pace = Pace::with_config(&format!(
        "{SERVER}[[pools]]\nname = 'web'\nbackends = ['{}']\n[[pools]]\nname = 'next'\nbackends = ['{}']\n[[routes]]\n{ROUTE}\n",
        web.label(),
        next.label()
    ));
    let mut client = pace.client();
    client.write("GET /switch HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n");
    wait_until("the switch", || client.received().ends_with(b"hello"));
    assert_eq!(pace.get("/plain").text(), "ok");
    counted(&pace, "answered", 1);
    assert_eq!(next.request().target, "/plain");
}
