//! Requests and responses as plugins see them, made without a client or backend.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::stream::Arrival;
use pace_hook::field::{self, FieldName};
use pace_hook::{ClientCertificate, EditError, Headers, Reply, RequestHead, ResponseHead};

/// The head of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The method: `GET`, `POST`, ...
    pub method: Method,
    /// The path as sent, without query; starts with `/`.
    pub path: String,
    /// The text after the first `?`.
    pub query: Option<String>,
    /// The headers in the order in which they were added.
    pub headers: HeaderMap,
    /// The body as it is sent.
    pub body: Bytes,
    /// The way in which it arrives.
    pub arrival: Arrival,
    /// The client's address.
    pub client: IpAddr,
    /// Whether the request came over TLS.
    pub https: bool,
    /// The certificate that the client has shown, which takes `https`.
    pub certificate: Option<ClientCertificate>,
    /// The version of HTTP that the client speaks: `1.0`, `1.1` or `2`.
    pub version: &'static str,
    /// The address of the proxy that the request comes through, whose word about the client holds; `None` if the client itself is
    /// the peer.
    pub trusted_peer: Option<IpAddr>,
    /// The name of the route.
    pub route: String,
    /// The names of the route's pools; the requests go to the first one, unless a plugin names another.
    pub pools: Vec<String>,
    sent_target: String,
    routed_path: String,
    pub(super) copied: Copied,
}

/// The head of a response, and its body if a plugin made it.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The status, 200 to 599.
    pub status: StatusCode,
    /// The headers in the order in which they were added.
    pub headers: HeaderMap,
    /// The body as it is sent; `None` for none.
    pub body: Option<Bytes>,
    /// The way in which it arrives.
    pub arrival: Arrival,
    pub(super) copied: Copied,
}

/// Counts the texts that a plugin was given of a message or set in it, and their bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Copied {
    copies: Cell<u64>,
    bytes: Cell<u64>,
}

impl Copied {
    /// Counts one more text or other bytes.
    pub(super) fn add(&self, copy: impl AsRef<[u8]>) {
        self.copies.set(self.copies.get() + 1);
        self.bytes.set(self.bytes.get() + copy.as_ref().len() as u64);
    }

    pub(super) fn copies(&self) -> u64 {
        self.copies.get()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.get()
    }
}

/// The counts are no part of a message, so they do not affect its equality.
impl PartialEq for Copied {
    fn eq(&self, _: &Copied) -> bool {
        true
    }
}

impl Eq for Copied {}

/// The client of requests by default, an address for documentation (RFC 5737).
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

impl Request {
    /// A request of the client 192.0.2.1 for `target`, a path with or without a query, at `example.com`.
    pub fn new(method: Method, target: &str) -> Request {
        let (path, query) = split(target);
        let routed_path = path.clone();
        let mut headers = HeaderMap::new();
        headers.insert(http::header::HOST, HeaderValue::from_static("example.com"));
        Request {
            method,
            path,
            query,
            headers,
            body: Bytes::new(),
            arrival: Arrival::default(),
            client: CLIENT,
            https: false,
            certificate: None,
            version: "1.1",
            trusted_peer: None,
            route: "route".to_owned(),
            pools: vec!["pool".to_owned()],
            sent_target: target.to_owned(),
            routed_path,
            copied: Copied::default(),
        }
    }

    /// A GET, see [`Request::new`].
    pub fn get(target: &str) -> Request {
        Request::new(Method::GET, target)
    }

    /// Has the client ask for another path, with or without a query.
    pub fn set_target(&mut self, target: &str) {
        (self.path, self.query) = split(target);
        self.routed_path.clone_from(&self.path);
        target.clone_into(&mut self.sent_target);
    }

    /// The same request with one more value of a header.
    ///
    /// # Panics
    ///
    /// If no header can have this name and this value.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Request {
        append(&mut self.headers, name, value.as_ref());
        self
    }

    /// The same request from this IP address, `192.0.2.7` or `2001:db8::7`.
    ///
    /// # Panics
    ///
    /// If the text is no IP address.
    #[must_use]
    pub fn from_client(mut self, address: &str) -> Request {
        self.client = address
            .parse()
            .unwrap_or_else(|_| panic!("{address:?} is not an IP address"));
        self
    }

    /// The same request over TLS.
    #[must_use]
    pub fn over_tls(mut self) -> Request {
        self.https = true;
        self
    }

    /// The same request over TLS, from a client that has shown this certificate.
    #[must_use]
    pub fn with_certificate(mut self, certificate: ClientCertificate) -> Request {
        self.certificate = Some(certificate);
        self.over_tls()
    }

    /// Path and query as they are sent.
    pub fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }
}

impl Response {
    /// A backend's response without headers.
    pub fn new(status: StatusCode) -> Response {
        Response {
            status,
            headers: HeaderMap::new(),
            body: None,
            arrival: Arrival::default(),
            copied: Copied::default(),
        }
    }

    /// The same response with one more value of a header.
    ///
    /// # Panics
    ///
    /// If no header can have this name and this value.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Response {
        append(&mut self.headers, name, value.as_ref());
        self
    }
}

fn append(headers: &mut HeaderMap, name: &str, value: &[u8]) {
    let field = (
        HeaderName::from_bytes(name.as_bytes()),
        HeaderValue::from_bytes(value),
    );
    let (Ok(name), Ok(value)) = field else {
        panic!(
            "no message has the header {name:?}: {:?}",
            value.escape_ascii().to_string()
        );
    };
    headers.append(name, value);
}

impl From<Reply> for Response {
    /// The response that Pace makes of a plugin's reply: framed by its length.
    fn from(reply: Reply) -> Response {
        let has_body = !matches!(reply.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let body = if has_body { reply.body } else { Bytes::new() };
        let mut response = Response::new(reply.status);
        for (name, value) in reply.headers {
            let name = HeaderName::from_bytes(&name).expect("a reply has been checked");
            response.headers.append(name, value);
        }
        if has_body {
            response
                .headers
                .insert(http::header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        response.body = Some(body);
        response
    }
}

fn split(target: &str) -> (String, Option<String>) {
    match target.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (target.to_owned(), None),
    }
}

/// Implements [`Headers`]; both kinds of message have the same headers.
macro_rules! impl_headers {
    ($message:ty) => {
        impl Headers for $message {
            fn header(&self, name: &str) -> Option<&[u8]> {
                let value = self.headers.get(name).map(HeaderValue::as_bytes);
                self.copied.add(name);
                value.inspect(|value| self.copied.add(value))
            }

            fn header_values(&self, name: &str) -> Vec<&[u8]> {
                let values = self.headers.get_all(name);
                let values = values.iter().map(HeaderValue::as_bytes);
                self.copied.add(name);
                values.inspect(|value| self.copied.add(value)).collect()
            }

            fn for_each_header(&self, each: &mut dyn FnMut(&str, &[u8])) {
                for (name, value) in &self.headers {
                    self.copied.add(name);
                    self.copied.add(value);
                    each(name.as_str(), value.as_bytes());
                }
            }

            fn set_header(&mut self, name: &FieldName, value: HeaderValue) -> Result<(), EditError> {
                self.copied.add(name.spelled());
                self.copied.add(&value);
                self.headers
                    .try_insert(name.name(), value)
                    .map(drop)
                    .map_err(|_| EditError::TooLarge)
            }

            fn append_header(&mut self, name: &FieldName, value: HeaderValue) -> Result<(), EditError> {
                self.copied.add(name.spelled());
                self.copied.add(&value);
                if !name.is_appendable(|| self.headers.contains_key(name.name())) {
                    return Err(EditError::InvalidValue);
                }
                self.headers
                    .try_append(name.name(), value)
                    .map(drop)
                    .map_err(|_| EditError::TooLarge)
            }

            fn remove_header(&mut self, name: &FieldName) -> Result<bool, EditError> {
                self.copied.add(name.spelled());
                if !name.is_removable() {
                    return Err(EditError::Forbidden);
                }
                Ok(self.headers.remove(name.name()).is_some())
            }
        }
    };
}

impl_headers!(Request);
impl_headers!(Response);

impl RequestHead for Request {
    fn method(&self) -> &str {
        self.copied.add(self.method.as_str());
        self.method.as_str()
    }

    fn authority(&self) -> Option<&str> {
        let host = self.headers.get(http::header::HOST)?.to_str().ok()?;
        self.copied.add(host);
        Some(host)
    }

    fn path(&self) -> &str {
        self.copied.add(&self.path);
        &self.path
    }

    fn query(&self) -> Option<&str> {
        let query = self.query.as_deref();
        query.inspect(|query| self.copied.add(query))
    }

    fn version(&self) -> &'static str {
        self.copied.add(self.version);
        self.version
    }

    fn routed_path(&self) -> &str {
        self.copied.add(&self.routed_path);
        &self.routed_path
    }

    fn original_target(&self) -> &str {
        self.copied.add(&self.sent_target);
        &self.sent_target
    }

    fn set_path_and_query(&mut self, value: &str) -> Result<(), EditError> {
        self.copied.add(value);
        field::check_target(value)?;
        (self.path, self.query) = split(value);
        Ok(())
    }
}

impl ResponseHead for Response {
    fn status(&self) -> u16 {
        self.status.as_u16()
    }

    fn set_status(&mut self, status: u16) -> Result<(), EditError> {
        self.status = field::changed_status(self.status, status)?;
        Ok(())
    }
}
