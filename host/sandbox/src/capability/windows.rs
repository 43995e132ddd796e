//! `windows`: the number of events that a key had lately.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{Linker, Resource};
use wasmtime::{Result, bail};

use super::super::bindings::pace::plugin::counters::OpenError;
use super::super::bindings::pace::plugin::windows::{self, Denial, Key, Standing};
use super::super::direct::{Caller, Interface, called, key as key_at, place, split, text_if_short};
use super::super::guest::Guest;
use super::super::lend::Lending;
use super::super::meter::Meter;
use super::handles::{Handles, View, borrowed, delete, put_opened};
use super::metered::Metered;
use pace_state::{Now, Prefixes, Reservations, Window, WindowSpec};

/// A plugin's handle to a window: the events, and the limit and period by which this plugin counts them.
#[expect(
    unreachable_pub,
    reason = "the generated bindings export it again, so it has to be `pub`"
)]
pub struct WindowHandle {
    window: Arc<Window>,
    spec: WindowSpec,
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    windows::add_to_linker::<_, Handles>(linker, |guest| View::metered(guest))
}

pub(super) fn add_directly(windows: &mut Interface<'_>) -> Result<()> {
    windows
        .func(
            "[static]window.open",
            |mut caller: Caller<'_>, name: u32, length: u32, limit: u32, period_ms: u64, out: u32| {
                called(&mut caller)?;
                let (memory, guest) = split(&mut caller)?;
                let (meter, mut view) = View::of(guest);
                let name = text_if_short(memory, meter, name, length)?.ok_or(OpenError::InvalidName);
                let opened = name.and_then(|name| view.open_window(name, limit, period_ms));
                put_opened(memory, out, opened)
            },
        )?
        .func(
            "[method]window.hit",
            |mut caller: Caller<'_>, handle: u32, case: u32, first: u32, second: u32, out: u32| {
                let key = [case, first, second];
                let hit = with(&mut caller, handle, key, |window, spec, key, now, _| {
                    Ok(window.hit(spec, key, now))
                })?;
                put_taken(&mut caller, out, hit)
            },
        )?
        .func(
            "[method]window.take",
            |mut caller: Caller<'_>,
             handle: u32,
             case: u32,
             first: u32,
             second: u32,
             amount: u32,
             out: u32| {
                let key = [case, first, second];
                let taken = with(&mut caller, handle, key, |window, spec, key, now, _| {
                    Ok(window.take(spec, key, amount, now))
                })?;
                put_taken(&mut caller, out, taken)
            },
        )?
        .func(
            "[method]window.refund",
            |mut caller: Caller<'_>, handle: u32, case: u32, first: u32, second: u32, amount: u32| {
                with(
                    &mut caller,
                    handle,
                    [case, first, second],
                    |window, spec, key, now, _| Ok(window.refund(spec, key, amount, now)),
                )
            },
        )?
        .func(
            "[method]window.reserve",
            |mut caller: Caller<'_>,
             handle: u32,
             case: u32,
             first: u32,
             second: u32,
             amount: u32,
             out: u32| {
                let key = [case, first, second];
                let taken = with(&mut caller, handle, key, |window, spec, key, now, lending| {
                    reserved(lending, |held| held.reserve(window, spec, key, amount, now))
                })?;
                put_taken(&mut caller, out, taken)
            },
        )?
        .func(
            "[method]window.settle",
            |mut caller: Caller<'_>,
             handle: u32,
             case: u32,
             first: u32,
             second: u32,
             amount: u32,
             out: u32| {
                let key = [case, first, second];
                let settled = with(&mut caller, handle, key, |window, spec, key, now, lending| {
                    reserved(lending, |held| held.settle(window, spec, key, amount, now))
                })?;
                let [is_there, _, _, _, _, _, _, _, standing @ ..] =
                    place::<8, 24>(split(&mut caller)?.0, out)?;
                *is_there = u8::from(settled.is_some());
                if let Some(settled) = settled {
                    put_standing(standing, settled);
                }
                Ok(())
            },
        )?
        .func(
            "[method]window.count",
            |mut caller: Caller<'_>, handle: u32, case: u32, first: u32, second: u32| {
                with(
                    &mut caller,
                    handle,
                    [case, first, second],
                    |window, spec, key, now, _| Ok(window.count(spec, key, now)),
                )
            },
        )?
        .func("[resource-drop]window", delete::<WindowHandle>)?;
    Ok(())
}

/// Uses the window of a handle for a core module, with a key that is its case and two numbers for the longest case.
fn with<R>(
    caller: &mut Caller<'_>,
    handle: u32,
    key: [u32; 3],
    use_it: impl FnOnce(&Arc<Window>, &WindowSpec, pace_state::Key<'_>, Now, &Lending) -> Result<R>,
) -> Result<R> {
    called(caller)?;
    let (memory, guest) = split(caller)?;
    let (meter, view) = View::of(guest);
    let key = view.flat_key(memory, meter, key)?;
    let handle = view.resources.get(&borrowed::<WindowHandle>(handle))?;
    use_it(&handle.window, &handle.spec, key, view.scope.now(), view.lending)
}

/// Calls `use_them` with the reservations of the request.
fn reserved<R>(lending: &Lending, use_them: impl FnOnce(&mut Reservations) -> R) -> Result<R> {
    Ok(lending.facts()?.state.with(use_them))
}

/// Answers with `result<standing, denial>`.
fn put_taken(
    caller: &mut Caller<'_>,
    out: u32,
    taken: std::result::Result<pace_state::Standing, pace_state::Denial>,
) -> Result<()> {
    let [case, _, _, _, _, _, _, _, value @ ..] = place::<8, 24>(split(caller)?.0, out)?;
    *case = u8::from(taken.is_err());
    match taken {
        Ok(standing) => put_standing(value, standing),
        Err(pace_state::Denial::Wait(wait)) => {
            value[0] = 0;
            value[8..].copy_from_slice(&wait.to_le_bytes());
        }
        Err(pace_state::Denial::Never) => value[0] = 1,
        Err(pace_state::Denial::TooMany) => value[0] = 2,
    }
    Ok(())
}

fn put_standing(value: &mut [u8; 16], standing: pace_state::Standing) {
    value[..4].copy_from_slice(&standing.count.to_le_bytes());
    value[8..].copy_from_slice(&standing.oldest_leaves_ms.to_le_bytes());
}

impl View<'_> {
    /// Uses the window of a handle.
    fn with<R>(
        &self,
        handle: &Resource<WindowHandle>,
        key: &Key,
        use_it: impl FnOnce(&Arc<Window>, &WindowSpec, pace_state::Key<'_>, Now) -> Result<R>,
    ) -> Result<R> {
        let key = self.key(key)?;
        let handle = self.resources.get(handle)?;
        use_it(&handle.window, &handle.spec, key, self.scope.now())
    }

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
        self.put(WindowHandle { window, spec })
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

    fn hit(&mut self, window: Resource<WindowHandle>, key: Key) -> Result<Result<Standing, Denial>> {
        let view = self.given_key(handed(&key))?;
        view.with(&window, &key, |window, spec, key, now| {
            Ok(answer(window.hit(spec, key, now)))
        })
    }

    fn take(
        &mut self,
        window: Resource<WindowHandle>,
        key: Key,
        amount: u32,
    ) -> Result<Result<Standing, Denial>> {
        let view = self.given_key(handed(&key))?;
        view.with(&window, &key, |window, spec, key, now| {
            Ok(answer(window.take(spec, key, amount, now)))
        })
    }

    fn refund(&mut self, window: Resource<WindowHandle>, key: Key, amount: u32) -> Result<u32> {
        let view = self.given_key(handed(&key))?;
        view.with(&window, &key, |window, spec, key, now| {
            Ok(window.refund(spec, key, amount, now))
        })
    }

    fn reserve(
        &mut self,
        window: Resource<WindowHandle>,
        key: Key,
        amount: u32,
    ) -> Result<Result<Standing, Denial>> {
        let view = self.given_key(handed(&key))?;
        view.with(&window, &key, |window, spec, key, now| {
            let taken = reserved(view.lending, |held| held.reserve(window, spec, key, amount, now));
            taken.map(answer)
        })
    }

    fn settle(&mut self, window: Resource<WindowHandle>, key: Key, amount: u32) -> Result<Option<Standing>> {
        let view = self.given_key(handed(&key))?;
        view.with(&window, &key, |window, spec, key, now| {
            let settled = reserved(view.lending, |held| held.settle(window, spec, key, amount, now));
            Ok(settled?.map(Into::into))
        })
    }

    fn count(&mut self, window: Resource<WindowHandle>, key: Key) -> Result<u32> {
        let view = self.given_key(handed(&key))?;
        view.with(&window, &key, |window, spec, key, now| {
            Ok(window.count(spec, key, now))
        })
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

fn answer(taken: std::result::Result<pace_state::Standing, pace_state::Denial>) -> Result<Standing, Denial> {
    Ok(taken?.into())
}

impl From<pace_state::Standing> for Standing {
    fn from(standing: pace_state::Standing) -> Standing {
        Standing {
            count: standing.count,
            oldest_leaves_ms: standing.oldest_leaves_ms,
        }
    }
}

impl From<pace_state::Denial> for Denial {
    fn from(denial: pace_state::Denial) -> Denial {
        match denial {
            pace_state::Denial::Wait(wait) => Denial::Wait(wait),
            pace_state::Denial::Never => Denial::Never,
            pace_state::Denial::TooMany => Denial::TooMany,
        }
    }
}
