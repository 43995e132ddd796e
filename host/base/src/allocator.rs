//! What becomes of a process that gets no more memory.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicI32, Ordering};

/// An allocator that ends the process with an exit code when it has no more memory, if that was
/// [asked for](end_when_out_of_memory). Otherwise its callers find out, which abort as a rule.
pub struct OrEnd<A>(pub A);

/// The exit code; 0 if the process does not end.
static CODE: AtomicI32 = AtomicI32::new(0);

/// From now on the process ends with this code when it gets no more memory, and whoever waits for it knows why.
/// Needs an [`OrEnd`] as the global allocator.
pub fn end_when_out_of_memory(code: u8) {
    CODE.store(code.into(), Ordering::Relaxed);
}

#[cold]
fn out_of_memory() {
    let code = CODE.load(Ordering::Relaxed);
    if code != 0 {
        // SAFETY: it takes any number, and ends the process at once: nothing runs after it that could find something
        // half done.
        unsafe { libc::_exit(code) }
    }
}

fn checked(memory: *mut u8) -> *mut u8 {
    if memory.is_null() {
        out_of_memory();
    }
    memory
}

// SAFETY: every call is passed on as it is to an allocator, with all that its caller had to see to, and so is what it
// returns.
unsafe impl<A: GlobalAlloc> GlobalAlloc for OrEnd<A> {
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
