//! Limits how many lines of one kind are logged per second, and reports how many were left out.
//!
//! A backend that is down makes a line for each request, and a client can make lines as fast as it connects.
//! The first lines of a second say what there is to know.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use log::{Level, Record, warn};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::limiter::Limiter;

/// The most lines of one kind per second.
pub const WARNINGS_PER_SECOND: u32 = 10;

/// One kind of line, with its limit.
#[derive(Clone)]
pub struct Limited(Arc<Kind>);

struct Kind {
    /// The name in a summary, `N more …`.
    what: String,
    limiter: Limiter,
    /// Whether lines of this kind were left out since the last summary.
    is_untold: AtomicBool,
}

/// The kinds with lines left out that no summary has reported.
static UNTOLD: Mutex<Vec<Arc<Kind>>> = Mutex::new(Vec::new());

/// Notified when [`UNTOLD`] gets its first entry.
static NEWS: Notify = Notify::const_new();

/// How long lines that are left out are counted before a summary.
const COUNTED: Duration = Duration::from_secs(1);

impl Limited {
    /// A kind of line; `what` names it in the plural.
    pub fn new(what: impl Into<String>) -> Limited {
        Limited(Arc::new(Kind {
            what: what.into(),
            limiter: Limiter::new(WARNINGS_PER_SECOND),
            is_untold: AtomicBool::new(false),
        }))
    }

    /// Whether a line of this kind may be written now. If not, it is counted for the next summary.
    pub fn admits(&self) -> bool {
        let admitted = self.0.limiter.passes();
        if !admitted && !self.0.is_untold.swap(true, Ordering::AcqRel) {
            UNTOLD.lock().push(Arc::clone(&self.0));
            NEWS.notify_one();
        }
        admitted
    }
}

/// Logs summaries of lines that were left out, at most once per second. Never returns.
pub async fn summarise_limited() {
    loop {
        NEWS.notified().await;
        tokio::time::sleep(COUNTED).await;
        summarise_limited_now();
    }
}

/// Logs summaries of the lines left out so far.
pub fn summarise_limited_now() {
    let untold = std::mem::take(&mut *UNTOLD.lock());
    for kind in untold {
        // The next line that is left out lists the kind again.
        kind.is_untold.store(false, Ordering::Release);
        let more = kind.limiter.take_dropped();
        if more > 0 {
            warn!(target: "pace::log", "{more} more {}", kind.what);
        }
    }
}

/// Whether a line may be written. Libraries log each faulty request without a limit of their own.
pub(super) fn admits(record: &Record<'_>) -> bool {
    static OF_LIBRARIES: LazyLock<Limited> = LazyLock::new(|| Limited::new("warnings of libraries"));
    let is_ours = |target: &str| target == "pace" || target.starts_with("pace::");
    record.level() > Level::Warn || is_ours(record.target()) || OF_LIBRARIES.admits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limited_excess_lines_are_summarised_once() {
        let kind = Limited::new("tests");
        let mut admitted = 0;
        for _ in 0..1000 {
            admitted += u32::from(kind.admits());
        }
        // A second may have ended meanwhile.
        assert!(
            (WARNINGS_PER_SECOND..=2 * WARNINGS_PER_SECOND).contains(&admitted),
            "{admitted}"
        );
        let is_listed = || UNTOLD.lock().iter().any(|untold| Arc::ptr_eq(untold, &kind.0));
        assert!(is_listed());
        assert_eq!(
            UNTOLD
                .lock()
                .iter()
                .filter(|untold| Arc::ptr_eq(untold, &kind.0))
                .count(),
            1
        );
        summarise_limited_now();
        assert!(!is_listed());
        assert_eq!(kind.0.limiter.take_dropped(), 0);
    }

    #[test]
    fn admits_limits_only_warnings_of_libraries() {
        let admitted = |target: &str, level| {
            let of = |_: &u32| admits(&Record::builder().target(target).level(level).build());
            (0..200u32).filter(of).count()
        };
        assert_eq!(admitted("pace::access", Level::Info), 200);
        assert_eq!(admitted("pace", Level::Error), 200);
        assert_eq!(admitted("library", Level::Debug), 200);
        assert!(admitted("library", Level::Error) < 100);
        assert!(admitted("pacemaker", Level::Warn) < 100);
    }
}
