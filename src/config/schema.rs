//! JSON Schemas (draft 2020-12) for editors, made from the table of fields.
//!
//! A schema is never stricter than the parser: what it refuses, `hephy check` refuses too. Editors read `1.10` and
//! `true` as number and boolean where hephy takes the text as written, so text fields allow those as well.

use serde_json::{Map, Value, json};

use super::fields::{self, Field, Kind, MAX_ENTRIES};

/// The schema of `build-config.yaml`.
#[must_use]
pub fn image_schema() -> Value {
    document("hephy: build-config.yaml", "One image: where its source comes from and how it is built.", fields::IMAGE)
}

/// The schema of `hephy.yaml`.
#[must_use]
pub fn root_schema() -> Value {
    document("hephy: hephy.yaml", "Defaults for all images of a repository.", fields::ROOT)
}

fn document(title: &str, description: &str, table: &'static [Field]) -> Value {
    let mut schema = Map::new();
    schema.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".into(), json!(title));
    schema.insert("description".into(), json!(description));
    // An empty file, or one of comments alone, is null to an editor.
    schema.insert("type".into(), json!(["object", "null"]));
    schema.extend(properties(table));
    Value::Object(schema)
}

fn properties(table: &'static [Field]) -> Map<String, Value> {
    let mut properties = Map::new();
    for field in table {
        let mut schema = kind(&field.kind, true);
        let later = if field.later { " Not supported yet." } else { "" };
        schema.insert("title".into(), json!(field.name));
        schema.insert("description".into(), json!(format!("{}{later}", field.meaning)));
        schema.insert("markdownDescription".into(), json!(markdown(field)));
        properties.insert(field.name.into(), Value::Object(schema));
    }
    let mut schema = Map::new();
    schema.insert("properties".into(), Value::Object(properties));
    schema.insert("additionalProperties".into(), json!(false));
    schema
}

fn markdown(field: &Field) -> String {
    let default = if field.default.is_empty() { String::new() } else { format!("\n\nDefault: {}.", field.default) };
    let later = if field.later { "\n\nNot supported yet." } else { "" };
    format!("{}{default}{later}", field.meaning)
}

/// The schema of a value; `null` where it is a field's.
fn kind(kind_of: &Kind, nullable: bool) -> Map<String, Value> {
    let types = |names: &[&str]| {
        let names: Vec<&str> = names.iter().copied().chain(nullable.then_some("null")).collect();
        if let [name] = names.as_slice() { json!(name) } else { json!(names) }
    };
    let mut schema = Map::new();
    match kind_of {
        Kind::Flag => {
            schema.insert("type".into(), types(&["boolean"]));
        }
        Kind::Text(sort) => {
            schema.insert("type".into(), types(&["string", "number", "boolean"]));
            if let Some(pattern) = sort.pattern {
                schema.insert("pattern".into(), json!(pattern));
            }
        }
        Kind::Choice(words) => {
            let words = words.iter().map(|word| json!(word)).chain(nullable.then_some(Value::Null));
            schema.insert("enum".into(), words.collect());
        }
        Kind::Number(most) => {
            schema.insert("type".into(), types(&["integer"]));
            schema.insert("minimum".into(), json!(0));
            schema.insert("maximum".into(), json!(most));
        }
        Kind::List(item) => {
            schema.insert("type".into(), types(&["array"]));
            schema.insert("items".into(), Value::Object(kind(item, false)));
            schema.insert("maxItems".into(), json!(MAX_ENTRIES));
        }
        Kind::Mapping(key, value) => {
            schema.insert("type".into(), types(&["object"]));
            if let Some(pattern) = key.pattern {
                schema.insert("propertyNames".into(), json!({ "pattern": pattern }));
            }
            schema.insert("additionalProperties".into(), Value::Object(kind(value, false)));
        }
        Kind::Fields(table) => {
            schema.insert("type".into(), types(&["object"]));
            schema.extend(properties(table));
        }
        Kind::Either(kinds) => {
            let kinds = kinds.iter().map(|one| Value::Object(kind(one, nullable)));
            schema.insert("anyOf".into(), kinds.collect());
        }
    }
    schema
}
