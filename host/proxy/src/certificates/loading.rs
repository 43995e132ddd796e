//! How the certificates of a configuration are read.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use pace_config::listener::{self, Alpn, ClientCertificates, ForwardedCertificates, TlsVersion};
use pace_config::{Config, Protocol};
use pace_tls::client::{self, Connector, Roots};
use pace_tls::pair::Pair;
use pace_tls::pem::PemFile;
use pace_tls::server::{Frontend, Settings, Site, Tickets};

use super::{FrontendError, Frontends, PoolConnector, Read, are_the_same, is_encrypted};
use crate::listeners::Listeners;

/// The admin listener in messages.
const OF_ADMIN: &str = "[admin]";

/// Reads certificates, or finds among those that serve the ones that have not changed.
pub(super) struct Loader<'a> {
    loaded: Frontends,
    listeners: &'a Listeners,
    before: Option<&'a Frontends>,
    has_acme: bool,
    /// The errors of certificates in whose place those of `before` stay. `None` if each is an error of the whole.
    kept: Option<&'a mut Vec<FrontendError>>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(
        config: &Config,
        listeners: &'a Listeners,
        before: Option<&'a Frontends>,
    ) -> Loader<'a> {
        Loader {
            loaded: Frontends {
                ordered: config.acme.as_ref().and_then(|_| listeners.ordered()),
                ..Frontends::default()
            },
            listeners,
            before,
            has_acme: config.acme.is_some(),
            kept: None,
        }
    }

    /// Has the certificates that serve stay in the place of those that cannot be used. The errors are added to `kept`.
    pub(super) fn keeping(self, kept: &'a mut Vec<FrontendError>) -> Loader<'a> {
        Loader {
            kept: Some(kept),
            ..self
        }
    }

    pub(super) fn load(mut self, config: &Config) -> Result<Frontends, FrontendError> {
        for listener in &config.listeners {
            let Some(tls) = &listener.tls else { continue };
            let address = &listener.listen;
            let of = format!("the listener {address}");
            let serving = |before: &Frontends| before.frontends.get(address).map(Arc::clone);
            let frontend = match self.frontend(&of, tls) {
                Ok(frontend) => Arc::new(frontend),
                Err(reason) => self.instead(&of, reason, serving)?,
            };
            self.loaded.frontends.insert(address.clone(), frontend);
        }
        if let Some(admin) = &config.admin
            && let Some((cert, key)) = &admin.identity
        {
            let serving = |before: &Frontends| before.of_admin().map(Arc::clone);
            let frontend = match self.admin(cert, key) {
                Ok(frontend) => Arc::new(frontend),
                Err(reason) => self.instead(OF_ADMIN, reason, serving)?,
            };
            self.loaded.admin = Some((admin.listen.clone(), frontend));
        }
        for pool in config.pools.iter().filter(|pool| is_encrypted(pool)) {
            let of = format!("the pool `{}`", pool.name);
            let serving = |before: &Frontends| before.connectors.get(&pool.name).cloned();
            let connector = match self.connector(&of, pool) {
                Ok(connector) => connector,
                Err(reason) => self.instead(&of, reason, serving)?,
            };
            self.loaded.connectors.insert(pool.name.clone(), connector);
        }
        Ok(self.loaded)
    }

    /// What serves in the place of something that cannot be used, if it may stay.
    fn instead<T>(
        &mut self,
        of: &str,
        reason: String,
        serving: impl FnOnce(&Frontends) -> Option<T>,
    ) -> Result<T, FrontendError> {
        let error = FrontendError {
            of: of.to_owned(),
            reason,
        };
        match (&mut self.kept, self.before.and_then(serving)) {
            (Some(kept), Some(serving)) => {
                kept.push(error);
                Ok(serving)
            }
            _ => Err(error),
        }
    }

    fn frontend(&mut self, of: &str, tls: &listener::Tls) -> Result<Frontend, String> {
        let mut sites = Vec::new();
        for certificate in &tls.certificates {
            sites.push(Site {
                pair: self.pair(of, &certificate.cert, &certificate.key)?,
                default: certificate.default,
                client_certificates: certificate.client_certificates.map(client_certificates),
            });
        }
        if let Some(pair) = &self.loaded.ordered {
            sites.push(Site {
                pair: Arc::clone(pair),
                default: false,
                client_certificates: None,
            });
        }
        let client_ca = match &tls.client_ca {
            Some(path) => Some(
                &*self
                    .loaded
                    .authorities
                    .entry(path.clone())
                    .insert_entry(PemFile::read(path)?)
                    .into_mut(),
            ),
            None => None,
        };
        let alpn: Vec<_> = tls.alpn.iter().map(|protocol| alpn(*protocol)).collect();
        let settings = Settings {
            min_version: match tls.min_version {
                TlsVersion::Tls12 => pace_tls::Version::Tls12,
                TlsVersion::Tls13 => pace_tls::Version::Tls13,
            },
            alpn: &alpn,
            client_certificates: client_certificates(tls.client_certificates),
            client_ca: client_ca.map(PemFile::pem),
            client_chains: tls.forward_client_certificates == ForwardedCertificates::Chain,
            sites,
        };
        let challenges = self.has_acme.then(|| Arc::clone(self.listeners.challenges()));
        Frontend::new(settings, self.listeners.tickets(), challenges).map_err(|error| error.to_string())
    }

    /// The TLS of the admin listener, on which HTTP/1.1 is spoken. Its sessions are its own: no ticket of a client resumes one.
    fn admin(&mut self, cert: &Path, key: &Path) -> Result<Frontend, String> {
        let site = Site {
            pair: self.pair(OF_ADMIN, cert, key)?,
            default: true,
            client_certificates: None,
        };
        let settings = Settings {
            min_version: pace_tls::Version::Tls12,
            alpn: &[pace_tls::alpn::Alpn::Http11],
            client_certificates: pace_tls::server::ClientCertificates::None,
            client_ca: None,
            client_chains: false,
            sites: vec![site],
        };
        Frontend::new(settings, &Tickets::default(), None).map_err(|error| error.to_string())
    }

    fn connector(&mut self, of: &str, pool: &pace_config::Pool) -> Result<PoolConnector, String> {
        let settings = &pool.settings.tls;
        let protocol = pool.settings.protocol;
        let ca = settings.ca.as_deref().map(PemFile::read).transpose()?;
        let identity = match &settings.identity {
            Some((cert, key)) => Some(self.pair(of, cert, key)?),
            None => None,
        };
        // The old connector is kept if nothing differs, so that its sessions are resumed.
        let same = self
            .before
            .and_then(|before| before.connectors.get(&pool.name))
            .filter(|known| {
                known.settings == *settings
                    && known.protocol == protocol
                    && known.ca == ca
                    && are_the_same(known.identity.as_ref(), identity.as_ref())
            });
        if let Some(same) = same {
            return Ok(same.clone());
        }
        let roots = match (&ca, settings.verify) {
            (_, false) => None,
            (Some(ca), true) => Some(Roots::File(ca.pem())),
            (None, true) => Some(Roots::System(self.listeners.system_roots()?)),
        };
        let connector = Connector::new(client::Settings {
            roots,
            identity: identity.as_deref(),
            alpn: offered(protocol),
        });
        Ok(PoolConnector {
            settings: settings.clone(),
            protocol,
            ca,
            identity,
            connector: connector.map_err(|error| error.to_string())?,
        })
    }

    /// The pair in two files. One that cannot be read gives way to the one that serves, where it may stay.
    fn pair(&mut self, of: &str, cert: &Path, key: &Path) -> Result<Arc<Pair>, String> {
        let files = (cert.to_owned(), key.to_owned());
        if let Some(read) = self.loaded.read.get(&files) {
            return Ok(Arc::clone(&read.pair));
        }
        let known = self.before.and_then(|before| before.read.get(&files));
        let read = match read(cert, key, known) {
            Ok(read) => read,
            Err(reason) => {
                let instead = self.instead(of, reason, |_| known.cloned());
                instead.map_err(|error| error.reason)?
            }
        };
        let pair = Arc::clone(&read.pair);
        self.loaded.read.insert(files, read);
        Ok(pair)
    }
}

fn read(cert: &Path, key: &Path, known: Option<&Read>) -> Result<Read, String> {
    let (cert, key) = (PemFile::read(cert)?, PemFile::read(key)?);
    let pair = match known.filter(|known| known.cert == cert && known.key == key) {
        Some(known) => Arc::clone(&known.pair),
        None => {
            let parsed = Pair::parse(cert.pem(), key.pem(), SystemTime::now());
            Arc::new(parsed.map_err(|error| error.to_string())?)
        }
    };
    Ok(Read { cert, key, pair })
}

fn alpn(protocol: Alpn) -> pace_tls::alpn::Alpn {
    match protocol {
        Alpn::Http2 => pace_tls::alpn::Alpn::Http2,
        Alpn::Http11 => pace_tls::alpn::Alpn::Http11,
    }
}

/// The protocols that are offered to backends, best first.
fn offered(protocol: Protocol) -> &'static [pace_tls::alpn::Alpn] {
    use pace_tls::alpn::Alpn;
    match protocol {
        Protocol::Auto => &[Alpn::Http2, Alpn::Http11],
        Protocol::Http1 => &[Alpn::Http11],
        Protocol::Http2 => &[Alpn::Http2],
    }
}

fn client_certificates(choice: ClientCertificates) -> pace_tls::server::ClientCertificates {
    match choice {
        ClientCertificates::None => pace_tls::server::ClientCertificates::None,
        ClientCertificates::Optional => pace_tls::server::ClientCertificates::Optional,
        ClientCertificates::Required => pace_tls::server::ClientCertificates::Required,
    }
}
