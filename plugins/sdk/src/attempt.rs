//! One attempt to get an answer from a backend.

use std::marker::PhantomData;
use std::time::Duration;

use crate::bindings::imports::pace::plugin::attempt as host;
use crate::{Content, EditError, Failure};

/// One attempt to get an answer from a backend: a view that exists while [`AttemptFilter`](crate::AttemptFilter) runs.
///
/// Every attempt begins with the request as the request filters have left it, so that nothing has to be undone for the next one.
/// Edits are possible while it is prepared.
///
/// ```no_run
/// use pace_plugin::{Attempt, EditError};
///
/// fn to_the_second_provider(attempt: &mut Attempt) -> Result<(), EditError> {
///     attempt.use_pool("second")?;
///     attempt.set_authority("api.second.example")?;
///     attempt.set_path_and_query("/v1/chat/completions")?;
///     attempt.set_secret_header("authorization", "Bearer ", "second-key")
/// }
/// ```
#[derive(Debug)]
pub struct Attempt {
    number: u32,
    content: Content,
    /// The field keeps other crates from making a view or sending it elsewhere.
    _private: PhantomData<*const ()>,
}

impl Attempt {
    pub(crate) const fn ambient(number: u32) -> Self {
        Self {
            number,
            content: Content::ambient(),
            _private: PhantomData,
        }
    }

    /// The number of the attempt, 1 for the first.
    ///
    /// ```no_run
    /// # fn example(attempt: &pace_plugin::Attempt) -> bool {
    /// attempt.number() == 1
    /// # }
    /// ```
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// The name of the pool that the attempt goes to.
    ///
    /// ```no_run
    /// # fn example(attempt: &pace_plugin::Attempt) -> bool {
    /// attempt.pool() == "second"
    /// # }
    /// ```
    pub fn pool(&self) -> String {
        host::pool()
    }

    /// Send this attempt, and no other, to a pool of the route. The number of attempts is that of the request's pool, and going
    /// elsewhere takes nothing from a budget of retries.
    ///
    /// # Errors
    ///
    /// [`EditError::NotGranted`] unless the pool is the route's `pool` or one of its `pools`.
    ///
    /// ```no_run
    /// # fn example(attempt: &mut pace_plugin::Attempt) -> Result<(), pace_plugin::EditError> {
    /// attempt.use_pool("second")
    /// # }
    /// ```
    pub fn use_pool(&mut self, name: &str) -> Result<(), EditError> {
        Ok(host::use_pool(name)?)
    }

    /// Allow this attempt so much time until the head of its response. Only less than the pool allows makes a difference.
    ///
    /// # Errors
    ///
    /// [`EditError::InvalidValue`] for less than a millisecond and more than a day.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn example(attempt: &mut pace_plugin::Attempt) -> Result<(), pace_plugin::EditError> {
    /// attempt.limit_time(Duration::from_secs(20))
    /// # }
    /// ```
    pub fn limit_time(&mut self, limit: Duration) -> Result<(), EditError> {
        let milliseconds = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
        Ok(host::limit_time(milliseconds)?)
    }

    /// The first value of a header as this attempt sends it. `None` if it has none, and for one with a secret.
    ///
    /// ```no_run
    /// # fn example(attempt: &pace_plugin::Attempt) -> bool {
    /// attempt.header("accept").is_some()
    /// # }
    /// ```
    pub fn header(&self, name: &str) -> Option<Vec<u8>> {
        host::header(name)
    }

    /// Replace every value of a header by this one, or add it.
    ///
    /// # Errors
    ///
    /// See [`EditError`]; the attempt is then unchanged.
    ///
    /// ```no_run
    /// # fn example(attempt: &mut pace_plugin::Attempt) -> Result<(), pace_plugin::EditError> {
    /// attempt.set_header("x-attempt", attempt.number().to_string())
    /// # }
    /// ```
    pub fn set_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), EditError> {
        Ok(host::set_header(name, value.as_ref())?)
    }

    /// Add a value to those of a header.
    ///
    /// # Errors
    ///
    /// See [`EditError`]; the attempt is then unchanged.
    ///
    /// ```no_run
    /// # fn example(attempt: &mut pace_plugin::Attempt) -> Result<(), pace_plugin::EditError> {
    /// attempt.append_header("accept", "application/json")
    /// # }
    /// ```
    pub fn append_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), EditError> {
        Ok(host::append_header(name, value.as_ref())?)
    }

    /// Remove every value of a header. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// See [`EditError`]; the attempt is then unchanged.
    ///
    /// ```no_run
    /// # fn example(attempt: &mut pace_plugin::Attempt) -> Result<bool, pace_plugin::EditError> {
    /// attempt.remove_header("cookie")
    /// # }
    /// ```
    pub fn remove_header(&mut self, name: &str) -> Result<bool, EditError> {
        Ok(host::remove_header(name)?)
    }

    /// Replace every value of a header by `before`, followed by the secret that the operator has granted under this name. No plugin
    /// can read it back.
    ///
    /// # Errors
    ///
    /// [`EditError::NotGranted`] if the plugin has no such secret, [`EditError::InvalidValue`] if it cannot be part of a header.
    ///
    /// ```no_run
    /// # fn example(attempt: &mut pace_plugin::Attempt) -> Result<(), pace_plugin::EditError> {
    /// attempt.set_secret_header("authorization", "Bearer ", "provider-key")
    /// # }
    /// ```
    pub fn set_secret_header(
        &mut self,
        name: &str,
        before: impl AsRef<[u8]>,
        secret: &str,
    ) -> Result<(), EditError> {
        Ok(host::set_secret_header(name, before.as_ref(), secret)?)
    }

    /// Replace path and query. The backend gets them as they are: the route's `rewrite` has been applied before.
    ///
    /// # Errors
    ///
    /// [`EditError::InvalidValue`] unless it begins with `/` and has no space, `#` or character outside of ASCII,
    /// [`EditError::TooLarge`] above 64 KiB.
    ///
    /// ```no_run
    /// # fn example(attempt: &mut pace_plugin::Attempt) -> Result<(), pace_plugin::EditError> {
    /// attempt.set_path_and_query("/v1/messages")
    /// # }
    /// ```
    pub fn set_path_and_query(&mut self, value: &str) -> Result<(), EditError> {
        Ok(host::set_path_and_query(value)?)
    }

    /// Replace the host, with an optional port, that this attempt asks for. It does not change where the attempt goes.
    ///
    /// # Errors
    ///
    /// [`EditError::InvalidValue`] unless it is a host.
    ///
    /// ```no_run
    /// # fn example(attempt: &mut pace_plugin::Attempt) -> Result<(), pace_plugin::EditError> {
    /// attempt.set_authority("api.second.example")
    /// # }
    /// ```
    pub fn set_authority(&mut self, value: &str) -> Result<(), EditError> {
        Ok(host::set_authority(value)?)
    }

    /// The body that this attempt sends, for looking at it and changing it. `None` if it is on its way: a plugin of the route has to
    /// have it collected ([`RequestBodyFilter`](crate::RequestBodyFilter)). For a request without a body it is empty.
    ///
    /// ```no_run
    /// # fn example(attempt: &mut pace_plugin::Attempt) -> Result<bool, pace_plugin::SetJsonError> {
    /// match attempt.content() {
    ///     Some(body) => body.set_json("/model", &"small"),
    ///     None => Ok(false),
    /// }
    /// # }
    /// ```
    pub fn content(&mut self) -> Option<&mut Content> {
        host::has_content().then_some(&mut self.content)
    }

    /// The address of the backend that this attempt went to, as the configuration spells it. `None` while it is prepared.
    ///
    /// ```no_run
    /// # fn example(attempt: &pace_plugin::Attempt) -> String {
    /// format!("{:?} has failed", attempt.backend())
    /// # }
    /// ```
    pub fn backend(&self) -> Option<String> {
        host::backend()
    }

    /// The reason why this attempt failed, while it is judged; `None` if it has brought a response. While an attempt is prepared, the
    /// reason why the one before it failed; [`Failure::Status`] if a plugin or the pool did not want its response.
    ///
    /// ```no_run
    /// # use pace_plugin::Failure;
    /// # fn example(attempt: &pace_plugin::Attempt) -> bool {
    /// attempt.failure() == Some(Failure::ResponseTimeout)
    /// # }
    /// ```
    pub fn failure(&self) -> Option<Failure> {
        host::failure()
    }

    /// Whether another attempt can follow: attempts and time are left, and the body is still kept.
    ///
    /// ```no_run
    /// # fn example(attempt: &pace_plugin::Attempt) -> bool {
    /// attempt.can_retry() && attempt.number() < 3
    /// # }
    /// ```
    pub fn can_retry(&self) -> bool {
        host::can_retry()
    }

    /// The time since this attempt began; zero while it is prepared.
    ///
    /// ```no_run
    /// # fn example(attempt: &pace_plugin::Attempt) -> bool {
    /// attempt.elapsed().as_secs() > 5
    /// # }
    /// ```
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(host::elapsed())
    }
}
