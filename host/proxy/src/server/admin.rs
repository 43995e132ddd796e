//! Connections of the admin listener.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{Method, Response};
use log::{debug, warn};
use pace_tls::server::{Handshake, accept as accept_tls};
use pace_wire::encode;
use pace_wire::refusal::Refusal;
use pace_wire::request::{RequestHead, Rules};
use tokio::time::Instant;

use super::admin_port::{Accepted, AdminListener};
use super::admission::answer_plaintext;
use super::drain::{Drain, Phase};
use crate::admin::{Admin, refused};
use crate::http1::{Arrival, BodyError, BodyReader, Client, Next, WaitOutcome};
use crate::io::Transport;
use crate::listeners::ListenerId;
use crate::telemetry::ListenerConnections;
use pace_base::escape::Line;
use pace_base::logging::Limited;
use pace_config::ClientLimits;

/// How long an operator may take for the TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves the admin API until the process ends, also while requests drain; a process that has handed over serves no more.
pub(super) async fn serve(listener: AdminListener, admin: Admin, drain: Arc<Drain>) {
    let admin = Arc::new(admin);
    // Operators are not counted among clients.
    let connections = Arc::<ListenerConnections>::default();
    let warnings = Limited::new("admin connections that could not be accepted");
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = drain.entered(Phase::HandedOver) => return,
        };
        match accepted {
            Ok(accepted) => {
                let (admin, drain) = (Arc::clone(&admin), Arc::clone(&drain));
                let connections = Arc::clone(&connections);
                tokio::spawn(async move {
                    if let Some(client) = client(accepted, &admin, &connections).await {
                        converse(client, &admin, &drain).await;
                    }
                });
            }
            Err(error) => {
                if warnings.admits() {
                    warn!(target: "pace::server", "cannot accept admin connections: {error}");
                }
                tokio::time::sleep(super::accept::EXHAUSTED_PAUSE).await;
            }
        }
    }
}

/// Makes the client of a connection, after a handshake where the listener speaks TLS.
async fn client(accepted: Accepted, admin: &Admin, connections: &Arc<ListenerConnections>) -> Option<Client> {
    let mut arrival = Arrival {
        peer: accepted.peer(),
        port: 0,
        listener: ListenerId::default(),
        tls: None,
        certificate: None,
        connections: Arc::clone(connections),
    };
    let stream = match accepted {
        Accepted::Local(stream) => return Some(Client::new(Transport::Local(stream), Arc::new(arrival))),
        Accepted::Tcp(stream, _) => stream,
    };
    // The certificate of the moment: a reload may have brought another one.
    let frontend = admin.snapshot.load().frontends.of_admin().map(Arc::clone);
    let Some(frontend) = frontend else {
        return Some(Client::new(Transport::new(stream), Arc::new(arrival)));
    };
    let handshake = accept_tls(stream, &frontend, Instant::now() + HANDSHAKE_TIMEOUT);
    match Box::pin(handshake).await {
        Ok(Handshake::Client { stream, facts }) => {
            arrival.tls = Some(Arc::new(facts));
            let transport = Transport::Tls(Box::new(stream.into()));
            Some(Client::new(transport, Arc::new(arrival)))
        }
        Ok(Handshake::Challenge) => None,
        Err(error) => {
            debug!(target: "pace::server", "TLS of the admin listener with {}: {}", arrival.peer, Line(&error));
            if let Some(stream) = error.plaintext {
                answer_plaintext(stream, arrival).await;
            }
            None
        }
    }
}

/// Serves a connection: answers its requests one after the other.
async fn converse(mut client: Client, admin: &Admin, drain: &Drain) {
    let limits = ClientLimits::default();
    let mut head = RequestHead::new();
    while client.wait(&limits, drain.entered(Phase::HandedOver)).await == WaitOutcome::Byte {
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
    client.transport.close();
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
