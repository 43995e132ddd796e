//! Converts TOML tables for plugins to the JSON that they receive.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::{Map, Number, Value};

/// A table with any content.
#[derive(Debug, Clone, Default)]
pub struct JsonTable(pub Map<String, Value>);

impl<'de> Deserialize<'de> for JsonTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = toml::Table::deserialize(deserializer)?;
        object(table).map(JsonTable).map_err(D::Error::custom)
    }
}

/// Merges `over` into `base`: tables key by key, all other values replaced.
pub fn merge(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Object(base)), Value::Object(over)) => merge(base, over),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Converts a value. Dates become strings, as TOML writes them. JSON has no infinity and no NaN, so these are
/// refused.
fn json(value: toml::Value) -> Result<Value, String> {
    Ok(match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => match Number::from_f64(number) {
            Some(number) => Value::Number(number),
            None => {
                return Err(format!(
                    "{number} cannot be passed to a plugin; numbers must be finite"
                ));
            }
        },
        toml::Value::Boolean(truth) => Value::Bool(truth),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(items) => Value::Array(items.into_iter().map(json).collect::<Result<_, _>>()?),
        toml::Value::Table(table) => Value::Object(object(table)?),
    })
}

fn object(table: toml::Table) -> Result<Map<String, Value>, String> {
    table
        .into_iter()
        .map(|(key, value)| Ok((key, json(value)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(text: &str) -> Map<String, Value> {
        toml::from_str::<JsonTable>(text).expect("a table").0
    }

    #[test]
    fn json_table_converts_every_toml_type() {
        let table = parse(
            "s = 'x'\ni = -1\nf = 1.5\nb = true\nd = 1979-05-27T07:32:00Z\na = [1, 'x']\nt = { k = 1 }",
        );
        let expected = json!({
            "s": "x", "i": -1, "f": 1.5, "b": true, "d": "1979-05-27T07:32:00Z", "a": [1, "x"], "t": { "k": 1 }
        });
        assert_eq!(Value::Object(table), expected);
    }

    #[test]
    fn json_table_infinite_number_is_refused() {
        for text in ["x = inf", "x = -inf", "x = nan", "x = [{ y = nan }]"] {
            let error = toml::from_str::<JsonTable>(text).expect_err(text);
            assert!(error.message().contains("must be finite"), "{error}");
        }
    }

    #[test]
    fn merge_descends_into_tables_and_replaces_other_values() {
        let mut base = parse("a = 1\nlist = [1, 2]\n[set]\nx = 1\ny = 1\n[gone]\nx = 1");
        merge(&mut base, &parse("list = [3]\ngone = 5\n[set]\ny = 2\nz = 3"));
        let expected = json!({ "a": 1, "list": [3], "set": { "x": 1, "y": 2, "z": 3 }, "gone": 5 });
        assert_eq!(Value::Object(base), expected);
    }
}
