//! The configuration is replaced while requests are served: as a whole, or not at all.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;

use pace_tests::{Client, HttpBackend, Pace, Request, Setup, Signal, component, fixture, wait_until};

use crate::sections::{EVERYTHING, SERVER, plain, plugin, pool};
use crate::swapping::directory;
use crate::unread_log::reserved;

/// The number of configurations taken or refused.
fn reloads(pace: &Pace, result: &str) -> u64 {
    let labels = [("result", result)];
    pace.metrics().sum("pace_config_reloads_total", &labels)
}

fn rewrite(pace: &Pace, config: &str) {
    fs::write(pace.directory().join("pace.toml"), config).expect("it can be written");
}

/// Waits until the configuration has been taken.
fn change(pace: &Pace, config: &str) {
    let before = reloads(pace, "published");
    rewrite(pace, config);
    wait_until("the configuration to be taken", || {
        reloads(pace, "published") > before
    });
}

/// Waits until the configuration has been refused for a reason with these words. The public listener goes on.
fn refused(pace: &Pace, config: &str, words: &[&str]) {
    let before = reloads(pace, "refused");
    rewrite(pace, config);
    wait_until(&format!("a refusal with {words:?}"), || {
        reloads(pace, "refused") > before
    });
    let told = [
        &["ERROR", "the configuration is not taken", "the old one serves on"],
        words,
    ]
    .concat();
    pace.wait_for_entry(&told);
    assert_eq!(pace.get("/").text(), "one", "the old one serves on");
}

fn route(prefix: &str, pool: &str, plugins: &str) -> String {
    format!("[[routes]]\nmatch = {{ path_prefix = {prefix:?} }}\npool = {pool:?}\nplugins = [{plugins}]\n")
}

#[test]
fn routes_pools_and_plugins_are_added_and_removed() {
    let (one, two) = (HttpBackend::named("one"), HttpBackend::named("two"));
    let before = plain(&[&one]);
    let pace = Pace::with_config(&before);
    assert_eq!(pace.get("/two").text(), "one");

    let after = format!(
        "{SERVER}{}{}\n{}{}{EVERYTHING}{}{}",
        plugin("respond", &fixture("respond")),
        plugin("headers", &component("header-injection")),
        pool("web", &[&one]),
        pool("other", &[&two]),
        route("/two", "other", "\"headers\""),
        route("/plugin", "web", "\"respond\""),
    );
    change(&pace, &after);
    assert_eq!(pace.get("/").text(), "one");
    let response = pace.get("/two");
    assert_eq!(
        (response.text(), response.header("x-proxy")),
        ("two", Some("pace"))
    );
    assert_eq!(pace.get("/plugin/respond").status, 418);
    assert_eq!(pace.plugin("respond")["generation"], 1);
    pace.wait_for_log(&["INFO", "the configuration has been taken"]);

    change(&pace, &before);
    assert_eq!(pace.get("/two").text(), "one");
    assert_eq!(pace.get("/plugin/respond").text(), "one");
    assert_eq!(pace.admin().get("/plugins").text().trim(), "[]");
}

#[test]
fn configuration_is_read_again_on_request() {
    let (one, two) = (HttpBackend::named("one"), HttpBackend::named("two"));
    let pace = Pace::with_config(&plain(&[&one]));
    rewrite(&pace, &plain(&[&two]));
    let answer = pace.admin().send(&Request::post("/reload", ""));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(pace.get("/").text(), "two");

    rewrite(&pace, &plain(&[&one]));
    pace.signal(Signal::HUP);
    wait_until("the first backend to serve again", || {
        pace.get("/").text() == "one"
    });

    rewrite(&pace, "nonsense");
    let answer = pace.admin().send(&Request::post("/reload", ""));
    assert_eq!(answer.status, 409);
    assert!(answer.text().contains("pace.toml"), "{answer:?}");
}

#[test]
fn wrong_file_changes_nothing() {
    let backend = HttpBackend::named("one");
    let good = plain(&[&backend]);
    let pace = Pace::with_config(&good);
    refused(
        &pace,
        &good.replace("backends", "bakends"),
        &["pace.toml:", "bakends", "backends"],
    );
    refused(&pace, "[server", &["pace.toml:1"]);
    refused(&pace, "", &["pace.toml"]);
    let broken = format!(
        "{SERVER}{}\n{}{EVERYTHING}",
        plugin("broken", &fixture("no-hook")),
        pool("web", &[&HttpBackend::down()]),
    );
    refused(&pace, &broken, &["`broken`", "no-hook.wasm", "exports no hook"]);
    let broken = format!(
        "{SERVER}{}\n{}{EVERYTHING}",
        plugin("picky", &fixture("refuses-config")),
        pool("web", &[&HttpBackend::down()]),
    );
    refused(&pace, &broken, &["`picky`", "colour: must be `green`"]);

    fs::remove_file(pace.directory().join("pace.toml")).expect("it is there");
    pace.wait_for_entry(&["the old one serves on", "No such file"]);
    assert_eq!(pace.get("/").text(), "one");
    let other = HttpBackend::named("other");
    change(&pace, &plain(&[&other]));
    assert_eq!(pace.get("/").text(), "other");
}

/// Threads are made once, and so is the socket of the admin API.
#[test]
fn key_that_needs_a_restart_is_refused_and_changes_nothing() {
    let backend = HttpBackend::named("one");
    let good = plain(&[&backend]);
    let pace = Pace::with_config(&good);
    let port = HttpBackend::down().label();
    let admin = format!("[admin]\nlisten = {port:?}");
    for (from, to, key) in [
        (
            "[admin]\nlisten = \"127.0.0.1:0\"",
            admin.as_str(),
            "`[admin] listen`",
        ),
        ("workers = 2", "workers = 3", "`[server] workers`"),
        (
            "workers = 2",
            "workers = 2\ngrace_period_seconds = 3",
            "grace_period_seconds",
        ),
        (
            "workers = 2",
            "workers = 2\nproxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\"]",
            "proxy_protocol",
        ),
        ("workers = 2", "workers = 2\ncache_dir = \"cache\"", "cache_dir"),
    ] {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good, "{key}");
        // Other changes in the same file are not taken either.
        let changed = format!("{changed}\n{}", route("/new", "web", ""));
        refused(&pace, &changed, &[key, "restart"]);
    }
    assert_eq!(reloads(&pace, "published"), 0);
    rewrite(&pace, &good);
    pace.admin().send(&Request::post("/reload", ""));
    assert_eq!(reloads(&pace, "published"), 0, "it is what serves");
}

/// The same file, which listens at these places and at no other.
fn listening(config: &str, listeners: &[(SocketAddr, &str)]) -> String {
    let shorter = config.replacen("listen = \"127.0.0.1:0\"\n", "", 1);
    assert_ne!(shorter, config);
    let entry =
        |(address, keys): &(SocketAddr, &str)| format!("[[listeners]]\nlisten = \"{address}\"\n{keys}\n");
    shorter + &listeners.iter().map(entry).collect::<String>()
}

#[test]
fn changed_address_is_listened_on_in_place_of_the_old_one() {
    let backend = HttpBackend::named("one");
    let good = plain(&[&backend]);
    let pace = Pace::with_config(&good);
    assert_eq!(pace.get("/").text(), "one");

    let (address, _port) = reserved();
    let moved = good.replacen("127.0.0.1:0", &address.to_string(), 1);
    change(&pace, &moved);
    assert_eq!(Client::new(address).get("/").text(), "one");
    wait_until("the old address to be closed", || !pace.accepts());
    pace.wait_for_log(&["INFO", "no longer listening on 127.0.0.1:0"]);
    pace.wait_for_log(&["INFO", &format!("listening on {address}")]);
}

#[test]
fn listeners_are_added_changed_and_removed() {
    let backend = HttpBackend::named("one");
    let plain = plain(&[&backend]);
    let good = format!(
        "{plain}{}",
        route("/second", "web", "").replace("[[routes]]", "[[routes]]\nname = \"second\"")
    );
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let ((first, _first), (second, _second)) = (reserved(), reserved());
    let pace = Pace::with_config(&listening(&good, &[(any, ""), (first, "")]));
    let mut connected = pace.client();
    assert_eq!(connected.get("/").text(), "one");
    assert_eq!(Client::new(first).get("/").text(), "one");

    change(
        &pace,
        &listening(&good, &[(any, ""), (second, "routes = [\"second\"]")]),
    );
    assert_eq!(Client::new(second).get("/second").text(), "one");
    assert_eq!(Client::new(second).get("/").status, 404);
    wait_until("the removed listener to be closed", || {
        TcpStream::connect(first).is_err()
    });

    change(&pace, &listening(&good, &[(any, ""), (second, "")]));
    assert_eq!(Client::new(second).get("/").text(), "one");
    assert_eq!(connected.get("/").text(), "one");
    assert_eq!(
        connected.connections(),
        1,
        "clients of a listener that stays notice nothing"
    );
}

#[test]
fn listener_whose_port_is_in_use_changes_nothing() {
    let backend = HttpBackend::named("one");
    let good = plain(&[&backend]);
    let pace = Pace::with_config(&good);
    let taken = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let taken = (taken.local_addr().expect("it is bound"), taken);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let (free, _port) = reserved();
    refused(
        &pace,
        &listening(&good, &[(any, ""), (free, ""), (taken.0, "")]),
        &[
            "cannot listen on",
            "[[listeners]] listen",
            "in use by another process",
        ],
    );
    assert!(
        TcpStream::connect(free).is_err(),
        "nor is another listener of that file there"
    );
}

/// An unchanged pool keeps its state: the next backend in turn, and the open connections.
#[test]
fn unchanged_pool_keeps_its_order() {
    let backends = ["one", "two", "three"].map(HttpBackend::named);
    let good = plain(&backends.each_ref());
    let pace = Pace::with_config(&good);
    let mut client = pace.client();
    assert_eq!(client.get("/").text(), "one");
    change(&pace, &format!("{good}{}", route("/new", "web", "")));
    assert_eq!(client.get("/").text(), "two");
    change(&pace, &good);
    assert_eq!(client.get("/").text(), "three");
    assert_eq!(client.get("/").text(), "one");
    assert_eq!(client.connections(), 1, "clients notice nothing");
}

/// Other limits make another generation of the same plugin; another policy for failures does not.
#[test]
fn changed_limits_and_policies_hold() {
    let backend = HttpBackend::named("one");
    let config = |keys: &str| {
        format!(
            "{SERVER}{}{keys}\n\n{}\n[[routes]]\npool = \"web\"\nplugins = [\"trap\"]\n",
            plugin("trap", &fixture("trap")),
            pool("web", &[&backend]),
        )
    };
    let pace = Pace::with_config(&config(""));
    assert_eq!(pace.get("/misbehave").status, 503);
    change(&pace, &config("on_failure = \"open\""));
    assert_eq!(pace.get("/misbehave").status, 200);
    let status = pace.plugin("trap");
    assert_eq!(
        (&status["generation"], &status["failures"]),
        (&1.into(), &2.into())
    );

    change(&pace, &config("limits = { time_ms = 30 }"));
    let status = pace.plugin("trap");
    assert_eq!(
        (&status["generation"], &status["failures"]),
        (&2.into(), &0.into())
    );
    assert_eq!(pace.get("/misbehave").status, 503);
}

#[test]
fn options_still_override_the_changed_file() {
    let (written, given) = (HttpBackend::named("written"), HttpBackend::named("given"));
    let url = written.url();
    let config = |max: u32| {
        format!(
            "{SERVER}\n[upstreams]\nbackends = [{url:?}]\n[rate_limit]\nmax_requests = {max}\n[metrics]\n"
        )
    };
    let pace = Setup::new()
        .config(&config(10))
        .args(["--backend", &given.url()])
        .start();
    change(&pace, &config(1));
    assert_eq!(pace.get("/").text(), "given");
    assert_eq!(pace.get("/").status, 429, "the file holds for the rest");
}

#[test]
fn changed_metrics_path_and_debug_header_hold() {
    let backend = HttpBackend::named("one");
    let good = plain(&[&backend]);
    let pace = Pace::with_config(&good);
    assert_eq!(pace.get("/metrics").text(), "one");
    let asks = Request::get("/").header("x-debug", "1");
    let generations = || {
        let response = pace.client().send(&asks);
        response.header("x-pace-generations").is_some()
    };
    assert!(!generations());
    let debug = "[admin]\ndebug_header = \"x-debug\"";
    change(&pace, &format!("{}\n[metrics]\n", good.replace("[admin]", debug)));
    assert!(pace.get("/metrics").text().contains("pace_build_info"));
    assert!(generations());
}

/// Kubernetes mounts a ConfigMap like this.
#[test]
fn switched_link_is_followed() {
    let (one, two) = (HttpBackend::named("one"), HttpBackend::named("two"));
    let files = directory();
    let root = files.path();
    for (name, backend) in [("v1", &one), ("v2", &two)] {
        fs::create_dir(root.join(name)).expect("it can be made");
        fs::write(root.join(name).join("pace.toml"), plain(&[backend])).expect("it can be written");
    }
    symlink("v1", root.join("..data")).expect("a link can be made");
    symlink("..data/pace.toml", root.join("pace.toml")).expect("a link can be made");
    let pace = Setup::new()
        .args(["--config".as_ref(), root.join("pace.toml").as_os_str()])
        .start();
    assert_eq!(pace.get("/").text(), "one");
    for (version, name) in [("v2", "two"), ("v1", "one")] {
        symlink(version, root.join("new")).expect("a link can be made");
        fs::rename(root.join("new"), root.join("..data")).expect("it can be renamed");
        wait_until("the other file to hold", || pace.get("/").text() == name);
    }
}
