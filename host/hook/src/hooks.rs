//! The hooks, each declared once, and a map from hooks to values.

use std::ops::{Index, IndexMut};

/// Declares [`Hook`] from one entry per hook, in the order of a request. The words of an entry are those of
/// the contract in `wit/`, which a test compares; its first line is the hook's help in `pace plugin new
/// --help`.
macro_rules! hooks {
    ($(#[doc = $about:literal] $case:ident { $($fact:ident: $value:expr,)* })*) => {
        /// A hook.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Hook {
            $(#[doc = $about] $case,)*
        }

        impl Hook {
            /// Every hook, in the order of a request.
            pub const ALL: [Hook; Hook::COUNT] = [$(Hook::$case),*];

            /// The number of hooks.
            pub const COUNT: usize = [$(stringify!($case)),*].len();

            const FACTS: [Facts; Hook::COUNT] = [$(
                Facts { about: $about, sdk_trait: stringify!($case), $($fact: $value,)* },
            )*];
        }
    };
}

hooks! {
    /// Looks at requests, changes or answers them
    RequestFilter {
        name: "request-filter",
        functions: &[("filter", "func() -> verdict")],
        world: "request-filtering",
    }
    /// Looks at whole bodies of requests, changes or answers them
    RequestBodyFilter {
        name: "request-body-filter",
        functions: &[("filter", "func() -> verdict")],
        world: "request-body-filtering",
    }
    /// Filters the bodies of requests piece by piece
    RequestStreamFilter {
        name: "request-stream-filter",
        functions: &[
            ("open", "func() -> option<opening>"),
            ("[method]request-message.next", "func() -> step"),
            ("[method]request-message.end", "func(how: ending)"),
        ],
        world: "request-stream-filtering",
    }
    /// Changes what each attempt at a backend sends, and judges what comes of it
    AttemptFilter {
        name: "attempt-filter",
        functions: &[
            ("prepare", "func(number: u32) -> verdict"),
            ("judge", "func(number: u32) -> judgement"),
        ],
        world: "attempt-filtering",
    }
    /// Chooses a backend
    SelectUpstream {
        name: "select-upstream",
        functions: &[("select", "func(attempt: u32) -> selection")],
        world: "upstream-selecting",
    }
    /// Looks at responses, changes or replaces them
    ResponseFilter {
        name: "response-filter",
        functions: &[("filter", "func() -> verdict")],
        world: "response-filtering",
    }
    /// Looks at whole bodies of responses, changes or replaces them
    ResponseBodyFilter {
        name: "response-body-filter",
        functions: &[("filter", "func() -> verdict")],
        world: "response-body-filtering",
    }
    /// Filters the bodies of responses piece by piece
    ResponseStreamFilter {
        name: "response-stream-filter",
        functions: &[
            ("open", "func() -> option<opening>"),
            ("[method]response-message.next", "func() -> step"),
            ("[method]response-message.end", "func(how: ending)"),
        ],
        world: "response-stream-filtering",
    }
    /// Takes note of how requests ended
    Finished {
        name: "finished",
        functions: &[("observe", "func()")],
        world: "finishing",
    }
}

struct Facts {
    about: &'static str,
    sdk_trait: &'static str,
    name: &'static str,
    functions: &'static [(&'static str, &'static str)],
    world: &'static str,
}

impl Hook {
    /// The name in the contract, the metrics and the log: the contract's interface.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// Whether plugins are asked in the reverse order of the route's list: the first one to see the request is the last to see the
    /// response.
    pub fn is_backwards(self) -> bool {
        match self {
            Hook::RequestFilter
            | Hook::RequestBodyFilter
            | Hook::RequestStreamFilter
            | Hook::AttemptFilter
            | Hook::SelectUpstream
            | Hook::Finished => false,
            Hook::ResponseFilter | Hook::ResponseBodyFilter | Hook::ResponseStreamFilter => true,
        }
    }

    /// Finds a hook by its name.
    pub fn named(name: &str) -> Option<Hook> {
        Hook::ALL.into_iter().find(|hook| hook.name() == name)
    }

    /// The functions of the contract's interface, each with its type in the words of the contract.
    pub fn functions(self) -> &'static [(&'static str, &'static str)] {
        self.facts().functions
    }

    /// The world of the contract that has this hook and no other.
    pub fn world(self) -> &'static str {
        self.facts().world
    }

    /// The SDK's trait.
    pub fn sdk_trait(self) -> &'static str {
        self.facts().sdk_trait
    }

    /// A few words for an author who chooses hooks.
    pub fn about(self) -> &'static str {
        self.facts().about.trim_start()
    }

    /// Every name, as in a sentence: `a, b and c`.
    pub fn listed() -> String {
        let names = Hook::ALL.map(Hook::name);
        match names.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, others)) => format!("{} and {last}", others.join(", ")),
            None => String::new(),
        }
    }

    fn facts(self) -> &'static Facts {
        &Hook::FACTS[self as usize]
    }
}

/// A map with a value for each hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerHook<T>([T; Hook::COUNT]);

impl<T> PerHook<T> {
    /// Makes a value for each hook, in the order of a request.
    pub fn from_fn(make: impl FnMut(Hook) -> T) -> PerHook<T> {
        PerHook(Hook::ALL.map(make))
    }

    /// Changes each value.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> PerHook<U> {
        PerHook(self.0.map(change))
    }

    /// Each hook with its value, in the order of a request.
    pub fn iter(&self) -> impl Iterator<Item = (Hook, &T)> {
        Hook::ALL.into_iter().zip(&self.0)
    }
}

impl<T: Default> Default for PerHook<T> {
    fn default() -> PerHook<T> {
        PerHook::from_fn(|_| T::default())
    }
}

impl<T> Index<Hook> for PerHook<T> {
    type Output = T;

    fn index(&self, hook: Hook) -> &T {
        &self.0[hook as usize]
    }
}

impl<T> IndexMut<Hook> for PerHook<T> {
    fn index_mut(&mut self, hook: Hook) -> &mut T {
        &mut self.0[hook as usize]
    }
}

/// A set of hooks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hooks(PerHook<bool>);

impl Hooks {
    /// The hooks in the set, in the order of a request.
    pub fn iter(self) -> impl Iterator<Item = Hook> {
        Hook::ALL.into_iter().filter(move |hook| self.contains(*hook))
    }

    /// Whether this hook is in the set.
    pub fn contains(self, hook: Hook) -> bool {
        self.0[hook]
    }

    /// No hook at all.
    pub fn is_empty(self) -> bool {
        self == Hooks::default()
    }
}

impl FromIterator<Hook> for Hooks {
    fn from_iter<I: IntoIterator<Item = Hook>>(hooks: I) -> Hooks {
        let mut set = Hooks::default();
        for hook in hooks {
            set.0[hook] = true;
        }
        set
    }
}

impl<const N: usize> From<[Hook; N]> for Hooks {
    fn from(hooks: [Hook; N]) -> Hooks {
        hooks.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn per_hook_value_is_found_under_its_hook() {
        let mut names = PerHook::from_fn(Hook::name);
        assert!(Hook::ALL.into_iter().all(|hook| names[hook] == hook.name()));
        names[Hook::SelectUpstream] = "other";
        let lengths = names.map(str::len);
        let found: Vec<usize> = lengths.iter().map(|(_, length)| *length).collect();
        assert_eq!(found, [14, 19, 21, 14, 5, 15, 20, 22, 8]);
    }

    #[test]
    fn hooks_iterate_in_the_order_of_a_request() {
        let set = Hooks::from([Hook::ResponseFilter, Hook::RequestFilter, Hook::RequestFilter]);
        assert!(set.iter().eq([Hook::RequestFilter, Hook::ResponseFilter]));
        assert!(set.contains(Hook::ResponseFilter) && !set.contains(Hook::SelectUpstream));
        assert!(!set.is_empty() && Hooks::default().is_empty());
    }

    #[test]
    fn named_finds_a_hook_by_its_name_only() {
        assert!(
            Hook::ALL
                .into_iter()
                .all(|hook| Hook::named(hook.name()) == Some(hook))
        );
        assert_eq!(Hook::named("RequestFilter"), None);
    }
}
