//! The rate limiter: who is limited, to how many requests, and for how long.

use std::thread;
use std::time::{Duration, Instant};

use pace_tests::{HttpBackend, Pace, Request, Setup, wait_for};

use crate::sections::{SERVER, pool};
use crate::swapping::reconfigure;

/// The time by which a window of two seconds may hold a request too long: a 1024th of it, in whole
/// milliseconds, and one more for a clock of whole milliseconds. `Retry-After` never exceeds the window.
const STEP: Duration = Duration::from_millis(2 + 1);

/// Room comes back when the oldest request leaves the window, however often the client asks meanwhile.
#[test]
fn denied_requests_do_not_count_and_retry_after_is_kept() {
    let backend = HttpBackend::named("one");
    let pace = limited(&backend, "max_requests = 3\nwindow_seconds = 2");
    let mut client = pace.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").status, 200);
    }

    // If one of these denied requests counted, the window would never empty.
    let mut promise: Option<Instant> = None;
    let denied = wait_for("room in the window", || {
        let asked = Instant::now();
        let response = client.get("/");
        if response.status == 200 {
            return Some(promise.is_some());
        }
        assert_eq!(response.status, 429);
        let seconds = response
            .header("retry-after")
            .and_then(|seconds| seconds.parse().ok())
            .expect("whole seconds");
        assert!((1..=3).contains(&seconds), "Retry-After: {seconds}");
        let promised = *promise.get_or_insert(Instant::now() + Duration::from_secs(seconds) + STEP);
        assert!(asked <= promised, "denied after the time that Retry-After named");
        None
    });
    assert!(denied, "the fourth request was over the limit");
}

#[test]
fn limit_is_exact_for_concurrent_requests() {
    let backend = HttpBackend::named("one");
    let pace = limited(&backend, "max_requests = 50\nwindow_seconds = 600");

    let passed: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = pace.client();
                    (0..20).filter(|_| client.get("/").status == 200).count()
                })
            })
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().expect("the client was answered"))
            .sum()
    });
    assert_eq!(passed, 50);
    assert_eq!(backend.requests().len(), 50);
}

#[test]
fn header_can_be_the_key() {
    let backend = HttpBackend::named("one");
    let pace = limited(
        &backend,
        "max_requests = 1\nwindow_seconds = 600\nkey_extractor = \"header:x-api-key\"",
    );
    let mut client = pace.client();
    let mut ask = |key: &str| client.send(&Request::get("/").header("X-Api-Key", key)).status;

    assert_eq!((ask("a"), ask("b")), (200, 200));
    assert_eq!((ask("a"), ask("b")), (429, 429));
    // A key that looks like an address does not stand for the client with that address.
    assert_eq!(ask("127.0.0.1"), 200);
    assert_eq!(
        pace.get("/").status,
        200,
        "without the header, the address counts"
    );
    assert_eq!(pace.get("/").status, 429);
}

#[test]
fn prefix_length_makes_one_client_of_a_network() {
    let backend = HttpBackend::named("one");
    let pace = limited(
        &backend,
        "max_requests = 1\nwindow_seconds = 600\nipv4_prefix = 24",
    );
    let ask = |from: &str| pace.client_from(from).get("/").status;

    assert_eq!((ask("127.0.1.1"), ask("127.0.1.2")), (200, 429));
    assert_eq!(ask("127.0.2.1"), 200);
}

#[test]
fn disabled_limiter_limits_nothing() {
    let backend = HttpBackend::named("one");
    let pace = limited(&backend, "enabled = false\nmax_requests = 1");
    let mut client = pace.client();
    for _ in 0..5 {
        assert_eq!(client.get("/").status, 200);
    }
}

/// A route with its own configuration of the plugin counts for itself; routes that use the plugin's share its
/// counts.
#[test]
fn route_with_its_own_config_has_its_own_window() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&format!(
        r#"{SERVER}
[[plugins]]
name = "limit"
wasm = "builtin:rate-limiter"
config = {{ max_requests = 2, window_seconds = 600 }}

{pool}
[[routes]]
match = {{ path_prefix = "/login" }}
pool = "web"
plugins = [{{ use = "limit", config = {{ max_requests = 1 }} }}]

[[routes]]
match = {{ path_prefix = "/a" }}
pool = "web"
plugins = ["limit"]

[[routes]]
match = {{ path_prefix = "/b" }}
pool = "web"
plugins = ["limit"]
"#,
        pool = pool("web", &[&backend]),
    ));
    let mut client = pace.client();
    let mut ask = |path: &str| client.get(path).status;

    assert_eq!((ask("/login"), ask("/login")), (200, 429));
    assert_eq!((ask("/a"), ask("/b")), (200, 200));
    assert_eq!((ask("/a"), ask("/b")), (429, 429));
}

fn limited(backend: &HttpBackend, rate_limit: &str) -> Pace {
    let url = backend.url();
    Pace::with_config(&format!(
        "{SERVER}\n[upstreams]\nbackends = [{url:?}]\n\n[rate_limit]\n{rate_limit}\n"
    ))
}

/// The client that was quiet for longest is forgotten, and no other; a client that keeps asking is not.
#[test]
fn full_window_forgets_the_quietest_client() {
    let backend = HttpBackend::named("one");
    let config = |keys: u32| {
        format!(
            "{SERVER}\n[[plugins]]\nname = \"limit\"\nwasm = \"builtin:rate-limiter\"\n\
             limits = {{ window_keys = {keys} }}\nconfig = {{ max_requests = 1, window_seconds = 600 }}\n\n\
             {}\n[[routes]]\npool = \"web\"\nplugins = [\"limit\"]\n",
            pool("web", &[&backend])
        )
    };
    let pace = Pace::with_config(&config(2));
    let ask = |clients: &[u8]| -> Vec<u16> {
        let statuses = clients.iter().map(|client| {
            let address = format!("127.0.0.{client}");
            pace.client_from(&address).get("/").status
        });
        statuses.collect()
    };
    assert_eq!(ask(&[2, 3]), [200, 200]);
    // The first asks again, the third comes, and the second is forgotten.
    assert_eq!(ask(&[2, 4]), [429, 200]);
    assert_eq!(ask(&[2, 4, 2]), [429, 429, 429], "no second budget");
    assert_eq!(ask(&[3]), [200], "it begins anew, and now the third has to go");

    // With more room, known clients keep their counts.
    assert_eq!(reconfigure(&pace, |_| config(3)).0, 200);
    assert_eq!(ask(&[2, 3, 4]), [429, 429, 200]);
    assert_eq!(ask(&[2, 3, 4]), [429, 429, 429]);

    // With room for only one, the client that asked last stays. A refused configuration changes nothing.
    assert_eq!(reconfigure(&pace, |_| config(1) + "nonsense").0, 409);
    assert_eq!(ask(&[2, 3, 4]), [429, 429, 429]);
    assert_eq!(reconfigure(&pace, |_| config(1)).0, 200);
    assert_eq!(ask(&[4, 3]), [429, 200]);
}

#[test]
fn limiter_without_windows_is_refused() {
    let backend = HttpBackend::named("one");
    let exit = Setup::new()
        .config(&format!(
            "{SERVER}\n[[plugins]]\nname = \"limit\"\nwasm = \"builtin:rate-limiter\"\nlimits = {{ windows = 0 }}\n\
             {}\n[[routes]]\npool = \"web\"\nplugins = [\"limit\"]\n",
            pool("web", &[&backend])
        ))
        .run();
    assert!(exit.refusal().contains("plugin `limit`"), "{exit:?}");
}
