//! Where requests are told of: the access log and the collector of a configuration.

use std::sync::Arc;

use pace_config::Config;

use super::access_log::{AccessLog, OpenError};
use super::tracing::{Tracer, TracerError};

/// The access log and the tracer of a configuration.
#[derive(Default)]
pub struct Sinks {
    /// The access log, if there is one.
    pub access_log: Option<Arc<AccessLog>>,
    /// The tracer, if requests are traced.
    pub tracer: Option<Arc<Tracer>>,
}

/// The reason why requests cannot be told of as configured.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The access log cannot be written.
    #[error(transparent)]
    AccessLog(#[from] OpenError),
    /// Requests cannot be traced.
    #[error(transparent)]
    Tracing(#[from] TracerError),
}

impl Sinks {
    /// Looks for mistakes that keep a configuration from being used, and opens nothing.
    pub fn check(config: &Config) -> Result<(), SinkError> {
        if let Some(log) = &config.access_log {
            AccessLog::check(log)?;
        }
        if let Some(tracing) = &config.tracing {
            Tracer::check(tracing)?;
        }
        Ok(())
    }

    /// Opens what a configuration names. What `before` has open already stays open.
    pub fn open(config: &Config, before: Option<&Sinks>) -> Result<Sinks, SinkError> {
        let access_log = before.and_then(|before| before.access_log.as_ref());
        Ok(Sinks {
            access_log: AccessLog::open(config.access_log.as_ref(), access_log)?,
            tracer: config.tracing.as_ref().map(Tracer::start).transpose()?,
        })
    }
}
