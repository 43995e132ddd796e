//! The canonical ABI: values in and out of a plugin's memory.
//!
//! Every offset and length comes from the plugin and may be anything; a place that is not inside its memory, or not
//! aligned, is an error, and an error is a trap.

use smallvec::SmallVec;
use wasmtime::{AsContextMut, Memory, Result, TypedFunc, ensure, format_err};

use super::super::guest::Guest;
use super::super::meter::{Exceeded, Meter};
use pace_config::Limits;

/// The instance that called a host function.
pub(in super::super) type Caller<'a> = wasmtime::Caller<'a, Guest>;

/// The exports of an instance by which values get into and out of its memory.
pub(in super::super) struct CanonicalAbi {
    pub(super) memory: Memory,
    /// The function by which the plugin allocates memory for values of the host, if it has one. Taken out while it runs.
    pub(super) realloc: Option<Realloc>,
    /// The plugin allocates memory for the host, or frees a result. The canonical ABI lets it call nothing of the host
    /// meanwhile, so no host function is ever entered twice.
    pub(super) serves_host: bool,
}

/// The type of `cabi_realloc`: it takes the old place, the old size, the alignment and the new size.
pub(super) type Realloc = TypedFunc<(u32, u32, u32, u32), u32>;

/// The state of an instance, for a host function that does not need the plugin's memory. Every host function begins with
/// this, with [`guest_mut`] or with [`split`].
pub(in super::super) fn guest<'a>(caller: &'a Caller<'_>) -> Result<&'a Guest> {
    may_call(caller.data())?;
    Ok(caller.data())
}

/// The state of an instance, for changing it.
pub(in super::super) fn guest_mut<'a>(caller: &'a mut Caller<'_>) -> Result<&'a mut Guest> {
    may_call(caller.data())?;
    Ok(caller.data_mut())
}

/// Counts a call of a host function. An error ends a call whose time is over.
pub(in super::super) fn called(caller: &mut Caller<'_>) -> Result<()> {
    caller.data_mut().meter.called()
}

/// The memory and the state of an instance, at the same time.
pub(in super::super) fn split<'a>(caller: &'a mut Caller<'_>) -> Result<(&'a mut [u8], &'a mut Guest)> {
    may_call(caller.data())?;
    memory(caller)
}

fn may_call(guest: &Guest) -> Result<()> {
    let serves_host = guest.abi.as_ref().is_some_and(|abi| abi.serves_host);
    ensure!(
        !serves_host,
        "a host function was called while the plugin allocates memory for the host or frees a result"
    );
    Ok(())
}

/// The memory and the state of an instance, for accesses that the host makes by itself; see [`split`].
pub(super) fn memory(store: &mut impl AsContextMut<Data = Guest>) -> Result<(&mut [u8], &mut Guest)> {
    let context = store.as_context_mut();
    let memory = context.data().abi.as_ref().map(|abi| abi.memory);
    let memory = memory.ok_or_else(not_started)?;
    Ok(memory.data_and_store_mut(context))
}

fn with_abi<T>(
    store: &mut impl AsContextMut<Data = Guest>,
    change: impl FnOnce(&mut CanonicalAbi) -> T,
) -> Result<T> {
    let mut context = store.as_context_mut();
    let abi = context.data_mut().abi.as_mut();
    Ok(change(abi.ok_or_else(not_started)?))
}

#[cold]
fn not_started() -> wasmtime::Error {
    format_err!("a host function that needs the plugin's memory was called while the instance starts")
}

/// Lets the plugin do something for the host, during which it may call nothing of the host. After an error the flag
/// stays set: the instance is dropped.
pub(super) fn served<S: AsContextMut<Data = Guest>, T>(
    store: &mut S,
    run: impl FnOnce(&mut S) -> Result<T>,
) -> Result<T> {
    with_abi(store, |abi| abi.serves_host = true)?;
    let done = run(store)?;
    with_abi(store, |abi| abi.serves_host = false)?;
    Ok(done)
}

fn inside(memory: &[u8], at: u32, length: u32) -> Result<&[u8]> {
    let found = memory
        .get(at as usize..)
        .and_then(|rest| rest.get(..length as usize));
    found.ok_or_else(|| outside(at, length.into()))
}

/// The bytes at this place, counted as handed to a host function.
pub(in super::super) fn bytes<'m>(
    memory: &'m [u8],
    meter: &mut Meter,
    at: u32,
    length: u32,
) -> Result<&'m [u8]> {
    let found = inside(memory, at, length)?;
    meter.take(found.len())?;
    Ok(found)
}

/// The bytes at this place, counted as the key of a window.
pub(in super::super) fn key<'m>(
    memory: &'m [u8],
    meter: &mut Meter,
    at: u32,
    length: u32,
) -> Result<&'m [u8]> {
    let found = inside(memory, at, length)?;
    meter.take_key(found.len())?;
    Ok(found)
}

/// The longest text that is read, in bytes. No name and no target is longer, and of longer log lines only the beginning
/// is written.
pub(in super::super) const LONGEST_TEXT: usize = 64 << 10;

/// The text at this place, or `None`, without reading it, if it is longer than any text that means something.
pub(in super::super) fn text_if_short<'m>(
    memory: &'m [u8],
    meter: &mut Meter,
    at: u32,
    length: u32,
) -> Result<Option<&'m str>> {
    let found = bytes(memory, meter, at, length)?;
    match found.len() <= LONGEST_TEXT {
        true => utf8(found, at).map(Some),
        false => Ok(None),
    }
}

/// The text at this place.
pub(in super::super) fn text<'m>(
    memory: &'m [u8],
    meter: &mut Meter,
    at: u32,
    length: u32,
) -> Result<&'m str> {
    utf8(bytes(memory, meter, at, length)?, at)
}

/// The text at this place, cut to the length that may be of use.
pub(in super::super) fn text_start<'m>(
    memory: &'m [u8],
    meter: &mut Meter,
    at: u32,
    length: u32,
) -> Result<&'m str> {
    let all = bytes(memory, meter, at, length)?;
    let Some(mut start) = all.get(..LONGEST_TEXT) else {
        return utf8(all, at);
    };
    // A character that is cut in two is left out.
    if let Err(error) = std::str::from_utf8(start)
        && error.error_len().is_none()
    {
        start = &start[..error.valid_up_to()];
    }
    utf8(start, at)
}

/// A few texts of a plugin.
pub(in super::super) type Texts<'m> = SmallVec<[&'m str; 8]>;

/// The `list<string>` at this place, or `None` if it has more than `MOST`. All of it is read, as the component model's
/// runtime does: a list that holds no text is an error however long it is.
pub(in super::super) fn texts_if_few<'m, const MOST: usize>(
    memory: &'m [u8],
    meter: &mut Meter,
    at: u32,
    count: u32,
) -> Result<Option<Texts<'m>>> {
    let mut texts = Texts::new();
    let places = elements::<4, 8>(memory, at, count)?;
    for place in places {
        let [at, length] = pair(*place);
        let text = utf8(bytes(memory, meter, at, length)?, at)?;
        if texts.len() < MOST {
            texts.push(text);
        }
    }
    Ok((places.len() <= MOST).then_some(texts))
}

/// The `list<f64>` at this place, or `None`, without reading it, if it has more than `MOST`.
pub(in super::super) fn numbers_if_few<const MOST: usize>(
    memory: &[u8],
    at: u32,
    count: u32,
) -> Result<Option<SmallVec<[f64; 16]>>> {
    let numbers = elements::<8, 8>(memory, at, count)?;
    let read = || numbers.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
    Ok((numbers.len() <= MOST).then(read))
}

/// The elements of a list, of `N` bytes and aligned to `ALIGN`.
fn elements<const ALIGN: u32, const N: usize>(memory: &[u8], at: u32, count: u32) -> Result<&[[u8; N]]> {
    aligned(at, ALIGN)?;
    let found = memory
        .get(at as usize..)
        .and_then(|rest| rest.as_chunks().0.get(..count as usize));
    found.ok_or_else(|| outside(at, u64::from(count) * N as u64))
}

fn utf8(bytes: &[u8], at: u32) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| format_err!("the string at {at:#x} is not UTF-8: {error}"))
}

/// The place of a value of `N` bytes that is aligned to `ALIGN`, for writing the bytes that mean something. Padding stays
/// as it is.
pub(in super::super) fn place<const ALIGN: u32, const N: usize>(
    memory: &mut [u8],
    at: u32,
) -> Result<&mut [u8; N]> {
    aligned(at, ALIGN)?;
    let place = memory
        .get_mut(at as usize..)
        .and_then(|rest| rest.first_chunk_mut());
    place.ok_or_else(|| outside(at, N as u64))
}

fn aligned(at: u32, align: u32) -> Result<()> {
    ensure!(
        at.is_multiple_of(align),
        "{at:#x} is not aligned to {align} bytes"
    );
    Ok(())
}

/// Lets the plugin allocate. Returns its memory and the place, which is inside and aligned. The caller writes there next,
/// and looking up the memory again would take longer than most of what is done with it.
fn allocate(store: &mut impl AsContextMut<Data = Guest>, size: u32, align: u32) -> Result<(&mut [u8], u32)> {
    let realloc = with_abi(store, |abi| abi.realloc.take())?;
    let realloc =
        realloc.ok_or_else(|| format_err!("the plugin exports no `cabi_realloc` to receive values with"))?;
    let at = served(store, |store| {
        realloc.call(store.as_context_mut(), (0, 0, align, size))
    })?;
    with_abi(store, |abi| abi.realloc = Some(realloc))?;
    ensure!(
        at.is_multiple_of(align),
        "`cabi_realloc` returned {at:#x}, which is not aligned to {align} bytes"
    );
    let (memory, _) = memory(store)?;
    inside(memory, at, size)
        .map_err(|error| format_err!("`cabi_realloc` returned what it does not have: {error}"))?;
    Ok((memory, at))
}

/// Copies bytes into the plugin's memory. Returns their place and length.
pub(super) fn give(store: &mut impl AsContextMut<Data = Guest>, value: &[u8]) -> Result<[u32; 2]> {
    let (_, given) = give_in(store, value)?;
    Ok(given)
}

/// Copies bytes into the plugin's memory. Returns the memory too.
fn give_in<'a>(
    store: &'a mut impl AsContextMut<Data = Guest>,
    value: &[u8],
) -> Result<(&'a mut [u8], [u32; 2])> {
    let length = length(value.len())?;
    let (memory, at) = allocate(store, length, 1)?;
    memory[at as usize..][..value.len()].copy_from_slice(value);
    Ok((memory, [at, length]))
}

/// A copy of a lent value, on the stack if it is short. While the plugin allocates, nothing can be borrowed from its
/// state, and everything lent is part of that.
type Copied = SmallVec<[u8; 128]>;

/// Copies a lent value; see [`Copied`].
pub(in super::super) fn copied(value: impl AsRef<[u8]>) -> Copied {
    Copied::from_slice(value.as_ref())
}

/// Answers with a `string` or `list<u8>`. Here and below, the place of the answer itself is checked before anything is
/// written and before the plugin is asked to allocate.
pub(in super::super) fn answer_bytes(caller: &mut Caller<'_>, out: u32, value: &[u8]) -> Result<()> {
    place::<4, 8>(memory(caller)?.0, out)?;
    let (memory, given) = give_in(caller, value)?;
    put_pair(memory, out, given)
}

/// Answers with a `list<u8>` that is copied once, since nothing can change it while the plugin allocates.
pub(in super::super) fn answer_bytes_of(
    caller: &mut Caller<'_>,
    out: u32,
    of: impl Fn(&Guest) -> Result<&[u8]>,
) -> Result<()> {
    place::<4, 8>(memory(caller)?.0, out)?;
    let length = length(of(guest(caller)?)?.len())?;
    let (_, at) = allocate(caller, length, 1)?;
    let (memory, guest) = memory(caller)?;
    memory[at as usize..][..length as usize].copy_from_slice(of(guest)?);
    put_pair(memory, out, [at, length])
}

/// Answers with an `option` of a `string` or `list<u8>`.
pub(in super::super) fn answer_option(caller: &mut Caller<'_>, out: u32, value: Option<&[u8]>) -> Result<()> {
    let answer = place::<4, 12>(memory(caller)?.0, out)?;
    answer[0] = u8::from(value.is_some());
    let Some(value) = value else {
        return Ok(());
    };
    let (memory, given) = give_in(caller, value)?;
    put_pair(memory, out + 4, given)
}

/// Answers with a `list` whose elements consist of `N` strings or `list<u8>` each.
pub(in super::super) fn answer_list<const N: usize>(
    caller: &mut Caller<'_>,
    out: u32,
    list: &[[Copied; N]],
) -> Result<()> {
    place::<4, 8>(memory(caller)?.0, out)?;
    let size = length(list.len() * N * 8)?;
    let (_, start) = allocate(caller, size, 4)?;
    let places = (0..size).step_by(8).map(|offset| start + offset);
    for (at, part) in places.zip(list.iter().flatten()) {
        answer_bytes(caller, at, part)?;
    }
    put_pair(memory(caller)?.0, out, [start, length(list.len())?])
}

/// Writes a place and a length as they are in memory.
fn put_pair(memory: &mut [u8], out: u32, [at, length]: [u32; 2]) -> Result<()> {
    let pair = u64::from(at) | u64::from(length) << 32;
    *place::<4, 8>(memory, out)? = pair.to_le_bytes();
    Ok(())
}

/// Answers with a `result` whose sides are a byte or nothing.
pub(in super::super) fn answer_result(
    memory: &mut [u8],
    out: u32,
    result: std::result::Result<Option<u8>, u8>,
) -> Result<()> {
    let answer = place::<1, 2>(memory, out)?;
    answer[0] = u8::from(result.is_err());
    if let Ok(Some(value)) | Err(value) = result {
        answer[1] = value;
    }
    Ok(())
}

fn length(length: usize) -> Result<u32> {
    u32::try_from(length).map_err(|_| format_err!("{length} bytes do not fit in a plugin's memory"))
}

#[cold]
fn outside(at: u32, length: u64) -> wasmtime::Error {
    format_err!("{length} bytes at {at:#x} are outside the plugin's memory")
}

/// Reads the results of a hook. Nothing is copied before all of a result has been measured.
pub(in super::super) struct Reader<'m> {
    memory: &'m [u8],
    pub(super) limits: &'m Limits,
    /// Bytes that may still be copied out of the memory. Lists that overlap count each time, so that a
    /// small memory cannot stand for a large result.
    left: usize,
    largest: usize,
}

impl<'m> Reader<'m> {
    pub(super) fn new(memory: &'m [u8], guest: &'m Guest) -> Reader<'m> {
        let (limits, largest) = (&guest.generation.limits, guest.meter.largest_copy);
        Reader {
            memory,
            limits,
            left: largest,
            largest,
        }
    }

    /// The `N` bytes of a value that is aligned to `ALIGN`.
    pub(super) fn area<const ALIGN: u32, const N: usize>(&self, at: u32) -> Result<&'m [u8; N]> {
        aligned(at, ALIGN)?;
        let found = self.memory.get(at as usize..).and_then(|rest| rest.first_chunk());
        found.ok_or_else(|| outside(at, N as u64))
    }

    /// The `list<u8>` that has this place and length. The caller checks that it is not too long to be copied.
    pub(super) fn found(&self, [at, length]: [u32; 2]) -> Result<&'m [u8]> {
        inside(self.memory, at, length)
    }

    /// The `list<u8>` that has this place and length.
    pub(super) fn list(&mut self, [at, length]: [u32; 2]) -> Result<&'m [u8]> {
        let found = inside(self.memory, at, length)?;
        self.spend(found.len())?;
        Ok(found)
    }

    /// The `string` that has this place and length.
    pub(super) fn string(&mut self, [at, length]: [u32; 2]) -> Result<&'m str> {
        utf8(self.list([at, length])?, at)
    }

    /// The elements of a `list`, of `N` bytes and aligned to `ALIGN`. A copy of each takes `copy` bytes.
    pub(super) fn elements<const ALIGN: u32, const N: usize>(
        &mut self,
        [at, count]: [u32; 2],
        copy: usize,
    ) -> Result<&'m [[u8; N]]> {
        let found = elements::<ALIGN, N>(self.memory, at, count)?;
        self.spend(found.len().saturating_mul(copy))?;
        Ok(found)
    }

    /// Counts bytes that will be copied.
    ///
    /// # Errors
    ///
    /// The result has more bytes than may be copied.
    fn spend(&mut self, bytes: usize) -> Result<()> {
        let left = self.left.checked_sub(bytes);
        let largest = self.largest;
        self.left = left
            .ok_or_else(|| Exceeded::Result(format!("it returned more than {largest} bytes altogether")))?;
        Ok(())
    }
}

/// The place and length that these bytes stand for.
pub(super) fn pair(bytes: [u8; 8]) -> [u32; 2] {
    let number = u64::from_le_bytes(bytes);
    [number as u32, (number >> 32) as u32]
}

/// Two pairs of place and length.
pub(super) fn pairs(bytes: [u8; 16]) -> [[u32; 2]; 2] {
    let number = u128::from_le_bytes(bytes);
    [number as u64, (number >> 64) as u64].map(|half| pair(half.to_le_bytes()))
}
