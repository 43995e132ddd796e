//! One coding. Each is run on the input at hand until that is taken or the output is full.

use std::io;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use zlib_rs::{Inflate, InflateFlush, Status};
use zstd::stream::raw::{DParameter, Decoder as Zstd, InBuffer, Operation, OutBuffer};

use super::{Coding, DecodeError};

/// The largest window of `deflate`, and what `zlib` wants added for gzip's header and trailer.
const DEFLATE_WINDOW: u8 = 15;
const WITH_GZIP: u8 = 16;

/// The largest window of `zstd` in HTTP, as a power of two (RFC 9659).
const ZSTD_WINDOW: u32 = 23;

/// The members of a gzip body of which nothing is asked. Each has its state made anew, and an empty one takes 20 bytes.
const FREE_MEMBERS: u64 = 256;

/// The bytes that members beyond those have on average: less would cost more than they are worth.
const MEMBER: u64 = 256;

/// The memory of a coding without a window that the body asks for: state, tables, and the window where it is always small.
const SMALL: usize = 64 * 1024;

/// The same for `zstd`: its context, and its buffer for input (`ZSTD_estimateDStreamSize` without the window).
const SMALL_ZSTD: usize = 256 * 1024;

/// The state of a coding in the middle of a body.
pub(super) struct Layer {
    state: State,
    /// Bytes that the state takes, without its window, and those of its largest window so far.
    own: usize,
    window: usize,
    has_begun: bool,
    /// Whether the input so far is complete.
    ended: bool,
    /// Whether the output was full, so that there may be more without further input.
    is_full: bool,
}

enum State {
    Gzip {
        inflate: Inflate,
        members: u64,
        taken: u64,
    },
    /// `None` before the first byte, which tells the two forms apart.
    Deflate(Option<Inflate>),
    Brotli(Box<Brotli>),
    Zstd(Zstd<'static>),
    /// The state could not be made, for lack of memory. It never ends.
    Unusable,
}

type Brotli = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

/// What a step came to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ran {
    pub(super) read: usize,
    pub(super) written: usize,
}

impl Layer {
    pub(super) fn new(coding: Coding) -> Layer {
        let state = match coding {
            Coding::Gzip => State::Gzip {
                inflate: gzip(),
                members: 1,
                taken: 0,
            },
            Coding::Deflate => State::Deflate(None),
            Coding::Brotli => {
                let new = StandardAlloc::default;
                State::Brotli(Box::new(BrotliState::new_strict(new(), new(), new())))
            }
            Coding::Zstd => zstd().map_or(State::Unusable, State::Zstd),
        };
        Layer {
            state,
            own: match coding {
                Coding::Zstd => SMALL_ZSTD,
                Coding::Gzip | Coding::Deflate | Coding::Brotli => SMALL,
            },
            window: 0,
            has_begun: false,
            ended: false,
            is_full: false,
        }
    }

    /// Whether the input so far is complete.
    pub(super) fn is_at_end(&self) -> bool {
        self.ended
    }

    /// Bytes that the state takes.
    pub(super) fn memory(&self) -> usize {
        self.own + self.window
    }

    /// Decodes some of the input into `out`.
    pub(super) fn run(&mut self, input: &[u8], out: &mut [u8]) -> Result<Ran, DecodeError> {
        if input.is_empty() && (!self.is_full || self.ended) {
            return Ok(Ran::default());
        }
        let asked = self.asks_for(input);
        self.has_begun = true;
        let ran = self.state.run(&mut self.ended, input, out)?;
        let window = match &self.state {
            State::Brotli(state) => usize::try_from(state.ringbuffer_size).unwrap_or(0),
            _ => asked,
        };
        self.window = self.window.max(window);
        self.is_full = ran.written == out.len();
        Ok(ran)
    }
}

impl Layer {
    /// The bytes of the window that this input asks for, if it begins something with a window of its own.
    fn asks_for(&self, input: &[u8]) -> usize {
        match &self.state {
            State::Zstd(_) if !self.has_begun => zstd_window(input).unwrap_or(1 << ZSTD_WINDOW),
            // The head of a further frame may come in pieces.
            State::Zstd(_) if self.ended => 1 << ZSTD_WINDOW,
            _ => 0,
        }
    }
}

/// The window of a frame that begins like this (RFC 8878, section 3.1.1.1); `None` if its head is not all there.
fn zstd_window(input: &[u8]) -> Option<usize> {
    let (&descriptor, fields) = input.strip_prefix(&[0x28, 0xb5, 0x2f, 0xfd])?.split_first()?;
    let is_single = descriptor & 0x20 != 0;
    if !is_single {
        let window = fields.first()?;
        let base = 1_usize.checked_shl(10 + u32::from(window >> 3))?;
        return Some((base + base / 8 * usize::from(window & 7)).min(1 << ZSTD_WINDOW));
    }
    // The window is as large as the content, whose size follows the id of a dictionary.
    let id = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let (length, more) = [(1, 0), (2, 256), (4, 0), (8, 0)][usize::from(descriptor >> 6)];
    let size = fields.get(id..id + length)?;
    let size = size
        .iter()
        .rev()
        .fold(0_u64, |size, byte| size << 8 | u64::from(*byte))
        + more;
    Some(usize::try_from(size).unwrap_or(usize::MAX).min(1 << ZSTD_WINDOW))
}

impl State {
    /// Runs the coding. If it is at its end, there is input behind it.
    fn run(&mut self, ended: &mut bool, input: &[u8], out: &mut [u8]) -> Result<Ran, DecodeError> {
        match self {
            State::Gzip {
                inflate,
                members,
                taken,
            } => {
                if *ended {
                    *members += 1;
                    if *members > FREE_MEMBERS + *taken / MEMBER {
                        return Err(DecodeError::Members);
                    }
                    *inflate = gzip();
                    *ended = false;
                }
                let ran = run_inflate(inflate, ended, input, out)?;
                *taken += ran.read as u64;
                Ok(ran)
            }
            State::Deflate(inflate) => {
                if *ended {
                    return Err(DecodeError::Malformed);
                }
                // RFC 1950, section 2.2: the method in the lower half is 8. Without a header these bits would begin a
                // block that is stored, with padding that is not zero, as no encoder makes it.
                let has_header = || input.first().is_some_and(|first| first & 0x0f == 8);
                let inflate = inflate.get_or_insert_with(|| Inflate::new(has_header(), DEFLATE_WINDOW));
                run_inflate(inflate, ended, input, out)
            }
            State::Brotli(state) => {
                if *ended {
                    return Err(DecodeError::Malformed);
                }
                run_brotli(state, ended, input, out)
            }
            State::Zstd(decoder) => {
                let (mut from, mut to) = (InBuffer::around(input), OutBuffer::around(out));
                let hint = decoder.run(&mut from, &mut to);
                *ended = hint.map_err(|_| DecodeError::Malformed)? == 0;
                Ok(Ran {
                    read: from.pos(),
                    written: to.pos(),
                })
            }
            State::Unusable => Err(DecodeError::Malformed),
        }
    }
}

fn gzip() -> Inflate {
    Inflate::new(true, WITH_GZIP + DEFLATE_WINDOW)
}

fn zstd() -> io::Result<Zstd<'static>> {
    let mut decoder = Zstd::new()?;
    decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW))?;
    Ok(decoder)
}

fn run_inflate(
    inflate: &mut Inflate,
    ended: &mut bool,
    input: &[u8],
    out: &mut [u8],
) -> Result<Ran, DecodeError> {
    let (taken, given) = (inflate.total_in(), inflate.total_out());
    let status = inflate.decompress(input, out, InflateFlush::NoFlush);
    match status.map_err(|_| DecodeError::Malformed)? {
        Status::StreamEnd => *ended = true,
        Status::Ok | Status::BufError => {}
    }
    // The differences are lengths of slices.
    Ok(Ran {
        read: (inflate.total_in() - taken) as usize,
        written: (inflate.total_out() - given) as usize,
    })
}

fn run_brotli(
    state: &mut Brotli,
    ended: &mut bool,
    input: &[u8],
    out: &mut [u8],
) -> Result<Ran, DecodeError> {
    let (mut left, mut read, mut room, mut written) = (input.len(), 0, out.len(), 0);
    let mut total = 0;
    let result = BrotliDecompressStream(
        &mut left,
        &mut read,
        input,
        &mut room,
        &mut written,
        out,
        &mut total,
        state,
    );
    match result {
        BrotliResult::ResultSuccess => *ended = true,
        BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
        BrotliResult::ResultFailure => return Err(DecodeError::Malformed),
    }
    Ok(Ran { read, written })
}
