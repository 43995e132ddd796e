//! The material of a pool's members: servers of the configuration, their addresses, and the standing of each.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

use log::{info, warn};
use tokio::time::Instant;

use super::standing::{Facts, Standing};
use super::weights::{Claim, STEPS, step, weights};
use super::{Address, Answers, Backend, Member, Pool, names};
use crate::telemetry::Metrics;
use pace_config::pool::Upkeep;

/// The material of a pool's members.
pub(super) struct Roster {
    servers: Vec<Server>,
    /// The backends, in the order of the configuration and, for names, of their addresses.
    pub(super) seats: Vec<Seat>,
    /// The standing of each address. Until a new roster is settled they are those of its predecessor.
    standings: HashMap<Address, Arc<Standing>>,
    /// The standings of backends that have gone, as long as requests are under way there: they count if the backend comes back.
    gone: HashMap<Address, Weak<Standing>>,
}

/// A server of the configuration.
struct Server {
    config: pace_config::Backend,
    /// The addresses found last.
    found: Vec<Address>,
    /// The reason why the last look-up found none, as it was logged.
    trouble: Option<String>,
}

/// A backend at its place in the pool.
pub(super) struct Seat {
    pub(super) backend: Arc<Backend>,
    pub(super) weight: u32,
    pub(super) is_backup: bool,
}

impl Roster {
    /// The roster of a pool that replaces another.
    pub(super) fn new(pool: &pace_config::Pool, before: Option<&Roster>) -> Roster {
        let server = |config: &pace_config::Backend| {
            let mut known = before.iter().flat_map(|before| &before.servers);
            let same = known.find(|known| known.config.endpoint == config.endpoint);
            Server {
                config: config.clone(),
                found: same.map_or_else(Vec::new, |same| same.found.clone()),
                trouble: same.and_then(|same| same.trouble.clone()),
            }
        };
        let seats = before.iter().flat_map(|before| &before.seats);
        Roster {
            servers: pool.backends.iter().map(server).collect(),
            seats: seats
                .map(|seat| Seat {
                    backend: Arc::clone(&seat.backend),
                    ..*seat
                })
                .collect(),
            standings: before.map_or_else(HashMap::new, |before| before.standings.clone()),
            gone: before.map_or_else(HashMap::new, |before| before.gone.clone()),
        }
    }

    /// The servers whose names have to be looked up.
    pub(super) fn named(&self) -> impl Iterator<Item = &pace_config::Backend> {
        let servers = self.servers.iter().map(|server| &server.config);
        servers.filter(|server| names::name(server).is_some())
    }

    /// The labels of the backends.
    fn labels(&self) -> Vec<String> {
        let seats = self.seats.iter();
        seats.map(|seat| seat.backend.label.clone()).collect()
    }

    /// The backends with this label or address. A name with several addresses stands for all of its backends.
    pub(super) fn called(&self, name: &str) -> impl Iterator<Item = &Arc<Backend>> {
        let mut seats = self.seats.iter();
        self.servers
            .iter()
            .flat_map(move |server| {
                let of_server: Vec<_> = seats.by_ref().take(server.found.len()).collect();
                of_server
                    .into_iter()
                    .map(|seat| (&server.config.label, &seat.backend))
            })
            .filter(move |(server, backend)| {
                *server == name || backend.label == name || backend.address.to_string() == name
            })
            .map(|(_, backend)| backend)
    }

    /// The members of the moment.
    pub(super) fn members(&self, upkeep: &Upkeep, now: Instant) -> Vec<Member> {
        let claims: Vec<Claim> = self
            .seats
            .iter()
            .map(|seat| {
                let standing = &seat.backend.standing;
                let since = standing.with(|facts| facts.slow_since);
                let step = since.and_then(|since| step(since, upkeep.slow_start, now));
                Claim {
                    weight: seat.weight,
                    is_backup: seat.is_backup,
                    health: standing.health(),
                    step: step.map_or(STEPS, |(step, _)| step),
                }
            })
            .collect();
        let weights = weights(&claims);
        let seats = self.seats.iter().zip(claims).zip(weights);
        seats
            .map(|((seat, claim), weight)| Member {
                backend: Arc::clone(&seat.backend),
                weight,
                health: claim.health,
            })
            .collect()
    }

    /// Ends ejections and moves slow starts on, as far as they are due. Returns when the next one is due.
    pub(super) fn advance(&mut self, upkeep: &Upkeep, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for Seat { backend, .. } in &self.seats {
            backend.conduct().advance(now);
            let slow = backend.standing.with(|Facts { slow_since, .. }| {
                let (_, next) = step((*slow_since)?, upkeep.slow_start, now).or_else(|| {
                    *slow_since = None;
                    None
                })?;
                Some(next)
            });
            let due = [backend.conduct().ends(), slow].into_iter().flatten();
            next = due.chain(next).min();
        }
        next
    }
}

impl Pool {
    /// Takes the answers of a look-up into account, while the pool serves: new backends begin slowly, and series of those that are
    /// gone are dropped. Returns whether the backends have changed.
    pub fn settle(&self, metrics: &Metrics, answers: &Answers) -> bool {
        let mut roster = self.roster.lock();
        let before = roster.labels();
        self.seat(&mut roster, metrics, answers, true);
        let after = roster.labels();
        if before == after {
            return false;
        }
        let left: HashSet<&str> = after.iter().map(String::as_str).collect();
        let labels = before.iter().map(String::as_str);
        let gone: HashSet<&str> = labels.filter(|label| !left.contains(label)).collect();
        // Before the roster is unlocked, because a backend that comes back gets the same series.
        metrics.retain_backends(|pool, label| pool != self.name || !gone.contains(label));
        drop(roster);
        if !before.is_empty() {
            info!(target: "pace::upstream", "pool `{}`: the backends are now {}", self.name, after.join(", "));
        }
        true
    }

    /// Gives every address that has been found a seat.
    pub(super) fn seat(
        &self,
        roster: &mut Roster,
        metrics: &Metrics,
        answers: &Answers,
        begins_slowly: bool,
    ) {
        for server in &mut roster.servers {
            server.hear(&self.name, answers);
        }
        let now = Instant::now();
        let known = std::mem::take(&mut roster.standings);
        let gone = std::mem::take(&mut roster.gone);
        let find = |address: &Address| {
            let present = known.get(address).map(Arc::clone);
            present.or_else(|| gone.get(address)?.upgrade())
        };
        let present: HashMap<(&Address, &str), &Arc<Backend>> = roster
            .seats
            .iter()
            .map(|Seat { backend, .. }| ((&backend.address, backend.label.as_str()), backend))
            .collect();
        let mut seats = Vec::new();
        let mut standings = HashMap::new();
        for server in &roster.servers {
            let name = names::server_name(&server.config, &self.settings.tls);
            for address in &server.found {
                let label = match server.found.len() {
                    1 => server.config.label.clone(),
                    // One name stands for several servers, which need labels of their own.
                    _ => address.to_string(),
                };
                let same = present
                    .get(&(address, label.as_str()))
                    .filter(|backend| backend.name == name);
                let standing = standings.entry(address.clone()).or_insert_with(|| {
                    find(address).unwrap_or_else(|| {
                        let new = Arc::new(Standing::new(&self.queue));
                        if begins_slowly && !self.settings.upkeep.slow_start.is_zero() {
                            new.with(|facts| facts.slow_since = Some(now));
                        }
                        new
                    })
                });
                let backend = match same {
                    Some(same) => Arc::clone(*same),
                    None => Arc::new(Backend::new(
                        &self.name,
                        label,
                        address.clone(),
                        name.clone(),
                        metrics,
                        Arc::clone(standing),
                    )),
                };
                seats.push(Seat {
                    backend,
                    weight: server.config.weight,
                    is_backup: server.config.is_backup,
                });
            }
        }
        let known = known.into_iter().map(|(address, standing)| {
            let standing = Arc::downgrade(&standing);
            (address, standing)
        });
        roster.gone = gone
            .into_iter()
            .filter(|(_, standing)| standing.strong_count() > 0)
            .chain(known)
            .filter(|(address, _)| !standings.contains_key(address))
            .collect();
        roster.seats = seats;
        roster.standings = standings;
        self.refresh(roster, now);
    }

    /// Whether a backend has this label.
    pub fn has(&self, label: &str) -> bool {
        let roster = self.roster.lock();
        roster.seats.iter().any(|seat| seat.backend.label == label)
    }

    /// The servers whose names have to be looked up.
    pub fn named(&self) -> Vec<pace_config::Backend> {
        self.roster.lock().named().cloned().collect()
    }

    /// Ends ejections and moves slow starts on, as far as they are due. Returns when the next one is due.
    pub(super) fn advance(&self, now: Instant) -> Option<Instant> {
        let mut roster = self.roster.lock();
        let next = roster.advance(&self.settings.upkeep, now);
        self.refresh(&mut roster, now);
        next
    }
}

impl Server {
    /// Takes the answer to a look-up into account. Trouble is logged once, until it changes.
    fn hear(&mut self, pool: &str, answers: &Answers) {
        let host = &self.config.label;
        match answers.of(&self.config) {
            None => {}
            Some(Ok(addresses)) => {
                self.found = addresses;
                if self.trouble.take().is_some() {
                    info!(target: "pace::upstream", "pool `{pool}`: the address of {host} has been found");
                }
            }
            Some(Err(why)) if self.trouble.as_deref() == Some(why) => {}
            Some(Err(why)) => {
                let consequence = match self.found.is_empty() {
                    true => "it gets no requests until there is one",
                    false => "the addresses found before are kept",
                };
                warn!(target: "pace::upstream", "pool `{pool}`: cannot find the address of {host}: {why}; {consequence}");
                self.trouble = Some(why.to_owned());
            }
        }
    }
}
