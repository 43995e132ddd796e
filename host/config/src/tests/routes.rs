//! `[[routes]]`: conditions and their order.

use super::super::Warning;
use super::super::route::{HostMatch, PathMatch, Route};
use super::{FULL, config, only, parse};

const POOL: &str = "[[pools]]\nname = 'web'\nbackends = ['app']\n";

/// A file whose routes have these keys beside `pool`.
fn file(routes: &[&str]) -> String {
    let routes = routes
        .iter()
        .map(|keys| format!("[[routes]]\npool = 'web'\n{keys}\n"));
    POOL.to_owned() + &routes.collect::<String>()
}

fn routes(keys: &[&str]) -> Vec<Route> {
    config(&file(keys)).routes
}

/// The only problem of a file with such a route.
#[track_caller]
fn problem(keys: &str) -> String {
    only(&file(&[keys]))
}

#[test]
fn match_host_is_a_name_an_address_or_a_wildcard_without_port() {
    let host =
        |host: &str| parse(&FULL.replace("API.example.com", host)).map(|c| c.routes[0].matching.host.clone());
    for (written, expected) in [
        ("A-b.example", "a-b.example"),
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:DB8::0:1]", "[2001:db8::1]"),
    ] {
        assert_eq!(host(written).ok(), Some(HostMatch::Exact(expected.into())));
    }
    assert_eq!(
        host("*.Example.com").ok(),
        Some(HostMatch::Below("example.com".into()))
    );
    for (text, reason) in [
        ("*", "leave `host` out"),
        ("a.*.com", "a wildcard is `*.` at the beginning"),
        ("*a.com", "a wildcard is `*.` at the beginning"),
        ("*.*.com", "a wildcard is `*.` at the beginning"),
        ("*.192.0.2.1", "an address has nothing below it"),
        ("*.", "neither"),
        ("a:80", "has a port"),
        ("[::1]:80", "has a port"),
        ("", "neither"),
    ] {
        let error = host(text).expect_err(text).to_string();
        assert!(
            error.contains(reason) && error.contains("`match.host` in [[routes]]"),
            "{error}"
        );
    }
}

#[test]
fn match_is_normalised() {
    let [route] = &routes(&[
        "match = { path = '/%61//b/../c', methods = ['POST', 'GET', 'POST'], headers = { X-B = 'c d', X-A = '' }, \
         query = { q = 'é', a = '' } }",
    ])[..] else {
        panic!("one route")
    };
    let matching = &route.matching;
    assert_eq!(matching.path, PathMatch::Exact("/a/c".into()));
    assert_eq!(matching.methods, ["GET", "HEAD", "POST"]);
    let headers: Vec<_> = matching
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(headers, [("x-a", ""), ("x-b", "c d")]);
    assert_eq!(
        matching.query,
        [("a".into(), String::new()), ("q".into(), "é".into())]
    );
    assert_eq!(route.name, "*/a/c");
    assert_eq!(
        matching.to_string(),
        "*/a/c and nothing below, GET or HEAD or POST, x-a: , x-b: c d, ?a=, ?q=é"
    );
}

#[test]
fn match_is_shown_without_secrets_and_told_apart_by_them() {
    let found = routes(&[
        "name = 'one'\nmatch = { headers = { X-Api-Key = 'one', X-Env = 'prod' }, query = { token = 'one' } }",
        "name = 'two'\nmatch = { headers = { X-Api-Key = 'two', X-Env = 'prod' }, query = { token = 'one' } }",
    ]);
    assert_eq!(found.len(), 2);
    for route in found {
        let shown = "*/, x-api-key: (secret), x-env: prod, ?token=(secret)";
        assert_eq!(route.matching.to_string(), shown);
    }
}

#[test]
fn match_that_no_request_has_is_refused() {
    for (keys, reason) in [
        (
            "path = '/a', path_prefix = '/a'",
            "a route has one of `path`, `path_regex` and `path_prefix`",
        ),
        ("path = '/a?b'", "without `?` and `#`"),
        (
            "path_regex = '('",
            "`match.path_regex` in [[routes]]: \"(\" is not a regular expression: unclosed group",
        ),
        ("path_regex = '^api/'", "matches no path: paths begin with `/`"),
        ("methods = []", "it needs at least one method"),
        (
            "methods = ['get']",
            "must be in upper case, as methods are: \"GET\"",
        ),
        ("methods = ['G T']", "is not a method"),
        ("methods = ['TRACE']", "is refused with 501 before any route"),
        ("headers = { host = 'a' }", "write `host` beside `headers`"),
        ("headers = { Connection = 'close' }", "is about one connection"),
        ("headers = { 'a b' = 'c' }", "is not the name of a header"),
        (
            "headers = { x_a = 'b' }",
            "fields with an underscore are dropped or refused",
        ),
        ("headers = { x-a = ' b' }", "white space around it"),
        (
            "headers = { x-a = 'b', X-A = 'c' }",
            "`x-a` is there already, in another spelling",
        ),
        ("headers = { x-a = 1 }", "expected a string, found the integer 1"),
        (
            "headers = ['x-a']",
            "`match.headers` in [[routes]]: expected a table, found a list",
        ),
        ("query = { '' = 'a' }", "a key of the query cannot be empty"),
    ] {
        let message = problem(&format!("name = 'a'\nmatch = {{ {keys} }}"));
        assert!(message.contains(reason), "{keys}: {message}");
    }
    let passed = file(&["match = { headers = { x_a = 'b' } }"]);
    config(&format!("[server]\nunderscores = 'pass'\n{passed}"));
}

#[test]
fn routes_with_one_match_or_one_name_are_refused() {
    let again = |one: &str, other: &str| only(&file(&[one, other]));
    let methods =
        "match = { path_prefix = '/a', methods = ['GET', 'POST'], headers = { x-a = 'b', x-c = 'd' } }";
    let same = "name = 'b'\nmatch = { headers = { X-C = 'd', X-A = 'b' }, methods = ['POST', 'HEAD', 'GET'], path_prefix = '/%61' }";
    assert_eq!(
        again(methods, same),
        "conf/proxy.toml:7:1: [[routes]]: this route matches */a, GET or HEAD or POST, x-a: b, x-c: d, as the route on \
         line 4 does already"
    );
    assert_eq!(
        again("match = { path = '/a' }", "match = { path_prefix = '/a' }"),
        "conf/proxy.toml:7:1: [[routes]]: the route on line 4 is called `*/a` already: give one of both a `name`"
    );
    config(&file(&[
        "match = { path = '/a' }",
        "name = 'all-of-a'\nmatch = { path_prefix = '/a' }",
    ]));
    assert!(problem("match = { path_regex = '^/a' }").contains("a route with `path_regex` needs a `name`"));
}

#[test]
fn listeners_may_have_routes_of_their_own_with_one_match() {
    let text = file(&["name = 'a'", "name = 'b'"]);
    let listeners = |first: &str, second: &str| {
        format!(
            "[[listeners]]\nlisten = ':1'\nroutes = [{first}]\n[[listeners]]\nlisten = ':2'\nroutes = [{second}]\n{text}"
        )
    };
    let config = config(&listeners("'a'", "'b'"));
    assert_eq!(config.warnings(), []);
    assert!(only(&listeners("'a'", "'a', 'b'")).contains("this route matches */, as the route on line"));
}

#[test]
fn most_specific_route_is_tried_first() {
    let keys = [
        "name = 'any'",
        "name = 'prefix'\nmatch = { path_prefix = '/a' }",
        "name = 'longer-prefix'\nmatch = { path_prefix = '/a/b' }",
        "name = 'regex'\nmatch = { path_regex = '^/a/b/c' }",
        "name = 'next-regex'\nmatch = { path_regex = '^/a' }",
        "name = 'path'\nmatch = { path = '/a' }",
        "name = 'methods'\nmatch = { path_prefix = '/a', methods = ['POST', 'PUT'] }",
        "name = 'method'\nmatch = { path_prefix = '/a', methods = ['POST'] }",
        "name = 'header'\nmatch = { path_prefix = '/a', headers = { a = 'b' } }",
        "name = 'headers'\nmatch = { path_prefix = '/a', headers = { a = 'b', c = 'd' } }",
        "name = 'query'\nmatch = { path_prefix = '/a', query = { a = 'b' } }",
        "name = 'below'\nmatch = { host = '*.test' }",
        "name = 'further-below'\nmatch = { host = '*.a.test' }",
        "name = 'host'\nmatch = { host = 'a.test' }",
    ];
    let config = config(&file(&keys));
    let order = config.routes_in_order().into_iter();
    let names: Vec<_> = order.map(|index| config.routes[index].name.as_str()).collect();
    let expected = [
        "host",
        "further-below",
        "below",
        "path",
        "regex",
        "next-regex",
        "longer-prefix",
        "method",
        "methods",
        "headers",
        "header",
        "query",
        "prefix",
        "any",
    ];
    assert_eq!(names, expected);
}

#[test]
fn routes_that_are_never_taken_and_loose_expressions_are_warned_of() {
    let text = file(&[
        "name = 'all'\nmatch = { path_regex = '^/' }",
        "name = 'behind-all'\nmatch = { path_prefix = '/a' }",
        "name = 'before-all'\nmatch = { path = '/a' }",
        "name = 'loose'\nmatch = { host = 'a.test', path_regex = '/a' }",
        "name = 'metrics'\nmatch = { path = '/metrics' }",
    ]);
    let warnings = config(&format!("{text}\n[metrics]")).warnings();
    let expected = [
        Warning::LooseExpression("loose".into()),
        Warning::RouteOfMetrics("metrics".into()),
        Warning::UnreachableRoute {
            route: "behind-all".into(),
            taken_by: "all".into(),
        },
    ];
    assert_eq!(warnings, expected);
    assert!(
        warnings[2]
            .to_string()
            .contains("`all`, which is tried before it")
    );

    let text = format!(
        "[[listeners]]\nlisten = ':1'\nroutes = ['a']\n{}",
        file(&["name = 'a'", "name = 'b'\nmatch = { path = '/b' }"])
    );
    assert_eq!(config(&text).warnings(), [Warning::UnservedRoute("b".into())]);
}
