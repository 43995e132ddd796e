//! Compares what serves with what the configuration asks for, and says what must be done.

use pace_config::{Config, Sha256};
use pace_sandbox::Settings;

/// The keys that differ and need a restart, because they are used only when the process starts.
pub(super) fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let admin = |config: &Config| config.admin.as_ref().map(|admin| admin.listen.clone());
    let mode = |config: &Config| config.admin.as_ref().map(|admin| admin.mode);
    let (before, after) = (&old.server, &new.server);
    [
        ("`[acme]`", old.acme != new.acme),
        ("`[server] workers`", before.workers != after.workers),
        (
            "`[server] shutdown_delay_ms`",
            before.shutdown_delay != after.shutdown_delay,
        ),
        (
            "`[server] grace_period_seconds`",
            before.grace_period != after.grace_period,
        ),
        (
            "`[server] proxy_protocol`",
            before.proxy_protocol != after.proxy_protocol,
        ),
        (
            "`[server] trusted_proxies` with proxy_protocol",
            after.proxy_protocol && before.trusted_proxies != after.trusted_proxies,
        ),
        (
            "`[server] tcp_keepalive_seconds`",
            before.connections.tcp_keepalive != after.connections.tcp_keepalive,
        ),
        ("`[server] cache_dir`", before.cache_dir != after.cache_dir),
        ("`[admin] listen`", admin(old) != admin(new)),
        (
            "`[admin] mode`",
            admin(old) == admin(new) && mode(old) != mode(new),
        ),
    ]
    .into_iter()
    .filter_map(|(key, differs)| differs.then_some(key))
    .collect()
}

/// The change that another configuration demands of a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The generation that serves fits.
    Nothing,
    /// The code that serves fits, with other settings.
    Settings,
    /// The present content of the source is needed.
    Code,
}

/// Compares two entries of one name. The file on disk may differ from the one that serves, and be worse; it is needed only
/// if the code that serves does not fit.
pub(super) fn change(old: &pace_config::Plugin, new: &pace_config::Plugin, serving: Sha256) -> Change {
    let (before, after) = (Settings::from(old), Settings::from(new));
    if old.source != new.source || before.allocation() != after.allocation() || !allows(new, serving) {
        Change::Code
    } else if before != after {
        Change::Settings
    } else {
        Change::Nothing
    }
}

/// The way in which a generation that was replaced can serve again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WayBack {
    /// The generation can serve as it is.
    AsItWas,
    /// A new generation of the same code can serve, because the configuration has changed meanwhile.
    OtherSettings,
    /// The generation would have to be compiled again, from bytes that are not kept.
    OtherAllocation,
    /// The generation cannot serve: the configuration demands content with this hash.
    OtherContent(Sha256),
}

/// Compares the present entry of a plugin with an earlier generation.
pub(super) fn way_back(entry: &pace_config::Plugin, sha256: Sha256, settings: Settings) -> WayBack {
    let wanted = Settings::from(entry);
    match entry.sha256 {
        Some(pinned) if pinned != sha256 => WayBack::OtherContent(pinned),
        _ if wanted.allocation() != settings.allocation() => WayBack::OtherAllocation,
        _ if wanted != settings => WayBack::OtherSettings,
        _ => WayBack::AsItWas,
    }
}

fn allows(entry: &pace_config::Plugin, content: Sha256) -> bool {
    entry.sha256.is_none_or(|pinned| pinned == content)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use pace_config::{Isolation, OnFailure, Overrides, Source};

    fn entry() -> pace_config::Plugin {
        pace_config::Plugin::new("plugin", Source::File(PathBuf::from("plugin.wasm")))
    }

    fn with(change: impl FnOnce(&mut pace_config::Plugin)) -> pace_config::Plugin {
        let mut entry = entry();
        change(&mut entry);
        entry
    }

    fn content(text: &str) -> Sha256 {
        Sha256::of(text.as_bytes())
    }

    /// Entries that differ in settings which are neither code nor isolation.
    fn other_settings() -> [pace_config::Plugin; 4] {
        [
            with(|it| it.limits.handles += 1),
            with(|it| it.limits.window_keys += 1),
            with(|it| it.breaker.failures += 1),
            with(|it| it.rollback.calls += 1),
        ]
    }

    #[test]
    fn other_policy_or_configuration_needs_no_change() {
        let old = entry();
        for new in [
            entry(),
            with(|it| it.on_failure = OnFailure::Open),
            with(|it| drop(it.config.insert("key".to_owned(), 1.into()))),
        ] {
            assert_eq!(change(&old, &new, content("served")), Change::Nothing);
        }
    }

    #[test]
    fn other_settings_need_no_code() {
        for new in other_settings() {
            assert_eq!(change(&entry(), &new, content("served")), Change::Settings);
        }
    }

    #[test]
    fn pin_on_the_content_that_serves_needs_no_change() {
        let pin = |text| with(|it| it.sha256 = Some(content(text)));
        let change = |old, new| change(&old, &new, content("served"));
        assert_eq!(change(entry(), pin("served")), Change::Nothing);
        assert_eq!(change(pin("served"), entry()), Change::Nothing);
        assert_eq!(change(entry(), pin("another")), Change::Code);
    }

    #[test]
    fn other_source_or_isolation_needs_the_code() {
        for new in [
            with(|it| it.source = Source::Builtin("round-robin".to_owned())),
            with(|it| it.isolation = Isolation::Request),
        ] {
            assert_eq!(change(&entry(), &new, content("served")), Change::Code);
        }
    }

    /// Each pool of instances is for plugins up to a size of memory.
    #[test]
    fn memory_beyond_the_size_of_the_pool_needs_the_code() {
        let isolated = |mebibytes: usize| {
            with(|it| {
                it.isolation = Isolation::Request;
                it.limits.memory = mebibytes << 20;
            })
        };
        let change = |from, to| change(&isolated(from), &isolated(to), content("served"));
        assert_eq!(change(16, 64), Change::Settings);
        assert_eq!(change(16, 65), Change::Code);
        assert_eq!(change(65, 128), Change::Settings);
        assert_eq!(change(1024, 1), Change::Code);
        let grown = with(|it| it.limits.memory = 1 << 30);
        assert_eq!(
            super::change(&entry(), &grown, content("served")),
            Change::Settings
        );
    }

    #[test]
    fn way_back_follows_the_present_configuration() {
        let way = |entry: &pace_config::Plugin| {
            let made_with = Settings::from(&self::entry());
            way_back(entry, content("before"), made_with)
        };
        assert_eq!(way(&entry()), WayBack::AsItWas);
        assert_eq!(
            way(&with(|it| it.sha256 = Some(content("before")))),
            WayBack::AsItWas
        );
        for changed in other_settings() {
            assert_eq!(way(&changed), WayBack::OtherSettings);
        }
        let isolated = with(|it| it.isolation = Isolation::Request);
        assert_eq!(way(&isolated), WayBack::OtherAllocation);
        let pinned = with(|it| it.sha256 = Some(content("served")));
        assert_eq!(way(&pinned), WayBack::OtherContent(content("served")));
    }

    #[test]
    fn number_of_workers_needs_a_restart_and_listeners_do_not() {
        let config = || {
            let overrides = Overrides {
                listen: None,
                backends: vec!["127.0.0.1:1".to_owned()],
            };
            Config::from_overrides(&overrides).expect("there is a backend")
        };
        let old = config();
        assert!(needs_restart(&old, &config()).is_empty());
        let mut new = config();
        new.server.workers += 1;
        new.listeners[0].listen.port = 1;
        assert_eq!(needs_restart(&old, &new), ["`[server] workers`"]);
        let network = "127.0.0.0/8".parse().expect("it is a network");
        let mut new = config();
        new.server.trusted_proxies.push(network);
        assert!(needs_restart(&old, &new).is_empty(), "they are read per request");
    }
}
