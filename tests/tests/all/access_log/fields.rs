//! The fields of a line.

use pace_tests::{Answer, Authority, Http2, HttpBackend, Request, Setup, Tls, fixture};
use serde_json::{Value, json};

use super::{FILE, lines, object, objects, start};
use crate::sections::{SERVER, plugin, pool};

#[test]
fn json_line_has_every_field_of_the_request() {
    let (down, backend) = (HttpBackend::down(), HttpBackend::named("one"));
    let route = "[[routes]]\nname = 'all'\npool = 'web'\nplugins = ['next']\n";
    let text = [
        SERVER.replace("workers", "request_id = 'X-Request-Id'\nworkers"),
        plugin("next", &fixture("no-op")),
        pool("web", &[&down, &backend]),
        route.to_owned(),
        format!("[access_log]\nfile = '{FILE}'\n"),
    ];
    let pace = Setup::new().config(&text.concat()).start();
    let request = Request::get("/a%20b?c=d&e")
        .header("User-Agent", "a \"quoted\" agent")
        .header("Referer", "http://from.example/");
    let request = Request {
        method: "PUT".to_owned(),
        body: b"12345".to_vec(),
        ..request
    };
    assert_eq!(pace.client().send(&request).text(), "one");

    let line = object(&pace);
    let same = |name: &str, value: Value| assert_eq!(line[name], value, "{name} in {line}");
    same("client", json!("127.0.0.1"));
    same("method", json!("PUT"));
    same("scheme", json!("http"));
    same("host", json!(pace.address().to_string()));
    same("path", json!("/a%20b"));
    same("query", json!("c=d&e"));
    same("protocol", json!("HTTP/1.1"));
    same("status", json!(200));
    same("end", json!("complete"));
    same("bytes_received", json!(5));
    same("bytes_sent", json!(3));
    same("route", json!("all"));
    same("pool", json!("web"));
    same("backend", json!(backend.label()));
    same("user_agent", json!("a \"quoted\" agent"));
    same("referrer", json!("http://from.example/"));
    // The first backend is down, and which one is asked first is not certain.
    let attempts = line["attempts"].as_u64().expect("it is a number");
    assert_eq!(line["failure"].is_null(), attempts == 1, "{line}");
    for time in ["duration_ms", "connect_ms", "first_byte_ms"] {
        assert!(
            line[time].as_f64().is_some_and(|time| time > 0.0),
            "{time} in {line}"
        );
    }
    let time = line["time"].as_str().expect("it is a text");
    assert_eq!(
        (time.len(), time.ends_with('Z')),
        ("2026-01-31T12:00:00.123Z".len(), true)
    );
    assert_eq!(line["id"].as_str(), backend.request().headers.get("x-request-id"));
    let calls = line["plugins"].as_array().expect("it is a list");
    let told: Vec<_> = calls
        .iter()
        .map(|call| {
            (
                call["plugin"].as_str(),
                call["hook"].as_str(),
                call["verdict"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        told[0],
        (Some("next"), Some("request-filter"), Some("next")),
        "{line}"
    );
    assert!(told.contains(&(Some("builtin:round-robin"), Some("select-upstream"), Some("pick"))));
    assert!(calls.iter().all(|call| call["ms"].is_number()), "{line}");
    for absent in [
        "trace",
        "refused",
        "queue_ms",
        "tls_version",
        "tls_cipher",
        "tls_name",
    ] {
        assert!(line.get(absent).is_none(), "{absent} in {line}");
    }
}

#[test]
fn line_of_an_encrypted_connection_has_its_tls() {
    let (backend, authority) = (HttpBackend::named("one"), Authority::new("tests"));
    let text = format!(
        "[[listeners]]\nlisten = '127.0.0.1:0'\ncertificates = [{{ cert = 'a.pem', key = 'a.key' }}]\n\
         [access_log]\nfile = '{FILE}'\n[upstreams]\nbackends = ['{}']\n[rate_limit]\nenabled = false\n",
        backend.url()
    );
    let setup = Setup::new().config(&text);
    authority.issue(&["a.test"]).write(setup.directory(), "a");
    let pace = setup.start();
    let mut client = Http2::connect_tls(pace.address(), &Tls::new(&authority, "a.test"), "a.test");
    assert_eq!(client.get("/path").text(), "one");
    let line = object(&pace);
    let told = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        [
            told("scheme"),
            told("protocol"),
            told("host"),
            told("tls_version"),
            told("tls_name")
        ],
        ["https", "HTTP/2", "a.test", "1.3", "a.test"]
    );
    assert!(told("tls_cipher").starts_with("TLS_"), "{line}");
}

#[test]
fn line_has_the_wanted_fields_in_their_order() {
    let backend = HttpBackend::named("one");
    let pace = start(&backend, "fields = ['status', 'path', 'method']");
    pace.get("/a?b");
    assert_eq!(lines(&pace, 1), [r#"{"status":200,"path":"/a","method":"GET"}"#]);
    let pace = start(&backend, "format = 'text'\nfields = ['status', 'query', 'path']");
    pace.get("/a?b=c");
    assert_eq!(lines(&pace, 1), [r#"status=200 query="b=c" path=/a"#]);
}

#[test]
fn client_cannot_forge_a_line() {
    let backend = HttpBackend::named("one");
    let (path, agent) = (
        b"GET /\x1b[31m\xff\"} HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: x\" status=\"500\u{202e}\r\n\r\n",
    );
    let pace = start(&backend, "");
    pace.client().exchange(path);
    pace.client().exchange(agent);
    for line in lines(&pace, 2) {
        assert!(
            line.chars().all(|c| !c.is_control() && c != '\u{202e}'),
            "{line:?}"
        );
    }
    // Both were served on connections of their own, and either may have been over first.
    let told = objects(&pace, 2);
    let find = |status: u16| {
        told.iter()
            .find(|line| line["status"] == status)
            .expect("it is there")
    };
    assert_eq!(find(400)["path"], "/\u{1b}[31m\\xff\"}");
    assert_eq!(find(200)["user_agent"], "x\" status=\"500\u{202e}");

    let pace = start(
        &backend,
        "format = 'text'\nfields = ['path', 'user_agent', 'status']",
    );
    pace.client().exchange(path);
    pace.client().exchange(agent);
    let mut told = lines(&pace, 2);
    told.sort();
    assert_eq!(
        told,
        [
            r#"path="/\u{1b}[31m\xff\"}" status=400"#,
            r#"path=/ user_agent="x\" status=\"500\u{202e}" status=200"#
        ]
    );
}

#[test]
fn long_texts_are_cut() {
    let backend = HttpBackend::named("one");
    let pace = start(&backend, "fields = ['path', 'user_agent', 'status']");
    let long = "x".repeat(9000);
    let request = Request::get(&format!("/{long}")).header("User-Agent", long.clone());
    assert_eq!(pace.client().send(&request).status, 200);
    let line = object(&pace);
    assert_eq!(line["path"], format!("/{}…", &long[..8191]));
    assert_eq!(line["user_agent"], format!("{}…", &long[..1024]));
    assert_eq!(line["status"], 200);
}

#[test]
fn refused_request_has_a_line_with_its_reason() {
    let backend = HttpBackend::new(|_| Answer::new(""));
    let pace = start(&backend, "");
    pace.client()
        .exchange("GET /bad HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n");
    pace.client().exchange("\x16\x03\x01 no HTTP\r\n\r\n");
    let lines = objects(&pace, 2);
    let find = |reason: &str| {
        lines
            .iter()
            .find(|line| line["refused"] == reason)
            .expect("it is there")
    };
    let line = find("field-line");
    assert_eq!((&line["path"], &line["status"]), (&json!("/bad"), &json!(400)));
    assert_eq!(find("not-http").get("path"), None);
}
