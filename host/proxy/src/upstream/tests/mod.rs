mod health;
mod reloads;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::*;
use pace_config::{Config, Overrides};
use pace_hook::{AttemptFailure, Candidates};

/// A resolver that knows these names.
#[derive(Default)]
struct World(Mutex<Vec<(&'static str, Vec<&'static str>)>>);

impl World {
    fn new(names: &[(&'static str, &[&'static str])]) -> Arc<World> {
        let world = World::default();
        for (name, addresses) in names {
            world.set(name, addresses);
        }
        Arc::new(world)
    }

    fn set(&self, name: &'static str, addresses: &[&'static str]) {
        let mut names = self.0.lock();
        names.retain(|(known, _)| *known != name);
        names.push((name, addresses.to_vec()));
    }

    fn lookup(self: &Arc<World>) -> Lookup {
        let world = Arc::clone(self);
        Arc::new(move |name, port| {
            let names = world.0.lock();
            let found = names.iter().find(|(known, _)| *known == name);
            let (_, addresses) = found.ok_or(io::ErrorKind::NotFound)?;
            Ok(addresses
                .iter()
                .map(|ip| SocketAddr::new(ip.parse().expect("an address"), port))
                .collect())
        })
    }

    fn answers(self: &Arc<World>, pool: &pace_config::Pool) -> Answers {
        Answers::look_up(&pool.backends, &self.lookup())
    }
}

fn pool(servers: &[(&str, u32)]) -> pace_config::Pool {
    let backend = |(host, weight): &(&str, u32)| match host.contains(':') {
        true => format!("{{ address = \"[{host}]:80\", weight = {weight} }}"),
        false => format!("{{ address = \"{host}:80\", weight = {weight} }}"),
    };
    let backends: Vec<_> = servers.iter().map(backend).collect();
    configured(&format!("backends = [{}]", backends.join(", ")))
}

/// The pool `web`, as a configuration with these keys has it.
pub(crate) fn configured(keys: &str) -> pace_config::Pool {
    let text = format!("[[pools]]\nname = \"web\"\n{keys}\n[[routes]]\npool = \"web\"\n");
    let config = Config::parse(&text, Path::new("test.toml"), &Overrides::default());
    config.unwrap_or_else(|error| panic!("{error}")).pools.remove(0)
}

/// The pool of a configuration without names, which serves.
pub(crate) fn made(pool: &pace_config::Pool) -> Pool {
    replacing(None, pool, &World::default().into())
}

/// A pool that serves in place of another.
fn replacing(before: Option<&Pool>, pool: &pace_config::Pool, world: &Arc<World>) -> Pool {
    let answers = world.answers(pool);
    let made = Pool::new(pool, None, &Metrics::new(), &Arc::default(), before, &answers);
    made.take_over();
    made
}

fn labels(pool: &Pool) -> Vec<String> {
    let members = pool.members();
    members
        .iter()
        .map(|member| member.backend.label.clone())
        .collect()
}

fn weights(pool: &Pool) -> Vec<u32> {
    pool.members().iter().map(|member| member.weight).collect()
}

fn health(pool: &Pool) -> Vec<Health> {
    pool.members().iter().map(|member| member.health).collect()
}

fn place(pool: &Pool, index: u32) -> InFlight {
    match pool.enter(pool.members().backend(index), false, Instant::now) {
        Entry::Place(place) => place,
        Entry::Full | Entry::OnTrial | Entry::Ejected | Entry::Draining => panic!("no place at {index}"),
    }
}

/// Makes attempts at a backend that fail.
fn fail(pool: &Pool, index: u32, times: u32) {
    for _ in 0..times {
        let place = place(pool, index);
        pool.failed(&place, AttemptFailure::ConnectionRefused);
    }
}

#[test]
fn name_with_several_addresses_becomes_several_backends() {
    let world = World::new(&[("one", &["10.0.0.1"]), ("two", &["::1", "127.0.0.1", "::1"])]);
    let made = replacing(None, &pool(&[("one", 1), ("two", 3), ("10.0.0.9", 2)]), &world);
    assert_eq!(
        labels(&made),
        ["one:80", "127.0.0.1:80", "[::1]:80", "10.0.0.9:80"]
    );
    assert_eq!(weights(&made), [1, 3, 3, 2]);
}

#[test]
fn name_without_address_gets_a_backend_once_an_address_is_found() {
    let world = World::new(&[("one", &["10.0.0.1"])]);
    let config = pool(&[("gone", 1), ("one", 1)]);
    let made = replacing(None, &config, &world);
    let settle = || made.settle(&Metrics::new(), &world.answers(&config));
    assert_eq!(labels(&made), ["one:80"]);
    world.set("gone", &["10.0.0.2"]);
    assert!(settle());
    assert_eq!(labels(&made), ["gone:80", "one:80"]);
    world.0.lock().clear();
    assert!(!settle());
    assert_eq!(
        labels(&made),
        ["gone:80", "one:80"],
        "the last good answer is kept"
    );
}

#[test]
fn version_of_members_changes_only_with_the_members() {
    let world = World::new(&[("one", &["10.0.0.1"])]);
    let config = pool(&[("one", 1)]);
    let made = replacing(None, &config, &world);
    let settle = || made.settle(&Metrics::new(), &world.answers(&config));
    let first = made.members();
    settle();
    assert_eq!(made.version(), first.version());
    world.set("one", &["10.0.0.1", "10.0.0.2"]);
    settle();
    let second = made.members();
    assert_ne!(second.version(), first.version());
    assert_eq!(first.len(), 1, "a request keeps what it began with");
    world.set("one", &["10.0.0.2", "10.0.0.1", "10.0.0.2"]);
    settle();
    assert_eq!(made.version(), second.version(), "resolvers change the order");
}

/// The keeper does what is due, and forgets what is gone.
#[tokio::test(start_paused = true)]
async fn keeper_looks_names_up_again_and_ends_ejections() {
    let world = World::new(&[("app", &["10.0.0.1", "10.0.0.2"])]);
    let config = configured(
        "backends = ['app:80']\nresolve_every_seconds = 10\nejection = { failures = 1, for_ms = 5000 }\n",
    );
    let (metrics, changes) = (Arc::new(Metrics::new()), Arc::<Changes>::default());
    let made = Pool::new(&config, None, &metrics, &changes, None, &world.answers(&config));
    made.take_over();
    let made = Arc::new(made);
    let shared = Arc::clone(&made);
    let keeper = Keeper {
        pools: move || vec![Arc::clone(&shared)],
        changes,
        lookup: Some(world.lookup()),
        metrics: Arc::clone(&metrics),
    };
    let keeping = tokio::spawn(keeper.run());
    fail(&made, 0, 1);
    assert_eq!(health(&made), [Health::Ejected, Health::Healthy]);
    tokio::time::sleep(Duration::from_millis(5001)).await;
    assert_eq!(health(&made), [Health::Healthy, Health::Healthy]);
    world.set("app", &["10.0.0.3", "10.0.0.2"]);
    // The thread that looks the names up lives in real time.
    while labels(&made) != ["10.0.0.2:80", "10.0.0.3:80"] {
        tokio::time::sleep(Duration::from_secs(1)).await;
        std::thread::yield_now();
    }
    let shown = || String::from_utf8(metrics.render()).expect("it is text");
    while shown().contains("10.0.0.1:80") {
        tokio::task::yield_now().await;
    }
    assert!(shown().contains("10.0.0.3:80"));
    keeping.abort();
}
