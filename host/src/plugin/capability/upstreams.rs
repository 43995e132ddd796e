//! `upstreams`: the backends that `select-upstream` chooses from.

use wasmtime::component::{HasData, Linker};
use wasmtime::{Result, ensure};

use super::super::bindings::pace::plugin::upstreams::{self, Failure, HealthState};
use super::super::guest::Guest;
use super::super::lend::Lending;
use crate::hook::{AttemptFailure, Candidates, Health};

struct View<'a>(&'a Lending);

struct Upstreams;

impl HasData for Upstreams {
    type Data<'a> = View<'a>;
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    upstreams::add_to_linker::<_, Upstreams>(linker, |guest| {
        guest.calls_out += 1;
        View(&guest.lending)
    })
}

impl View<'_> {
    /// The backends, if the index is one of theirs.
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

impl upstreams::Host for View<'_> {
    fn count(&mut self) -> Result<u32> {
        Ok(self.0.candidates()?.count())
    }

    fn version(&mut self) -> Result<u64> {
        Ok(self.0.candidates()?.version())
    }

    fn pool(&mut self) -> Result<String> {
        Ok(self.0.candidates()?.pool().to_owned())
    }

    fn last_failure(&mut self) -> Result<Option<Failure>> {
        Ok(self.0.candidates()?.last_failure().map(Into::into))
    }

    fn tried(&mut self, index: u32) -> Result<bool> {
        Ok(self.with(index)?.tried(index))
    }

    fn address(&mut self, index: u32) -> Result<String> {
        Ok(self.with(index)?.address(index).to_owned())
    }

    fn weight(&mut self, index: u32) -> Result<u32> {
        Ok(self.with(index)?.weight(index))
    }

    fn health(&mut self, index: u32) -> Result<HealthState> {
        Ok(match self.with(index)?.health(index) {
            Health::Healthy => HealthState::Healthy,
            Health::Unhealthy => HealthState::Unhealthy,
            Health::Ejected => HealthState::Ejected,
            Health::Draining => HealthState::Draining,
        })
    }

    fn in_flight(&mut self, index: u32) -> Result<u32> {
        Ok(self.with(index)?.in_flight(index))
    }

    fn latency(&mut self, index: u32) -> Result<Option<u64>> {
        Ok(self.with(index)?.latency(index))
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
            AttemptFailure::Other => Failure::Other,
        }
    }
}
