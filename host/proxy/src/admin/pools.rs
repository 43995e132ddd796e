//! Pools, as the admin API shows and changes them.

use http::{Response, StatusCode};
use pace_base::escape::{Lines, Shown};
use pace_wire::percent;

use super::{TEXT, json, response};
use crate::snapshot::Snapshot;
use crate::upstream::PoolStatus;

/// All pools with their backends, by name.
pub(super) fn list(snapshot: &Snapshot) -> Response<Vec<u8>> {
    let mut pools: Vec<_> = snapshot.pools().collect();
    pools.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    let pools: Vec<PoolStatus> = pools.into_iter().map(|pool| pool.status()).collect();
    json(&pools)
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
    // A path has the brackets of an address, for example, encoded.
    let address: Vec<u8> = percent::decode(address).map(|(byte, _)| byte).collect();
    let address = String::from_utf8_lossy(&address);
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
