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
    match pool.enter(pool.members().backend(index), Instant::now) {
        Entry::Place(place) => place,
        Entry::Full | Entry::OnTrial | Entry::Ejected => panic!("no place at {index}"),
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
    let settle = || made.settle(&Metrics::new(), &world.answers(&config), true);
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
    let settle = || made.settle(&Metrics::new(), &world.answers(&config), true);
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

#[test]
fn new_pool_whose_names_cannot_be_found_keeps_the_addresses_of_its_predecessor() {
    let world = World::new(&[("one", &["10.0.0.1"])]);
    let before = replacing(None, &pool(&[("one", 1)]), &world);
    world.0.lock().clear();
    let after = replacing(Some(&before), &pool(&[("gone", 1), ("one", 2)]), &world);
    assert_eq!(labels(&after), ["one:80"]);
    assert!(Arc::ptr_eq(
        after.members().backend(0),
        before.members().backend(0)
    ));
    assert_eq!(after.number, before.number);
}

/// Connections are told apart by these numbers.
#[test]
fn pool_with_another_protocol_and_backend_under_another_name_have_numbers_of_their_own() {
    let world = World::new(&[("a", &["127.0.0.1"]), ("b", &["127.0.0.1"])]);
    let made = |keys: &str, before: Option<&Pool>| replacing(before, &configured(keys), &world);
    let before = made("backends = [\"a:1\"]", None);
    let same = made("backends = [\"a:1\"]\nprotocol = \"auto\"", Some(&before));
    assert_eq!(same.number, before.number);
    let other = made("backends = [\"a:1\"]\nprotocol = \"h2\"", Some(&before));
    assert_ne!(other.number, before.number);
    let two = made("backends = [\"https://a:1\", \"https://b:1\"]", None);
    let members = two.members();
    assert_eq!(members.backend(0).address, members.backend(1).address);
    assert_ne!(members.backend(0).number, members.backend(1).number);
}

#[test]
fn backend_in_a_replaced_pool_keeps_its_load() {
    let before = made(&pool(&[("10.0.0.1", 1), ("10.0.0.2", 1)]));
    let in_flight = place(&before, 1);
    let after = replacing(
        Some(&before),
        &pool(&[("10.0.0.2", 5), ("10.0.0.3", 1)]),
        &World::new(&[]),
    );
    assert_eq!(labels(&after), ["10.0.0.2:80", "10.0.0.3:80"]);
    assert_eq!(after.members().backend(0).in_flight(), 1);
    assert_eq!(weights(&after), [5, 1]);
    drop(in_flight);
    assert_eq!(after.members().backend(0).in_flight(), 0);
}

/// Labels, weights and other settings may change; what is known belongs to pool and address.
#[test]
fn standing_of_a_backend_survives_a_reload_by_its_address() {
    let world = World::new(&[("app", &["10.0.0.1"])]);
    let keys = "health_check = {}\nejection = { failures = 2 }\n";
    let config = |backends: &str| configured(&format!("backends = [{backends}]\n{keys}"));
    let before = replacing(None, &config("'app:80', '10.0.0.2:80', '10.0.0.3:80'"), &world);
    before.checked(before.members().backend(0), Err("no answer".to_owned()));
    fail(&before, 1, 2);
    before.drain("10.0.0.3:80", true);
    let expected = [Health::Unhealthy, Health::Ejected, Health::Draining];
    assert_eq!(health(&before), expected);

    world.set("app", &["10.0.0.1", "10.0.0.9"]);
    let after = config("'app:80', { address = '10.0.0.2:80', weight = 7 }, '10.0.0.3:80', '10.0.0.4:80'");
    let after = replacing(Some(&before), &after, &world);
    assert_eq!(
        labels(&after),
        [
            "10.0.0.1:80",
            "10.0.0.9:80",
            "10.0.0.2:80",
            "10.0.0.3:80",
            "10.0.0.4:80"
        ]
    );
    assert_eq!(
        health(&after),
        [
            Health::Unhealthy,
            Health::Healthy,
            Health::Ejected,
            Health::Draining,
            Health::Healthy
        ]
    );
    let checks_only = configured("backends = ['10.0.0.1:80', '10.0.0.2:80']\n");
    let without = replacing(Some(&after), &checks_only, &world);
    assert_eq!(
        health(&without),
        [Health::Healthy, Health::Healthy],
        "nobody asks any more"
    );
}

#[tokio::test(start_paused = true)]
async fn ejections_are_bounded_by_their_share_of_the_pool_and_one_is_always_allowed() {
    let backends: Vec<_> = (1..=5).map(|n| format!("'10.0.0.{n}:80'")).collect();
    let config = |count: usize, percent: u32| {
        configured(&format!(
            "backends = [{}]\nejection = {{ failures = 3, max_percent = {percent} }}\n",
            backends[..count].join(", ")
        ))
    };
    for (count, percent, most) in [
        (5, 40, 2),
        (5, 1, 1),
        (5, 59, 2),
        (5, 100, 5),
        (2, 50, 1),
        (1, 100, 0),
    ] {
        let made = made(&config(count, percent));
        for index in 0..count {
            fail(&made, index as u32, 10);
        }
        let ejected = health(&made).iter().filter(|it| **it == Health::Ejected).count();
        assert_eq!(ejected, most, "{percent} % of {count}");
        assert!(
            weights(&made).iter().all(|weight| *weight > 0),
            "all may be asked"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn ejected_backend_comes_back_with_one_request_at_a_time_and_then_slowly() {
    let made = made(&configured(
        "backends = ['10.0.0.1:80', '10.0.0.2:80']\nejection = { failures = 2, for_ms = 1000 }\nslow_start_ms = 1000\n",
    ));
    fail(&made, 0, 2);
    assert_eq!(health(&made), [Health::Ejected, Health::Healthy]);
    let start = Instant::now();
    let ends = start + Duration::from_millis(1000);
    assert_eq!(made.advance(start), Some(ends));
    tokio::time::advance(Duration::from_millis(1000)).await;
    assert_eq!(made.advance(ends), None);
    assert_eq!(health(&made), [Health::Healthy, Health::Healthy]);
    let probe = place(&made, 0);
    let again = made.enter(made.members().backend(0), Instant::now);
    assert!(matches!(again, Entry::OnTrial), "one at a time");
    assert!(!made.members().backend(0).has_room() && made.members().backend(1).has_room());
    made.answered(&probe, 200, Duration::from_millis(1));
    assert!(made.members().backend(0).has_room());
    drop((place(&made, 0), probe));
    assert_eq!(weights(&made), [1, 10], "it begins slowly");
    tokio::time::advance(Duration::from_millis(500)).await;
    made.advance(Instant::now());
    assert_eq!(weights(&made), [6, 10]);
    tokio::time::advance(Duration::from_millis(500)).await;
    assert_eq!(made.advance(Instant::now()), None);
    assert_eq!(weights(&made), [1, 1]);
}

#[test]
fn status_is_a_failure_only_if_it_says_that_the_backend_cannot_serve() {
    let made = made(&configured(
        "backends = ['10.0.0.1:80', '10.0.0.2:80']\nejection = { failures = 2 }\n",
    ));
    let answer = |statuses: &[u16]| {
        for status in statuses {
            made.answered(&place(&made, 0), *status, Duration::from_millis(1));
        }
        health(&made)[0]
    };
    assert_eq!(answer(&[500, 501, 404, 200, 505, 500]), Health::Healthy);
    assert_eq!(answer(&[502, 500, 503, 200, 504]), Health::Healthy);
    assert_eq!(answer(&[502]), Health::Ejected);
}

/// A backend that hangs is noticed as soon as enough requests are unanswered for long enough; one answer is enough to be back.
#[tokio::test(start_paused = true)]
async fn silent_backend_is_ejected_until_it_answers() {
    let made = made(&configured(
        "backends = ['10.0.0.1:80', '10.0.0.2:80']\nejection = { failures = 3 }\n",
    ));
    let backend = Arc::clone(made.members().backend(0));
    made.answered(&place(&made, 0), 200, Duration::from_millis(5));
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(place(&made, 0));
        made.begun(&backend, Instant::now());
    }
    tokio::time::advance(Duration::from_millis(249)).await;
    waiting.push(place(&made, 0));
    assert!(!made.is_given_up(&waiting[0], Instant::now()));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(matches!(made.enter(&backend, Instant::now), Entry::Ejected));
    assert_eq!(health(&made), [Health::Ejected, Health::Healthy]);
    assert!(
        waiting
            .iter()
            .all(|place| made.is_given_up(place, Instant::now()))
    );
    made.answered(&waiting[0], 200, Duration::from_millis(300));
    assert_eq!(health(&made), [Health::Healthy, Health::Healthy]);
    assert!(!made.is_given_up(&waiting[1], Instant::now()));
}

#[test]
fn drained_backend_gets_nothing_new_even_if_it_is_the_last() {
    let world = World::new(&[("app", &["10.0.0.1", "10.0.0.2"])]);
    let made = replacing(None, &pool(&[("app", 1), ("10.0.0.3", 1)]), &world);
    assert_eq!(made.drain("nowhere:80", true), None);
    assert_eq!(
        made.drain("app:80", true),
        Some(vec!["10.0.0.1:80".to_owned(), "10.0.0.2:80".to_owned()]),
        "a name is all of its backends"
    );
    assert_eq!(made.drain("10.0.0.1:80", true), Some(Vec::new()));
    made.drain("10.0.0.3:80", true);
    assert_eq!(weights(&made), [0, 0, 0]);
    made.drain("10.0.0.2:80", false);
    assert_eq!(weights(&made), [0, 1, 0]);
    assert_eq!(
        health(&made),
        [Health::Draining, Health::Healthy, Health::Draining]
    );
}

#[test]
fn cookie_names_the_backend_that_takes_requests() {
    let made = made(&configured(
        "backends = ['10.0.0.1:80', '10.0.0.2:80', { address = '10.0.0.3:80', weight = 0 }]\nstickiness = {}\n",
    ));
    let ids: Vec<_> = made
        .members()
        .iter()
        .map(|member| member.backend.sticky)
        .collect();
    let called = |index: usize| made.members().called(ids[index]);
    assert_eq!((called(0), called(1), called(2)), (Some(0), Some(1), None));
    made.drain("10.0.0.2:80", true);
    assert_eq!((called(0), called(1)), (Some(0), None));
}

/// The view of plugins that are asked again because the backend that they picked is full.
#[test]
fn backend_without_room_counts_as_tried_unless_the_request_has_been_offered_its_place() {
    let made = made(&configured(
        "backends = ['10.0.0.1:80', '10.0.0.2:80']\nmax_in_flight = 1\n",
    ));
    let _first = place(&made, 0);
    let members = made.members();
    let tried = |skips_full: bool, offered: Option<&Arc<Backend>>| {
        let seen = Attempts {
            pool: &made,
            members: &members,
            tried: &[],
            last_failure: None,
            skips_full,
            offered,
        };
        [seen.tried(0), seen.tried(1)]
    };
    assert_eq!(tried(false, None), [false, false]);
    assert_eq!(tried(true, None), [true, false]);
    assert_eq!(tried(true, Some(members.backend(0))), [false, false]);
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
