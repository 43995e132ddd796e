//! What a plugin keeps, and for whom.

use std::collections::BTreeSet;
use std::thread;

use pace_tests::{Origin, Pace, Request, Setup, component, core_module, fixture, recipe, root};

use crate::sections::{ONE_WORKER, SERVER, with_plugins};

/// An instance is reused, which is what makes it fast: its memory is that of the requests before.
#[test]
fn an_instance_serves_one_request_after_another() {
    let origin = Origin::named("one");
    let pace = Pace::with_config(&with_plugins(
        ONE_WORKER,
        &[("keep", &fixture("secret-keeper"))],
        &[&origin],
    ));
    let mut client = pace.client();
    client.send(&Request::get("/").header("x-secret", "first"));
    assert_eq!(client.get("/").header("x-previous-secret"), Some("first"));
    assert_eq!(client.get("/").header("x-previous-secret"), None);
}

/// After a failure the instance is gone, and what it knew with it.
#[test]
fn an_instance_that_failed_serves_nobody() {
    let origin = Origin::named("one");
    let pace = Pace::with_config(&with_plugins(
        ONE_WORKER,
        &[
            ("count", &fixture("counts-calls")),
            ("trap", &fixture("response-trap")),
        ],
        &[&origin],
    ));
    let mut client = pace.client();
    assert_eq!(client.get("/").header("x-calls"), Some("1"));
    assert_eq!(client.get("/misbehave").status, 503);
    // The counter is the host's: it outlives instances, and the plugin that did not fail keeps its own.
    assert_eq!(client.get("/").header("x-calls"), Some("2"));
}

#[test]
fn counters_are_shared_by_all_workers() {
    const CLIENTS: usize = 8;
    const REQUESTS: usize = 25;
    let origin = Origin::named("one");
    let server = SERVER.replace("workers = 2", "workers = 4");
    let pace = Pace::with_config(&with_plugins(
        &server,
        &[("count", &fixture("counts-calls"))],
        &[&origin],
    ));
    let calls: BTreeSet<usize> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = pace.client();
                    [(); REQUESTS].map(|()| {
                        let response = client.get("/");
                        let calls = response.header("x-calls").and_then(|calls| calls.parse().ok());
                        calls.expect("the plugin says a number")
                    })
                })
            })
            .collect();
        clients
            .into_iter()
            .flat_map(|client| client.join().expect("the client was answered"))
            .collect()
    });
    assert_eq!(
        calls,
        (1..=CLIENTS * REQUESTS).collect(),
        "each call has a number of its own"
    );
}

#[test]
fn the_number_of_counters_is_bounded() {
    let origin = Origin::named("one");
    let pace = Pace::with_config(&with_plugins(
        SERVER,
        &[("hoard", &fixture("counter-hoard"))],
        &[&origin],
    ));
    let response = pace.get("/");
    let counters: u32 = response
        .header("x-counters")
        .and_then(|number| number.parse().ok())
        .expect("the plugin says a number");
    assert!(counters > 0);
    // Every instance opens the same: it is no more for the second worker.
    assert_eq!(pace.get("/").header("x-counters"), response.header("x-counters"));
}

#[test]
fn log_lines_are_marked_escaped_and_cut() {
    let origin = Origin::named("one");
    let pace = Setup::new()
        .env("RUST_LOG", "info")
        .config(&with_plugins(
            SERVER,
            &[("chatty", &fixture("log-writer"))],
            &[&origin],
        ))
        .start();
    assert_eq!(pace.get("/").status, 200);

    for (level, text) in [
        ("INFO", "an informing line"),
        ("WARN", "a warning"),
        ("ERROR", "an error"),
    ] {
        let line = pace.wait_for_log(&[text]);
        assert!(line.contains(level) && line.contains("chatty"), "{line}");
    }
    let forged = pace.wait_for_log(&["first"]);
    assert!(forged.contains("second"), "{forged}");
    let long = pace.wait_for_log(&["long long"]);
    assert!((4096..4500).contains(&long.len()), "{} bytes", long.len());
    let log = pace.log();
    assert!(
        !log.contains("a debugging line") && !log.contains("a trace of"),
        "{log}"
    );
    assert!(log.chars().all(|c| c == '\n' || !c.is_control()), "{log:?}");
}

/// What a compiler leaves is a plugin: no other tool is needed.
#[test]
fn a_core_module_with_its_type_is_a_plugin() {
    let (one, two) = (Origin::named("one"), Origin::named("two"));
    let pace = Pace::with_config(&with_plugins(
        SERVER,
        &[
            ("limit", &core_module("rate-limiter")),
            ("balance", &core_module("round-robin")),
            ("headers", &core_module("header-injection")),
        ],
        &[&one, &two],
    ));
    let mut client = pace.client();
    let answers = [(); 100].map(|()| client.get("/"));
    assert_eq!(
        [answers[0].text(), answers[1].text(), answers[2].text()],
        ["one", "two", "one"]
    );
    assert_eq!(answers[99].header("x-proxy"), Some("pace"));
    assert_eq!(client.get("/").status, 429);
}

/// The path of a plugin starts where the configuration is.
#[test]
fn a_plugin_is_found_beside_the_configuration() {
    let origin = Origin::named("one");
    let bytes = std::fs::read(fixture("respond")).expect("it has been built");
    let setup = Setup::new().file("mine.wasm", bytes).config(&with_plugins(
        SERVER,
        &[("mine", "mine.wasm".as_ref())],
        &[&origin],
    ));
    // Wherever Pace is started.
    let config = setup.directory().join("pace.toml");
    let elsewhere = Setup::new()
        .args(["--config".as_ref(), config.as_os_str()])
        .start();
    assert_eq!(elsewhere.get("/respond").status, 418);
}

/// What the SDK makes can touch nothing but the contract, whatever crates it is made with.
#[test]
fn plugins_of_the_sdk_import_no_wasi() {
    let defaults = ["rate-limiter", "round-robin", "header-injection"].map(component);
    let recipes = std::fs::read_dir(root().join("plugins/cookbook")).expect("the directory is there");
    let recipes =
        recipes.map(|entry| recipe(&entry.expect("it can be listed").file_name().to_string_lossy()));
    for file in defaults.into_iter().chain(recipes) {
        let name = file.display();
        let bytes = std::fs::read(&file).expect("it has been built");
        let decoded = wit_component::decode(&bytes).expect("it is a component");
        let wit_component::DecodedWasm::Component(resolve, world) = decoded else {
            panic!("{name} is a package, not a component")
        };
        let imports: Vec<_> = resolve.worlds[world]
            .imports
            .keys()
            .map(|key| resolve.name_world_key(key))
            .collect();
        assert!(!imports.is_empty(), "{name}");
        for import in imports {
            assert!(import.starts_with("pace:plugin/"), "{name} imports {import}");
        }
    }
}
