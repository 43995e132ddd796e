//! Connections of the admin listener.

use std::future::poll_fn;
use std::net::TcpListener;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{Method, Response};
use log::warn;
use pace_wire::encode;
use pace_wire::refusal::Refusal;
use pace_wire::request::{RequestHead, Rules};
use tokio::time::Instant;

use super::drain::{Drain, MustEnd, Phase};
use crate::admin::{Admin, refused};
use crate::http1::{Arrival, BodyError, BodyReader, Client, Next, WaitOutcome};
use crate::io::Transport;
use crate::listeners::ListenerId;
use pace_base::logging::Limited;
use pace_config::ClientLimits;

/// Serves the admin API until the process ends, also while requests drain; a process that has handed over serves no more.
pub(super) async fn serve(listener: TcpListener, admin: Admin, drain: Arc<Drain>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let admin = Arc::new(admin);
    let warnings = Limited::new("admin connections that could not be accepted");
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = drain.entered(Phase::HandedOver) => return Ok(()),
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if warnings.admits() {
                    warn!(target: "pace::server", "cannot accept admin connections: {error}");
                }
                tokio::time::sleep(super::accept::EXHAUSTED_PAUSE).await;
                continue;
            }
        };
        let (admin, drain) = (Arc::clone(&admin), Arc::clone(&drain));
        tokio::spawn(async move {
            let arrival = Arrival {
                peer: peer.ip(),
                port: 0,
                listener: ListenerId::default(),
                tls: None,
                certificate: None,
            };
            converse(Client::new(Transport::new(stream), arrival), &admin, &drain).await;
        });
    }
}

/// Serves a connection: answers its requests one after the other.
async fn converse(mut client: Client, admin: &Admin, drain: &Drain) {
    let limits = ClientLimits::default();
    let mut head = RequestHead::new();
    let handed_over = || async {
        drain.entered(Phase::HandedOver).await;
        MustEnd::Drained
    };
    while client.wait(&limits, handed_over()).await == WaitOutcome::Byte {
        let next = client.read_head(&mut head, &Rules::default(), &limits).await;
        let (response, is_read) = match next {
            Next::End => return,
            Next::Refused(refusal) => (refused(refusal), false),
            Next::Preface => (refused(Refusal::Version), false),
            Next::Request => {
                // No endpoint uses a body, but a request is complete only with it.
                let body = BodyReader::of_request(&head, &Rules::default());
                match read_over(&mut client, body, limits.body).await {
                    Ok(()) => (admin.answer(&head, drain.phase()).await, true),
                    Err(Some(refusal)) => (refused(refusal), false),
                    Err(None) => return,
                }
            }
        };
        let keep =
            is_read && head.keeps_alive() && client.may_ask_again() && drain.phase() != Phase::HandedOver;
        let wire = encode(&response, &head, keep);
        let body: &[u8] = match head.method {
            Method::HEAD => &[],
            _ => response.body(),
        };
        if client.send(&wire, body, limits.send).await.is_err() {
            return;
        }
        match (is_read, keep) {
            (true, true) => {}
            (true, false) | (false, _) => return client.linger().await,
        }
    }
}

/// Discards a body, which must come within the limit. The error is the refusal of a body that is late or malformed, or
/// `None` if the client has gone.
async fn read_over(
    client: &mut Client,
    mut body: BodyReader,
    limit: Duration,
) -> Result<(), Option<Refusal>> {
    let deadline = Instant::now() + limit;
    let Client {
        transport,
        input,
        alarm,
        ..
    } = client;
    poll_fn(|context| {
        loop {
            match body.poll_data(input, transport, context) {
                Poll::Ready(Ok(None)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(Some(_))) if Instant::now() < deadline => {}
                Poll::Ready(Ok(Some(_))) => return Poll::Ready(Err(Some(Refusal::BodyTimeout))),
                Poll::Ready(Err(BodyError::Fault(fault))) => return Poll::Ready(Err(Some(fault.into()))),
                Poll::Ready(Err(BodyError::TooLarge)) => {
                    return Poll::Ready(Err(Some(Refusal::BodyTooLarge)));
                }
                Poll::Ready(Err(BodyError::Early | BodyError::Io(_))) => return Poll::Ready(Err(None)),
                Poll::Pending => {
                    return alarm
                        .poll(deadline, context)
                        .map(|()| Err(Some(Refusal::BodyTimeout)));
                }
            }
        }
    })
    .await
}

fn encode(response: &Response<Vec<u8>>, request: &RequestHead, keep: bool) -> Vec<u8> {
    let mut wire = Vec::with_capacity(256);
    let reason = response.status().canonical_reason().unwrap_or_default();
    encode::status_line(&mut wire, response.status(), reason.as_bytes());
    for (name, value) in response.headers() {
        encode::field(&mut wire, name.as_str(), value.as_bytes());
    }
    match (keep, request.version) {
        (false, _) => encode::field(&mut wire, "Connection", b"close"),
        (true, http::Version::HTTP_10) => encode::field(&mut wire, "Connection", b"keep-alive"),
        (true, _) => {}
    }
    wire.extend_from_slice(b"\r\n");
    wire
}
