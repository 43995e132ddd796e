//! Metrics of the state of plugins, and those that plugins keep, which are read from the store at each scrape.

use std::sync::{Arc, Weak};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGaugeVec, Opts};

use super::plugins;
use pace_state::{Store, Usage};

/// Collects the series of each plugin that has state, and those that it keeps.
pub(super) struct StateCollector {
    store: Weak<Store>,
    bytes: Opts,
    forgotten: Opts,
}

const LABELS: [&str; 1] = ["plugin"];

impl StateCollector {
    pub(super) fn new(store: &Arc<Store>) -> StateCollector {
        StateCollector {
            store: Arc::downgrade(store),
            bytes: Opts::new(
                "pace_plugin_state_bytes",
                "Memory of the plugin's counters, windows and metrics.",
            ),
            forgotten: Opts::new(
                "pace_plugin_state_forgotten_total",
                "Keys of windows that were forgotten because there was no room for them.",
            ),
        }
    }

    /// New vectors for each scrape, so that plugins that are gone have no series.
    fn vectors(&self) -> (IntGaugeVec, IntCounterVec) {
        let bytes = IntGaugeVec::new(self.bytes.clone(), &LABELS);
        let forgotten = IntCounterVec::new(self.forgotten.clone(), &LABELS);
        (
            bytes.expect("the name is legal"),
            forgotten.expect("the name is legal"),
        )
    }
}

impl Collector for StateCollector {
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (bytes, forgotten) = self.vectors();
        let Some(store) = self.store.upgrade() else {
            return Vec::new();
        };
        for Usage {
            owner,
            bytes: used,
            forgotten: keys,
        } in store.usage()
        {
            let used = i64::try_from(used).unwrap_or(i64::MAX);
            bytes.with_label_values(&[&owner]).set(used);
            forgotten.with_label_values(&[&owner]).inc_by(keys);
        }
        [bytes.collect(), forgotten.collect(), plugins::families(&store)].concat()
    }
}
