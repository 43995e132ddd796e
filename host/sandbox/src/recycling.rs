//! The end of instances that have grown too large or old, and limits that leave them no room.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use pace_config::Limits;
use prometheus::IntCounter;

/// Why an instance is not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wear {
    /// Its memory has grown by so many bytes since it was configured, in so many calls of hooks.
    Memory { grown: usize, calls: u32 },
    /// It has had all its calls.
    Uses,
}

/// The values of the label `reason` of `pace_plugin_instances_recycled_total`, in the order of the counters.
pub const RECYCLING_REASONS: [&str; 2] = ["memory", "uses"];

/// Counts the instances of a generation that were recycled, by [`RECYCLING_REASONS`].
#[derive(Default)]
pub(super) struct Recycled {
    counters: Option<[IntCounter; 2]>,
    has_warned: AtomicBool,
}

/// An instance was recycled after its first call.
#[derive(Debug)]
pub(super) struct AfterFirstCall {
    grown: usize,
}

impl Recycled {
    pub(super) fn new(counters: [IntCounter; 2]) -> Recycled {
        Recycled {
            counters: Some(counters),
            has_warned: AtomicBool::new(false),
        }
    }

    /// The same counters for the next generation of the plugin.
    pub(super) fn of_next(&self) -> Recycled {
        Recycled {
            counters: self.counters.clone(),
            has_warned: AtomicBool::new(false),
        }
    }

    /// Counts an instance. If it is the first one that had a single call, that is returned: probably each call gets a new one.
    pub(super) fn count(&self, wear: Wear) -> Option<AfterFirstCall> {
        if let Some([memory, uses]) = &self.counters {
            match wear {
                Wear::Memory { .. } => memory.inc(),
                Wear::Uses => uses.inc(),
            }
        }
        match wear {
            Wear::Memory { grown, calls: 1 } if !self.has_warned.swap(true, Ordering::Relaxed) => {
                Some(AfterFirstCall { grown })
            }
            Wear::Memory { .. } | Wear::Uses => None,
        }
    }
}

impl fmt::Display for AfterFirstCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "one call made an instance grow by {} KiB, and it was replaced: if every call does, each one pays for a new \
             instance. Raise `memory_mb` or `recycle_memory_mb` in its limits",
            self.grown.div_ceil(1024)
        )
    }
}

/// Limits of memory that leave instances too little room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NarrowLimits {
    /// The memory of an instance that has been configured, in bytes.
    configured: usize,
    /// The bytes by which it may grow until it is replaced.
    growth: usize,
    /// The bytes that it may have.
    memory: usize,
}

/// Allocators take memory in pieces of 64 KiB to a MiB: an instance that may not grow by more may be replaced after any call.
const LITTLE: usize = 1 << 20;

impl NarrowLimits {
    pub(super) fn of(limits: &Limits, configured: usize) -> Option<NarrowLimits> {
        let narrow = NarrowLimits {
            configured,
            growth: limits.growth(configured),
            memory: limits.memory,
        };
        // A growth beyond all memory is seen in the configuration alone, which warns of it.
        let is_told = narrow.growth >= limits.memory;
        (!is_told && (narrow.growth < LITTLE || narrow.fails())).then_some(narrow)
    }

    /// Whether an instance fails before it is replaced.
    fn fails(self) -> bool {
        self.configured.saturating_add(self.growth) >= self.memory
    }
}

impl fmt::Display for NarrowLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mebibytes = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        let configured = mebibytes(self.configured);
        match self.fails() {
            true => write!(
                f,
                "its instances have {configured:.1} MiB after `configure`, so that they reach `memory_mb`, and fail, before \
                 `recycle_memory_mb` has them replaced: raise the first, or lower the second"
            ),
            false => write!(
                f,
                "its instances have {configured:.1} MiB after `configure` and are replaced when they have grown by {:.1}, \
                 which can be after every call: raise `memory_mb` or `recycle_memory_mb` in its limits",
                mebibytes(self.growth),
            ),
        }
    }
}
