//! The kernel's figures about a process.

use anyhow::Result;
use pace_kit::Process;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

/// A started proxy, which ends when this is dropped.
pub(crate) struct Running {
    pub(crate) process: Process,
    /// The address that it listens on.
    pub(crate) listen: SocketAddr,
}

impl Running {
    /// The resident memory now.
    pub(crate) fn memory(&self) -> Result<Memory> {
        let program = fs::read_link(self.process.proc("exe"))?;
        let smaps = fs::read_to_string(self.process.proc("smaps"))?;
        Ok(resident(&smaps, &program.to_string_lossy()))
    }

    /// Whether another process listens on its address, now that it has ended.
    pub(crate) fn has_lost_its_port(&self) -> bool {
        TcpListener::bind(self.listen).is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
    }

    /// The end of its output, for an error.
    pub(crate) fn last_words(&self) -> String {
        last_words(&self.process.stderr())
    }
}

fn last_words(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    let last = lines[lines.len().saturating_sub(5)..].join("\n");
    if last.is_empty() {
        String::new()
    } else {
        format!(". It said:\n{last}")
    }
}

/// Resident memory in KiB, by use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// Pages of the program's file: code, constants, and variables that were changed.
    pub(crate) program: u64,
    /// Pages of the system's libraries.
    pub(crate) libraries: u64,
    /// Code compiled at run time.
    pub(crate) compiled: u64,
    /// Images from which memories of plugins are initialised.
    pub(crate) images: u64,
    /// Heap, stacks, memories of plugins.
    pub(crate) rest: u64,
}

impl Memory {
    /// The sum of all uses.
    pub(crate) fn total(&self) -> u64 {
        self.program + self.libraries + self.compiled + self.images + self.rest
    }
}

fn kibibytes(field: &str) -> Option<u64> {
    field.trim().strip_suffix(" kB")?.parse().ok()
}

/// Sums up `/proc/PID/smaps` of a program.
fn resident(smaps: &str, program: &str) -> Memory {
    let mut memory = Memory::default();
    let mut kind = Kind::Rest;
    for line in smaps.lines() {
        if let Some(size) = line.strip_prefix("Rss:").and_then(kibibytes) {
            *match kind {
                Kind::Program => &mut memory.program,
                Kind::Library => &mut memory.libraries,
                Kind::Compiled => &mut memory.compiled,
                Kind::Image => &mut memory.images,
                Kind::Rest => &mut memory.rest,
            } += size;
        } else if let Some(header) = Kind::of(line, program) {
            kind = header;
        }
    }
    memory
}

enum Kind {
    Program,
    Library,
    Compiled,
    Image,
    Rest,
}

impl Kind {
    /// The use of a mapping; `None` for a line that does not begin one.
    fn of(line: &str, program: &str) -> Option<Kind> {
        let mut words = line.split_whitespace();
        let (start, _) = words.next()?.split_once('-')?;
        u64::from_str_radix(start, 16).ok()?;
        let executable = words.next()?.as_bytes().get(2) == Some(&b'x');
        let file = words.nth(3).unwrap_or_default();
        Some(match file {
            _ if file == program => Kind::Program,
            _ if file.starts_with("/memfd:") => Kind::Image,
            _ if file.starts_with('/') => Kind::Library,
            "" if executable => Kind::Compiled,
            _ => Kind::Rest,
        })
    }
}

/// The owner of a listening socket.
#[derive(Debug, PartialEq)]
pub(super) enum Listener {
    Nobody,
    /// The process in question.
    This,
    Another,
}

/// Finds out who listens on an IPv4 address, seen from a process.
pub(super) fn listener(process: Pid, address: SocketAddr) -> Result<Listener> {
    let sockets = fs::read_to_string("/proc/net/tcp")?;
    let Some(inode) = inode(&sockets, address) else {
        return Ok(Listener::Nobody);
    };
    let wanted = format!("socket:[{inode}]");
    // The process may have ended, and another user's files cannot be read: in both cases it is not the owner.
    let files = fs::read_dir(format!("/proc/{process}/fd"));
    let mut files = files.into_iter().flatten().flatten();
    let is_it =
        files.any(|file| fs::read_link(file.path()).is_ok_and(|target| target.to_string_lossy() == wanted));
    Ok(if is_it { Listener::This } else { Listener::Another })
}

/// The inode of the socket that listens on an address, in `/proc/net/tcp`.
fn inode(sockets: &str, address: SocketAddr) -> Option<&str> {
    /// The kernel's number of the state LISTEN.
    const LISTEN: &str = "0A";
    let SocketAddr::V4(address) = address else {
        return None;
    };
    let local = format!(
        "{:08X}:{:04X}",
        u32::from_ne_bytes(address.ip().octets()),
        address.port()
    );
    sockets.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_it = words.get(1) == Some(&local.as_str()) && words.get(3) == Some(&LISTEN);
        words.get(9).filter(|_| is_it).copied()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_the_last_lines_of_the_output() {
        assert_eq!(last_words(""), "");
        assert_eq!(last_words("1\n2\n3\n4\n5\n6\n"), ". It said:\n2\n3\n4\n5\n6");
    }

    #[test]
    fn memory_is_summed_by_use() {
        let smaps = "\
5581a000-5581b000 r-xp 00000000 fe:00 1 /opt/proxy
Size:                400 kB
Rss:                 100 kB
5582a000-5582b000 rw-p 00001000 fe:00 1 /opt/proxy
Rss:                  20 kB
7f000000-7f001000 r-xp 00000000 fe:00 2 /usr/lib/libc.so.6
Rss:                   7 kB
7f100000-7f101000 r-xp 00000000 00:00 0
Rss:                   5 kB
7f200000-7f201000 rw-p 00000000 00:01 3 /memfd:wasm-memory-image (deleted)
Rss:                   3 kB
7f300000-7f301000 rw-p 00000000 00:00 0
Rss:                1000 kB
7ffd0000-7ffd1000 rw-p 00000000 00:00 0 [stack]
Rss:                  30 kB
VmFlags: rd wr
";
        let memory = Memory {
            program: 120,
            libraries: 7,
            compiled: 5,
            images: 3,
            rest: 1030,
        };
        assert_eq!(resident(smaps, "/opt/proxy"), memory);
        assert_eq!(memory.total(), 1165);
    }

    #[test]
    fn listener_is_found_by_its_address() {
        let sockets = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 0100007F:1F90 0100007F:0016 01 00000000:00000000 00:00000000 00000000     0        0 111 1 0 20 4 30 10 -1\n   \
            1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1 0 100 0 0 10 0\n";
        let find = |address: &str| inode(sockets, address.parse().expect("this is an address"));
        assert_eq!(find("127.0.0.1:8080"), Some("222"));
        assert_eq!(find("127.0.0.1:8081"), None);
        assert_eq!(find("[::1]:8080"), None);
    }
}
