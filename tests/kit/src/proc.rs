//! The kernel's figures about a process.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::Process;

impl Process {
    /// The path of a file that the kernel has about the process: `/proc/PID/NAME`.
    pub fn proc(&self, name: &str) -> PathBuf {
        format!("/proc/{}/{name}", self.pid()).into()
    }

    /// The processor time that the process's threads have used so far, in user mode and in the kernel.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        let mut total = 0;
        for thread in fs::read_dir(self.proc("task"))? {
            let schedstat = fs::read_to_string(thread?.path().join("schedstat"))?;
            total += run_nanoseconds(&schedstat).ok_or(io::ErrorKind::InvalidData)?;
        }
        Ok(Duration::from_nanos(total))
    }

    /// The resident memory now, in bytes.
    pub fn resident(&self) -> io::Result<u64> {
        self.status("VmRSS:")
    }

    /// The largest resident memory so far, in bytes.
    pub fn peak_resident(&self) -> io::Result<u64> {
        self.status("VmHWM:")
    }

    /// The number of open files and sockets.
    pub fn descriptors(&self) -> io::Result<usize> {
        Ok(fs::read_dir(self.proc("fd"))?.count())
    }

    fn status(&self, field: &str) -> io::Result<u64> {
        let status = fs::read_to_string(self.proc("status"))?;
        bytes(&status, field).ok_or(io::ErrorKind::InvalidData.into())
    }
}

/// The first number of a `schedstat`: time on a core (proc_pid_schedstat(5)).
fn run_nanoseconds(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

/// A size from `/proc/PID/status`, which gives it in KiB.
fn bytes(status: &str, field: &str) -> Option<u64> {
    let size = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: u64 = size.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_kernel_are_read() {
        assert_eq!(run_nanoseconds("1234567 89 3\n"), Some(1_234_567));
        let status = "VmPeak:\t  20000 kB\nVmHWM:\t    3124 kB\nVmRSS:\t 9 kB\n";
        assert_eq!(bytes(status, "VmHWM:"), Some(3124 * 1024));
        assert_eq!(bytes(status, "VmRSS:"), Some(9 * 1024));
        assert_eq!(bytes(status, "VmSwap:"), None);
    }
}
