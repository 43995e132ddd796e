//! `windows`: how many events a key had lately.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::Result;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

use super::super::bindings::pace::plugin::counters::OpenError;
use super::super::bindings::pace::plugin::windows::{self, Key};
use super::super::guest::Guest;
use super::super::lend::Lending;
use crate::state::{self, Prefixes, Scope, Window, WindowSpec};

/// A plugin's handle to a window: the events, and how this plugin measures them.
#[expect(
    unreachable_pub,
    reason = "the generated bindings export it again, so it has to be `pub`"
)]
pub struct WindowHandle {
    window: Arc<Window>,
    spec: WindowSpec,
}

struct View<'a> {
    scope: &'a Scope,
    lending: &'a Lending,
    resources: &'a mut ResourceTable,
}

struct Windows;

impl HasData for Windows {
    type Data<'a> = View<'a>;
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    windows::add_to_linker::<_, Windows>(linker, |guest| {
        guest.calls_out += 1;
        View {
            scope: &guest.scope,
            lending: &guest.lending,
            resources: &mut guest.resources,
        }
    })
}

impl View<'_> {
    /// The key in the terms of the store.
    fn key<'k>(&self, key: &'k Key) -> Result<state::Key<'k>> {
        Ok(match key {
            Key::ClientAddress => state::Key::Address(self.lending.client()?),
            Key::ClientNetwork(prefixes) => state::Key::Network(
                self.lending.client()?,
                Prefixes {
                    ipv4: prefixes.ipv4,
                    ipv6: prefixes.ipv6,
                },
            ),
            Key::Bytes(bytes) => state::Key::Bytes(bytes),
        })
    }
}

impl windows::Host for View<'_> {}

impl windows::HostWindow for View<'_> {
    fn open(
        &mut self,
        name: String,
        limit: u32,
        period_ms: u64,
    ) -> Result<Result<Resource<WindowHandle>, OpenError>> {
        let opened = WindowSpec::new(limit, Duration::from_millis(period_ms)).and_then(|spec| {
            Ok(WindowHandle {
                window: self.scope.open_window(&name, spec)?,
                spec,
            })
        });
        match opened {
            Ok(handle) => Ok(self.resources.push(handle).map_err(|_| OpenError::TooMany)),
            Err(error) => Ok(Err(error.into())),
        }
    }

    fn hit(&mut self, window: Resource<WindowHandle>, key: Key) -> Result<Result<u32, u64>> {
        let key = self.key(&key)?;
        let handle = self.resources.get(&window)?;
        Ok(handle.window.hit(&handle.spec, key, self.scope.now()))
    }

    fn count(&mut self, window: Resource<WindowHandle>, key: Key) -> Result<u32> {
        let key = self.key(&key)?;
        let handle = self.resources.get(&window)?;
        Ok(handle.window.count(&handle.spec, key, self.scope.now()))
    }

    fn drop(&mut self, window: Resource<WindowHandle>) -> Result<()> {
        self.resources.delete(window)?;
        Ok(())
    }
}
