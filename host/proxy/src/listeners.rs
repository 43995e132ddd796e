//! Listeners as requests and connections see them: what is spoken there, and which routes there are.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use arc_swap::ArcSwapOption;
use log::warn;
use pace_base::file;
use pace_config::listener::{self, Alpn, ClientCertificates, TlsVersion};
use pace_config::{BackendTls, Config, ListenAddress};
use pace_tls::acme::Challenges;
use pace_tls::client::{self, Connector, RootCertStore, Roots};
use pace_tls::pair::Pair;
use pace_tls::pem::Pem;
use pace_tls::server::{Frontend, Settings, Site, Tickets};
use parking_lot::Mutex;

use crate::server::Doors;
use crate::telemetry::Metrics;

/// A listener, by its number: an address has the same one for as long as the process lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ListenerId(usize);

impl ListenerId {
    /// The number.
    pub fn index(self) -> usize {
        self.0
    }
}

/// What outlives all configurations of listeners.
#[derive(Default)]
pub struct Listeners {
    known: Mutex<Vec<Known>>,
    /// The sockets.
    doors: Doors,
    /// With which sessions are resumed, also behind a reload.
    tickets: Tickets,
    /// Answers for an authority that is about to issue a certificate.
    challenges: Arc<Challenges>,
    /// The authorities of the system, once they were needed.
    roots: OnceLock<Result<Arc<RootCertStore>, client::NoRoots>>,
    /// The certificate that an authority has issued.
    ordered: ArcSwapOption<Pair>,
}

/// An address that is or was listened on.
struct Known {
    address: ListenAddress,
    port: Arc<AtomicU16>,
}

/// So many days before its end a certificate is warned of.
const WARNED_DAYS: i64 = 14;

/// The most bytes of a file of certificates or of a key.
const MAX_FILE: u64 = 4 << 20;

/// The certificates and the TLS of all listeners of a configuration.
#[derive(Default)]
pub struct Frontends {
    frontends: HashMap<ListenAddress, Arc<Frontend>>,
    read: HashMap<Files, Read>,
    connectors: HashMap<String, PoolConnector>,
    /// The files of authorities of clients.
    authorities: HashMap<PathBuf, Vec<u8>>,
    /// The certificate that an authority has issued, where one is ordered.
    ordered: Option<Arc<Pair>>,
}

/// How a pool's backends are connected to, and what that was made of.
#[derive(Clone)]
struct PoolConnector {
    settings: BackendTls,
    ca: Option<Vec<u8>>,
    identity: Option<Arc<Pair>>,
    connector: Connector,
}

/// The files of a pair: certificate and key.
type Files = (PathBuf, PathBuf);

/// What was read of a pair's files. As long as they have that content the pair serves, also when it has expired.
#[derive(Clone)]
struct Read {
    cert: Vec<u8>,
    key: Vec<u8>,
    pair: Arc<Pair>,
}

/// A certificate that cannot be served with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{of}: {reason}")]
pub struct FrontendError {
    of: String,
    reason: String,
}

impl Listeners {
    /// The number of an address, which is given one if it has none.
    pub fn id(&self, address: &ListenAddress) -> ListenerId {
        let mut known = self.known.lock();
        let index = known.iter().position(|known| known.address == *address);
        ListenerId(index.unwrap_or_else(|| {
            known.push(Known {
                address: address.clone(),
                port: Arc::new(AtomicU16::new(address.port)),
            });
            known.len() - 1
        }))
    }

    /// The port of a listener: another than is configured, if that is 0.
    pub fn port(&self, id: ListenerId) -> Arc<AtomicU16> {
        Arc::clone(&self.known.lock()[id.0].port)
    }

    /// Notes which port a listener has got.
    pub fn bound(&self, id: ListenerId, port: u16) {
        self.port(id).store(port, Ordering::Relaxed);
    }

    /// The sockets.
    pub fn doors(&self) -> &Doors {
        &self.doors
    }

    /// Answers for an authority.
    pub fn challenges(&self) -> &Arc<Challenges> {
        &self.challenges
    }

    /// The authorities that the system trusts, which are read once.
    fn system_roots(&self) -> Result<Arc<RootCertStore>, String> {
        let roots = self.roots.get_or_init(client::system_roots);
        roots.clone().map_err(|error| error.to_string())
    }

    /// From now on frontends have this certificate, too.
    pub fn set_ordered(&self, pair: Option<Arc<Pair>>) {
        self.ordered.store(pair);
    }
}

impl Frontends {
    /// Reads the certificates that a configuration names. `before` is what serves.
    pub fn load(
        config: &Config,
        listeners: &Listeners,
        before: Option<&Frontends>,
    ) -> Result<Frontends, FrontendError> {
        let ordered = config.acme.is_some().then(|| listeners.ordered.load_full());
        let mut loaded = Frontends {
            ordered: ordered.flatten(),
            ..Frontends::default()
        };
        for listener in &config.listeners {
            if let Some(tls) = &listener.tls {
                let frontend = loaded.frontend(tls, config.acme.is_some(), listeners, before);
                let frontend = frontend.map_err(|reason| FrontendError {
                    of: format!("the listener {}", listener.listen),
                    reason,
                })?;
                loaded
                    .frontends
                    .insert(listener.listen.clone(), Arc::new(frontend));
            }
        }
        for pool in config.pools.iter().filter(|pool| is_encrypted(pool)) {
            let connector = loaded.connector(pool, listeners, before);
            let connector = connector.map_err(|reason| FrontendError {
                of: format!("the pool `{}`", pool.name),
                reason,
            })?;
            loaded.connectors.insert(pool.name.clone(), connector);
        }
        Ok(loaded)
    }

    /// How a pool's backends are connected to, if that is with TLS.
    pub fn connector_of(&self, pool: &str) -> Option<Connector> {
        self.connectors.get(pool).map(|pool| pool.connector.clone())
    }

    /// The TLS of a listener, if it has any.
    pub fn of(&self, address: &ListenAddress) -> Option<&Arc<Frontend>> {
        self.frontends.get(address)
    }

    /// Whether the same was in the files of both, which belong to the same configuration.
    pub(crate) fn have_content_of(&self, other: &Frontends) -> bool {
        let has_same = |(files, read): (&Files, &Read)| {
            let known = other.read.get(files);
            known.is_some_and(|known| Arc::ptr_eq(&known.pair, &read.pair))
        };
        self.read.len() == other.read.len()
            && self.read.iter().all(has_same)
            && self.authorities == other.authorities
            && self.connectors.iter().all(|(pool, ours)| {
                let theirs = other.connectors.get(pool);
                theirs.is_some_and(|theirs| ours.connector.is(&theirs.connector))
            })
            && self.ordered.as_ref().map(Arc::as_ptr) == other.ordered.as_ref().map(Arc::as_ptr)
    }

    /// Every listener's certificates.
    pub fn pairs(&self) -> impl Iterator<Item = (&ListenAddress, &Arc<Pair>)> {
        self.frontends
            .iter()
            .flat_map(|(address, frontend)| frontend.pairs().map(move |pair| (address, pair)))
    }

    /// Says when certificates end, and warns of those that do soon.
    pub(crate) fn announce(&self, metrics: &Metrics) {
        let certificates = || self.pairs().map(|(address, pair)| (address, pair.certificate()));
        metrics.set_certificates(
            certificates().map(|(address, certificate)| (address.to_string(), certificate)),
        );
        self.warn_of_ends();
    }

    /// Warns of certificates that end soon.
    pub(crate) fn warn_of_ends(&self) {
        let ending = self.pairs().filter_map(|(_, pair)| {
            let days = pair.certificate().days_left(SystemTime::now());
            (days < WARNED_DAYS).then(|| (describe(pair), days))
        });
        // Several listeners may have the same one.
        for (certificate, days) in ending.collect::<BTreeMap<_, _>>() {
            warn!(target: "pace::server", "the certificate of {certificate} ends in {days} days");
        }
    }

    /// Each certificate with its first name and its end, for people.
    pub fn describe(&self) -> Vec<String> {
        let mut described: Vec<String> = self.pairs().map(|(_, pair)| describe(pair)).collect();
        described.sort();
        described.dedup();
        described
    }

    fn frontend(
        &mut self,
        tls: &listener::Tls,
        has_acme: bool,
        listeners: &Listeners,
        before: Option<&Frontends>,
    ) -> Result<Frontend, String> {
        let mut sites = Vec::new();
        for certificate in &tls.certificates {
            sites.push(Site {
                pair: self.pair(&certificate.cert, &certificate.key, before)?,
                default: certificate.default,
                client_certificates: certificate.client_certificates.map(client_certificates),
            });
        }
        if let Some(pair) = &self.ordered {
            sites.push(Site {
                pair: Arc::clone(pair),
                default: false,
                client_certificates: None,
            });
        }
        if let Some(path) = &tls.client_ca {
            self.authorities.insert(path.clone(), read(path)?);
        }
        let client_ca = tls.client_ca.as_ref().map(|path| &self.authorities[path]);
        let name = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let ca_name = name(&tls.client_ca).unwrap_or_default();
        let alpn: Vec<_> = tls.alpn.iter().map(|protocol| alpn(*protocol)).collect();
        let settings = Settings {
            min_version: match tls.min_version {
                TlsVersion::Tls12 => pace_tls::Version::Tls12,
                TlsVersion::Tls13 => pace_tls::Version::Tls13,
            },
            alpn: &alpn,
            client_certificates: client_certificates(tls.client_certificates),
            client_ca: client_ca.map(|bytes| Pem {
                name: &ca_name,
                bytes,
            }),
            sites,
        };
        let challenges = has_acme.then(|| Arc::clone(&listeners.challenges));
        Frontend::new(settings, &listeners.tickets, challenges).map_err(|error| error.to_string())
    }

    fn connector(
        &mut self,
        pool: &pace_config::Pool,
        listeners: &Listeners,
        before: Option<&Frontends>,
    ) -> Result<PoolConnector, String> {
        let settings = &pool.settings.tls;
        let ca = settings.ca.as_deref().map(read).transpose()?;
        let identity = match &settings.identity {
            Some((cert, key)) => Some(self.pair(cert, key, before)?),
            None => None,
        };
        // Sessions are resumed as long as nothing is different.
        let same = before
            .and_then(|before| before.connectors.get(&pool.name))
            .filter(|known| {
                let same_identity = match (&known.identity, &identity) {
                    (Some(known), Some(identity)) => Arc::ptr_eq(known, identity),
                    (known, identity) => known.is_none() && identity.is_none(),
                };
                known.settings == *settings && known.ca == ca && same_identity
            });
        if let Some(same) = same {
            return Ok(same.clone());
        }
        let name = settings
            .ca
            .as_ref()
            .map(|path| path.display().to_string())
            .unwrap_or_default();
        let roots = match (&ca, settings.verify) {
            (_, false) => None,
            (Some(bytes), true) => Some(Roots::File(Pem { name: &name, bytes })),
            (None, true) => Some(Roots::System(listeners.system_roots()?)),
        };
        let connector = Connector::new(client::Settings {
            roots,
            identity: identity.as_deref(),
            alpn: &[pace_tls::alpn::Alpn::Http11],
        });
        Ok(PoolConnector {
            settings: settings.clone(),
            ca,
            identity,
            connector: connector.map_err(|error| error.to_string())?,
        })
    }

    fn pair(&mut self, cert: &Path, key: &Path, before: Option<&Frontends>) -> Result<Arc<Pair>, String> {
        let files = (cert.to_owned(), key.to_owned());
        if let Some(read) = self.read.get(&files) {
            return Ok(Arc::clone(&read.pair));
        }
        let (cert_bytes, key_bytes) = (read(cert)?, read(key)?);
        let known = before
            .and_then(|before| before.read.get(&files))
            .filter(|known| known.cert == cert_bytes && known.key == key_bytes);
        let pair = match known {
            Some(known) => Arc::clone(&known.pair),
            None => {
                let (cert, key) = (cert.display().to_string(), key.display().to_string());
                let cert = Pem {
                    name: &cert,
                    bytes: &cert_bytes,
                };
                let key = Pem {
                    name: &key,
                    bytes: &key_bytes,
                };
                Arc::new(Pair::parse(cert, key, SystemTime::now()).map_err(|error| error.to_string())?)
            }
        };
        self.read.insert(
            files,
            Read {
                cert: cert_bytes,
                key: key_bytes,
                pair: Arc::clone(&pair),
            },
        );
        Ok(pair)
    }
}

/// A certificate with its first name and its end, for people.
pub(crate) fn describe(pair: &Pair) -> String {
    let certificate = pair.certificate();
    let name = certificate
        .dns_names()
        .next()
        .unwrap_or("a certificate without a name");
    let until = httpdate::fmt_http_date(certificate.not_after());
    format!("{name} until {until}")
}

/// The files of certificates that a configuration needs.
pub fn files(config: &Config) -> impl Iterator<Item = &Path> {
    let listeners = config
        .listeners
        .iter()
        .filter_map(|listener| listener.tls.as_ref());
    let of_listeners = listeners.flat_map(|tls| {
        let pairs = tls
            .certificates
            .iter()
            .flat_map(|certificate| [&certificate.cert, &certificate.key]);
        pairs.chain(&tls.client_ca)
    });
    let of_pools = config
        .pools
        .iter()
        .filter(|pool| is_encrypted(pool))
        .flat_map(|pool| {
            let BackendTls { ca, identity, .. } = &pool.settings.tls;
            let pair = identity.iter().flat_map(|(cert, key)| [cert, key]);
            pair.chain(ca)
        });
    of_listeners.chain(of_pools).map(PathBuf::as_path)
}

fn is_encrypted(pool: &pace_config::Pool) -> bool {
    pool.backends.iter().any(|backend| backend.is_encrypted)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    file::read(path, MAX_FILE).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn alpn(protocol: Alpn) -> pace_tls::alpn::Alpn {
    match protocol {
        Alpn::Http2 => pace_tls::alpn::Alpn::Http2,
        Alpn::Http11 => pace_tls::alpn::Alpn::Http11,
    }
}

fn client_certificates(choice: ClientCertificates) -> pace_tls::server::ClientCertificates {
    match choice {
        ClientCertificates::None => pace_tls::server::ClientCertificates::None,
        ClientCertificates::Optional => pace_tls::server::ClientCertificates::Optional,
        ClientCertificates::Required => pace_tls::server::ClientCertificates::Required,
    }
}
