//! The compilers of the process.

use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use wasmtime::component::Linker;
use wasmtime::error::Context;
use wasmtime::{
    Cache, CacheConfig, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, ensure,
};

use super::ahead;
use super::capability;
use super::deadline::Clock;
use super::direct;
use super::guest::{Guest, MAX_TABLE_ELEMENTS};
use pace_config::Isolation;

/// The compilers of the process: one for instances that live long, and one for each size of memory that
/// plugins want whose instances are made for each call.
#[derive(Clone)]
pub struct Runtime {
    on_demand: Environment,
    pooled: Arc<Mutex<BTreeMap<usize, Environment>>>,
    /// Threads that call plugins at the same time.
    threads: u32,
    cache: Option<Cache>,
}

/// Where instances get their memory. A program is compiled for one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Allocation {
    /// From the system, for each instance.
    OnDemand,
    /// From a pool that is made once, so that an instance for each call costs little.
    Pooled {
        /// The most memory of an instance, in bytes.
        slot: usize,
    },
}

/// The smallest pool is for all plugins with up to so much memory. Address space that nobody uses costs
/// nothing, and another compiler does.
const SMALLEST_SLOT: usize = 64 << 20;

impl Allocation {
    /// What a plugin needs that may have so much memory, in bytes.
    pub fn of(isolation: Isolation, memory: usize) -> Allocation {
        match isolation {
            Isolation::Worker => Allocation::OnDemand,
            Isolation::Request => Allocation::Pooled {
                slot: memory.next_power_of_two().max(SMALLEST_SLOT),
            },
        }
    }
}

/// A compiler, what the host lends, and the clock.
#[derive(Clone)]
pub(super) struct Environment {
    pub(super) engine: Engine,
    pub(super) linker: Arc<Linker<Guest>>,
    /// The same for core modules that run by themselves.
    pub(super) imports: Arc<direct::Imports>,
    pub(super) clock: Arc<Clock>,
    /// Code counts its instructions, in what wasmtime calls fuel.
    pub(super) counts_instructions: bool,
}

impl Runtime {
    /// Starts a compiler. What it compiles is kept in `cache_dir` for the next start. `workers` is how many
    /// threads will serve.
    pub fn new(cache_dir: Option<&Path>, workers: usize) -> wasmtime::Result<Runtime> {
        let cache = match cache_dir {
            Some(directory) => Some(open_cache(directory)?),
            None => None,
        };
        let on_demand = Environment::new(&InstanceAllocationStrategy::OnDemand, cache.as_ref(), false)?;
        // And the one that tries plugins before they serve.
        let threads = u32::try_from(workers.saturating_add(1)).context("so many threads cannot be")?;
        Ok(Runtime {
            on_demand,
            pooled: Arc::default(),
            threads,
            cache,
        })
    }

    /// A compiler whose code counts its instructions, which makes it slower.
    pub fn counting_instructions() -> wasmtime::Result<Runtime> {
        Ok(Runtime {
            on_demand: Environment::new(&InstanceAllocationStrategy::OnDemand, None, true)?,
            pooled: Arc::default(),
            threads: 1,
            cache: None,
        })
    }

    /// Where compiled code is kept.
    pub(super) fn cache_dir(&self) -> Option<&Path> {
        self.cache.as_ref().map(|cache| cache.directory().as_path())
    }

    /// The compiler for this allocation. Hooks do not wait, so a thread has one instance of a call at a time.
    pub(super) fn environment(&self, allocation: Allocation) -> wasmtime::Result<Environment> {
        let Allocation::Pooled { slot } = allocation else {
            return Ok(self.on_demand.clone());
        };
        let mut pooled = self.pooled.lock();
        if let Some(known) = pooled.get(&slot) {
            return Ok(known.clone());
        }
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(self.threads)
            .total_core_instances(self.threads * CORE_INSTANCES)
            .total_memories(self.threads * MEMORIES)
            .total_tables(self.threads * TABLES)
            .table_elements(MAX_TABLE_ELEMENTS)
            .max_memory_size(slot);
        let pooling = InstanceAllocationStrategy::Pooling(pool);
        let made = Environment::new(&pooling, self.cache.as_ref(), false)?;
        pooled.insert(slot, made.clone());
        Ok(made)
    }
}

/// What the core modules of one component can be expected to have together.
const CORE_INSTANCES: u32 = 8;
const TABLES: u32 = 8;
const MEMORIES: u32 = 2;

impl Environment {
    fn new(
        allocation: &InstanceAllocationStrategy,
        cache: Option<&Cache>,
        counts_instructions: bool,
    ) -> wasmtime::Result<Environment> {
        let slot = match allocation {
            InstanceAllocationStrategy::Pooling(pool) => Some(pool.get_max_memory_size()),
            _ => None,
        };
        let mut config = config(slot, cache.cloned());
        config
            .consume_fuel(counts_instructions)
            .allocation_strategy(allocation.clone());
        let engine = Engine::new(&config)?;
        let linker = Arc::new(capability::linker(&engine)?);
        let imports = Arc::new(direct::Imports::new(&engine)?);
        let clock = Arc::new(Clock::start(engine.clone())?);
        Ok(Environment {
            engine,
            linker,
            imports,
            clock,
            counts_instructions,
        })
    }
}

/// A compiler whose code runs where memories have `slot` bytes, as an [`Environment`] has them. It uses the threads of
/// rayon's pool that it is used in, which outside of all is the global one, with one for each core.
pub(super) fn for_compiling(slot: Option<usize>, cache: Option<Cache>) -> wasmtime::Result<Engine> {
    Engine::new(&config(slot, cache))
}

/// The bytes of a slot are those of a pool of memories, if there is one.
fn config(slot: Option<usize>, cache: Option<Cache>) -> Config {
    let mut config = ahead::settings();
    config.cache(cache);
    if let Some(slot) = slot {
        // No more address space for a memory than it can use.
        config.memory_reservation(slot as u64);
    }
    config
}

/// The cache holds machine code that will be run, so nobody else may write there.
pub(super) fn open_cache(directory: &Path) -> wasmtime::Result<Cache> {
    // With a relative `--config` it is relative too, and wasmtime does not take that.
    let directory = &std::path::absolute(directory)
        .with_context(|| format!("no directory {} for compiled plugins", directory.display()))?;
    let shown = directory.display();
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .with_context(|| format!("cannot make the directory {shown} for compiled plugins"))?;
    let metadata = std::fs::metadata(directory)
        .with_context(|| format!("cannot look at the directory {shown} for compiled plugins"))?;
    ensure!(
        metadata.uid() == rustix::process::geteuid().as_raw(),
        "the directory {shown} for compiled plugins belongs to another user, who could run code in Pace"
    );
    ensure!(
        metadata.mode() & 0o022 == 0,
        "the directory {shown} for compiled plugins can be written by others, who could run code in Pace: \
         chmod go-w {shown}"
    );
    let mut config = CacheConfig::new();
    config.with_directory(directory);
    Cache::new(config)
}
