//! The runtime of plugins: its compilers, and what instances run on.

use std::collections::BTreeMap;
use std::env;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
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
use super::slots::Slots;
use super::streams::Room;
use memchr::memmem;
use pace_config::{Isolation, Limits};

/// The runtime of plugins: compiles them, and keeps account of their instances on all threads.
///
/// A runtime has one platform for instances that live long, and one for each size of memory among plugins whose
/// instances are made for each call. Clones are handles to the same runtime; two runtimes share neither
/// compilers nor instances.
#[derive(Clone)]
pub struct Runtime {
    on_demand: Platform,
    pooled: Arc<Mutex<BTreeMap<(usize, u32), Platform>>>,
    pub(super) slots: Arc<Slots>,
    /// Threads that call plugins at the same time.
    threads: u32,
    cache: Option<Cache>,
}

/// The end that the names of the hooks have which filter messages.
const STREAM_HOOK: &[u8] = b"-stream-filter@";

/// The source of instances' memory. A program is compiled for one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Allocation {
    /// From the system, for each instance.
    OnDemand,
    /// From a pool that is made once, so that an instance for each call costs little.
    Pooled {
        /// The most memory of an instance, in bytes.
        slot: usize,
        /// The most messages that stream filters have open, each with an instance.
        messages: u32,
    },
}

/// Bytes of the smallest slot of a pool, for all plugins with up to so much memory. Unused address space costs nothing,
/// and another compiler does.
const SMALLEST_SLOT: usize = 64 << 20;

impl Allocation {
    /// The allocation for a plugin with these limits.
    pub fn of(isolation: Isolation, limits: &Limits) -> Allocation {
        match isolation {
            Isolation::Worker => Allocation::OnDemand,
            Isolation::Request => Allocation::Pooled {
                slot: limits.memory.next_power_of_two().max(SMALLEST_SLOT),
                messages: limits.streams,
            },
        }
    }

    /// The allocation for this code: without room for messages if it filters none. The name of the hook is in every component that
    /// has it, as text, and finding it where it means something else only reserves addresses.
    pub(super) fn of_code(self, bytes: &[u8]) -> Allocation {
        match self {
            Allocation::Pooled { slot, .. } if memmem::find(bytes, STREAM_HOOK).is_none() => {
                Allocation::Pooled { slot, messages: 0 }
            }
            same => same,
        }
    }
}

/// The platform that programs of one allocation are compiled for and run on: an engine, the host functions, and the
/// clock that stops calls.
#[derive(Clone)]
pub(super) struct Platform {
    pub(super) engine: Engine,
    /// Host functions for components.
    pub(super) linker: Arc<Linker<Guest>>,
    /// Host functions for core modules that run by themselves.
    pub(super) imports: Arc<direct::Imports>,
    pub(super) clock: Arc<Clock>,
    /// Room for messages that have instances of their own.
    pub(super) room: Arc<Room>,
    /// Code counts its instructions, in units that wasmtime calls fuel.
    pub(super) counts_instructions: bool,
}

impl Runtime {
    /// Starts a runtime for `workers` serving threads. Compiled code is kept in `cache_dir` for the next start.
    pub fn new(cache_dir: Option<&Path>, workers: usize) -> wasmtime::Result<Runtime> {
        let cache = match cache_dir {
            Some(directory) => Some(open_cache(directory)?),
            None => None,
        };
        let on_demand = Platform::new(&InstanceAllocationStrategy::OnDemand, cache.as_ref(), false)?;
        // One more thread tries plugins before they serve.
        let threads = u32::try_from(workers.saturating_add(1)).context("so many threads cannot be")?;
        Ok(Runtime {
            on_demand,
            pooled: Arc::default(),
            slots: Arc::new(Slots::new()),
            threads,
            cache,
        })
    }

    /// Starts a runtime for plugins under development, with one thread. It keeps compiled code in the user's cache,
    /// `$XDG_CACHE_HOME/pace/compiled` or `~/.cache/pace/compiled`, since plugins in some languages take half a minute to compile; if there
    /// is no such directory that is the user's own, it keeps none.
    pub fn for_author() -> wasmtime::Result<Runtime> {
        let in_home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cache"));
        let caches = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(in_home);
        let own = caches.filter(|caches| caches.is_absolute());
        let kept = own.and_then(|caches| Runtime::new(Some(&caches.join("pace/compiled")), 1).ok());
        kept.map_or_else(|| Runtime::new(None, 1), Ok)
    }

    /// Starts a runtime whose code counts its instructions, which makes it slower.
    pub fn counting_instructions() -> wasmtime::Result<Runtime> {
        Ok(Runtime {
            on_demand: Platform::new(&InstanceAllocationStrategy::OnDemand, None, true)?,
            pooled: Arc::default(),
            slots: Arc::new(Slots::new()),
            threads: 1,
            cache: None,
        })
    }

    /// Changes whenever a use of a plugin has ended. A thread that calls plugins should [`sweep`](Runtime::sweep) then.
    pub fn ended(&self) -> watch::Receiver<u64> {
        self.slots.ended()
    }

    /// Drops this thread's instances of plugins that are not used any more, and those of runtimes that are gone.
    pub fn sweep(&self) {
        self.slots.sweep();
    }

    /// The directory for compiled code.
    pub(super) fn cache_dir(&self) -> Option<&Path> {
        self.cache.as_ref().map(|cache| cache.directory().as_path())
    }

    /// The platform for an allocation, made when it is first asked for. Its pool has room for one instance per thread, since
    /// hooks do not wait and a thread runs one call at a time, and for one per open message.
    pub(super) fn platform(&self, allocation: Allocation) -> wasmtime::Result<Platform> {
        let Allocation::Pooled { slot, messages } = allocation else {
            return Ok(self.on_demand.clone());
        };
        let mut pooled = self.pooled.lock();
        if let Some(known) = pooled.get(&(slot, messages)) {
            return Ok(known.clone());
        }
        let instances = self.threads.saturating_add(messages);
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(instances)
            .total_core_instances(instances.saturating_mul(CORE_INSTANCES))
            .total_memories(instances.saturating_mul(MEMORIES))
            .total_tables(instances.saturating_mul(TABLES))
            .table_elements(MAX_TABLE_ELEMENTS)
            .max_memory_size(slot);
        let pooling = InstanceAllocationStrategy::Pooling(pool);
        let made = Platform {
            room: Room::new(messages),
            ..Platform::new(&pooling, self.cache.as_ref(), false)?
        };
        pooled.insert((slot, messages), made.clone());
        Ok(made)
    }
}

/// Core instances, tables and memories that one component can be expected to need.
const CORE_INSTANCES: u32 = 8;
const TABLES: u32 = 8;
const MEMORIES: u32 = 2;

impl Platform {
    fn new(
        allocation: &InstanceAllocationStrategy,
        cache: Option<&Cache>,
        counts_instructions: bool,
    ) -> wasmtime::Result<Platform> {
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
        Ok(Platform {
            engine,
            linker,
            imports,
            clock,
            room: Room::new(u32::MAX),
            counts_instructions,
        })
    }
}

/// An engine that only compiles, for a [`Platform`] whose memories have `slot` bytes. It compiles on the threads of the
/// rayon pool that it is called in; outside of any pool that is the global one, with a thread for each core.
pub(super) fn for_compiling(slot: Option<usize>, cache: Option<Cache>) -> wasmtime::Result<Engine> {
    Engine::new(&config(slot, cache))
}

/// Settings for a pool of memories with `slot` bytes each, or for none.
fn config(slot: Option<usize>, cache: Option<Cache>) -> Config {
    let mut config = ahead::settings();
    config.cache(cache);
    if let Some(slot) = slot {
        // A memory reserves no more address space than it can use.
        config.memory_reservation(slot as u64);
    }
    config
}

/// Opens the cache of compiled code. The code will be run, so a directory that others can write to is an error.
pub(super) fn open_cache(directory: &Path) -> wasmtime::Result<Cache> {
    // The directory is relative if `--config` is, and wasmtime takes absolute paths only.
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
