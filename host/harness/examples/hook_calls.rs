//! The calls of the default plugins, each many times, for a profiler that counts instructions: see
//! `cargo xtask instructions`.
//!
//! Prints, line by line, how many calls of what were measured.

#[path = "../benches/default_chain/mod.rs"]
mod default_chain;

use default_chain::{Chain, HookCall, Subjects, Way};
use pace_config::Isolation;

/// The allocator of `pace`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// So many calls of each, after a quarter of them that are not measured: what happens once is over by then.
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

/// What is counted.
#[inline(never)]
fn measured_calls(chain: &mut Chain, call: HookCall) {
    for _ in 0..CALLS {
        call(std::hint::black_box(chain));
    }
    all_counted();
}

/// The profiler writes down what it has counted when it returns from here.
#[inline(never)]
fn all_counted() {
    std::hint::black_box(());
}
