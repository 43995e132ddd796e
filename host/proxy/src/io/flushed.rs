//! The wait until bytes that were written have left.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The interval of the questions: the system tells nobody when bytes have been acknowledged.
const INTERVAL: Duration = Duration::from_millis(5);

/// Waits until `left` says that nothing is left to be sent, or its answer has been the same for `patience`.
pub async fn flushed(patience: Duration, mut left: impl FnMut() -> Option<u64>) {
    let (mut last, mut since) = (None, Instant::now());
    while let Some(count) = left() {
        if last != Some(count) {
            (last, since) = (Some(count), Instant::now());
        } else if since.elapsed() >= patience {
            return;
        }
        sleep(INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn progress_is_waited_for_and_standstill_is_not() {
        let begun = Instant::now();
        let mut left = 1000;
        flushed(PATIENCE, || {
            left -= 1;
            (left > 0).then_some(left)
        })
        .await;
        let slow = begun.elapsed();
        assert!(slow > PATIENCE, "{slow:?}");

        let begun = Instant::now();
        flushed(PATIENCE, || Some(7)).await;
        let still = begun.elapsed();
        assert!(still >= PATIENCE && still < PATIENCE + 2 * INTERVAL, "{still:?}");
    }
}
