//! JSON and YAML for scripts. Keys are alphabetical on every level; profile documents have an order of
//! their own and are rendered by `openshell-providers`.

use serde_json::{Map, Value};

/// The value with the keys of every object in alphabetical order.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.into_iter().collect();
            fields.sort_by(|left, right| left.0.cmp(&right.0));
            Value::Object(fields.into_iter().map(|(key, value)| (key, sorted(value))).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

/// Indented by two spaces, ending in a newline.
pub(crate) fn json(value: Value) -> String {
    format!("{:#}\n", sorted(value))
}

/// Block style without a document marker, ending in a newline.
pub(crate) fn yaml(value: Value) -> String {
    // A JSON value has string keys only, so the serializer has nothing to refuse; its words are kept in
    // the output should that ever be untrue.
    serde_yaml::to_string(&sorted(value)).unwrap_or_else(|error| format!("# {error}\n"))
}

#[cfg(test)]
mod tests {
    use super::{json, yaml};
    use serde_json::json as value;

    #[test]
    fn keys_are_alphabetical_and_empty_lists_are_brackets() {
        assert_eq!(
            json(value!({"b": 1, "a": {"d": null, "c": []}})),
            "{\n  \"a\": {\n    \"c\": [],\n    \"d\": null\n  },\n  \"b\": 1\n}\n"
        );
        assert_eq!(yaml(value!([{"name": "x", "id": "1"}])), "- id: '1'\n  name: x\n");
        assert_eq!((json(value!([])), yaml(value!([]))), ("[]\n".to_owned(), "[]\n".to_owned()));
    }
}
