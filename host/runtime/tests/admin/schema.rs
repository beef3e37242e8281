//! Whether JSON has the shape that an OpenAPI document describes. As much of JSON Schema as our document uses; another word in it panics.

use std::collections::BTreeSet;

use serde_json::Value;

/// All that is wrong, each with its place. What is said and not described is wrong too.
pub fn mismatches(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check_whole(document, schema, value, "$", &mut found);
    found
}

fn check_whole(document: &Value, schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
    let known = described(document, schema);
    for name in value.as_object().into_iter().flat_map(|object| object.keys()) {
        if !known.is_empty() && !known.contains(name) {
            found.push(format!("{place}: {name} is not described"));
        }
    }
    check(document, schema, value, place, found);
}

/// The names that an object may have; none: any.
fn described(document: &Value, schema: &Value) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = keys(&schema["properties"]).cloned().collect();
    if schema["$ref"].is_string() {
        names.extend(described(document, target(document, &schema["$ref"])));
    }
    for part in ["allOf", "oneOf"] {
        names.extend(schema[part].as_array().into_iter().flatten().flat_map(|schema| described(document, schema)));
    }
    names
}

fn keys(value: &Value) -> impl Iterator<Item = &String> {
    value.as_object().into_iter().flat_map(|object| object.keys())
}

fn target<'a>(document: &'a Value, reference: &Value) -> &'a Value {
    let pointer = reference.as_str().unwrap().trim_start_matches('#');
    document.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is not described"))
}

fn check(document: &Value, schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
    for (word, rule) in schema.as_object().into_iter().flatten() {
        let list = || rule.as_array().unwrap().iter();
        match word.as_str() {
            "$ref" => check(document, target(document, rule), value, place, found),
            "allOf" => list().for_each(|schema| check(document, schema, value, place, found)),
            "oneOf" => {
                let fits = |schema: &&Value| mismatches(document, schema, value).is_empty();
                if list().filter(fits).count() != 1 {
                    found.push(format!("{place}: {value} fits none or several of {rule}"));
                }
            }
            "type" => {
                let types = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                if !types.iter().any(|name| is_of(value, name.as_str().unwrap())) {
                    found.push(format!("{place}: {value} is not of type {rule}"));
                }
            }
            "enum" => {
                if !list().any(|known| known == value) {
                    found.push(format!("{place}: {value} is not one of {rule}"));
                }
            }
            "minimum" => {
                if value.as_f64().is_some_and(|value| value < rule.as_f64().unwrap()) {
                    found.push(format!("{place}: {value} is below {rule}"));
                }
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check_whole(document, rule, item, &format!("{place}[{index}]"), found);
                }
            }
            "required" => {
                let missing = list().filter(|name| value.is_object() && value.get(name.as_str().unwrap()).is_none());
                found.extend(missing.map(|name| format!("{place}: {name} is missing")));
            }
            "properties" => {
                for (name, property) in rule.as_object().into_iter().flatten() {
                    if let Some(inner) = value.get(name) {
                        check_whole(document, property, inner, &format!("{place}.{name}"), found);
                    }
                }
            }
            "description" | "format" | "pattern" | "default" | "additionalProperties" => {}
            other => panic!("{place}: the schema says {other}, which is not known here"),
        }
    }
}

fn is_of(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("unknown type {other}"),
    }
}

#[test]
fn a_shape_that_is_not_the_described_one_is_seen() {
    use serde_json::json;
    let document = json!({ "components": { "schemas": { "Name": { "type": "string" } } } });
    let schema = json!({
        "type": "object", "required": ["name"],
        "properties": { "name": { "$ref": "#/components/schemas/Name" }, "calls": { "type": ["integer", "null"], "minimum": 0 } },
    });
    assert_eq!(mismatches(&document, &schema, &json!({ "name": "x", "calls": null })), Vec::<String>::new());
    for wrong in [
        json!({}),
        json!({ "name": 1 }),
        json!({ "name": "x", "calls": -1 }),
        json!({ "name": "x", "y": 1 }),
        json!([]),
    ] {
        assert_eq!(mismatches(&document, &schema, &wrong).len(), 1, "{wrong}");
    }
}
