//! Waits for the sockets of a load, and serves the backends meanwhile.

use super::super::backend::Backends;
use anyhow::{Context, Result, ensure};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use std::io::ErrorKind;
use std::time::{Duration, Instant};

/// A proxy that answers nothing for this long has failed.
const SILENCE_LIMIT: Duration = Duration::from_secs(5);

/// The token of the backends: larger than the number of connections.
pub(super) const BACKENDS: Token = Token(usize::MAX >> 1);

/// The sockets of one thread.
pub(super) struct Reactor<'b> {
    poll: Poll,
    /// The events of the latest wait.
    pub(super) events: Events,
    /// `None` if the backends are served elsewhere.
    backends: Option<&'b mut Backends>,
}

impl<'b> Reactor<'b> {
    /// Creates a reactor for this many connections.
    pub(super) fn new(connections: usize, backends: Option<&'b mut Backends>) -> Result<Reactor<'b>> {
        let poll = Poll::new()?;
        if let Some(backends) = &backends {
            let descriptor = backends.descriptor();
            poll.registry()
                .register(&mut SourceFd(&descriptor), BACKENDS, Interest::READABLE)?;
        }
        Ok(Reactor {
            poll,
            events: Events::with_capacity(connections.clamp(16, 1024)),
            backends,
        })
    }

    pub(super) fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// Waits for events, and has the backends do their work.
    pub(super) fn wait(&mut self) -> Result<()> {
        let begun = Instant::now();
        match self.poll.poll(&mut self.events, Some(SILENCE_LIMIT)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            outcome => outcome?,
        }
        let silence = self.events.is_empty() && begun.elapsed() >= SILENCE_LIMIT;
        ensure!(!silence, "no answer for {} s", SILENCE_LIMIT.as_secs());
        if let Some(backends) = &mut self.backends
            && self.events.iter().any(|event| event.token() == BACKENDS)
        {
            backends
                .serve(Some(Duration::ZERO))
                .context("the backends failed")?;
        }
        Ok(())
    }
}
