//! What a program is told of the world.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use nix::unistd::Pid;
use sha2::{Digest, Sha256};

use super::Settings;
use super::kernel::{self, Call};
use super::statx::Statx;

/// The calls that are answered in every thread.
pub(super) const CALLS: [i64; 3] = [libc::SYS_getdents64, libc::SYS_getrandom, libc::SYS_statx];

/// When it is, and when all files were made: 1980-01-01, the earliest time that archives can name. In seconds of Unix time.
const NOW: u64 = 315_532_800;

/// How long the time stands still between two readings of the clock: a loop that waits for a time must end.
const TICK: Duration = Duration::from_millis(1);

/// The most random bytes that one call returns.
const MOST_RANDOM: usize = 1 << 16;

/// The most bytes of directory entries that one call returns.
const MOST_LISTED: usize = 1 << 16;

pub(super) struct World {
    first: Pid,
    settings: Settings,
    /// The number of blocks of random bytes that each thread has had. Threads take turns as they like, so none may depend on others.
    drawn: HashMap<Pid, u64>,
    /// The time since the program began.
    elapsed: Duration,
    files: HashMap<File, u64>,
    /// What is left to be told of directories, the next entry last, by descriptor of the program.
    listings: HashMap<u64, Vec<Entry>>,
}

/// What is a file of its own: a number is used again when its file is gone.
#[derive(PartialEq, Eq, Hash)]
struct File {
    /// Major and minor.
    device: (u32, u32),
    inode: u64,
    /// Seconds and nanoseconds; zeros where the file system does not keep it.
    birth: (u64, u32),
}

/// An entry of a directory, as in `struct linux_dirent64` of getdents64(2).
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    name: Vec<u8>,
    number: u64,
    /// As in `libc::DT_*`.
    kind: u8,
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
            drawn: HashMap::new(),
            elapsed: Duration::ZERO,
            files: HashMap::new(),
            listings: HashMap::new(),
        }
    }

    /// A thread has ended, and another may get its number.
    pub(super) fn forget(&mut self, thread: Pid) {
        self.drawn.remove(&thread);
    }

    /// Takes note of a call that begins.
    pub(super) fn begin(&mut self, thread: Pid, call: Call) -> io::Result<()> {
        if call.number == libc::SYS_getdents64 && self.is_program(thread) {
            self.open_listing(thread, call.arguments[0])?;
        }
        Ok(())
    }

    /// Replaces what the system has answered, at the end of a call.
    pub(super) fn answer(&mut self, thread: Pid, call: Call) -> io::Result<()> {
        let returned = kernel::returned(thread)?;
        if returned < 0 {
            return Ok(());
        }
        let argument = |at: usize| call.arguments[at];
        match call.number {
            libc::SYS_getrandom => {
                let len = usize::try_from(returned)
                    .map_err(io::Error::other)?
                    .min(MOST_RANDOM);
                kernel::set_returned(thread, len as i64)?;
                kernel::write(thread, argument(0), &self.random(thread, len))
            }
            libc::SYS_statx => {
                let mut file = Statx::default();
                kernel::read(thread, argument(4), &mut file.0)?;
                self.tell_file(&mut file);
                kernel::write(thread, argument(4), &file.0)
            }
            libc::SYS_clock_gettime if thread == self.first => {
                kernel::write(thread, argument(1), &self.time(argument(0)))
            }
            libc::SYS_epoll_wait if thread == self.first && returned == 0 => {
                // It has waited as long as it wanted to: that long has passed.
                self.elapsed += Duration::from_millis((argument(3) as u32).into());
                Ok(())
            }
            libc::SYS_getdents64 if self.is_program(thread) => {
                let room = usize::try_from(argument(2))
                    .map_err(io::Error::other)?
                    .min(MOST_LISTED);
                let listing = self.listings.entry(argument(0)).or_default();
                match next_entries(listing, room) {
                    Some(entries) => {
                        kernel::write(thread, argument(1), &entries)?;
                        kernel::set_returned(thread, entries.len() as i64)
                    }
                    None => kernel::set_returned(thread, -i64::from(libc::EINVAL)),
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
        let drawn = self.drawn.entry(thread).or_default();
        let mut bytes = Vec::with_capacity(len + 32);
        while bytes.len() < len {
            let block = Sha256::new()
                .chain_update(self.settings.seed)
                .chain_update(drawn.to_le_bytes());
            bytes.extend_from_slice(&block.finalize());
            *drawn += 1;
        }
        bytes.truncate(len);
        bytes
    }

    /// A `struct timespec`.
    fn time(&mut self, clock: u64) -> [u8; 16] {
        self.elapsed += TICK;
        let begin = match i32::try_from(clock) {
            Ok(libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE | libc::CLOCK_TAI) => {
                Duration::from_secs(NOW)
            }
            _ => Duration::ZERO,
        };
        let time = begin + self.elapsed;
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&time.as_secs().to_ne_bytes());
        bytes[8..].copy_from_slice(&u64::from(time.subsec_nanos()).to_ne_bytes());
        bytes
    }

    /// Replaces what depends on the file system, and leaves what is the file's: kind, rights, owner and size.
    fn tell_file(&mut self, file: &mut Statx) {
        let number = self.number(File {
            device: (file.u32(Statx::MAJOR), file.u32(Statx::MINOR)),
            inode: file.u64(Statx::INODE),
            birth: (file.u64(Statx::BIRTH), file.u32(Statx::BIRTH + 8)),
        });
        file.set(Statx::INODE, number.to_ne_bytes());
        file.set(Statx::MAJOR, 0_u32.to_ne_bytes());
        file.set(Statx::MINOR, 1_u32.to_ne_bytes());
        file.set(Statx::LINKS, 1_u32.to_ne_bytes());
        file.set(Statx::BLOCK_SIZE, 4096_u32.to_ne_bytes());
        for field in [Statx::BLOCKS, Statx::ATTRIBUTES, Statx::ATTRIBUTES_MASK] {
            file.set(field, 0_u64.to_ne_bytes());
        }
        if file.is_directory() {
            file.set(Statx::SIZE, 0_u64.to_ne_bytes());
        }
        for time in Statx::TIMES {
            file.set(time, NOW.to_ne_bytes());
            file.set(time + 8, 0_u32.to_ne_bytes());
        }
    }

    /// Files are counted as they are first seen.
    fn number(&mut self, file: File) -> u64 {
        let next = self.files.len() as u64 + 1;
        *self.files.entry(file).or_insert(next)
    }

    /// Reads a directory whose listing begins, to tell it by name: the system tells it in an order of its own.
    fn open_listing(&mut self, thread: Pid, descriptor: u64) -> io::Result<()> {
        let Ok(info) = fs::read_to_string(format!("/proc/{thread}/fdinfo/{descriptor}")) else {
            // No open file: the call will say so.
            return Ok(());
        };
        let position = info.lines().find_map(|line| line.strip_prefix("pos:"));
        if position.is_none_or(|position| position.trim() != "0") {
            return Ok(());
        }
        let path = PathBuf::from(format!("/proc/{thread}/fd/{descriptor}"));
        let Ok(directory) = fs::read_dir(&path) else {
            // No directory, or one that cannot be read.
            return Ok(());
        };
        let whole = fs::read_link(&path)?;
        let mut files = Vec::new();
        for entry in directory {
            let entry = entry?;
            if (self.settings.hidden)(&whole, &entry.file_name()) {
                continue;
            }
            // A file that is gone by now is not there.
            let Ok(status) = entry.metadata() else { continue };
            files.push((entry.file_name(), status));
        }
        files.sort_by(|(a, _), (b, _)| a.cmp(b));
        let itself = |name: &[u8]| Entry {
            name: name.to_owned(),
            number: 1,
            kind: libc::DT_DIR,
        };
        let mut entries = vec![itself(b"."), itself(b"..")];
        for (name, status) in files {
            entries.push(Entry {
                name: name.into_vec(),
                number: self.number(File::of(&status)),
                kind: kind(status.file_type()),
            });
        }
        entries.reverse();
        self.listings.insert(descriptor, entries);
        Ok(())
    }
}

fn kind(of: fs::FileType) -> u8 {
    match of {
        of if of.is_dir() => libc::DT_DIR,
        of if of.is_file() => libc::DT_REG,
        of if of.is_symlink() => libc::DT_LNK,
        _ => libc::DT_UNKNOWN,
    }
}

/// Takes as many entries as there is room for, as `struct linux_dirent64`. `None` if there is none for the next.
fn next_entries(listing: &mut Vec<Entry>, room: usize) -> Option<Vec<u8>> {
    /// What is before the name: inode, offset, length and kind.
    const HEAD: usize = 19;
    let mut bytes = Vec::new();
    while let Some(entry) = listing.last() {
        let len = (HEAD + entry.name.len() + 1).next_multiple_of(8);
        if bytes.len() + len > room {
            return (!bytes.is_empty()).then_some(bytes);
        }
        let end = bytes.len() + len;
        bytes.extend_from_slice(&entry.number.to_ne_bytes());
        // Where the next one is: how many are left.
        bytes.extend_from_slice(&(listing.len() as u64 - 1).to_ne_bytes());
        bytes.extend_from_slice(&u16::try_from(len).ok()?.to_ne_bytes());
        bytes.push(entry.kind);
        bytes.extend_from_slice(&entry.name);
        bytes.resize(end, 0);
        listing.pop();
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(seed: u8) -> World {
        let settings = Settings {
            seed: [seed; 32],
            hidden: Box::new(|_, _| false),
        };
        World::new(Pid::from_raw(1), settings)
    }

    #[test]
    fn random_numbers_depend_on_the_seed_and_on_what_the_thread_has_had() {
        let (one, other) = (Pid::from_raw(1), Pid::from_raw(2));
        let mut first = world(7);
        let drawn = [first.random(one, 40), first.random(one, 40)];
        assert_ne!(drawn[0], drawn[1]);
        assert_eq!(drawn[0].len(), 40);
        let mut second = world(7);
        // Another thread comes in between.
        assert_eq!(second.random(other, 40), drawn[0]);
        assert_eq!([second.random(one, 40), second.random(one, 40)], drawn);
        assert_ne!(world(8).random(one, 40), drawn[0]);
    }

    #[test]
    fn clocks_go_on_with_each_reading() {
        let mut world = world(0);
        let seconds = |time: [u8; 16]| u64::from_ne_bytes(*time.first_chunk().expect("it is longer"));
        assert_eq!(seconds(world.time(0)), NOW);
        let nanoseconds = world.time(1)[8..].to_owned();
        assert_eq!(nanoseconds, 2_000_000_u64.to_ne_bytes());
        for _ in 0..1000 {
            world.time(1);
        }
        assert_eq!(seconds(world.time(0)), NOW + 1);
    }

    #[test]
    fn files_are_counted_and_a_number_used_again_is_another_file() {
        let mut world = world(0);
        let mut told = |inode: u64, birth: u64, kind: u32| {
            let mut file = Statx::default();
            file.set(Statx::INODE, inode.to_ne_bytes());
            file.set(Statx::BIRTH, birth.to_ne_bytes());
            file.set(Statx::SIZE, 4096_u64.to_ne_bytes());
            let mode = u16::try_from(kind | 0o644).expect("it has 16 bits");
            file.set(std::mem::offset_of!(libc::statx, stx_mode), mode.to_ne_bytes());
            world.tell_file(&mut file);
            assert_eq!(file.u64(Statx::BIRTH), NOW);
            (file.u64(Statx::INODE), file.u64(Statx::SIZE))
        };
        assert_eq!(told(90, 5, libc::S_IFREG), (1, 4096));
        // The size of a directory is the file system's.
        assert_eq!(told(91, 5, libc::S_IFDIR), (2, 0));
        assert_eq!(told(90, 5, libc::S_IFREG), (1, 4096));
        assert_eq!(told(90, 6, libc::S_IFREG), (3, 4096));
    }

    #[test]
    fn listing_is_told_in_as_many_pieces_as_it_needs() {
        let entry = |name: &str| Entry {
            name: name.into(),
            number: 3,
            kind: libc::DT_REG,
        };
        let mut left = vec![entry("ccccc"), entry("bbbb"), entry("a")];
        assert_eq!(next_entries(&mut left, 23), None);
        let piece = next_entries(&mut left, 55).expect("there is room for two");
        assert_eq!(piece.len(), 24 + 24);
        assert_eq!(&piece[16..18], 24_u16.to_ne_bytes());
        assert_eq!(&piece[18..21], [libc::DT_REG, b'a', 0]);
        assert_eq!(&piece[24 + 19..], b"bbbb\0");
        let piece = next_entries(&mut left, 55).expect("there is room for one");
        assert_eq!(&piece[19..25], b"ccccc\0");
        assert_eq!(piece.len(), 32);
        assert_eq!(next_entries(&mut left, 55), Some(Vec::new()));
    }
}
