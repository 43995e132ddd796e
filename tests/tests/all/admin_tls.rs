//! The admin listener with TLS, and `pace ctl` before it.

use std::net::TcpStream;

use pace_tests::{Authority, Client, Exit, HttpBackend, Pace, Request, Setup, Tls};

use crate::sections::plain;

/// The name in the certificate of the listener.
const NAME: &str = "admin.example";

/// A configuration whose admin listener shows the certificate in `admin.pem`.
fn config(backend: &HttpBackend) -> String {
    plain(&[backend]).replace("[admin]", "[admin]\ncert = 'admin.pem'\nkey = 'admin.key'")
}

fn start(authority: &Authority, backend: &HttpBackend) -> Pace {
    let setup = Setup::new().config(&config(backend));
    authority.issue(&[NAME]).write(setup.directory(), "admin");
    setup.start()
}

/// Runs `pace ctl` in the directory of a Pace.
fn ctl(pace: &Pace, args: &[&str]) -> Exit {
    Setup::new()
        .within(pace.directory())
        .args(["ctl"])
        .args(args)
        .run()
}

#[test]
fn admin_listener_with_a_certificate_speaks_tls_alone() {
    let backend = HttpBackend::named("one");
    let authority = Authority::new("authority");
    let pace = start(&authority, &backend);
    let tls = Tls::new(&authority, NAME);
    let mut admin = Client::new(pace.admin_address()).tls(&tls);
    assert_eq!(admin.get("/readyz").text(), "ready\n");
    assert!(admin.get("/metrics").text().contains(NAME), "its end is a metric");
    let plain = pace.admin().get("/readyz");
    assert_eq!(plain.status, 400);
    assert!(plain.text().contains("this port speaks TLS"), "{plain:?}");
    assert_eq!(pace.get("/").text(), "one", "the other listener is as it was");
    pace.wait_for_log(&["admin on https://127.0.0.1:"]);
    let stranger = Tls::new(&Authority::new("another"), NAME);
    let stream = TcpStream::connect(pace.admin_address()).expect("it listens");
    assert!(stranger.connect(stream).is_err());
}

#[test]
fn ctl_speaks_tls_with_a_listener_that_shows_what_is_trusted() {
    let backend = HttpBackend::named("one");
    let authority = Authority::new("authority");
    let pace = start(&authority, &backend);
    let port = pace.admin_address().port();
    let by_name = format!("https://localhost:{port}");
    let by_address = format!("https://127.0.0.1:{port}");
    std::fs::write(pace.directory().join("ca.pem"), authority.pem()).expect("there is room");

    // The certificate of the configuration is the one, whatever the address is called.
    let pinned = ctl(
        &pace,
        &["--config", "pace.toml", "--admin", &by_address, "status"],
    );
    assert!(
        pinned.stdout.contains(&format!("on {by_address}: ok\n")),
        "{pinned:#?}"
    );
    let without_scheme = by_address.trim_start_matches("https://");
    let pinned = ctl(
        &pace,
        &["--config", "pace.toml", "--admin", without_scheme, "pools"],
    );
    assert_eq!(pinned.code, Some(0), "{pinned:#?}");

    let unknown = ctl(&pace, &["--admin", &by_address, "status"]);
    assert!(
        unknown
            .refusal()
            .contains("comes from an authority that is not trusted"),
        "{unknown:#?}"
    );
    let trusting = |ca: &str, address: &str| ctl(&pace, &["--ca", ca, "--admin", address, "status"]);
    for (address, name) in [(&by_address, "127.0.0.1"), (&by_name, "localhost")] {
        let misnamed = trusting("ca.pem", address);
        assert!(
            misnamed
                .refusal()
                .contains(&format!("the server's certificate is not for {name}")),
            "{misnamed:#?}"
        );
    }
    let plain = ctl(&pace, &["--admin", &format!("http://127.0.0.1:{port}"), "pools"]);
    assert!(plain.refusal().contains("this port speaks TLS"), "{plain:#?}");
    let missing = trusting("none.pem", &by_address);
    assert!(missing.refusal().contains("cannot read none.pem"), "{missing:#?}");

    // One that is for the address is enough, if its authority is the one.
    let named = authority.issue(&[NAME, "localhost", "127.0.0.1"]);
    named.write(pace.directory(), "admin");
    let tls = Tls::new(&authority, NAME);
    let mut admin = Client::new(pace.admin_address()).tls(&tls);
    assert_eq!(admin.send(&Request::post("/reload", "")).status, 200);
    for address in [&by_address, &by_name] {
        let trusted = trusting("ca.pem", address);
        assert!(
            trusted.stdout.contains(&format!("on {address}: ok\n")),
            "{trusted:#?}"
        );
    }
    let other = Authority::new("other");
    std::fs::write(pace.directory().join("other.pem"), other.pem()).expect("there is room");
    let untrusted = trusting("other.pem", &by_address);
    assert!(
        untrusted
            .refusal()
            .contains("comes from an authority that is not trusted"),
        "{untrusted:#?}"
    );
}

#[test]
fn new_certificate_is_shown_after_a_reload_and_a_bad_one_is_not_taken() {
    let backend = HttpBackend::named("one");
    let authority = Authority::new("authority");
    let pace = start(&authority, &backend);
    let tls = Tls::new(&authority, NAME).forgetful();
    let ask = |request: &Request| {
        let mut admin = Client::new(pace.admin_address()).tls(&tls);
        let response = admin.send(request);
        (response, admin.wire().certificate())
    };
    let reload = Request::post("/reload", "");
    let (_, before) = ask(&Request::get("/health"));
    std::fs::write(pace.directory().join("admin.key"), "nothing").expect("there is room");
    let (refused, shown) = ask(&reload);
    assert_eq!((refused.status, &shown), (409, &before));
    assert!(refused.text().contains("admin.key"), "{refused:?}");

    let next = authority.issue(&[NAME]);
    next.write(pace.directory(), "admin");
    let (taken, _) = ask(&reload);
    assert_eq!(taken.status, 200, "{taken:?}");
    let (_, after) = ask(&Request::get("/health"));
    assert_ne!(before, after);
}
