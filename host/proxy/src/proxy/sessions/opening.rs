//! Connects to a backend, and learns its protocol.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

use super::{Key, Sessions};
use crate::http2::{self, Begun, Io};
use crate::io::{Alarm, Traffic, Transport};
use crate::proxy::attempt::AttemptError;
use crate::proxy::connect::{connect, encrypted};
use crate::upstream::{Backend, Pool};
use pace_tls::alpn::Alpn;

/// Where a session goes.
#[derive(Clone)]
pub(in crate::proxy) struct Target {
    pub(in crate::proxy) pool: Arc<Pool>,
    pub(in crate::proxy) backend: Arc<Backend>,
    /// The time after which TCP asks whether the other end is there.
    pub(in crate::proxy) keepalive: Option<Duration>,
}

/// The outcome of an opening.
pub(super) enum Opened {
    /// A session, and how long it may be without a request.
    Session(Begun, Duration),
    /// The backend has chosen HTTP/1.1.
    Http1(Transport),
    Failed(AttemptError),
}

/// An opening under way. However its task ends, the requests that wait are told.
pub(super) struct Opening {
    home: Arc<Sessions>,
    key: Key,
    outcome: Opened,
}

impl Opening {
    /// Begins to open a session. Returns whether it has begun: nothing begins on a worker that ends.
    pub(super) fn begin(home: &Arc<Sessions>, key: Key, target: &Target) -> bool {
        let Ok(runtime) = Handle::try_current() else {
            return false;
        };
        let (home, target) = (Arc::clone(home), target.clone());
        runtime.spawn(async move {
            let mut opening = Opening {
                home,
                key,
                outcome: broken_off(),
            };
            opening.outcome = target.open().await;
        });
        true
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, broken_off());
        self.home.opened(self.key, outcome);
    }
}

fn broken_off() -> Opened {
    Opened::Failed(AttemptError::Connect(io::ErrorKind::Interrupted.into()))
}

impl Target {
    async fn open(&self) -> Opened {
        let deadline = Instant::now() + self.pool.settings.connect_timeout;
        match self.transport(deadline).await {
            Ok((transport, Alpn::Http2)) => self.begin(transport, deadline).await,
            Ok((transport, Alpn::Http11)) => Opened::Http1(transport),
            Err(error) => Opened::Failed(error),
        }
    }

    /// Connects. A backend without TLS is known to speak HTTP/2.
    async fn transport(&self, deadline: Instant) -> Result<(Transport, Alpn), AttemptError> {
        let transport = connect(&self.backend, self.keepalive, deadline, &mut Alarm::new()).await?;
        match (transport, &self.backend.name, self.pool.connector()) {
            (Transport::Plain(stream), Some(name), Some(connector)) => {
                let connected = connector.connect(stream, name.clone(), deadline).await;
                let alpn = connected.as_ref().ok().and_then(|connected| connected.alpn);
                Ok((encrypted(connected)?, alpn.unwrap_or(Alpn::Http11)))
            }
            (transport, ..) => Ok((transport, Alpn::Http2)),
        }
    }

    async fn begin(&self, transport: Transport, deadline: Instant) -> Opened {
        let settings = &self.pool.settings;
        let traffic = Arc::<Traffic>::default();
        let io = Io::to_backend(transport, settings.response_timeout, &traffic);
        match timeout_at(deadline, http2::begin(io, traffic)).await {
            Ok(Ok(begun)) => Opened::Session(begun, settings.idle_timeout),
            Ok(Err(error)) => Opened::Failed(AttemptError::Head(error.into())),
            Err(_) => Opened::Failed(AttemptError::Connect(io::ErrorKind::TimedOut.into())),
        }
    }
}
