//! The balancers of the binary, in front of backends that are slow, stop, and come back.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use pace_tests::{Answer, Gate, HttpBackend, Pace, Request, Response, Setup, wait_until};

use crate::sections::{EVERYTHING, ONE_WORKER, SERVER, pool};

/// A proxy whose only route has this balancer.
fn config(server: &str, balancer: &str, settings: &str, backends: &[&HttpBackend]) -> String {
    let pool = pool("web", backends);
    format!(
        "{server}\n[[plugins]]\nname = \"balance\"\nwasm = \"builtin:{balancer}\"\nconfig = {{ {settings} }}\n\n\
         {pool}\n{EVERYTHING}plugins = [\"balance\"]\n"
    )
}

/// Sends a request from a client of its own, and waits until a backend has it.
fn begin<'scope>(
    scope: &'scope Scope<'scope, '_>,
    pace: &'scope Pace,
    backends: &[&HttpBackend],
) -> ScopedJoinHandle<'scope, Response> {
    let requests = || -> usize { backends.iter().map(|backend| backend.requests().len()).sum() };
    let before = requests();
    let response = scope.spawn(|| pace.get("/"));
    wait_until("a backend to have the request", || requests() > before);
    response
}

/// Requests that nobody answers yet are spread evenly. When one of the two backends answers again, it gets all requests
/// until the other has done so too.
#[test]
fn least_request_sends_nothing_to_a_backend_that_hangs() {
    let (hung, gate) = (Gate::new(), Gate::new());
    let (slow, quick) = (
        HttpBackend::behind(&hung, "slow"),
        HttpBackend::behind(&gate, "quick"),
    );
    let both = [&slow, &quick];
    let pace = Pace::with_config(&config(SERVER, "least-request", "", &both));
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..8).map(|_| begin(scope, &pace, &both)).collect();
        assert_eq!(both.map(|backend| backend.requests().len()), [4, 4]);

        gate.open();
        wait_until("the quick backend to have answered", || {
            waiting.iter().filter(|response| response.is_finished()).count() == 4
        });
        let mut client = pace.client();
        for _ in 0..20 {
            assert_eq!(client.get("/").text(), "quick");
        }
        assert_eq!(slow.requests().len(), 4);

        hung.open();
        for response in waiting {
            assert_eq!(response.join().expect("it has an answer").status, 200);
        }
    });
    let mut client = pace.client();
    let mut answers = || client.get("/").text().to_owned();
    wait_until("the slow backend to get requests again", || answers() == "slow");
}

/// The first answer of one backend takes ten times as long as any of the other, however fast or slow the machine is.
#[test]
fn peak_ewma_prefers_the_backend_that_answers_sooner() {
    let gate = Gate::new();
    let (slow, quick) = (HttpBackend::behind(&gate, "slow"), HttpBackend::named("quick"));
    let pace = Pace::with_config(&config(ONE_WORKER, "peak-ewma", "", &[&slow, &quick]));
    thread::scope(|scope| {
        // Nothing is known of either, so the quick one may be asked first. The other is asked then, to be measured.
        let mut longest = Duration::ZERO;
        let (waiting, since) = loop {
            let since = Instant::now();
            let response = scope.spawn(|| pace.get("/"));
            wait_until("a backend to have the request", || {
                slow.requests().len() == 1 || response.is_finished()
            });
            if slow.requests().len() == 1 {
                break (response, Instant::now());
            }
            longest = longest.max(since.elapsed());
        };
        let mut client = pace.client();
        let mut ask = || {
            let since = Instant::now();
            assert_eq!(client.get("/").text(), "quick");
            since.elapsed()
        };
        let mut asked = 0;
        wait_until("the slow backend to be slow", || {
            longest = longest.max(ask());
            asked += 1;
            asked >= 100 && since.elapsed() > 10 * longest
        });
        assert_eq!(slow.requests().len(), 1, "it has a request to be measured by");
        gate.open();
        assert_eq!(waiting.join().expect("it has an answer").text(), "slow");
        for _ in 0..20 {
            ask();
        }
        assert_eq!(slow.requests().len(), 1, "it is known to be slow");
    });
}

/// The pool is not busy, so the requests of its slow half do not pile up, and would be the slowest of all.
#[test]
fn least_request_leaves_the_slow_half_of_a_pool_alone() {
    let slow = || {
        HttpBackend::new(|_| {
            thread::sleep(Duration::from_millis(300));
            Answer::new("slow")
        })
    };
    let slow = [slow(), slow()];
    let quick = ["quick", "quick"].map(HttpBackend::named);
    let all = [&slow[0], &quick[0], &slow[1], &quick[1]];
    let pace = Pace::with_config(&config(ONE_WORKER, "least-request", "", &all));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = pace.client();
                for _ in 0..100 {
                    assert_eq!(client.get("/").status, 200);
                }
            });
        }
    });
    let requests: usize = slow.iter().map(|backend| backend.requests().len()).sum();
    // One each until they have answered, and one now and then that shows whether they still are slow.
    assert!(requests <= 10, "{requests} of 400");
}

/// A backend that refuses connections is neither busy nor slow, and is still not asked again and again.
#[test]
fn backend_that_refuses_connections_gets_few_requests() {
    for balancer in ["least-request", "peak-ewma"] {
        let (down, up) = (HttpBackend::down(), HttpBackend::named("up"));
        let pace = Pace::with_config(&config(ONE_WORKER, balancer, "", &[&down, &up]));
        let mut client = pace.client();
        for _ in 0..50 {
            assert_eq!(client.get("/").text(), "up");
        }
        let labels = [("backend", &*down.label())];
        let attempts = pace.metrics().sum("pace_upstream_attempts_total", &labels);
        assert!((1..10).contains(&attempts), "{balancer}: {attempts} of 50");
    }
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// The backend of each of fifty users by a request with their cookie, each from another connection.
fn places(pace: &Pace) -> BTreeMap<usize, String> {
    let place = |user: usize| {
        let request = Request::get("/").header("Cookie", format!("theme=dark; user={user}"));
        let response = pace.client().send(&request);
        assert_eq!(response.status, 200);
        (user, response.text().to_owned())
    };
    (0..50).map(place).collect()
}

#[test]
fn consistent_hash_moves_only_the_keys_of_a_backend_that_stops() {
    let mut backends = NAMES.map(HttpBackend::named);
    let settings = "key = \"cookie:user\"";
    let pace = Pace::with_config(&config(SERVER, "consistent-hash", settings, &backends.each_ref()));
    let before = places(&pace);
    assert_eq!(before, places(&pace), "whichever worker serves");
    let used: BTreeSet<_> = before.values().map(String::as_str).collect();
    assert_eq!(used, BTreeSet::from(NAMES));

    backends[1].stop();
    let without = places(&pace);
    for (user, place) in &before {
        match place.as_str() {
            "b" => assert_ne!(without[user], "b"),
            _ => assert_eq!(without[user], *place, "user {user}"),
        }
    }
    assert_eq!(without, places(&pace), "their second choice is as steady");

    backends[1].start();
    assert_eq!(before, places(&pace));
}

/// Another Pace lists the same backends in another order.
#[test]
fn consistent_hash_agrees_between_proxies() {
    let backends = NAMES.map(HttpBackend::named);
    let settings = "key = \"cookie:user\"";
    let mut order = backends.each_ref();
    let one = Pace::with_config(&config(SERVER, "consistent-hash", settings, &order));
    order.reverse();
    let other = Pace::with_config(&config(SERVER, "consistent-hash", settings, &order));
    assert_eq!(places(&one), places(&other));
}

#[test]
fn consistent_hash_tells_clients_and_paths_apart() {
    let backends = NAMES.map(HttpBackend::named);
    let of_client = Pace::with_config(&config(SERVER, "consistent-hash", "", &backends.each_ref()));
    let of_path = Pace::with_config(&config(
        SERVER,
        "consistent-hash",
        "key = \"path\"",
        &backends.each_ref(),
    ));
    let places = |place: &dyn Fn(usize) -> Response| -> BTreeSet<String> {
        (1..30).map(|number| place(number).text().to_owned()).collect()
    };
    let client = |number: usize| of_client.client_from(&format!("127.0.0.{number}"));
    assert_eq!(places(&|number| client(7).get(&format!("/{number}"))).len(), 1);
    assert!(places(&|number| client(number).get("/7")).len() > 1);
    assert_eq!(
        places(&|number| of_path.get(&format!("/7?page={number}"))).len(),
        1
    );
    assert!(places(&|number| of_path.get(&format!("/{number}"))).len() > 1);
}

/// All requests have the same key. With a bound of 125 percent, eight requests on four backends are three at most on
/// each.
#[test]
fn consistent_hash_with_a_bound_spreads_a_key_in_great_demand() {
    let gate = Gate::new();
    let backends = NAMES.map(|name| HttpBackend::behind(&gate, name));
    let all = backends.each_ref();
    let pace = Pace::with_config(&config(
        ONE_WORKER,
        "consistent-hash",
        "max_load_percent = 125",
        &all,
    ));
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..8).map(|_| begin(scope, &pace, &all)).collect();
        let counts = all.map(|backend| backend.requests().len());
        assert!(counts.iter().all(|count| *count <= 3), "{counts:?}");
        gate.open();
        for response in waiting {
            assert_eq!(response.join().expect("it has an answer").status, 200);
        }
    });
}

#[test]
fn balancer_with_a_wrong_setting_is_refused_with_the_way_out() {
    let backend = HttpBackend::down();
    for (balancer, settings, reason) in [
        (
            "consistent-hash",
            "key = \"ip\"",
            "key: unknown value `ip`, expected `client`, `path`, `header:NAME` or `cookie:NAME`",
        ),
        (
            "peak-ewma",
            "decay_ms = 1",
            "decay_ms: invalid value: integer `1`, expected an integer from 100 to 3600000",
        ),
        ("least-request", "choices = 3", "choices: unknown field `choices`"),
    ] {
        let text = config(SERVER, balancer, settings, &[&backend]);
        let exit = Setup::new().args(["check"]).config(&text).run();
        assert_ne!(exit.code, Some(0), "{exit:#?}");
        assert!(exit.stderr.contains(reason), "{exit:#?}");
        assert!(exit.stderr.contains("`balance`"), "{exit:#?}");
    }
}
