//! The meter in front of host functions that a component calls. For a core module that runs by itself, `direct::called`
//! and the functions that read its memory measure the same.

use wasmtime::Result;

use super::super::meter::Meter;

/// A view that is out of reach until the call has been measured.
pub(super) struct Metered<'a, V> {
    meter: &'a mut Meter,
    view: V,
}

impl<'a, V> Metered<'a, V> {
    pub(super) fn new(meter: &'a mut Meter, view: V) -> Metered<'a, V> {
        Metered { meter, view }
    }

    /// The view for a function that was handed neither text nor list.
    pub(super) fn view(&mut self) -> Result<&mut V> {
        self.given(0)
    }

    /// The view for a function that was handed so many bytes, which the component model's runtime has copied.
    pub(super) fn given(&mut self, bytes: usize) -> Result<&mut V> {
        self.meter.called()?;
        self.meter.take(bytes)?;
        Ok(&mut self.view)
    }

    /// The view for the same function, which was handed so many bytes more.
    pub(super) fn more(&mut self, bytes: usize) -> Result<&mut V> {
        self.meter.take(bytes)?;
        Ok(&mut self.view)
    }

    /// The view for a function that was handed a key of so many bytes.
    pub(super) fn given_key(&mut self, bytes: usize) -> Result<&mut V> {
        self.meter.called()?;
        self.meter.take_key(bytes)?;
        Ok(&mut self.view)
    }
}
