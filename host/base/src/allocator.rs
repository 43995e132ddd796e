//! The global allocator, and how the process ends when memory runs out.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicI32, Ordering};

/// An allocator that ends the process with an exit code when no memory is left, after
/// [`end_when_out_of_memory`]. Otherwise the caller gets a null pointer, and as a rule aborts.
pub struct OutOfMemoryExit<A>(pub A);

/// The exit code; 0 if the process does not end.
static CODE: AtomicI32 = AtomicI32::new(0);

/// Makes the process end with this code when it gets no more memory, so that its parent knows why. Needs an
/// [`OutOfMemoryExit`] as the global allocator.
pub fn end_when_out_of_memory(code: u8) {
    CODE.store(code.into(), Ordering::Relaxed);
}

#[cold]
fn out_of_memory() {
    let code = CODE.load(Ordering::Relaxed);
    if code != 0 {
        // SAFETY: `_exit` takes any number and ends the process at once: nothing runs after it that could see
        // half-done work.
        unsafe { libc::_exit(code) }
    }
}

fn checked(memory: *mut u8) -> *mut u8 {
    if memory.is_null() {
        out_of_memory();
    }
    memory
}

// SAFETY: every call is passed on unchanged to an allocator, with all that its caller guarantees, and so is
// the result.
unsafe impl<A: GlobalAlloc> GlobalAlloc for OutOfMemoryExit<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps to the rules of the same function.
        checked(unsafe { self.0.alloc(layout) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps to the rules of the same function, and `memory` came from the same allocator.
        unsafe { self.0.dealloc(memory, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps to the rules of the same function.
        checked(unsafe { self.0.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller keeps to the rules of the same function, and `memory` came from the same allocator.
        checked(unsafe { self.0.realloc(memory, layout, size) })
    }
}
