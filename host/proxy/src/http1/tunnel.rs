//! The tunnel: both directions of a connection after a switch to another protocol.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::backend::BackendConnection;
use super::client::Client;
use super::sink::Sink;
use crate::io::{Buffer, Transport};

/// One direction of a tunnel.
struct Direction {
    sink: Sink,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Copying,
    /// The source has ended, and the target is being told.
    Ending,
    Ended,
}

/// Copies bytes both ways until both sides have ended, one of them fails, or neither sends anything for `limit`. `head` is
/// written to the client first. An end of one side is passed on to the other, which may continue.
///
/// Returns how many bytes the client got, including the head. After the head only bytes of the other side are written: even
/// after a failure Pace has nothing to say in the new protocol.
pub async fn tunnel(
    client: &mut Client,
    backend: &mut BackendConnection,
    head: Vec<u8>,
    limit: Duration,
) -> (u64, io::Result<()>) {
    let mut up = Direction::new(Vec::new());
    let mut down = Direction::new(head);
    if client.has_ended {
        up.state = State::Ending;
    }
    let mut deadline = Instant::now() + limit;
    let Client {
        transport: client_transport,
        input: client_input,
        alarm,
        ..
    } = client;
    let ended = poll_fn(|context| {
        let moved = (up.sink.written(), down.sink.written(), up.state, down.state);
        let first = up.poll((client_transport, client_input), &mut backend.transport, context);
        let second = down.poll(
            (&mut backend.transport, &mut backend.input),
            client_transport,
            context,
        );
        match (first, second) {
            (Poll::Ready(Err(error)), _) | (_, Poll::Ready(Err(error))) => return Poll::Ready(Err(error)),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(Ok(())),
            _ => {}
        }
        if moved != (up.sink.written(), down.sink.written(), up.state, down.state) {
            deadline = Instant::now() + limit;
        }
        alarm
            .poll(deadline, context)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    })
    .await;
    (down.sink.written(), ended)
}

impl Direction {
    fn new(first: Vec<u8>) -> Direction {
        let mut sink = Sink::new();
        *sink.before() = first;
        Direction {
            sink,
            state: State::Copying,
        }
    }

    fn poll(
        &mut self,
        (source, buffer): (&mut Transport, &mut Buffer),
        target: &mut Transport,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if !self.sink.has_data() && !buffer.is_empty() {
                let start = buffer.start();
                let length = buffer.len();
                buffer.consume(length);
                self.sink.add(start..start + length, &[]);
            }
            ready!(self.sink.poll_send(|range| buffer.slice(range), target, context))?;
            match self.state {
                State::Copying => match buffer.poll_fill(usize::MAX, source, context) {
                    Poll::Ready(Ok(1..)) => {}
                    Poll::Ready(Ok(0)) => self.state = State::Ending,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        // A tunnel may be quiet for minutes, and holds no memory meanwhile.
                        buffer.release();
                        return Poll::Pending;
                    }
                },
                State::Ending => {
                    ready!(target.poll_shutdown(context))?;
                    self.state = State::Ended;
                }
                State::Ended => return Poll::Ready(Ok(())),
            }
        }
    }
}
