//! Health checks over HTTP/2: GET, and the health service of gRPC.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::header::{CONTENT_TYPE, HeaderMap, TE, USER_AGENT};
use http::{Method, Request};

use super::{AGENT, Fault};
use crate::http2::{Begun, Io, begin};
use crate::io::{Traffic, Transport};
use crate::upstream::Backend;

/// The method of the health service (grpc.health.v1).
const CHECK: &str = "/grpc.health.v1.Health/Check";

/// A message of gRPC without content: a `HealthCheckRequest` for the whole server.
const EMPTY_MESSAGE: [u8; 5] = [0; 5];

/// The most bytes of an answer. A `HealthCheckResponse` has seven.
const MAX_ANSWER: usize = 1024;

/// The value of `ServingStatus.SERVING`.
const SERVING: u64 = 1;

/// Asks for a path. Returns the status.
pub(super) async fn get(
    transport: Transport,
    backend: &Backend,
    path: &str,
    patience: Duration,
) -> Result<u16, Fault> {
    let request = request(backend, Method::GET, path)?;
    let exchange = |mut sender: SendRequest<Bytes>| async move {
        let (response, _) = sender.send_request(request, true)?;
        Ok(response.await?.status().as_u16())
    };
    during_session(transport, patience, exchange).await
}

/// Asks the health service of gRPC for the health of the whole server.
pub(super) async fn ask_for_health(
    transport: Transport,
    backend: &Backend,
    patience: Duration,
) -> Result<(), Fault> {
    let mut request = request(backend, Method::POST, CHECK)?;
    let fields = request.headers_mut();
    fields.insert(CONTENT_TYPE, http::HeaderValue::from_static("application/grpc"));
    fields.insert(TE, http::HeaderValue::from_static("trailers"));
    let exchange = |mut sender: SendRequest<Bytes>| async move {
        let (response, mut upload) = sender.send_request(request, false)?;
        upload.send_data(Bytes::from_static(&EMPTY_MESSAGE), true)?;
        let (head, mut body) = response.await?.into_parts();
        if head.status != http::StatusCode::OK {
            return Err(Fault::Status(head.status.as_u16()));
        }
        let mut answer = Vec::new();
        while let Some(data) = body.data().await {
            let data = data?;
            body.flow_control().release_capacity(data.len())?;
            answer.extend_from_slice(&data);
            if answer.len() > MAX_ANSWER {
                return Err(Fault::NoHealth);
            }
        }
        // An answer without a message has its outcome in the head.
        let trailers = body.trailers().await?;
        outcome(trailers.as_ref().unwrap_or(&head.headers))?;
        match serving_status(&answer) {
            Some(SERVING) => Ok(()),
            Some(other) => Err(Fault::NotServing(other)),
            None => Err(Fault::NoHealth),
        }
    };
    during_session(transport, patience, exchange).await
}

fn request(backend: &Backend, method: Method, path: &str) -> Result<Request<()>, Fault> {
    let scheme = match backend.name {
        Some(_) => "https",
        None => "http",
    };
    Request::builder()
        .method(method)
        .uri(format!("{scheme}://{}{path}", backend.authority()))
        .header(USER_AGENT, AGENT)
        .body(())
        .map_err(|error| Fault::Send(io::Error::other(error)))
}

/// Begins a session, and keeps it going for an exchange.
async fn during_session<T, F>(
    transport: Transport,
    patience: Duration,
    exchange: impl FnOnce(SendRequest<Bytes>) -> F,
) -> Result<T, Fault>
where
    F: Future<Output = Result<T, Fault>>,
{
    let traffic = Arc::<Traffic>::default();
    let io = Io::to_backend(transport, patience, &traffic);
    let Begun { sender, driver, .. } = begin(io, traffic).await?;
    let exchange = async {
        let ready = sender.ready().await?;
        exchange(ready).await
    };
    tokio::select! {
        biased;
        answer = exchange => answer,
        ended = driver.run(|_| {}) => {
            ended?;
            Err(Fault::Send(io::Error::from(io::ErrorKind::UnexpectedEof)))
        }
    }
}

/// Whether a call has gone well, as its trailers say.
fn outcome(trailers: &HeaderMap) -> Result<(), Fault> {
    match trailers.get("grpc-status").map(http::HeaderValue::as_bytes) {
        Some(b"0") => Ok(()),
        Some(status) => Err(Fault::GrpcStatus(String::from_utf8_lossy(status).into_owned())),
        None => Err(Fault::NoHealth),
    }
}

/// The field `status` of a `HealthCheckResponse`, which is 0 if it is not there; `None` if the bytes are no such message.
fn serving_status(answer: &[u8]) -> Option<u64> {
    let (head, mut message) = answer.split_first_chunk::<5>()?;
    let [0, length @ ..] = *head else {
        return None;
    };
    let length = u32::from_be_bytes(length);
    if message.len() != length as usize {
        return None;
    }
    let mut status = 0;
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let (field, wire_type) = (tag >> 3, tag & 7);
        match wire_type {
            0 => {
                let value = varint(&mut message)?;
                if field == 1 {
                    status = value;
                }
            }
            1 => message = message.get(8..)?,
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            5 => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

/// Reads a number of protobuf, seven bits in each byte and the lowest first.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn serving_status_is_read_among_unknown_fields() {
        for (message, status) in [
            (&[8, 1][..], Some(1)),
            (&[8, 2], Some(2)),
            (&[], Some(0)),
            (&[8, 0x81, 1], Some(129)),
            (&[18, 2, 8, 1, 8, 3], Some(3)),
            (&[21, 0, 0, 0, 0, 8, 1], Some(1)),
            (&[8], None),
            (&[8, 0x80], None),
            (&[18, 9, 1], None),
            (&[11, 8, 1], None),
        ] {
            let length = u32::try_from(message.len()).expect("it is short").to_be_bytes();
            let answer = [&[0], &length[..], message].concat();
            assert_eq!(serving_status(&answer), status, "{message:?}");
        }
        assert_eq!(serving_status(&[1, 0, 0, 0, 2, 8, 1]), None, "it is compressed");
        assert_eq!(serving_status(&[0, 0, 0, 0, 3, 8, 1]), None, "it is cut short");
        assert_eq!(serving_status(b"ok"), None);
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_panic(answer in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = serving_status(&answer);
        }
    }
}
