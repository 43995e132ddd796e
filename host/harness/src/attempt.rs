//! Attempts that plugins prepare and judge, made without a backend.

use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use pace_content::body::{Access, Content};

use super::body::change;
use super::message::{Request, Response};
use super::session::Session;
use pace_hook::field::FieldName;
use pace_hook::{
    Attempt, AttemptFailure, Body, EditError, Failure, Headers, Judgement, Plugin, RequestHead, ResponseHead,
    Verdict,
};

/// An attempt of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// What it sends.
    pub request: Request,
    /// The name of the pool that it goes to, one of the request's `pools`.
    pub pool: String,
    /// The longest time until the head of the response, if the plugin has set one.
    pub limit: Option<Duration>,
    /// The address of the backend that it went to.
    pub backend: Option<String>,
    /// The reason why it failed; while it is prepared, why the one before it did.
    pub failure: Option<AttemptFailure>,
    /// Whether another attempt can follow.
    pub can_retry: bool,
    /// The time since it began.
    pub elapsed: Duration,
    /// Whether the body passes a stream filter, so that it cannot be looked at.
    pub(super) body_passes: bool,
    /// Whether a plugin has the whole body collected, so that it can be looked at.
    pub(super) is_collected: bool,
    /// The names of the headers with secrets.
    secret: Vec<HeaderName>,
}

impl Trial {
    fn is_secret(&self, name: &str) -> bool {
        let mut secret = self.secret.iter();
        secret.any(|secret| secret.as_str().eq_ignore_ascii_case(name))
    }
}

impl Session {
    /// A first attempt of the present request, which another can follow. It goes to the request's pool; where nothing has decided
    /// among several, that is the first.
    pub fn trial(&self, request: &Request) -> Trial {
        let pool = self.pool(request).or_else(|| request.pools.first().cloned());
        Trial {
            request: request.clone(),
            pool: pool.unwrap_or_default(),
            limit: None,
            backend: None,
            failure: None,
            can_retry: true,
            elapsed: Duration::ZERO,
            body_passes: false,
            is_collected: self.wants_body(Body::Request),
            secret: Vec::new(),
        }
    }

    /// Runs `attempt-filter.prepare` for an attempt, 1 for the first, which it may change.
    ///
    /// # Errors
    ///
    /// The hook failed, or the plugin does not export it.
    pub fn prepare(&self, request: &Request, trial: &mut Trial, number: u32) -> Result<Verdict, Failure> {
        let mut content = self.content_of_attempt(trial);
        let verdict = self.reading(request, None, |request| {
            self.plugin().prepare(request, trial, content.as_mut(), number)
        })?;
        if let Some(content) = content.filter(Content::is_changed) {
            change(&mut trial.request.headers, content.size());
            trial.request.body = content.into_outgoing();
        }
        Ok(verdict)
    }

    /// The body as the plugin may look at it and change it in `prepare`: there is none, or a plugin has it collected. Any
    /// other is on its way, and so is one that cannot be shown.
    fn content_of_attempt(&self, trial: &Trial) -> Option<Content> {
        let request = &trial.request;
        let limit = self.limits().0;
        let shown = match request.body.is_empty() {
            _ if trial.body_passes => return None,
            true => Bytes::new(),
            false if trial.is_collected => self
                .content(&request.headers, &request.body, limit)
                .ok()?
                .into_shown(),
            false => return None,
        };
        let mut content = Content::unit(shown);
        content.allow(Access::Edit, limit);
        Some(content)
    }

    /// Runs `attempt-filter.judge` for an attempt, 1 for the first. `response` is what it has brought, and the backend that it is
    /// from; `None` if it has failed.
    ///
    /// # Errors
    ///
    /// The hook failed, or the plugin does not export it.
    pub fn judge(
        &self,
        request: &Request,
        trial: &Trial,
        response: Option<(&Response, Option<&str>)>,
        number: u32,
    ) -> Result<Judgement, Failure> {
        let size = response.map(|(head, _)| head.body.as_ref().map_or(0, Bytes::len) as u64);
        let response = response.map(|(head, backend)| (head as &dyn ResponseHead, backend));
        self.reading(request, size, |request| {
            self.plugin().judge(request, trial, response, number)
        })
    }
}

impl Headers for Trial {
    fn header(&self, name: &str) -> Option<&[u8]> {
        match self.is_secret(name) {
            true => None,
            false => self.request.header(name),
        }
    }

    fn header_values(&self, name: &str) -> Vec<&[u8]> {
        match self.is_secret(name) {
            true => Vec::new(),
            false => self.request.header_values(name),
        }
    }

    fn for_each_header(&self, each: &mut dyn FnMut(&str, &[u8])) {
        self.request.for_each_header(&mut |name, value| {
            if !self.is_secret(name) {
                each(name, value);
            }
        });
    }

    fn set_header(&mut self, name: &FieldName, value: HeaderValue) -> Result<(), EditError> {
        self.secret.retain(|secret| secret != name.name());
        self.request.set_header(name, value)
    }

    fn append_header(&mut self, name: &FieldName, value: HeaderValue) -> Result<(), EditError> {
        self.request.append_header(name, value)
    }

    fn remove_header(&mut self, name: &FieldName) -> Result<bool, EditError> {
        let removed = self.request.remove_header(name)?;
        self.secret.retain(|secret| secret != name.name());
        Ok(removed)
    }
}

impl Attempt for Trial {
    fn pool(&self) -> &str {
        &self.pool
    }

    fn use_pool(&mut self, name: &str) -> Result<(), EditError> {
        let mut pools = self.request.pools.iter();
        let found = pools.find(|pool| *pool == name).ok_or(EditError::NotGranted)?;
        self.pool.clone_from(found);
        Ok(())
    }

    fn limit_time(&mut self, limit: Duration) {
        self.limit = Some(limit);
    }

    fn set_secret_header(&mut self, name: &FieldName, value: HeaderValue) -> Result<(), EditError> {
        self.set_header(name, value)?;
        self.secret.push(name.name().clone());
        Ok(())
    }

    fn set_path_and_query(&mut self, value: &str) -> Result<(), EditError> {
        RequestHead::set_path_and_query(&mut self.request, value)
    }

    fn backend(&self) -> Option<&str> {
        self.backend.as_deref()
    }

    fn failure(&self) -> Option<AttemptFailure> {
        self.failure
    }

    fn can_retry(&self) -> bool {
        self.can_retry
    }

    fn elapsed(&self) -> Duration {
        self.elapsed
    }
}
