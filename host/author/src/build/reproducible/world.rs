//! The world that a program is told of.
//!
//! componentize-py runs the interpreter in its first thread, and asks for its files in others. Its own runtime, and the Python that
//! it is a module of, ask for random numbers, files and the time before that, each as often as it likes. So that this makes no
//! difference, random numbers are apart by thread and length, and files by the first thread and the others.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use nix::unistd::Pid;
use sha2::{Digest, Sha256};

use super::Settings;
use super::listing::Listing;
use super::statx::Statx;
use super::tracee::{self, Syscall};

/// The syscalls that are answered in every thread.
pub(super) const FILTERED: [i64; 3] = [libc::SYS_getdents64, libc::SYS_getrandom, libc::SYS_statx];

/// The present, and the time of all files: 1980-01-01, the earliest that archives can name. In seconds of Unix time.
const NOW: u64 = 315_532_800;

/// How often the clock can be read before it goes on, so that it stands still however often it was read before a plugin begins.
const STILL: u32 = 10_000;

/// By how much the clock then goes on with each reading: a loop that waits for a time must end.
const TICK: Duration = Duration::from_millis(1);

/// The most bytes that are written for one syscall.
const MOST: usize = 1 << 16;

/// The inode of directories in their own listing.
const ITSELF: u64 = 1;

pub(super) struct World {
    first: Pid,
    settings: Settings,
    /// How often each thread has got random numbers, by their length in bytes.
    draws: HashMap<(Pid, usize), u64>,
    /// How often the clock was read.
    readings: u32,
    /// The inodes of files by whether the first thread asks.
    inodes: [HashMap<File, u64>; 2],
    /// The directories that are being listed, by file descriptor of the program.
    listings: HashMap<u32, Listing>,
    /// The threads that have entered the first getdents64 of a directory.
    begin_listing: HashSet<Pid>,
}

/// A file. An inode is used again when its file is gone.
#[derive(PartialEq, Eq, Hash)]
struct File {
    /// Major and minor.
    device: (u32, u32),
    inode: u64,
    /// Seconds and nanoseconds; zeros where the file system does not keep it.
    birth: (u64, u32),
}

impl File {
    fn of(status: &fs::Metadata) -> File {
        let birth = status
            .created()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        File {
            device: (libc::major(status.dev()), libc::minor(status.dev())),
            inode: status.ino(),
            birth: birth.map_or((0, 0), |birth| (birth.as_secs(), birth.subsec_nanos())),
        }
    }
}

impl World {
    pub(super) fn new(first: Pid, settings: Settings) -> World {
        World {
            first,
            settings,
            draws: HashMap::new(),
            readings: 0,
            inodes: [HashMap::new(), HashMap::new()],
            listings: HashMap::new(),
            begin_listing: HashSet::new(),
        }
    }

    /// A thread has ended, and another may get its number.
    pub(super) fn forget(&mut self, thread: Pid) {
        self.draws.retain(|(drawn_by, _), _| *drawn_by != thread);
        self.begin_listing.remove(&thread);
    }

    /// Takes note that a thread has entered a syscall.
    pub(super) fn entered(&mut self, thread: Pid, syscall: Syscall) -> io::Result<()> {
        if syscall.number == libc::SYS_getdents64 && self.is_program(thread) {
            // Where nothing is open there is no such file, and the syscall fails.
            let info = fs::read_to_string(format!("/proc/{thread}/fdinfo/{}", syscall.int(0)));
            let position = info
                .iter()
                .flat_map(|info| info.lines())
                .find_map(|line| line.strip_prefix("pos:"));
            if position.is_some_and(|position| position.trim() == "0") {
                self.begin_listing.insert(thread);
            }
        }
        Ok(())
    }

    /// Replaces the answer of the system, at the exit of a syscall.
    pub(super) fn answer(&mut self, thread: Pid, syscall: Syscall) -> io::Result<()> {
        let Ok(returned) = usize::try_from(tracee::returned(thread)?) else {
            self.begin_listing.remove(&thread);
            return Ok(());
        };
        let argument = |at: usize| syscall.arguments[at];
        match syscall.number {
            libc::SYS_getrandom => {
                let len = returned.min(MOST);
                tracee::set_returned(thread, len as i64)?;
                tracee::write(thread, argument(0), &self.random(thread, len))
            }
            libc::SYS_statx => {
                let mut status = Statx::default();
                tracee::read(thread, argument(4), &mut status.0)?;
                self.tell(thread, &mut status);
                tracee::write(thread, argument(4), &status.0)
            }
            libc::SYS_clock_gettime if thread == self.first => {
                tracee::write(thread, argument(1), &self.time(syscall.int(0)))
            }
            libc::SYS_getdents64 if self.is_program(thread) => {
                let descriptor = syscall.int(0);
                if self.begin_listing.remove(&thread) {
                    let listing = self.list(thread, descriptor)?;
                    self.listings.insert(descriptor, listing);
                }
                let Some(listing) = self.listings.get_mut(&descriptor) else {
                    return Err(io::Error::other("a directory is listed from its middle"));
                };
                match listing.take((syscall.int(2) as usize).min(MOST)) {
                    Some(entries) => {
                        tracee::write(thread, argument(1), &entries)?;
                        tracee::set_returned(thread, entries.len() as i64)
                    }
                    None => tracee::set_returned(thread, -i64::from(libc::EINVAL)),
                }
            }
            _ => Ok(()),
        }
    }

    /// Whether a thread is one of the program, and not of another that it has started.
    fn is_program(&self, thread: Pid) -> bool {
        thread == self.first || fs::exists(format!("/proc/{}/task/{thread}", self.first)).unwrap_or(false)
    }

    fn random(&mut self, thread: Pid, len: usize) -> Vec<u8> {
        let draws = self.draws.entry((thread, len)).or_default();
        let blocks = (0_u64..).flat_map(|block| {
            let of = [*draws, len as u64, block].map(u64::to_le_bytes).concat();
            let digest = Sha256::new().chain_update(self.settings.seed).chain_update(of);
            <[u8; 32]>::from(digest.finalize())
        });
        let bytes = blocks.take(len).collect();
        *draws += 1;
        bytes
    }

    /// A `struct timespec`.
    fn time(&mut self, clock: u32) -> [u8; 16] {
        self.readings = self.readings.saturating_add(1);
        let begin = match clock.cast_signed() {
            libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE | libc::CLOCK_TAI => Duration::from_secs(NOW),
            _ => Duration::ZERO,
        };
        let time = begin + TICK * self.readings.saturating_sub(STILL);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&time.as_secs().to_ne_bytes());
        bytes[8..].copy_from_slice(&u64::from(time.subsec_nanos()).to_ne_bytes());
        bytes
    }

    /// Replaces what depends on the file system, and leaves what is the file's: kind, rights, owner and size.
    fn tell(&mut self, thread: Pid, status: &mut Statx) {
        let inode = self.inode(
            thread,
            File {
                device: (status.u32(Statx::MAJOR), status.u32(Statx::MINOR)),
                inode: status.u64(Statx::INODE),
                birth: (status.u64(Statx::BIRTH), status.u32(Statx::BIRTH + 8)),
            },
        );
        status.set(Statx::INODE, inode.to_ne_bytes());
        status.set(Statx::MAJOR, 0_u32.to_ne_bytes());
        status.set(Statx::MINOR, 1_u32.to_ne_bytes());
        status.set(Statx::LINKS, 1_u32.to_ne_bytes());
        status.set(Statx::BLOCK_SIZE, 4096_u32.to_ne_bytes());
        for field in [Statx::BLOCKS, Statx::ATTRIBUTES, Statx::ATTRIBUTES_MASK] {
            status.set(field, 0_u64.to_ne_bytes());
        }
        if status.is_directory() {
            status.set(Statx::SIZE, 0_u64.to_ne_bytes());
        }
        for time in Statx::TIMES {
            status.set(time, NOW.to_ne_bytes());
            status.set(time + 8, 0_u32.to_ne_bytes());
        }
    }

    /// Files are counted as they are first seen.
    fn inode(&mut self, thread: Pid, file: File) -> u64 {
        let inodes = &mut self.inodes[usize::from(thread == self.first)];
        let next = ITSELF + 1 + inodes.len() as u64;
        *inodes.entry(file).or_insert(next)
    }

    /// Reads a directory, to tell it by name: the system tells it in an order of its own.
    fn list(&mut self, thread: Pid, descriptor: u32) -> io::Result<Listing> {
        let path = PathBuf::from(format!("/proc/{thread}/fd/{descriptor}"));
        let directory = fs::read_link(&path)?;
        let mut files = Vec::new();
        for entry in fs::read_dir(&path)? {
            let entry = entry?;
            if (self.settings.hidden)(&directory, &entry.file_name()) {
                continue;
            }
            match entry.metadata() {
                Ok(status) => files.push((entry.file_name(), status)),
                // It is gone by now.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        files.sort_by(|(a, _), (b, _)| a.cmp(b));
        let files = files.into_iter().map(|(name, status)| {
            let inode = self.inode(thread, File::of(&status));
            (name, inode, status.file_type())
        });
        Ok(Listing::new(ITSELF, files))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Pid = Pid::from_raw(1);
    const OTHER: Pid = Pid::from_raw(2);

    fn world(seed: u8) -> World {
        let settings = Settings {
            seed: [seed; 32],
            hidden: Box::new(|_, _| false),
        };
        World::new(FIRST, settings)
    }

    #[test]
    fn random_numbers_depend_on_the_seed_and_on_what_the_thread_has_had_of_the_length() {
        let mut one = world(7);
        let drawn = [one.random(FIRST, 40), one.random(FIRST, 40)];
        assert_ne!(drawn[0], drawn[1]);
        assert_eq!(drawn[0].len(), 40);
        let mut another = world(7);
        // Another thread comes in between, and another length.
        another.random(OTHER, 40);
        another.random(FIRST, 8);
        assert_eq!([another.random(FIRST, 40), another.random(FIRST, 40)], drawn);
        assert_ne!(world(8).random(FIRST, 40), drawn[0]);
    }

    #[test]
    fn clock_stands_still_and_goes_on_for_who_waits() {
        let mut world = world(0);
        let time = |time: [u8; 16]| {
            let [seconds, nanoseconds] = [0, 8].map(|at| time[at..].first_chunk().expect("it is there"));
            (u64::from_ne_bytes(*seconds), u64::from_ne_bytes(*nanoseconds))
        };
        for _ in 0..STILL / 2 {
            assert_eq!(time(world.time(0)), (NOW, 0));
            assert_eq!(time(world.time(1)), (0, 0));
        }
        assert_eq!(time(world.time(0)), (NOW, 1_000_000));
        for _ in 0..1500 {
            world.time(1);
        }
        assert_eq!(time(world.time(1)), (1, 502_000_000));
    }

    #[test]
    fn files_are_counted_and_an_inode_used_again_is_another_file() {
        let mut world = world(0);
        let mut told = |thread: Pid, inode: u64, birth: u64, kind: u32| {
            let mut status = Statx::default();
            status.set(Statx::INODE, inode.to_ne_bytes());
            status.set(Statx::BIRTH, birth.to_ne_bytes());
            status.set(Statx::SIZE, 4096_u64.to_ne_bytes());
            let mode = u16::try_from(kind | 0o644).expect("it has 16 bits");
            status.set(std::mem::offset_of!(libc::statx, stx_mode), mode.to_ne_bytes());
            world.tell(thread, &mut status);
            assert_eq!(status.u64(Statx::BIRTH), NOW);
            (status.u64(Statx::INODE), status.u64(Statx::SIZE))
        };
        assert_eq!(told(OTHER, 90, 5, libc::S_IFREG), (2, 4096));
        // The first thread has a count of its own, and the size of a directory is the file system's.
        assert_eq!(told(FIRST, 80, 5, libc::S_IFDIR), (2, 0));
        assert_eq!(told(OTHER, 91, 5, libc::S_IFDIR), (3, 0));
        assert_eq!(told(OTHER, 90, 5, libc::S_IFREG), (2, 4096));
        assert_eq!(told(OTHER, 90, 6, libc::S_IFREG), (4, 4096));
    }
}
