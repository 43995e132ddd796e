//! A client's connection as Pingora uses it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use pingora::protocols::l4::socket::SocketAddr as PingoraAddress;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest,
    UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf};
use tokio::net::TcpStream;

/// A TCP connection that gathers what is written until it is flushed.
///
/// Pingora's own type would do the same only behind Pingora's own listener: made from a socket it does not
/// gather, and a response is sent as two packets, head and body, which costs a system call and, with some
/// clients, the 40 ms of a delayed acknowledgement.
#[derive(Debug)]
pub(super) struct ClientStream {
    socket: BufWriter<TcpStream>,
    digest: Arc<SocketDigest>,
}

/// Holds a head and a small body. A larger body is not copied: it is written past the buffer.
const WRITE_BUFFER: usize = 2048;

impl ClientStream {
    /// `peer` is who Pingora shall think is at the other end.
    pub(super) fn new(socket: TcpStream, peer: SocketAddr) -> ClientStream {
        let digest = SocketDigest::from_raw_fd(socket.as_raw_fd());
        digest.peer_addr.get_or_init(|| Some(PingoraAddress::Inet(peer)));
        ClientStream {
            socket: BufWriter::with_capacity(WRITE_BUFFER, socket),
            digest: Arc::new(digest),
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(self.socket.get_mut()).poll_read(context, buffer);
        // Pingora does not flush between the pieces of a response whose length is known. But whenever it
        // waits it also looks whether the client has gone, so when there is nothing to read, what has been
        // gathered is sent: the client sees the beginning of a slow response as soon as it is there.
        if read.is_pending()
            && !self.socket.buffer().is_empty()
            && let Poll::Ready(Err(error)) = Pin::new(&mut self.socket).poll_flush(context)
        {
            return Poll::Ready(Err(error));
        }
        read
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[async_trait]
impl Shutdown for ClientStream {
    async fn shutdown(&mut self) {
        if let Err(error) = self.socket.shutdown().await {
            log::debug!("a connection was closed before its end could be announced: {error}");
        }
    }
}

impl UniqueID for ClientStream {
    fn id(&self) -> UniqueIDType {
        self.socket.get_ref().as_raw_fd()
    }
}

impl Ssl for ClientStream {}

impl Peek for ClientStream {}

impl GetTimingDigest for ClientStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for ClientStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for ClientStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.digest))
    }
}
