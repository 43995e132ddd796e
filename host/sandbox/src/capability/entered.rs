//! What a component passes on its way to a host function. A core module that runs by itself passes the same in
//! `direct::called` and where its memory is read.

use wasmtime::Result;

use super::super::meter::Meter;

/// A view that nobody gets at before the call was measured.
pub(super) struct Entered<'a, V> {
    meter: &'a mut Meter,
    view: V,
}

impl<'a, V> Entered<'a, V> {
    pub(super) fn new(meter: &'a mut Meter, view: V) -> Entered<'a, V> {
        Entered { meter, view }
    }

    /// For a function that was handed no text and no list.
    pub(super) fn view(&mut self) -> Result<&mut V> {
        self.given(0)
    }

    /// For a function that was handed so many bytes, which the component model's runtime has copied.
    pub(super) fn given(&mut self, bytes: usize) -> Result<&mut V> {
        self.meter.called()?;
        self.meter.take(bytes)?;
        Ok(&mut self.view)
    }

    /// The same if they are a key.
    pub(super) fn given_key(&mut self, bytes: usize) -> Result<&mut V> {
        self.meter.called()?;
        self.meter.take_key(bytes)?;
        Ok(&mut self.view)
    }
}
