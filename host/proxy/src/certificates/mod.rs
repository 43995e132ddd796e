//! The certificates of a configuration: those that listeners present, and those that backends are verified by.

mod loading;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use log::warn;
use pace_config::{AdminAddress, BackendTls, Config, ListenAddress, Protocol};
use pace_tls::client::Connector;
use pace_tls::pair::Pair;
use pace_tls::pem::PemFile;
use pace_tls::server::Frontend;

use self::loading::Loader;
use crate::listeners::Listeners;
use crate::telemetry::Metrics;

/// The days before its end from which on a certificate is warned of.
const WARNED_DAYS: i64 = 14;

/// The certificates and the TLS of all listeners of a configuration.
#[derive(Default)]
pub struct Frontends {
    frontends: HashMap<ListenAddress, Arc<Frontend>>,
    read: HashMap<Files, Read>,
    connectors: HashMap<String, PoolConnector>,
    /// The files of authorities of clients.
    authorities: HashMap<PathBuf, PemFile>,
    /// The certificate that an authority has issued, where one is ordered.
    ordered: Option<Arc<Pair>>,
    /// The TLS of the admin listener, and its address.
    admin: Option<(AdminAddress, Arc<Frontend>)>,
}

/// The connector of a pool's backends, with the settings and files that it was made from.
#[derive(Clone)]
struct PoolConnector {
    settings: BackendTls,
    protocol: Protocol,
    ca: Option<PemFile>,
    identity: Option<Arc<Pair>>,
    connector: Connector,
}

/// The files of a pair: certificate and key.
type Files = (PathBuf, PathBuf);

/// The content of a pair's files. The pair serves for as long as the files have this content, also after it has
/// expired.
#[derive(Clone)]
struct Read {
    cert: PemFile,
    key: PemFile,
    pair: Arc<Pair>,
}

/// An error of a certificate that cannot be served with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{of}: {reason}")]
pub struct FrontendError {
    of: String,
    reason: String,
}

impl Frontends {
    /// Reads the certificates that a configuration names. `before` are those that serve.
    ///
    /// # Errors
    ///
    /// One of them cannot be used.
    pub fn load(
        config: &Config,
        listeners: &Listeners,
        before: Option<&Frontends>,
    ) -> Result<Frontends, FrontendError> {
        Loader::new(config, listeners, before).load(config)
    }

    /// Reads the certificates again that a configuration names which serves. In the place of those that cannot be used stay
    /// those of `before`, and the reasons are returned, too.
    ///
    /// # Errors
    ///
    /// One of them cannot be used, and there is none in its place.
    pub(crate) fn renew(
        config: &Config,
        listeners: &Listeners,
        before: &Frontends,
    ) -> Result<(Frontends, Vec<FrontendError>), FrontendError> {
        let mut kept = Vec::new();
        let loader = Loader::new(config, listeners, Some(before));
        let loaded = loader.keeping(&mut kept).load(config)?;
        Ok((loaded, kept))
    }

    /// The connector of a pool's backends, if they are reached over TLS.
    pub fn connector_of(&self, pool: &str) -> Option<Connector> {
        self.connectors.get(pool).map(|pool| pool.connector.clone())
    }

    /// The TLS of a listener, if it has any.
    pub fn of(&self, address: &ListenAddress) -> Option<&Arc<Frontend>> {
        self.frontends.get(address)
    }

    /// The TLS of the admin listener, if it has any.
    pub(crate) fn of_admin(&self) -> Option<&Arc<Frontend>> {
        self.admin.as_ref().map(|(_, frontend)| frontend)
    }

    /// Whether the files of both had the same content. Both belong to the same configuration.
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
            && are_the_same(self.ordered.as_ref(), other.ordered.as_ref())
    }

    /// Every listener's certificates, that of the admin listener included, with its address.
    pub fn pairs(&self) -> impl Iterator<Item = (String, &Arc<Pair>)> {
        let public = self.frontends.iter();
        let public = public.map(|(address, frontend)| (address.to_string(), frontend));
        let admin = self.admin.iter();
        public
            .chain(admin.map(|(address, frontend)| (address.to_string(), frontend)))
            .flat_map(|(address, frontend)| frontend.pairs().map(move |pair| (address.clone(), pair)))
    }

    /// Publishes the ends of certificates as metrics, and warns of those that end soon.
    pub(crate) fn announce(&self, metrics: &Metrics) {
        let certificates = self.pairs();
        metrics.set_certificates(certificates.map(|(address, pair)| (address, pair.certificate())));
        self.warn_of_ends();
    }

    /// Warns of certificates that end soon.
    pub(crate) fn warn_of_ends(&self) {
        let ending = self.pairs().filter_map(|(_, pair)| {
            let days = pair.certificate().days_left(SystemTime::now());
            (days < WARNED_DAYS).then(|| (describe(pair), days))
        });
        // Several listeners may have the same certificate.
        for (certificate, days) in ending.collect::<BTreeMap<_, _>>() {
            warn!(target: "pace::server", "the certificate of {certificate} ends in {days} days");
        }
    }

    /// Each certificate with its first name and its end, for people. A certificate of several listeners is listed
    /// once.
    pub fn describe(&self) -> Vec<String> {
        let mut described: Vec<String> = self.pairs().map(|(_, pair)| describe(pair)).collect();
        described.sort();
        described.dedup();
        described
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
    let admin = config.admin.iter().filter_map(|admin| admin.identity.as_ref());
    let of_admin = admin.flat_map(|(cert, key)| [cert, key]);
    of_listeners.chain(of_pools).chain(of_admin).map(PathBuf::as_path)
}

fn is_encrypted(pool: &pace_config::Pool) -> bool {
    pool.backends.iter().any(|backend| backend.is_encrypted)
}

/// Whether both are one and the same pair, or none.
fn are_the_same(one: Option<&Arc<Pair>>, other: Option<&Arc<Pair>>) -> bool {
    one.map(Arc::as_ptr) == other.map(Arc::as_ptr)
}
