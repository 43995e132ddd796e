//! The status of a file.

use std::mem::offset_of;

/// A `struct statx` of statx(2), whose fields are named by their offsets.
pub(super) struct Statx(pub(super) [u8; size_of::<libc::statx>()]);

impl Default for Statx {
    fn default() -> Statx {
        Statx([0; size_of::<libc::statx>()])
    }
}

impl Statx {
    pub(super) const ATTRIBUTES: usize = offset_of!(libc::statx, stx_attributes);
    pub(super) const ATTRIBUTES_MASK: usize = offset_of!(libc::statx, stx_attributes_mask);
    pub(super) const BIRTH: usize = offset_of!(libc::statx, stx_btime);
    pub(super) const BLOCKS: usize = offset_of!(libc::statx, stx_blocks);
    pub(super) const BLOCK_SIZE: usize = offset_of!(libc::statx, stx_blksize);
    pub(super) const INODE: usize = offset_of!(libc::statx, stx_ino);
    pub(super) const LINKS: usize = offset_of!(libc::statx, stx_nlink);
    pub(super) const MAJOR: usize = offset_of!(libc::statx, stx_dev_major);
    pub(super) const MINOR: usize = offset_of!(libc::statx, stx_dev_minor);
    const MODE: usize = offset_of!(libc::statx, stx_mode);
    pub(super) const SIZE: usize = offset_of!(libc::statx, stx_size);
    /// Each is 8 bytes of seconds and 4 of nanoseconds.
    pub(super) const TIMES: [usize; 4] = [
        offset_of!(libc::statx, stx_atime),
        Statx::BIRTH,
        offset_of!(libc::statx, stx_ctime),
        offset_of!(libc::statx, stx_mtime),
    ];

    pub(super) fn u64(&self, field: usize) -> u64 {
        u64::from_ne_bytes(self.get(field))
    }

    pub(super) fn u32(&self, field: usize) -> u32 {
        u32::from_ne_bytes(self.get(field))
    }

    pub(super) fn is_directory(&self) -> bool {
        u32::from(u16::from_ne_bytes(self.get(Statx::MODE))) & libc::S_IFMT == libc::S_IFDIR
    }

    pub(super) fn set<const N: usize>(&mut self, field: usize, value: [u8; N]) {
        self.0[field..field + N].copy_from_slice(&value);
    }

    fn get<const N: usize>(&self, field: usize) -> [u8; N] {
        std::array::from_fn(|at| self.0[field + at])
    }
}
