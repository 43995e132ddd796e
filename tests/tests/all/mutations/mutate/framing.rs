//! Mutations of the fields that define where a body ends.

use super::super::dice::Dice;
use super::super::draft::{Body, Draft, Field};
use super::{Of, spoil};

pub(super) fn mutate(draft: &mut Draft, of: Of, dice: &mut Dice) {
    let at = dice.below(draft.fields.len() + 1);
    match dice.below(8) {
        0..2 => set(draft, "Content-Length", &length(draft, dice), dice),
        2..4 => set(draft, "Transfer-Encoding", coding(dice), dice),
        4 => {
            let length = length(draft, dice);
            draft.fields.insert(at, Field::new("Content-Length", &length));
        }
        5 => draft
            .fields
            .insert(at, Field::new("Transfer-Encoding", coding(dice))),
        6 => nominate(draft, of, dice),
        _ => {
            let framing = |field: &&mut Field| field.is("content-length") || field.is("transfer-encoding");
            if let Some(field) = draft.fields.iter_mut().find(framing) {
                match dice.below(4) {
                    0 => spoil(&mut field.name, dice),
                    1 => spoil(&mut field.value, dice),
                    2 => field
                        .name
                        .iter_mut()
                        .filter(|byte| **byte == b'-')
                        .for_each(|byte| *byte = b'_'),
                    _ => {
                        field.colon = dice
                            .pick(&[" : ", "\t:", ":", ":\r\n ", ": \x0b", "\0:"])
                            .as_bytes()
                            .to_vec()
                    }
                }
            }
        }
    }
}

/// A number near the right one, or in a spelling that some readers take for a number.
fn length(draft: &Draft, dice: &mut Dice) -> String {
    let right = match &draft.body {
        Body::Plain(bytes) => bytes.len(),
        Body::Chunks { .. } => dice.below(40),
    };
    match dice.below(22) {
        0 => (right + 1).to_string(),
        1 => right.saturating_sub(1).to_string(),
        2 => "0".to_owned(),
        3 => format!("+{right}"),
        4 => format!("-{right}"),
        5 => format!("0{right}"),
        6 => format!("0x{right:x}"),
        7 => format!("{right}, {right}"),
        8 => format!("{right},{}", right + 1),
        9 => format!("{right} {right}"),
        10 => format!("{right}.0"),
        11 => format!("{right},"),
        12 => String::new(),
        13 => "18446744073709551616".to_owned(),
        14 => format!("1844674407370955161{}", right % 6),
        15 => "9223372036854775808".to_owned(),
        16 => "00000000000000000000000000000000000000".to_owned() + &right.to_string(),
        17 => format!("{right};x"),
        18 => format!("\"{right}\""),
        19 => format!("{right}e0"),
        20 => "99999".to_owned(),
        _ => right.to_string(),
    }
}

fn coding(dice: &mut Dice) -> &'static str {
    dice.pick(&[
        "chunked",
        "Chunked",
        "CHUNKED",
        "chunked, chunked",
        "gzip, chunked",
        "chunked, gzip",
        "gzip",
        "identity",
        "identity, chunked",
        "chunked, identity",
        "x-chunked",
        "chunked;q=1",
        "\"chunked\"",
        "chunked,",
        ",chunked",
        ", ,chunked",
        "",
        "chun ked",
        "\x0bchunked",
        "chunked\x0b",
        "chunked\0",
        "cow",
        "cow, chunked",
        "xchunked",
        "chunkedx",
        "chunked chunked",
        "chunked\r\n , gzip",
        "trailers",
        "deflate;x=y, chunked",
        "chunked\u{17f}",
        "chun\u{212a}ed",
        "chunked; ",
    ])
}

/// Sets the first field of a name, or adds one.
fn set(draft: &mut Draft, name: &str, value: &str, dice: &mut Dice) {
    match draft.fields.iter_mut().find(|field| field.is(name)) {
        Some(field) => field.value = value.as_bytes().to_vec(),
        None => {
            let at = dice.below(draft.fields.len() + 1);
            draft.fields.insert(at, Field::new(name, value));
        }
    }
}

/// Names a field of this message in `Connection`, which asks a proxy to remove it.
fn nominate(draft: &mut Draft, of: Of, dice: &mut Dice) {
    let names = match of {
        Of::Requests => [
            "content-length",
            "Transfer-Encoding",
            "host",
            "expect",
            "te",
            "upgrade",
            "x-forwarded-for",
            "cookie",
            "accept",
            "x-id",
        ],
        Of::Responses => [
            "content-length",
            "Transfer-Encoding",
            "x-token",
            "set-cookie",
            "date",
            "upgrade",
            "etag",
            "trailer",
            "server",
            "x-hop",
        ],
    };
    let name = dice.pick(&names);
    let value = match dice.below(4) {
        0 => format!("keep-alive, {name}"),
        1 => format!("{name}, close"),
        2 => format!("{name},{}", dice.pick(&names)),
        _ => name.to_owned(),
    };
    let at = dice.below(draft.fields.len() + 1);
    draft.fields.insert(at, Field::new("Connection", &value));
}
