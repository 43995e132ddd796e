//! `windows`: the number of events that a key had lately.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime::{Result, bail};

use super::super::bindings::pace::plugin::counters::OpenError;
use super::super::bindings::pace::plugin::windows::{self, Key};
use super::super::direct::{
    Caller, Interface, called, guest_mut, key as key_at, place, split, text_if_short,
};
use super::super::guest::Guest;
use super::super::lend::Lending;
use super::super::meter::Meter;
use super::counters::{borrowed, owned, put_opened};
use super::metered::Metered;
use pace_state::{Prefixes, Scope, Window, WindowSpec};

/// A plugin's handle to a window: the events, and the limit and period by which this plugin counts them.
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
    type Data<'a> = Metered<'a, View<'a>>;
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    windows::add_to_linker::<_, Windows>(linker, |guest| {
        let (meter, view) = parts(guest);
        Metered::new(meter, view)
    })
}

fn parts(guest: &mut Guest) -> (&mut Meter, View<'_>) {
    let view = View {
        scope: &guest.scope,
        lending: &guest.lending,
        resources: &mut guest.resources,
    };
    (&mut guest.meter, view)
}

pub(super) fn add_directly(windows: &mut Interface<'_>) -> Result<()> {
    windows
        .func(
            "[static]window.open",
            |mut caller: Caller<'_>, name: u32, length: u32, limit: u32, period_ms: u64, out: u32| {
                called(&mut caller)?;
                let (memory, guest) = split(&mut caller)?;
                let (meter, mut view) = parts(guest);
                let name = text_if_short(memory, meter, name, length)?.ok_or(OpenError::InvalidName);
                let opened = name.and_then(|name| view.open_window(name, limit, period_ms));
                put_opened(memory, out, opened)
            },
        )?
        .func(
            "[method]window.hit",
            |mut caller: Caller<'_>, handle: u32, case: u32, first: u32, second: u32, out: u32| {
                called(&mut caller)?;
                let (memory, guest) = split(&mut caller)?;
                let (meter, view) = parts(guest);
                let key = view.flat_key(memory, meter, [case, first, second])?;
                let handle = view.resources.get(&borrowed::<WindowHandle>(handle))?;
                let hit = handle.window.hit(&handle.spec, key, view.scope.now());
                let answer = place::<8, 16>(memory, out)?;
                answer[0] = u8::from(hit.is_err());
                match hit {
                    Ok(count) => answer[8..12].copy_from_slice(&count.to_le_bytes()),
                    Err(wait) => answer[8..].copy_from_slice(&wait.to_le_bytes()),
                }
                Ok(())
            },
        )?
        .func(
            "[method]window.count",
            |mut caller: Caller<'_>, handle: u32, case: u32, first: u32, second: u32| {
                called(&mut caller)?;
                let (memory, guest) = split(&mut caller)?;
                let (meter, view) = parts(guest);
                let key = view.flat_key(memory, meter, [case, first, second])?;
                let handle = view.resources.get(&borrowed::<WindowHandle>(handle))?;
                Ok(handle.window.count(&handle.spec, key, view.scope.now()))
            },
        )?
        .func("[resource-drop]window", |mut caller: Caller<'_>, handle: u32| {
            called(&mut caller)?;
            guest_mut(&mut caller)?
                .resources
                .delete(owned::<WindowHandle>(handle))?;
            Ok(())
        })?;
    Ok(())
}

impl View<'_> {
    /// The key as the store takes it.
    fn key<'k>(&self, key: &'k Key) -> Result<pace_state::Key<'k>> {
        Ok(match key {
            Key::ClientAddress => pace_state::Key::Address(self.lending.client()?),
            Key::ClientNetwork(prefixes) => pace_state::Key::Network(
                self.lending.client()?,
                Prefixes {
                    ipv4: prefixes.ipv4,
                    ipv6: prefixes.ipv6,
                },
            ),
            Key::Bytes(bytes) => pace_state::Key::Bytes(bytes),
        })
    }

    /// The key as the store takes it, from the numbers of a core module: its case, and two for the longest case.
    fn flat_key<'k>(
        &self,
        memory: &'k [u8],
        meter: &mut Meter,
        [case, first, second]: [u32; 3],
    ) -> Result<pace_state::Key<'k>> {
        let byte = |number: u32| number.to_le_bytes()[0];
        Ok(match case {
            0 => pace_state::Key::Address(self.lending.client()?),
            1 => pace_state::Key::Network(
                self.lending.client()?,
                Prefixes {
                    ipv4: byte(first),
                    ipv6: byte(second),
                },
            ),
            2 => pace_state::Key::Bytes(key_at(memory, meter, first, second)?),
            case => bail!("there is no key with the case {case}"),
        })
    }

    fn open_window(
        &mut self,
        name: &str,
        limit: u32,
        period_ms: u64,
    ) -> Result<Resource<WindowHandle>, OpenError> {
        let spec = WindowSpec::new(limit, Duration::from_millis(period_ms))?;
        let window = self.scope.open_window(name, spec)?;
        let handle = self.resources.push(WindowHandle { window, spec });
        handle.map_err(|_| OpenError::TooMany)
    }
}

impl windows::Host for Metered<'_, View<'_>> {}

impl windows::HostWindow for Metered<'_, View<'_>> {
    fn open(
        &mut self,
        name: String,
        limit: u32,
        period_ms: u64,
    ) -> Result<Result<Resource<WindowHandle>, OpenError>> {
        Ok(self.given(name.len())?.open_window(&name, limit, period_ms))
    }

    fn hit(&mut self, window: Resource<WindowHandle>, key: Key) -> Result<Result<u32, u64>> {
        let view = self.given_key(handed(&key))?;
        let key = view.key(&key)?;
        let handle = view.resources.get(&window)?;
        Ok(handle.window.hit(&handle.spec, key, view.scope.now()))
    }

    fn count(&mut self, window: Resource<WindowHandle>, key: Key) -> Result<u32> {
        let view = self.given_key(handed(&key))?;
        let key = view.key(&key)?;
        let handle = view.resources.get(&window)?;
        Ok(handle.window.count(&handle.spec, key, view.scope.now()))
    }

    fn drop(&mut self, window: Resource<WindowHandle>) -> Result<()> {
        self.view()?.resources.delete(window)?;
        Ok(())
    }
}

/// The number of bytes of a key that were copied out of the plugin.
fn handed(key: &Key) -> usize {
    match key {
        Key::ClientAddress | Key::ClientNetwork(_) => 0,
        Key::Bytes(bytes) => bytes.len(),
    }
}
