//! Backends that an operator takes out and puts back.

use std::thread;

use pace_tests::{HttpBackend, Pace, wait_until};

use super::{gated, start, tell, under_load};
use crate::sections::{EVERYTHING, ONE_WORKER, pool};
use crate::swapping::reconfigure;

#[test]
fn drained_backend_finishes_what_it_has_and_gets_nothing_new() {
    let ((one, gate), two) = (gated("one"), HttpBackend::named("two"));
    let pace = start(&[&one, &two], "");
    gate.close();
    thread::scope(|scope| {
        let under_way = [(); 2].map(|()| scope.spawn(|| pace.get("/").text().to_owned()));
        wait_until("a request to be under way", || one.requests().len() == 1);
        let told = tell(&pace, &one.label(), "drain");
        assert_eq!(told.status, 200, "{told:?}");
        assert_eq!(
            told.text(),
            format!("pool `web`: {} gets nothing new\n", one.label())
        );
        let entry = pace.backend("web", &one.label());
        assert_eq!(
            (
                &entry["health"],
                entry["share"].as_u64(),
                entry["in_flight"].as_u64()
            ),
            (&"draining".into(), Some(0), Some(1))
        );
        for _ in 0..4 {
            assert_eq!(pace.get("/").text(), "two");
        }
        gate.open();
        let mut answers = under_way.map(|request| request.join().expect("it was answered"));
        answers.sort();
        assert_eq!(answers, ["one", "two"]);
    });
    assert_eq!(one.requests().len(), 1);
    pace.wait_for_log(&["INFO", &one.label(), "drains: it gets nothing new"]);

    let told = tell(&pace, &one.label(), "drain");
    assert_eq!((told.status, told.text()), (200, "nothing has changed\n"));
    let told = tell(&pace, &one.label(), "enable");
    assert_eq!(
        told.text(),
        format!("pool `web`: {} takes requests\n", one.label())
    );
    let mut both = [(); 2].map(|()| pace.get("/").text().to_owned());
    both.sort();
    assert_eq!(both, ["one", "two"]);
    pace.wait_for_log(&["INFO", &one.label(), "is enabled again"]);
}

/// A drain is an order, and not a guess that may be wrong.
#[test]
fn pool_of_drained_backends_answers_503() {
    let one = HttpBackend::named("one");
    let pace = start(&[&one], "");
    tell(&pace, &one.label(), "drain");
    let response = pace.get("/");
    assert_eq!(
        (response.status, response.text()),
        (503, "no backend is available\n")
    );
    tell(&pace, &one.label(), "enable");
    assert_eq!(pace.get("/").text(), "one");
}

#[test]
fn pool_or_backend_that_is_not_there_is_a_404_that_says_what_is() {
    let one = HttpBackend::named("one");
    let pace = start(&[&one], "");
    let told = tell(&pace, "10.0.0.1:80", "drain");
    assert_eq!(told.status, 404);
    assert_eq!(
        told.text(),
        format!(
            "the pool `web` has no backend `10.0.0.1:80`; it has {}\n",
            one.label()
        )
    );
    let request = pace_tests::Request::post("/pools/other/backends/10.0.0.1:80/enable", "");
    let told = pace.admin().send(&request);
    assert_eq!(
        (told.status, told.text()),
        (404, "there is no pool `other`; there are web\n")
    );
    let read = pace.admin().get("/pools/web/backends/10.0.0.1:80/drain");
    assert_eq!((read.status, read.header("allow")), (405, Some("POST")));
}

#[test]
fn drain_survives_a_reload_and_is_not_about_the_same_backend_of_another_pool() {
    let (one, two) = (HttpBackend::named("one"), HttpBackend::named("two"));
    let other = format!(
        "{}\n[[routes]]\nmatch = {{ path_prefix = '/other' }}\npool = 'other'\n",
        pool("other", &[&one])
    );
    let pace = Pace::with_config(&format!(
        "{ONE_WORKER}\n{}max_retries = 0\n{other}\n{EVERYTHING}",
        pool("web", &[&one, &two])
    ));
    tell(&pace, &one.label(), "drain");
    let retries = |text: String| text.replace("max_retries = 0", "max_retries = 1");
    assert_eq!(reconfigure(&pace, retries).0, 200);
    for _ in 0..4 {
        assert_eq!(pace.get("/").text(), "two");
        assert_eq!(pace.get("/other").text(), "one");
    }
}

/// A backend that begins gets a tenth of its share, then more and more of it.
#[test]
fn enabled_backend_begins_slowly() {
    let (one, two) = (HttpBackend::named("one"), HttpBackend::named("two"));
    let pace = start(&[&one, &two], "slow_start_ms = 3600000");
    let share = |backend: &HttpBackend| pace.backend("web", &backend.label())["share"].as_u64();
    assert_eq!(
        (share(&one), share(&two)),
        (Some(1), Some(1)),
        "all begin together"
    );
    tell(&pace, &one.label(), "drain");
    tell(&pace, &one.label(), "enable");
    assert_eq!((share(&one), share(&two)), (Some(1), Some(10)));
    let mut client = pace.client();
    let answers = [(); 22].map(|()| client.get("/").text().to_owned());
    assert_eq!(answers.iter().filter(|answer| *answer == "one").count(), 2);
    let quicker = |text: String| text.replace("slow_start_ms = 3600000", "slow_start_ms = 100");
    assert_eq!(reconfigure(&pace, quicker).0, 200);
    wait_until("its full share", || share(&one) == share(&two));
    assert_eq!(share(&one), Some(1));
}

/// An operator takes one after the other out, waits until it has nothing left, and restarts it. Nobody notices.
#[test]
fn drained_backend_is_restarted_without_a_failed_request() {
    let mut backends = [HttpBackend::named("one"), HttpBackend::named("two")];
    let pace = start(&backends.each_ref(), "max_retries = 0");
    under_load(&pace, 4, |answered| {
        for backend in &mut backends {
            let label = backend.label();
            assert_eq!(tell(&pace, &label, "drain").status, 200);
            wait_until("it to have nothing left", || {
                pace.backend("web", &label)["in_flight"] == 0
            });
            backend.stop();
            super::after(answered, 50);
            backend.start();
            assert_eq!(tell(&pace, &label, "enable").status, 200);
            let before = backend.requests().len();
            wait_until("it to have requests", || backend.requests().len() > before + 20);
        }
    });
}

#[test]
fn pools_are_listed_with_their_backends() {
    let (one, two) = (HttpBackend::named("one"), HttpBackend::named("two"));
    let pace = Pace::with_config(&format!(
        "{ONE_WORKER}\n[[pools]]\nname = 'web'\nbackends = ['{}', {{ address = '{}', weight = 3, backup = true }}]\n\n\
         [[pools]]\nname = 'blind'\nbackends = ['https://127.0.0.1:1', 'http://127.0.0.1:2']\ntls = {{ verify = false }}\n{}\n{EVERYTHING}",
        one.label(),
        two.label(),
        pool("another", &[&one])
    ));
    pace.get("/");
    let pools = pace.pools();
    let names: Vec<_> = pools.iter().map(|pool| pool["name"].as_str()).collect();
    assert_eq!(names, [Some("another"), Some("blind"), Some("web")]);
    assert_eq!(pools[2]["queued"], 0);
    let verified = |of: &str, backend: &str| pace.backend(of, backend)["verified"].as_bool();
    assert_eq!(verified("web", &one.label()), None);
    assert_eq!(verified("blind", "127.0.0.1:1"), Some(false));
    assert_eq!(verified("blind", "127.0.0.1:2"), None);
    let first = pace.backend("web", &one.label());
    assert_eq!(first["address"], one.label());
    assert!(first["latency_ms"].as_f64().is_some_and(|latency| latency > 0.0));
    let second = pace.backend("web", &two.label());
    assert_eq!(
        (
            &second["backup"],
            &second["weight"],
            &second["share"],
            &second["latency_ms"]
        ),
        (&true.into(), &3.into(), &0.into(), &serde_json::Value::Null)
    );
}
