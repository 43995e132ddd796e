//! Responses that a plugin makes.

use crate::Header;

/// A complete response, made by a plugin instead of by a backend.
///
/// Pace adds `content-length`, `date` and the connection's headers, and leaves the body out where HTTP has
/// none: for `HEAD`, 204, 205 and 304. It refuses the whole reply, and treats the hook as failed, when the
/// status is outside 200 to 599, when a header is one that [`header::check_name`](crate::header::check_name)
/// or [`header::check_value`](crate::header::check_value) would refuse, or when headers or body are larger
/// than the operator allows.
///
/// ```
/// use pace_plugin::Reply;
///
/// let reply = Reply::new(429)
///     .header("retry-after", "3")
///     .header("content-type", "text/plain")
///     .body("Too many requests.\n");
/// assert_eq!(reply.status(), 429);
/// assert_eq!(reply.headers()[0].value, b"3");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<Header>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// A response with this status, 200 to 599, without headers and with an empty body.
    ///
    /// ```
    /// # use pace_plugin::Reply;
    /// let no_content = Reply::new(204);
    /// assert!(no_content.headers().is_empty() && no_content.body_bytes().is_empty());
    /// ```
    pub const fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Add a header. Headers of the same name stay.
    ///
    /// ```
    /// # use pace_plugin::Reply;
    /// let reply = Reply::new(200).header("set-cookie", "a=1").header("set-cookie", "b=2");
    /// assert_eq!(reply.headers().len(), 2);
    /// ```
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push(Header {
            name: name.into(),
            value: value.into(),
        });
        self
    }

    /// Use these bytes as the body.
    ///
    /// ```
    /// # use pace_plugin::Reply;
    /// let reply = Reply::new(200).header("content-type", "application/json").body("{}");
    /// assert_eq!(reply.body_bytes(), b"{}");
    /// ```
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The reply's status.
    ///
    /// ```
    /// # use pace_plugin::Reply;
    /// assert_eq!(Reply::new(404).status(), 404);
    /// ```
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The added headers, in that order.
    ///
    /// ```
    /// # use pace_plugin::Reply;
    /// let reply = Reply::new(405).header("allow", "GET");
    /// assert_eq!(reply.headers()[0].name, "allow");
    /// ```
    pub fn headers(&self) -> &[Header] {
        &self.headers
    }

    /// The reply's body.
    ///
    /// ```
    /// # use pace_plugin::Reply;
    /// assert_eq!(Reply::new(200).body("hello").body_bytes(), b"hello");
    /// ```
    pub fn body_bytes(&self) -> &[u8] {
        &self.body
    }
}
