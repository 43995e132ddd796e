//! The admin listener: its connections.

use std::net::TcpListener;
use std::sync::Arc;

use http::{Method, Response};
use log::warn;
use pace_wire::encode;
use pace_wire::request::{RequestHead, Rules};

use super::connection::Connection;
use super::drain::Drain;
use crate::admin::{Admin, refused};
use crate::config::ClientLimits;
use crate::http1::{BodyReader, Client, Next, Waited};
use crate::logging::Limited;

/// Serves until the process ends, also while requests drain.
pub(super) async fn serve(listener: TcpListener, admin: Admin, drain: Arc<Drain>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let admin = Arc::new(admin);
    let warnings = Limited::new("admin connections that could not be accepted");
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                if warnings.admits() {
                    warn!("cannot accept admin connections: {error}");
                }
                tokio::time::sleep(super::accept::EXHAUSTED_PAUSE).await;
                continue;
            }
        };
        let (admin, drain) = (Arc::clone(&admin), Arc::clone(&drain));
        tokio::spawn(async move {
            let connection = Connection {
                stream,
                peer,
                expects_header: false,
            };
            if let Ok(Some(client)) = connection.into_client().await {
                converse(client, &admin, &drain).await;
            }
        });
    }
}

/// Answers one request after the other.
async fn converse(mut client: Client, admin: &Admin, drain: &Drain) {
    let limits = ClientLimits::default();
    let mut head = RequestHead::new();
    while client.wait(&limits, std::future::pending()).await == Waited::Byte {
        let next = client.read_head(&mut head, &Rules::default(), &limits).await;
        let (response, is_read) = match next {
            Next::End => return,
            Next::Refused(refusal) => (refused(refusal), false),
            Next::Request => {
                let draining = drain.has_begun();
                let response = admin.answer(&head, draining).await;
                // No request has anything to say in a body.
                let mut body = BodyReader::of_request(head.framing, &Rules::default());
                let is_read = body.is_done() || (body.take(&mut client.input).is_ok() && body.is_done());
                (response, is_read)
            }
        };
        let keep = is_read && head.keeps_alive() && client.may_ask_again();
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
            (true, false) => return,
            (false, _) => return client.linger().await,
        }
    }
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
