//! Pools, as the admin API shows and changes them.

use std::borrow::Cow;

use http::{Response, StatusCode};
use pace_base::escape::{self, Lines, Shown};

use super::{JSON, TEXT, response};
use crate::snapshot::Snapshot;
use crate::upstream::PoolStatus;

/// All pools with their backends, by name.
pub(super) fn list(snapshot: &Snapshot) -> Response<Vec<u8>> {
    let mut pools: Vec<_> = snapshot.pools().collect();
    pools.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    let pools: Vec<PoolStatus> = pools.into_iter().map(|pool| pool.status()).collect();
    let text = serde_json::to_string_pretty(&pools).expect("names and numbers are JSON");
    response(StatusCode::OK, JSON, format!("{}\n", escape::json(&text)).into())
}

/// Drains a backend, or ends that.
pub(super) fn drain(snapshot: &Snapshot, pool: &str, address: &str, is_draining: bool) -> Response<Vec<u8>> {
    let Some(found) = snapshot.pool(pool) else {
        let mut names: Vec<&str> = snapshot.pools().map(|pool| pool.name.as_str()).collect();
        names.sort_unstable();
        let sentence = format!(
            "there is no pool `{}`; there are {}",
            Shown::new(pool),
            names.join(", ")
        );
        return said(StatusCode::NOT_FOUND, &sentence);
    };
    let address = decoded(address);
    let Some(changed) = found.drain(&address, is_draining) else {
        let members = found.members();
        let labels: Vec<&str> = members
            .iter()
            .map(|member| member.backend.label.as_str())
            .collect();
        let address = Shown::new(&address);
        let sentence = match labels.as_slice() {
            [] => format!("the pool `{pool}` has no backend `{address}`; at present it has none"),
            labels => format!(
                "the pool `{pool}` has no backend `{address}`; it has {}",
                labels.join(", ")
            ),
        };
        return said(StatusCode::NOT_FOUND, &sentence);
    };
    let sentence = match (changed.as_slice(), is_draining) {
        ([], _) => "nothing has changed".to_owned(),
        (changed, true) => format!("pool `{pool}`: {} gets nothing new", changed.join(", ")),
        (changed, false) => format!("pool `{pool}`: {} takes requests", changed.join(", ")),
    };
    said(StatusCode::OK, &sentence)
}

fn said(status: StatusCode, sentence: &str) -> Response<Vec<u8>> {
    response(status, TEXT, format!("{}\n", Lines(sentence)).into())
}

/// An address as it is, without the encodings that a path has for brackets, for example.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return text.into();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        let encoded = match (byte, after) {
            (b'%', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                let value = str::from_utf8(&digits)
                    .ok()
                    .and_then(|digits| u8::from_str_radix(digits, 16).ok());
                value.map(|value| (value, after))
            }
            _ => None,
        };
        match encoded {
            Some((value, after)) => {
                bytes.push(value);
                rest = after;
            }
            None => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_may_be_encoded_as_in_a_path() {
        assert_eq!(decoded("10.0.0.1:80"), "10.0.0.1:80");
        assert_eq!(decoded("%5B::1%5D:80"), "[::1]:80");
        assert_eq!(decoded("100%"), "100%");
        assert_eq!(decoded("%zz%4"), "%zz%4");
    }
}
