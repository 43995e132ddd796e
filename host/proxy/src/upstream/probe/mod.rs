//! A health check of a backend.

mod http2;

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Poll, ready};
use std::time::Duration;

use pace_tls::alpn::Alpn;
use pace_tls::client::ConnectError;
use pace_wire::response::RequestFacts;
use tokio::time::{Instant, timeout_at};

use super::{Backend, Pool};
use crate::http1::{BackendConnection, HeadError};
use crate::io::Transport;
use pace_config::Protocol;
use pace_config::pool::{CheckKind, HealthCheck};

/// The reason why a check failed.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("no connection: {0}")]
    Connect(io::Error),
    #[error("{0}")]
    Tls(ConnectError),
    #[error("the request could not be sent: {0}")]
    Send(io::Error),
    #[error(transparent)]
    Head(#[from] HeadError),
    #[error("HTTP/2: {0}")]
    Http2(#[from] h2::Error),
    #[error("status {0}")]
    Status(u16),
    #[error("grpc-status {0}")]
    GrpcStatus(String),
    #[error("the serving status is {0}, not 1 (SERVING)")]
    NotServing(u64),
    #[error("the answer is no HealthCheckResponse")]
    NoHealth,
    #[error("it does not speak HTTP/2, over which gRPC goes")]
    NoHttp2,
    #[error("it took longer than {0:?}")]
    Late(Duration),
}

/// The name of Pace in requests of checks.
const AGENT: &str = concat!("pace/", env!("CARGO_PKG_VERSION"), " (health check)");

/// Checks a backend on a new connection, because a backend that accepts none is not well. The error is a text for the log.
pub(super) async fn probe(pool: &Pool, backend: &Backend, check: &HealthCheck) -> Result<(), String> {
    let deadline = Instant::now() + check.timeout;
    let asked = timeout_at(deadline, ask(pool, backend, check, deadline));
    let answer = asked.await.unwrap_or(Err(Fault::Late(check.timeout)));
    answer.map_err(|fault| fault.to_string())
}

async fn ask(pool: &Pool, backend: &Backend, check: &HealthCheck, deadline: Instant) -> Result<(), Fault> {
    let (mut transport, protocol) = connect(pool, backend, deadline).await?;
    let (path, expect) = match &check.kind {
        CheckKind::Tcp => {
            transport.close();
            return Ok(());
        }
        CheckKind::Http { path, expect } => (path, expect),
        CheckKind::Grpc if protocol == Alpn::Http2 => {
            return http2::ask_for_health(transport, backend, check.timeout).await;
        }
        CheckKind::Grpc => return Err(Fault::NoHttp2),
    };
    let status = match protocol {
        Alpn::Http2 => http2::get(transport, backend, path, check.timeout).await?,
        Alpn::Http11 => {
            send(&mut transport, backend.authority(), path)
                .await
                .map_err(Fault::Send)?;
            status(transport).await?
        }
    };
    match expect.contains(status) {
        true => Ok(()),
        false => Err(Fault::Status(status)),
    }
}

/// Connects as requests do. Returns the protocol that is spoken on the connection.
async fn connect(pool: &Pool, backend: &Backend, deadline: Instant) -> Result<(Transport, Alpn), Fault> {
    let transport = backend.address.connect(None).await.map_err(Fault::Connect)?;
    match (transport, &backend.name, pool.connector()) {
        (Transport::Plain(stream), Some(name), Some(connector)) => {
            let connected = connector.connect(stream, name.clone(), deadline).await;
            let connected = connected.map_err(Fault::Tls)?;
            let protocol = connected.alpn.unwrap_or(Alpn::Http11);
            Ok((Transport::Tls(Box::new(connected.stream.into())), protocol))
        }
        (transport, ..) => Ok((
            transport,
            match pool.settings.protocol {
                Protocol::Auto | Protocol::Http1 => Alpn::Http11,
                Protocol::Http2 => Alpn::Http2,
            },
        )),
    }
}

/// Sends a GET over HTTP/1.1.
async fn send(transport: &mut Transport, host: &str, path: &str) -> io::Result<()> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {AGENT}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    let mut unsent = request.as_bytes();
    poll_fn(|context| {
        while !unsent.is_empty() {
            match ready!(transport.poll_write(&[IoSlice::new(unsent)], context))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => unsent = &unsent[count..],
            }
        }
        transport.poll_flush(context)
    })
    .await
}

/// Reads the status of a response over HTTP/1.1.
async fn status(transport: Transport) -> Result<u16, Fault> {
    let mut connection = BackendConnection::new(transport);
    let facts = RequestFacts {
        head: false,
        upgrade: false,
    };
    loop {
        poll_fn(|context| connection.poll_head(facts, context)).await?;
        if !connection.head.is_interim() {
            let status = connection.head.status().as_u16();
            connection.transport.close();
            return Ok(status);
        }
    }
}
