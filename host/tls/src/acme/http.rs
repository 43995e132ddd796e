//! Requests to the authority, each on a connection of its own, over the same TLS as to backends.
//!
//! An order is some twenty requests in a few weeks, so nothing is reused and everything has a bound.

use std::future::Future;
use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use ::http::uri::Scheme;
use ::http::{Method, Request, Response, StatusCode, Uri};
use bytes::Bytes;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use pace_wire::chunked::Decoder;
use pace_wire::framing::Framing;
use pace_wire::request::Underscores;
use pace_wire::response::{RequestFacts, ResponseHead};
use pace_wire::scan::HeadScan;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::client::{Connector, Reason};

/// The time for a request, from the look-up of the name to the last byte.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most bytes of a response: chains and directories have a few thousand.
const MOST: usize = 1 << 20;

/// Sends requests to the authority.
#[derive(Clone, Debug)]
pub(super) struct Authority {
    connector: Connector,
    /// The pause that the authority asked for last.
    retry_after: Arc<Mutex<Duration>>,
}

impl Authority {
    pub(super) fn new(connector: Connector) -> Authority {
        Authority {
            connector,
            retry_after: Arc::default(),
        }
    }

    /// The pause that the authority has asked for since the last call.
    pub(super) fn take_retry_after(&self) -> Duration {
        std::mem::take(&mut *self.retry_after.lock())
    }

    async fn exchange(&self, request: Request<BodyWrapper<Bytes>>) -> Result<Response<Bytes>, String> {
        let (parts, body) = request.into_parts();
        // The library can collect the body of a response only.
        let mut body = BytesResponse::from(Response::new(body)).body;
        let body = body.into_bytes().await.map_err(|error| error.to_string())?;
        let host = parts.uri.host().unwrap_or_default().to_owned();
        let deadline = Instant::now() + PATIENCE;
        timeout_at(deadline, self.send(&parts, &body, deadline))
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} seconds", PATIENCE.as_secs())))
            .map_err(|why| format!("{host}: {why}"))
    }

    async fn send(
        &self,
        parts: &::http::request::Parts,
        body: &[u8],
        deadline: Instant,
    ) -> Result<Response<Bytes>, String> {
        let (host, port) = endpoint(&parts.uri)?;
        let name = ServerName::try_from(host.to_owned()).map_err(|_| "not a host name".to_owned())?;
        let tcp = TcpStream::connect((host, port))
            .await
            .map_err(|error| format!("port {port}: {error}"))?;
        let connected = self.connector.connect(tcp, name, deadline).await;
        let mut stream = connected.map_err(|failed| match failed.reason {
            Reason::UnknownIssuer => {
                "the server's certificate comes from an authority that is not trusted: see `root_ca`"
                    .to_owned()
            }
            _ => failed.to_string(),
        })?;
        let stream = &mut stream.stream;
        let sent = async {
            stream.write_all(&text(parts, body)).await?;
            stream.flush().await
        };
        sent.await.map_err(|error| error.to_string())?;
        read_response(stream, parts.method == Method::HEAD).await
    }

    /// Turns a response into a result. An error of the authority is a problem document (RFC 7807), which says more
    /// than its status; that of another server is not.
    fn judge(&self, response: Response<Bytes>) -> Result<BytesResponse, Error> {
        let (parts, body) = response.into_parts();
        if let Some(pause) = parts.headers.get(RETRY_AFTER).and_then(retry_after)
            && (parts.status == StatusCode::TOO_MANY_REQUESTS || parts.status.is_server_error())
        {
            *self.retry_after.lock() = pause;
        }
        let is_problem = parts
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/problem+json"));
        if !parts.status.is_success() && !is_problem {
            return Err(Error::Other(
                format!("the authority answered {}", parts.status).into(),
            ));
        }
        Ok(BytesResponse {
            parts,
            body: Box::new(body),
        })
    }
}

impl HttpClient for Authority {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let authority = self.clone();
        Box::pin(async move {
            let response = authority.exchange(request).await;
            authority.judge(response.map_err(|why| Error::Other(why.into()))?)
        })
    }
}

fn endpoint(uri: &Uri) -> Result<(&str, u16), String> {
    // The authority's directory names the URLs of further requests, and could name any.
    if uri.scheme() != Some(&Scheme::HTTPS) {
        return Err(format!("not an https URL: {uri}"));
    }
    let host = uri.host().unwrap_or_default();
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    Ok((host, uri.port_u16().unwrap_or(443)))
}

fn text(parts: &::http::request::Parts, body: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(512 + body.len());
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = parts.uri.authority().map_or("", |authority| authority.as_str());
    // Writing to a vector cannot fail.
    let _ = write!(
        text,
        "{} {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n",
        parts.method
    );
    if !body.is_empty() || parts.method == Method::POST {
        let _ = write!(text, "content-length: {}\r\n", body.len());
    }
    for (name, value) in &parts.headers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(body);
    text
}

async fn read_response(
    stream: &mut (impl AsyncRead + Unpin),
    to_head: bool,
) -> Result<Response<Bytes>, String> {
    let asked = RequestFacts {
        head: to_head,
        upgrade: false,
    };
    let mut bytes = Vec::new();
    let mut head = ResponseHead::new();
    loop {
        let end = read_head(stream, &mut bytes).await?;
        head.read(&bytes[..end], asked)
            .map_err(|broken| broken.to_string())?;
        bytes.drain(..end);
        if !head.is_interim() {
            break;
        }
    }
    let body = read_body(stream, bytes, head.framing).await?;
    let mut response = Response::new(body);
    *response.status_mut() = head.status();
    for field in head.fields.iter() {
        if let (Ok(name), Ok(value)) = (
            HeaderName::try_from(field.name),
            HeaderValue::try_from(field.value),
        ) {
            response.headers_mut().append(name, value);
        }
    }
    Ok(response)
}

/// Reads until the head at the beginning of `bytes` has ended, and returns where.
async fn read_head(stream: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> Result<usize, String> {
    let mut scan = HeadScan::default();
    loop {
        let found = scan
            .advance(bytes)
            .map_err(|_| "a line of the response ends without CR".to_owned())?;
        if let Some(end) = found {
            return Ok(end);
        }
        if !read_more(stream, bytes).await? {
            return Err("the connection ended before the response".to_owned());
        }
    }
}

/// Reads the body, of which `bytes` has the beginning.
async fn read_body(
    stream: &mut (impl AsyncRead + Unpin),
    mut bytes: Vec<u8>,
    framing: Framing,
) -> Result<Bytes, String> {
    let ended = || "the connection ended within the response".to_owned();
    match framing {
        Framing::None => Ok(Bytes::new()),
        Framing::Length(length) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            while bytes.len() < length {
                if !read_more(stream, &mut bytes).await? {
                    return Err(ended());
                }
            }
            bytes.truncate(length);
            Ok(bytes.into())
        }
        Framing::UntilClose => {
            while read_more(stream, &mut bytes).await? {}
            Ok(bytes.into())
        }
        Framing::Chunked => {
            let mut decoder = Decoder::new(Underscores::Drop);
            let mut body = Vec::new();
            loop {
                let decoded = decoder
                    .decode(&mut bytes)
                    .map_err(|_| "a chunk of the response is malformed".to_owned())?;
                body.extend_from_slice(&bytes[decoded.data]);
                if decoder.is_done() {
                    return Ok(body.into());
                }
                bytes.clear();
                if body.len() > MOST {
                    return Err(too_large());
                }
                if !read_more(stream, &mut bytes).await? {
                    return Err(ended());
                }
            }
        }
    }
}

/// Reads available bytes. Returns `false` at the end, which must be one that TLS vouches for.
async fn read_more(stream: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> Result<bool, String> {
    if bytes.len() > MOST {
        return Err(too_large());
    }
    match stream.read_buf(bytes).await {
        Ok(read) => Ok(read > 0),
        Err(error) => Err(error.to_string()),
    }
}

fn too_large() -> String {
    format!("the response is larger than {MOST} bytes")
}

/// The pause in seconds or until a date (RFC 9110 section 10.2.3); a day at the most.
fn retry_after(value: &HeaderValue) -> Option<Duration> {
    let value = value.to_str().ok()?.trim();
    let pause = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(value)
            .ok()?
            .duration_since(SystemTime::now())
            .ok()?,
    };
    Some(pause.min(Duration::from_secs(86_400)))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(text: &str, to_head: bool) -> Result<(u16, String), String> {
        let response = read_response(&mut text.as_bytes(), to_head).await?;
        Ok((
            response.status().as_u16(),
            String::from_utf8(response.body().to_vec()).unwrap(),
        ))
    }

    #[tokio::test]
    async fn response_is_read_in_every_framing() {
        for (text, status, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", 200, "ab"),
            (
                "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
                201,
                "abc",
            ),
            ("HTTP/1.0 200 OK\r\n\r\nabc", 200, "abc"),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        ] {
            assert_eq!(read(text, false).await.unwrap(), (status, body.to_owned()));
        }
        assert_eq!(
            read("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", true)
                .await
                .unwrap(),
            (200, String::new())
        );
    }

    #[tokio::test]
    async fn response_that_is_cut_short_or_endless_is_an_error() {
        for text in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            "SSH-2.0-OpenSSH\r\n\r\n",
        ] {
            assert!(read(text, false).await.is_err(), "{text}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "a".repeat(2 * MOST));
        assert_eq!(read(&endless, false).await.unwrap_err(), too_large());
    }

    #[test]
    fn pause_is_seconds_or_a_date_and_a_day_at_most() {
        let of = |value: &str| retry_after(&HeaderValue::from_str(value).unwrap());
        assert_eq!(of("120"), Some(Duration::from_secs(120)));
        assert_eq!(of("999999999"), Some(Duration::from_secs(86_400)));
        assert_eq!(
            of("Fri, 31 Dec 9999 23:59:59 GMT"),
            Some(Duration::from_secs(86_400))
        );
        assert_eq!(of("Thu, 01 Jan 1970 00:00:00 GMT"), None);
        assert_eq!(of("soon"), None);
    }

    #[test]
    fn only_https_is_asked() {
        assert_eq!(
            endpoint(&"https://[::1]:14000/dir".parse().unwrap()),
            Ok(("::1", 14_000))
        );
        assert_eq!(
            endpoint(&"https://acme.test/dir".parse().unwrap()),
            Ok(("acme.test", 443))
        );
        assert!(endpoint(&"http://acme.test/dir".parse().unwrap()).is_err());
    }
}
