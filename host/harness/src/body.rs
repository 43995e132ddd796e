//! Runs the hooks for whole bodies.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, ETAG, HeaderMap, HeaderValue};
use pace_content::body::{Access, Content};
use pace_content::budget::Budget;
use pace_content::collect::Collector;
use pace_content::decode::Codings;
use pace_content::headers;

use super::message::{Request, Response};
use super::session::Session;
use pace_hook::{Body, Failure, Hook, Plugin, Verdict};

impl Session {
    /// Whether the plugin has skipped a body of the present request.
    pub fn has_skipped(&self, body: Body) -> bool {
        self.state().has_skipped(body, self.place)
    }

    /// Whether the plugin has a filter for the whole of a body, and has not skipped it in the present request.
    pub(super) fn wants_body(&self, body: Body) -> bool {
        let hook = match body {
            Body::Request => Hook::RequestBodyFilter,
            Body::Response => Hook::ResponseBodyFilter,
        };
        self.hooks().contains(hook) && !self.has_skipped(body)
    }

    /// Runs `request-body-filter` with the body of the request, which may change head and body.
    ///
    /// # Errors
    ///
    /// The hook failed, also because the body cannot be shown, or the plugin does not export it.
    pub fn request_body(&self, request: &mut Request) -> Result<Verdict, Failure> {
        let mut content = self.content(&request.headers, &request.body, self.limits().0)?;
        let verdict = self.show_request(request, &mut content)?;
        put_request(request, content);
        Ok(verdict)
    }

    /// Runs `request-body-filter` with what the filters before it have made of the body.
    pub(super) fn show_request(
        &self,
        request: &mut Request,
        content: &mut Content,
    ) -> Result<Verdict, Failure> {
        self.editing(request, |scope| self.plugin().request_body(scope, content))
    }

    /// Runs `response-body-filter` with the body of the response, which may change head and body. `backend` is the one that
    /// answered; `None` for a response that a plugin made.
    ///
    /// # Errors
    ///
    /// The hook failed, also because the body cannot be shown, or the plugin does not export it.
    pub fn response_body(
        &self,
        request: &Request,
        response: &mut Response,
        backend: Option<&str>,
    ) -> Result<Verdict, Failure> {
        let body = response.body.clone().unwrap_or_default();
        let mut content = self.content(&response.headers, &body, self.limits().0)?;
        if !has_body(request, response) {
            content.allow(Access::Nothing, self.limits().0);
        }
        let verdict = self.show_response(request, response, backend, &mut content)?;
        put_response(response, content);
        Ok(verdict)
    }

    /// Runs `response-body-filter` with what the filters before it have made of the body.
    pub(super) fn show_response(
        &self,
        request: &Request,
        response: &mut Response,
        backend: Option<&str>,
        content: &mut Content,
    ) -> Result<Verdict, Failure> {
        let size = response.body.as_ref().map_or(0, Bytes::len) as u64;
        self.reading(request, Some(size), |request| {
            self.plugin().response_body(request, response, backend, content)
        })
    }

    /// The body as plugins are shown it, if it has at most so many bytes.
    pub(super) fn content(&self, headers: &HeaderMap, body: &Bytes, limit: u32) -> Result<Content, Failure> {
        let codings = headers.get_all(http::header::CONTENT_ENCODING).iter();
        let codings =
            Codings::parse(codings.map(HeaderValue::as_bytes)).map_err(|_| Failure::unknown_coding())?;
        let told = |error| Failure::uncollected(&error, limit as usize);
        let budget = Budget::new(usize::MAX);
        let mut collector =
            Collector::new(&codings, limit, Some(body.len() as u64), &budget).map_err(told)?;
        collector.push(body).map_err(told)?;
        let mut content = collector.finish().map_err(|(error, _)| told(error))?;
        content.allow(Access::Edit, limit);
        Ok(content)
    }
}

/// Puts what the filters have made of the body of a request in its place.
pub(super) fn put_request(request: &mut Request, content: Content) {
    if content.is_changed() {
        change(&mut request.headers, content.size());
        request.body = content.into_outgoing();
    }
}

/// Puts what the filters have made of the body of a response in its place.
pub(super) fn put_response(response: &mut Response, content: Content) {
    if content.is_changed() {
        change(&mut response.headers, content.size());
        response.body = Some(content.into_outgoing());
    }
}

/// Whether the response to a request can have a body (RFC 9110, section 6.4.1).
pub(super) fn has_body(request: &Request, response: &Response) -> bool {
    !matches!(response.status.as_u16(), 204 | 205 | 304) && request.method != http::Method::HEAD
}

/// Corrects the headers that speak of a body which the plugin has changed.
pub(super) fn change(of: &mut HeaderMap, size: u32) {
    lose(of);
    of.insert(CONTENT_LENGTH, size.into());
}

/// Removes what does not hold of a changed body, except its length.
pub(super) fn lose(of: &mut HeaderMap) {
    for name in headers::LOST {
        of.remove(name);
    }
    if let Some(etag) = of.get(ETAG) {
        let weak = HeaderValue::from_bytes(&headers::weak_etag(etag.as_bytes()));
        of.insert(ETAG, weak.expect("it was a value before"));
    }
}
