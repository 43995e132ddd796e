//! XXH64, the hash of keys and addresses.
//!
//! It is public and has no secret, so that any program can tell where a key goes, and fast where there is
//! multiplication of 64 bits, as in WebAssembly. Whoever chooses keys can choose a backend; with
//! `max_load_percent` that gains nothing.

const PRIMES: [u64; 5] = [
    0x9e37_79b1_85eb_ca87,
    0xc2b2_ae3d_27d4_eb4f,
    0x1656_67b1_9e37_79f9,
    0x85eb_ca77_c2b2_ae63,
    0x27d4_eb2f_1656_67c5,
];

/// The XXH64 of bytes with seed 0, by Yann Collet's specification (xxHash, `doc/xxhash_spec.md`).
pub fn hash(bytes: &[u8]) -> u64 {
    let (stripes, rest) = bytes.as_chunks::<32>();
    let mut sum = match stripes {
        [] => PRIMES[4],
        _ => all(stripes),
    };
    sum = sum.wrapping_add(bytes.len() as u64);

    let (lanes, rest) = rest.as_chunks::<8>();
    for lane in lanes {
        sum ^= round(0, u64::from_le_bytes(*lane));
        sum = sum
            .rotate_left(27)
            .wrapping_mul(PRIMES[0])
            .wrapping_add(PRIMES[3]);
    }
    let (halves, rest) = rest.as_chunks::<4>();
    for half in halves {
        sum ^= u64::from(u32::from_le_bytes(*half)).wrapping_mul(PRIMES[0]);
        sum = sum
            .rotate_left(23)
            .wrapping_mul(PRIMES[1])
            .wrapping_add(PRIMES[2]);
    }
    for byte in rest {
        sum ^= u64::from(*byte).wrapping_mul(PRIMES[4]);
        sum = sum.rotate_left(11).wrapping_mul(PRIMES[0]);
    }

    sum = (sum ^ (sum >> 33)).wrapping_mul(PRIMES[1]);
    sum = (sum ^ (sum >> 29)).wrapping_mul(PRIMES[2]);
    sum ^ (sum >> 32)
}

/// The four sums over stripes of four lanes each, merged.
fn all(stripes: &[[u8; 32]]) -> u64 {
    let mut sums = [
        PRIMES[0].wrapping_add(PRIMES[1]),
        PRIMES[1],
        0,
        PRIMES[0].wrapping_neg(),
    ];
    for stripe in stripes {
        for (sum, lane) in sums.iter_mut().zip(stripe.as_chunks::<8>().0) {
            *sum = round(*sum, u64::from_le_bytes(*lane));
        }
    }
    let rotated = sums.iter().zip([1, 7, 12, 18]);
    let merged = rotated.fold(0_u64, |all, (sum, by)| all.wrapping_add(sum.rotate_left(by)));
    sums.iter().fold(merged, |all, sum| {
        (all ^ round(0, *sum))
            .wrapping_mul(PRIMES[0])
            .wrapping_add(PRIMES[3])
    })
}

fn round(sum: u64, lane: u64) -> u64 {
    sum.wrapping_add(lane.wrapping_mul(PRIMES[1]))
        .rotate_left(31)
        .wrapping_mul(PRIMES[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that the documentation of implementations publishes.
    #[test]
    fn hashes_are_those_of_xxh64() {
        let known: [(&str, u64); 5] = [
            ("", 0xef46_db37_51d8_e999),
            ("a", 0xd24e_c4f1_a98c_6e5b),
            ("abc", 0x44bc_2cf5_ad77_0999),
            ("xxhash", 0x32dd_3895_2c4b_c720),
            ("Nobody inspects the spammish repetition", 0xfbce_a83c_8a37_8bf1),
        ];
        for (text, expected) in known {
            assert_eq!(hash(text.as_bytes()), expected, "{text:?}");
        }
    }
}
