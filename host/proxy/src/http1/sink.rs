//! Bytes to be written, and how far that has come.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::task::{Context, Poll, ready};

use crate::io::Transport;

/// Bytes to be written to a connection: a head or a chunk's line, data that lies in the buffer of the other connection, and
/// an end of the data. They are written together, without being copied together.
#[derive(Debug, Default)]
pub struct Sink {
    before: Vec<u8>,
    data: Range<usize>,
    behind: &'static [u8],
    /// The number of bytes of `before` that have been written.
    at: usize,
    /// The number of bytes written since the sink was made.
    written: u64,
    /// Something that was written may still wait to be encrypted or sent.
    is_unflushed: bool,
}

impl Sink {
    /// An empty sink.
    pub fn new() -> Sink {
        Sink::default()
    }

    /// The bytes to be written before the data, to append to. Must not be called while data waits.
    pub fn before(&mut self) -> &mut Vec<u8> {
        debug_assert!(self.data.is_empty() && self.behind.is_empty());
        &mut self.before
    }

    /// Adds data, by its place in a buffer, and the bytes behind it. Must not be called while data waits.
    pub fn add(&mut self, data: Range<usize>, behind: &'static [u8]) {
        debug_assert!(self.data.is_empty() && self.behind.is_empty());
        self.data = data;
        self.behind = behind;
    }

    /// Whether data, or the bytes behind it, wait to be written.
    pub fn has_data(&self) -> bool {
        !self.data.is_empty() || !self.behind.is_empty()
    }

    /// Whether nothing waits to be written, and what was has left this process.
    pub fn is_empty(&self) -> bool {
        self.is_written() && !self.is_unflushed
    }

    fn is_written(&self) -> bool {
        self.before.len() == self.at && !self.has_data()
    }

    /// Whether a head or a chunk's line has been written in part, so that only its rest may follow.
    pub fn is_begun(&self) -> bool {
        self.at > 0 && !self.is_written()
    }

    /// The number of bytes written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Writes everything that waits. `slice` returns the bytes at a place in the buffer.
    pub fn poll_send<'a>(
        &mut self,
        slice: impl Fn(Range<usize>) -> &'a [u8],
        transport: &mut Transport,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_written() {
            let data: &[u8] = if self.data.is_empty() {
                &[]
            } else {
                slice(self.data.clone())
            };
            let parts = [&self.before[self.at..], data, self.behind];
            let mut slices = [IoSlice::new(&[]); 3];
            let mut count = 0;
            for part in parts.into_iter().filter(|part| !part.is_empty()) {
                slices[count] = IoSlice::new(part);
                count += 1;
            }
            let written = ready!(transport.poll_write(&slices[..count], context))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
            self.is_unflushed = true;
        }
        self.before.clear();
        self.at = 0;
        if self.is_unflushed {
            ready!(transport.poll_flush(context))?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, written: usize) {
        self.written += written as u64;
        let of_before = written.min(self.before.len() - self.at);
        self.at += of_before;
        let of_data = (written - of_before).min(self.data.len());
        self.data.start += of_data;
        self.behind = &self.behind[written - of_before - of_data..];
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Read;
    use std::net::TcpListener;
    use std::sync::{Arc, mpsc};
    use std::thread;
    use std::time::Duration;

    use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};
    use socket2::SockRef;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// Less than TLS keeps for a socket, and more than the socket takes.
    const SIZE: usize = 60_000;

    fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
        let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).expect("it is a name");
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).expect("it is a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("they are known")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .expect("they fit");
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("they are known")
            .with_root_certificates(roots)
            .with_no_client_auth();
        (Arc::new(server), Arc::new(client))
    }

    /// Nothing else is written behind it, as on a connection that waits for its next request.
    #[tokio::test]
    async fn sent_bytes_do_not_stay_in_an_encrypted_transport() {
        let (server, client) = configs();
        let listener = TcpListener::bind("127.0.0.1:0").expect("there are ports");
        let address = listener.local_addr().expect("it is bound");
        let (go, told) = mpsc::channel();
        let reading = thread::spawn(move || {
            let name = ServerName::try_from("a.test").expect("it is a name");
            let stream = std::net::TcpStream::connect(address).expect("somebody listens");
            SockRef::from(&stream)
                .set_recv_buffer_size(4096)
                .expect("it may be small");
            let limit = Some(Duration::from_secs(20));
            stream.set_read_timeout(limit).expect("it is a socket");
            let connection = ClientConnection::new(client, name).expect("it is valid");
            let mut stream = StreamOwned::new(connection, stream);
            stream
                .conn
                .complete_io(&mut stream.sock)
                .expect("both are willing");
            told.recv().expect("the other side has written");
            stream.read_exact(&mut [0; SIZE])
        });
        let (stream, _) = listener.accept().expect("the client connects");
        SockRef::from(&stream)
            .set_send_buffer_size(4096)
            .expect("it may be small");
        stream.set_nonblocking(true).expect("it is a socket");
        let stream = tokio::net::TcpStream::from_std(stream).expect("it is a socket");
        let stream = TlsAcceptor::from(server)
            .accept(stream)
            .await
            .expect("both are willing");
        let mut transport = Transport::Tls(Box::new(stream.into()));

        let mut sink = Sink::new();
        sink.before().extend_from_slice(&[0; SIZE]);
        poll_fn(|context| {
            let sent = sink.poll_send(|_| &[], &mut transport, context);
            // The client reads from the first attempt on. It has gone only if it has failed.
            let _ = go.send(());
            sent
        })
        .await
        .expect("the client is there");
        let read = tokio::task::spawn_blocking(|| reading.join())
            .await
            .expect("it runs");
        read.expect("it does not panic").expect("all has been sent");
    }
}
