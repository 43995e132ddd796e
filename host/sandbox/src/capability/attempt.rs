//! `attempt`: the attempt that `attempt-filter` prepares or judges.

use std::time::Duration;

use wasmtime::Result;
use wasmtime::component::{HasData, Linker};

use super::super::bindings::pace::plugin::attempt::{self, AttemptFailure};
use super::super::bindings::pace::plugin::http::EditError as WasmEditError;
use super::super::bindings::pace::plugin::secrets::SecretError;
use super::super::direct::{
    Caller, Interface, answer_bytes, answer_option, bytes, called, copied, guest, split, text, text_if_short,
};
use super::super::generation::Generation;
use super::super::guest::Guest;
use super::super::lend::Lending;
use super::edit::Edits;
use super::headers::{Editing, Message, answer_edit, name_at};
use super::metered::Metered;
use super::secrets::with_secret;
use super::upstreams::answer_failure;
use pace_hook::{Attempt, EditError};

/// The longest time that an attempt can be allowed: a day.
const LONGEST: u32 = 86_400_000;

struct View<'a> {
    generation: &'a Generation,
    lending: &'a mut Lending,
    edits: &'a mut Edits,
}

struct Attempts;

impl HasData for Attempts {
    type Data<'a> = Metered<'a, View<'a>>;
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    attempt::add_to_linker::<_, Attempts>(linker, |guest| {
        let view = View {
            generation: &guest.generation,
            lending: &mut guest.lending,
            edits: &mut guest.edits,
        };
        Metered::new(&mut guest.meter, view)
    })
}

pub(super) fn add_directly(attempt: &mut Interface<'_>) -> Result<()> {
    attempt
        .func("pool", |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            let pool = copied(guest(&caller)?.lending.attempt()?.pool());
            answer_bytes(&mut caller, out, &pool)
        })?
        .func(
            "limit-time",
            |mut caller: Caller<'_>, milliseconds: u32, out: u32| {
                called(&mut caller)?;
                let (memory, guest) = split(&mut caller)?;
                let done = limit_time(&mut guest.lending, milliseconds)?;
                answer_edit(memory, out, done)
            },
        )?
        .func(
            "set-secret-header",
            |mut caller: Caller<'_>,
             name: u32,
             name_length: u32,
             before: u32,
             before_length: u32,
             secret: u32,
             secret_length: u32,
             out: u32| {
                called(&mut caller)?;
                let (memory, guest) = split(&mut caller)?;
                let name = name_at(memory, guest, name, name_length)?;
                let before = bytes(memory, &mut guest.meter, before, before_length)?;
                let secret = text(memory, &mut guest.meter, secret, secret_length)?;
                let mut view = View {
                    generation: &guest.generation,
                    lending: &mut guest.lending,
                    edits: &mut guest.edits,
                };
                let done = view.set_secret_header(name, before, secret)?;
                answer_edit(memory, out, done)
            },
        )?
        .func("has-content", |mut caller: Caller<'_>| {
            called(&mut caller)?;
            Ok(u32::from(has_content(&guest(&caller)?.lending)?))
        })?
        .func("backend", |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            let backend = guest(&caller)?.lending.attempt()?.backend().map(copied);
            answer_option(&mut caller, out, backend.as_deref())
        })?
        .func("failure", |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            let failure = guest(&caller)?.lending.attempt()?.failure();
            answer_failure(&mut caller, out, failure)
        })?
        .func("can-retry", |mut caller: Caller<'_>| {
            called(&mut caller)?;
            Ok(u32::from(guest(&caller)?.lending.attempt()?.can_retry()))
        })?
        .func("elapsed", |mut caller: Caller<'_>| {
            called(&mut caller)?;
            Ok(nanoseconds(guest(&caller)?.lending.attempt()?.elapsed()))
        })?;
    add_edit(attempt, "use-pool", EditError::NotGranted, |attempt, name| {
        attempt.use_pool(name)
    })?;
    add_edit(
        attempt,
        "set-path-and-query",
        EditError::TooLarge,
        |attempt, target| attempt.set_path_and_query(target),
    )?;
    add_edit(
        attempt,
        "set-authority",
        EditError::InvalidValue,
        |attempt, authority| attempt.set_authority(authority),
    )?;
    let message = Message {
        read: |guest| Ok(guest.lending.attempt()?),
        edit: |guest| {
            Ok(guest.lending.attempt_mut()?.map(|attempt| Editing {
                head: attempt,
                edits: &mut guest.edits,
                limits: &guest.generation.limits,
            }))
        },
    };
    message.add_edits_directly(attempt)
}

/// Adds a function that edits by a text; one that is longer than any that means something is refused with `too_long`.
fn add_edit(
    interface: &mut Interface<'_>,
    name: &str,
    too_long: EditError,
    edit: fn(&mut dyn Attempt, &str) -> std::result::Result<(), EditError>,
) -> Result<()> {
    interface.func(
        name,
        move |mut caller: Caller<'_>, at: u32, length: u32, out: u32| {
            called(&mut caller)?;
            let (memory, guest) = split(&mut caller)?;
            let value = text_if_short(memory, &mut guest.meter, at, length)?;
            let done = guest.lending.attempt_mut()?.and_then(|attempt| match value {
                Some(value) => edit(attempt, value),
                None => Err(too_long),
            });
            answer_edit(memory, out, done)
        },
    )?;
    Ok(())
}

impl View<'_> {
    /// Sets a header to `before` and the secret. The plugin learns whether it has the secret, and nothing else of it.
    fn set_secret_header(
        &mut self,
        name: &str,
        before: &[u8],
        secret: &str,
    ) -> Result<std::result::Result<(), EditError>> {
        let attempt = match self.lending.attempt_mut()? {
            Ok(attempt) => attempt,
            Err(error) => return Ok(Err(error)),
        };
        let (edits, limits) = (&mut *self.edits, &self.generation.limits);
        let set = with_secret(self.generation, secret, |secret| {
            edits.set_secret(attempt, limits, name, &[before, secret].concat())
        });
        Ok(set.unwrap_or_else(|error| {
            Err(match error {
                SecretError::NotGranted => EditError::NotGranted,
                SecretError::NotAvailable => EditError::NotAvailable,
            })
        }))
    }
}

fn limit_time(lending: &mut Lending, milliseconds: u32) -> Result<std::result::Result<(), EditError>> {
    Ok(lending.attempt_mut()?.and_then(|attempt| {
        if !(1..=LONGEST).contains(&milliseconds) {
            return Err(EditError::InvalidValue);
        }
        attempt.limit_time(Duration::from_millis(milliseconds.into()));
        Ok(())
    }))
}

fn has_content(lending: &Lending) -> Result<bool> {
    lending.attempt()?;
    Ok(lending.content().is_ok())
}

/// The duration as the contract has it; 584 years at most.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

type Edited = Result<std::result::Result<(), WasmEditError>>;

impl attempt::Host for Metered<'_, View<'_>> {
    fn pool(&mut self) -> Result<String> {
        Ok(self.view()?.lending.attempt()?.pool().to_owned())
    }

    fn use_pool(&mut self, name: String) -> Edited {
        let attempt = self.given(name.len())?.lending.attempt_mut()?;
        Ok(attempt
            .and_then(|attempt| attempt.use_pool(&name))
            .map_err(Into::into))
    }

    fn limit_time(&mut self, milliseconds: u32) -> Edited {
        Ok(limit_time(self.view()?.lending, milliseconds)?.map_err(Into::into))
    }

    fn header(&mut self, name: String) -> Result<Option<Vec<u8>>> {
        let attempt = self.given(name.len())?.lending.attempt()?;
        Ok(attempt.header(&name).map(<[u8]>::to_vec))
    }

    fn set_header(&mut self, name: String, value: Vec<u8>) -> Edited {
        let view = self.given(name.len() + value.len())?;
        let attempt = view.lending.attempt_mut()?;
        let limits = &view.generation.limits;
        let done = attempt.and_then(|attempt| view.edits.set(attempt, limits, &name, &value));
        Ok(done.map_err(Into::into))
    }

    fn append_header(&mut self, name: String, value: Vec<u8>) -> Edited {
        let view = self.given(name.len() + value.len())?;
        let attempt = view.lending.attempt_mut()?;
        let limits = &view.generation.limits;
        let done = attempt.and_then(|attempt| view.edits.append(attempt, limits, &name, &value));
        Ok(done.map_err(Into::into))
    }

    fn remove_header(&mut self, name: String) -> Result<std::result::Result<bool, WasmEditError>> {
        let view = self.given(name.len())?;
        let attempt = view.lending.attempt_mut()?;
        let done = attempt.and_then(|attempt| view.edits.remove(attempt, &name));
        Ok(done.map_err(Into::into))
    }

    fn set_secret_header(&mut self, name: String, before: Vec<u8>, secret: String) -> Edited {
        let view = self.given(name.len() + before.len() + secret.len())?;
        Ok(view
            .set_secret_header(&name, &before, &secret)?
            .map_err(Into::into))
    }

    fn set_path_and_query(&mut self, value: String) -> Edited {
        let attempt = self.given(value.len())?.lending.attempt_mut()?;
        let done = attempt.and_then(|attempt| attempt.set_path_and_query(&value));
        Ok(done.map_err(Into::into))
    }

    fn set_authority(&mut self, value: String) -> Edited {
        let attempt = self.given(value.len())?.lending.attempt_mut()?;
        let done = attempt.and_then(|attempt| attempt.set_authority(&value));
        Ok(done.map_err(Into::into))
    }

    fn has_content(&mut self) -> Result<bool> {
        has_content(self.view()?.lending)
    }

    fn backend(&mut self) -> Result<Option<String>> {
        Ok(self.view()?.lending.attempt()?.backend().map(str::to_owned))
    }

    fn failure(&mut self) -> Result<Option<AttemptFailure>> {
        Ok(self.view()?.lending.attempt()?.failure().map(Into::into))
    }

    fn can_retry(&mut self) -> Result<bool> {
        Ok(self.view()?.lending.attempt()?.can_retry())
    }

    fn elapsed(&mut self) -> Result<u64> {
        Ok(nanoseconds(self.view()?.lending.attempt()?.elapsed()))
    }
}
