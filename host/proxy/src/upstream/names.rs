//! Looks up the addresses of backends' names.

use std::collections::{BTreeSet, HashMap};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use std::{io, vec};

use pace_config::pool::Endpoint;
use pace_config::{BackendTls, Host};
use pace_tls::ServerName;
use parking_lot::Mutex;

use super::Address;

/// Looks up a name: returns all its addresses, each with the given port. A call may block for as long as it likes.
///
/// Lookups are a parameter, so that tests decide which names exist.
pub type Lookup = Arc<dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// Looks a name up with the system's resolver, which uses `/etc/hosts` and DNS as the system is set up.
pub fn system_lookup(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok((host, port).to_socket_addrs()?.collect())
}

/// The answers for some names.
///
/// Looking up may take long, so it is done before anything is locked that others wait for.
#[derive(Default)]
pub struct Answers(HashMap<Name, Result<Vec<SocketAddr>, String>>);

/// A host and a port.
type Name = (String, u16);

/// The number of names that are looked up at the same time.
const AT_ONCE: usize = 16;

/// The longest wait for answers. The system's resolver gives each of its servers five seconds, and asks twice.
const PATIENCE: Duration = Duration::from_secs(11);

/// The most threads that look names up, of all pools. Threads whose resolver hangs are among them, and would otherwise pile up.
const MOST_THREADS: usize = 64;

/// The threads that look names up.
static THREADS: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

impl Answers {
    /// Looks up the names of these backends, each once. A name whose answer does not come in time counts as not found.
    pub fn look_up<'a>(
        backends: impl IntoIterator<Item = &'a pace_config::Backend>,
        lookup: &Lookup,
    ) -> Answers {
        let names: BTreeSet<Name> = backends.into_iter().filter_map(name).collect();
        let mut found = ask(&names, lookup, PATIENCE, &THREADS);
        let late = || Err(format!("no answer within {PATIENCE:?}"));
        Answers(
            names
                .into_iter()
                .map(|name| {
                    let answer = found.remove(&name).unwrap_or_else(late);
                    (name, answer)
                })
                .collect(),
        )
    }

    /// The addresses of a backend, sorted and without duplicates: resolvers change the order with each answer, and plugins begin
    /// anew when backends change. `None` if its name was not looked up; an error says why a name has no address.
    pub(super) fn of(&self, backend: &pace_config::Backend) -> Option<Result<Vec<Address>, &str>> {
        match &backend.endpoint {
            Endpoint::Tcp {
                host: Host::Ip(ip),
                port,
            } => Some(Ok(vec![SocketAddr::new(*ip, *port).into()])),
            Endpoint::Unix(path) => Some(Ok(vec![Address::Unix(path.as_path().into())])),
            Endpoint::Tcp {
                host: Host::Name(host),
                port,
            } => {
                let answer = self.0.get(&(host.clone(), *port))?;
                Some(match answer {
                    Ok(addresses) => Ok(addresses.iter().copied().map(Address::from).collect()),
                    Err(reason) => Err(reason),
                })
            }
        }
    }
}

/// The name that has to be looked up for a backend, if any.
pub(super) fn name(backend: &pace_config::Backend) -> Option<Name> {
    match &backend.endpoint {
        Endpoint::Tcp {
            host: Host::Name(host),
            port,
        } => Some((host.clone(), *port)),
        Endpoint::Tcp {
            host: Host::Ip(_), ..
        }
        | Endpoint::Unix(_) => None,
    }
}

/// A thread that looks names up, counted until this is dropped.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    /// Counts a thread more, if there are fewer than there may be.
    fn new(threads: &Arc<AtomicUsize>) -> Option<Counted> {
        let counted = threads.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
            (count < MOST_THREADS).then_some(count + 1)
        });
        counted.ok().map(|_| Counted(Arc::clone(threads)))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Looks all names up on threads of their own, and returns the answers that have come in time. A thread whose resolver hangs is
/// left behind, and ends with its answer.
fn ask(
    names: &BTreeSet<Name>,
    lookup: &Lookup,
    patience: Duration,
    threads: &Arc<AtomicUsize>,
) -> HashMap<Name, Result<Vec<SocketAddr>, String>> {
    let left = names.iter().cloned().collect::<Vec<_>>().into_iter();
    let left: Arc<Mutex<vec::IntoIter<Name>>> = Arc::new(Mutex::new(left));
    let (sender, answers) = mpsc::channel();
    let work = || {
        let (left, lookup, sender) = (Arc::clone(&left), Arc::clone(lookup), sender.clone());
        move || {
            loop {
                let next = left.lock().next();
                let Some(name) = next else { return };
                let answer = addresses(&name, &lookup);
                if sender.send((name, answer)).is_err() {
                    return;
                }
            }
        }
    };
    let mut begun = 0;
    for _ in 0..names.len().min(AT_ONCE) {
        let Some(counted) = Counted::new(threads) else {
            break;
        };
        let work = work();
        let started = thread::Builder::new()
            .name("pace-lookup".to_owned())
            .spawn(move || {
                let _counted = counted;
                work();
            });
        begun += usize::from(started.is_ok());
    }
    if begun == 0 {
        if threads.load(Ordering::Relaxed) >= MOST_THREADS {
            let hangs = || Err("the resolver has not answered earlier questions yet".to_owned());
            return names.iter().map(|name| (name.clone(), hangs())).collect();
        }
        // The system has no threads left, or there are no names.
        work()();
    }
    drop(sender);
    let deadline = Instant::now() + patience;
    let mut found = HashMap::new();
    while let Ok((name, answer)) = answers.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        found.insert(name, answer);
    }
    found
}

fn addresses((host, port): &Name, lookup: &Lookup) -> Result<Vec<SocketAddr>, String> {
    let mut addresses = lookup(host, *port).map_err(|error| error.to_string())?;
    addresses.sort_unstable();
    addresses.dedup();
    match addresses.is_empty() {
        true => Err("the name has no address".to_owned()),
        false => Ok(addresses),
    }
}

/// The name that a backend with TLS proves to have; `None` for one without.
pub(super) fn server_name(server: &pace_config::Backend, tls: &BackendTls) -> Option<ServerName<'static>> {
    let Endpoint::Tcp { host, .. } = &server.endpoint else {
        return None;
    };
    if !server.is_encrypted {
        return None;
    }
    match (&tls.server_name, host) {
        // A name of a host that the configuration has taken is one of DNS.
        (Some(name), _) | (None, Host::Name(name)) => ServerName::try_from(name.clone()).ok(),
        (None, Host::Ip(ip)) => Some(ServerName::IpAddress((*ip).into())),
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Condvar;

    use super::*;
    use crate::upstream::tests::configured;

    #[test]
    fn names_are_looked_up_once_each_and_one_that_fails_does_not_hold_up_others() {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&asked);
        let lookup: Lookup = Arc::new(move |host, port| {
            heard.lock().push(host.to_owned());
            match host {
                "gone" => Err(io::Error::new(io::ErrorKind::NotFound, "no such name")),
                "empty" => Ok(Vec::new()),
                _ => Ok(vec![
                    SocketAddr::from(([10, 0, 0, 2], port)),
                    SocketAddr::from(([10, 0, 0, 1], port)),
                    SocketAddr::from(([10, 0, 0, 2], port)),
                ]),
            }
        });
        let pool = configured(
            "backends = ['gone:1', 'empty:2', 'app:3', 'APP:4', { address = '10.0.0.9:5' }, 'unix:/run/app']",
        );
        let answers = Answers::look_up(pool.backends.iter().chain(&pool.backends), &lookup);
        let of = |index: usize| {
            let addresses = answers.of(&pool.backends[index]).expect("it was looked up");
            addresses.map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(of(0), Err("no such name"));
        assert_eq!(of(1), Err("the name has no address"));
        assert_eq!(of(2), Ok(vec!["10.0.0.1:3".to_owned(), "10.0.0.2:3".to_owned()]));
        assert_eq!(of(4), Ok(vec!["10.0.0.9:5".to_owned()]));
        assert_eq!(of(5), Ok(vec!["unix:/run/app".to_owned()]));
        let mut asked = asked.lock().clone();
        asked.sort();
        assert_eq!(asked, ["APP", "app", "empty", "gone"]);
        assert!(Answers::default().of(&pool.backends[0]).is_none());
    }

    #[test]
    fn resolver_that_hangs_is_left_with_a_bounded_number_of_threads() {
        let (opened, threads) = (Arc::new((Mutex::new(false), Condvar::new())), Arc::default());
        let held = Arc::clone(&opened);
        let lookup: Lookup = Arc::new(move |_, port| {
            let (is_open, changed) = &*held;
            changed.wait_while(&mut is_open.lock(), |is_open| !*is_open);
            Ok(vec![SocketAddr::from(([10, 0, 0, 1], port))])
        });
        let names: BTreeSet<Name> = (1..=16).map(|port| ("app".to_owned(), port)).collect();
        let ask = |patience| ask(&names, &lookup, patience, &threads);
        for _ in 0..MOST_THREADS / AT_ONCE {
            assert!(ask(Duration::from_millis(1)).is_empty(), "nobody answers");
        }
        let long = Duration::from_secs(60);
        let found = ask(long);
        assert_eq!(found.len(), names.len());
        assert!(found.values().all(Result::is_err), "{found:?}");
        assert_eq!(threads.load(Ordering::Relaxed), MOST_THREADS);
        *opened.0.lock() = true;
        opened.1.notify_all();
        while threads.load(Ordering::Relaxed) > 0 {
            thread::yield_now();
        }
        assert!(ask(long).values().all(Result::is_ok));
    }
}
