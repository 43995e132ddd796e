//! `builtin:header-injection` without the sandbox.

use header_injection::config::Config;
use header_injection::policy::{self, Edits};
use http::HeaderValue;
use pace_hook::field::{self, FieldName};
use pace_hook::{
    EditError, Failure, FailureReason, Headers, Hook, Hooks, Plugin, RequestAccess, RequestScope,
    ResponseHead, Verdict,
};

use crate::refused;

pub(crate) struct HeaderInjection {
    name: String,
    identify: bool,
    request: Edits,
    response: Edits,
    /// Header names, parsed once, as native code would do.
    proxy: FieldName,
    backend: FieldName,
}

const PACE: HeaderValue = HeaderValue::from_static("pace");

impl HeaderInjection {
    pub(crate) fn new(name: &str, config: Config) -> Result<HeaderInjection, Failure> {
        let parse = |name| FieldName::parse(name).map_err(|error| refused(field::explain(error)));
        Ok(HeaderInjection {
            name: name.to_owned(),
            identify: config.identify,
            request: config.request.0,
            response: config.response.0,
            proxy: parse("X-Proxy")?,
            backend: parse("X-Backend")?,
        })
    }
}

fn report(edit: Result<(), EditError>) {
    if let Err(error) = edit {
        log::warn!("a header was left out: {}", field::explain(error));
    }
}

/// A message, as the policy edits it.
struct Message<'a, H: Headers + ?Sized>(&'a mut H);

impl<H: Headers + ?Sized> policy::Headers for Message<'_, H> {
    fn set(&mut self, name: &str, value: &str) -> Result<(), pace_plugin::EditError> {
        let edit =
            |message: &mut H| message.set_header(&FieldName::parse(name)?, field::value(value.as_bytes())?);
        edit(self.0).map_err(told)
    }

    fn add(&mut self, name: &str, value: &str) -> Result<(), pace_plugin::EditError> {
        let edit = |message: &mut H| {
            message.append_header(&FieldName::parse(name)?, field::value(value.as_bytes())?)
        };
        edit(self.0).map_err(told)
    }

    fn remove(&mut self, name: &str) -> Result<(), pace_plugin::EditError> {
        let edit = |message: &mut H| message.remove_header(&FieldName::parse(name)?).map(drop);
        edit(self.0).map_err(told)
    }
}

fn told(error: EditError) -> pace_plugin::EditError {
    match error {
        EditError::InvalidName => pace_plugin::EditError::InvalidName,
        EditError::InvalidValue => pace_plugin::EditError::InvalidValue,
        EditError::Forbidden => pace_plugin::EditError::Forbidden,
        EditError::TooLarge => pace_plugin::EditError::TooLarge,
        EditError::ReadOnly => pace_plugin::EditError::ReadOnly,
        EditError::NotAvailable => pace_plugin::EditError::NotAvailable,
        EditError::NotGranted => pace_plugin::EditError::NotGranted,
        EditError::Conflict => pace_plugin::EditError::Conflict,
    }
}

fn report_policy(edit: Result<(), pace_plugin::EditError>) {
    if let Err(error) = edit {
        log::warn!("a header was left out: {error}");
    }
}

impl Plugin for HeaderInjection {
    fn name(&self) -> &str {
        &self.name
    }

    fn generation(&self) -> u64 {
        1
    }

    fn hooks(&self) -> Hooks {
        [Hook::RequestFilter, Hook::ResponseFilter].into()
    }

    fn request_filter(&self, request: RequestScope<'_>) -> Result<Verdict, Failure> {
        let RequestAccess::Edit(head) = request.head else {
            return Err(wrong_hook());
        };
        if self.identify {
            report(head.set_header(&self.proxy, PACE));
        }
        self.request.apply(&mut Message(head), report_policy);
        Ok(Verdict::Next)
    }

    fn response_filter(
        &self,
        _: RequestScope<'_>,
        response: &mut dyn ResponseHead,
        backend: Option<&str>,
    ) -> Result<Verdict, Failure> {
        if self.identify {
            report(response.set_header(&self.proxy, PACE));
            if let Some(backend) = backend {
                let value = field::value(backend.as_bytes());
                report(value.and_then(|value| response.set_header(&self.backend, value)));
            }
        }
        self.response.apply(&mut Message(response), report_policy);
        Ok(Verdict::Next)
    }
}

fn wrong_hook() -> Failure {
    Failure {
        reason: FailureReason::Trap,
        detail: "the request cannot be edited in this hook".to_owned(),
    }
}
