//! `tables`: values under keys, for as long as they may be good.

use std::sync::Arc;

use wasmtime::Result;
use wasmtime::component::{Linker, Resource};

use super::super::bindings::pace::plugin::counters::OpenError;
use super::super::bindings::pace::plugin::tables::{self, Claimed, Swapped, TableError};
use super::super::direct::{
    Caller, Interface, answer_bytes, answer_option, answer_result, bytes, called, key as key_at, place,
    split, text_if_short,
};
use super::super::guest::Guest;
use super::super::lend::Lending;
use super::super::meter::Meter;
use super::handles::{Handles, View, borrowed, delete, put_opened};
use super::metered::Metered;
use pace_state::{ClaimId, Claims, Now, Table};

/// A plugin's handle to a table.
#[expect(
    unreachable_pub,
    reason = "the generated bindings export it again, so it has to be `pub`"
)]
pub struct TableHandle(Arc<Table>);

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    tables::add_to_linker::<_, Handles>(linker, |guest| View::metered(guest))
}

pub(super) fn add_directly(tables: &mut Interface<'_>) -> Result<()> {
    tables
        .func(
            "[static]table.open",
            |mut caller: Caller<'_>, name: u32, length: u32, out: u32| {
                called(&mut caller)?;
                let (memory, guest) = split(&mut caller)?;
                let (meter, mut view) = View::of(guest);
                let name = text_if_short(memory, meter, name, length)?.ok_or(OpenError::InvalidName);
                put_opened(memory, out, name.and_then(|name| view.open_table(name)))
            },
        )?
        .func(
            "[method]table.get",
            |mut caller: Caller<'_>, handle: u32, key: u32, length: u32, out: u32| {
                let value = with(&mut caller, handle, [key, length], |_, _, at| Ok(at.get()))?;
                answer_option(&mut caller, out, value.as_deref())
            },
        )?
        .func(
            "[method]table.set",
            |mut caller: Caller<'_>,
             handle: u32,
             key: u32,
             key_length: u32,
             value: u32,
             length: u32,
             ttl: u64,
             out: u32| {
                let done = with(&mut caller, handle, [key, key_length], |memory, meter, at| {
                    Ok(at.set(bytes(memory, meter, value, length)?, ttl))
                })?;
                let done = done.map(|()| None).map_err(|error| error as u8);
                answer_result(split(&mut caller)?.0, out, done)
            },
        )?
        .func(
            "[method]table.add",
            |mut caller: Caller<'_>,
             handle: u32,
             key: u32,
             key_length: u32,
             value: u32,
             length: u32,
             ttl: u64,
             out: u32| {
                let added = with(&mut caller, handle, [key, key_length], |memory, meter, at| {
                    Ok(at.add(bytes(memory, meter, value, length)?, ttl))
                })?;
                let [case, _, _, _, error, ..] = place::<4, 16>(split(&mut caller)?.0, out)?;
                *case = u8::from(added.is_err());
                match added {
                    Ok(there) => answer_option(&mut caller, out + 4, there.as_deref()),
                    Err(refused) => {
                        *error = refused as u8;
                        Ok(())
                    }
                }
            },
        )?
        .func(
            "[method]table.swap",
            |mut caller: Caller<'_>,
             handle: u32,
             key: u32,
             key_length: u32,
             is_there: u32,
             before: u32,
             before_length: u32,
             value: u32,
             length: u32,
             ttl: u64,
             out: u32| {
                let swapped = with(&mut caller, handle, [key, key_length], |memory, meter, at| {
                    let before = match is_there {
                        0 => None,
                        _ => Some(bytes(memory, meter, before, before_length)?),
                    };
                    Ok(at.swap(before, bytes(memory, meter, value, length)?, ttl))
                })?;
                let [case, _, _, _, second, ..] = place::<4, 20>(split(&mut caller)?.0, out)?;
                *case = u8::from(swapped.is_err());
                match swapped {
                    Ok(pace_state::Swapped::Done) => *second = 0,
                    Ok(pace_state::Swapped::Other(there)) => {
                        *second = 1;
                        answer_option(&mut caller, out + 8, there.as_deref())?;
                    }
                    Err(refused) => *second = refused as u8,
                }
                Ok(())
            },
        )?
        .func(
            "[method]table.remove",
            |mut caller: Caller<'_>, handle: u32, key: u32, length: u32| {
                let removed = with(&mut caller, handle, [key, length], |_, _, at| Ok(at.remove()))?;
                Ok(u32::from(removed))
            },
        )?
        .func(
            "[method]table.claim",
            |mut caller: Caller<'_>, handle: u32, key: u32, length: u32, ttl: u64, out: u32| {
                let claimed = with(&mut caller, handle, [key, length], |_, _, at| at.claim(ttl))?;
                let [case, _, _, _, second, ..] = place::<4, 16>(split(&mut caller)?.0, out)?;
                *case = u8::from(claimed.is_err());
                match claimed {
                    Ok(pace_state::Claimed::Yours) => *second = 0,
                    Ok(pace_state::Claimed::Others) => *second = 1,
                    Ok(pace_state::Claimed::Value(value)) => {
                        *second = 2;
                        answer_bytes(&mut caller, out + 8, &value)?;
                    }
                    Err(refused) => *second = refused as u8,
                }
                Ok(())
            },
        )?
        .func("[resource-drop]table", delete::<TableHandle>)?;
    Ok(())
}

/// Uses the table of a handle at a key, for a core module.
fn with<R>(
    caller: &mut Caller<'_>,
    handle: u32,
    [key, length]: [u32; 2],
    use_it: impl FnOnce(&[u8], &mut Meter, At<'_>) -> Result<R>,
) -> Result<R> {
    called(caller)?;
    let (memory, guest) = split(caller)?;
    let (meter, view) = View::of(guest);
    let key = key_at(memory, meter, key, length)?;
    use_it(memory, meter, view.at(&borrowed(handle), key)?)
}

/// A table at a key, now.
struct At<'a> {
    table: &'a Arc<Table>,
    key: &'a [u8],
    now: Now,
    lending: &'a Lending,
}

impl At<'_> {
    fn get(&self) -> Option<Arc<[u8]>> {
        self.table.get(self.key, self.now)
    }

    fn set(&self, value: &[u8], ttl: u64) -> Result<(), TableError> {
        Ok(self.table.set(self.key, value, ttl, self.now)?)
    }

    fn add(&self, value: &[u8], ttl: u64) -> Result<Option<Arc<[u8]>>, TableError> {
        Ok(self.table.add(self.key, value, ttl, self.now)?)
    }

    fn swap(&self, before: Option<&[u8]>, value: &[u8], ttl: u64) -> Result<pace_state::Swapped, TableError> {
        Ok(self.table.swap(self.key, before, value, ttl, self.now)?)
    }

    fn remove(&self) -> bool {
        self.table.remove(self.key, self.claims(), self.now)
    }

    /// The number under which the request has claims, if there is a request and it has any.
    fn claims(&self) -> Option<ClaimId> {
        let facts = self.lending.facts().ok()?;
        facts.state.with_held(|claims: &mut Claims| claims.id())
    }

    fn claim(&self, ttl: u64) -> Result<Result<pace_state::Claimed, TableError>> {
        let state = self.lending.facts()?.state;
        let claim = |claims: &mut Claims| claims.claim(self.table, self.key, ttl, self.now);
        Ok(state.with(claim).map_err(Into::into))
    }
}

impl View<'_> {
    fn open_table(&mut self, name: &str) -> Result<Resource<TableHandle>, OpenError> {
        let table = self.scope.table(name)?;
        self.put(TableHandle(table))
    }

    fn at<'a>(&'a self, handle: &Resource<TableHandle>, key: &'a [u8]) -> Result<At<'a>> {
        Ok(At {
            table: &self.resources.get(handle)?.0,
            key,
            now: self.scope.now(),
            lending: self.lending,
        })
    }
}

impl tables::Host for Metered<'_, View<'_>> {}

impl tables::HostTable for Metered<'_, View<'_>> {
    fn open(&mut self, name: String) -> Result<Result<Resource<TableHandle>, OpenError>> {
        Ok(self.given(name.len())?.open_table(&name))
    }

    fn get(&mut self, table: Resource<TableHandle>, key: Vec<u8>) -> Result<Option<Vec<u8>>> {
        let value = self.given_key(key.len())?.at(&table, &key)?.get();
        Ok(value.as_deref().map(<[u8]>::to_vec))
    }

    fn set(
        &mut self,
        table: Resource<TableHandle>,
        key: Vec<u8>,
        value: Vec<u8>,
        ttl: u64,
    ) -> Result<Result<(), TableError>> {
        self.given_key(key.len())?;
        Ok(self.more(value.len())?.at(&table, &key)?.set(&value, ttl))
    }

    fn add(
        &mut self,
        table: Resource<TableHandle>,
        key: Vec<u8>,
        value: Vec<u8>,
        ttl: u64,
    ) -> Result<Result<Option<Vec<u8>>, TableError>> {
        self.given_key(key.len())?;
        let added = self.more(value.len())?.at(&table, &key)?.add(&value, ttl);
        Ok(added.map(|there| there.as_deref().map(<[u8]>::to_vec)))
    }

    fn swap(
        &mut self,
        table: Resource<TableHandle>,
        key: Vec<u8>,
        before: Option<Vec<u8>>,
        value: Vec<u8>,
        ttl: u64,
    ) -> Result<Result<Swapped, TableError>> {
        self.given_key(key.len())?;
        let view = self.more(before.as_ref().map_or(0, Vec::len) + value.len())?;
        let swapped = view.at(&table, &key)?.swap(before.as_deref(), &value, ttl);
        Ok(swapped.map(|swapped| match swapped {
            pace_state::Swapped::Done => Swapped::Done,
            pace_state::Swapped::Other(there) => Swapped::Other(there.as_deref().map(<[u8]>::to_vec)),
        }))
    }

    fn remove(&mut self, table: Resource<TableHandle>, key: Vec<u8>) -> Result<bool> {
        Ok(self.given_key(key.len())?.at(&table, &key)?.remove())
    }

    fn claim(
        &mut self,
        table: Resource<TableHandle>,
        key: Vec<u8>,
        ttl: u64,
    ) -> Result<Result<Claimed, TableError>> {
        let claimed = self.given_key(key.len())?.at(&table, &key)?.claim(ttl)?;
        Ok(claimed.map(|claimed| match claimed {
            pace_state::Claimed::Yours => Claimed::Yours,
            pace_state::Claimed::Others => Claimed::Others,
            pace_state::Claimed::Value(value) => Claimed::Value(value.to_vec()),
        }))
    }

    fn drop(&mut self, table: Resource<TableHandle>) -> Result<()> {
        self.view()?.resources.delete(table)?;
        Ok(())
    }
}

impl From<pace_state::TableError> for TableError {
    fn from(error: pace_state::TableError) -> TableError {
        match error {
            pace_state::TableError::TooLarge => TableError::TooLarge,
            pace_state::TableError::InvalidArgument => TableError::InvalidArgument,
            pace_state::TableError::TooMany => TableError::TooMany,
        }
    }
}
