//! The tables of the pages compared with the program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use pace_tests::{Authority, HttpBackend, Pace, Setup, edition, fixture, root, wait_until};

use super::page::{Page, code};
use crate::issuing::issue;
use crate::sections::SERVER;
use crate::swapping::{Swapping, reconfigure, respond};

/// Each table of the configuration, and a file in which the key `zzz` is in it.
const TABLES: [(&str, &str); 37] = [
    ("[server]", "[server]\nzzz = 1"),
    ("[[listeners]]", "[[listeners]]\nzzz = 1"),
    (
        "[[listeners]] certificates",
        "[[listeners]]\ncertificates = [{ zzz = 1 }]",
    ),
    ("[[listeners]] tls", "[[listeners]]\ntls = { zzz = 1 }"),
    ("[acme]", "[acme]\nzzz = 1"),
    ("[admin]", "[admin]\nzzz = 1"),
    ("[metrics]", "[metrics]\nzzz = 1"),
    ("[access_log]", "[access_log]\nzzz = 1"),
    ("[tracing]", "[tracing]\nzzz = 1"),
    ("[upstreams]", "[upstreams]\nzzz = 1"),
    ("[rate_limit]", "[rate_limit]\nzzz = 1"),
    ("[headers]", "[headers]\nzzz = 1"),
    ("[[plugins]]", "[[plugins]]\nzzz = 1"),
    ("[[plugins]] limits", "[[plugins]]\nlimits = { zzz = 1 }"),
    ("[[plugins]] breaker", "[[plugins]]\nbreaker = { zzz = 1 }"),
    ("[[plugins]] rollback", "[[plugins]]\nrollback = { zzz = 1 }"),
    ("[[pools]]", "[[pools]]\nzzz = 1"),
    ("[[pools]] backends", "[[pools]]\nbackends = [{ zzz = 1 }]"),
    ("[[pools]] retry", "[[pools]]\nretry = { zzz = 1 }"),
    ("[upstreams] retry", "[upstreams]\nretry = { zzz = 1 }"),
    ("[[pools]] tls", "[[pools]]\ntls = { zzz = 1 }"),
    ("[upstreams] tls", "[upstreams]\ntls = { zzz = 1 }"),
    ("[[pools]] health_check", "[[pools]]\nhealth_check = { zzz = 1 }"),
    (
        "[upstreams] health_check",
        "[upstreams]\nhealth_check = { zzz = 1 }",
    ),
    ("[[pools]] ejection", "[[pools]]\nejection = { zzz = 1 }"),
    ("[upstreams] ejection", "[upstreams]\nejection = { zzz = 1 }"),
    ("[[pools]] stickiness", "[[pools]]\nstickiness = { zzz = 1 }"),
    ("[upstreams] stickiness", "[upstreams]\nstickiness = { zzz = 1 }"),
    ("[[routes]]", "[[routes]]\nzzz = 1"),
    ("[[routes]] match", "[[routes]]\nmatch = { zzz = 1 }"),
    ("[[routes]] pools", "[[routes]]\npools = [{ zzz = 1 }]"),
    ("[[routes]] mirror", "[[routes]]\nmirror = { zzz = 1 }"),
    ("[[routes]] rewrite", "[[routes]]\nrewrite = { zzz = 1 }"),
    ("[[routes]] timeouts", "[[routes]]\ntimeouts = { zzz = 1 }"),
    ("[[routes]] redirect", "[[routes]]\nredirect = { zzz = 1 }"),
    ("[[routes]] respond", "[[routes]]\nrespond = { zzz = 1 }"),
    ("[[routes]] plugins", "[[routes]]\nplugins = [{ zzz = 1 }]"),
];

/// One row of the table of keys, for one of the tables that it names.
pub(super) struct Key {
    pub(super) table: String,
    pub(super) key: String,
    default: String,
    allowed: String,
}

impl Key {
    /// The default, if that is a value and not a rule.
    pub(super) fn default(&self) -> Option<&str> {
        let value = self.default.strip_prefix('`')?.strip_suffix('`')?;
        (!value.contains('`')).then_some(value)
    }
}

/// All keys. A row without a table is about that of the row above.
pub(super) fn keys() -> Vec<Key> {
    let mut tables = Vec::new();
    let mut keys = Vec::new();
    for row in Page::of("docs/configuration.md").table("| table | key | default | allowed | |") {
        if !row[0].is_empty() {
            tables = code(&row[0]);
        }
        let key = code(&row[1]).remove(0);
        keys.extend(tables.iter().map(|table| Key {
            table: table.clone(),
            key: key.clone(),
            default: row[2].clone(),
            allowed: row[3].clone(),
        }));
    }
    keys
}

/// The mistake in a file, according to `pace check`.
fn refusal(config: &str) -> String {
    let exit = Setup::new().args(["check"]).config(config).run();
    exit.refusal().to_owned()
}

/// The keys that the program allows beside `zzz`.
fn allowed(config: &str) -> BTreeSet<String> {
    let message = refusal(config);
    let line = message.lines().find(|line| line.contains("unknown key `zzz`"));
    let (_, list) = line
        .and_then(|line| line.split_once("Allowed: "))
        .unwrap_or_else(|| panic!("no list of keys in: {message}"));
    code(list).into_iter().collect()
}

#[test]
fn keys_on_the_page_are_those_of_the_program() {
    let mut documented: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for key in keys() {
        let new = documented
            .entry(key.table.clone())
            .or_default()
            .insert(key.key.clone());
        assert!(new, "{} {} is there twice", key.table, key.key);
    }
    let known: BTreeMap<String, BTreeSet<String>> = TABLES
        .iter()
        .map(|(table, config)| ((*table).to_owned(), allowed(config)))
        .collect();
    assert_eq!(documented, known);

    let outermost: BTreeSet<String> = TABLES
        .iter()
        .map(|(table, _)| table.split(' ').next().unwrap_or_default())
        .map(|table| table.trim_matches(['[', ']']).to_owned())
        .collect();
    assert_eq!(outermost, allowed("zzz = 1"));
}

#[test]
fn ranges_on_the_page_are_those_of_the_program() {
    let mut compared = 0;
    for Key {
        table, key, allowed, ..
    } in keys()
    {
        let Some((least, most)) = allowed.split_once(" to ") else {
            continue;
        };
        let (Ok(least), Ok(most)) = (least.parse::<i64>(), most.parse::<i64>()) else {
            continue;
        };
        let (_, config) = TABLES
            .iter()
            .find(|(known, _)| *known == table)
            .expect("compared above");
        for outside in [least - 1, most + 1] {
            let message = refusal(&config.replace("zzz = 1", &format!("{key} = {outside}")));
            let expected = format!("expected an integer from {least} to {most}, found the integer {outside}");
            assert!(message.contains(&expected), "{table} {key}: {message}");
        }
        compared += 1;
    }
    assert!(compared >= 10, "only {compared} ranges");
}

/// A unit test of the host compares config/proxy.toml with the defaults in the code, and a test of
/// docs/operations.md has the program compare those in config/contained.toml.
#[test]
fn defaults_on_the_page_are_those_of_the_commented_files() {
    let mut settings = settings("config/proxy.toml");
    // That file listens on all addresses, and its number of threads is an example.
    settings.retain(|(table, key), _| table != "[server]" || !["listen", "workers"].contains(&key.as_str()));
    let contained = self::settings("config/contained.toml").into_iter();
    settings.extend(contained.filter(|((table, _), _)| table.starts_with("[[plugins]]")));
    let of_listeners = self::settings("config/tls.toml").into_iter();
    settings.extend(of_listeners.filter(|((table, _), _)| table == "[[listeners]] tls"));
    let mut compared = 0;
    for key in keys() {
        let value = settings.get(&(key.table.clone(), key.key.clone()));
        if let (Some(value), Some(default)) = (value, key.default()) {
            assert_eq!(default, value, "{} {}", key.table, key.key);
            compared += 1;
        }
    }
    assert!(compared >= 30, "only {compared} defaults");
}

/// The first value that a file has for each table and key, also in a comment.
fn settings(file: &str) -> BTreeMap<(String, String), String> {
    let text = fs::read_to_string(root().join(file)).expect("it is there");
    let (mut table, mut settings) = (String::new(), BTreeMap::new());
    for line in text.lines() {
        let line = line.strip_prefix('#').unwrap_or(line);
        let within = line.strip_prefix('[').and_then(|line| line.split_once('.'));
        if let Some((list @ ("plugins" | "listeners"), inner)) = within {
            table = format!("[[{list}]] {}", inner.trim_end_matches(']'));
        } else if line.starts_with('[') {
            line.clone_into(&mut table);
        } else if let Some((key, value)) = line.split_once(" = ")
            && !key.contains(' ')
        {
            let place = (table.clone(), key.to_owned());
            settings.entry(place).or_insert_with(|| value.to_owned());
        }
    }
    settings
}

#[test]
fn metrics_on_the_page_are_those_of_the_program() {
    let (up, down) = (HttpBackend::named("up"), HttpBackend::down());
    // The configuration has an admin listener, because reading metrics there is not counted.
    let pace = Pace::with_config(&format!(
        "{SERVER}\n[upstreams]\nbackends = ['{}', '{}']",
        up.label(),
        down.label()
    ));
    // One of two requests goes to the backend that is down, so that a failure is counted.
    for _ in 0..2 {
        assert_eq!(pace.get("/").status, 200);
    }
    pace.wait_for_metric("http_requests_duration_seconds_count", &[("status", "200")], 2);
    let text = pace.admin().get("/metrics").text().to_owned()
        + &metrics_of_swaps()
        + &metrics_of_certificates()
        + &metrics_of_mirrors()
        + &metrics_of_queues();

    let types: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .collect();
    let mut labels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    // The values of labels for outcomes, by metric.
    let mut outcomes: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let series = line.rsplit_once(' ').expect("a sample has a value").0;
        let (name, list) = series.split_once('{').unwrap_or((series, ""));
        let labels = labels.entry(without_suffix(name, &types)).or_default();
        for (label, value) in list.split(',').filter_map(|label| label.split_once('=')) {
            // The bounds of buckets are the histogram's own.
            if label != "le" {
                labels.insert(label);
            }
            if ["reason", "result", "by"].contains(&label) {
                let value = value.trim_matches(['"', '}']).to_owned();
                outcomes.entry(name).or_default().insert(value);
            }
        }
    }

    let rows = Page::of("docs/metrics.md").table("| metric | type | labels | |");
    let names: Vec<String> = rows.iter().map(|row| code(&row[0]).remove(0)).collect();
    assert_eq!(
        names.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        types.keys().copied().collect()
    );
    for (name, row) in names.iter().zip(&rows) {
        assert_eq!(row[1], types[name.as_str()], "the type of {name}");
        let documented = code(&row[2]);
        let documented: BTreeSet<&str> = documented.iter().map(String::as_str).collect();
        assert_eq!(documented, labels[name.as_str()], "the labels of {name}");
        let named: BTreeSet<String> = code(&row[3]).into_iter().collect();
        if !named.is_empty() {
            assert_eq!(named, outcomes[name.as_str()], "what becomes of {name}");
        }
    }

    let is_metric = |word: &&str| word.starts_with("pace_") || word.starts_with("http_");
    let mut queried = 0;
    for page in Page::all() {
        let queries = page.blocks.iter().filter(|block| block.language == "promql");
        let words =
            queries.flat_map(|query| query.text.split(|c: char| c != '_' && !c.is_ascii_alphanumeric()));
        for word in words.filter(is_metric) {
            let is_known = types.contains_key(without_suffix(word, &types));
            assert!(is_known, "{} queries {word}", page.name);
            queried += 1;
        }
    }
    assert!(queried >= 10, "only {queried} metrics are queried");
}

/// The metrics on the page with their labels, which are those of the program.
pub(crate) fn metrics() -> BTreeMap<String, BTreeSet<String>> {
    let rows = Page::of("docs/metrics.md").table("| metric | type | labels | |");
    let named = |row: &Vec<String>| (code(&row[0]).remove(0), code(&row[2]).into_iter().collect());
    rows.iter().map(named).collect()
}

/// The metrics of files and configurations that are taken, refused and given up again.
fn metrics_of_swaps() -> String {
    let swapping = Swapping::new();
    swapping.replace(&respond(2));
    swapping.wait_for_generation(2);
    let opened = |text: String| text.replace("\n[[pools]]", "on_failure = 'open'\n\n[[pools]]");
    assert_eq!(reconfigure(&swapping.pace, opened).0, 200);
    swapping.replace(b"This is a text.");
    assert_eq!(swapping.post("reload").0, 409);
    assert_eq!(swapping.post("rollback").0, 200);
    swapping.replace(&edition(&fixture("trap"), 1));
    swapping.wait_for_generation(3);
    wait_until("a generation to be given up", || {
        swapping.pace.get("/misbehave");
        swapping.reloads("unfit") == 1
    });
    assert_eq!(reconfigure(&swapping.pace, |_| "zzz = 1".to_owned()).0, 409);
    for result in ["published", "refused"] {
        let labels = [("result", result)];
        assert!(swapping.pace.metrics().has("pace_config_reloads_total", &labels));
    }
    swapping.pace.admin().get("/metrics").text().to_owned()
}

/// The metrics of a listener with a certificate.
fn metrics_of_certificates() -> String {
    let setup = Setup::new().config(
        "[[listeners]]\nlisten = '127.0.0.1:0'\ncertificates = [{ cert = 'a.pem', key = 'a.key' }]\n\
         [admin]\nlisten = '127.0.0.1:0'\n[upstreams]\nbackends = ['127.0.0.1:1']\n",
    );
    issue(
        &Authority::new("tests"),
        &setup.directory().join("a.pem"),
        "a.example",
    );
    setup.start().admin().get("/metrics").text().to_owned()
}

/// The metrics of a mirror.
fn metrics_of_mirrors() -> String {
    let pace = Pace::with_config(&format!(
        "{SERVER}[[pools]]\nname = 'web'\nbackends = ['127.0.0.1:1']\n[[pools]]\nname = 'next'\nbackends = ['127.0.0.1:1']\n\
         [[routes]]\npool = 'web'\nmirror = {{ pool = 'next' }}\n"
    ));
    pace.admin().get("/metrics").text().to_owned()
}

/// The metrics of a pool whose backends have a bound.
fn metrics_of_queues() -> String {
    let config = format!("{SERVER}\n[upstreams]\nbackends = ['127.0.0.1:1']\nmax_in_flight = 1\n");
    Pace::with_config(&config)
        .admin()
        .get("/metrics")
        .text()
        .to_owned()
}

/// The metric that a series belongs to: a histogram has three series.
fn without_suffix<'n>(name: &'n str, types: &BTreeMap<&str, &str>) -> &'n str {
    ["_bucket", "_sum", "_count"]
        .iter()
        .filter_map(|suffix| name.strip_suffix(suffix))
        .find(|base| types.get(base) == Some(&"histogram"))
        .unwrap_or(name)
}

#[test]
fn options_on_the_page_are_those_of_the_program() {
    let help = Setup::new().args(["--help"]).run().stdout;
    let mut known = BTreeSet::new();
    let (_, commands) = help.split_once("Commands:\n").expect("there are commands");
    for line in commands.lines().take_while(|line| !line.is_empty()) {
        known.extend(line.split_whitespace().next().map(str::to_owned));
    }
    known.remove("help");
    let (_, options) = help.split_once("Options:\n").expect("there are options");
    for line in options.lines().filter(|line| line.trim_start().starts_with('-')) {
        let words = line.split([' ', ',']).filter(|word| word.starts_with('-'));
        known.extend(words.map(str::to_owned));
    }

    let mut documented = BTreeSet::new();
    let rows = Page::read().table("| command or option | |");
    for span in rows.iter().flat_map(|row| code(&row[0])) {
        let word = match span.strip_prefix("pace") {
            Some(command) => command.trim(),
            None => span.split(' ').next().unwrap_or_default(),
        };
        documented.insert(word.to_owned());
    }
    documented.remove("");
    assert_eq!(documented, known);
}
