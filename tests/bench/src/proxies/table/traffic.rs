//! The table of the cost of several kinds of requests in several proxies.

use super::super::result::{Round, TrafficRow, TrafficScene};
use super::{Table, grouped};
use crate::statistics::{Spread, median, spread};

/// The table, with a row for each kind of request and one for idle connections, and a column for each proxy.
pub(super) fn traffic(scene: &TrafficScene) -> String {
    let has_ceilings = scene.rows.iter().any(|row| row.ceiling.is_some());
    let mut header = vec!["CPU µs/request, beside the first (range)"];
    header.extend(scene.proxies.iter().map(String::as_str));
    header.push(match has_ceilings {
        true => "load alone, requests/s",
        false => "their core in use",
    });
    let mut table = Table::new(&header);
    for row in &scene.rows {
        let cpu = |rounds: &Vec<Round>| -> Vec<f64> {
            let rounds = rounds.iter();
            rounds.map(|round| round.cpu_microseconds_per_request).collect()
        };
        let measured: Vec<Vec<f64>> = row.cells.iter().map(cpu).collect();
        let mut cells = vec![row.name.clone()];
        cells.extend(beside_the_first(&measured, |microseconds| match row.per_second {
            true => format!("{microseconds:.1} ({}/s)", grouped(1e6 / microseconds)),
            false => format!("{microseconds:.2}"),
        }));
        cells.push(match row.ceiling {
            Some(ceiling) => grouped(ceiling),
            None => {
                let Spread { low, high, .. } = busy([row]);
                format!("{low:.0} to {high:.0} %")
            }
        });
        table.row(cells);
    }
    let mut cells = vec!["an idle connection, bytes".to_owned()];
    cells.extend(beside_the_first(&scene.idle_bytes, grouped));
    cells.push(String::new());
    table.row(cells);

    let Spread { low, high, .. } = busy(&scene.rows);
    table.0
        + &format!(
            "\nMedians of rounds ({} × {} s), {} connections, {} that wait. The proxies had {low:.0} to {high:.0} % of their core: \
             where that is far below 100 %, the load was the limit.\n",
            scene.conditions.rounds,
            scene.conditions.seconds,
            scene.conditions.connections,
            grouped(scene.idle_connections as f64),
        )
}

/// The shares of their core that the proxies used, from the least to the most busy.
fn busy<'a>(rows: impl IntoIterator<Item = &'a TrafficRow>) -> Spread {
    let cells = rows.into_iter().flat_map(|row| &row.cells);
    spread(cells.map(|rounds| median(rounds.iter().map(|round| round.busy_percent))))
}

/// The median of each proxy's rounds, and its ratio to the first proxy's, compared round by round.
fn beside_the_first(measured: &[Vec<f64>], show: impl Fn(f64) -> String) -> Vec<String> {
    let Some(first) = measured.first() else {
        return Vec::new();
    };
    let cell = |(index, rounds): (usize, &Vec<f64>)| {
        let shown = show(median(rounds.iter().copied()));
        if index == 0 {
            return shown;
        }
        let Spread { low, median, high } = spread(rounds.iter().zip(first).map(|(this, first)| this / first));
        format!("{shown}, {median:.2} × ({low:.2} to {high:.2})")
    };
    measured.iter().enumerate().map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::result::Conditions;
    use super::*;

    fn round(cpu: f64) -> Round {
        Round {
            requests_per_second: 1e6 / cpu,
            cpu_microseconds_per_request: cpu,
            busy_percent: 90.0 + cpu / 10.0,
            latency: None,
            peak_mebibytes: 10.0,
        }
    }

    /// A scene of two proxies with a single row.
    fn scene(name: &str, ceiling: Option<f64>) -> TrafficScene {
        TrafficScene {
            conditions: Conditions {
                rounds: 3,
                seconds: 2,
                connections: 32,
                rate: None,
            },
            proxies: vec!["bare".to_owned(), "other".to_owned()],
            rows: vec![TrafficRow {
                key: "get".to_owned(),
                name: name.to_owned(),
                ceiling,
                per_second: ceiling.is_none(),
                cells: vec![
                    [10.0, 20.0, 40.0].map(round).to_vec(),
                    [12.0, 20.0, 20.0].map(round).to_vec(),
                ],
            }],
            idle_connections: 2000,
            idle_bytes: vec![vec![4000.0; 3], vec![1000.0; 3]],
        }
    }

    #[test]
    fn cell_has_median_and_ratio_to_the_first_proxy() {
        let table = traffic(&scene("GET", Some(90_000.0)));
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(
            lines[2],
            "| GET | 20.00 | 20.00, 1.00 × (0.50 to 1.20) | 90,000 |"
        );
        assert_eq!(
            lines[3],
            "| an idle connection, bytes | 4,000 | 1,000, 0.25 × (0.25 to 0.25) |  |"
        );
        assert!(lines[5].contains("92 to 92 % of their core"), "{table}");
    }

    #[test]
    fn row_without_a_ceiling_has_the_share_of_the_core() {
        let table = traffic(&scene("a handshake", None));
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].ends_with("| their core in use |"), "{table}");
        assert_eq!(
            lines[2],
            "| a handshake | 20.0 (50,000/s) | 20.0 (50,000/s), 1.00 × (0.50 to 1.20) | 92 to 92 % |"
        );
    }
}
