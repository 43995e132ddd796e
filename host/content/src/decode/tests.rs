//! Decoders against encoders.

use std::io::Write;

use proptest::collection::vec;
use proptest::prelude::*;
use zlib_rs::{Deflate, DeflateFlush};

use super::*;

pub(crate) fn encode(coding: Coding, bytes: &[u8]) -> Vec<u8> {
    match coding {
        Coding::Gzip => deflate(bytes, true, 31),
        Coding::Deflate => deflate(bytes, true, 15),
        Coding::Brotli => {
            let mut out = Vec::new();
            let mut encoder = brotli::CompressorWriter::new(&mut out, 4096, 4, 20);
            encoder.write_all(bytes).expect("a vector takes every write");
            drop(encoder);
            out
        }
        Coding::Zstd => zstd::encode_all(bytes, 3).expect("a vector takes every write"),
    }
}

fn deflate(bytes: &[u8], has_header: bool, window: u8) -> Vec<u8> {
    let mut encoder = Deflate::new(6, has_header, window);
    let mut out = vec![0; bytes.len() + bytes.len() / 100 + 100];
    let status = encoder.compress(bytes, &mut out, DeflateFlush::Finish);
    assert_eq!(status, Ok(zlib_rs::Status::StreamEnd));
    out.truncate(encoder.total_out() as usize);
    out
}

const ALL: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

fn codings(list: &[Coding]) -> Codings {
    let name = |coding| match coding {
        Coding::Gzip => "gzip",
        Coding::Deflate => "deflate",
        Coding::Brotli => "br",
        Coding::Zstd => "zstd",
    };
    let names: Vec<_> = list.iter().map(|coding| name(*coding).as_bytes()).collect();
    Codings::parse(names).expect("they are known")
}

/// Decodes pieces of these sizes, over and over, with that much room at a time.
fn decode(list: &[Coding], mut bytes: &[u8], sizes: &[usize], room: usize) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = Decoder::new(&codings(list));
    let mut out = Vec::new();
    for size in sizes.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (mut piece, rest) = bytes.split_at((*size).min(bytes.len()));
        bytes = rest;
        loop {
            let before = out.len();
            decoder.decode(&mut piece, &mut out, room)?;
            assert!(out.len() <= before + room);
            if out.len() < before + room {
                break;
            }
        }
        assert!(piece.is_empty(), "there was room");
    }
    decoder.finish()?;
    Ok(out)
}

fn whole(list: &[Coding], bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    decode(list, bytes, &[usize::MAX], 1 << 20)
}

#[test]
fn body_without_coding_is_as_it_is() {
    assert_eq!(decode(&[], b"plain", &[2], 1), Ok(b"plain".to_vec()));
}

#[test]
fn no_bytes_are_an_empty_body_in_any_coding() {
    for coding in ALL {
        assert_eq!(whole(&[coding], b""), Ok(Vec::new()));
        assert_eq!(whole(&[coding], &encode(coding, b"")), Ok(Vec::new()));
    }
}

#[test]
fn body_that_is_cut_anywhere_is_truncated() {
    let text = b"a text that is not very long, a text that is not very short".repeat(3);
    for coding in ALL {
        let encoded = encode(coding, &text);
        for at in 1..encoded.len() {
            assert_eq!(
                whole(&[coding], &encoded[..at]),
                Err(DecodeError::Truncated),
                "{coding:?} {at}"
            );
        }
    }
    // Inside of another coding that is complete.
    let inner = encode(Coding::Gzip, &text);
    let outer = encode(Coding::Brotli, &inner[..inner.len() - 1]);
    assert_eq!(
        whole(&[Coding::Gzip, Coding::Brotli], &outer),
        Err(DecodeError::Truncated)
    );
}

#[test]
fn bytes_behind_the_end_are_malformed() {
    for coding in ALL {
        let mut encoded = encode(coding, b"text");
        encoded.extend(b"no coding begins so");
        for sizes in [&[1][..], &[1000]] {
            assert_eq!(
                decode(&[coding], &encoded, sizes, 100),
                Err(DecodeError::Malformed),
                "{coding:?}"
            );
        }
    }
}

#[test]
fn wrong_checksum_is_malformed() {
    for coding in [Coding::Gzip, Coding::Deflate] {
        let mut encoded = encode(coding, b"text");
        let at = encoded.len() - if coding == Coding::Gzip { 8 } else { 1 };
        encoded[at] ^= 1;
        assert_eq!(whole(&[coding], &encoded), Err(DecodeError::Malformed));
    }
}

#[test]
fn members_and_frames_follow_each_other() {
    for coding in [Coding::Gzip, Coding::Zstd] {
        let encoded = [
            encode(coding, b"one, "),
            encode(coding, b""),
            encode(coding, b"two"),
        ]
        .concat();
        assert_eq!(decode(&[coding], &encoded, &[1], 1), Ok(b"one, two".to_vec()));
    }
}

#[test]
fn members_may_be_many_unless_they_are_tiny() {
    let tiny = encode(Coding::Gzip, b"").repeat(300);
    assert_eq!(whole(&[Coding::Gzip], &tiny), Err(DecodeError::Members));
    // Nothing shortens these.
    let text: Vec<u8> = (0..400_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let many = encode(Coding::Gzip, &text).repeat(1000);
    assert_eq!(whole(&[Coding::Gzip], &many), Ok(text.repeat(1000)));
}

#[test]
fn deflate_is_read_without_its_header_too() {
    let text = b"text".repeat(100);
    for raw in [deflate(&text, false, 15), deflate(b"x", false, 15)] {
        assert!(decode(&[Coding::Deflate], &raw, &[1], 7).is_ok());
    }
    assert_eq!(whole(&[Coding::Deflate], &deflate(&text, false, 15)), Ok(text));
}

#[test]
fn window_beyond_that_of_http_is_malformed() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("there is memory");
    encoder.window_log(24).expect("it is allowed");
    encoder.write_all(b"text").expect("a vector takes every write");
    let encoded = encoder.finish().expect("a vector takes every write");
    assert_eq!(whole(&[Coding::Zstd], &encoded), Err(DecodeError::Malformed));
}

#[test]
fn body_that_explodes_is_given_up_early() {
    let zeros = vec![0; 16 << 20];
    for coding in ALL {
        let encoded = encode(coding, &zeros);
        assert!(encoded.len() < zeros.len() / 500);
        let mut decoder = Decoder::new(&codings(&[coding]));
        let (mut out, mut input) = (Vec::new(), &encoded[..]);
        let decoded = decoder.decode(&mut input, &mut out, usize::MAX);
        assert_eq!(decoded, Err(DecodeError::Bomb), "{coding:?}");
        assert!(out.len() <= encoded.len() * 100 + FREE as usize + STEP);
        // In the middle it costs as much as at the end.
        for outer in ALL {
            let nested = encode(outer, &encoded);
            assert_eq!(
                whole(&[coding, outer], &nested),
                Err(DecodeError::Bomb),
                "{coding:?} in {outer:?}"
            );
        }
    }
}

#[test]
fn body_that_explodes_between_two_codings_is_given_up_too() {
    // A frame of zstd that is to be skipped (RFC 8878, section 3.1.2): nothing comes of it.
    let size: u32 = 16 << 20;
    let mut skipped = [0x184d_2a50_u32.to_le_bytes(), size.to_le_bytes()].concat();
    skipped.resize(8 + size as usize, 0);
    assert_eq!(whole(&[Coding::Zstd], &skipped), Ok(Vec::new()));
    let encoded = encode(Coding::Gzip, &skipped);
    assert_eq!(
        whole(&[Coding::Zstd, Coding::Gzip], &encoded),
        Err(DecodeError::Bomb)
    );
}

#[test]
fn small_body_may_repeat_itself_as_it_likes() {
    let zeros = vec![0; FREE as usize];
    for coding in ALL {
        let decoded = whole(&[coding], &encode(coding, &zeros));
        assert_eq!(decoded.map(|bytes| bytes.len()), Ok(zeros.len()), "{coding:?}");
    }
}

fn list() -> impl Strategy<Value = Vec<Coding>> {
    vec(prop::sample::select(&ALL[..]), 1..=3)
}

/// Bytes that repeat themselves somewhat.
fn content() -> impl Strategy<Value = Vec<u8>> {
    vec(
        prop_oneof!["[a-z]{1,12}", Just("again and again ".to_owned())],
        0..300,
    )
    .prop_map(|words| words.concat().into_bytes())
}

fn encode_all(list: &[Coding], content: &[u8]) -> Vec<u8> {
    list.iter()
        .fold(content.to_vec(), |bytes, coding| encode(*coding, &bytes))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_encoded_comes_back_however_it_is_split(
        list in list(), content in content(), sizes in vec(1_usize..500, 1..5), room in 1_usize..5000,
    ) {
        let encoded = encode_all(&list, &content);
        prop_assert_eq!(decode(&list, &encoded, &sizes, room), Ok(content));
    }

    #[test]
    fn garbage_ends_in_an_error_and_no_worse(list in list(), bytes in vec(any::<u8>(), 1..300)) {
        // A stream of few bytes may be valid by chance; it never becomes long.
        if let Ok(decoded) = decode(&list, &bytes, &[7], 100) {
            prop_assert!(decoded.len() <= FREE as usize);
        }
    }

    #[test]
    fn mutations_never_decode_beyond_the_ratio(
        list in list(),
        content in content(),
        mutations in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut encoded = encode_all(&list, &content);
        for (place, byte) in mutations {
            let at = place.index(encoded.len());
            encoded[at] = byte;
        }
        if let Ok(decoded) = decode(&list, &encoded, &[50], 1000) {
            prop_assert!(decoded.len() as u64 <= FREE.max(encoded.len() as u64 * RATIO));
        }
    }
}

#[test]
fn memory_of_a_decoder_has_the_window_that_the_body_asks_for() {
    let memory = |coding, encoded: &[u8], size: usize| {
        let mut decoder = Decoder::new(&codings(&[coding]));
        for piece in encoded.chunks(size) {
            let mut piece = piece;
            decoder
                .decode(&mut piece, &mut Vec::new(), usize::MAX)
                .expect("it is encoded");
        }
        decoder.memory()
    };
    let text = vec![b'x'; 40_000];
    let noise: Vec<u8> = (0..1_u32 << 20)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for coding in [Coding::Gzip, Coding::Deflate] {
        assert!(
            memory(coding, &encode(coding, &text), 100) < 128 << 10,
            "{coding:?}"
        );
    }
    let zstd = |log| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("there is memory");
        encoder.window_log(log).expect("it is allowed");
        encoder.write_all(b"text").expect("a vector takes every write");
        encoder.flush().expect("a vector takes every write");
        encoder.write_all(b"text").expect("a vector takes every write");
        encoder.finish().expect("a vector takes every write")
    };
    for log in [17, 20, 23] {
        let window = 1 << log;
        let found = memory(Coding::Zstd, &zstd(log), 1000);
        assert!((window..window + (512 << 10)).contains(&found), "{log}: {found}");
    }
    for size in [10, 300, 70_000] {
        let encoded = zstd::bulk::compress(&noise[..size], 1).expect("there is memory");
        let found = memory(Coding::Zstd, &encoded, encoded.len());
        assert!((size..size + (512 << 10)).contains(&found), "{size}: {found}");
    }
    // A head in pieces, and a further frame, are taken for the worst.
    assert!(memory(Coding::Zstd, &zstd(17), 1) >= 8 << 20);
    assert!(memory(Coding::Zstd, &zstd(17).repeat(2), 1000) >= 8 << 20);
    // What is not compressible is more than the window is taken for at first.
    assert!(memory(Coding::Brotli, &encode(Coding::Brotli, &noise), 1 << 16) > 512 << 10);
}
