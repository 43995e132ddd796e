//! What belongs to one instance on the host's side.

use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, Result, bail};

use super::capability::Edits;
use super::capability::wasi::Written;
use super::direct::Exchange;
use super::generation::Generation;
use super::lend::Lending;
use super::meter::Meter;
use pace_state::Scope;

/// The store's data: what the host functions of one instance can reach.
pub(super) struct Guest {
    /// The plugin's version: its name and limits, its share of the log.
    pub(super) generation: Arc<Generation>,
    /// The request, while a hook runs.
    pub(super) lending: Lending,
    /// Counters and windows.
    pub(super) scope: Arc<Scope>,
    /// What the guest holds handles to.
    pub(super) resources: ResourceTable,
    /// What it has written to WASI's streams, up to the end of the line.
    pub(super) written: Written,
    /// What its calls have done to messages.
    pub(super) edits: Edits,
    /// How values get into and out of its memory, if it runs directly and has started.
    pub(super) exchange: Option<Exchange>,
    /// How much memory it may have.
    pub(super) memory: MemoryLimit,
    /// What the call that runs takes.
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
            written: Written::default(),
            edits: Edits::default(),
            exchange: None,
            memory: MemoryLimit {
                limit: generation.limits.memory,
                used: 0,
                exceeded: false,
            },
            meter: Meter::new(&generation.program.environment.clock, &generation.limits),
        }
    }
}

/// A cap on the sum of an instance's linear memories, and on its tables.
///
/// Growing past it traps instead of failing the `memory.grow`: a plugin that is out of memory seldom does
/// better than crash, and this way the reason is known.
pub(super) struct MemoryLimit {
    limit: usize,
    used: usize,
    /// Whether it was ever asked for more than it may have.
    pub(super) exceeded: bool,
}

/// Toolchains make tables of some thousand entries.
pub(super) const MAX_TABLE_ELEMENTS: usize = 100_000;

/// An element is a pointer of the host's, and counts as memory like any other.
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
