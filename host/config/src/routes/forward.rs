//! Resolves where a route's requests are sent, if they are.

use pace_wire::request::Rules;

use super::{index_of, matching};
use crate::problem::Fault;
use crate::raw::Full;
use crate::raw::routes as written;
use crate::resolve::{FirstSeen, Resolver};
use crate::scalar::Int;
use crate::shape::{Placed, Table};
use crate::types::route::{Forward, Mirror, PoolShare, SHARE_OF_ALL, SplitBy, Timeouts};

const DEFAULT_WEIGHT: u32 = 1;
const DEFAULT_COPIES: u32 = 100;

/// The pools of a route that has some, and how they are used. `None` has been reported.
pub(super) fn resolve(
    entry: &written::Route,
    full: &Full,
    rules: Rules,
    resolver: &mut Resolver<'_>,
) -> Option<Forward> {
    let pools = match (&entry.pool, &entry.pools) {
        (Some(name), _) => vec![PoolShare {
            pool: pool(name, full, resolver)?,
            weight: DEFAULT_WEIGHT,
        }],
        (None, Some(shares)) => split(shares, full, resolver)?,
        (None, None) => Vec::new(),
    };
    if let (Some(split_by), Some(_)) = (&entry.split_by, &entry.pool) {
        let fault = "the route has one `pool`, so nothing is split: write `pools`";
        resolver.report(&split_by.place, Fault::Refused(fault.to_owned()));
    }
    if let Some(Placed { value, place }) = &entry.split_by
        && let SplitBy::Header(name) = &value.0
        && let Some(fault) = matching::never_there(name.as_str(), rules)
    {
        resolver.report(place, Fault::Refused(fault));
    }
    let mirror = match &entry.mirror {
        Some(table) => Some(mirror(&table.value, &pools, full, resolver)?),
        None => None,
    };
    Some(Forward {
        mirror,
        pools,
        split_by: entry.split_by.as_ref().map(|split_by| split_by.value.0.clone()),
        timeouts: entry
            .timeouts
            .as_ref()
            .map(|table| timeouts(&table.value))
            .unwrap_or_default(),
    })
}

/// Reports keys that are about backends, in a route that has none.
pub(super) fn refuse(entry: &written::Route, resolver: &mut Resolver<'_>) {
    let places = [
        entry.split_by.as_ref().map(|split_by| &split_by.place),
        entry.timeouts.as_ref().map(|table| &table.place),
        entry.mirror.as_ref().map(|table| &table.place),
    ];
    for place in places.into_iter().flatten() {
        let fault = "the route sends nothing to a backend: this is for those with `pool` or `pools`";
        resolver.report(place, Fault::Refused(fault.to_owned()));
    }
}

fn split(
    shares: &Placed<Vec<Table<written::PoolShare>>>,
    full: &Full,
    resolver: &mut Resolver<'_>,
) -> Option<Vec<PoolShare>> {
    let mut seen = FirstSeen::default();
    let mut pools = Vec::new();
    for Table { value: share, .. } in &shares.value {
        let name = &share.pool;
        if let Some(first) = seen.earlier(name.value.clone(), &name.place) {
            let line = resolver.document().line(first).unwrap_or_default();
            let fault = format!("the pool `{}` has a share already, on line {line}", name.value);
            resolver.report(&name.place, Fault::Refused(fault));
        }
        pools.push(PoolShare {
            pool: pool(name, full, resolver)?,
            weight: share.weight.map_or(DEFAULT_WEIGHT, |weight| weight.value()),
        });
    }
    if pools.iter().all(|share| share.weight == 0) {
        let fault = "one pool at least needs a weight that is not 0";
        resolver.report(&shares.place, Fault::Refused(fault.to_owned()));
    }
    Some(pools)
}

fn mirror(
    said: &written::Mirror,
    pools: &[PoolShare],
    full: &Full,
    resolver: &mut Resolver<'_>,
) -> Option<Mirror> {
    let pool = pool(&said.pool, full, resolver)?;
    if pools.iter().any(|share| share.pool == pool) {
        let fault = "the requests themselves go there; their copies need another pool";
        resolver.report(&said.pool.place, Fault::Refused(fault.to_owned()));
    }
    Some(Mirror {
        pool,
        share: said.percent.map_or(SHARE_OF_ALL, |percent| percent.0),
        max_in_flight: said.max_in_flight.map_or(DEFAULT_COPIES, |most| most.value()),
    })
}

/// The index of a pool. `None` has been reported.
fn pool(name: &Placed<String>, full: &Full, resolver: &mut Resolver<'_>) -> Option<usize> {
    let names = full.pools.iter().map(|pool| pool.value.name.value.as_str());
    index_of("pool", &name.value, names, &name.place, resolver)
}

fn timeouts(said: &written::Timeouts) -> Timeouts {
    Timeouts {
        total: said.total_ms.map(Int::millis_unless_zero),
        first_byte: said.first_byte_ms.map(Int::millis),
    }
}
