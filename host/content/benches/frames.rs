//! Times the cutting of messages: `cargo bench -p pace-content --bench frames`.
//!
//! Messages of about 64 KiB come in pieces of 4 KiB, and every unit is put back as it is: with all units shown, and with none, since nothing
//! of interest occurs.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pace_content::body::Access;
use pace_content::frames::{Cutter, Framing, Interest, Piece};

const PIECE: usize = 4096;
const LIMIT: u32 = 256 * 1024;

/// Passes a message, and returns how many bytes were sent.
fn pass(mut cutter: Cutter, message: &[u8]) -> usize {
    let mut sent = 0;
    let mut take = |cutter: &mut Cutter| {
        while let Some(piece) = cutter.next_piece().expect("no unit is too large") {
            sent += match piece {
                Piece::Pass(bytes) => bytes.len(),
                Piece::Unit(unit) => cutter.put_back(unit).len(),
            };
        }
    };
    for piece in message.chunks(PIECE) {
        cutter.push(piece);
        take(&mut cutter);
    }
    cutter.finish();
    take(&mut cutter);
    sent
}

fn interest(strings: &[&str]) -> Interest {
    let strings = strings.iter().map(|string| string.as_bytes().to_vec());
    Interest::new(strings.collect()).expect("they are legal")
}

fn frames(criterion: &mut Criterion) {
    let event = |index| {
        format!("data: {{\"id\": {index}, \"choices\": [{{\"delta\": {{\"content\": \" word\"}}}}]}}\n\n")
    };
    let events: String = (0..1000).map(event).collect();
    let lines: String = (0..2000)
        .map(|index| format!("<p class=\"x\">some text {index}</p>\n"))
        .collect();
    let ends = ["</body>", "</BODY>"];
    let cases: [(&str, &str, Framing, &[&str]); 7] = [
        ("events/all", &events, Framing::Event, &[]),
        ("events/none", &events, Framing::Event, &["_tokens\""]),
        ("lines/all", &lines, Framing::Line, &[]),
        ("lines/none", &lines, Framing::Line, &["_tokens\""]),
        ("chunks/all", &lines, Framing::Chunk, &[]),
        ("chunks/none of one", &lines, Framing::Chunk, &ends[..1]),
        ("chunks/none of two", &lines, Framing::Chunk, &ends),
    ];
    let mut group = criterion.benchmark_group("frames");
    for (name, message, framing, strings) in cases {
        let interest = interest(strings);
        group.throughput(Throughput::Bytes(message.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let cutter = Cutter::new(framing, Access::Edit, interest.clone(), LIMIT);
                pass(cutter, black_box(message.as_bytes()))
            });
        });
    }
    group.finish();
    for strings in [1, 2] {
        criterion.bench_function(&format!("interest/{strings}"), |bencher| {
            bencher.iter(|| interest(black_box(&ends[..strings])));
        });
    }
}

criterion_group!(benches, frames);
criterion_main!(benches);
