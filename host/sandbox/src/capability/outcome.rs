//! `outcome`: how a request went, for `finished`.

use std::time::Duration;

use wasmtime::Result;
use wasmtime::component::{HasData, Linker};

use super::super::bindings::pace::plugin::outcome::{self, AttemptFailure, Ending as WasmEnding};
use super::super::direct::{Caller, Interface, answer_option, called, copied, guest, place, split};
use super::super::guest::Guest;
use super::super::lend::{Lending, NotLent};
use super::metered::Metered;
use super::upstreams::answer_failure;
use pace_hook::{Ending, Outcome};

struct View<'a>(&'a Lending);

struct Outcomes;

impl HasData for Outcomes {
    type Data<'a> = Metered<'a, View<'a>>;
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    outcome::add_to_linker::<_, Outcomes>(linker, |guest| {
        Metered::new(&mut guest.meter, View(&guest.lending))
    })
}

pub(super) fn add_directly(outcome: &mut Interface<'_>) -> Result<()> {
    fn of<'a>(caller: &'a Caller<'_>) -> Result<&'a Outcome<'a>> {
        Ok(guest(caller)?.lending.outcome()?)
    }
    outcome
        .func("ended", |mut caller: Caller<'_>| {
            called(&mut caller)?;
            Ok(WasmEnding::from(of(&caller)?.ending) as u32)
        })?
        .func("status", |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            let status = of(&caller)?.status;
            let answer = place::<2, 4>(split(&mut caller)?.0, out)?;
            answer[0] = u8::from(status.is_some());
            if let Some(status) = status {
                answer[2..].copy_from_slice(&status.to_le_bytes());
            }
            Ok(())
        })?
        .func("request-bytes", |mut caller: Caller<'_>| {
            called(&mut caller)?;
            Ok(of(&caller)?.request_bytes)
        })?
        .func("response-bytes", |mut caller: Caller<'_>| {
            called(&mut caller)?;
            Ok(of(&caller)?.response_bytes)
        })?
        .func("attempts", |mut caller: Caller<'_>| {
            called(&mut caller)?;
            Ok(of(&caller)?.attempts)
        })?
        .func("backend", |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            let backend = of(&caller)?.backend.map(copied);
            answer_option(&mut caller, out, backend.as_deref())
        })?
        .func("pool", |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            let pool = of(&caller)?.pool.map(copied);
            answer_option(&mut caller, out, pool.as_deref())
        })?
        .func("failure", |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            let failure = of(&caller)?.failure;
            answer_failure(&mut caller, out, failure)
        })?
        .func("total-time", |mut caller: Caller<'_>| {
            called(&mut caller)?;
            Ok(nanoseconds(of(&caller)?.total))
        })?;
    add_time(outcome, "queue-time", |outcome| outcome.queue)?;
    add_time(outcome, "connect-time", |outcome| outcome.connect)?;
    add_time(outcome, "first-byte-time", |outcome| outcome.first_byte)
}

/// Adds a function that answers with a time that there may not be.
fn add_time(
    outcome: &mut Interface<'_>,
    name: &str,
    time: fn(&Outcome<'_>) -> Option<Duration>,
) -> Result<()> {
    outcome.func(name, move |mut caller: Caller<'_>, out: u32| {
        called(&mut caller)?;
        let time = time(guest(&caller)?.lending.outcome()?).map(nanoseconds);
        let answer = place::<8, 16>(split(&mut caller)?.0, out)?;
        answer[0] = u8::from(time.is_some());
        if let Some(time) = time {
            answer[8..].copy_from_slice(&time.to_le_bytes());
        }
        Ok(())
    })?;
    Ok(())
}

/// The duration as the contract has it; 584 years at most.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl View<'_> {
    fn outcome(&self) -> Result<&Outcome<'_>, NotLent> {
        self.0.outcome()
    }
}

impl outcome::Host for Metered<'_, View<'_>> {
    fn ended(&mut self) -> Result<WasmEnding> {
        Ok(self.view()?.outcome()?.ending.into())
    }

    fn status(&mut self) -> Result<Option<u16>> {
        Ok(self.view()?.outcome()?.status)
    }

    fn request_bytes(&mut self) -> Result<u64> {
        Ok(self.view()?.outcome()?.request_bytes)
    }

    fn response_bytes(&mut self) -> Result<u64> {
        Ok(self.view()?.outcome()?.response_bytes)
    }

    fn attempts(&mut self) -> Result<u32> {
        Ok(self.view()?.outcome()?.attempts)
    }

    fn backend(&mut self) -> Result<Option<String>> {
        Ok(self.view()?.outcome()?.backend.map(str::to_owned))
    }

    fn pool(&mut self) -> Result<Option<String>> {
        Ok(self.view()?.outcome()?.pool.map(str::to_owned))
    }

    fn failure(&mut self) -> Result<Option<AttemptFailure>> {
        Ok(self.view()?.outcome()?.failure.map(Into::into))
    }

    fn total_time(&mut self) -> Result<u64> {
        Ok(nanoseconds(self.view()?.outcome()?.total))
    }

    fn queue_time(&mut self) -> Result<Option<u64>> {
        Ok(self.view()?.outcome()?.queue.map(nanoseconds))
    }

    fn connect_time(&mut self) -> Result<Option<u64>> {
        Ok(self.view()?.outcome()?.connect.map(nanoseconds))
    }

    fn first_byte_time(&mut self) -> Result<Option<u64>> {
        Ok(self.view()?.outcome()?.first_byte.map(nanoseconds))
    }
}

impl From<Ending> for WasmEnding {
    fn from(ending: Ending) -> WasmEnding {
        match ending {
            Ending::Complete => WasmEnding::Complete,
            Ending::ClientGone => WasmEnding::ClientGone,
            Ending::BackendFailed => WasmEnding::BackendFailed,
            Ending::Cut => WasmEnding::Cut,
            Ending::Refused => WasmEnding::Refused,
            Ending::PluginFailed => WasmEnding::PluginFailed,
        }
    }
}
