//! Counters and windows are the host's: no swap gives a client a second budget, and none takes part of it.

use std::fs;
use std::path::Path;
use std::thread;

use pace_tests::{HttpBackend, Pace, Request, component, edition, fixture};

use crate::sections::{SERVER, plugin, pool};
use crate::swapping::directory;

/// The requests that a client may make in a window that outlasts every test.
const LIMIT: usize = 20;

fn limiter(file: &Path, keys: &str, more: &str, backend: &HttpBackend) -> String {
    format!(
        "{SERVER}\n{}config = {{ max_requests = {LIMIT}, window_seconds = 6000 }}\n{keys}\n\n{}\n\
         [[routes]]\npool = \"web\"\nplugins = [\"limit\"]\n{more}",
        plugin("limit", file),
        pool("web", &[backend]),
    )
}

/// The number of requests that pass.
fn pass(pace: &Pace, requests: usize) -> usize {
    let mut client = pace.client();
    (0..requests).filter(|_| client.get("/").status == 200).count()
}

#[test]
fn window_survives_swaps_and_rollbacks() {
    let files = directory();
    let file = files.path().join("limit.wasm");
    let limiter_of = component("rate-limiter");
    fs::copy(&limiter_of, &file).expect("it can be copied");
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&limiter(&file, "", "", &backend));

    assert_eq!(pass(&pace, 7), 7);
    fs::write(&file, edition(&limiter_of, 2)).expect("it can be written");
    pace.wait_for_generation("limit", 2);
    assert_eq!(pass(&pace, 5), 5);
    let rollback = Request::post("/plugins/limit/rollback", "");
    assert_eq!(pace.admin().send(&rollback).status, 200);
    assert_eq!(pass(&pace, LIMIT), LIMIT - 7 - 5);
}

#[test]
fn window_survives_another_configuration() {
    let backend = HttpBackend::named("one");
    let builtin = Path::new("builtin:rate-limiter");
    let pace = Pace::with_config(&limiter(builtin, "", "", &backend));
    let config = pace.directory().join("pace.toml");

    assert_eq!(pass(&pace, 7), 7);
    // Other limits make another generation.
    fs::write(
        &config,
        limiter(builtin, "limits = { time_ms = 20 }", "", &backend),
    )
    .expect("it can be written");
    pace.wait_for_generation("limit", 2);
    assert_eq!(pass(&pace, 5), 5);
    // Another route does not.
    let route = "[[routes]]\nmatch = { path_prefix = \"/more\" }\npool = \"web\"\nplugins = [\"limit\"]\n";
    fs::write(
        &config,
        limiter(builtin, "limits = { time_ms = 20 }", route, &backend),
    )
    .expect("it can be written");
    let all = pace.admin().send(&Request::post("/reload", ""));
    assert_eq!(all.status, 200, "{all:?}");
    assert_eq!(pace.get("/more").status, 200);
    assert_eq!(pass(&pace, LIMIT), LIMIT - 7 - 5 - 1);
}

#[test]
fn window_is_exact_while_generations_change() {
    const CLIENTS: usize = 4;
    let files = directory();
    let file = files.path().join("limit.wasm");
    let limiter_of = component("rate-limiter");
    fs::copy(&limiter_of, &file).expect("it can be copied");
    let backend = HttpBackend::named("one");
    let config = limiter(&file, "", "", &backend).replace(&format!("= {LIMIT},"), "= 1000,");
    let pace = Pace::with_config(&config);
    let passed: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| pass(&pace, 400))).collect();
        for number in 2..6 {
            fs::write(&file, edition(&limiter_of, number)).expect("it can be written");
            let reload = Request::post("/plugins/limit/reload", "");
            assert_eq!(pace.admin().send(&reload).status, 200);
        }
        clients
            .into_iter()
            .map(|client| client.join().expect("it was answered"))
            .sum()
    });
    assert_eq!(passed, 1000);
}

#[test]
fn counter_continues_in_the_next_generation() {
    let files = directory();
    let file = files.path().join("count.wasm");
    let counts = fixture("counts-calls");
    fs::copy(&counts, &file).expect("it can be copied");
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&format!(
        "{SERVER}{}\n{}\n[[routes]]\npool = \"web\"\nplugins = [\"count\"]\n",
        plugin("count", &file),
        pool("web", &[&backend]),
    ));
    for number in 1..5 {
        assert_eq!(pace.get("/").header("x-calls"), Some(number.to_string().as_str()));
        fs::write(&file, edition(&counts, number)).expect("it can be written");
        pace.wait_for_generation("count", u64::from(number) + 1);
    }
}
