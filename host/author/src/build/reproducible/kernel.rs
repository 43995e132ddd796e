//! The calls of a traced program to the system, and its memory.

use std::io::{self, IoSlice, IoSliceMut};

use nix::sys::ptrace;
use nix::sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev};
use nix::unistd::Pid;

/// A call to the system, as the program made it.
#[derive(Clone, Copy)]
pub(super) struct Call {
    /// As in `libc::SYS_*`.
    pub(super) number: i64,
    pub(super) arguments: [u64; 6],
}

impl Call {
    /// The call at whose beginning a thread has stopped.
    pub(super) fn of(thread: Pid) -> io::Result<Call> {
        let registers = ptrace::getregs(thread)?;
        Ok(Call {
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
}

/// What the call has returned at whose end a thread has stopped: less than 0 is an error.
pub(super) fn returned(thread: Pid) -> io::Result<i64> {
    Ok(ptrace::getregs(thread)?.rax.cast_signed())
}

/// Replaces what the call returns.
pub(super) fn set_returned(thread: Pid, value: i64) -> io::Result<()> {
    let mut registers = ptrace::getregs(thread)?;
    registers.rax = value.cast_unsigned();
    Ok(ptrace::setregs(thread, registers)?)
}

/// Reads memory of a stopped thread, all or nothing.
pub(super) fn read(thread: Pid, address: u64, into: &mut [u8]) -> io::Result<()> {
    let len = into.len();
    let there = [there(address, len)?];
    whole(
        process_vm_readv(thread, &mut [IoSliceMut::new(into)], &there)?,
        len,
    )
}

/// Writes memory of a stopped thread, all or nothing.
pub(super) fn write(thread: Pid, address: u64, from: &[u8]) -> io::Result<()> {
    let there = [there(address, from.len())?];
    whole(
        process_vm_writev(thread, &[IoSlice::new(from)], &there)?,
        from.len(),
    )
}

fn there(address: u64, len: usize) -> io::Result<RemoteIoVec> {
    let base = usize::try_from(address).map_err(io::Error::other)?;
    Ok(RemoteIoVec { base, len })
}

fn whole(done: usize, len: usize) -> io::Result<()> {
    match done == len {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Hides the code with which the kernel tells the time without a call, in a process that has just begun.
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
