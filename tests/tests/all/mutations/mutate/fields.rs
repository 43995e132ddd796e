//! Mutations of field lines.

use super::super::dice::Dice;
use super::super::draft::{Draft, Field};
use super::{Of, spoil};

const COLONS: &[&str] = &[
    ":", " : ", "\t: ", ":\t", ": \t ", "", " ", "=", ";", "\0: ", ":\r\n ", "\r\n: ", "::", ": \x0b",
    "\r: ", "\n: ",
];

const ENDS: &[&str] = &[
    "\n",
    "\r",
    "\r\r\n",
    "\n\r\n",
    " \r\n",
    "\t\r\n",
    "\0\r\n",
    "\r\n ",
    "\r\n\t",
    "",
    "\r\n\r\n",
    "\x0b\r\n",
    "\r\n \r\n",
];

/// Fields about the connection, the client or the body.
const MEANT: &[(&str, &str)] = &[
    ("Connection", "close"),
    ("Connection", "keep-alive"),
    ("Connection", "content-length"),
    ("Connection", "Transfer-Encoding"),
    ("Connection", "host"),
    ("Connection", "x-forwarded-for"),
    ("Connection", "x-id, accept"),
    ("Connection", "close, x-hop, \"x\""),
    ("Connection", ":authority"),
    ("Connection", "cookie, authorization"),
    ("Connection", "te, expect"),
    ("Connection", ""),
    ("Connection", "a, b, c, d, e, f, g, h, i, j, k, l, m, n"),
    ("Connection", "x-token, set-cookie"),
    ("Connection", "upgrade"),
    ("Proxy-Connection", "keep-alive"),
    ("Keep-Alive", "timeout=1, max=1"),
    ("Upgrade", "websocket"),
    ("Upgrade", "h2c"),
    ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
    ("TE", "trailers, deflate"),
    ("TE", "chunked"),
    ("Trailer", "Content-Length"),
    ("Expect", "100-continue"),
    ("Expect", "200-ok"),
    ("Expect", "100-continue, 100-continue"),
    ("Host", "other.test"),
    ("X-Forwarded-For", "127.0.0.1"),
    ("X_Forwarded_For", "127.0.0.1"),
    ("X-Forwarded-For", ""),
    ("Forwarded", "for=127.0.0.1"),
    ("X-Forwarded-Host", "other.test"),
    ("Cookie", "a=b"),
    ("Authorization", "Basic eDp5"),
    ("Max-Forwards", "0"),
    ("Range", "bytes=0-1"),
    ("Date", "x"),
    ("X-Token", "other"),
    ("Location", "/x"),
    ("Content-Type", "text/plain"),
];

pub(super) fn mutate(draft: &mut Draft, of: Of, dice: &mut Dice) {
    let which = dice.below(draft.fields.len());
    if draft.fields.is_empty() || dice.one_in(3) {
        let (name, value) = MEANT[dice.below(MEANT.len())];
        draft
            .fields
            .insert(dice.below(draft.fields.len() + 1), Field::new(name, value));
        return;
    }
    let field = &mut draft.fields[which];
    match dice.below(10) {
        0 => rename(field, dice),
        1 => field.colon = dice.pick(COLONS).as_bytes().to_vec(),
        2 => field.end = dice.pick(ENDS).as_bytes().to_vec(),
        3 => spoil(&mut field.value, dice),
        4 => spoil(&mut field.name, dice),
        5 => {
            let again = field.clone();
            draft.fields.insert(dice.below(draft.fields.len() + 1), again);
        }
        6 => drop(draft.fields.remove(which)),
        7 => {
            let moved = draft.fields.remove(which);
            draft.fields.insert(dice.below(draft.fields.len() + 1), moved);
        }
        8 => {
            // Ends after which a head goes on although it has ended, or ends although it goes on.
            let ends: &[&str] = &["\n", "\r", "", "\r\r\n", "\n\r\n", " \r\n", "\r\n\r\n", "\0\r\n"];
            draft.end = dice.pick(ends).as_bytes().to_vec();
        }
        _ => long(draft, of, dice),
    }
}

pub(super) fn host(draft: &mut Draft, dice: &mut Dice) {
    let values: &[&[u8]] = &[
        b"",
        b"a/b",
        b"a, b",
        b"a,b",
        b"a b",
        b"a:80x",
        b"a:",
        b"a:-1",
        b"a:99999",
        b"a:0",
        b":80",
        b"a?x",
        b"a#x",
        b"a\\b",
        b"[::1",
        b"[::1]",
        b"[::1]:80",
        b"[::1]x",
        b"[v1.a]",
        b"[]",
        b"::1",
        b"a\xff",
        b"a\0",
        b"u@a",
        b"a;b",
        b"a%2f",
        b"a_b",
        b"-a",
        b"a..b",
        b"a.test.",
        b"A.Test:80",
        b"\"a\"",
        b"a\tb",
        b"*",
        b"http://a",
        b"a:80:80",
        b"127.0.0.1",
        b"0x7f.1",
    ];
    let value = dice.pick(values).to_vec();
    match draft.fields.iter_mut().find(|field| field.is("host")) {
        Some(field) if !dice.one_in(6) => field.value = value,
        _ => {
            let twice = Field {
                value,
                ..Field::new("Host", "")
            };
            draft.fields.insert(dice.below(draft.fields.len() + 1), twice);
        }
    }
}

/// Another spelling of a name, which some readers take for the same.
fn rename(field: &mut Field, dice: &mut Dice) {
    match dice.below(7) {
        0 => field.name.make_ascii_uppercase(),
        1 => field
            .name
            .iter_mut()
            .filter(|byte| **byte == b'-')
            .for_each(|byte| *byte = b'_'),
        2 => field.name.insert(0, b' '),
        3 => field.name.clear(),
        4 => field.name.extend_from_slice(b" "),
        5 => field.name.insert(0, b':'),
        _ => {
            let odd: &[u8] = b"\0\t\"(),/;<=>?@[]{}\\\x7f\x80\xe9!#$%&'*+.^`|~";
            let at = dice.below(field.name.len() + 1);
            field.name.insert(at, odd[dice.below(odd.len())]);
        }
    }
}

/// A large head: mostly of a size that servers accept, sometimes not.
fn long(draft: &mut Draft, of: Of, dice: &mut Dice) {
    let (fields, length) = match dice.below(12) {
        0 => (dice.within(100..400), 1),
        1 => (1, dice.within(7000..100_000)),
        2 => (dice.within(20..100), 1000),
        3..6 => (dice.within(10..100), 1),
        6..9 => (1, dice.within(1000..7000)),
        _ => (dice.within(5..20), dice.within(10..500)),
    };
    let name = if of == Of::Requests { "X-Long" } else { "X-Wide" };
    for _ in 0..fields {
        draft.fields.push(Field::new(name, &"v".repeat(length)));
    }
}
