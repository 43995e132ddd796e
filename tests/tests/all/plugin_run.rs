//! `pace plugin run`: a proxy with a plugin that is being written.

use std::fs;
use std::path::{Path, PathBuf};

use pace_tests::{HttpBackend, Pace, Request, Setup, Signal, fixture, root, wait_until};

/// A project in Rust that has been built once, so that further builds take seconds. Its name is unique: cargo
/// tells the projects that share a target directory apart by nothing else.
fn project(name: &str) -> PathBuf {
    let directory = root().join("target/projects/run").join(name);
    // The directory does not exist the first time.
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("target/ is ours");
    let begun = Setup::new()
        .within(&directory)
        .args(["plugin", "new", name])
        .run();
    assert_eq!(begun.code, Some(0), "{begun:#?}");
    let project = directory.join(name);
    let built = run_in(&project, &["plugin", "build"]).run_long();
    assert_eq!(built.code, Some(0), "{built:#?}");
    project
}

fn run_in(directory: &Path, args: &[&str]) -> Setup {
    Setup::new()
        .within(directory)
        .args(args)
        .env("CARGO_TARGET_DIR", &root().join("target/wasm").to_string_lossy())
        .env("CARGO_NET_OFFLINE", "true")
}

fn run(args: &[&str], backend: &HttpBackend) -> Setup {
    Setup::new().args(["plugin", "run"]).args(args).args([
        "--backend",
        &backend.url(),
        "--listen",
        "127.0.0.1:0",
    ])
}

/// Changes a source as an editor does.
fn save(source: &Path, change: impl FnOnce(String) -> String) {
    let text = fs::read_to_string(source).expect("it is there");
    fs::write(source, change(text)).expect("it can be written");
}

fn answers(pace: &Pace, body: &str) {
    wait_until(&format!("the answer {body:?}"), || {
        pace.get("/").text().contains(body)
    });
}

#[test]
fn saved_source_serves_if_it_compiles() {
    let project = project("saved");
    let source = project.join("src/lib.rs");
    let backend = HttpBackend::named("backend");
    let args = [
        "plugin",
        "run",
        "--backend",
        &backend.url(),
        "--listen",
        "127.0.0.1:0",
    ];
    let pace = run_in(&project, &args).start();

    // The configuration is that of the project's cases.
    let mut client = pace.client();
    let known = client.send(&Request::get("/hello").header("X-Api-Key", "the key of ann"));
    assert_eq!((known.status, known.text()), (200, "backend"));
    answers(&pace, "This needs an API key.");
    let line = pace.wait_for_log(&["GET /hello | "]);
    let picked = format!("select-upstream: pick {}, ", backend.label());
    for part in [
        "Z GET /hello | saved request-filter: next, ",
        " µs | ",
        &picked,
        " µs | 200",
    ] {
        assert!(line.contains(part), "{part:?} in {line}");
    }
    pace.wait_for_log(&["GET / | saved request-filter: respond 401, ", " µs | 401"]);

    save(&source, |text| {
        text.replace("This needs an API key.", "Show me your key.")
    });
    answers(&pace, "Show me your key.");
    pace.wait_for_log(&["plugin `saved`: generation 2 serves", "in place of 1"]);

    // The compiler's message is shown, and the previous version serves on.
    save(&source, |text| text.replace("Show me", "\" no text"));
    pace.wait_for_log(&["--> src/lib.rs:"]);
    pace.wait_for_log(&["the build failed, and what it said is above; the version before serves on"]);
    answers(&pace, "Show me your key.");

    save(&source, |text| text.replace("\" no text", "Tell me"));
    answers(&pace, "Tell me your key.");

    // A failure is shown with its reason, its place, and a backtrace.
    save(&source, |text| {
        text.replace(
            "key.and_then(|key| owner(&self.keys, &key))",
            "owner(&self.keys, &key.expect(\"a key\"))",
        )
    });
    wait_until("the plugin to panic", || pace.get("/").status == 503);
    pace.wait_for_log(&["error: saved: panicked at src/lib.rs:", "a key"]);
    let entry = pace.wait_for_log(&["error: plugin saved", "failed in request-filter", "trap"]);
    assert!(entry.contains("wasm backtrace"), "{entry}");
    pace.wait_for_log(&["saved.wasm!", "request-filter"]);
    pace.wait_for_log(&[
        "GET / | saved request-filter: failed (trap: a panic ends the call",
        " | 503",
    ]);
    // The plugin is called however often it fails.
    for _ in 0..10 {
        assert_eq!(pace.get("/").status, 503);
    }
    assert!(!pace.log().contains("it is left alone"), "{}", pace.log());

    // Ctrl-C sends SIGINT; a running build is ended, too.
    save(&source, |text| text + "\n");
    pace.signal(Signal::INT);
    let exit = pace.wait();
    assert_eq!(exit.code, Some(0), "{exit:#?}");
}

/// A new key is needed by the new plugin, and refused by the previous one: neither is taken without the
/// other, whichever is saved first.
#[test]
fn new_key_is_taken_with_the_plugin_that_needs_it() {
    let project = project("keyed");
    let (source, cases) = (project.join("src/lib.rs"), project.join("tests/keyed.toml"));
    let backend = HttpBackend::named("backend");
    let args = [
        "plugin",
        "run",
        "--backend",
        &backend.url(),
        "--listen",
        "127.0.0.1:0",
    ];
    let pace = run_in(&project, &args).start();
    pace.wait_for_log(&["its configuration is `[defaults] config` of tests/keyed.toml"]);
    answers(&pace, "This needs an API key.");

    save(&source, |text| {
        let text = text.replace("struct Config {", "struct Config {\n    greeting: String,");
        let text = text.replace("struct Mine {", "struct Mine {\n    greeting: String,");
        let text = text.replace("Ok(Mine { ", "Ok(Mine { greeting: config.greeting, ");
        text.replace(
            ".body(\"This needs an API key.\\n\")",
            ".body(self.greeting.clone())",
        )
    });
    pace.wait_for_log(&["plugin `keyed` (./plugin.wasm) is not taken: missing field `greeting`"]);
    answers(&pace, "This needs an API key.");
    save(&cases, |text| {
        text.replace("config = { keys", "config = { greeting = \"Hello.\", keys")
    });
    answers(&pace, "Hello.");

    // Now the cases are saved first.
    save(&cases, |text| {
        text.replace("greeting = \"Hello.\"", "farewell = \"Bye.\"")
    });
    pace.wait_for_log(&[
        "the configuration is not taken, the old one serves on: plugin `keyed` (./plugin.wasm): farewell: unknown field",
    ]);
    answers(&pace, "Hello.");
    save(&source, |text| text.replace("greeting", "farewell"));
    answers(&pace, "Bye.");
    assert_eq!(pace.stop().code, Some(0));
}

#[test]
fn wasm_file_is_followed() {
    let backend = HttpBackend::named("backend");
    let setup = Setup::new();
    let file = setup.directory().join("a.wasm");
    fs::copy(fixture("respond"), &file).expect("a temporary file can be written");
    let pace = setup
        .args(["plugin", "run", "a.wasm", "--listen", "127.0.0.1:0"])
        .args(["--backend", &backend.url()])
        .start();
    pace.wait_for_log(&["a.wasm is swapped when it changes; nothing builds it"]);
    assert_eq!(pace.get("/respond").status, 418);

    let next = pace.directory().join("b.wasm");
    fs::copy(fixture("trap"), &next).expect("a temporary file can be written");
    fs::rename(&next, &file).expect("a temporary file can be renamed");
    wait_until("the other plugin to serve", || pace.get("/respond").status == 200);
    assert_eq!(pace.get("/misbehave").status, 503);
    pace.wait_for_log(&["error: a: panicked at tests/fixtures/examples/trap.rs:10:9: asked to panic"]);
    assert_eq!(pace.stop().code, Some(0));
}

#[test]
fn several_backends_are_served() {
    let (one, two) = (HttpBackend::named("one"), HttpBackend::named("two"));
    let pace = run(&["builtin:round-robin", "--backend", &one.url()], &two).start();
    assert_eq!([pace.get("/").text(), pace.get("/").text()], ["one", "two"]);
    pace.wait_for_log(&["GET / | round-robin select-upstream: pick ", &one.label()]);
}

#[test]
fn configuration_is_that_of_the_cases_or_the_command_line() {
    let backend = HttpBackend::named("backend");
    let cases = "wasm = 'builtin:rate-limiter'\n\
                 [defaults]\nconfig = { max_requests = 1, window_seconds = 60 }\n\
                 [budget]\nrequest_filter_ns = 1000000000\n";
    let given = |args: &[&str]| {
        let pace = run(args, &backend).file("cases.toml", cases).start();
        (0..3).map(|_| pace.get("/").status).collect::<Vec<_>>()
    };
    assert_eq!(given(&["cases.toml"]), [200, 429, 429]);
    // The cases are saved again with a mistake, and then correctly once more.
    let pace = run(&["cases.toml"], &backend).file("cases.toml", cases).start();
    assert_eq!([pace.get("/").status, pace.get("/").status], [200, 429]);
    let file = pace.directory().join("cases.toml");
    save(&file, |text| text.replace("max_requests = 1", "max_requests = 2"));
    wait_until("the new limit", || pace.get("/").status == 200);
    save(&file, |text| text.replace("max_requests", "max_request"));
    pace.wait_for_log(&[
        "the configuration is not taken, the old one serves on: plugin `rate-limiter` (builtin:rate-limiter): ",
        "max_request: ",
    ]);
    save(&file, |text| text.replace("[defaults]", "[default]"));
    pace.wait_for_log(&["unknown key `default`"]);
    assert_eq!(pace.stop().code, Some(0));
    assert_eq!(
        given(&["cases.toml", "--set", "max_requests = 2"]),
        [200, 200, 429]
    );
    assert_eq!(
        given(&["builtin:rate-limiter", "--set", "max_requests=2"]),
        [200, 200, 429]
    );
}

#[test]
fn unusable_argument_is_reported_at_once() {
    let backend = HttpBackend::named("backend");
    let refusals = [
        (&["."][..], "is no plugin's project", "pace plugin new"),
        (
            &["builtin:robin"],
            "there is no plugin `builtin:robin`",
            "`builtin:round-robin`",
        ),
        (
            &["builtin:round-robin", "--set", "a"],
            "--set \"a\" is no `KEY = VALUE` in TOML",
            "limit = 3",
        ),
        (
            &["builtin:rate-limiter", "--set", "max_request = 3"],
            "max_request: unknown field",
            "its configuration is what --set says",
        ),
        (&["nowhere.wasm"], "cannot read nowhere.wasm", "No such file"),
    ];
    for (args, wrong, remedy) in refusals {
        let exit = run(args, &backend).run();
        let last = exit.stderr.split("pace: ").last().unwrap_or_default();
        assert_eq!(exit.code, Some(1), "{exit:#?}");
        let after = last.split_once(wrong).map(|(_, after)| after);
        assert!(
            after.is_some_and(|after| after.contains(remedy)),
            "{wrong:?}, {remedy:?} in {exit:#?}"
        );
    }
    let exit = Setup::new().args(["plugin", "run", "builtin:round-robin"]).run();
    assert!(exit.stderr.contains("--backend <URL>"), "{exit:#?}");
}
