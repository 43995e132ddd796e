//! The upkeep of pools beside all requests: health checks, ends of ejections, slow starts, and repeated look-ups of names.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::probe::probe;
use super::{Answers, Backend, Lookup, Pool};
use crate::telemetry::Metrics;
use pace_base::escape::Line;
use pace_config::pool::HealthCheck;

/// The signal by which pools wake the keeper. Signals that it has not heeded yet are one.
#[derive(Debug, Default)]
pub struct Changes(Notify);

/// The keeper of the pools that serve.
///
/// One task looks at all pools whenever one signals a change, and when something is due. Each checked backend, and each pool with
/// names to look up, has a task besides. All of them run on a runtime that serves no requests.
pub struct Keeper<P, M> {
    /// Lists the pools that serve.
    pub pools: P,
    /// The signal of the pools.
    pub changes: Arc<Changes>,
    /// Looks names up; `None`: they are not looked up.
    pub lookup: Option<Lookup>,
    /// The metrics of the backends.
    pub metrics: Arc<M>,
}

/// A pool with the tasks of its upkeep.
struct Kept {
    pool: Arc<Pool>,
    /// The members' version when tasks were begun for them.
    version: u64,
    checks: HashMap<u64, Task>,
    _look_ups: Option<Task>,
}

/// A task that ends when this is dropped.
struct Task(JoinHandle<()>);

/// The share by which a wait is longer or shorter than configured, so that those of many backends and processes come apart.
const JITTER: f64 = 0.1;

impl Changes {
    /// Signals a change.
    pub fn tell(&self) {
        self.0.notify_one();
    }
}

impl<P, M> Keeper<P, M>
where
    P: Fn() -> Vec<Arc<Pool>>,
    M: AsRef<Metrics> + Send + Sync + 'static,
{
    /// Runs as long as the process.
    pub async fn run(self) {
        let mut kept: HashMap<String, Kept> = HashMap::new();
        loop {
            let pools = (self.pools)();
            let now = Instant::now();
            let mut next: Option<Instant> = None;
            kept.retain(|_, kept| pools.iter().any(|pool| Arc::ptr_eq(pool, &kept.pool)));
            for pool in &pools {
                next = pool.advance(now).into_iter().chain(next).min();
                kept.entry(pool.name.clone())
                    .or_insert_with(|| self.keep(pool))
                    .check_members();
            }
            let is_over = async {
                match next {
                    Some(next) => sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.changes.0.notified() => {}
                () = is_over => {}
            }
        }
    }

    /// Begins to keep a pool.
    fn keep(&self, pool: &Arc<Pool>) -> Kept {
        let every = pool.settings.upkeep.resolve_every;
        let every = every.filter(|_| !pool.named().is_empty());
        let look_ups = every.zip(self.lookup.clone()).map(|(every, lookup)| {
            let (pool, changes) = (Arc::clone(pool), Arc::clone(&self.changes));
            let metrics = Arc::clone(&self.metrics);
            Task(tokio::spawn(async move {
                loop {
                    sleep(jittered(every)).await;
                    let Some(answers) = look_up(&pool, &lookup).await else {
                        continue;
                    };
                    if pool.settle((*metrics).as_ref(), &answers) {
                        changes.tell();
                    }
                }
            }))
        });
        Kept {
            pool: Arc::clone(pool),
            version: 0,
            checks: HashMap::new(),
            _look_ups: look_ups,
        }
    }
}

impl Kept {
    /// Begins checks of new members, and ends those of backends that are gone.
    fn check_members(&mut self) {
        let Some(check) = &self.pool.settings.upkeep.health_check else {
            return;
        };
        let members = self.pool.members();
        if std::mem::replace(&mut self.version, members.version()) == members.version() {
            return;
        }
        let mut before = std::mem::take(&mut self.checks);
        for member in members.iter() {
            let backend = &member.backend;
            let task = before.remove(&backend.number).unwrap_or_else(|| {
                let (pool, backend) = (Arc::clone(&self.pool), Arc::clone(backend));
                Task(tokio::spawn(check_again_and_again(pool, backend, check.clone())))
            });
            self.checks.insert(backend.number, task);
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Checks a backend, one check after the other. The first one begins at a random moment of the first interval, so that many backends
/// are not checked at once.
async fn check_again_and_again(pool: Arc<Pool>, backend: Arc<Backend>, check: HealthCheck) {
    sleep(check.interval.mul_f64(fastrand::f64())).await;
    loop {
        let next = Instant::now() + jittered(check.interval);
        let outcome = probe(&pool, &backend, &check).await;
        if outcome.is_err() {
            backend.metrics.check_failures.inc();
        }
        pool.checked(&backend, outcome.map_err(|why| Line(why).to_string()));
        sleep_until(next).await;
    }
}

/// Looks the names of a pool up on a thread that may wait for the resolver.
async fn look_up(pool: &Arc<Pool>, lookup: &Lookup) -> Option<Answers> {
    let (sender, answer) = oneshot::channel();
    let (pool, lookup) = (Arc::clone(pool), Arc::clone(lookup));
    let started = thread::Builder::new()
        .name("pace-resolve".to_owned())
        .spawn(move || {
            // The receiver is gone if the pool has been replaced.
            let _ = sender.send(Answers::look_up(&pool.named(), &lookup));
        });
    match started {
        Ok(_) => answer.await.ok(),
        Err(error) => {
            log::warn!(target: "pace::upstream", "names cannot be looked up again: no thread can be started: {error}");
            None
        }
    }
}

fn jittered(time: Duration) -> Duration {
    time.mul_f64(1.0 - JITTER + 2.0 * JITTER * fastrand::f64())
}
