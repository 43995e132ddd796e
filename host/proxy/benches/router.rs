//! Times the search for a route: `cargo bench -p pace-proxy`.
//!
//! The first is what a configuration with one route costs each request; the others have many routes for one host, and for as
//! many hosts.

use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use pace_config::{Config, Overrides};
use pace_proxy::router::Router;
use pace_wire::request::{RequestHead, Rules};

const MANY: usize = 1000;

/// The router of these routes, each the content of a table `match`.
fn router(tables: impl IntoIterator<Item = String>) -> Router<usize> {
    let mut text = "[[pools]]\nname = \"web\"\nbackends = [\"127.0.0.1:1\"]\n".to_owned();
    for (index, table) in tables.into_iter().enumerate() {
        let route = format!("[[routes]]\nname = \"r{index}\"\npool = \"web\"\nmatch = {{ {table} }}\n");
        text += &route;
    }
    let config = Config::parse(&text, Path::new("bench.toml"), &Overrides::default());
    let routes = config.expect("it is valid").routes.into_iter().enumerate();
    Router::new(routes.map(|(index, route)| (route.matching, index)))
}

/// A request of a browser.
fn request(host: &str, path: &str) -> RequestHead {
    let mut text = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n");
    for index in 0..10 {
        write!(text, "X-Field-{index}: value\r\n").expect("a String takes every write");
    }
    let mut head = RequestHead::new();
    head.read((text + "\r\n").as_bytes(), &Rules::default())
        .expect("it is valid");
    head
}

fn routes(criterion: &mut Criterion) {
    let one = || [String::new()];
    let prefixes = || (0..MANY).map(|index| format!("path_prefix = \"/service/{index}/v1\""));
    let hosts = || (0..MANY).map(|index| format!("host = \"h{index}.example.com\""));
    let domains = || (0..MANY).map(|index| format!("host = \"*.h{index}.example.com\""));
    let expressions = || (0..10).map(|index| format!("path_regex = \"^/{index}/[a-z]+/[0-9]+$\""));
    let conditions = || {
        [
            String::new(),
            "methods = [\"POST\"], headers = { x-canary = \"yes\" }".to_owned(),
        ]
    };
    let cases: [(&str, Router<usize>, RequestHead); 6] = [
        (
            "one route",
            router(one()),
            request("a.test", "/service/500/v1/users?a=b"),
        ),
        (
            "1,000 prefixes",
            router(prefixes()),
            request("a.test", "/service/500/v1/users?a=b"),
        ),
        (
            "1,000 hosts",
            router(hosts()),
            request("h500.example.com", "/service/500/v1/users?a=b"),
        ),
        (
            "1,000 wildcards",
            router(domains()),
            request("a.b.h500.example.com", "/service/500/v1/users?a=b"),
        ),
        (
            "10 expressions, the last",
            router(expressions()),
            request("a.test", "/9/users/7"),
        ),
        (
            "a method and a header that fail",
            router(conditions()),
            request("a.test", "/service/500/v1/users?a=b"),
        ),
    ];
    let mut group = criterion.benchmark_group("router");
    for (name, router, request) in &cases {
        assert!(router.find(request).is_some(), "{name}");
        group.bench_function(*name, |bencher| bencher.iter(|| router.find(black_box(request))));
    }
    group.finish();
}

criterion_group!(benches, routes);
criterion_main!(benches);
