//! Recycles values together with their memory.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::thread::LocalKey;

/// A value that returns to its thread when it is dropped, with the memory that it holds.
#[derive(Debug)]
pub struct Recycled<T: Recycle>(Option<Box<T>>);

/// A type whose values can be used again.
pub trait Recycle: Sized + 'static {
    /// Clears the value. It keeps memory that is worth keeping.
    fn recycle(&mut self);
    /// Makes a new value.
    fn make() -> Self;
    /// The unused values of this thread.
    fn free() -> &'static LocalKey<Free<Self>>;
}

/// The unused values of a thread.
#[derive(Debug)]
pub struct Free<T>(RefCell<Vec<Box<T>>>);

impl<T> Free<T> {
    /// An empty list.
    pub const fn new() -> Free<T> {
        Free(RefCell::new(Vec::new()))
    }
}

impl<T> Default for Free<T> {
    fn default() -> Free<T> {
        Free::new()
    }
}

/// The most unused values that a thread keeps.
const KEPT: usize = 64;

impl<T: Recycle> Recycled<T> {
    /// Takes an unused value, or makes one.
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
        // When a thread ends, its list may be dropped before its values.
        let _ = T::free().try_with(|free| {
            let mut free = free.0.borrow_mut();
            if free.len() < KEPT {
                free.push(value);
            }
        });
    }
}
