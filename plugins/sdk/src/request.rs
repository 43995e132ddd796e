//! The request that is being served.

use std::marker::PhantomData;
use std::net::IpAddr;

use crate::bindings::imports::pace::plugin::{request as host, request_body as body, response_body};
use crate::{ClientCertificate, EditError, Header, cookie, credentials};

/// The request that is being served: a view that exists while a hook runs.
///
/// Nothing is copied before you ask for it. A scalar answer costs about 50 ns, a string or a list about 100
/// ns more for the copy into the plugin's memory, so ask for one header rather than for all.
///
/// The view shows the request that the backend will be sent, as far as earlier plugins have shaped it. Only
/// [`RequestFilter`](crate::RequestFilter) can edit: the other hooks get the view read-only.
///
/// ```no_run
/// # use pace_plugin::Request;
/// fn is_upload(request: &Request) -> bool {
///     request.method() == "PUT" && request.path().starts_with("/files/")
/// }
/// ```
#[derive(Debug)]
pub struct Request {
    /// The field keeps other crates from making a view or sending it elsewhere.
    _private: PhantomData<*const ()>,
}

impl Request {
    pub(crate) const fn ambient() -> Self {
        Self {
            _private: PhantomData,
        }
    }

    /// The method, in the case in which it was sent.
    ///
    /// ```no_run
    /// # fn example(request: &pace_plugin::Request) -> bool {
    /// request.method() == "GET"
    /// # }
    /// ```
    pub fn method(&self) -> String {
        host::method()
    }

    /// The scheme by which the client reached Pace: `http` or `https`.
    ///
    /// ```no_run
    /// # fn example(request: &pace_plugin::Request) -> bool {
    /// request.scheme() == "https"
    /// # }
    /// ```
    pub fn scheme(&self) -> String {
        host::scheme()
    }

    /// The version of HTTP that the client speaks: `1.0`, `1.1` or `2`.
    ///
    /// ```no_run
    /// # fn example(request: &pace_plugin::Request) -> bool {
    /// request.version() == "2"
    /// # }
    /// ```
    pub fn version(&self) -> String {
        host::version()
    }

    /// The host and optional port that the client asked for, as sent. `None` for an HTTP/1.0 request without
    /// `Host`.
    ///
    /// ```no_run
    /// # fn example(request: &pace_plugin::Request) -> bool {
    /// request.authority().as_deref() == Some("api.example.com")
    /// # }
    /// ```
    pub fn authority(&self) -> Option<String> {
        host::authority()
    }

    /// The path in its one spelling, as routes see it: unreserved characters decoded, dot segments resolved, repeated
    /// slashes merged. It starts with `/`, or is `*`, and has no query.
    ///
    /// ```no_run
    /// # fn example(request: &pace_plugin::Request) -> bool {
    /// request.path().starts_with("/admin/")
    /// # }
    /// ```
    pub fn path(&self) -> String {
        host::path()
    }

    /// The path by which the route was chosen: [`path`](Request::path) before any plugin changed it. Rules about who may
    /// go where go by it, since no edit leads past.
    ///
    /// ```no_run
    /// # fn example(request: &pace_plugin::Request) -> bool {
    /// request.routed_path().starts_with("/admin/")
    /// # }
    /// ```
    pub fn routed_path(&self) -> String {
        host::routed_path()
    }

    /// The part of the target after the first `?`, not decoded. `None` without a `?`.
    ///
    /// ```no_run
    /// # fn example(request: &pace_plugin::Request) -> bool {
    /// request.query().is_some_and(|query| query.split('&').any(|pair| pair == "debug=1"))
    /// # }
    /// ```
    pub fn query(&self) -> Option<String> {
        host::query()
    }

    /// The target exactly as the client has sent it, with its query, for signatures over it and for logs. It has many
    /// spellings of one path, so rules go by [`routed_path`](Request::routed_path).
    ///
    /// ```no_run
    /// # fn example(request: &pace_plugin::Request) -> bool {
    /// request.original_target().len() < 1000
    /// # }
    /// ```
    pub fn original_target(&self) -> String {
        host::original_target()
    }

    /// The client's IP address: the peer of the connection, or the address that a proxy trusted by the
    /// operator names. No header that a client makes up changes it.
    ///
    /// ```no_run
    /// # fn example(request: &pace_plugin::Request) -> bool {
    /// request.client_address().is_loopback()
    /// # }
    /// ```
    pub fn client_address(&self) -> IpAddr {
        host::client_address()
            .parse()
            .expect("Pace gives a client's address in its textual form")
    }

    /// The IP address of the peer: the other end of the connection, or the one that its PROXY header names. It is the
    /// client's, unless the peer is a proxy that the operator trusts.
    ///
    /// ```no_run
    /// # fn example(request: &pace_plugin::Request) -> bool {
    /// request.peer_address() != request.client_address()
    /// # }
    /// ```
    pub fn peer_address(&self) -> IpAddr {
        host::peer_address()
            .parse()
            .expect("Pace gives a peer's address in its textual form")
    }

    /// Whether the peer is one of the operator's `trusted_proxies`, so that its word about client and scheme was taken.
    ///
    /// ```no_run
    /// # fn example(request: &pace_plugin::Request) -> bool {
    /// request.peer_is_trusted()
    /// # }
    /// ```
    pub fn peer_is_trusted(&self) -> bool {
        host::peer_is_trusted()
    }

    /// The name of the route, as logs and metrics have it.
    ///
    /// ```no_run
    /// # fn example(request: &pace_plugin::Request) -> bool {
    /// request.route() == "api"
    /// # }
    /// ```
    pub fn route(&self) -> String {
        host::route()
    }

    /// The name of the pool that the request goes to: the one that [`use_pool`](Request::use_pool) has named, or else the
    /// route's. `None` for a route without a pool, and before a route with several has chosen one.
    ///
    /// ```no_run
    /// # fn example(request: &pace_plugin::Request) -> bool {
    /// request.pool().as_deref() == Some("large")
    /// # }
    /// ```
    pub fn pool(&self) -> Option<String> {
        host::pool()
    }

    /// The certificate that was verified when the client's connection was made, `None` if the client has shown
    /// none. Behind another proxy it is that proxy's. No header that a client makes up changes it.
    ///
    /// ```no_run
    /// # fn example(request: &pace_plugin::Request) -> bool {
    /// let certificate = request.client_certificate();
    /// certificate.is_some_and(|certificate| certificate.dns_names.iter().any(|name| name == "ann.example"))
    /// # }
    /// ```
    pub fn client_certificate(&self) -> Option<ClientCertificate> {
        host::client_certificate().map(Into::into)
    }

    /// The same certificate in DER, for what [`ClientCertificate`] has no field for.
    ///
    /// ```no_run
    /// # fn example(request: &pace_plugin::Request) -> bool {
    /// request.client_certificate_der().is_some_and(|der| der.len() < 2000)
    /// # }
    /// ```
    pub fn client_certificate_der(&self) -> Option<Vec<u8>> {
        host::client_certificate_der()
    }

    /// The first value of a header, `None` if the request has none of that name.
    ///
    /// ```no_run
    /// # fn example(request: &pace_plugin::Request) -> bool {
    /// request.header("accept").is_some_and(|value| value.starts_with(b"text/html"))
    /// # }
    /// ```
    pub fn header(&self, name: &str) -> Option<Vec<u8>> {
        host::header(name)
    }

    /// Every value of a header, in the order in which they were sent.
    ///
    /// ```no_run
    /// # fn example(request: &pace_plugin::Request) -> bool {
    /// request.header_values("cookie").len() > 1
    /// # }
    /// ```
    pub fn header_values(&self, name: &str) -> Vec<Vec<u8>> {
        host::header_values(name)
    }

    /// The value of the first cookie of this name (RFC 6265, section 5.4), `None` if the request has none.
    ///
    /// ```no_run
    /// # fn example(request: &pace_plugin::Request) -> bool {
    /// request.cookie("group").is_some_and(|group| group == b"b")
    /// # }
    /// ```
    pub fn cookie(&self, name: &str) -> Option<Vec<u8>> {
        cookie::find(&host::header_values("cookie"), name)
    }

    /// The credentials that follow the scheme, such as `Bearer` or `Basic`, in the header `authorization`
    /// (RFC 9110, section 11.6.2). The scheme is compared without regard to case.
    ///
    /// `None` if the request has no such header, or one of another scheme, or more than one: a backend could
    /// read another one than the plugin.
    ///
    /// ```no_run
    /// # fn example(request: &pace_plugin::Request) -> bool {
    /// request.credentials("Bearer").is_some_and(|token| token == b"secret")
    /// # }
    /// ```
    pub fn credentials(&self, scheme: &str) -> Option<Vec<u8>> {
        credentials::of_scheme(&host::header_values("authorization"), scheme)
    }

    /// All headers, names in lower case; those of one name keep their order.
    ///
    /// ```no_run
    /// # fn example(request: &pace_plugin::Request) -> usize {
    /// request.headers().iter().map(|header| header.name.len() + header.value.len()).sum()
    /// # }
    /// ```
    pub fn headers(&self) -> Vec<Header> {
        host::headers()
    }

    /// Replace every value of a header by this one, or add it.
    ///
    /// # Errors
    ///
    /// See [`EditError`]; the request is then unchanged.
    ///
    /// ```no_run
    /// # fn example(request: &mut pace_plugin::Request) -> Result<(), pace_plugin::EditError> {
    /// request.set_header("x-env", "prod")
    /// # }
    /// ```
    pub fn set_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), EditError> {
        Ok(host::set_header(name, value.as_ref())?)
    }

    /// Add a value to those of a header.
    ///
    /// # Errors
    ///
    /// See [`EditError`]; the request is then unchanged.
    ///
    /// ```no_run
    /// # fn example(request: &mut pace_plugin::Request) -> Result<(), pace_plugin::EditError> {
    /// request.append_header("via", "1.1 edge")
    /// # }
    /// ```
    pub fn append_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), EditError> {
        Ok(host::append_header(name, value.as_ref())?)
    }

    /// Remove every value of a header. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// See [`EditError`]; the request is then unchanged.
    ///
    /// ```no_run
    /// # fn example(request: &mut pace_plugin::Request) -> Result<bool, pace_plugin::EditError> {
    /// request.remove_header("x-internal-user")
    /// # }
    /// ```
    pub fn remove_header(&mut self, name: &str) -> Result<bool, EditError> {
        Ok(host::remove_header(name)?)
    }

    /// Replace the path and query that the backend will see. The value starts with `/`. The route stays the
    /// one that was chosen for the original path.
    ///
    /// # Errors
    ///
    /// [`EditError::InvalidValue`] if it is no request target, otherwise see [`EditError`].
    ///
    /// ```no_run
    /// # fn example(request: &mut pace_plugin::Request) -> Result<(), pace_plugin::EditError> {
    /// request.set_path_and_query("/v2/users?all=1")
    /// # }
    /// ```
    pub fn set_path_and_query(&mut self, value: &str) -> Result<(), EditError> {
        Ok(host::set_path_and_query(value)?)
    }

    /// The bytes of the body as the client has announced them, encoded as they are sent. 0 for a request without a body, `None`
    /// if only its end will tell.
    ///
    /// ```no_run
    /// # fn example(request: &pace_plugin::Request) -> bool {
    /// request.declared_body_size().is_some_and(|size| size > 1_000_000)
    /// # }
    /// ```
    pub fn declared_body_size(&self) -> Option<u64> {
        body::declared_size()
    }

    /// Leave [`RequestBodyFilter`](crate::RequestBodyFilter) of this plugin out for this request. If all plugins that have the hook do
    /// so, the body is not collected, and streams as if none had it.
    ///
    /// From [`RequestFilter`](crate::RequestFilter) only; called from another hook it traps.
    ///
    /// ```no_run
    /// # fn example(request: &mut pace_plugin::Request) {
    /// if request.method() != "POST" {
    ///     request.skip_body();
    /// }
    /// # }
    /// ```
    pub fn skip_body(&mut self) {
        body::skip();
    }

    /// Leave [`ResponseBodyFilter`](crate::ResponseBodyFilter) of this plugin out for this request, if that is known before there is a
    /// response. Otherwise [`Response::skip_body`](crate::Response::skip_body) says it.
    ///
    /// From [`RequestFilter`](crate::RequestFilter) only; called from another hook it traps.
    ///
    /// ```no_run
    /// # fn example(request: &mut pace_plugin::Request) {
    /// if request.path().ends_with(".mp4") {
    ///     request.skip_response_body();
    /// }
    /// # }
    /// ```
    pub fn skip_response_body(&mut self) {
        response_body::skip();
    }

    /// Send the request to this pool, whatever the choice of the route would be. The last word holds.
    ///
    /// # Errors
    ///
    /// [`EditError::NotGranted`] unless the pool is the route's `pool` or one of its `pools`.
    ///
    /// ```no_run
    /// # fn example(request: &mut pace_plugin::Request) -> Result<(), pace_plugin::EditError> {
    /// request.use_pool("large")
    /// # }
    /// ```
    pub fn use_pool(&mut self, name: &str) -> Result<(), EditError> {
        Ok(host::use_pool(name)?)
    }
}
