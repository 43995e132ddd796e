//! The balancers of the binary, in front of backends that are slow, stop, and come back.

use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use pace_tests::{Answer, Gate, HttpBackend, Pace, Response, Setup, wait_until};

use crate::sections::{EVERYTHING, ONE_WORKER, SERVER, pool};

/// A proxy whose only route has this balancer.
fn config(server: &str, balancer: &str, settings: &str, backends: &[&HttpBackend]) -> String {
    let pool = pool("web", backends);
    format!(
        "{server}\n[[plugins]]\nname = \"balance\"\nwasm = \"builtin:{balancer}\"\nconfig = {{ {settings} }}\n\n\
         {pool}\n{EVERYTHING}plugins = [\"balance\"]\n"
    )
}

/// A backend that answers with its name when the gate is open.
fn gated(name: &'static str, gate: &Gate) -> HttpBackend {
    let gate = gate.clone();
    HttpBackend::new(move |_| {
        gate.wait();
        Answer::new(name)
    })
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
    let (slow, quick) = (gated("slow", &hung), gated("quick", &gate));
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
    let (slow, quick) = (gated("slow", &gate), HttpBackend::named("quick"));
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

#[test]
fn balancer_with_a_wrong_setting_is_refused_with_the_way_out() {
    let backend = HttpBackend::down();
    for (balancer, settings, reason) in [
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
