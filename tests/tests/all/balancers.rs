//! The balancers of the binary, in front of backends that are slow, stop, and come back.

use std::thread::{self, Scope, ScopedJoinHandle};

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

/// A backend that refuses connections is never busy, and is still not asked again and again.
#[test]
fn backend_that_refuses_connections_gets_few_requests() {
    let (down, up) = (HttpBackend::down(), HttpBackend::named("up"));
    let pace = Pace::with_config(&config(ONE_WORKER, "least-request", "", &[&down, &up]));
    let mut client = pace.client();
    for _ in 0..50 {
        assert_eq!(client.get("/").text(), "up");
    }
    let labels = [("backend", &*down.label())];
    let attempts = pace.metrics().sum("pace_upstream_attempts_total", &labels);
    assert!((1..10).contains(&attempts), "{attempts} of 50");
}

#[test]
fn balancer_with_a_wrong_setting_is_refused_with_the_way_out() {
    let text = config(SERVER, "least-request", "choices = 3", &[&HttpBackend::down()]);
    let exit = Setup::new().args(["check"]).config(&text).run();
    assert_ne!(exit.code, Some(0), "{exit:#?}");
    for part in ["`balance`", "choices: unknown field `choices`"] {
        assert!(exit.stderr.contains(part), "{exit:#?}");
    }
}
