//! Time and memory that a plugin can take from a worker with code that neither loops nor recurses: the
//! request at hand has the documented outcome, and another route is served on the same thread.
//!
//! Each plugin is run in both ways: as the module that it is, and as a component.

use std::path::Path;
use std::thread;

use pace_tests::{HttpBackend, Pace, Setup, exhausts_compiler, text_plugin};

use crate::sections::{ONE_WORKER, plugin, pool};

/// The two ways to run a plugin.
#[derive(Clone, Copy, Debug)]
enum Way {
    Module,
    Component,
}

const WAYS: [Way; 2] = [Way::Module, Way::Component];

/// A plugin with this many pages of memory whose `filter` runs some code, and then lets the request pass.
struct Plugin {
    pages: u32,
    imports: &'static str,
    filter: String,
    more: &'static str,
}

impl Plugin {
    fn new(pages: u32, filter: String) -> Plugin {
        Plugin {
            pages,
            imports: "",
            filter,
            more: "",
        }
    }

    fn bytes(&self, way: Way) -> Vec<u8> {
        let Plugin {
            pages,
            imports,
            filter,
            more,
        } = self;
        // A module with such an export is wrapped in a component.
        let wrapped = match way {
            Way::Module => "",
            Way::Component => r#"(func (export "_initialize"))"#,
        };
        text_plugin(&format!(
            r#"(module
                {imports}
                (memory (export "memory") {pages})
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 2048)
                (func (export "pace:plugin/lifecycle@0.1.0#configure") (param i32 i32) (result i32) i32.const 64)
                (func (export "pace:plugin/request-filter@0.1.0#filter") (result i32) {filter} i32.const 64)
                {wrapped}
                {more})"#
        ))
    }
}

const SET_PATH: &str =
    r#"(import "pace:plugin/request@0.1.0" "set-path-and-query" (func $set-path (param i32 i32 i32)))"#;
const OPEN_COUNTER: &str =
    r#"(import "pace:plugin/counters@0.1.0" "[static]counter.open" (func $open (param i32 i32 i32)))"#;

/// Starts Pace with the plugin on the route `/hostile`, none on any other, and one worker.
fn serving(plugin_bytes: &[u8], limits: &str, backend: &HttpBackend) -> Pace {
    let config = format!(
        "{ONE_WORKER}{}limits = {{ {limits} }}\nbreaker = {{ failures = 0 }}\nrollback = {{ calls = 0 }}\n\n{}\n\
         [[routes]]\npool = \"web\"\n\n\
         [[routes]]\nmatch = {{ path_prefix = \"/hostile\" }}\npool = \"web\"\nplugins = [\"hostile\"]\n",
        plugin("hostile", Path::new("hostile.wasm")),
        pool("web", &[backend]),
    );
    Setup::new()
        .file("hostile.wasm", plugin_bytes)
        .config(&config)
        .start()
}

/// Checks that each request to the plugin fails for this reason, while a healthy route has at least as many
/// answers.
fn fails_beside_a_healthy_route(pace: &Pace, runs: Way, reason: &str) {
    const REQUESTS: u64 = 10;
    let expected = match runs {
        Way::Module => "module",
        Way::Component => "component",
    };
    assert_eq!(pace.plugin("hostile")["runs"], expected);
    thread::scope(|scope| {
        let hostile = scope.spawn(|| {
            let mut client = pace.client();
            (0..REQUESTS).all(|_| client.get("/hostile").status == 503)
        });
        let mut client = pace.client();
        let mut served = 0;
        while !hostile.is_finished() || served < REQUESTS {
            let response = client.get("/");
            assert_eq!((response.status, response.text()), (200, "one"));
            served += 1;
        }
        assert!(hostile.join().expect("it was answered"), "{runs:?}: each failed");
    });
    let labels = [("plugin", "hostile"), ("reason", reason)];
    pace.wait_for_metric("pace_plugin_failures_total", &labels, REQUESTS);
}

/// The call passes fourteen megabytes a hundred times, which are neither validated nor copied more often than
/// once.
#[test]
fn bytes_passed_to_host_functions_are_bounded_for_each_call() {
    let backend = HttpBackend::named("one");
    let large = "(call $set-path (i32.const 4096) (i32.const 14000000) (i32.const 1024))\n".repeat(100);
    let many = "(call $set-path (i32.const 4096) (i32.const 65536) (i32.const 1024))\n".repeat(100);
    for filter in [large, many] {
        let plugin = Plugin {
            imports: SET_PATH,
            ..Plugin::new(240, filter)
        };
        for way in WAYS {
            let pace = serving(&plugin.bytes(way), "time_ms = 1000", &backend);
            fails_beside_a_healthy_route(&pace, way, "illegal-output");
        }
    }
}

/// A path that is too long is refused, and the plugin goes on.
#[test]
fn path_that_is_too_long_is_an_error_for_the_plugin() {
    let backend = HttpBackend::named("one");
    // `too-large` is the fourth case of the error.
    let filter = "(call $set-path (i32.const 4096) (i32.const 70000) (i32.const 1024))
         (if (i32.ne (i32.load16_u (i32.const 1024)) (i32.const 0x0301)) (then unreachable))";
    let plugin = Plugin {
        imports: SET_PATH,
        ..Plugin::new(4, filter.to_owned())
    };
    for way in WAYS {
        let pace = serving(&plugin.bytes(way), "time_ms = 1000", &backend);
        assert_eq!(pace.get("/hostile").status, 200, "{way:?}");
    }
}

/// The deadline is checked with each call of a host function.
#[test]
fn calls_of_host_functions_are_stopped_at_the_deadline() {
    let backend = HttpBackend::named("one");
    let filter = "(call $open (i32.const 4096) (i32.const 1) (i32.const 1024))\n".repeat(60_000);
    let plugin = Plugin {
        imports: OPEN_COUNTER,
        more: r#"(data (i32.const 4096) "a")"#,
        ..Plugin::new(1, filter)
    };
    for way in WAYS {
        let pace = serving(&plugin.bytes(way), "time_ms = 1", &backend);
        fails_beside_a_healthy_route(&pace, way, "deadline");
    }
}

/// A single instruction cannot be stopped, so a hook that took too long has failed, whatever it returned.
#[test]
fn hook_that_returns_after_the_deadline_has_failed() {
    let backend = HttpBackend::named("one");
    let fill = "(memory.fill (i32.const 4096) (i32.const 255) (i32.const 250000000))".to_owned();
    let plugin = Plugin::new(4000, fill);
    for way in WAYS {
        let limits = "time_ms = 1, memory_mb = 256, recycle_memory_mb = 256";
        let pace = serving(&plugin.bytes(way), limits, &backend);
        fails_beside_a_healthy_route(&pace, way, "deadline");
        pace.wait_for_entry(&["deadline", "longer than its 1ms"]);
    }
}

#[test]
fn filling_and_copying_memory_is_stopped_at_the_deadline() {
    let backend = HttpBackend::named("one");
    let fill = "(memory.fill (i32.const 4096) (i32.const 255) (i32.const 15000000))\n";
    let copy = "(memory.copy (i32.const 4096) (i32.const 8192) (i32.const 15000000))\n";
    let plugin = Plugin::new(240, [fill, copy].concat().repeat(2_000));
    for way in WAYS {
        let pace = serving(&plugin.bytes(way), "time_ms = 10", &backend);
        fails_beside_a_healthy_route(&pace, way, "deadline");
    }
}

/// The same holds for the start of an instance: it is not used then.
#[test]
fn instance_that_starts_too_slowly_is_refused() {
    for way in WAYS {
        let plugin = Plugin {
            more: "(func $start (memory.fill (i32.const 4096) (i32.const 255) (i32.const 250000000)))
                (start $start)",
            ..Plugin::new(4000, String::new())
        };
        let limits = "limits = { time_ms = 1, memory_mb = 256 }";
        let exit = refused(&plugin.bytes(way), limits);
        assert!(exit.contains("starting the instance failed"), "{way:?}: {exit}");
        assert!(exit.contains("longer than its 1ms"), "{way:?}: {exit}");
    }
}

/// A body is measured before it is copied, and the error tells what it was.
#[test]
fn body_that_is_too_large_is_not_copied() {
    let backend = HttpBackend::named("one");
    for (length, told) in [(5_000_000, "body of 5000000 bytes"), (15_000_000, "bytes")] {
        // `respond`, with a status and no headers.
        let filter = format!(
            "(i32.store (i32.const 64) (i32.const 1)) (i32.store (i32.const 68) (i32.const 200))
             (i32.store (i32.const 80) (i32.const 4096)) (i32.store (i32.const 84) (i32.const {length}))"
        );
        for way in WAYS {
            let plugin = Plugin::new(240, filter.clone());
            let pace = serving(&plugin.bytes(way), "time_ms = 1000", &backend);
            fails_beside_a_healthy_route(&pace, way, "illegal-output");
            if matches!(way, Way::Module) {
                pace.wait_for_entry(&["illegal-output", told]);
            }
        }
    }
}

/// A file of some KB for which a compiler takes gigabytes ends the compiling process, and no other.
#[test]
fn file_that_exhausts_the_compiler_is_refused() {
    let file = exhausts_compiler();
    assert!(file.len() < 16 << 10, "{} bytes", file.len());
    let said = refused(&file, "");
    for part in [
        "hostile.wasm",
        "takes more than the 2 GiB of memory",
        "look where the file comes from",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

/// Pace's reason not to start with this plugin.
fn refused(plugin_bytes: &[u8], keys: &str) -> String {
    let config = format!(
        "{ONE_WORKER}{}{keys}\n\n{}\n[[routes]]\npool = \"web\"\nplugins = [\"hostile\"]\n",
        plugin("hostile", Path::new("hostile.wasm")),
        pool("web", &[&HttpBackend::down()]),
    );
    let setup = Setup::new().file("hostile.wasm", plugin_bytes).config(&config);
    setup.run().refusal().to_owned()
}
