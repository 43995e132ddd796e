//! The status of a plugin in `/plugins`.

use std::time::{SystemTime, UNIX_EPOCH};

use pace_tests::{HttpBackend, Pace, Request, fixture};
use serde_json::json;

use crate::sections::{SERVER, plugin, pool};

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("it is later than 1970").as_secs()
}

#[test]
fn status_describes_the_serving_generation() {
    let backend = HttpBackend::named("one");
    let file = fixture("counts-calls");
    let began = now();
    let pace = Pace::with_config(&format!(
        "{SERVER}{}{}\n{}\n[[routes]]\npool = \"web\"\nplugins = [\"trap\", \"count\"]\n",
        plugin("count", &file),
        plugin("trap", &fixture("trap")),
        pool("web", &[&backend]),
    ));
    for path in ["/", "/", "/misbehave"] {
        pace.get(path);
    }
    let mut count = pace.plugin("count");
    let since = count["since"].as_u64().expect("it is a number");
    assert!((began..=now()).contains(&since), "{since}");
    let imports = count["imports"].as_array().expect("it is a list");
    assert!(
        imports.contains(&json!("pace:plugin/counters@0.1.0")),
        "{imports:?}"
    );
    let sha256 = count["sha256"].as_str().expect("it is a text");
    assert!(sha256.len() == 64 && sha256.bytes().all(|digit| digit.is_ascii_hexdigit()));
    for seen in ["since", "imports", "sha256"] {
        count[seen].take();
    }
    assert_eq!(
        count,
        json!({
            "name": "count",
            "file": file.to_str(),
            "sha256": null,
            "generation": 1,
            "since": null,
            "previous": null,
            "contract": "pace:plugin@0.1.0",
            "runs": "module",
            "hooks": ["response-filter"],
            "imports": null,
            "calls": 2,
            "failures": 0,
            "breaker": { "state": "closed", "open_for_ms": null },
            "refused": null,
        })
    );
    let trap = pace.plugin("trap");
    assert_eq!((&trap["calls"], &trap["failures"]), (&json!(3), &json!(1)));
}

/// The header that `[admin] debug_header` names reveals the generations that served a request, also if they
/// served it badly.
#[test]
fn debug_header_reveals_the_generations() {
    let mut backend = HttpBackend::named("one");
    let with = |debug_header: &str, backend: &HttpBackend| {
        Pace::with_config(&format!(
            "{SERVER}{debug_header}\n{}{}\n{}\n[[routes]]\npool = \"web\"\nplugins = [\"trap\", \"respond\"]\n",
            plugin("trap", &fixture("trap")),
            plugin("respond", &fixture("respond")),
            pool("web", &[backend]),
        ))
    };
    let pace = with("debug_header = \"X-Tell-Me\"", &backend);
    let asks = |path| Request::get(path).header("x-tell-me", "");
    for (path, status) in [("/", 200), ("/respond", 418), ("/misbehave", 503)] {
        let response = pace.client().send(&asks(path));
        assert_eq!(response.status, status);
        assert_eq!(
            response.header("x-pace-generations"),
            Some("trap=1 respond=1 builtin:round-robin=1"),
            "{path}"
        );
        assert_eq!(pace.get(path).header("x-pace-generations"), None, "{path}");
    }
    backend.stop();
    let response = pace.client().send(&asks("/"));
    assert_eq!(response.status, 503);
    assert!(
        response.header("x-pace-generations").is_some(),
        "also without a backend"
    );

    backend.start();
    for none in ["", "debug_header = \"\""] {
        let response = with(none, &backend).client().send(&asks("/"));
        assert_eq!(response.header("x-pace-generations"), None, "{none}");
    }
}
