//! Times the parser of JSON: `cargo bench -p pace-content --bench json`.
//!
//! Each document has 64 KiB, and is parsed by `serde_json` into a `Value` as well: the yardstick. The last cases ask a
//! document that is parsed already.

use std::fmt::Write;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pace_content::json::{Document, Pointer};

const SIZE: usize = 64 * 1024;

/// Elements until the document has its size.
fn list(element: impl Fn(usize) -> String) -> String {
    let mut text = "[".to_owned();
    for index in 0.. {
        if text.len() >= SIZE {
            break;
        }
        write!(text, "{}{}", if index == 0 { "" } else { "," }, element(index))
            .expect("a String takes every write");
    }
    text + "]"
}

/// The messages of a conversation: long texts with escapes.
fn conversation() -> String {
    let messages = list(|index| {
        let role = ["user", "assistant"][index % 2];
        let text = "Some words of a \\\"question\\\" or an answer, \\n and a few more. ".repeat(8);
        format!(r#"{{"role": "{role}", "content": "{text}"}}"#)
    });
    format!(r#"{{"model": "a-model", "stream": true, "messages": {messages}}}"#)
}

fn json(criterion: &mut Criterion) {
    let documents = [
        ("conversation", conversation()),
        (
            "records",
            list(|index| {
                format!(
                    r#"{{"id": {index}, "name": "name {index}", "price": {index}.25, "tags": ["a", "b"], "on": true}}"#
                )
            }),
        ),
        ("numbers", list(|index| (index * 7919).to_string())),
        (
            "other scripts",
            list(|index| format!(r#"{{"ключ{index}": "значение по-русски, 日本語のテキスト"}}"#)),
        ),
    ];
    let mut group = criterion.benchmark_group("json");
    for (name, text) in &documents {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(format!("{name}/parse"), |bencher| {
            bencher.iter(|| Document::parse(black_box(text.as_bytes())).expect("it is JSON"));
        });
        group.bench_function(format!("{name}/serde_json"), |bencher| {
            bencher.iter(|| {
                serde_json::from_slice::<serde_json::Value>(black_box(text.as_bytes())).expect("it is JSON")
            });
        });
    }
    group.finish();

    let (_, text) = &documents[0];
    let document = Document::parse(text.as_bytes()).expect("it is JSON");
    for pointer in ["/model", "/messages/100/role"] {
        criterion.bench_function(&format!("json/conversation{pointer}"), |bencher| {
            let pointer = Pointer::parse(pointer).expect("it is a pointer");
            bencher.iter(|| document.value(black_box(text.as_bytes()), black_box(pointer)));
        });
    }
}

criterion_group!(benches, json);
criterion_main!(benches);
