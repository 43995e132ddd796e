//! Attempts that plugins prepare and judge.

use std::thread;

use pace_tests::{Answer, Gate, HttpBackend, Pace, Request, Response, Setup, fixture, wait_until};

use crate::sections::{ONE_WORKER, plugin, pool};

/// Starts Pace with the fixture on its only route, which has these two pools and sends everything to the first. `keys` go to the first
/// pool, `of_plugin` to the plugin.
fn start(backends: [&[&HttpBackend]; 2], keys: &str, of_plugin: &str) -> Pace {
    let [web, spare] = backends;
    let (web, spare) = (pool("web", web), pool("spare", spare));
    let attempts = plugin("attempts", &fixture("attempts"));
    let config = format!(
        "{ONE_WORKER}{attempts}secrets = {{ provider = {{ file = 'provider.key' }} }}\n{of_plugin}\n{web}{keys}\n{spare}\n\
         [[routes]]\nplugins = ['attempts']\nrewrite = {{ host = 'web.example' }}\n\
         pools = [{{ pool = 'web', weight = 1 }}, {{ pool = 'spare', weight = 0 }}]\n"
    );
    let setup = Setup::new().file("provider.key", "nobody's-business\n");
    setup.config(&config).start()
}

const THREE: &str = "retry = { attempts = 3 }\n";

fn planned(request: Request, plan: &str, judge: &str) -> Request {
    request.header("X-Plan", plan).header("X-Judge", judge)
}

/// Sends a request with a plan on a connection of its own.
fn send(pace: &Pace, request: Request, plan: &str, judge: &str) -> Response {
    pace.client().send(&planned(request, plan, judge))
}

/// The only request that a backend has had since the last look.
fn only(backend: &HttpBackend, before: &mut usize) -> Request {
    let requests = backend.requests();
    assert_eq!(requests.len(), *before + 1, "it has one more");
    *before += 1;
    requests[*before - 1].clone()
}

/// A backend that answers with a status.
fn of_status(status: u16) -> HttpBackend {
    HttpBackend::new(move |_| Answer::status(status))
}

#[test]
fn attempt_that_is_judged_badly_is_made_elsewhere_with_other_credentials_and_path() {
    let (web, spare) = (of_status(429), HttpBackend::named("spare"));
    let pace = start([&[&web], &[&spare]], THREE, "");
    let (mut at_web, mut at_spare) = (0, 0);
    for collect in [false, true] {
        let mut request = Request::post("/v1/chat?x=1", "the question").header("Authorization", "mine");
        if collect {
            request = request.header("X-Collect", "yes");
        }
        let plan = "key=one without=x-judge tell=authorization|\
                    pool=spare path=/other host=spare.example secret=provider tell=authorization";
        let answer = send(&pace, request, plan, "429=retry");
        assert_eq!((answer.status, answer.text()), (200, "spare"));

        let first = only(&web, &mut at_web);
        assert_eq!(
            (&*first.target, &*first.body),
            ("/v1/chat?x=1", &b"the question"[..])
        );
        assert_eq!(first.headers.all("authorization"), ["Bearer one"]);
        assert_eq!(
            first.headers.get("x-told"),
            Some(&*format!("{:?}", Some(b"Bearer one")))
        );
        assert_eq!(first.headers.all("host"), ["web.example"]);
        assert_eq!(first.headers.get("x-judge"), None);
        assert_eq!(first.headers.all("x-prepared"), ["1 web None"]);

        let second = only(&spare, &mut at_spare);
        assert_eq!((&*second.target, &*second.body), ("/other", &b"the question"[..]));
        assert_eq!(second.headers.all("authorization"), ["Bearer nobody's-business"]);
        assert_eq!(
            second.headers.get("x-told"),
            Some("None"),
            "no plugin can read it"
        );
        assert_eq!(second.headers.all("host"), ["spare.example"]);
        assert_eq!(
            second.headers.get("x-judge"),
            Some("429=retry"),
            "this attempt has not removed it"
        );
        assert_eq!(second.headers.all("x-prepared"), ["2 web Some(Status(429))"]);
    }
    assert!(!pace.log().contains("business"));
    let labels = [("pool", "spare")];
    assert_eq!(pace.metrics().sum("pace_upstream_retries_total", &labels), 2);
}

#[test]
fn body_that_an_attempt_has_changed_is_whole_again_in_the_next() {
    let (web, spare) = (of_status(500), of_status(500));
    let pace = start([&[&web], &[&spare]], THREE, "");
    let (mut at_web, mut at_spare) = (0, 0);
    let with_body = Request::post("/", "as it came");
    for (request, canonical) in [(with_body, "as it came"), (Request::get("/"), "")] {
        let request = request.header("X-Collect", "yes");
        let plan = "pool=spare body=changed|key=none";
        let answer = send(&pace, request, plan, "500=retry");
        assert_eq!(answer.status, 500, "the last response is better than none");
        assert_eq!(only(&spare, &mut at_spare).body, b"changed");
        let second = only(&web, &mut at_web);
        assert_eq!(second.body, canonical.as_bytes());
        assert_eq!(second.headers.all("authorization"), ["Bearer none"]);
    }
    let answer = send(&pace, Request::post("/", "streams"), "body=changed", "");
    assert_eq!(
        (answer.status, answer.text()),
        (500, "body=changed: NotAvailable")
    );
}

#[test]
fn plugin_answers_instead_of_an_attempt_or_of_what_it_has_brought() {
    let (web, spare) = (of_status(503), HttpBackend::down());
    let pace = start([&[&web], &[&spare]], THREE, "");
    let answer = send(&pace, Request::get("/"), "reply", "");
    assert_eq!((answer.status, answer.text()), (299, "prepared"));
    assert!(web.requests().is_empty());

    let answer = send(&pace, Request::get("/"), "", "503=respond");
    assert_eq!((answer.status, answer.text()), (298, "1 web 503 None true"));
    let answer = send(&pace, Request::get("/"), "pool=spare", "failed=respond");
    assert_eq!(
        (answer.status, answer.text()),
        (298, "1 spare failed Some(ConnectionRefused) true")
    );
    let answer = send(&pace, Request::get("/"), "|reply", "503=retry");
    assert_eq!(
        (answer.status, answer.text()),
        (299, "prepared"),
        "in the second attempt"
    );
    let answer = send(&pace, Request::get("/"), "pool=elsewhere", "");
    assert_eq!(
        (answer.status, answer.text()),
        (500, "pool=elsewhere: NotGranted")
    );
    let answer = send(&pace, Request::get("/"), "secret=none", "");
    assert_eq!((answer.status, answer.text()), (500, "secret=none: NotGranted"));
}

#[test]
fn accepted_attempt_has_what_the_configuration_says() {
    let (web, spare) = (of_status(503), HttpBackend::named("spare"));
    let pace = start([&[&web], &[&spare]], THREE, "");
    assert_eq!(send(&pace, Request::get("/"), "", "").status, 503);
    assert_eq!(web.requests().len(), 1);

    let down = HttpBackend::down();
    let pace = start(
        [&[&down], &[&spare]],
        "retry = { attempts = 2, on = ['connect'] }\n",
        "",
    );
    let answer = send(&pace, Request::post("/", "x"), "|pool=spare", "");
    assert_eq!(
        (answer.status, answer.text()),
        (200, "spare"),
        "retried by the pool"
    );
    assert_eq!(send(&pace, Request::get("/"), "", "").status, 503);
}

#[test]
fn attempt_that_takes_too_long_is_judged() {
    let (gate, spare) = (Gate::new(), HttpBackend::named("spare"));
    let web = HttpBackend::behind(&gate, "late");
    let pace = start([&[&web], &[&spare]], THREE, "");
    let answer = send(
        &pace,
        Request::post("/", "x"),
        "time=100|pool=spare",
        "failed=retry",
    );
    assert_eq!((answer.status, answer.text()), (200, "spare"));
    assert_eq!(
        spare.requests()[0].headers.all("x-prepared"),
        ["2 web Some(ResponseTimeout)"]
    );
    gate.open();
}

#[test]
fn plugin_that_retries_for_ever_has_as_many_attempts_as_the_pool_allows() {
    let many = [(); 5].map(|()| of_status(429));
    let (web, spare) = (of_status(429), of_status(429));
    let pace = start([&many.each_ref(), &[&spare]], THREE, "");
    let answer = send(&pace, Request::post("/", "x"), "", "429=retry");
    assert_eq!(answer.status, 429);
    let had: usize = many.iter().map(|backend| backend.requests().len()).sum();
    assert_eq!(had, 3);

    // A body that is not kept cannot be sent again.
    let pace = start([&[&web], &[&spare]], &format!("{THREE}retry_body_kb = 0\n"), "");
    let body = vec![b'x'; 100_000];
    let answer = send(&pace, Request::post("/", body), "|pool=spare", "429=retry");
    assert_eq!((answer.status, spare.requests().len()), (429, 0));
    let answer = send(&pace, Request::post("/", "x"), "", "429=respond");
    assert_eq!(answer.text(), "1 web 429 None false");
}

#[test]
fn plugin_that_fails_around_an_attempt_has_what_its_failure_means() {
    let (web, spare) = (of_status(404), HttpBackend::named("spare"));
    let pace = start([&[&web], &[&spare]], THREE, "");
    assert_eq!(send(&pace, Request::get("/"), "trap", "").status, 503);
    assert!(web.requests().is_empty());
    assert_eq!(send(&pace, Request::get("/"), "", "404=trap").status, 503);
    assert_eq!(web.requests().len(), 1);

    let pace = start([&[&web], &[&spare]], THREE, "on_failure = 'open'\n");
    assert_eq!(send(&pace, Request::get("/"), "trap", "").status, 404);
    assert_eq!(send(&pace, Request::get("/"), "", "404=trap").status, 404);
    let failures = [("plugin", "attempts"), ("hook", "attempt-filter")];
    assert_eq!(pace.metrics().sum("pace_plugin_failures_total", &failures), 2);
}

/// Attempts begin with a body of their own, wherever it was when the filters saw it.
#[test]
fn bodies_that_attempts_begin_with_take_room_of_the_budget() {
    const CLIENTS: usize = 80;
    let gate = Gate::new();
    let slow = {
        let gate = gate.clone();
        HttpBackend::new(move |_| {
            gate.wait();
            Answer::new("late")
        })
    };
    let attempts = plugin("attempts", &fixture("attempts"));
    let server = ONE_WORKER.replace("workers = 1", "workers = 1\nbody_mb = 1");
    let pace = Pace::with_config(&format!(
        "{server}{attempts}secrets = {{ provider = {{ env = 'PATH' }} }}\n{}\n[[routes]]\npool = 'web'\nplugins = ['attempts']\n",
        pool("web", &[&slow])
    ));
    let request = Request::post("/", "b".repeat(12_000)).header("X-Collect", "yes");
    let statuses = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| scope.spawn(|| pace.client().send(&request).status))
            .collect();
        // Each takes 16 KiB of the one MiB.
        wait_until("those that find no room", || {
            clients.iter().filter(|client| client.is_finished()).count() == CLIENTS - 64
        });
        gate.open();
        clients
            .into_iter()
            .map(|client| client.join().expect("it is answered"))
            .collect::<Vec<_>>()
    });
    let count = |status| statuses.iter().filter(|found| **found == status).count();
    assert_eq!((count(503), count(200)), (CLIENTS - 64, 64), "{statuses:?}");
}
