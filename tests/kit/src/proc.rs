//! What the kernel knows of a process.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::Process;

impl Process {
    /// A file that the kernel has about it: `/proc/PID/NAME`.
    pub fn proc(&self, name: &str) -> PathBuf {
        format!("/proc/{}/{name}", self.pid()).into()
    }

    /// The processor time that its threads have used so far, in user mode and in the kernel.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        let mut total = 0;
        for thread in fs::read_dir(self.proc("task"))? {
            let schedstat = fs::read_to_string(thread?.path().join("schedstat"))?;
            total += run_nanoseconds(&schedstat).ok_or(io::ErrorKind::InvalidData)?;
        }
        Ok(Duration::from_nanos(total))
    }

    /// The memory that is resident now, in bytes.
    pub fn resident(&self) -> io::Result<u64> {
        self.status("VmRSS:")
    }

    /// The most memory that was resident at any time, in bytes.
    pub fn peak_resident(&self) -> io::Result<u64> {
        self.status("VmHWM:")
    }

    /// How many files and sockets it has open.
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

/// A size in a `/proc/PID/status`, which has it in KiB.
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
