//! Connections are shared only where nothing about them differs.

use pace_tests::{Answer, Authority, BackendTls, Http2Backend, Http2Options, HttpBackend, Pace, Setup};

use super::config;

/// A Pace before two backends that are one server: under its address, and under a name that is looked up.
fn under_two_names(authority: &Authority, port: u16, pool: &str) -> Pace {
    let backends = [
        format!("https://127.0.0.1:{port}"),
        format!("https://localhost:{port}"),
    ];
    let pool = format!("tls = {{ ca = \"ca.pem\" }}\n{pool}");
    let setup = Setup::new().config(&config(&backends, &pool));
    let written = std::fs::write(setup.directory().join("ca.pem"), authority.pem());
    written.expect("the directory is ours");
    setup.start()
}

/// A certificate was checked for one name, and says nothing about another.
#[test]
fn backends_at_one_address_under_two_names_share_no_connection() {
    let authority = Authority::new("backends");
    let certificate = authority.issue(&["127.0.0.1", "localhost"]);
    let options = Http2Options {
        tls: Some(BackendTls::new(&certificate, &["h2"])),
        ..Http2Options::default()
    };
    let backend = Http2Backend::with(options, |call| call.answer("one"));
    let port = |label: String| -> u16 {
        let (_, port) = label.rsplit_once(':').expect("it has a port");
        port.parse().expect("it is a number")
    };
    let pace = under_two_names(&authority, port(backend.label()), "protocol = \"h2\"");
    for _ in 0..12 {
        assert_eq!(pace.get("/").text(), "one");
    }
    assert_eq!(backend.connections(), 2);

    let tls = BackendTls::new(&certificate, &["http/1.1"]);
    let backend = HttpBackend::encrypted(&tls, |_| Answer::new("one"));
    let pace = under_two_names(&authority, port(backend.label()), "");
    for _ in 0..12 {
        assert_eq!(pace.get("/").text(), "one");
    }
    assert_eq!(backend.connections(), 2);
}

#[test]
fn pools_share_no_session() {
    let backend = Http2Backend::named("one");
    let pool = |name: &str| {
        format!(
            "[[pools]]\nname = \"{name}\"\nbackends = [\"{}\"]\nprotocol = \"h2\"\n\n",
            backend.label()
        )
    };
    let route =
        |pool: &str| format!("[[routes]]\nmatch = {{ path_prefix = \"/{pool}\" }}\npool = \"{pool}\"\n\n");
    let pace = Pace::with_config(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n\n{}{}{}{}",
        pool("a"),
        pool("b"),
        route("a"),
        route("b"),
    ));
    for path in ["/a", "/b", "/a", "/b"] {
        assert_eq!(pace.get(path).text(), "one");
    }
    assert_eq!(backend.connections(), 2);
}

/// A pool that is changed keeps its sessions as long as they are made in the same way.
#[test]
fn session_outlives_a_reload_unless_the_protocol_changes() {
    let backend = Http2Backend::named("one");
    let of = |pool: &str| config(&[backend.label()], pool);
    let pace = Pace::with_config(&of("protocol = \"h2\""));
    assert_eq!(pace.get("/").text(), "one");
    reload(&pace, &of("protocol = \"h2\"\nresponse_timeout_ms = 1234"));
    assert_eq!(pace.get("/").text(), "one");
    assert_eq!(backend.connections(), 1);
    reload(&pace, &of("protocol = \"http/1.1\""));
    assert_eq!(pace.get("/").status, 502, "it understands nothing else");
    assert_eq!(backend.connections(), 2);
}

fn reload(pace: &Pace, config: &str) {
    let done = pace.metrics().sum("pace_config_reloads_total", &[]);
    std::fs::write(pace.directory().join("pace.toml"), config).expect("the directory is ours");
    pace.wait_for_metric("pace_config_reloads_total", &[], done + 1);
}
