//! The state that a plugin keeps, and the requests that share it.

use std::collections::BTreeSet;
use std::thread;

use pace_tests::{HttpBackend, Pace, Request, Setup, component, core_module, fixture, recipe, root};

use crate::sections::{ONE_WORKER, SERVER, with_plugins};

/// An instance is reused, which makes it fast: it has the memory that earlier requests left.
#[test]
fn instance_serves_consecutive_requests() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&with_plugins(
        ONE_WORKER,
        &[("keep", &fixture("secret-keeper"))],
        &[&backend],
    ));
    let mut client = pace.client();
    client.send(&Request::get("/").header("x-secret", "first"));
    assert_eq!(client.get("/").header("x-previous-secret"), Some("first"));
    assert_eq!(client.get("/").header("x-previous-secret"), None);
}

/// A failed instance is discarded, and its memory with it.
#[test]
fn failed_instance_is_not_used_again() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&with_plugins(
        ONE_WORKER,
        &[
            ("count", &fixture("counts-calls")),
            ("trap", &fixture("response-trap")),
        ],
        &[&backend],
    ));
    let mut client = pace.client();
    assert_eq!(client.get("/").header("x-calls"), Some("1"));
    assert_eq!(client.get("/misbehave").status, 503);
    // The counter is the host's: it outlives instances, and the plugin that did not fail keeps its own.
    assert_eq!(client.get("/").header("x-calls"), Some("2"));
}

#[test]
fn counter_is_shared_by_all_workers() {
    const CLIENTS: usize = 8;
    const REQUESTS: usize = 25;
    let backend = HttpBackend::named("one");
    let server = SERVER.replace("workers = 2", "workers = 4");
    let pace = Pace::with_config(&with_plugins(
        &server,
        &[("count", &fixture("counts-calls"))],
        &[&backend],
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
fn number_of_counters_is_bounded() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&with_plugins(
        SERVER,
        &[("hoard", &fixture("counter-hoard"))],
        &[&backend],
    ));
    let response = pace.get("/");
    let counters: u32 = response
        .header("x-counters")
        .and_then(|number| number.parse().ok())
        .expect("the plugin says a number");
    assert!(counters > 0);
    // Every instance opens the same counters, so a second worker adds none.
    assert_eq!(pace.get("/").header("x-counters"), response.header("x-counters"));
}

#[test]
fn log_line_of_a_plugin_is_marked_escaped_and_cut() {
    let backend = HttpBackend::named("one");
    let pace = Setup::new()
        .env("RUST_LOG", "info")
        .config(&with_plugins(
            SERVER,
            &[("chatty", &fixture("log-writer"))],
            &[&backend],
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

/// The output of a compiler is a plugin: no other tool is needed.
#[test]
fn core_module_with_its_component_type_is_a_plugin() {
    let (one, two) = (HttpBackend::named("one"), HttpBackend::named("two"));
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

/// The path of a plugin is relative to the configuration.
#[test]
fn plugin_path_is_relative_to_the_configuration() {
    let backend = HttpBackend::named("one");
    let bytes = std::fs::read(fixture("respond")).expect("it has been built");
    let setup = Setup::new().file("mine.wasm", bytes).config(&with_plugins(
        SERVER,
        &[("mine", "mine.wasm".as_ref())],
        &[&backend],
    ));
    // The directory in which Pace is started does not matter.
    let config = setup.directory().join("pace.toml");
    let elsewhere = Setup::new()
        .args(["--config".as_ref(), config.as_os_str()])
        .start();
    assert_eq!(elsewhere.get("/respond").status, 418);
}

/// Plugins made with the SDK import only the contract, whatever crates they use.
#[test]
fn sdk_plugins_import_no_wasi() {
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
