//! Instances are replaced when they are old or large, and their memory is discarded.

use pace_tests::{HttpBackend, Pace, Request, Setup, fixture};

use crate::sections::{ONE_WORKER, plugin, pool};

fn limited(name: &str, limits: &str, backend: &HttpBackend) -> Pace {
    Pace::with_config(&configured(name, limits, backend))
}

fn configured(name: &str, limits: &str, backend: &HttpBackend) -> String {
    format!(
        "{ONE_WORKER}{}limits = {{ {limits} }}\n\n{}\n[[routes]]\npool = \"web\"\nplugins = [{name:?}]\n",
        plugin(name, &fixture(name)),
        pool("web", &[backend]),
    )
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

/// The runtimes of some languages take most of their memory at once.
#[test]
fn instance_that_begins_large_is_kept_while_it_does_not_grow() {
    let backend = HttpBackend::named("one");
    let pace = limited("memory-leak", "memory_mb = 16 }\nconfig = { mb = 10", &backend);
    let mut client = pace.client();
    let kept = [(); 6].map(|()| client.get("/").header("x-leaked").map(str::to_owned));
    // Of the 5 MiB that are left it may take three quarters, and is replaced after it has taken more.
    let kept: Vec<&str> = kept.iter().filter_map(Option::as_deref).collect();
    assert_eq!(kept, ["1", "2", "3", "4", "1", "2"]);
    let recycled = |reason| {
        let labels = [("plugin", "memory-leak"), ("reason", reason)];
        pace.metrics()
            .sum("pace_plugin_instances_recycled_total", &labels)
    };
    assert_eq!([recycled("memory"), recycled("uses")], [1, 0]);
    assert_eq!(pace.metrics().sum("pace_plugin_failures_total", &[]), 0);
}

#[test]
fn instance_replaced_after_its_first_call_is_told() {
    let backend = HttpBackend::named("one");
    let pace = limited("memory-leak", "memory_mb = 4, recycle_memory_mb = 1", &backend);
    assert_eq!(pace.get("/").status, 200);
    pace.wait_for_entry(&[
        "WARN",
        "plugin memory-leak (generation 1)",
        "one call made an instance grow by",
    ]);
}

#[test]
fn limits_without_room_are_told_by_check_and_at_the_start() {
    let backend = HttpBackend::named("one");
    for (limits, told) in [
        (
            "memory_mb = 14 }\nconfig = { mb = 12",
            "plugin memory-leak: its instances have 13.2 MiB after `configure` and are replaced when they have grown by 0.6",
        ),
        (
            "memory_mb = 16, recycle_memory_mb = 4 }\nconfig = { mb = 12",
            "so that they reach `memory_mb`, and fail, before `recycle_memory_mb` has them replaced",
        ),
    ] {
        let config = configured("memory-leak", limits, &backend);
        let checked = Setup::new().args(["check"]).config(&config).run();
        assert_eq!(checked.code, Some(0), "{checked:#?}");
        assert!(checked.stderr.contains(told), "{checked:#?}");
        Pace::with_config(&config).wait_for_entry(&["WARN", told]);
    }
    let wide = configured("memory-leak", "memory_mb = 16", &backend);
    let checked = Setup::new().args(["check"]).config(&wide).run();
    assert!(!checked.stderr.contains("memory-leak"), "{checked:#?}");
}
