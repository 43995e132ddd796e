//! The memory that the counters and windows of plugins may take, and what is forgotten when it is used up.

use pace_tests::{HttpBackend, Pace, component, fixture, wait_until};

use crate::sections::{ONE_WORKER, plugin, pool};
use crate::swapping::reconfigure;

const MIB: u64 = 1 << 20;

/// Starts a plugin that counts a thousand and more new keys with each request, of 200 bytes each.
fn hoarding(server: &str, limits: &str, backend: &HttpBackend) -> Pace {
    let config = format!(
        "{server}{}limits = {{ time_ms = 1000, {limits} }}\n\n{}\n[[routes]]\npool = \"web\"\nplugins = [\"hoard\"]\n",
        plugin("hoard", &fixture("window-hoard")),
        pool("web", &[backend]),
    );
    Pace::with_config(&config)
}

fn bytes(pace: &Pace, name: &str) -> u64 {
    pace.metrics().sum("pace_plugin_state_bytes", &[("plugin", name)])
}

fn forgotten(pace: &Pace, name: &str) -> u64 {
    pace.metrics()
        .sum("pace_plugin_state_forgotten_total", &[("plugin", name)])
}

/// Sends requests until keys have been forgotten many times, but never the busy one: forgetting it would give
/// a client a second budget.
fn hoard_for_long(pace: &Pace, most: u64) {
    let mut client = pace.client();
    let mut requests = 0;
    while forgotten(pace, "hoard") < 100_000 {
        let response = client.get("/");
        requests += 1;
        let expected = match requests {
            1..=5 => requests.to_string(),
            _ => "full".to_owned(),
        };
        assert_eq!(
            response.header("x-busy"),
            Some(&*expected),
            "request {requests}: {response:?}"
        );
        let taken = bytes(pace, "hoard");
        assert!(taken <= most, "{taken} bytes after {requests} requests");
    }
}

#[test]
fn plugin_at_its_memory_limit_forgets_its_quietest_keys() {
    let backend = HttpBackend::named("one");
    let pace = hoarding(ONE_WORKER, "window_keys = 100000, state_mb = 4", &backend);
    hoard_for_long(&pace, 4 * MIB);
    assert!(bytes(&pace, "hoard") > 3 * MIB, "it has what it may have");
}

#[test]
fn limit_of_all_plugins_together_holds() {
    let backend = HttpBackend::named("one");
    let server = ONE_WORKER.replace("workers = 1", "workers = 1\nstate_mb = 4");
    let pace = hoarding(&server, "window_keys = 100000", &backend);
    hoard_for_long(&pace, 4 * MIB);
}

/// A plugin with little state does not forget because of one with much.
#[test]
fn plugin_with_most_state_forgets_first() {
    let backend = HttpBackend::named("one");
    let server = ONE_WORKER.replace("workers = 1", "workers = 1\nstate_mb = 4");
    let config = format!(
        "{server}{}limits = {{ time_ms = 1000 }}\n\n{}config = {{ max_requests = 2, window_seconds = 6000 }}\n\n{}\n\
         [[routes]]\npool = \"web\"\nplugins = [\"hoard\"]\n\n\
         [[routes]]\nmatch = {{ path_prefix = \"/limited\" }}\npool = \"web\"\nplugins = [\"limit\"]\n",
        plugin("hoard", &fixture("window-hoard")),
        plugin("limit", &component("rate-limiter")),
        pool("web", &[&backend]),
    );
    let pace = Pace::with_config(&config);
    let mut client = pace.client();
    for expected in [200, 200, 429] {
        assert_eq!(client.get("/limited").status, expected);
    }
    wait_until("many keys to be forgotten", || {
        client.get("/");
        forgotten(&pace, "hoard") > 50_000
    });
    assert_eq!(client.get("/limited").status, 429, "the client is still known");
    assert_eq!(forgotten(&pace, "limit"), 0);
}

#[test]
fn smaller_limit_holds_as_soon_as_it_is_configured() {
    let backend = HttpBackend::named("one");
    let pace = hoarding(ONE_WORKER, "window_keys = 100000, state_mb = 16", &backend);
    let mut client = pace.client();
    wait_until("the plugin to have much", || {
        client.get("/");
        bytes(&pace, "hoard") > 8 * MIB
    });
    assert_eq!(forgotten(&pace, "hoard"), 0);
    let (status, said) = reconfigure(&pace, |config| config.replace("state_mb = 16", "state_mb = 3"));
    assert_eq!(status, 200, "{said}");
    wait_until("it to have less", || bytes(&pace, "hoard") <= 3 * MIB);
    assert!(forgotten(&pace, "hoard") > 0);
    assert_eq!(
        client.get("/").header("x-busy"),
        Some("full"),
        "it was never quiet"
    );
}
