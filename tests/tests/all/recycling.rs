//! Instances are replaced when they are old or large, and their memory is discarded.

use pace_tests::{HttpBackend, Pace, Request, fixture};

use crate::sections::{ONE_WORKER, plugin, pool};

fn limited(name: &str, limits: &str, backend: &HttpBackend) -> Pace {
    Pace::with_config(&format!(
        "{ONE_WORKER}{}limits = {{ {limits} }}\n\n{}\n[[routes]]\npool = \"web\"\nplugins = [{name:?}]\n",
        plugin(name, &fixture(name)),
        pool("web", &[backend]),
    ))
}

#[test]
fn instance_is_replaced_after_its_maximum_of_uses() {
    let backend = HttpBackend::named("one");
    let pace = limited("secret-keeper", "recycle_uses = 3", &backend);
    let mut client = pace.client();
    let remembers = [(); 9].map(|()| {
        let response = client.send(&Request::get("/").header("x-secret", "s"));
        response.header("x-previous-secret").is_some()
    });
    let three = [false, true, true];
    assert_eq!(remembers.as_chunks().0, [three, three, three]);
}

#[test]
fn instance_is_replaced_when_its_memory_passes_the_bound() {
    const REQUESTS: usize = 40;
    let backend = HttpBackend::named("one");
    for (limits, bound) in [
        ("memory_mb = 32, recycle_memory_mb = 4", 4),
        // The bound is three quarters of the memory limit, so that a plugin that leaks does not fail.
        ("memory_mb = 8", 6),
    ] {
        let pace = limited("memory-leak", limits, &backend);
        let mut client = pace.client();
        let kept = [(); REQUESTS].map(|()| {
            let response = client.get("/");
            assert_eq!(response.status, 200, "{limits}");
            let kept = response
                .header("x-leaked")
                .and_then(|number| number.parse::<usize>().ok());
            kept.expect("the plugin says a number")
        });
        let most = kept.into_iter().max().unwrap_or_default();
        // The stack and the allocator's own data take a part of it.
        assert!((bound - 2..=bound).contains(&most), "{limits}: {kept:?}");
        assert!(
            kept.iter().filter(|kept| **kept == 1).count() >= REQUESTS / bound,
            "{kept:?}"
        );
        assert_eq!(pace.metrics().sum("pace_plugin_failures_total", &[]), 0);
    }
}
