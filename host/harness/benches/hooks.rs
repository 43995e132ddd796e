//! Times each call of the default plugins, in process: `cargo bench -p pace-harness`.
//!
//! Instances are reused, as by default, with the plugins run as modules (as Pace runs them) and as components
//! (as Pace runs any component that is not only a wrapped module); and made for each call, as with `isolation
//! = "request"`.

mod default_chain;

use criterion::{Criterion, criterion_group, criterion_main};
use default_chain::{Chain, Subjects, Way};
use pace_config::Isolation;

/// The allocator of `pace`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn hooks(criterion: &mut Criterion) {
    for way in [Way::Module, Way::Component] {
        let subjects = Subjects::compile(way);
        for (lives, isolation) in [
            ("reused", Isolation::Worker),
            ("isolation=request", Isolation::Request),
        ] {
            let mut chain = subjects.chain(isolation);
            let mut group = criterion.benchmark_group(format!("{way}, {lives}"));
            for (name, call) in Chain::CALLS {
                group.bench_function(name, |bencher| bencher.iter(|| call(&mut chain)));
            }
            group.finish();
        }
    }
}

criterion_group!(benches, hooks);
criterion_main!(benches);
