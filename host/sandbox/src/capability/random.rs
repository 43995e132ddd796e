//! `random`: random numbers.

use wasmtime::component::{HasData, Linker};
use wasmtime::{Result, ensure};

use super::super::bindings::pace::plugin::random;
use super::super::direct::{Caller, Interface, answer_bytes, called, guest};
use super::super::guest::Guest;
use super::metered::Metered;
use pace_state::Entropy;

/// The most bytes that are asked for at once.
const MOST: u32 = 64 << 10;

struct View<'a>(&'a Entropy);

struct Random;

impl HasData for Random {
    type Data<'a> = Metered<'a, View<'a>>;
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    random::add_to_linker::<_, Random>(linker, |guest| {
        Metered::new(&mut guest.meter, View(guest.scope.entropy()))
    })
}

pub(super) fn add_directly(random: &mut Interface<'_>) -> Result<()> {
    random
        .func("number", |mut caller: Caller<'_>| {
            called(&mut caller)?;
            number(guest(&caller)?.scope.entropy())
        })?
        .func("bytes", |mut caller: Caller<'_>, length: u32, out: u32| {
            called(&mut caller)?;
            let bytes = bytes(guest(&caller)?.scope.entropy(), length)?;
            answer_bytes(&mut caller, out, &bytes)
        })?;
    Ok(())
}

fn number(entropy: &Entropy) -> Result<u64> {
    let mut bytes = [0; 8];
    entropy.fill(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn bytes(entropy: &Entropy, length: u32) -> Result<Vec<u8>> {
    ensure!(
        length <= MOST,
        "{length} random bytes were asked for at once: {MOST} are allowed"
    );
    let mut bytes = vec![0; length as usize];
    entropy.fill(&mut bytes)?;
    Ok(bytes)
}

impl random::Host for Metered<'_, View<'_>> {
    fn number(&mut self) -> Result<u64> {
        number(self.view()?.0)
    }

    fn bytes(&mut self, length: u32) -> Result<Vec<u8>> {
        bytes(self.view()?.0, length)
    }
}
