use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{Entropy, ManualTime, Scope, ScopeLimits, Store};

const NONE: [&str; 0] = [];

fn scope(store: &Store, owner: &str) -> Arc<Scope> {
    store.scope(owner, owner, ScopeLimits::default())
}

fn series(store: &Store, name: &str) -> BTreeMap<Vec<String>, Sample> {
    let metrics = store.metrics().into_iter();
    let found = metrics.filter(|metric| metric.definition.name() == name);
    found.flat_map(|metric| metric.series).collect()
}

fn labels<const N: usize>(values: [&str; N]) -> Vec<String> {
    values.map(str::to_owned).into()
}

#[test]
fn names_and_arguments_out_of_bounds_are_refused() {
    let store = Store::new(usize::MAX);
    let metrics = scope(&store, "a");
    let open = |name: &str, help: &str, labels: &[&str]| {
        let opened = metrics.metrics().counter(name, help, labels);
        opened.map(|_| ())
    };
    let longest = "x".repeat(64);
    let eight = ["a", "b", "c", "d", "e", "f", "g", "h"];
    assert_eq!(open("a", &"x".repeat(256), &eight), Ok(()));
    assert_eq!(open(&longest, "", &[&longest]), Ok(()));
    for name in ["", "A", "1a", "_a", "a.b", "a-b", "é", &"x".repeat(65)] {
        assert_eq!(open(name, "", &[]), Err(OpenError::InvalidName), "{name:?}");
        assert_eq!(open("b", "", &[name]), Err(OpenError::InvalidName), "{name:?}");
    }
    for taken in ["plugin", "le"] {
        assert_eq!(open("b", "", &[taken]), Err(OpenError::InvalidName));
    }
    assert_eq!(open("b", "", &["x", "y", "x"]), Err(OpenError::InvalidArgument));
    assert_eq!(open("b", &"x".repeat(257), &[]), Err(OpenError::InvalidArgument));
    let nine = [&eight[..], &["i"]].concat();
    assert_eq!(open("b", "", &nine), Err(OpenError::InvalidArgument));

    let many: Vec<f64> = (0..33).map(f64::from).collect();
    let bounds = |bounds: &[f64]| metrics.metrics().histogram("h", "", &NONE, bounds).is_ok();
    for wrong in [
        &[][..],
        &[1.0, 1.0],
        &[2.0, 1.0],
        &[f64::NAN],
        &[1.0, f64::INFINITY],
        &many,
    ] {
        assert!(!bounds(wrong), "{wrong:?}");
    }
    assert!(bounds(&many[..32]));
}

#[test]
fn metric_of_two_plugins_has_one_meaning() {
    let store = Store::new(usize::MAX);
    let [one, two] = ["one", "two"].map(|owner| scope(&store, owner));
    let counter = one
        .metrics()
        .counter("tokens_total", "Tokens", &["model"])
        .unwrap();
    let again = one
        .metrics()
        .counter("tokens_total", "Tokens", &["model"])
        .unwrap();
    assert!(Arc::ptr_eq(&counter, &again));
    for metrics in [one.metrics(), two.metrics()] {
        let conflict = [
            metrics.counter("tokens_total", "Others", &["model"]).err(),
            metrics.counter("tokens_total", "Tokens", &["other"]).err(),
            metrics.gauge("tokens_total", "Tokens", &["model"]).err(),
        ];
        assert_eq!(conflict, [Some(OpenError::Conflict); 3]);
    }
    let other = two
        .metrics()
        .counter("tokens_total", "Tokens", &["model"])
        .unwrap();
    counter.add(&["a"], 1).unwrap();
    other.add(&["a"], 2).unwrap();
    let seen: Vec<_> = store
        .metrics()
        .into_iter()
        .map(|metric| (metric.plugin, metric.series))
        .collect();
    let expected = |sum| vec![(labels(["a"]), Sample::Counter(sum))];
    assert_eq!(
        seen,
        [("one".to_owned(), expected(1)), ("two".to_owned(), expected(2))]
    );

    // With the last of them the meaning is forgotten.
    drop((counter, again, other, one, two));
    store.retain(|_| false);
    assert!(store.metrics().is_empty());
    assert!(
        scope(&store, "three")
            .metrics()
            .gauge("tokens_total", "", &NONE)
            .is_ok()
    );
}

#[test]
fn histogram_and_the_names_of_its_parts_conflict() {
    let store = Store::new(usize::MAX);
    let [one, two] = ["one", "two"].map(|owner| scope(&store, owner));
    one.metrics().histogram("seconds", "", &NONE, &[1.0]).unwrap();
    two.metrics().counter("bytes_sum", "", &NONE).unwrap();
    assert_eq!(
        two.metrics().counter("seconds_count", "", &NONE).err(),
        Some(OpenError::Conflict)
    );
    assert_eq!(
        one.metrics().histogram("bytes", "", &NONE, &[1.0]).err(),
        Some(OpenError::Conflict)
    );
    assert!(one.metrics().gauge("bytes", "", &NONE).is_ok());
}

#[test]
fn scopes_of_one_owner_share_metrics_and_their_number() {
    let store = Store::new(usize::MAX);
    let limits = ScopeLimits {
        metrics: 2,
        ..ScopeLimits::default()
    };
    let entry = store.scope("limit", "limit", limits);
    let of_route = store.scope("limit", "limit@orders", limits);
    for scope in [&entry, &of_route] {
        scope
            .metrics()
            .counter("a", "", &NONE)
            .unwrap()
            .add(&NONE, 1)
            .unwrap();
    }
    assert_eq!(series(&store, "a"), [(vec![], Sample::Counter(2))].into());
    of_route.metrics().gauge("b", "", &NONE).unwrap();
    assert_eq!(
        entry.metrics().gauge("c", "", &NONE).err(),
        Some(OpenError::TooMany)
    );
    entry.set_limits(ScopeLimits { metrics: 3, ..limits });
    assert!(entry.metrics().gauge("c", "", &NONE).is_ok());
}

#[test]
fn metric_without_labels_is_there_from_the_beginning() {
    let store = Store::new(usize::MAX);
    let scope = scope(&store, "a");
    scope.metrics().gauge("level", "", &NONE).unwrap();
    scope.metrics().gauge("by_label", "", &["x"]).unwrap();
    assert_eq!(series(&store, "level"), [(vec![], Sample::Gauge(0.0))].into());
    assert!(series(&store, "by_label").is_empty());
}

#[test]
fn other_number_of_label_values_is_an_error() {
    let store = Store::new(usize::MAX);
    let counter = scope(&store, "a")
        .metrics()
        .counter("c", "", &["x", "y"])
        .unwrap();
    let wrong = WrongLabels { given: 1, wanted: 2 };
    assert_eq!(counter.add(&["a"], 1), Err(wrong));
    assert_eq!(counter.add(&["a", "b"], 1), Ok(()));
}

#[test]
fn values_of_the_same_letters_and_other_borders_are_different_series() {
    let store = Store::new(usize::MAX);
    let counter = scope(&store, "a")
        .metrics()
        .counter("c", "", &["x", "y"])
        .unwrap();
    for (values, delta) in [
        (["ab", "c"], 1),
        (["a", "bc"], 10),
        (["", "abc"], 100),
        (["abc", ""], 1000),
    ] {
        counter.add(&values, delta).unwrap();
    }
    let sums: Vec<_> = series(&store, "c").into_values().collect();
    assert_eq!(sums, [100, 10, 1, 1000].map(Sample::Counter));
}

#[test]
fn long_value_is_cut_between_characters() {
    let store = Store::new(usize::MAX);
    let counter = scope(&store, "a").metrics().counter("c", "", &["x"]).unwrap();
    let start = "x".repeat(127);
    for end in ["é", "éé", ""] {
        counter.add(&[format!("{start}{end}")], 1).unwrap();
    }
    assert_eq!(series(&store, "c"), [(vec![start], Sample::Counter(3))].into());
}

#[test]
fn combinations_beyond_the_most_are_counted_under_other() {
    let store = Store::new(usize::MAX);
    let counter = scope(&store, "a")
        .metrics()
        .counter("c", "", &["x", "y"])
        .unwrap();
    for number in 0..100_000 {
        counter.add(&[number.to_string().as_str(), "y"], 1).unwrap();
    }
    counter.add(&["other", "other"], 5).unwrap();
    counter.add(&["7", "y"], 1).unwrap();
    let series = series(&store, "c");
    assert_eq!(series.len(), MAX_SERIES + 1);
    assert_eq!(
        series[&labels(["other", "other"])],
        Sample::Counter(100_000 - 200 + 5)
    );
    assert_eq!(series[&labels(["7", "y"])], Sample::Counter(2));
}

#[test]
fn series_without_change_for_an_hour_gives_up_its_place() {
    let manual = ManualTime::at(0);
    let store = Store::with(usize::MAX, Time::Manual(Arc::clone(&manual)), Entropy::System);
    let counter = scope(&store, "a").metrics().counter("c", "", &["x"]).unwrap();
    for number in 0..MAX_SERIES {
        counter.add(&[number.to_string()], 1).unwrap();
    }
    assert_eq!(series(&store, "c").len(), MAX_SERIES);
    manual.advance(Duration::from_secs(3590));
    counter.add(&["7"], 1).unwrap();
    assert_eq!(series(&store, "c").len(), MAX_SERIES);
    manual.advance(Duration::from_secs(10));
    // Nobody looks at the metrics, and there is room for a new series all the same.
    counter.add(&["new"], 1).unwrap();
    let expected = [
        (labels(["7"]), Sample::Counter(2)),
        (labels(["new"]), Sample::Counter(1)),
    ];
    assert_eq!(series(&store, "c"), expected.into());
}

#[test]
fn histogram_counts_values_up_to_and_with_each_bound() {
    let store = Store::new(usize::MAX);
    let histogram = scope(&store, "a")
        .metrics()
        .histogram("h", "", &["x"], &[-1.0, 0.5, 2.0])
        .unwrap();
    for value in [-2.0, -1.0, -0.9, 0.5, 0.6, 2.0, 2.1, f64::NAN, 1e300] {
        histogram.observe(&["a"], value).unwrap();
    }
    let sample = series(&store, "h").remove(&labels(["a"])).unwrap();
    let Sample::Histogram { counts, sum } = sample else {
        panic!("{sample:?}");
    };
    assert_eq!(counts, [2, 2, 2, 2]);
    assert!(sum > 9e299);
}

#[test]
fn series_without_room_in_the_budget_are_counted_under_other() {
    let store = Store::new(usize::MAX);
    let limits = ScopeLimits {
        bytes: 48 << 10,
        ..ScopeLimits::default()
    };
    let scope = store.scope("a", "a", limits);
    let bounds: Vec<f64> = (0..32).map(f64::from).collect();
    let histogram = scope.metrics().histogram("h", "", &["x"], &bounds).unwrap();
    for number in 0..MAX_SERIES {
        histogram.observe(&[format!("{number:0128}")], 1.0).unwrap();
    }
    let there = series(&store, "h").len();
    assert!((10..MAX_SERIES).contains(&there), "{there}");
    let used = store.usage()[0].bytes;
    assert!(used <= 48 << 10, "{used}");
    drop((histogram, scope));
    store.retain(|_| false);
    assert_eq!(store.total_used(), 0);
}

#[test]
fn threads_that_add_together_lose_nothing() {
    const THREADS: u64 = 4;
    const EACH: u64 = 50_000;
    let manual = ManualTime::at(0);
    let store = Store::with(usize::MAX, Time::Manual(Arc::clone(&manual)), Entropy::System);
    let scope = scope(&store, "a");
    let counter = scope.metrics().counter("c", "", &["x"]).unwrap();
    let gauge = scope.metrics().gauge("g", "", &["x"]).unwrap();
    thread::scope(|threads| {
        for thread in 0..THREADS {
            let (counter, gauge, store) = (&counter, &gauge, &store);
            threads.spawn(move || {
                for number in 0..EACH {
                    let label = [(number % 300).to_string()];
                    counter.add(&label, 1).unwrap();
                    gauge.add(&label, 0.5).unwrap();
                    if number % 5_000 == thread {
                        store.metrics();
                    }
                }
            });
        }
    });
    let sum = |name: &str| -> f64 {
        let series = series(&store, name);
        let values = series.values().map(|sample| match sample {
            Sample::Counter(sum) => *sum as f64,
            Sample::Gauge(level) => *level,
            Sample::Histogram { .. } => unreachable!("none was opened"),
        });
        values.sum()
    };
    assert_eq!(sum("c"), (THREADS * EACH) as f64);
    assert_eq!(sum("g"), (THREADS * EACH) as f64 / 2.0);
}

proptest! {
    #[test]
    fn metric_agrees_with_a_map(writes in proptest::collection::vec(("[abé]{0,3}", "[ab]{0,2}", 0..9_u64), 0..200)) {
        let store = Store::new(usize::MAX);
        let counter = scope(&store, "a").metrics().counter("c", "", &["x", "y"]).unwrap();
        let mut model: BTreeMap<Vec<String>, u64> = BTreeMap::new();
        for (x, y, delta) in writes {
            counter.add(&[&x, &y], delta).unwrap();
            *model.entry(vec![x, y]).or_default() += delta;
        }
        let model: BTreeMap<_, _> = model.into_iter().map(|(labels, sum)| (labels, Sample::Counter(sum))).collect();
        prop_assert_eq!(series(&store, "c"), model);
    }
}
