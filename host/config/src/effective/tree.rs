//! Tables and values, in the order in which they are shown.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// A value.
pub(super) enum Node {
    Bool(bool),
    Integer(u64),
    Text(String),
    List(Vec<Node>),
    Table(Table),
    /// A value of a plugin's own configuration.
    Json(serde_json::Value),
}

/// A table, whose keys stay in their order.
#[derive(Default)]
pub(super) struct Table(Vec<(String, Node)>);

impl Table {
    pub(super) fn new() -> Table {
        Table::default()
    }

    /// The table with another key.
    pub(super) fn with(mut self, key: &str, value: impl Into<Node>) -> Table {
        self.0.push((key.to_owned(), value.into()));
        self
    }

    /// The table with another key, if it has a value.
    pub(super) fn with_some(self, key: &str, value: Option<impl Into<Node>>) -> Table {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Node {
    pub(super) fn list(items: impl IntoIterator<Item = impl Into<Node>>) -> Node {
        Node::List(items.into_iter().map(Into::into).collect())
    }
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Node::Bool(truth) => truth.serialize(serializer),
            Node::Integer(number) => number.serialize(serializer),
            Node::Text(text) => text.serialize(serializer),
            Node::List(items) => items.serialize(serializer),
            Node::Table(table) => table.serialize(serializer),
            Node::Json(value) => value.serialize(serializer),
        }
    }
}

impl From<bool> for Node {
    fn from(truth: bool) -> Node {
        Node::Bool(truth)
    }
}

impl From<u16> for Node {
    fn from(number: u16) -> Node {
        Node::Integer(number.into())
    }
}

impl From<u32> for Node {
    fn from(number: u32) -> Node {
        Node::Integer(number.into())
    }
}

impl From<u64> for Node {
    fn from(number: u64) -> Node {
        Node::Integer(number)
    }
}

impl From<usize> for Node {
    fn from(number: usize) -> Node {
        Node::Integer(number as u64)
    }
}

impl From<&str> for Node {
    fn from(text: &str) -> Node {
        Node::Text(text.to_owned())
    }
}

impl From<String> for Node {
    fn from(text: String) -> Node {
        Node::Text(text)
    }
}

impl From<Table> for Node {
    fn from(table: Table) -> Node {
        Node::Table(table)
    }
}

impl From<serde_json::Value> for Node {
    fn from(value: serde_json::Value) -> Node {
        Node::Json(value)
    }
}
