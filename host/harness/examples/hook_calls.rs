//! Makes the calls of the default plugins many times each, for a profiler that counts instructions: see
//! `cargo xtask instructions`.
//!
//! For each call, a line with its number and name is printed.

#[path = "../benches/default_chain/mod.rs"]
mod default_chain;

use default_chain::{Chain, HookCall, Subjects, Way};
use pace_config::Isolation;

/// The allocator of `pace`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The measured calls of each kind. A quarter as many come first and are not measured, so that one-time work
/// is done by then.
const CALLS: u32 = 400;

fn main() {
    let subjects = Subjects::compile(Way::Module);
    let mut chain = subjects.chain(Isolation::Worker);
    for (name, call) in Chain::CALLS {
        for _ in 0..CALLS / 4 {
            call(&mut chain);
        }
        measured_calls(&mut chain, call);
        println!("{CALLS} {name}");
    }
}

/// The part that the profiler counts.
#[inline(never)]
fn measured_calls(chain: &mut Chain, call: HookCall) {
    for _ in 0..CALLS {
        call(std::hint::black_box(chain));
    }
    all_counted();
}

/// The return from here makes the profiler write down its count.
#[inline(never)]
fn all_counted() {
    std::hint::black_box(());
}
