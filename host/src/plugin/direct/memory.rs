//! The canonical ABI: values in and out of a plugin's memory.
//!
//! Every offset and length comes from the plugin and may be anything; what is not inside its memory, or not
//! aligned, is an error, and an error is a trap.

use std::mem;

use smallvec::SmallVec;
use wasmtime::{AsContextMut, Memory, Result, TypedFunc, bail, ensure, format_err};

use super::super::guest::Guest;

/// The instance that called a host function.
pub(in super::super) type Caller<'a> = wasmtime::Caller<'a, Guest>;

/// How values get into and out of an instance.
pub(in super::super) struct Exchange {
    pub(super) memory: Memory,
    pub(super) realloc: Realloc,
}

/// `cabi_realloc`: old place, old size, alignment, new size.
type Allocator = TypedFunc<(u32, u32, u32, u32), u32>;

/// How the plugin allocates memory for what the host gives it.
pub(super) enum Realloc {
    /// It does not.
    Missing,
    /// With this function.
    Ready(Allocator),
    /// The function runs, and gets no values of the host meanwhile.
    Running,
}

/// Counts a call of a host function, for those who want to know what a plugin costs.
pub(in super::super) fn called<'a>(caller: &'a mut Caller<'_>) -> &'a mut Guest {
    let guest = caller.data_mut();
    guest.calls_out += 1;
    guest
}

/// The memory and the state of an instance, at the same time.
pub(in super::super) fn split(
    store: &mut impl AsContextMut<Data = Guest>,
) -> Result<(&mut [u8], &mut Guest)> {
    let context = store.as_context_mut();
    let exchange = context.data().exchange.as_ref();
    let exchange =
        exchange.ok_or_else(|| format_err!("a host function was called while the instance starts"))?;
    ensure!(
        !matches!(exchange.realloc, Realloc::Running),
        "a host function was called while the plugin allocates memory for another's result"
    );
    let memory = exchange.memory;
    Ok(memory.data_and_store_mut(context))
}

/// The bytes at this place.
pub(in super::super) fn bytes(memory: &[u8], at: u32, length: u32) -> Result<&[u8]> {
    let found = memory
        .get(at as usize..)
        .and_then(|rest| rest.get(..length as usize));
    found.ok_or_else(|| outside(at, length))
}

/// The text at this place.
pub(in super::super) fn text(memory: &[u8], at: u32, length: u32) -> Result<&str> {
    std::str::from_utf8(bytes(memory, at, length)?)
        .map_err(|error| format_err!("the string at {at:#x} is not UTF-8: {error}"))
}

/// Writes a value of `N` bytes, aligned to `ALIGN`, to this place.
pub(in super::super) fn put<const ALIGN: u32, const N: usize>(
    memory: &mut [u8],
    at: u32,
    value: [u8; N],
) -> Result<()> {
    ensure!(
        at.is_multiple_of(ALIGN),
        "{at:#x} is not aligned to {ALIGN} bytes"
    );
    let place = memory
        .get_mut(at as usize..)
        .and_then(|rest| rest.first_chunk_mut());
    *place.ok_or_else(|| outside(at, N as u32))? = value;
    Ok(())
}

/// Has the plugin allocate.
fn allocate(store: &mut impl AsContextMut<Data = Guest>, size: u32, align: u32) -> Result<u32> {
    if size == 0 {
        return Ok(align);
    }
    let realloc = match replace_realloc(store, Realloc::Running) {
        Some(Realloc::Ready(realloc)) => realloc,
        _ => bail!("the plugin exports no `cabi_realloc` to receive values with"),
    };
    // If it traps, the instance is dropped, and nothing has to be put back.
    let at = realloc.call(store.as_context_mut(), (0, 0, align, size))?;
    replace_realloc(store, Realloc::Ready(realloc));
    ensure!(
        at.is_multiple_of(align),
        "`cabi_realloc` returned {at:#x}, which is not aligned to {align} bytes"
    );
    Ok(at)
}

fn replace_realloc(store: &mut impl AsContextMut<Data = Guest>, realloc: Realloc) -> Option<Realloc> {
    let mut context = store.as_context_mut();
    let exchange = context.data_mut().exchange.as_mut()?;
    Some(mem::replace(&mut exchange.realloc, realloc))
}

/// Copies bytes into the plugin's memory. Says where they are.
pub(super) fn give(store: &mut impl AsContextMut<Data = Guest>, value: &[u8]) -> Result<[u32; 2]> {
    let length = length(value.len())?;
    let at = allocate(store, length, 1)?;
    let (memory, _) = split(store)?;
    let place = memory
        .get_mut(at as usize..)
        .and_then(|rest| rest.get_mut(..value.len()));
    place.ok_or_else(|| outside(at, length))?.copy_from_slice(value);
    Ok([at, length])
}

/// Place and length as they are in memory.
fn pair([at, length]: [u32; 2]) -> [u8; 8] {
    (u64::from(at) | u64::from(length) << 32).to_le_bytes()
}

/// A copy of what is lent, on the stack if it is short: while the plugin allocates, nothing can be borrowed
/// from it.
type Copied = SmallVec<[u8; 128]>;

/// See [`Copied`].
pub(in super::super) fn copied(value: impl AsRef<[u8]>) -> Copied {
    Copied::from_slice(value.as_ref())
}

/// Answers with a `string` or `list<u8>`.
pub(in super::super) fn answer_bytes(caller: &mut Caller<'_>, out: u32, value: &[u8]) -> Result<()> {
    let place = give(caller, value)?;
    put::<4, 8>(split(caller)?.0, out, pair(place))
}

/// Answers with an `option` of one.
pub(in super::super) fn answer_option(caller: &mut Caller<'_>, out: u32, value: Option<&[u8]>) -> Result<()> {
    let mut answer = [0; 12];
    if let Some(value) = value {
        answer[0] = 1;
        answer[4..].copy_from_slice(&pair(give(caller, value)?));
    }
    put::<4, 12>(split(caller)?.0, out, answer)
}

/// Answers with a `list` whose elements are made of `N` strings or `list<u8>` each.
pub(in super::super) fn answer_list<const N: usize>(
    caller: &mut Caller<'_>,
    out: u32,
    list: &[[Copied; N]],
) -> Result<()> {
    let size = length(list.len())?.checked_mul(N as u32 * 8);
    let start = allocate(
        caller,
        size.ok_or_else(|| format_err!("the list is too long"))?,
        4,
    )?;
    let mut at = start;
    for part in list.iter().flatten() {
        let place = give(caller, part)?;
        put::<4, 8>(split(caller)?.0, at, pair(place))?;
        at = after(at, 8)?;
    }
    put::<4, 8>(split(caller)?.0, out, pair([start, length(list.len())?]))
}

/// Answers with a `result` whose both sides fit in a byte.
pub(in super::super) fn answer_small(
    caller: &mut Caller<'_>,
    out: u32,
    result: std::result::Result<u8, u8>,
) -> Result<()> {
    let answer = match result {
        Ok(value) => [0, value],
        Err(value) => [1, value],
    };
    put::<1, 2>(split(caller)?.0, out, answer)
}

fn length(length: usize) -> Result<u32> {
    u32::try_from(length).map_err(|_| format_err!("{length} bytes do not fit in a plugin's memory"))
}

#[cold]
fn outside(at: u32, length: u32) -> wasmtime::Error {
    format_err!("{length} bytes at {at:#x} are outside the plugin's memory")
}

/// Reads what a hook returned.
pub(super) struct Reader<'m> {
    memory: &'m [u8],
    /// Bytes that may still be copied out of the memory. Lists that overlap count each time, so that a
    /// small memory cannot stand for a large result.
    left: usize,
}

impl<'m> Reader<'m> {
    pub(super) fn new(memory: &'m [u8], left: usize) -> Reader<'m> {
        Reader { memory, left }
    }

    pub(super) fn byte(&self, at: u32) -> Result<u8> {
        Ok(bytes(self.memory, at, 1)?[0])
    }

    pub(super) fn short(&self, at: u32) -> Result<u16> {
        let found = bytes(self.memory, at, 2)?;
        Ok(u16::from_le_bytes([found[0], found[1]]))
    }

    pub(super) fn number(&self, at: u32) -> Result<u32> {
        let found = bytes(self.memory, at, 4)?;
        Ok(u32::from_le_bytes([found[0], found[1], found[2], found[3]]))
    }

    /// The `list<u8>` whose place and length are here.
    pub(super) fn list(&mut self, at: u32) -> Result<Vec<u8>> {
        let found = bytes(self.memory, self.number(at)?, self.number(after(at, 4)?)?)?;
        self.spend(found.len())?;
        Ok(found.to_vec())
    }

    /// The `string` whose place and length are here.
    pub(super) fn string(&mut self, at: u32) -> Result<String> {
        let found = text(self.memory, self.number(at)?, self.number(after(at, 4)?)?)?;
        self.spend(found.len())?;
        Ok(found.to_owned())
    }

    /// Takes from what may be copied.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<()> {
        let left = self.left.checked_sub(bytes);
        self.left = left.ok_or_else(|| format_err!("the result is larger than the memory limit"))?;
        Ok(())
    }
}

/// A place so many bytes further on.
pub(super) fn after(at: u32, bytes: u32) -> Result<u32> {
    at.checked_add(bytes).ok_or_else(|| outside(at, bytes))
}
