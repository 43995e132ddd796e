//! Values whose memory is used again.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::thread::LocalKey;

/// A value that was lent by its thread and goes back there, with the memory that it holds.
#[derive(Debug)]
pub struct Recycled<T: Recycle>(Option<Box<T>>);

/// Something that can be used again.
pub trait Recycle: Sized + 'static {
    /// Forgets everything but memory that is worth to be kept.
    fn recycle(&mut self);
    /// A new one.
    fn make() -> Self;
    /// Those of this thread that nobody uses.
    fn free() -> &'static LocalKey<Free<Self>>;
}

/// Values of a thread that nobody uses.
#[derive(Debug)]
pub struct Free<T>(RefCell<Vec<Box<T>>>);

impl<T> Free<T> {
    /// None.
    pub const fn new() -> Free<T> {
        Free(RefCell::new(Vec::new()))
    }
}

impl<T> Default for Free<T> {
    fn default() -> Free<T> {
        Free::new()
    }
}

/// How many a thread keeps.
const KEPT: usize = 64;

impl<T: Recycle> Recycled<T> {
    /// One that is as good as new.
    pub fn take() -> Recycled<T> {
        let free = T::free().with(|free| free.0.borrow_mut().pop());
        Recycled(Some(free.unwrap_or_else(|| Box::new(T::make()))))
    }
}

impl<T: Recycle> Deref for Recycled<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0
            .as_ref()
            .expect("it is taken when it is dropped, and not before")
    }
}

impl<T: Recycle> DerefMut for Recycled<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0
            .as_mut()
            .expect("it is taken when it is dropped, and not before")
    }
}

impl<T: Recycle> Drop for Recycled<T> {
    fn drop(&mut self) {
        let Some(mut value) = self.0.take() else { return };
        value.recycle();
        // When a thread ends its list may be gone before its values are.
        let _ = T::free().try_with(|free| {
            let mut free = free.0.borrow_mut();
            if free.len() < KEPT {
                free.push(value);
            }
        });
    }
}
