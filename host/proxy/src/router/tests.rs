use std::path::Path;

use pace_config::{Config, Overrides};
use pace_wire::request::{RequestHead, Rules};
use proptest::prelude::*;

use super::*;

/// The conditions of a route, as the content of the table `match`.
fn conditions(table: &str) -> Match {
    let text = format!(
        "[[pools]]\nname = \"web\"\nbackends = [\"127.0.0.1:1\"]\n\
         [[routes]]\nname = \"r\"\npool = \"web\"\nmatch = {{ {table} }}\n"
    );
    let config = Config::parse(&text, Path::new("test.toml"), &Overrides::default());
    let mut routes = config.unwrap_or_else(|error| panic!("{error}")).routes;
    routes.remove(0).matching
}

fn router_of(matches: &[Match]) -> Router<usize> {
    let numbered = matches.iter().cloned().enumerate();
    Router::new(numbered.map(|(index, matching)| (matching, index)))
}

fn router(tables: &[&str]) -> Router<usize> {
    let matches: Vec<Match> = tables.iter().map(|table| conditions(table)).collect();
    router_of(&matches)
}

/// A request: its first line without version, then its other fields.
fn request(line: &str, host: &str, fields: &str) -> RequestHead {
    let host = match host {
        "" => "HTTP/1.0\r\n".to_owned(),
        host => format!("HTTP/1.1\r\nHost: {host}\r\n"),
    };
    let mut head = RequestHead::new();
    let read = head.read(format!("{line} {host}{fields}\r\n").as_bytes(), &Rules::default());
    read.unwrap_or_else(|refusal| panic!("{line}: {refusal}"));
    head
}

fn get(path: &str, host: &str) -> RequestHead {
    request(&format!("GET {path}"), host, "")
}

#[test]
fn most_specific_route_is_found_whatever_the_order_of_the_file() {
    let router = router(&[
        "",
        r#"path_prefix = "/v1/deep""#,
        r#"host = "*.test""#,
        r#"host = "a.test""#,
        r#"host = "a.test", path_prefix = "/v1""#,
        r#"host = "a.test", path_regex = "^/v1/[0-9]+$""#,
        r#"host = "a.test", path = "/v1/7""#,
        r#"host = "*.b.test", path_prefix = "/""#,
    ]);
    for (host, path, found) in [
        ("a.test", "/v1/7", 6),
        ("A.Test:8080", "/v1/8", 5),
        ("a.test.", "/v1/x", 4),
        ("a.test", "/v10", 3),
        ("c.test", "/v1/deep", 2),
        ("x.c.test", "/", 2),
        ("x.b.test", "/", 7),
        ("b.test", "/", 2),
        ("test", "/v1/deep/er", 1),
        ("test", "/v1/deeper", 0),
        ("xtest", "/", 0),
        ("", "/v1/deep", 1),
    ] {
        assert_eq!(router.find(&get(path, host)), Some(&found), "{host}{path}");
    }
}

#[test]
fn route_whose_other_conditions_fail_gives_way_to_the_next() {
    let router = router(&[
        r#"path_prefix = "/v1""#,
        r#"path_prefix = "/v1", methods = ["GET", "POST"]"#,
        r#"path_prefix = "/v1", methods = ["POST"]"#,
        r#"path_prefix = "/v1", headers = { X-Canary = "yes" }"#,
        r#"path_prefix = "/v1", query = { a = "b", c = "" }"#,
        r#"path_prefix = "/v1", headers = { x-canary = "yes" }, query = { a = "b" }"#,
        r#"host = "a.test", methods = ["DELETE"]"#,
    ]);
    for (line, fields, found) in [
        ("GET /v1", "", 1),
        ("HEAD /v1", "", 1),
        ("POST /v1", "", 2),
        ("PUT /v1", "", 0),
        ("PUT /v1", "x-CANARY: yes\r\n", 3),
        ("PUT /v1", "x-canary: no\r\nx-canary: yes\r\n", 3),
        ("PUT /v1", "x-canary: yes, no\r\n", 0),
        ("PUT /v1", "x-canary: YES\r\n", 0),
        ("PUT /v1?c&a=%62", "", 4),
        ("PUT /v1?a=b", "", 0),
        ("PUT /v1?a=b", "x-canary: yes\r\n", 5),
        ("DELETE /v1", "", 6),
    ] {
        assert_eq!(
            router.find(&request(line, "a.test", fields)),
            Some(&found),
            "{line} {fields}"
        );
    }
}

#[test]
fn parameters_of_segments_lead_round_no_route() {
    let router = router(&[
        "",
        r#"path_prefix = "/admin""#,
        r#"path = "/exact/x""#,
        r#"path_regex = "^/u/[0-9]+$""#,
        r#"path_prefix = "/admin;v=2""#,
    ]);
    for (path, found) in [
        ("/admin;x", 1),
        ("/admin;x/y", 1),
        ("/admin;v=2/y", 4),
        ("/exact;1/x;2", 2),
        ("/u/7;x", 3),
        ("/adminx;y", 0),
    ] {
        assert_eq!(router.find(&get(path, "a")), Some(&found), "{path}");
    }
}

#[test]
fn options_of_the_whole_server_takes_the_route_of_its_root() {
    let router = router(&[r#"path = "/""#, r#"path_prefix = "/v1""#]);
    assert_eq!(router.find(&request("OPTIONS *", "a", "")), Some(&0));
}

#[test]
fn methods_of_other_routes_are_allowed_if_only_the_method_differs() {
    let router = router(&[
        r#"path_prefix = "/v1", methods = ["GET"]"#,
        r#"methods = ["POST"]"#,
        r#"host = "b.test", methods = ["PUT"]"#,
        r#"methods = ["DELETE"], headers = { x-a = "b" }"#,
    ]);
    let allowed = |line: &str, host: &str, fields: &str| {
        let request = request(line, host, fields);
        assert_eq!(router.find(&request), None);
        router.allowed(&request).join(", ")
    };
    assert_eq!(allowed("PATCH /v1", "a.test", ""), "GET, HEAD, POST");
    assert_eq!(allowed("PATCH /", "a.test", ""), "POST");
    assert_eq!(allowed("PATCH /", "b.test", ""), "POST, PUT");
    assert_eq!(allowed("PATCH /", "a.test", "X-A: b\r\n"), "DELETE, POST");
    let one = self::router(&[r#"path = "/x", methods = ["GET"]"#]);
    assert!(one.allowed(&request("POST /y", "a.test", "")).is_empty());
}

#[test]
fn mismatch_is_the_first_condition_that_does_not_hold() {
    let matching = &conditions(
        r#"host = "*.a.test", path_prefix = "/v1", methods = ["GET"], headers = { x-a = "b" }, query = { c = "d" }"#,
    );
    for (line, host, fields, said) in [
        ("GET /v1?c=d", "a.test", "", "the host is not below a.test"),
        ("GET /?c=d", "x.a.test", "", "the path is not below /v1"),
        ("POST /v1", "x.a.test", "", "the method is not GET or HEAD"),
        ("GET /v1", "x.a.test", "", "no field x-a is \"b\""),
        ("GET /v1", "x.a.test", "X-A: b\r\n", "the query has no c=d"),
    ] {
        let request = request(line, host, fields);
        let found = mismatch(matching, &request).expect("one does not hold");
        assert_eq!(found.to_string(), said);
    }
    assert_eq!(
        mismatch(matching, &request("GET /v1?c=d", "x.a.test", "x-a: b\r\n")),
        None
    );
    let secret = conditions(r#"headers = { x-api-key = "swordfish" }"#);
    let found = mismatch(&secret, &request("GET /", "a.test", "")).expect("it has no key");
    assert_eq!(found.to_string(), "no field x-api-key is \"(secret)\"");
}

fn hosts() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("a.test"),
        Just("b.a.test"),
        Just("c.b.a.test"),
        Just("test"),
        Just("x.test"),
    ]
}

fn paths() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof!["a", "b", "ab", "a;x", "b;x=1"], 0..4)
        .prop_flat_map(|segments| (Just(segments), any::<bool>()))
        .prop_map(|(segments, ends_open)| {
            let end = if ends_open || segments.is_empty() { "/" } else { "" };
            segments
                .iter()
                .map(|segment| format!("/{segment}"))
                .collect::<String>()
                + end
        })
}

/// The content of a table `match`.
fn table() -> impl Strategy<Value = String> {
    let host = prop_oneof![
        Just(String::new()),
        hosts().prop_map(|host| format!("host = \"{host}\", ")),
        hosts().prop_map(|host| format!("host = \"*.{host}\", ")),
    ];
    let path = prop_oneof![
        Just(String::new()),
        paths().prop_map(|path| format!("path = \"{path}\", ")),
        paths().prop_map(|path| format!("path_prefix = \"{path}\", ")),
        prop_oneof![Just("^/a"), Just("/b$"), Just("^/(a|b)/a"), Just("b;x")]
            .prop_map(|regex| format!("path_regex = \"{regex}\", ")),
    ];
    let methods = prop_oneof![
        3 => Just(""),
        1 => Just("methods = [\"GET\"], "),
        1 => Just("methods = [\"HEAD\"], "),
        1 => Just("methods = [\"GET\", \"POST\"], "),
    ];
    let headers = prop_oneof![
        3 => Just(""),
        1 => Just("headers = { x-a = \"1\" }, "),
        1 => Just("headers = { x-a = \"1\", x-b = \"2\" }, "),
    ];
    let query = prop_oneof![3 => Just(""), 1 => Just("query = { q = \"1\" }, ")];
    (host, path, methods, headers, query).prop_map(|(host, path, methods, headers, query)| {
        let all = format!("{host}{path}{methods}{headers}{query}");
        all.trim_end_matches(", ").to_owned()
    })
}

proptest! {
    /// The tables find what a look at each route finds.
    #[test]
    fn found_route_is_the_first_that_matches(
        tables in proptest::collection::vec(table(), 1..24),
        line in ("GET|HEAD|POST|PUT", paths(), prop_oneof![Just(""), Just("?q=1"), Just("?q=2")]),
        host in prop_oneof![hosts().prop_map(str::to_owned), Just(String::new())],
        fields in prop_oneof![Just(""), Just("X-A: 1\r\n"), Just("X-A: 1\r\nX-B: 2\r\n")],
    ) {
        let mut matches: Vec<Match> = Vec::new();
        for matching in tables.iter().map(|table| conditions(table)) {
            if !matches.contains(&matching) {
                matches.push(matching);
            }
        }
        let mut order: Vec<usize> = (0..matches.len()).collect();
        order.sort_by(|one, other| matches[*one].precedence().cmp(&matches[*other].precedence()));
        let router = router_of(&matches);
        let (method, path, query) = line;
        let request = request(&format!("{method} {path}{query}"), &host, fields);

        let naive = order.iter().find(|index| mismatch(&matches[**index], &request).is_none());
        prop_assert_eq!(router.find(&request), naive);
        let mut allowed: Vec<&str> = matches
            .iter()
            .filter(|matching| matches!(mismatch(matching, &request), None | Some(Mismatch::Method(_))))
            .filter(|matching| holds_but_for_method(matching, &request))
            .flat_map(|matching| matching.methods.iter().map(String::as_str))
            .collect();
        allowed.sort_unstable();
        allowed.dedup();
        prop_assert_eq!(router.allowed(&request), allowed);
    }

    /// A route that covers another is for all its requests.
    #[test]
    fn covering_route_takes_the_requests_of_the_other(
        one in table(),
        other in table(),
        path in paths(),
        host in hosts(),
        fields in prop_oneof![Just(""), Just("X-A: 1\r\n"), Just("X-A: 1\r\nX-B: 2\r\n")],
    ) {
        let (one, other) = (conditions(&one), conditions(&other));
        let request = request(&format!("GET {path}?q=1"), host, fields);
        if one.covers(&other) && mismatch(&other, &request).is_none() {
            prop_assert_eq!(mismatch(&one, &request), None);
        }
    }
}
