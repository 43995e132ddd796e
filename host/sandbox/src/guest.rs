//! The host's side of one instance.

use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, Result, bail};

use super::capability::Edits;
use super::capability::wasi::UnendedLines;
use super::direct::CanonicalAbi;
use super::generation::Generation;
use super::lend::Lending;
use super::meter::Meter;
use pace_state::Scope;

/// The store's data: everything that the host functions of one instance can reach.
pub(super) struct Guest {
    /// The generation, with the plugin's name, limits and share of the log.
    pub(super) generation: Arc<Generation>,
    /// The request, while a hook runs.
    pub(super) lending: Lending,
    /// The plugin's state.
    pub(super) scope: Arc<Scope>,
    /// The counters, windows, tables and metrics that the guest holds handles to, and if it runs directly its own
    /// messages.
    pub(super) resources: ResourceTable,
    /// The last lines of WASI's streams, which the guest has not ended yet.
    pub(super) unended: UnendedLines,
    /// The edits of messages by the call that runs.
    pub(super) edits: Edits,
    /// The way into the instance's memory, if it runs directly and has started.
    pub(super) abi: Option<CanonicalAbi>,
    /// The limit of its memory.
    pub(super) memory: MemoryLimit,
    /// The meter of the call that runs.
    pub(super) meter: Meter,
}

impl Guest {
    pub(super) fn new(generation: &Arc<Generation>, scope: Arc<Scope>) -> Guest {
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(generation.limits.handles);
        Guest {
            generation: Arc::clone(generation),
            lending: Lending::default(),
            scope,
            resources,
            unended: UnendedLines::default(),
            edits: Edits::default(),
            abi: None,
            memory: MemoryLimit {
                limit: generation.limits.memory,
                used: 0,
                exceeded: false,
            },
            meter: Meter::new(
                &generation.program.platform.clock,
                &generation.limits,
                generation.program.hooks,
            ),
        }
    }
}

/// A cap on the sum of an instance's linear memories, and on its tables.
///
/// Growing past the cap traps instead of failing the `memory.grow`: a plugin that is out of memory seldom does better
/// than crash, and a trap tells the reason.
pub(super) struct MemoryLimit {
    limit: usize,
    used: usize,
    /// Whether the instance ever asked for more than it may have.
    pub(super) exceeded: bool,
}

/// The most elements of a table. Toolchains make tables of some thousand.
pub(super) const MAX_TABLE_ELEMENTS: usize = 100_000;

/// The bytes of a table's element, which is a pointer of the host and counts as memory.
const TABLE_ELEMENT_BYTES: usize = 8;

impl MemoryLimit {
    /// Linear memory in use, in bytes.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    fn take(&mut self, bytes: usize) -> Result<()> {
        let used = self.used.saturating_add(bytes);
        if used > self.limit {
            self.exceeded = true;
            bail!(
                "{} KiB of memory asked for, {} KiB allowed",
                used.div_ceil(1024),
                self.limit / 1024
            );
        }
        self.used = used;
        Ok(())
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        self.take(desired.saturating_sub(current))?;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        if desired > MAX_TABLE_ELEMENTS {
            self.exceeded = true;
            bail!("a table of {desired} elements asked for, {MAX_TABLE_ELEMENTS} allowed");
        }
        self.take(
            desired
                .saturating_sub(current)
                .saturating_mul(TABLE_ELEMENT_BYTES),
        )?;
        Ok(true)
    }

    /// A component is made of a few core instances: its own, adapters, shims.
    fn instances(&self) -> usize {
        64
    }

    fn memories(&self) -> usize {
        16
    }

    fn tables(&self) -> usize {
        64
    }
}
