//! The socket of a connection.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How long TCP waits before it asks again whether the other end is there.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Has small messages be sent at once, and TCP ask the other end whether it is there after a `keepalive` without a byte. What
/// a listener is told holds for the connections that it accepts.
pub fn set_up(socket: &impl AsFd, keepalive: Option<Duration>) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    match keepalive {
        Some(time) => {
            let asks = TcpKeepalive::new()
                .with_time(time)
                .with_interval(KEEPALIVE_INTERVAL);
            socket.set_tcp_keepalive(&asks)
        }
        None => socket.set_keepalive(false),
    }
}

/// A connection's bytes in both directions.
#[derive(Debug)]
pub struct Transport {
    stream: TcpStream,
}

impl Transport {
    /// The connection of a socket that has been [set up](set_up), or whose listener has.
    pub fn new(stream: TcpStream) -> Transport {
        Transport { stream }
    }

    /// Reads into `bytes`, which has room. 0 is the end of what the other side sends.
    pub fn poll_read(&mut self, bytes: &mut [u8], context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut bytes = ReadBuf::new(bytes);
        match Pin::new(&mut self.stream).poll_read(context, &mut bytes) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(bytes.filled().len())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Ready when there is something to read, an end or an error among it.
    pub fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_read_ready(context)
    }

    /// Whether the other end has neither closed nor said anything that was not read. Asks the kernel: what the runtime knows
    /// is as old as its last look.
    pub fn is_silent(&self) -> bool {
        let looked = SockRef::from(&self.stream).peek(&mut [MaybeUninit::uninit()]);
        looked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Writes some of the bytes.
    pub fn poll_write(
        &mut self,
        bytes: &[IoSlice<'_>],
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match bytes {
            [bytes] => Pin::new(&mut self.stream).poll_write(context, bytes),
            several => Pin::new(&mut self.stream).poll_write_vectored(context, several),
        }
    }

    /// Tells the other side that nothing more will be sent.
    pub fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    /// Whether the other end has not yet got all that was written, as far as the system knows.
    pub fn has_unacknowledged(&self) -> bool {
        let mut count: libc::c_int = 0;
        // SAFETY: TIOCOUTQ writes one int where the pointer points, which is a local variable; the descriptor is that of
        // `stream`, which keeps it open.
        let asked = unsafe { libc::ioctl(self.stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) };
        asked == 0 && count > 0
    }

    /// The socket itself.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Ends the connection so that the other side cannot take it for an orderly end.
    pub fn reset(self) {
        // Without it the end is orderly after all, and nothing can be done.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// The other end.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }

    /// Our end.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// The number of its file descriptor, by which tests tell connections apart.
    pub fn id(&self) -> i32 {
        self.stream.as_raw_fd()
    }
}
