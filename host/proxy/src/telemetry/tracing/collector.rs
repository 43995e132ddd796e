//! The connection to a collector, on which batches are sent one after the other.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::Poll;

use pace_wire::encode;
use pace_wire::response::RequestFacts;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::Tracer;
use crate::http1::{BackendConnection, BodyReader};
use crate::io::Transport;

/// A collector, with the connection to it.
pub(super) struct Collector {
    tracer: Arc<Tracer>,
    connection: Option<Transport>,
}

/// The reason why a batch was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// There was no connection, or no response on it.
    #[error("{0}")]
    Unreachable(String),
    /// The collector wants the batch later.
    #[error("status {0}")]
    Busy(u16),
    /// The collector does not want the batch.
    #[error("status {0}")]
    Refused(u16),
}

/// The most bytes of a response's body that are read, to use the connection again.
const MOST: usize = 64 << 10;

impl From<io::Error> for SendError {
    fn from(error: io::Error) -> SendError {
        SendError::Unreachable(error.to_string())
    }
}

impl Collector {
    pub(super) fn new(tracer: Arc<Tracer>) -> Collector {
        Collector {
            tracer,
            connection: None,
        }
    }

    /// Whether batches of this tracer go to it.
    pub(super) fn is_of(&self, tracer: &Arc<Tracer>) -> bool {
        Arc::ptr_eq(&self.tracer, tracer)
    }

    /// Sends a batch and reads the answer, within the time of the configuration.
    pub(super) async fn send(&mut self, body: &[u8]) -> Result<(), SendError> {
        let limit = self.tracer.settings.timeout;
        let deadline = Instant::now() + limit;
        let exchanged = timeout_at(deadline, self.exchange(body, deadline)).await;
        let status = exchanged
            .unwrap_or_else(|_| Err(SendError::Unreachable(format!("no answer within {limit:?}"))))?;
        // OTLP 1.5, "OTLP/HTTP Response": these are worth another attempt, and no others.
        match status {
            200..=299 => Ok(()),
            429 | 502 | 503 | 504 => Err(SendError::Busy(status)),
            _ => Err(SendError::Refused(status)),
        }
    }

    async fn exchange(&mut self, body: &[u8], deadline: Instant) -> Result<u16, SendError> {
        let head = self.head(body.len());
        if let Some(kept) = self.connection.take() {
            // The collector may have closed it meanwhile.
            if let Ok(status) = self.exchange_on(kept, &head, body).await {
                return Ok(status);
            }
        }
        let connection = self.connect(deadline).await?;
        self.exchange_on(connection, &head, body).await
    }

    async fn exchange_on(
        &mut self,
        mut transport: Transport,
        head: &[u8],
        body: &[u8],
    ) -> Result<u16, SendError> {
        write_all(&mut transport, head, body).await?;
        let mut connection = BackendConnection::new(transport);
        let facts = RequestFacts {
            head: false,
            upgrade: false,
        };
        loop {
            poll_fn(|context| connection.poll_head(facts, context))
                .await
                .map_err(|error| SendError::Unreachable(error.to_string()))?;
            if !connection.head.is_interim() {
                break;
            }
        }
        let status = connection.head.status().as_u16();
        if read_over(&mut connection).await && connection.head.keeps_alive() {
            self.connection = Some(connection.transport);
        }
        Ok(status)
    }

    async fn connect(&self, deadline: Instant) -> Result<Transport, SendError> {
        let collector = &self.tracer.settings.collector;
        let stream = TcpStream::connect((collector.host.as_str(), collector.port)).await?;
        stream.set_nodelay(true)?;
        let Some((connector, name)) = &self.tracer.tls else {
            return Ok(Transport::new(stream));
        };
        let connected = connector.connect_http1(stream, name.clone(), deadline).await;
        let connected = connected.map_err(|error| SendError::Unreachable(error.to_string()))?;
        Ok(Transport::Tls(Box::new(connected.stream.into())))
    }

    fn head(&self, length: usize) -> Vec<u8> {
        let settings = &self.tracer.settings;
        let mut head = Vec::with_capacity(256);
        encode::request_line(&mut head, "POST", &settings.collector.path);
        encode::field(&mut head, "Host", settings.collector.authority().as_bytes());
        encode::field(&mut head, "Content-Type", b"application/json");
        encode::field(&mut head, "Content-Length", length.to_string().as_bytes());
        encode::field(
            &mut head,
            "User-Agent",
            concat!("pace/", env!("CARGO_PKG_VERSION")).as_bytes(),
        );
        for (name, value) in &settings.headers {
            encode::field(&mut head, name, value.expose().as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}

async fn write_all(transport: &mut Transport, mut head: &[u8], mut body: &[u8]) -> io::Result<()> {
    poll_fn(|context| {
        while !head.is_empty() || !body.is_empty() {
            let written = match transport.poll_write(&[IoSlice::new(head), IoSlice::new(body)], context) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => written,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            };
            let of_head = written.min(head.len());
            (head, body) = (&head[of_head..], &body[written - of_head..]);
        }
        transport.poll_flush(context)
    })
    .await
}

/// Discards the body of a response. Returns whether that was all of it.
async fn read_over(connection: &mut BackendConnection) -> bool {
    let mut reader = BodyReader::of_response(&connection.head);
    let mut left = MOST;
    poll_fn(|context| {
        loop {
            match reader.poll_data(&mut connection.input, &mut connection.transport, context) {
                Poll::Ready(Ok(None)) => return Poll::Ready(connection.input.is_empty()),
                Poll::Ready(Ok(Some(data))) if data.len() <= left => left -= data.len(),
                Poll::Ready(_) => return Poll::Ready(false),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}
