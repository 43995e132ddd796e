//! Traces: a span for each sampled request, with one for each attempt and each call of a hook in it.
//!
//! ```text
//! worker ──▶ notes of a request ──▶ queue: bounded ──▶ a thread: batches of spans, OTLP/HTTP ──▶ collector
//!                                   or dropped, and counted
//! ```
//!
//! Spans are sent as JSON, which every receiver of OTLP over HTTP has to read. It needs no generated code and none of the crates
//! around it, and it is written by the thread that sends: what it takes there, no request waits for.
//!
//! | file | what it does |
//! |---|---|
//! | `context` | `traceparent`: reads, draws, writes |
//! | `otlp` | writes spans |
//! | `exporter` | the thread |
//! | `collector` | the connection to the collector |

mod collector;
mod context;
mod exporter;
mod otlp;

use std::io;
use std::path::Path;
use std::sync::Arc;

use pace_config::telemetry;
use pace_tls::ServerName;
use pace_tls::alpn::Alpn;
use pace_tls::client::{Connector, Roots, Settings};
use pace_tls::pem::PemFile;

pub use self::context::{SpanId, Trace, Traceparent};
pub use self::exporter::{DROPPED, Dropped, SENT, flush};
use super::notes::Notes;

/// Traces requests of a configuration.
pub struct Tracer {
    settings: telemetry::Tracing,
    /// How the collector is connected to, and the name that it proves to have; `None` without TLS.
    tls: Option<(Connector, ServerName<'static>)>,
}

/// The reason why requests cannot be traced.
#[derive(Debug, thiserror::Error)]
pub enum TracerError {
    /// The file of authorities cannot be used, or the system has none.
    #[error("[tracing] ca: {0}")]
    Authorities(String),
    /// The collector's host is no name that a certificate can have.
    #[error("[tracing] collector: {0:?} is no name that a certificate can have")]
    Name(String),
    /// No thread could be started.
    #[error("[tracing]: cannot start its thread: {0}")]
    Thread(io::Error),
}

impl Tracer {
    /// Prepares the tracing of a configuration, and starts the thread that sends spans.
    pub fn start(settings: &telemetry::Tracing) -> Result<Arc<Tracer>, TracerError> {
        let tracer = Tracer::new(settings)?;
        exporter::start().map_err(TracerError::Thread)?;
        Ok(Arc::new(tracer))
    }

    /// Looks for mistakes that keep a configuration from being used.
    pub(super) fn check(settings: &telemetry::Tracing) -> Result<(), TracerError> {
        Tracer::new(settings).map(drop)
    }

    fn new(settings: &telemetry::Tracing) -> Result<Tracer, TracerError> {
        let tls = match settings.collector.is_encrypted {
            true => Some(tls(&settings.collector.host, settings.ca.as_deref())?),
            false => None,
        };
        Ok(Tracer {
            settings: settings.clone(),
            tls,
        })
    }

    /// Whether a request is traced for which nobody has decided, by chance.
    pub fn draws(&self) -> bool {
        let one_in = self.settings.sample_one_in;
        one_in == 1 || fastrand::u32(..one_in) == 0
    }
}

fn tls(host: &str, ca: Option<&Path>) -> Result<(Connector, ServerName<'static>), TracerError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| TracerError::Name(host.to_owned()))?;
    let file = ca
        .map(PemFile::read)
        .transpose()
        .map_err(TracerError::Authorities)?;
    let roots = match &file {
        Some(file) => Roots::File(file.pem()),
        None => {
            let system = pace_tls::client::system_roots();
            Roots::System(system.map_err(|error| TracerError::Authorities(error.to_string()))?)
        }
    };
    let connector = Connector::new(Settings {
        roots: Some(roots),
        identity: None,
        alpn: &[Alpn::Http11],
    });
    let connector = connector.map_err(|error| TracerError::Authorities(error.to_string()))?;
    Ok((connector, name))
}

/// Hands a request that is over to the thread that sends its spans, if it is traced.
pub fn tell(notes: &Arc<Notes>) {
    if notes.is_traced() {
        exporter::add(notes);
    }
}
