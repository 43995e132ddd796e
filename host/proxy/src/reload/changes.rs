//! What another configuration changes, in a line for people.

use std::fmt;

use pace_base::escape::Shown;
use pace_config::Config;
use pace_config::route::{Action, Route};

/// The differences between two configurations. `Display` is a list such as `route api added; pools web, old changed`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes(Vec<Change>);

/// The things of a kind that have been changed in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    /// The noun for one thing.
    noun: &'static str,
    names: Vec<String>,
    verb: &'static str,
}

/// The most names of one change that are told.
const MAX_NAMES: usize = 10;

impl Changes {
    /// The changes from the old configuration to the new one.
    pub(super) fn between(old: &Config, new: &Config) -> Changes {
        let mut changes = Changes::default();
        let listen = |config: &Config| {
            let listeners = config.listeners.iter();
            listeners
                .map(|listener| (listener.listen.to_string(), listener.clone()))
                .collect()
        };
        changes.add("listener", listen(old), listen(new));
        let pools = |config: &Config| {
            config
                .pools
                .iter()
                .map(|pool| (pool.name.clone(), pool.clone()))
                .collect()
        };
        changes.add("pool", pools(old), pools(new));
        let plugins = |config: &Config| {
            let plugins = config.plugins.iter();
            plugins
                .map(|plugin| (plugin.name.clone(), plugin.clone()))
                .collect()
        };
        changes.add("plugin", plugins(old), plugins(new));
        let routes = old.routes.iter().map(|route| (route.name.clone(), route.clone()));
        let as_of_old = new
            .routes
            .iter()
            .map(|route| (route.name.clone(), with_indices_of(old, new, route)));
        changes.add("route", routes.collect(), as_of_old.collect());
        for (key, differs) in [
            ("[server]", old.server != new.server),
            ("[admin]", old.admin != new.admin),
            ("[metrics]", old.metrics != new.metrics),
        ] {
            if differs {
                changes.0.push(Change {
                    noun: "table",
                    names: vec![key.to_owned()],
                    verb: "changed",
                });
            }
        }
        changes
    }

    /// Whether there is nothing to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares things by their names.
    fn add<T: PartialEq>(&mut self, noun: &'static str, old: Vec<(String, T)>, new: Vec<(String, T)>) {
        let named = |things: &[(String, T)], name: &str| things.iter().position(|(other, _)| other == name);
        let (mut added, mut changed) = (Vec::new(), Vec::new());
        for (name, thing) in &new {
            match named(&old, name) {
                None => added.push(name.clone()),
                Some(index) if old[index].1 != *thing => changed.push(name.clone()),
                Some(_) => {}
            }
        }
        let removed = old.iter().filter(|(name, _)| named(&new, name).is_none());
        let removed = removed.map(|(name, _)| name.clone()).collect();
        for (names, verb) in [(added, "added"), (removed, "removed"), (changed, "changed")] {
            if !names.is_empty() {
                self.0.push(Change { noun, names, verb });
            }
        }
    }
}

/// The route with the numbers that its pools and plugins have in the old configuration. Those that are new there get numbers
/// that none has.
fn with_indices_of(old: &Config, new: &Config, route: &Route) -> Route {
    let pool = |index: &mut usize| {
        let name = &new.pools[*index].name;
        *index = old
            .pools
            .iter()
            .position(|pool| pool.name == *name)
            .unwrap_or(usize::MAX);
    };
    let mut route = route.clone();
    if let Action::Forward(forward) = &mut route.action {
        forward.pools.iter_mut().for_each(|share| pool(&mut share.pool));
        forward
            .mirror
            .iter_mut()
            .for_each(|mirror| pool(&mut mirror.pool));
    }
    for used in &mut route.plugins {
        let name = &new.plugins[used.plugin].name;
        let position = old.plugins.iter().position(|plugin| plugin.name == *name);
        used.plugin = position.unwrap_or(usize::MAX);
    }
    route
}

impl fmt::Display for Changes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for Change { noun, names, verb } in &self.0 {
            let plural = if names.len() == 1 { "" } else { "s" };
            write!(out, "{between}{noun}{plural} ")?;
            for (index, name) in names.iter().take(MAX_NAMES).enumerate() {
                let comma = if index == 0 { "" } else { ", " };
                write!(out, "{comma}{}", Shown::new(name))?;
            }
            if let Some(more @ 1..) = names.len().checked_sub(MAX_NAMES) {
                write!(out, " and {more} more")?;
            }
            write!(out, " {verb}")?;
            between = "; ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pace_config::Overrides;

    use super::*;

    fn config(text: &str) -> Config {
        let text = format!("[server]\nworkers = 1\n{text}");
        Config::parse(&text, Path::new("pace.toml"), &Overrides::default()).expect("it is valid")
    }

    fn between(old: &str, new: &str) -> String {
        Changes::between(&config(old), &config(new)).to_string()
    }

    const WEB: &str = "[[pools]]\nname = 'web'\nbackends = ['a:1']\n[[routes]]\nname = 'all'\npool = 'web'\n";

    #[test]
    fn things_are_told_by_their_names_and_by_what_became_of_them() {
        assert_eq!(between(WEB, WEB), "");
        assert_eq!(between(WEB, &WEB.replace("a:1", "b:1")), "pool web changed");
        assert_eq!(
            between(WEB, &WEB.replace("'all'", "'every'")),
            "route every added; route all removed"
        );
        let server = "underscores = 'pass'\n".to_owned() + WEB;
        assert_eq!(between(WEB, &server), "table [server] changed");
        let listening = "listen = '127.0.0.1:1'\n".to_owned() + WEB;
        assert_eq!(
            between(WEB, &listening),
            "listener 127.0.0.1:1 added; listener 127.0.0.1:8080 removed"
        );
    }

    /// The numbers of all that comes behind are others.
    #[test]
    fn pool_and_plugin_in_front_of_others_change_no_route() {
        let plugin = "[[plugins]]\nname = 'NAME'\nwasm = 'builtin:round-robin'\n";
        let (first, second) = (plugin.replace("NAME", "first"), plugin.replace("NAME", "second"));
        let route = "[[routes]]\npool = 'web'\nplugins = ['second']\n";
        let web = "[[pools]]\nname = 'web'\nbackends = ['a:1']\n";
        let old = format!("{second}{web}{route}");
        let new = format!("{first}{second}{}{web}{route}", web.replace("web", "other"));
        assert_eq!(between(&old, &new), "pool other added; plugin first added");
    }

    #[test]
    fn long_list_is_cut() {
        let pool = |number: usize| format!("[[pools]]\nname = 'p{number:02}'\nbackends = ['a:1']\n");
        let many: String = (0..12).map(pool).collect();
        assert_eq!(
            between(WEB, &(many + WEB)),
            "pools p00, p01, p02, p03, p04, p05, p06, p07, p08, p09 and 2 more added"
        );
    }
}
