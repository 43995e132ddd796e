//! Orders certificates from an authority (ACME, RFC 8555), independently of all requests.

use std::sync::Arc;

use log::{info, warn};
use pace_config::Config;
use pace_tls::acme::schedule::Schedule;
use pace_tls::acme::{Acme, AcmeError, ChallengeKind, Settings, Status, Watched};
use pace_tls::pem::PemFile;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::certificates::describe;
use crate::listeners::Listeners;
use crate::reload::Reloader;
use crate::snapshot::Shared;

/// An order of a certificate, and the renewals that follow it. Nothing is sent before it [runs](Ordering::run).
pub struct Ordering {
    acme: Acme,
    watched: Watched,
    names: String,
}

/// An error that keeps certificates from being ordered.
#[derive(Debug, thiserror::Error)]
pub enum OrderingError {
    /// The certificate that vouches for the authority itself cannot be read.
    #[error("[acme] root_ca: {0}")]
    RootCa(String),
    /// The settings or the directory with the state are not usable.
    #[error("[acme]: {0}")]
    Acme(#[from] AcmeError),
}

impl Ordering {
    /// Checks `[acme]`, and reads the certificate of an earlier process, which listeners get at once.
    pub fn open(config: &Config, listeners: &Listeners) -> Result<Option<Ordering>, OrderingError> {
        let Some(acme) = &config.acme else {
            return Ok(None);
        };
        let root_ca = acme.root_ca.as_deref().map(PemFile::read).transpose();
        let root_ca = root_ca.map_err(OrderingError::RootCa)?;
        let has_plain = config.listeners.iter().any(|listener| listener.tls.is_none());
        let http = has_plain.then_some(ChallengeKind::Http01);
        let names = acme.names.join(", ");
        let settings = Settings {
            directory: acme.directory.clone(),
            email: acme.email.clone(),
            names: acme.names.clone(),
            state_dir: acme.state_dir.clone(),
            root_ca: root_ca.map(|file| (file.name, file.bytes)),
            challenges: http.into_iter().chain([ChallengeKind::TlsAlpn01]).collect(),
            schedule: Schedule::default(),
        };
        let (acme, watched) = Acme::open(settings, Arc::clone(listeners.challenges()))?;
        listeners.set_ordered(watched.certificate.borrow().clone());
        Ok(Some(Ordering { acme, watched, names }))
    }

    /// Orders and renews until it is dropped.
    pub(crate) async fn run(self, shared: Arc<Shared>, reloader: Reloader) {
        let Ordering { acme, watched, names } = self;
        let Watched {
            mut certificate,
            status,
        } = watched;
        // Two processes must not order at once, so all of it ends with this.
        let mut tasks = JoinSet::new();
        tasks.spawn(async {
            let never = acme.run().await;
            match never {}
        });
        tasks.spawn(tell(status, Arc::clone(&shared), names));
        while certificate.changed().await.is_ok() {
            let pair = certificate.borrow_and_update().clone();
            if let Some(pair) = &pair {
                info!(target: "pace::server", "the authority has issued the certificate of {}", describe(pair));
            }
            shared.listeners.set_ordered(pair);
            reloader.renew_certificates_soon();
        }
    }
}

/// Logs and counts each failure.
async fn tell(mut status: watch::Receiver<Status>, shared: Arc<Shared>, names: String) {
    let mut said = 0;
    loop {
        {
            let status = status.borrow_and_update();
            shared.metrics.set_order_failures(status.failures);
            if let Some(failure) = status.last_failure.as_ref().filter(|_| status.failures > said) {
                let again = status.next_attempt.map(httpdate::fmt_http_date);
                warn!(
                    target: "pace::server",
                    "the authority has not issued the certificate for {names}: {}; the next attempt is at {}",
                    failure.why,
                    again.unwrap_or_default(),
                );
            }
            said = status.failures;
        }
        if status.changed().await.is_err() {
            return;
        }
    }
}
