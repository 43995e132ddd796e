//! Attempts to get an answer from a backend, as `attempt-filter` sees them.

use std::time::Duration;

use http::header::{HOST, HeaderValue};

use crate::field::{self, FieldName};
use crate::{AttemptFailure, EditError, Headers, Reply};

/// An attempt that is prepared or judged. Its headers are those that it sends, but for those with a secret.
pub trait Attempt: Headers {
    /// The name of the pool that the attempt goes to.
    fn pool(&self) -> &str;
    /// Sends the attempt to another pool of the route.
    fn use_pool(&mut self, name: &str) -> Result<(), EditError>;
    /// Bounds the time until the head of the response.
    fn limit_time(&mut self, limit: Duration);
    /// Replaces every value of the name by `value`, which the name accepts and which no plugin may read.
    fn set_secret_header(&mut self, name: &FieldName, value: HeaderValue) -> Result<(), EditError>;
    /// Replaces path and query.
    fn set_path_and_query(&mut self, value: &str) -> Result<(), EditError>;
    /// Replaces the host, with an optional port.
    fn set_authority(&mut self, value: &str) -> Result<(), EditError> {
        let host = FieldName::parse(HOST.as_str())?;
        let value = field::value(value.as_bytes())?;
        match host.accepts(&value) {
            true => self.set_header(&host, value),
            false => Err(EditError::InvalidValue),
        }
    }
    /// The address of the backend that the attempt went to, as configured.
    fn backend(&self) -> Option<&str>;
    /// The reason why the attempt failed; while it is prepared, why the one before it did.
    fn failure(&self) -> Option<AttemptFailure>;
    /// Whether another attempt can follow.
    fn can_retry(&self) -> bool;
    /// The time since the attempt began.
    fn elapsed(&self) -> Duration;
}

/// The attempt that a hook runs for, with the access that the hook has.
pub enum AttemptAccess<'a> {
    /// The attempt can be edited: nothing of it has been sent.
    Edit(&'a mut dyn Attempt),
    /// The attempt has been made and can only be read.
    Read(&'a dyn Attempt),
}

/// The decision of `attempt-filter.judge`.
#[derive(Debug, PartialEq)]
pub enum Judgement {
    /// The configuration decides.
    Accept,
    /// Another attempt is made, if one can be.
    Retry,
    /// The request is answered with this.
    Respond(Reply),
}
