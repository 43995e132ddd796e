//! `[[routes]]`: the fate of requests.

use std::time::Duration;

use super::super::Warning;
use super::super::route::{Action, Forward, Mirror, PoolShare, Route, SplitBy};
use super::{config, only};

const POOLS: &str = "[[pools]]\nname = 'a'\nbackends = ['app']\n[[pools]]\nname = 'b'\nbackends = ['app']\n";

fn route(keys: &str) -> Route {
    config(&format!("{POOLS}[[routes]]\n{keys}\n")).routes.remove(0)
}

fn forward(keys: &str) -> Forward {
    match route(keys).action {
        Action::Forward(forward) => forward,
        other => panic!("{other:?}"),
    }
}

/// The only problem of a file with such a route.
#[track_caller]
fn problem(keys: &str) -> String {
    only(&format!("{POOLS}[[routes]]\n{keys}\n"))
}

#[test]
fn route_says_once_what_becomes_of_its_requests() {
    for (keys, reason) in [
        (
            "name = 'x'",
            "[[routes]]: a route needs `pool`, `pools`, `redirect` or `respond`",
        ),
        (
            "pool = 'a'\nrespond = {}",
            "`respond` in [[routes]]: a route has one of",
        ),
        (
            "pool = 'a'\npools = [{ pool = 'b' }]",
            "`pools` in [[routes]]: a route has one of",
        ),
        ("redirect = { to = '/x' }\nrespond = {}", "a route has one of"),
        (
            "respond = {}\ntimeouts = { total_ms = 1 }",
            "the route sends nothing to a backend",
        ),
        (
            "respond = {}\nsplit_by = 'client'",
            "the route sends nothing to a backend",
        ),
        (
            "redirect = { to = '/x' }\nmirror = { pool = 'a' }",
            "the route sends nothing to a backend",
        ),
        (
            "respond = {}\nrewrite = { host = 'x' }",
            "the route has one answer, whatever the path",
        ),
    ] {
        let message = problem(keys);
        assert!(message.contains(reason), "{keys}: {message}");
    }
}

#[test]
fn file_needs_no_pool_if_no_route_names_one() {
    let config = config("[[routes]]\nredirect = { to = 'https://www.test' }");
    assert!(config.pools.is_empty());
    assert!(only("[[routes]]\npools = [{ pool = 'a' }]").contains("[[pools]] is missing"));
}

#[test]
fn redirect_and_respond_have_defaults_and_are_checked() {
    let Action::Redirect(redirect) = route("redirect = { to = 'https://www.test{path}' }").action else {
        panic!("a redirect")
    };
    assert_eq!(
        (redirect.status, redirect.to.to_string().as_str()),
        (307, "https://www.test{path}")
    );
    let Action::Respond(respond) = route("respond = {}").action else {
        panic!("an answer")
    };
    assert_eq!((respond.status, respond.body.as_str()), (200, ""));
    route("respond = { status = 204, body = '' }");
    for (keys, reason) in [
        (
            "redirect = { status = 308 }",
            "`redirect` in [[routes]]: the key `to` is missing",
        ),
        (
            "redirect = { to = 'www.test' }",
            "`redirect.to` in [[routes]]: \"www.test\" must be a URL",
        ),
        (
            "redirect = { to = '/x', status = 304 }",
            "304 sends nobody elsewhere",
        ),
        (
            "redirect = { to = '/x', status = 200 }",
            "expected an integer from 301 to 308",
        ),
        (
            "respond = { status = 100 }",
            "expected an integer from 200 to 599",
        ),
        (
            "respond = { status = 304, body = 'x' }",
            "a response of status 304 has no body",
        ),
    ] {
        let message = problem(keys);
        assert!(message.contains(reason), "{keys}: {message}");
    }
}

#[test]
fn split_has_pools_with_weights() {
    let shares = |forward: &Forward| -> Vec<(usize, u32)> {
        let shares = forward.pools.iter();
        shares
            .map(|PoolShare { pool, weight }| (*pool, *weight))
            .collect()
    };
    assert_eq!(shares(&forward("pool = 'b'")), [(1, 1)]);
    let split = forward("pools = [{ pool = 'b', weight = 9 }, { pool = 'a' }]\nsplit_by = 'header:X-User'");
    assert_eq!(shares(&split), [(1, 9), (0, 1)]);
    assert!(matches!(split.split_by, Some(SplitBy::Header(name)) if name.as_str() == "x-user"));
    for (keys, reason) in [
        ("pools = []", "one pool at least needs a weight"),
        (
            "pools = [{ pool = 'a', weight = 0 }]",
            "one pool at least needs a weight",
        ),
        (
            "pools = [{ pool = 'a' }, { pool = 'a' }]",
            "the pool `a` has a share already, on line 8",
        ),
        ("pools = [{ pool = 'c' }]", "there is no pool `c`"),
        (
            "pool = 'a'\nsplit_by = 'client'",
            "nothing is split: write `pools`",
        ),
        (
            "pools = [{ pool = 'a' }]\nsplit_by = 'cookie:'",
            "must be \"client\", or \"cookie:NAME\"",
        ),
        (
            "pools = [{ pool = 'a' }]\nsplit_by = 'header:x_user'",
            "no request has the field `x_user`",
        ),
        (
            "pools = [{ pool = 'a' }]\nsplit_by = 'ip'",
            "must be \"client\", or \"cookie:NAME\"",
        ),
    ] {
        let message = problem(keys);
        assert!(message.contains(reason), "{keys}: {message}");
    }
}

#[test]
fn mirror_has_a_share_and_a_pool_of_its_own() {
    let mirror = |keys: &str| forward(&format!("pool = 'a'\nmirror = {{ pool = 'b'{keys} }}")).mirror;
    let shares = [
        ("", 100_000),
        (", percent = 10", 10_000),
        (", percent = 0.5", 500),
        (", percent = 0.001", 1),
    ];
    for (keys, share) in shares {
        assert!(
            matches!(mirror(keys), Some(Mirror { pool: 1, share: found, max_in_flight: 100, .. }) if found == share)
        );
    }
    for (keys, reason) in [
        (
            "pool = 'a'\nmirror = { pool = 'a' }",
            "the requests themselves go there",
        ),
        (
            "pool = 'a'\nmirror = { percent = 1 }",
            "the key `pool` is missing",
        ),
        (
            "pool = 'a'\nmirror = { pool = 'b', percent = 0 }",
            "expected a number from 0.001 to 100, found the integer 0",
        ),
        (
            "pool = 'a'\nmirror = { pool = 'b', percent = 0.0001 }",
            "expected a number from 0.001 to 100",
        ),
        (
            "pool = 'a'\nmirror = { pool = 'b', percent = nan }",
            "expected a number from 0.001 to 100",
        ),
        (
            "pool = 'a'\nmirror = { pool = 'b', max_in_flight = 0 }",
            "expected an integer from 1 to 65535",
        ),
    ] {
        let message = problem(keys);
        assert!(message.contains(reason), "{keys}: {message}");
    }
}

#[test]
fn pool_of_a_mirror_is_a_used_one() {
    let file = |mirror: &str| format!("{POOLS}[[routes]]\npool = 'a'\n{mirror}");
    assert_eq!(config(&file("mirror = { pool = 'b' }")).warnings(), []);
    assert_eq!(config(&file("")).warnings(), [Warning::UnusedPool("b".into())]);
}

#[test]
fn timeouts_and_the_limit_of_bodies_take_the_place_of_defaults() {
    let said = route("pool = 'a'\nbody_limit_kb = 2\ntimeouts = { total_ms = 0, first_byte_ms = 5 }");
    assert_eq!(said.body_limit, Some(2048));
    let Action::Forward(said) = said.action else {
        panic!("it has a pool")
    };
    assert_eq!(said.timeouts.total, Some(None), "no limit, whatever the pool has");
    assert_eq!(said.timeouts.first_byte, Some(Duration::from_millis(5)));
    let unsaid = route("pool = 'a'");
    assert_eq!(unsaid.body_limit, None);
    assert!(problem("pool = 'a'\nbody_limit_kb = 0").contains("expected an integer from 1 to 4294967295"));
}

#[test]
fn rewrite_that_cannot_be_meant_is_refused() {
    let rewrite = |keys: &str| {
        route(&format!(
            "pool = 'a'\nmatch = {{ path_prefix = '/v1' }}\nrewrite = {{ {keys} }}"
        ))
        .rewrite
    };
    let strip = |keys: &str| rewrite(keys).path.map(|path| path.strip().to_owned());
    assert_eq!(strip("strip_prefix = '/v1/'").as_deref(), Some("/v1"));
    assert_eq!(strip("strip_prefix = '/v1/users'").as_deref(), Some("/v1/users"));
    assert_eq!(strip("add_prefix = '/api'").as_deref(), Some(""));
    assert_eq!(rewrite("host = 'a.test:80'").path, None);
    for (keys, reason) in [
        (
            "strip_prefix = '/v2'",
            "no request of this route has a path below /v2",
        ),
        ("strip_prefix = '/'", "is no prefix: every path begins with it"),
        ("add_prefix = '/x/..'", "is no prefix: every path begins with it"),
        ("add_prefix = 'x'", "must start with `/`"),
        ("strip_prefix = '/v1?x'", "without `?` and `#`"),
        ("host = 'a b'", "is not a host with an optional port"),
    ] {
        let message = problem(&format!(
            "pool = 'a'\nmatch = {{ path_prefix = '/v1' }}\nrewrite = {{ {keys} }}"
        ));
        assert!(message.contains(reason), "{keys}: {message}");
    }
}
