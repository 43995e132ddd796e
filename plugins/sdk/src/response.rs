//! The head of the response on its way to the client.

use std::marker::PhantomData;

use crate::bindings::imports::pace::plugin::{response as host, response_body as body};
use crate::{EditError, Header};

/// The head of the response on its way to the client: a view that exists while
/// [`ResponseFilter`](crate::ResponseFilter) runs.
///
/// ```no_run
/// # use pace_plugin::{EditError, Response};
/// fn name_backend(response: &mut Response) -> Result<(), EditError> {
///     match response.backend() {
///         Some(address) => response.set_header("x-backend", address),
///         None => Ok(()),
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Response {
    /// The field keeps other crates from making a view or sending it elsewhere.
    _private: PhantomData<*const ()>,
}

impl Response {
    pub(crate) const fn ambient() -> Self {
        Self {
            _private: PhantomData,
        }
    }

    /// The status, 200 to 599. Interim (1xx) responses are not shown to plugins.
    ///
    /// ```no_run
    /// # fn example(response: &pace_plugin::Response) -> bool {
    /// response.status() >= 500
    /// # }
    /// ```
    pub fn status(&self) -> u16 {
        host::status()
    }

    /// Change the status.
    ///
    /// # Errors
    ///
    /// [`EditError::InvalidValue`] outside 200 to 599, and for a change to or from 204 and 304, which would
    /// need another body.
    ///
    /// ```no_run
    /// # fn example(response: &mut pace_plugin::Response) -> Result<(), pace_plugin::EditError> {
    /// response.set_status(404)
    /// # }
    /// ```
    pub fn set_status(&mut self, status: u16) -> Result<(), EditError> {
        Ok(host::set_status(status)?)
    }

    /// The address of the backend that answered, as the configuration spells it (`127.0.0.1:8000`). `None`
    /// if a plugin made this response.
    ///
    /// ```no_run
    /// # fn example(response: &pace_plugin::Response) -> bool {
    /// response.backend().is_none()
    /// # }
    /// ```
    pub fn backend(&self) -> Option<String> {
        host::backend()
    }

    /// The bytes of the body as the backend has announced them, encoded as they are sent. 0 for a response without a body, `None`
    /// if only its end will tell.
    ///
    /// ```no_run
    /// # fn example(response: &pace_plugin::Response) -> bool {
    /// response.declared_body_size().is_some_and(|size| size > 1_000_000)
    /// # }
    /// ```
    pub fn declared_body_size(&self) -> Option<u64> {
        body::declared_size()
    }

    /// Leave [`ResponseBodyFilter`](crate::ResponseBodyFilter) of this plugin out for this response. If all plugins that have the hook do
    /// so, the body is not collected, and streams as if none had it.
    ///
    /// From [`ResponseFilter`](crate::ResponseFilter) only; called from another hook it traps.
    ///
    /// ```no_run
    /// # fn example(response: &mut pace_plugin::Response) {
    /// if response.header("content-type").as_deref() == Some(b"text/event-stream") {
    ///     response.skip_body();
    /// }
    /// # }
    /// ```
    pub fn skip_body(&mut self) {
        body::skip();
    }

    /// The first value of a header, `None` if the response has none of that name.
    ///
    /// ```no_run
    /// # fn example(response: &pace_plugin::Response) -> bool {
    /// response.header("content-type").is_some_and(|value| value.starts_with(b"text/"))
    /// # }
    /// ```
    pub fn header(&self, name: &str) -> Option<Vec<u8>> {
        host::header(name)
    }

    /// Every value of a header, in order.
    ///
    /// ```no_run
    /// # fn example(response: &pace_plugin::Response) -> usize {
    /// response.header_values("set-cookie").len()
    /// # }
    /// ```
    pub fn header_values(&self, name: &str) -> Vec<Vec<u8>> {
        host::header_values(name)
    }

    /// All headers, names in lower case; those of one name keep their order.
    ///
    /// ```no_run
    /// # fn example(response: &pace_plugin::Response) -> bool {
    /// response.headers().iter().any(|header| header.name.starts_with("x-debug-"))
    /// # }
    /// ```
    pub fn headers(&self) -> Vec<Header> {
        host::headers()
    }

    /// Replace every value of a header by this one, or add it.
    ///
    /// # Errors
    ///
    /// See [`EditError`]; the response is then unchanged.
    ///
    /// ```no_run
    /// # fn example(response: &mut pace_plugin::Response) -> Result<(), pace_plugin::EditError> {
    /// response.set_header("cache-control", "no-store")
    /// # }
    /// ```
    pub fn set_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), EditError> {
        Ok(host::set_header(name, value.as_ref())?)
    }

    /// Add a value to those of a header.
    ///
    /// # Errors
    ///
    /// See [`EditError`]; the response is then unchanged.
    ///
    /// ```no_run
    /// # fn example(response: &mut pace_plugin::Response) -> Result<(), pace_plugin::EditError> {
    /// response.append_header("vary", "accept-language")
    /// # }
    /// ```
    pub fn append_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), EditError> {
        Ok(host::append_header(name, value.as_ref())?)
    }

    /// Remove every value of a header. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// See [`EditError`]; the response is then unchanged.
    ///
    /// ```no_run
    /// # fn example(response: &mut pace_plugin::Response) -> Result<bool, pace_plugin::EditError> {
    /// response.remove_header("server")
    /// # }
    /// ```
    pub fn remove_header(&mut self, name: &str) -> Result<bool, EditError> {
        Ok(host::remove_header(name)?)
    }
}
