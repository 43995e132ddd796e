//! The table `[budget]` as written: two keys for each hook, and one for all.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use pace_config::reading::Int;
use pace_hook::{Hook, PerHook};

/// The most that calls may cost, for `pace plugin bench`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Budget {
    pub(super) hooks: PerHook<HookBudget>,
    pub(super) memory_kb: Option<Int<1, 1_048_576>>,
}

/// The keys of one hook, such as `request_filter_ns` and `request_filter_instructions`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HookBudget {
    pub(super) nanoseconds: Option<Int<1, { u32::MAX }>>,
    pub(super) instructions: Option<Int<1, { u32::MAX }>>,
}

impl<'de> Deserialize<'de> for Budget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = Budget;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Budget, A::Error> {
                let mut budget = Budget::default();
                while let Some(key) = table.next_key()? {
                    match key {
                        Key::Nanoseconds(hook) => budget.hooks[hook].nanoseconds = Some(table.next_value()?),
                        Key::Instructions(hook) => {
                            budget.hooks[hook].instructions = Some(table.next_value()?)
                        }
                        Key::Memory => budget.memory_kb = Some(table.next_value()?),
                    }
                }
                Ok(budget)
            }
        }

        deserializer.deserialize_map(Keys)
    }
}

/// A key of the table.
#[derive(Clone, Copy)]
enum Key {
    Nanoseconds(Hook),
    Instructions(Hook),
    Memory,
}

impl Key {
    fn all() -> impl Iterator<Item = Key> {
        let nanoseconds = Hook::ALL.map(Key::Nanoseconds).into_iter();
        nanoseconds
            .chain(Hook::ALL.map(Key::Instructions))
            .chain([Key::Memory])
    }

    fn name(self) -> String {
        match self {
            Key::Nanoseconds(hook) => format!("{}_ns", hook.name().replace('-', "_")),
            Key::Instructions(hook) => format!("{}_instructions", hook.name().replace('-', "_")),
            Key::Memory => "memory_kb".to_owned(),
        }
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = String::deserialize(deserializer)?;
        Key::all().find(|key| key.name() == written).ok_or_else(|| {
            let known: Vec<String> = Key::all().map(|key| format!("`{}`", key.name())).collect();
            // This is serde's wording, whose `unknown_field` wants a constant list.
            D::Error::custom(format_args!(
                "unknown field `{written}`, expected one of {}",
                known.join(", ")
            ))
        })
    }
}
