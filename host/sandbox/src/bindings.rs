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
    },
});
