//! `upstreams`: the backends that `select-upstream` chooses from.

use wasmtime::component::{HasData, Linker};
use wasmtime::{Result, ensure};

use super::super::bindings::pace::plugin::upstreams::{self, Failure, HealthState};
use super::super::direct::{Caller, Interface, answer_bytes, called, copied, guest, place, split};
use super::super::guest::Guest;
use super::super::lend::Lending;
use super::metered::Metered;
use pace_hook::{AttemptFailure, Candidates, Health};

struct View<'a>(&'a Lending);

struct Upstreams;

impl HasData for Upstreams {
    type Data<'a> = Metered<'a, View<'a>>;
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    upstreams::add_to_linker::<_, Upstreams>(linker, |guest| {
        Metered::new(&mut guest.meter, View(&guest.lending))
    })
}

pub(super) fn add_directly(upstreams: &mut Interface<'_>) -> Result<()> {
    fn view<'a>(caller: &'a Caller<'_>) -> Result<View<'a>> {
        Ok(View(&guest(caller)?.lending))
    }
    upstreams
        .func("count", |mut caller: Caller<'_>| {
            called(&mut caller)?;
            Ok(view(&caller)?.0.candidates()?.count())
        })?
        .func("version", |mut caller: Caller<'_>| {
            called(&mut caller)?;
            Ok(view(&caller)?.0.candidates()?.version())
        })?
        .func("pool", |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            let pool = copied(view(&caller)?.0.candidates()?.pool());
            answer_bytes(&mut caller, out, &pool)
        })?
        .func("last-failure", |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            let failure = view(&caller)?.0.candidates()?.last_failure();
            answer_failure(&mut caller, out, failure)
        })?
        .func("last-failed", |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            let last = view(&caller)?.0.candidates()?.last_failed();
            let answer = place::<4, 8>(split(&mut caller)?.0, out)?;
            answer[0] = u8::from(last.is_some());
            if let Some(last) = last {
                answer[4..].copy_from_slice(&last.to_le_bytes());
            }
            Ok(())
        })?
        .func("tried", |mut caller: Caller<'_>, index: u32| {
            called(&mut caller)?;
            Ok(u32::from(view(&caller)?.with(index)?.tried(index)))
        })?
        .func("address", |mut caller: Caller<'_>, index: u32, out: u32| {
            called(&mut caller)?;
            let address = copied(view(&caller)?.with(index)?.address(index));
            answer_bytes(&mut caller, out, &address)
        })?
        .func("weight", |mut caller: Caller<'_>, index: u32| {
            called(&mut caller)?;
            Ok(view(&caller)?.with(index)?.weight(index))
        })?
        .func("health", |mut caller: Caller<'_>, index: u32| {
            called(&mut caller)?;
            Ok(HealthState::from(view(&caller)?.with(index)?.health(index)) as u32)
        })?
        .func("in-flight", |mut caller: Caller<'_>, index: u32| {
            called(&mut caller)?;
            Ok(view(&caller)?.with(index)?.in_flight(index))
        })?
        .func("latency", |mut caller: Caller<'_>, index: u32, out: u32| {
            called(&mut caller)?;
            let latency = view(&caller)?.with(index)?.latency(index);
            let answer = place::<8, 16>(split(&mut caller)?.0, out)?;
            answer[0] = u8::from(latency.is_some());
            if let Some(latency) = latency {
                answer[8..].copy_from_slice(&latency.to_le_bytes());
            }
            Ok(())
        })?;
    Ok(())
}

/// Answers with `option<failure>`; the status that one of the failures has is at the end.
pub(super) fn answer_failure(
    caller: &mut Caller<'_>,
    out: u32,
    failure: Option<AttemptFailure>,
) -> Result<()> {
    let answer = place::<2, 6>(split(caller)?.0, out)?;
    answer[0] = u8::from(failure.is_some());
    if let Some(failure) = failure {
        answer[2] = case(failure);
    }
    if let Some(AttemptFailure::Status(status)) = failure {
        answer[4..].copy_from_slice(&status.to_le_bytes());
    }
    Ok(())
}

/// The number of a failure among the contract's cases of `failure`.
fn case(failure: AttemptFailure) -> u8 {
    match failure {
        AttemptFailure::ConnectionRefused => 0,
        AttemptFailure::ConnectionTimeout => 1,
        AttemptFailure::ConnectionFailed => 2,
        AttemptFailure::Tls => 3,
        AttemptFailure::Closed => 4,
        AttemptFailure::ResponseTimeout => 5,
        AttemptFailure::Protocol => 6,
        AttemptFailure::Status(_) => 7,
        AttemptFailure::Other => 8,
    }
}

impl View<'_> {
    /// The backends; an error if the index is none of theirs.
    fn with(&self, index: u32) -> Result<&dyn Candidates> {
        let candidates = self.0.candidates()?;
        let count = candidates.count();
        ensure!(
            index < count,
            "there is no backend {index} in a pool of {count}, counted from 0"
        );
        Ok(candidates)
    }
}

impl upstreams::Host for Metered<'_, View<'_>> {
    fn count(&mut self) -> Result<u32> {
        Ok(self.view()?.0.candidates()?.count())
    }

    fn version(&mut self) -> Result<u64> {
        Ok(self.view()?.0.candidates()?.version())
    }

    fn pool(&mut self) -> Result<String> {
        Ok(self.view()?.0.candidates()?.pool().to_owned())
    }

    fn last_failure(&mut self) -> Result<Option<Failure>> {
        Ok(self.view()?.0.candidates()?.last_failure().map(Into::into))
    }

    fn last_failed(&mut self) -> Result<Option<u32>> {
        Ok(self.view()?.0.candidates()?.last_failed())
    }

    fn tried(&mut self, index: u32) -> Result<bool> {
        Ok(self.view()?.with(index)?.tried(index))
    }

    fn address(&mut self, index: u32) -> Result<String> {
        Ok(self.view()?.with(index)?.address(index).to_owned())
    }

    fn weight(&mut self, index: u32) -> Result<u32> {
        Ok(self.view()?.with(index)?.weight(index))
    }

    fn health(&mut self, index: u32) -> Result<HealthState> {
        Ok(self.view()?.with(index)?.health(index).into())
    }

    fn in_flight(&mut self, index: u32) -> Result<u32> {
        Ok(self.view()?.with(index)?.in_flight(index))
    }

    fn latency(&mut self, index: u32) -> Result<Option<u64>> {
        Ok(self.view()?.with(index)?.latency(index))
    }
}

impl From<Health> for HealthState {
    fn from(health: Health) -> HealthState {
        match health {
            Health::Healthy => HealthState::Healthy,
            Health::Unhealthy => HealthState::Unhealthy,
            Health::Ejected => HealthState::Ejected,
            Health::Draining => HealthState::Draining,
        }
    }
}

impl From<AttemptFailure> for Failure {
    fn from(failure: AttemptFailure) -> Failure {
        match failure {
            AttemptFailure::ConnectionRefused => Failure::ConnectionRefused,
            AttemptFailure::ConnectionTimeout => Failure::ConnectionTimeout,
            AttemptFailure::ConnectionFailed => Failure::ConnectionFailed,
            AttemptFailure::Tls => Failure::Tls,
            AttemptFailure::Closed => Failure::Closed,
            AttemptFailure::ResponseTimeout => Failure::ResponseTimeout,
            AttemptFailure::Protocol => Failure::Protocol,
            AttemptFailure::Status(status) => Failure::Status(status),
            AttemptFailure::Other => Failure::Other,
        }
    }
}
