//! The phases of a run.

use super::exchange::World;
use super::limiter;
use super::memory::{self, Samples};
use super::plan::Plan;
use super::processors::Times;
use super::swap::{Swapper, Swaps};
use super::traffic::{self, Drive};
use anyhow::{Result, anyhow, bail};
use pace_kit::Pace;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The part of the capacity that is used: at most this share of the requests that a closed loop gets
/// answered, and of the machine's processors. Paced requests find more threads asleep than those of a closed
/// loop, which makes each of them more expensive: 70 % of the requests can be 90 % of the work.
const LOAD: f64 = 0.7;

/// How often the load is measured and adjusted at most.
const TRIES: u32 = 3;

/// How close to [`LOAD`] is close enough.
const CLOSE: f64 = 0.02;

/// The smallest share of the capacity that is used, even if other programs use the machine.
const LEAST_LOAD: f64 = 0.2;

/// The precision of times.
const A_MOMENT: Duration = Duration::from_millis(10);

/// The measurements of the phases, for the report.
pub(crate) struct Found {
    pub(crate) slices: Slices,
    pub(crate) limiter: limiter::Counts,
    pub(crate) swaps: Swaps,
    /// Memory before and after the swaps.
    pub(crate) memory: [Samples; 2],
}

/// The p99 of each slice.
#[derive(Default)]
pub(crate) struct Slices {
    pub(crate) steady: Vec<Duration>,
    pub(crate) swapping: Vec<Duration>,
    /// The share of their time for which processors were busy in the first slice of `steady`.
    pub(crate) busy: f64,
}

/// Runs all phases, from the capacity to the end.
pub(crate) fn run(
    plan: &Plan,
    seed: u64,
    world: &World,
    pace: &Pace,
    swapper: &mut Swapper<'_>,
) -> Result<Found> {
    let (capacity, rate) = rate(world, plan, seed)?;
    println!("capacity {capacity:.0} requests/s; from now on {rate:.0}");
    let mut run = Run {
        plan,
        world,
        pace,
        drive: Drive::Paced(rate),
        seed,
        slices: Slices::default(),
    };
    let mut swaps = Swaps::default();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let limiter = scope.spawn(|| limiter::watch(world, &stop));
        let found = run.all(swapper, &mut swaps);
        stop.store(true, Ordering::Relaxed);
        let limiter = limiter
            .join()
            .map_err(|_| anyhow!("the limiter's watcher failed"))?;
        Ok(Found {
            memory: found?,
            slices: run.slices,
            limiter,
            swaps,
        })
    })
}

/// Measures how many requests per second are possible, and chooses how many there shall be.
fn rate(world: &World, plan: &Plan, seed: u64) -> Result<(f64, f64)> {
    let time = plan.capacity / (1 + TRIES);
    let capacity = traffic::mixed(world, Drive::Closed, time, seed).per_second();
    let mut rate = capacity * LOAD;
    if rate < 1.0 {
        bail!(
            "the proxy answers next to nothing: {:?}",
            world.ledger.close().remarks
        );
    }
    // Fewer requests are more expensive each, and other programs may use the machine for a moment, so one
    // measurement is not enough.
    for _ in 0..TRIES {
        let before = Times::now()?;
        traffic::mixed(world, Drive::Paced(rate), time, seed);
        let busy = Times::now()?.busy_since(before);
        println!(
            "{rate:.0} requests/s keep processors busy for {:.0} % of the time",
            busy * 100.0
        );
        if (busy - LOAD).abs() < CLOSE {
            break;
        }
        rate = (rate * LOAD / busy).clamp(capacity * LEAST_LOAD, capacity * LOAD);
    }
    Ok((capacity, rate))
}

/// The load, slice by slice.
struct Run<'a> {
    plan: &'a Plan,
    world: &'a World,
    pace: &'a Pace,
    drive: Drive,
    /// The seed of the last slice.
    seed: u64,
    slices: Slices,
}

impl Run<'_> {
    /// Runs from the warm-up to the end. Returns the memory before and after the swaps.
    fn all(&mut self, swapper: &mut Swapper<'_>, swaps: &mut Swaps) -> Result<[Samples; 2]> {
        self.swapping(swapper, swaps, self.plan.warm_up)?;
        self.slices = Slices::default();
        let since = Times::now()?;
        let before = self.measured()?;
        self.slices.busy = Times::now()?.busy_since(since);
        println!("{} times swapping and not", self.plan.blocks);
        for _ in 0..self.plan.blocks {
            self.swapping(swapper, swaps, self.plan.swapping * self.plan.slice)?;
            self.steady();
        }
        Ok([before, self.measured()?])
    }

    /// Runs load without swaps, and samples the memory meanwhile.
    fn measured(&mut self) -> Result<Samples> {
        for _ in 0..self.plan.settle {
            self.steady();
        }
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let samples = scope.spawn(|| memory::watch(self.pace.process(), &stop));
            let slices: Vec<Duration> = (1..=self.plan.measured)
                .map(|number| self.slice(number))
                .collect();
            stop.store(true, Ordering::Relaxed);
            self.seed += u64::from(self.plan.measured);
            self.slices.steady.extend(slices);
            samples
                .join()
                .map_err(|_| anyhow!("the memory's watcher failed"))?
        })
    }

    fn steady(&mut self) {
        let p99 = self.slice(1);
        self.seed += 1;
        self.slices.steady.push(p99);
    }

    /// Runs load and swaps at the same time. The load lasts until the last bad file is mended; the end of
    /// that time is not measured.
    fn swapping(&mut self, swapper: &mut Swapper<'_>, swaps: &mut Swaps, duration: Duration) -> Result<()> {
        let deadline = Instant::now() + duration;
        thread::scope(|scope| {
            let swapper = scope.spawn(move || swapper.run(deadline, swaps));
            let mut number = 0;
            while !swapper.is_finished() {
                let whole = Instant::now() + self.plan.slice <= deadline + A_MOMENT;
                number += 1;
                let p99 = self.slice(number);
                if whole {
                    self.slices.swapping.push(p99);
                }
            }
            self.seed += u64::from(number);
            swapper.join().map_err(|_| anyhow!("the swapper failed"))
        })
    }

    fn slice(&self, number: u32) -> Duration {
        let seed = self.seed + u64::from(number);
        let load = traffic::mixed(self.world, self.drive, self.plan.slice, seed);
        load.latencies.quantile(0.99)
    }
}
