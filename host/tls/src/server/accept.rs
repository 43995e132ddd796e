//! The handshake with a client, from its first byte to a stream or a reason.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use rustls::server::{Accepted, Acceptor};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::StartHandshake;
use tokio_rustls::server::TlsStream;

use super::facts::Facts;
use super::frontend::{Choice, Frontend};
use super::reason::Reason;

/// The result of a handshake that succeeded.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "taken apart at once, and nearly always a client's: a box would be one more allocation of each connection"
)]
pub enum Handshake<IO> {
    /// A client is connected.
    Client {
        /// The decrypted stream. Each write is a record, so write head and body together.
        stream: TlsStream<IO>,
        /// The facts about the connection.
        facts: Facts,
    },
    /// An authority was shown the certificate that proves whose name this is (RFC 8737), and the connection is
    /// closed.
    Challenge,
}

/// A handshake that failed. The client was sent an alert, unless the connection is gone, the time is up, or the
/// client does not speak TLS.
#[derive(Debug)]
pub struct HandshakeError<IO> {
    /// The reason.
    pub reason: Reason,
    /// The library's error, for the log.
    pub error: io::Error,
    /// The connection, if the client seems to speak HTTP without TLS: the caller can say so, by a 400 in plain text.
    /// The beginning of the client's request has been read, and the rest may still come.
    pub plaintext: Option<IO>,
}

impl<IO> fmt::Display for HandshakeError<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.name(), self.error)
    }
}

/// Carries out the handshake with the client behind `io`, which must be done by `deadline`. Dropping the future
/// closes the connection.
///
/// The future is large, and is needed once in the life of a connection: box it where the connection's own would have to hold it.
///
/// # Errors
///
/// See [`Reason`].
pub async fn accept<IO>(
    io: IO,
    frontend: &Frontend,
    deadline: Instant,
) -> Result<Handshake<IO>, HandshakeError<IO>>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    match timeout_at(deadline, handshake(io, frontend)).await {
        Ok(done) => done,
        Err(_) => Err(HandshakeError {
            reason: Reason::Timeout,
            error: io::ErrorKind::TimedOut.into(),
            plaintext: None,
        }),
    }
}

async fn handshake<IO>(mut io: IO, frontend: &Frontend) -> Result<Handshake<IO>, HandshakeError<IO>>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let accepted = match client_hello(&mut io).await {
        Ok(accepted) => accepted,
        Err(Refused::Plaintext) => {
            return Err(HandshakeError {
                reason: Reason::NotTls,
                error: io::Error::new(io::ErrorKind::InvalidData, "HTTP without TLS"),
                plaintext: Some(io),
            });
        }
        Err(Refused::NotTls(error)) => return Err(close(io, Reason::NotTls, error).await),
        Err(Refused::Failed(error)) => return Err(close(io, Reason::of(&error), error).await),
    };
    let choice = frontend.choose(&accepted.client_hello());
    let (Choice::Site(config) | Choice::Challenge(config) | Choice::Nothing(config)) = &choice;
    let start = StartHandshake::from_parts(accepted, io);
    // A failed handshake has sent its alert by the time that its error is returned.
    let mut stream = match start.into_stream(config.clone()).into_fallible().await {
        Ok(stream) => stream,
        Err((error, io)) => {
            let reason = match (Reason::of(&error), &choice) {
                (Reason::Other, Choice::Nothing(_)) => Reason::NoCertificate,
                (reason, _) => reason,
            };
            return Err(close(io, reason, error).await);
        }
    };
    if let Choice::Challenge(_) = choice {
        // The authority has seen the certificate, however the connection ends.
        let _ = stream.shutdown().await;
        return Ok(Handshake::Challenge);
    }
    match Facts::of(stream.get_ref().1, frontend.roots_of_chains(), SystemTime::now()) {
        Ok(facts) => Ok(Handshake::Client { stream, facts }),
        Err(error) => Err(close(stream, Reason::of(&error), error).await),
    }
}

/// Ends the sending side, so that sent bytes, such as an alert, arrive before the end does.
async fn close<IO, Closed>(mut io: Closed, reason: Reason, error: io::Error) -> HandshakeError<IO>
where
    Closed: AsyncWrite + Unpin,
{
    let _ = io.shutdown().await;
    HandshakeError {
        reason,
        error,
        plaintext: None,
    }
}

/// A reason why there is no ClientHello.
enum Refused {
    /// The first byte is a letter, and no record begins with one.
    Plaintext,
    /// The first bytes are no record.
    NotTls(io::Error),
    /// Anything else.
    Failed(io::Error),
}

async fn client_hello<IO>(io: &mut IO) -> Result<Accepted, Refused>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let mut acceptor = Acceptor::default();
    let mut begun = false;
    loop {
        let read = poll_fn(|cx| poll_feed(Pin::new(io), cx, &mut acceptor)).await;
        let first = read.map_err(Refused::Failed)?;
        if !begun && first.is_ascii_alphabetic() {
            return Err(Refused::Plaintext);
        }
        begun = true;
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(accepted),
            Ok(None) => {}
            Err((error, mut alert)) => {
                let mut bytes = Vec::new();
                // Writing to a vector cannot fail, and a client that sent no TLS need not read this.
                let _ = alert.write_all(&mut bytes);
                let _ = io.write_all(&bytes).await;
                return Err(refused(error));
            }
        }
    }
}

fn refused(error: rustls::Error) -> Refused {
    let not_tls = matches!(&error, rustls::Error::InvalidMessage(message) if crate::is_not_a_record(message));
    let error = io::Error::new(io::ErrorKind::InvalidData, error);
    if not_tls {
        Refused::NotTls(error)
    } else {
        Refused::Failed(error)
    }
}

/// Reads available bytes into the acceptor and returns the first of them. The buffer lives for this call only: a slow
/// client costs no memory for it.
fn poll_feed<IO>(io: Pin<&mut IO>, cx: &mut Context<'_>, acceptor: &mut Acceptor) -> Poll<io::Result<u8>>
where
    IO: AsyncRead,
{
    let mut bytes = [MaybeUninit::uninit(); 4096];
    let mut buffer = ReadBuf::uninit(&mut bytes);
    ready!(io.poll_read(cx, &mut buffer))?;
    let mut rest = buffer.filled();
    let Some(first) = rest.first().copied() else {
        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
    };
    while !rest.is_empty() {
        acceptor.read_tls(&mut rest)?;
    }
    Poll::Ready(Ok(first))
}
