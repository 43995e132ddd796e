//! Mutations of the first line.

use super::super::dice::Dice;
use super::super::draft::{
    BETWEEN, Draft, METHOD, REASON, REQUEST_VERSION, RESPONSE_VERSION, STATUS, TARGET,
};
use super::spoil;

const VERSIONS: &[&str] = &[
    "HTTP/1.0",
    "HTTP/1.2",
    "HTTP/1.9",
    "HTTP/2.0",
    "HTTP/0.9",
    "HTTP/3",
    "HTTP/1",
    "HTTP/1.",
    "HTTP/.1",
    "HTTP/1.1.1",
    "HTTP/1.10",
    "HTTP/01.1",
    "HTTP/11",
    "http/1.1",
    "Http/1.1",
    "HTTP 1.1",
    "HTTP/1,1",
    "HTTP/1.1 ",
    "HTTPS/1.1",
    "ICY",
    "",
    "HTTP/-1.1",
    "HTTP/1.1\t",
];

const SPACES: &[&str] = &["", "  ", "\t", "\x0b", "\x0c", "\r", "\u{a0}", " \t", "\n"];

pub(super) fn of_request(draft: &mut Draft, dice: &mut Dice) {
    match dice.below(6) {
        0 => {
            let methods = [
                "get",
                "Get",
                "GET,POST",
                "G\tT",
                "GET\0",
                "CONNECT",
                "TRACE",
                "PRI",
                "M-SEARCH",
                "HEAD",
                "OPTIONS",
                "QUERY",
                "POST",
                "",
                "G\"T",
                "PURGE",
                "X_Y",
                "GET\u{e9}",
                "(GET)",
            ];
            draft.line[METHOD] = dice.pick(&methods).as_bytes().to_vec();
        }
        1 => draft.line[REQUEST_VERSION] = dice.pick(VERSIONS).as_bytes().to_vec(),
        2 => separator(draft, dice),
        3 => {
            let lead = [
                "\r\n", "\r\n\r\n", "\n", "\r", " ", "\t", "\0", "\u{feff}", "\r\n ",
            ];
            draft.line[METHOD].splice(0..0, dice.pick(&lead).bytes());
        }
        4 => {
            let simple = ["GET /", "GET", "", "GET / HTTP/1.1 HTTP/1.1", "PRI * HTTP/2.0"];
            let line = dice.pick(&simple);
            draft.line = [line, "", "", "", "", "\r\n"].map(|part| part.as_bytes().to_vec());
        }
        _ => spoil(&mut draft.line[dice.below(3) * 2], dice),
    }
}

pub(super) fn of_response(draft: &mut Draft, dice: &mut Dice) {
    match dice.below(5) {
        0 => {
            let statuses = [
                "100", "101", "102", "103", "199", "204", "205", "206", "304", "299", "600", "999", "099",
                "000", "20", "2000", "2x0", "+200", "-200", "200.1", "", "0x0", "503", "502",
            ];
            draft.line[STATUS] = dice.pick(&statuses).as_bytes().to_vec();
        }
        1 => draft.line[RESPONSE_VERSION] = dice.pick(VERSIONS).as_bytes().to_vec(),
        2 => separator(draft, dice),
        3 => spoil(&mut draft.line[REASON], dice),
        _ => spoil(&mut draft.line[dice.below(3) * 2], dice),
    }
}

pub(super) fn target(draft: &mut Draft, dice: &mut Dice) {
    let forms: &[&[u8]] = &[
        b"admin/x",
        b"admin",
        b"?x",
        b"",
        b".//admin",
        b"a:80",
        b"x:/admin",
        b"*",
        b"*x",
        b"/*",
        b"//",
        b"//admin/x",
        b"/./admin",
        b"/%2e%2e/admin",
        b"/x/..%2fadmin",
        b"/%2fadmin",
        b"/admin%5cx",
        b"/admin\\x",
        b"/a;b=c/../d",
        b"/a?b?c#d",
        b"/#",
        b"http://",
        b"http:///x",
        b"http://a",
        b"http://a?x",
        b"http://a:80/x",
        b"http://b/x",
        b"http://u:p@a/x",
        b"HTTP://a/x",
        b"https://a/x",
        b"ftp://a/x",
        b"http:/x",
        b"http://a b/",
        b"http://[::1]:80/",
        b"http://[::1/",
        b"http://a:99999/",
        b"http://a,b/x",
        b"mailto:a",
        b"/a b",
        b"/a\tb",
        b"/a\0b",
        b"/a\x01b",
        b"/a\x7fb",
        b"/caf\xc3\xa9",
        b"/a\x80",
        b"/a%",
        b"/a%zz",
        b"/a%00b",
        b"/%61dmin",
        b"/a\"b",
        b"/a<b>",
        b"/a{b}|c^`",
        b"/a[0]",
        b"/?a[]=b",
        b"\\x",
        b"/..",
        b"/../x",
        b"/a/../../x",
        b"example.com:443",
        b"://a/",
        b"/a\x0bb",
    ];
    let keep_query = dice.one_in(2);
    let line = &mut draft.line[TARGET];
    match dice.below(4) {
        0 => spoil(line, dice),
        1 => {
            let inserts: &[&[u8]] = &[
                b"/../", b"/./", b"//", b"%2f", b"%2F", b"%5c", b"%2e", b";", b"\\", b"%7e", b"%41", b"@",
                b"#",
            ];
            let at = dice.below(line.len() + 1);
            line.splice(at..at, dice.pick(inserts).iter().copied());
        }
        2 if dice.one_in(10) => line.extend(b"l".repeat(dice.within(100..70_000))),
        _ => {
            let form = dice.pick(forms);
            let query = line.iter().position(|byte| *byte == b'?').filter(|_| keep_query);
            line.splice(..query.unwrap_or(line.len()), form.iter().copied());
        }
    }
}

fn separator(draft: &mut Draft, dice: &mut Dice) {
    let which = BETWEEN[dice.below(3)];
    let ends = [
        "\n", "\r", "\r\r\n", "\n\r\n", " \r\n", "\r\n ", "\0\r\n", "\t\r\n",
    ];
    let choices = if which == BETWEEN[2] { &ends[..] } else { SPACES };
    draft.line[which] = dice.pick(choices).as_bytes().to_vec();
}
