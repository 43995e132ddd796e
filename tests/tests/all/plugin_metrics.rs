//! Metrics that plugins keep, beside Pace's.

use pace_tests::{HttpBackend, Pace, Setup, fixture};

use crate::sections::{ONE_WORKER, plugin, pool};
use crate::swapping::reconfigure;

fn config(limits: &str, backend: &HttpBackend) -> String {
    format!(
        "{ONE_WORKER}{}limits = {{ time_ms = 1000, {limits} }}\n\n{}\n[[routes]]\npool = \"web\"\nplugins = [\"hoard\"]\n",
        plugin("hoard", &fixture("metric-hoard")),
        pool("web", &[backend]),
    )
}

#[test]
fn metrics_of_a_plugin_are_exported_and_outlive_a_swap() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&config("handles = 99", &backend));
    for path in ["/", "/a", "/a", "/longer"] {
        assert_eq!(pace.get(path).status, 200);
    }
    let (status, answer) = reconfigure(&pace, |text| text.replace("handles = 99", "handles = 98"));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(pace.generation("hoard"), 2);
    assert_eq!(pace.get("/a").status, 200);

    let of = |path: &str| {
        let labels = [("plugin", "hoard"), ("path", path)];
        pace.metrics().sum("plugin_requests_total", &labels)
    };
    assert_eq!(["/", "/a", "/longer"].map(of), [1, 3, 1]);
    let text = pace.admin().get("/metrics");
    let text = text.text();
    for line in [
        "# HELP plugin_requests_total Requests by path.",
        "# TYPE plugin_path_length histogram",
        "plugin_path_length_bucket{plugin=\"hoard\",le=\"1\"} 1",
        "plugin_path_length_bucket{plugin=\"hoard\",le=\"4\"} 4",
        "plugin_path_length_bucket{plugin=\"hoard\",le=\"+Inf\"} 5",
        "plugin_path_length_sum{plugin=\"hoard\"} 14",
        "plugin_last_length{plugin=\"hoard\"} 2.5",
    ] {
        assert!(
            text.lines().any(|known| known == line),
            "{line} is not in\n{text}"
        );
    }
}

/// The plugin makes up a thousand values with each request.
#[test]
fn label_values_without_end_are_counted_under_other() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&config("", &backend));
    let mut client = pace.client();
    let bytes = |pace: &Pace| {
        pace.metrics()
            .sum("pace_plugin_state_bytes", &[("plugin", "hoard")])
    };
    assert_eq!(client.get("/").status, 200);
    let before = bytes(&pace);
    for _ in 1..20 {
        assert_eq!(client.get("/").status, 200);
    }
    let metrics = pace.metrics();
    let others = [("number", "other"), ("odd", "other")];
    assert_eq!(metrics.sum("plugin_hoard_total", &others), 19_800);
    assert_eq!(metrics.sum("plugin_hoard_total", &[]), 20_000);
    assert_eq!(bytes(&pace), before, "no new series takes memory");
}

#[test]
fn plugin_with_more_metrics_than_allowed_is_refused() {
    let backend = HttpBackend::named("one");
    let exit = Setup::new().config(&config("metrics = 3", &backend)).run();
    assert!(exit.refusal().contains("`limits.metrics`"), "{exit:?}");
}
