//! Targets: each has one spelling, for routes, plugins and backends.

use pace_tests::{HttpBackend, Pace};

use super::{all, status};
use crate::sections::pool;

/// Starts Pace with a guarded prefix, and a route for everything else. `server` has further keys of that
/// table.
fn guarded(prefix: &str, server: &str) -> (Pace, HttpBackend, HttpBackend) {
    let (web, admin) = (HttpBackend::named("web"), HttpBackend::named("admin"));
    let pace = Pace::with_config(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n{server}\n\n{}\n{}\n\
         [[routes]]\nmatch = {{ path_prefix = \"{prefix}\" }}\npool = \"admin\"\n\n[[routes]]\npool = \"web\"\n",
        pool("web", &[&web]),
        pool("admin", &[&admin]),
    ));
    (pace, web, admin)
}

/// The name of the backend that answers a GET of this target, or the status of the refusal.
fn who(pace: &Pace, target: &str) -> String {
    let mut client = pace.client();
    client.write(format!(
        "GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    ));
    let answer = all(&mut client);
    match status(&answer) {
        200 => answer.rsplit("\r\n\r\n").next().unwrap_or_default().to_owned(),
        status => status.to_string(),
    }
}

#[test]
fn malformed_target_is_refused() {
    let (pace, web, admin) = guarded("/admin", "");
    for target in [
        "admin/x",
        "admin",
        "?x",
        "admin?/",
        ".//admin",
        "a:80",
        "x:/admin",
        "*",
        "*x",
        "ftp://a/",
        "/a b",
        "/a\tb",
        "/a\0b",
        "/a\u{1}b",
        "/a\u{7f}b",
        "/café",
        "/a#b",
        "http://",
        "http://a b/",
        "http://u@a/",
        "/%",
        "/%0",
        "/%zz",
        "/%00",
    ] {
        assert_eq!(who(&pace, target), "400", "{target:?}");
    }
    assert!(web.requests().is_empty() && admin.requests().is_empty());
}

#[test]
fn guarded_prefix_holds_for_every_spelling() {
    let (pace, web, admin) = guarded("/admin", "");
    for target in [
        "/admin",
        "/admin/x",
        "//admin",
        "/./admin",
        "/%61dmin",
        "/%61%64min/",
        "/x/../admin",
        "/x/%2e%2E/admin",
        "/../admin",
        "/admin?x=/../y",
        "/admin;x",
        "/admin;a=b/c",
        "http://other/admin",
    ] {
        assert_eq!(who(&pace, target), "admin", "{target}");
    }
    for target in [
        "/admin%2fx",
        "/admin%2Fx",
        "/x/..%2fadmin",
        "/x/%2e%2e%2fadmin",
        "/%2fadmin",
        "/admin\\x",
        "/x%5c..%5cadmin",
        "/x/..;/admin",
        "/;/admin",
    ] {
        assert_eq!(who(&pace, target), "400", "{target}");
    }
    for target in ["/", "/administrator", "/x/admin", "/admin/../x", "/Admin"] {
        assert_eq!(who(&pace, target), "web", "{target}");
    }
    let seen: Vec<_> = admin
        .requests()
        .into_iter()
        .map(|request| request.target)
        .collect();
    assert_eq!(
        seen[2..9],
        [
            "/admin", "/admin", "/admin", "/admin/", "/admin", "/admin", "/admin"
        ]
    );
    assert_eq!(web.requests().len(), 5);
}

/// The backend gets the spelling that routes and plugins were given.
#[test]
fn encoded_slash_is_refused_kept_or_decoded() {
    for (choice, expected) in [("refuse", "400"), ("keep", "web"), ("decode", "admin")] {
        let (pace, web, admin) = guarded("/admin", &format!("encoded_slashes = \"{choice}\""));
        for target in ["/admin%2fx", "/x/..%2fadmin", "/%2Fadmin", "/x%5C..%5Cadmin"] {
            assert_eq!(who(&pace, target), expected, "{choice}: {target}");
        }
        let targets = |backend: &HttpBackend| {
            backend
                .requests()
                .into_iter()
                .map(|request| request.target)
                .collect::<Vec<_>>()
        };
        match choice {
            "keep" => assert_eq!(
                targets(&web),
                ["/admin%2Fx", "/x/..%2Fadmin", "/%2Fadmin", "/x%5C..%5Cadmin"]
            ),
            "decode" => assert_eq!(targets(&admin), ["/admin/x", "/admin", "/admin", "/admin"]),
            _ => assert!(targets(&web).is_empty() && targets(&admin).is_empty()),
        }
    }
}

#[test]
fn prefix_matches_in_every_spelling() {
    for (prefix, targets) in [
        ("/%7Euser", ["/%7Euser/x", "/~user/x"]),
        ("/%61dmin", ["/admin", "/%61dmin"]),
        ("/caf%c3%a9", ["/caf%C3%A9", "/caf%c3%a9"]),
        ("/café", ["/caf%C3%A9", "/caf%c3%a9/x"]),
        ("/a//b", ["/a//b", "/a/b"]),
        ("/a/./b", ["/a/./b", "/a/b"]),
        ("/x/../a", ["/x/../a", "/a"]),
    ] {
        let (pace, _web, _admin) = guarded(prefix, "");
        for target in targets {
            assert_eq!(who(&pace, target), "admin", "{prefix}: {target}");
        }
        assert_eq!(who(&pace, "/other"), "web");
    }
}

/// RFC 9112, section 3.2.2: the target's authority replaces Host, and the backend gets the origin form.
#[test]
fn absolute_form_becomes_origin_form() {
    let (pace, web, _admin) = guarded("/admin", "");
    let cases = [
        ("GET http://b/x?y=1", "a", "/x?y=1", "b"),
        ("GET http://b:80", "B", "/", "b:80"),
        ("GET HTTPS://B?q=1", "b:80", "/?q=1", "B"),
        ("OPTIONS http://b", "b", "*", "b"),
        ("OPTIONS *", "a", "*", "a"),
    ];
    let mut client = pace.client();
    for (line, host, ..) in cases {
        let method = line.split(' ').next().expect("a line begins with a method");
        client.write(format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(
            client.read(method).expect("there is a response").status,
            200,
            "{line}"
        );
    }
    let seen: Vec<_> = web
        .requests()
        .into_iter()
        .map(|request| (request.target.clone(), request.headers.all("host").join("|")))
        .collect();
    let expected: Vec<_> = cases
        .iter()
        .map(|(_, _, target, host)| (target.to_string(), host.to_string()))
        .collect();
    assert_eq!(seen, expected);
}
