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

/// The memory of a coding with a small window: state, window and tables.
const SMALL: usize = 64 * 1024;

/// The state of a coding in the middle of a body.
pub(super) struct Layer {
    state: State,
    /// Bytes that the state takes, as far as the body has told.
    memory: usize,
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
            memory: SMALL,
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
        self.memory
    }

    /// Decodes some of the input into `out`.
    pub(super) fn run(&mut self, input: &[u8], out: &mut [u8]) -> Result<Ran, DecodeError> {
        if input.is_empty() && (!self.is_full || self.ended) {
            return Ok(Ran::default());
        }
        let before = self.window(input);
        let ran = self.state.run(&mut self.ended, input, out)?;
        let window = match &self.state {
            State::Brotli(state) => usize::try_from(state.ringbuffer_size).unwrap_or(0),
            _ => before,
        };
        self.memory = self.memory.max(SMALL + window);
        self.is_full = ran.written == out.len();
        Ok(ran)
    }
}

impl Layer {
    /// The bytes of the window that this input asks for, if it begins something with a window of its own.
    fn window(&self, input: &[u8]) -> usize {
        match &self.state {
            State::Zstd(_) if self.memory == SMALL => zstd_window(input),
            // The head of a further frame may come in pieces.
            State::Zstd(_) if self.ended => 1 << ZSTD_WINDOW,
            _ => 0,
        }
    }
}

/// The window of a frame that begins like this (RFC 8878, section 3.1.1.1), or the largest if that does not tell.
fn zstd_window(input: &[u8]) -> usize {
    const LARGEST: usize = 1 << ZSTD_WINDOW;
    let &[0x28, 0xb5, 0x2f, 0xfd, descriptor, window, ..] = input else {
        return LARGEST;
    };
    let has_window = descriptor & 0x20 == 0;
    if !has_window {
        // The window is as large as the content, whose size may have up to eight bytes.
        return match descriptor >> 6 {
            0 if descriptor & 3 == 0 => usize::from(window).max(1),
            _ => LARGEST,
        };
    }
    let base = 1_usize
        .checked_shl(10 + u32::from(window >> 3))
        .unwrap_or(LARGEST);
    (base + base / 8 * usize::from(window & 7)).min(LARGEST)
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
