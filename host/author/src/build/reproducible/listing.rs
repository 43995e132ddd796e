//! The entries of a directory in the order of their names.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;

/// The entries that have not been told yet, the next one last.
#[derive(Debug)]
pub(super) struct Listing(Vec<Entry>);

/// An entry, as in `struct linux_dirent64` of getdents64(2).
#[derive(Debug)]
struct Entry {
    inode: u64,
    /// As in `libc::DT_*`.
    kind: u8,
    name: Vec<u8>,
}

impl Listing {
    /// A directory with these files, their names in order.
    pub(super) fn new(itself: u64, files: impl Iterator<Item = (OsString, u64, fs::FileType)>) -> Listing {
        let itself = [b".".as_slice(), b".."].map(|name| Entry {
            inode: itself,
            kind: libc::DT_DIR,
            name: name.to_owned(),
        });
        let files = files.map(|(name, inode, of)| Entry {
            inode,
            kind: kind(of),
            name: name.into_vec(),
        });
        let mut entries: Vec<Entry> = itself.into_iter().chain(files).collect();
        entries.reverse();
        Listing(entries)
    }

    /// Takes as many entries as there is room for. `None` if there is none for the next.
    ///
    /// A program that goes back to a place in the directory (telldir(3)) gets what is left.
    pub(super) fn take(&mut self, room: usize) -> Option<Vec<u8>> {
        /// The length of inode, offset, length and kind.
        const HEAD: usize = 19;
        let mut bytes = Vec::new();
        while let Some(entry) = self.0.last() {
            let len = (HEAD + entry.name.len() + 1).next_multiple_of(8);
            if bytes.len() + len > room {
                return (!bytes.is_empty()).then_some(bytes);
            }
            let end = bytes.len() + len;
            bytes.extend_from_slice(&entry.inode.to_ne_bytes());
            // The offset: how many are left.
            bytes.extend_from_slice(&(self.0.len() as u64 - 1).to_ne_bytes());
            bytes.extend_from_slice(&u16::try_from(len).ok()?.to_ne_bytes());
            bytes.push(entry.kind);
            bytes.extend_from_slice(&entry.name);
            bytes.resize(end, 0);
            self.0.pop();
        }
        Some(bytes)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listing_is_told_in_as_many_pieces_as_it_needs() {
        let file = fs::metadata("Cargo.toml")
            .expect("it is the package's")
            .file_type();
        let files = ["a", "bbbb", "ccccc"].map(|name| (name.into(), 3, file));
        let mut left = Listing::new(1, files.into_iter());
        assert_eq!(left.take(23), None);
        let piece = left.take(48).expect("there is room for two");
        assert_eq!(
            (piece.len(), &piece[19..21], &piece[24 + 19..24 + 22]),
            (48, &b".\0"[..], &b"..\0"[..])
        );
        let piece = left.take(55).expect("there is room for two");
        assert_eq!(piece.len(), 24 + 24);
        assert_eq!(&piece[16..18], 24_u16.to_ne_bytes());
        assert_eq!(&piece[18..21], [libc::DT_REG, b'a', 0]);
        assert_eq!(&piece[24 + 19..], b"bbbb\0");
        let piece = left.take(55).expect("there is room for one");
        assert_eq!((piece.len(), &piece[19..25]), (32, &b"ccccc\0"[..]));
        assert_eq!(left.take(55), Some(Vec::new()));
    }
}
