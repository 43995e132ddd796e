//! What is resident of the proxy, looked at for a while.

use anyhow::{Context, Result};
use pace_kit::Process;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// From one look to the next.
const INTERVAL: Duration = Duration::from_millis(50);

/// What was resident, in bytes, look by look. An allocator gives back and takes again all the time, so one look
/// says little.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<u64>);

/// Looks until told to stop, and once at least.
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
    /// Not the median: what one of the misbehaving plugins answers is a tenth of all, there for half of the time, and
    /// a median would be with it in one run and without in another.
    pub(crate) fn mean(&self) -> u64 {
        let sum: u64 = self.0.iter().sum();
        sum.checked_div(self.0.len() as u64).unwrap_or_default()
    }
}

/// About ten of them, in the order in which they were taken: whether it rises, or only goes up and down.
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
    fn the_mean_is_between_what_is_there_now_and_then() {
        assert_eq!(samples(&[80, 90, 80, 90, 80, 90]).mean(), 85 << 20);
        assert_eq!(samples(&[7]).mean(), 7 << 20);
        assert_eq!(Samples::default().mean(), 0);
    }

    #[test]
    fn a_series_is_shown_in_short() {
        assert_eq!(samples(&[1, 2]).to_string(), "1.0 2.0 MiB");
        let many: Vec<u64> = (0..95).collect();
        assert_eq!(samples(&many).to_string().split(' ').count(), 11);
    }
}
