//! The metrics of a plugin, by the names that the export has for their series.

use std::fmt::Write;

use pace_state::{Kind, MetricSnapshot, Sample, Store};

/// Each series with its number, in the order of the export.
pub(super) fn series(store: &Store) -> Vec<(String, f64)> {
    let mut all = Vec::new();
    for metric in store.metrics() {
        for (values, sample) in &metric.series {
            let mut add = |part: &str, bound: Option<f64>, number: f64| {
                all.push((name(&metric, part, values, bound), number));
            };
            match sample {
                Sample::Counter(sum) => add("", None, *sum as f64),
                Sample::Gauge(level) => add("", None, *level),
                Sample::Histogram { counts, sum } => {
                    let bounds = match metric.definition.kind() {
                        Kind::Histogram(bounds) => &bounds[..],
                        Kind::Counter | Kind::Gauge => &[],
                    };
                    let mut below = 0;
                    for (bound, count) in bounds.iter().zip(counts) {
                        below += count;
                        add("_bucket", Some(*bound), below as f64);
                    }
                    add("_sum", None, *sum);
                    add("_count", None, counts.iter().sum::<u64>() as f64);
                }
            }
        }
    }
    all
}

fn name(metric: &MetricSnapshot, part: &str, values: &[String], bound: Option<f64>) -> String {
    let definition = &metric.definition;
    let mut name = format!("{}{part}", definition.name());
    let labels = definition
        .labels()
        .iter()
        .map(|label| &**label)
        .zip(values.iter().cloned());
    let bound = bound.map(|bound| ("le", bound.to_string()));
    for (number, (label, value)) in labels.chain(bound).enumerate() {
        let before = if number == 0 { '{' } else { ',' };
        let value = value
            .replace('\\', r"\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        write!(name, "{before}{label}=\"{value}\"").expect("a String takes every write");
    }
    if name.contains('{') {
        name.push('}');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use pace_state::ScopeLimits;

    #[test]
    fn series_have_the_names_of_the_export() {
        let store = Store::new(usize::MAX);
        let scope = store.scope("test", "test", ScopeLimits::default());
        let metrics = scope.metrics();
        let counter = metrics.counter("c_total", "", &["a", "b"]).expect("it is legal");
        counter
            .add(&["x", "say \"y\"\\\n"], 3)
            .expect("there are two labels");
        let gauge = metrics.gauge("g", "", &[""; 0]).expect("it is legal");
        gauge.set(&[""; 0], -0.5).expect("there are no labels");
        let histogram = metrics
            .histogram("h", "", &["a"], &[0.5, 2.0])
            .expect("it is legal");
        histogram.observe(&["x"], 1.0).expect("there is one label");
        let expected = [
            (r#"c_total{a="x",b="say \"y\"\\\n"}"#, 3.0),
            ("g", -0.5),
            (r#"h_bucket{a="x",le="0.5"}"#, 0.0),
            (r#"h_bucket{a="x",le="2"}"#, 1.0),
            (r#"h_sum{a="x"}"#, 1.0),
            (r#"h_count{a="x"}"#, 1.0),
        ];
        let found = series(&store);
        let found: Vec<(&str, f64)> = found
            .iter()
            .map(|(name, number)| (name.as_str(), *number))
            .collect();
        assert_eq!(found, expected);
    }
}
