//! A stopped thread of a traced program: its syscall, its memory, and its way on.

use std::io::{self, IoSlice, IoSliceMut};
use std::ptr;

use nix::sys::ptrace;
use nix::sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev};
use nix::unistd::Pid;

/// A syscall, as it was entered.
#[derive(Clone, Copy)]
pub(super) struct Syscall {
    /// As in `libc::SYS_*`.
    pub(super) number: i64,
    pub(super) arguments: [u64; 6],
}

/// How far a thread runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// To the next syscall that the filter names.
    Filtered,
    /// To the next entry or exit of any syscall.
    Syscall,
}

impl Syscall {
    /// The syscall in which a thread has stopped.
    pub(super) fn of(thread: Pid) -> io::Result<Syscall> {
        let registers = ptrace::getregs(thread)?;
        Ok(Syscall {
            number: registers.orig_rax.cast_signed(),
            arguments: [
                registers.rdi,
                registers.rsi,
                registers.rdx,
                registers.r10,
                registers.r8,
                registers.r9,
            ],
        })
    }

    /// An argument of 32 bits. The kernel does not look at the others, in which there may be anything.
    pub(super) fn int(&self, at: usize) -> u32 {
        self.arguments[at] as u32
    }
}

/// The value that a syscall returns, at its exit: less than 0 is an error.
pub(super) fn returned(thread: Pid) -> io::Result<i64> {
    Ok(ptrace::getregs(thread)?.rax.cast_signed())
}

/// Replaces the value that a syscall returns, at its exit.
pub(super) fn set_returned(thread: Pid, value: i64) -> io::Result<()> {
    let mut registers = ptrace::getregs(thread)?;
    registers.rax = value.cast_unsigned();
    Ok(ptrace::setregs(thread, registers)?)
}

/// Lets a stopped thread run, with a signal that it gets, or 0.
pub(super) fn resume(thread: Pid, until: Until, signal: i32) -> io::Result<()> {
    let request = match until {
        Until::Filtered => libc::PTRACE_CONT,
        Until::Syscall => libc::PTRACE_SYSCALL,
    };
    // nix knows no real-time signals, of which threads may get some.
    let no_address = ptr::null_mut::<libc::c_void>();
    // SAFETY: neither request reads or writes memory of this process: the last argument is a number.
    let done = unsafe { libc::ptrace(request, thread.as_raw(), no_address, signal as libc::c_long) };
    checked(done)
}

/// Lets a stopped thread get all signals, whatever it had blocked.
pub(super) fn unblock_signals(thread: Pid) -> io::Result<()> {
    // As the kernel has it, and not the larger one of the C library.
    let nothing = 0_u64;
    // SAFETY: the kernel reads as many bytes from the last argument as the one before says, which is the size of `nothing`.
    let done = unsafe {
        libc::ptrace(
            libc::PTRACE_SETSIGMASK,
            thread.as_raw(),
            size_of_val(&nothing),
            &raw const nothing,
        )
    };
    checked(done)
}

fn checked(done: libc::c_long) -> io::Result<()> {
    match done {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Reads memory of a stopped thread, all or nothing.
pub(super) fn read(thread: Pid, address: u64, into: &mut [u8]) -> io::Result<()> {
    let (len, base) = (into.len(), address as usize);
    let remote = [RemoteIoVec { base, len }];
    all(
        process_vm_readv(thread, &mut [IoSliceMut::new(into)], &remote)?,
        len,
    )
}

/// Writes memory of a stopped thread, all or nothing.
pub(super) fn write(thread: Pid, address: u64, from: &[u8]) -> io::Result<()> {
    let (len, base) = (from.len(), address as usize);
    let remote = [RemoteIoVec { base, len }];
    all(process_vm_writev(thread, &[IoSlice::new(from)], &remote)?, len)
}

fn all(done: usize, len: usize) -> io::Result<()> {
    match done == len {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Hides the vDSO, by which a program reads the clock without a syscall, from one that has just been executed.
///
/// It is named in the auxiliary vector (getauxval(3)), which lies on the stack behind arguments and environment.
pub(super) fn hide_vdso(process: Pid) -> io::Result<()> {
    const WORD: u64 = 8;
    let word = |address| {
        let mut bytes = [0; 8];
        read(process, address, &mut bytes).map(|()| u64::from_ne_bytes(bytes))
    };
    let arguments = ptrace::getregs(process)?.rsp;
    // The count, the arguments, and a null.
    let mut address = arguments + WORD * (word(arguments)? + 2);
    while word(address)? != 0 {
        address += WORD;
    }
    address += WORD;
    loop {
        match word(address)? {
            libc::AT_NULL => return Ok(()),
            libc::AT_SYSINFO_EHDR => return write(process, address, &libc::AT_IGNORE.to_ne_bytes()),
            _ => address += 2 * WORD,
        }
    }
}
