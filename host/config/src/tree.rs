//! Finds and removes parts of a parsed file by the bytes where they were written.

use std::fmt;
use std::mem;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

/// A key of the file with its value. `Display` names it: ``` `limits.time_ms` in [[plugins]] ```.
pub(super) struct Node<'a> {
    /// The path from the outermost table inwards; at least one key.
    keys: Vec<&'a str>,
    /// Whether the outermost table is in a list, `[[like this]]`.
    in_list: bool,
    pub value: &'a DeValue<'a>,
}

impl Node<'_> {
    /// The key itself.
    pub(super) fn key(&self) -> &str {
        self.keys.last().copied().unwrap_or_default()
    }

    /// The name of the table that the key is in.
    pub(super) fn table(&self) -> String {
        match self.keys.split_last() {
            None | Some((_, [])) => "the file".to_owned(),
            Some((_, tables)) => describe(tables, self.in_list),
        }
    }

    pub(super) fn is_outermost(&self) -> bool {
        self.keys.len() == 1
    }
}

impl fmt::Display for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&describe(&self.keys, self.in_list))
    }
}

fn describe(keys: &[&str], in_list: bool) -> String {
    let (table, inner) = match keys.split_first() {
        Some((table, inner)) if in_list => (format!("[[{table}]]"), inner),
        Some((table, inner)) => (format!("[{table}]"), inner),
        None => return String::new(),
    };
    if inner.is_empty() {
        table
    } else {
        format!("`{}` in {table}", inner.join("."))
    }
}

/// The key or value written at exactly this span; of several, the innermost.
pub(super) fn find<'a>(root: &'a DeTable<'a>, span: &Range<usize>) -> Option<Node<'a>> {
    root.iter().find_map(|(key, value)| {
        let is_table = |item: &Spanned<DeValue<'_>>| item.get_ref().is_table();
        let in_list = value
            .get_ref()
            .as_array()
            .is_some_and(|items| items.iter().any(is_table));
        let (keys, value) = find_in_entry(key, value, span, &mut Vec::new())?;
        Some(Node { keys, in_list, value })
    })
}

type Found<'a> = Option<(Vec<&'a str>, &'a DeValue<'a>)>;

fn find_in_entry<'a>(
    key: &'a Spanned<DeString<'a>>,
    value: &'a Spanned<DeValue<'a>>,
    span: &Range<usize>,
    keys: &mut Vec<&'a str>,
) -> Found<'a> {
    keys.push(key.get_ref());
    if key.span() == *span {
        return Some((keys.clone(), value.get_ref()));
    }
    let found = find_in_value(value, span, keys);
    keys.pop();
    found
}

fn find_in_value<'a>(
    value: &'a Spanned<DeValue<'a>>,
    span: &Range<usize>,
    keys: &mut Vec<&'a str>,
) -> Found<'a> {
    let inside = match value.get_ref() {
        DeValue::Table(table) => table
            .iter()
            .find_map(|(key, value)| find_in_entry(key, value, span, keys)),
        DeValue::Array(items) => items.iter().find_map(|item| find_in_value(item, span, keys)),
        _ => None,
    };
    inside.or_else(|| (value.span() == *span).then(|| (keys.clone(), value.get_ref())))
}

/// Removes the part that [`find`] finds. Returns whether there was one.
pub(super) fn prune(root: &mut DeTable<'_>, span: &Range<usize>) -> bool {
    let mut found = false;
    prune_table(root, span, &mut found);
    found
}

fn prune_table(table: &mut DeTable<'_>, span: &Range<usize>, found: &mut bool) {
    let entries = mem::replace(table, DeTable::new()).into_iter();
    let kept = entries.filter_map(|(key, mut value)| {
        let is_it = !*found && key.span() == *span;
        *found |= is_it;
        (!is_it && stays(&mut value, span, found)).then_some((key, value))
    });
    *table = kept.collect();
}

fn stays(value: &mut Spanned<DeValue<'_>>, span: &Range<usize>, found: &mut bool) -> bool {
    match value.get_mut() {
        DeValue::Table(table) => prune_table(table, span, found),
        DeValue::Array(items) => {
            let all = mem::replace(items, DeArray::new()).into_iter();
            let kept = all.filter_map(|mut item| stays(&mut item, span, found).then_some(item));
            *items = kept.collect();
        }
        _ => {}
    }
    let is_it = !*found && value.span() == *span;
    *found |= is_it;
    !is_it
}
