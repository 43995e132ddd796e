//! Bindings to the contract, generated from `wit/`.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "generated: the documentation is in the .wit files"
)]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "plugin",
    imports: { default: trappable },
    with: {
        "pace:plugin/counters.counter": super::capability::CounterHandle,
        "pace:plugin/windows.window": super::capability::WindowHandle,
        "pace:plugin/tables.table": super::capability::TableHandle,
        "pace:plugin/metrics.counter": super::capability::CounterMetric,
        "pace:plugin/metrics.gauge": super::capability::GaugeMetric,
        "pace:plugin/metrics.histogram": super::capability::HistogramMetric,
    },
});
