//! Isolation of requests from each other: `secret-keeper` keeps the value of `x-secret`, and shows it to the next
//! client that the same instance serves.

use std::path::Path;

use pace_tests::{Client, HttpBackend, Pace, Request, edition, fixture};

use crate::sections::{ONE_WORKER, plugin, pool};
use crate::swapping::{directory, reconfigure};

const MODES: [&str; 2] = ["worker", "request"];

/// Two plugins of one file, on `/a` and `/b`, the first also on `/c` with a configuration of its own.
fn keepers(file: &Path, isolation: &str, backend: &HttpBackend) -> Pace {
    let keeper = |name| format!("{}isolation = {isolation:?}\n", plugin(name, file));
    Pace::with_config(&format!(
        r#"{ONE_WORKER}{}
{}
{}
[[routes]]
match = {{ path_prefix = "/a" }}
pool = "web"
plugins = ["a"]

[[routes]]
match = {{ path_prefix = "/b" }}
pool = "web"
plugins = ["b"]

[[routes]]
match = {{ path_prefix = "/c" }}
pool = "web"
plugins = [{{ use = "a", config = {{}} }}]
"#,
        keeper("a"),
        keeper("b"),
        pool("web", &[backend]),
    ))
}

fn hide(client: &mut Client, target: &str) {
    client.send(&Request::get(target).header("x-secret", "hunter2"));
}

fn found(client: &mut Client, target: &str) -> Option<String> {
    let response = client.get(target);
    assert_eq!(response.status, 200, "{target}: {response:?}");
    response.header("x-previous-secret").map(str::to_owned)
}

#[test]
fn requests_share_an_instance_unless_isolated() {
    let backend = HttpBackend::named("one");
    for (isolation, leaked) in [("worker", Some("hunter2")), ("request", None)] {
        let pace = keepers(&fixture("secret-keeper"), isolation, &backend);
        hide(&mut pace.client(), "/a");
        assert_eq!(found(&mut pace.client(), "/a").as_deref(), leaked, "{isolation}");
    }
}

#[test]
fn plugins_of_one_file_share_no_state() {
    let backend = HttpBackend::named("one");
    for isolation in MODES {
        let pace = keepers(&fixture("secret-keeper"), isolation, &backend);
        let mut client = pace.client();
        hide(&mut client, "/a");
        assert_eq!(
            found(&mut client, "/b"),
            None,
            "{isolation}: the same file, another plugin"
        );
        assert_eq!(
            found(&mut client, "/c"),
            None,
            "{isolation}: the same plugin, other configuration"
        );
    }
}

#[test]
fn generations_share_no_state() {
    let backend = HttpBackend::named("one");
    for isolation in MODES {
        let files = directory();
        let file = files.path().join("keeper.wasm");
        let keeper = fixture("secret-keeper");
        std::fs::copy(&keeper, &file).expect("it can be copied");
        let pace = keepers(&file, isolation, &backend);
        let mut client = pace.client();
        hide(&mut client, "/a");
        std::fs::write(&file, edition(&keeper, 2)).expect("it can be written");
        for plugin in ["a", "b"] {
            pace.wait_for_generation(plugin, 2);
        }
        assert_eq!(found(&mut client, "/a"), None, "{isolation}");

        // A generation that comes back begins anew, too.
        hide(&mut client, "/a");
        let rollback = Request::post("/plugins/a/rollback", "");
        assert_eq!(pace.admin().send(&rollback).status, 200);
        assert_eq!(found(&mut client, "/a"), None, "{isolation}");
    }
}

/// Limits of instances for a single call; `containment` shows those of instances that live on.
#[test]
fn limits_hold_for_isolated_instances() {
    let backend = HttpBackend::named("one");
    for (name, reason) in [
        ("trap", "trap"),
        ("endless-loop", "deadline"),
        ("memory-bomb", "memory"),
    ] {
        let pace = Pace::with_config(&format!(
            "{ONE_WORKER}{}isolation = \"request\"\n\n{}\n[[routes]]\npool = \"web\"\nplugins = [{name:?}]\n",
            plugin(name, &fixture(name)),
            pool("web", &[&backend]),
        ));
        assert_eq!(pace.get("/misbehave").status, 503, "{name}");
        assert_eq!(pace.get("/").status, 200, "{name}");
        let labels = [("plugin", name), ("reason", reason)];
        let failures = pace.metrics().sum("pace_plugin_failures_total", &labels);
        assert_eq!(failures, 1, "{name}");
    }
}

/// With `isolation = "request"` the plugin is configured for each call, and may refuse later what it first
/// accepted.
#[test]
fn isolated_instance_that_refuses_its_configuration_fails_the_call() {
    let backend = HttpBackend::named("one");
    let routes: String = ["closed", "open"]
        .map(|on_failure| {
            format!(
                "[[routes]]\nname = \"{on_failure}\"\nmatch = {{ path_prefix = \"/{on_failure}\" }}\npool = \"web\"\n\
                 plugins = [{{ use = \"later\", on_failure = \"{on_failure}\" }}]\n\n"
            )
        })
        .concat();
    let pace = Pace::with_config(&format!(
        "{ONE_WORKER}{}isolation = \"request\"\n\n{}\n{routes}",
        plugin("later", &fixture("refuses-later")),
        pool("web", &[&backend]),
    ));
    // The first time was when Pace tried the plugin.
    let statuses = ["/closed", "/closed", "/open", "/open"].map(|target| pace.get(target).status);
    assert_eq!(statuses, [503, 200, 200, 200]);
    let reached: Vec<(String, bool)> = backend
        .requests()
        .into_iter()
        .map(|request| (request.target.clone(), request.headers.get("x-fixture").is_some()))
        .collect();
    let with_and_without = [("/closed", true), ("/open", false), ("/open", true)];
    assert_eq!(
        reached,
        with_and_without.map(|(target, filtered)| (target.to_owned(), filtered))
    );

    let labels = [
        ("plugin", "later"),
        ("hook", "request-filter"),
        ("reason", "configure"),
    ];
    let metrics = pace.metrics();
    assert_eq!(metrics.sum("pace_plugin_failures_total", &labels), 2);
    assert_eq!(
        metrics.sum("pace_plugin_failures_total", &[("plugin", "later")]),
        2
    );
    for (route, time, outcome) in [
        ("closed", 2, "closed: the request is answered with 503"),
        ("open", 4, "open: the request goes on without it"),
    ] {
        pace.wait_for_log(&[
            "plugin later (generation 1) failed in request-filter on route ",
            route,
            &format!("configure: time {time} is one too many"),
            outcome,
        ]);
    }
}

/// Where address space is limited (`ulimit -v`, `LimitAS`), instances for each call are possible. They need
/// less of it than those that live on.
#[test]
fn isolated_instances_reserve_less_address_space() {
    const MIB: u64 = 1 << 10;
    let backend = HttpBackend::named("one");
    let config = |keys: &str| {
        format!(
            "{ONE_WORKER}{}{keys}\n\n{}\n[[routes]]\npool = \"web\"\nplugins = [\"keep\"]\n",
            plugin("keep", &fixture("secret-keeper")),
            pool("web", &[&backend]),
        )
    };
    // In KiB.
    let reserved = |pace: &Pace| -> u64 {
        assert_eq!(pace.get("/").text(), "one");
        let status = std::fs::read_to_string(pace.proc("status")).expect("the process lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.expect("Linux says how much address space is reserved")
    };
    let live_on = reserved(&Pace::with_config(&config("")));
    let pace = Pace::with_config(&config("isolation = \"request\""));
    let small = reserved(&pace);
    assert!(
        small < live_on,
        "{small} KiB, and {live_on} KiB for those that live on"
    );

    // Instances of another size need another pool, and the plugin is compiled for it.
    let large = config("isolation = \"request\"\nlimits = { memory_mb = 1024 }");
    assert_eq!(reconfigure(&pace, |_| large).0, 200);
    assert_eq!(pace.generation("keep"), 2);
    let large = reserved(&pace);
    assert!(
        large > small + 4 * 1024 * MIB && large < small + 8 * 1024 * MIB,
        "{small} KiB, and {large} KiB"
    );
}

#[test]
fn isolation_can_be_changed_while_serving() {
    let backend = HttpBackend::named("one");
    let config = |isolation| {
        format!(
            "{ONE_WORKER}{}isolation = {isolation:?}\n\n{}\n[[routes]]\npool = \"web\"\nplugins = [\"keep\"]\n",
            plugin("keep", &fixture("secret-keeper")),
            pool("web", &[&backend]),
        )
    };
    let pace = Pace::with_config(&config("worker"));
    let mut client = pace.client();
    for (generation, isolation, leaked) in [(2, "request", None), (3, "worker", Some("hunter2"))] {
        hide(&mut client, "/");
        std::fs::write(pace.directory().join("pace.toml"), config(isolation)).expect("it can be written");
        pace.wait_for_generation("keep", generation);
        assert_eq!(found(&mut client, "/"), None, "{isolation}: nothing comes along");
        hide(&mut client, "/");
        assert_eq!(found(&mut client, "/").as_deref(), leaked, "{isolation}");
    }
}
