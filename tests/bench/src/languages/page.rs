//! Writes figures into docs/plugins.md, which has a place for them.

use super::figures::{Figure, Figures, Language};
use crate::places;
use anyhow::{Context, Result, ensure};
use pace_kit::root;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

const PAGE: &str = "docs/plugins.md";

/// The file with the figures that the page shows.
pub(crate) fn published() -> PathBuf {
    root().join("docs/languages.json")
}

/// Writes figures into the repository.
pub(crate) fn publish(figures: &Figures) -> Result<()> {
    let path = root().join(PAGE);
    let page = fs::read_to_string(&path).with_context(|| format!("cannot read {PAGE}"))?;
    for (path, text) in [
        (path, filled(&page, &place(figures))?),
        (published(), figures.json()),
    ] {
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    eprintln!("{PAGE} and docs/languages.json are written");
    Ok(())
}

/// Replaces the figures of the page.
fn filled(page: &str, figures: &str) -> Result<String> {
    places::filled(page, |name| {
        ensure!(name == "languages", "{PAGE} has a place for {name}");
        Ok(format!("\n{figures}\n"))
    })
}

/// Everything on the page that has figures: the table, how they were made, and what follows from them.
fn place(figures: &Figures) -> String {
    format!(
        "{}\n{}\n{}",
        table(figures),
        provenance(figures),
        conclusion(figures)
    )
}

/// The table, with a column for each language.
pub(crate) fn table(figures: &Figures) -> String {
    let languages: Vec<(Language, &Figure)> = figures
        .languages
        .iter()
        .map(|(language, figure)| (*language, figure))
        .collect();
    let mut text = String::new();
    let mut row = |title: &str, cell: &dyn Fn(Language, &Figure) -> String| {
        let cells = languages.iter().map(|(language, figure)| cell(*language, figure));
        let cells: Vec<String> = [title.to_owned()].into_iter().chain(cells).collect();
        // An empty cell is written as one blank, not two.
        let line = format!("| {} |\n", cells.join(" | "));
        text += &line.replace("|  |", "| |");
    };
    row("", &|language, _| language.name().to_owned());
    let dashes = "---|".repeat(languages.len() + 1);
    row("it takes", &|language, _| {
        match language {
            Language::Rust => "Rust with `wasm32-unknown-unknown`",
            Language::C => "clang, wasm-ld, wasi-libc",
            Language::Js => "Node 20, npm",
            Language::Python => "Python 3.10",
        }
        .to_owned()
    });
    row("size", &|_, figure| size(figure.size_kib));
    row("start-up: compiling the file", &|_, figure| {
        format!("{} s", number(figure.check_seconds))
    });
    row("the same with `[server] cache_dir`", &|_, figure| {
        format!("{} s", number(figure.cached_check_seconds))
    });
    row("start-up: a new instance, configured", &|_, figure| {
        time(figure.instance_microseconds)
    });
    row("a call of `request-filter`", &|_, figure| {
        time(figure.call_microseconds)
    });
    row("memory of an instance", &|_, figure| {
        let memory = format!("{} MiB", number(figure.memory_mib));
        match figure.later_memory_mib {
            Some(_) => memory + ", and what it has not collected yet",
            None => memory,
        }
    });
    row("imports WASI", &|language, _| {
        match language {
            Language::Js | Language::Python => {
                "yes, [with nothing behind it](operations.md#when-a-plugin-misbehaves)"
            }
            Language::Rust | Language::C => "no",
        }
        .to_owned()
    });
    row("`limits` to begin with", &|language, _| {
        match language.has_runtime() {
            true => "`{ time_ms = 100, memory_mb = 64 }`",
            false => "the defaults",
        }
        .to_owned()
    });
    text.replacen('\n', &format!("\n|{dashes}\n"), 1)
}

fn provenance(figures: &Figures) -> String {
    let tools: Vec<&str> = figures.languages.values().map(|figure| &*figure.tool).collect();
    wrapped(&format!(
        "How the figures were made: {}, a release build of Pace, {}. Each is the median of {} measurements; `cargo xtask \
         languages` makes them again. Size is what `pace plugin build` prints. Compiling is all of `pace check` with this plugin alone; \
         with a cache, its second run. A call is the median of `pace plugin bench` for 10,000 requests with a key that is \
         known: four calls to Pace, which count the request and edit two headers. With `isolation = \"request\"` bench \
         makes an instance for each call; that, less the call itself, is the new instance. Memory is what bench prints, \
         for JavaScript after 100 calls.",
        figures.machine,
        tools.join(", "),
        figures.rounds,
    ))
}

fn conclusion(figures: &Figures) -> String {
    let of = |runtime: bool, value: fn(&Figure) -> f64| {
        let of_kind = figures.languages.iter();
        let values = of_kind.filter(move |(language, _)| language.has_runtime() == runtime);
        values.map(move |(_, figure)| value(figure))
    };
    let least = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::INFINITY, f64::min);
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    let (call, memory) = (
        |figure: &Figure| figure.call_microseconds,
        |figure: &Figure| figure.memory_mib,
    );
    let compiled = least(&mut of(false, call));
    let mut text = format!(
        "Rust and C are for what every request passes. JavaScript and Python are for logic that is easier to write there, \
         at {:.0} to {:.0} times the time for a call and {:.0} times the memory or more, once for each worker.",
        least(&mut of(true, call)) / compiled,
        most(&mut of(true, call)) / compiled,
        least(&mut of(true, memory)) / most(&mut of(false, memory)),
    );
    let js = figures.languages.get(&Language::Js);
    if let Some(later) = js.and_then(|figure| figure.later_memory_mib) {
        write!(
            text,
            " The JavaScript engine frees memory late: after 30,000 calls the instance has {} MiB.",
            number(later)
        )
        .expect("a String takes every write");
    }
    wrapped(&text)
}

/// Breaks a paragraph into lines of at most 124 characters.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is one from the beginning");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > 124 {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n") + "\n"
}

fn size(kib: f64) -> String {
    match kib < 1024.0 {
        true => format!("{} KiB", number(kib)),
        false => format!("{} MiB", number(kib / 1024.0)),
    }
}

fn time(microseconds: f64) -> String {
    match microseconds < 100.0 {
        true => format!("{} µs", number(microseconds)),
        false => format!("{} ms", number(microseconds / 1000.0)),
    }
}

/// A number with two decimals below 1, one below 100 and none above, without trailing zeros.
fn number(number: f64) -> String {
    let text = match number {
        ..1.0 => format!("{number:.2}"),
        1.0..100.0 => format!("{number:.1}"),
        _ => return format!("{number:.0}"),
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_has_fewer_decimals_the_larger_it_is() {
        let shown = [0.024, 0.9, 0.57, 1.0, 9.6, 11.68, 52.0, 123.4].map(number);
        assert_eq!(shown, ["0.02", "0.9", "0.57", "1", "9.6", "11.7", "52", "123"]);
        assert_eq!([time(52.0), time(900.0)], ["52 µs", "0.9 ms"]);
        assert_eq!([size(84.0), size(18_022.4)], ["84 KiB", "17.6 MiB"]);
    }

    #[test]
    fn page_has_the_published_figures() {
        let figures = Figures::read(&published()).expect("figures are published");
        assert!(figures.languages.keys().copied().eq(Language::ALL));
        let page = fs::read_to_string(root().join(PAGE)).expect("the page is there");
        assert!(
            filled(&page, &place(&figures)).is_ok_and(|expected| expected == page),
            "{PAGE} differs from docs/languages.json: `cargo xtask languages --publish-only` writes it again"
        );
    }
}
