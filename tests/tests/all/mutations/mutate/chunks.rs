//! Mutations of bodies: chunks, their lines and trailers, and excess or missing bytes.

use super::super::dice::Dice;
use super::super::draft::{Body, Chunk, Draft, Field};
use super::spoil;

const EXTENSIONS: &[&[u8]] = &[
    b";",
    b";;",
    b";=",
    b";a=",
    b";a=b",
    b" ;a",
    b"; a = b",
    b";a b",
    b";a=\"b",
    b";a=\"b\"c",
    b";a=\"\\\"",
    b";\n",
    b";a\nb",
    b";\ra",
    b";\0",
    b";bad[=x",
    b" ",
    b"\t",
    b",",
    b"\x0b",
    b";a=\"\x7f\"",
    b";a=\"\xff\"",
    b";\xff",
    b"\n",
    b"\r",
    b"x",
    b";a=\"\r\nx\"",
    b";a=\"\n0\n\n\"",
    b";a;b;c=d;e=\"f;g\"",
    b"#",
    b"=1",
    b" x",
];

const TRAILERS: &[&[u8]] = &[
    b"X-Sum: 1\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: other.test\r\n",
    b"GET /x HTTP/1.1\r\n",
    b"\0\r\n",
    b"x: a\n",
    b" x: a\r\n",
    b"x : a\r\n",
    b"x: a\rb\r\n",
    b"x: a\r\n b\r\n",
    b": a\r\n",
    b"x\r\n",
    b"\n",
    b"\r\r\n",
    b"x: \0\r\n",
    b"X-Forwarded-For: 1.2.3.4\r\n",
    b"Connection: close\r\n",
    b"X-Token: other\r\n",
];

pub(super) fn mutate(draft: &mut Draft, dice: &mut Dice) {
    let (chunks, trailers, end) = match &mut draft.body {
        Body::Plain(bytes) => return plain(bytes, dice),
        Body::Chunks {
            chunks,
            trailers,
            end,
        } => (chunks, trailers, end),
    };
    let which = dice.below(chunks.len());
    if chunks.is_empty() {
        return;
    }
    let chunk = &mut chunks[which];
    match dice.below(12) {
        0..3 => chunk.size = size(chunk, dice),
        3..5 if dice.one_in(12) => {
            chunk.extension = b";".to_vec();
            chunk.extension.extend(b"e".repeat(dice.within(100..40_000)));
        }
        3..5 => chunk.extension = dice.pick(EXTENSIONS).to_vec(),
        5 => {
            chunk.line_end = dice
                .pick(&["\n", "\r", "\r\r\n", "\n\r\n", "", " \r\n", "\0\r\n", "\x0b\r\n"])
                .as_bytes()
                .to_vec()
        }
        6 => {
            chunk.end = dice
                .pick(&[
                    "", "\n", "\r", "\r\n\r\n", "x\r\n", "\r\r\n", " \r\n", "\n\n", "xx",
                ])
                .as_bytes()
                .to_vec()
        }
        7 => spoil(&mut chunk.data, dice),
        8 => drop(chunks.remove(which)),
        9 if dice.one_in(12) => {
            let value = "t".repeat(dice.within(100..40_000));
            trailers.push(Field::new("X-Long", &value));
        }
        9 => {
            let raw = dice.pick(TRAILERS).to_vec();
            let line = Field {
                name: raw,
                colon: Vec::new(),
                value: Vec::new(),
                end: Vec::new(),
            };
            trailers.insert(dice.below(trailers.len() + 1), line);
        }
        10 => {
            *end = dice
                .pick(&["", "\n", "\r", "\r\r\n", "\n\r\n", " \r\n", "x", "\r\n\r\n"])
                .as_bytes()
                .to_vec()
        }
        _ => {
            let again = chunks[which].clone();
            chunks.insert(dice.below(chunks.len() + 1), again);
        }
    }
}

/// A size near the right one, or in a spelling that some readers take for a number.
fn size(chunk: &Chunk, dice: &mut Dice) -> Vec<u8> {
    let right = chunk.data.len();
    let size = match dice.below(22) {
        0 => format!("{:x}", right + 1),
        1 => format!("{:x}", right.saturating_sub(1)),
        2 => String::new(),
        3 => format!("0x{right:x}"),
        4 => format!("+{right:x}"),
        5 => format!("-{right:x}"),
        6 => format!(" {right:x}"),
        7 => format!("{right:x} "),
        8 => format!("{right:x}\t"),
        9 => format!("0000{right:x}"),
        10 => format!("{right:016x}"),
        11 => format!("{right:017x}"),
        12 => format!("1{right:016x}"),
        13 => format!("{right:x}g"),
        14 => format!("{right:x}h"),
        15 => "0".to_owned(),
        16 => "00".to_owned(),
        17 => "ffffffffffffffff".to_owned(),
        18 => "8000000000000000".to_owned(),
        19 => format!("{right:X}"),
        20 => format!("{right:x}\n"),
        _ => format!("{right:x}_0"),
    };
    size.into_bytes()
}

/// A body longer or shorter than its length.
fn plain(bytes: &mut Vec<u8>, dice: &mut Dice) {
    match dice.below(4) {
        0 => bytes.extend_from_slice(b"\r\n"),
        1 => bytes.truncate(dice.below(bytes.len() + 1)),
        2 => spoil(bytes, dice),
        _ => bytes.extend_from_slice(b"0\r\n\r\n"),
    }
}
