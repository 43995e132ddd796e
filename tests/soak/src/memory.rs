//! The proxy's resident memory, sampled for a while.

use anyhow::{Context, Result};
use pace_kit::Process;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The time between two samples.
const INTERVAL: Duration = Duration::from_millis(50);

/// Samples of the resident memory, in bytes. An allocator gives memory back and takes it again all the time,
/// so one sample says little.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<u64>);

/// Takes samples until told to stop, and at least one.
pub(crate) fn watch(proxy: &Process, stop: &AtomicBool) -> Result<Samples> {
    let mut samples = Vec::new();
    loop {
        samples.push(proxy.resident().context("the proxy has ended")?);
        if stop.load(Ordering::Relaxed) {
            return Ok(Samples(samples));
        }
        thread::sleep(INTERVAL);
    }
}

impl Samples {
    /// The mean, and not the median: the answer of one of the misbehaving plugins is a tenth of all memory,
    /// there for half of the time, and a median would include it in one run and not in another.
    pub(crate) fn mean(&self) -> u64 {
        let sum: u64 = self.0.iter().sum();
        sum.checked_div(self.0.len() as u64).unwrap_or_default()
    }
}

/// Shows about ten samples in their order, so that a rise can be told from fluctuation.
impl fmt::Display for Samples {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        let step = self.0.len().div_ceil(SHOWN).max(1);
        let shown = self.0.iter().step_by(step);
        let words: Vec<String> = shown.map(|bytes| format!("{:.1}", mebibytes(*bytes))).collect();
        write!(out, "{} MiB", words.join(" "))
    }
}

pub(crate) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
pub(crate) fn samples(mebibytes: &[u64]) -> Samples {
    Samples(mebibytes.iter().map(|number| number << 20).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_of_alternating_samples_is_between_them() {
        assert_eq!(samples(&[80, 90, 80, 90, 80, 90]).mean(), 85 << 20);
        assert_eq!(samples(&[7]).mean(), 7 << 20);
        assert_eq!(Samples::default().mean(), 0);
    }

    #[test]
    fn long_series_is_shown_with_about_ten_samples() {
        assert_eq!(samples(&[1, 2]).to_string(), "1.0 2.0 MiB");
        let many: Vec<u64> = (0..95).collect();
        assert_eq!(samples(&many).to_string().split(' ').count(), 11);
    }
}
