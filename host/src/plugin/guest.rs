//! What belongs to one instance on the host's side.

use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, Result, bail};

use super::lend::Lending;
use crate::state::Scope;

/// The store's data: what the host functions of one instance can reach.
pub(super) struct Guest {
    /// The name of the plugin, for its log lines.
    pub(super) name: Arc<str>,
    /// The request, while a hook runs.
    pub(super) lending: Lending,
    /// Counters and windows.
    pub(super) scope: Arc<Scope>,
    /// What the guest holds handles to.
    pub(super) resources: ResourceTable,
    /// How much memory it may have.
    pub(super) memory: MemoryLimit,
    /// When the hook that runs entered its second half of time, in the thread's CPU time.
    pub(super) overtime_since: Option<std::time::Duration>,
}

/// More resources than any plugin has a use for.
const MAX_RESOURCES: usize = 4096;

impl Guest {
    pub(super) fn new(name: Arc<str>, scope: Arc<Scope>, memory: usize) -> Guest {
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(MAX_RESOURCES);
        Guest {
            name,
            lending: Lending::default(),
            scope,
            resources,
            memory: MemoryLimit {
                limit: memory,
                used: 0,
                exceeded: false,
            },
            overtime_since: None,
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

/// Table elements are host memory, 8 or 16 bytes each. Toolchains make tables of some thousand entries.
const MAX_TABLE_ELEMENTS: usize = 100_000;

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        if used > self.limit {
            self.exceeded = true;
            bail!(
                "{} KiB of memory asked for, {} KiB allowed",
                used / 1024,
                self.limit / 1024
            );
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        if desired > MAX_TABLE_ELEMENTS {
            self.exceeded = true;
            bail!("a table of {desired} elements asked for, {MAX_TABLE_ELEMENTS} allowed");
        }
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
