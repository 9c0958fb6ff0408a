//! JSON Schemas (draft 2020-12) for editors, made from the table of fields.
//!
//! A schema is never stricter than the parser, and no laxer where a pattern can say the rule. Editors read `1.10` and
//! `true` as number and boolean where hephy takes the text as written, so text fields allow those as well.

use serde_json::{Map, Value, json};

use super::fields::{self, Field, Kind, MAX_ENTRIES, Text};

/// The schema of `build-config.yaml`.
#[must_use]
pub fn image_schema() -> Value {
    let description = "One image: where its source comes from and how it is built.";
    let mut schema = document("hephy: build-config.yaml", description, fields::IMAGE);
    schema["allOf"] = image_rules();
    schema
}

/// The schema of `hephy.yaml`.
#[must_use]
pub fn root_schema() -> Value {
    document("hephy: hephy.yaml", "Defaults for all images of a repository.", fields::ROOT)
}

/// The rules that join several fields, as far as they do not depend on `hephy.yaml`. A field that is null is absent.
fn image_rules() -> Value {
    let given = |name: &str| json!({ "required": [name], "properties": { name: { "not": { "type": "null" } } } });
    let is = |name: &str, value: Value| json!({ "required": [name], "properties": { name: { "const": value } } });
    let needs = |one: Value, other: Value| json!({ "if": one, "then": other });
    let excludes = |one: Value, other: Value| json!({ "if": one, "then": { "not": other } });
    json!([
        needs(given("upstream_repo"), given("upstream_ref")),
        needs(given("upstream_ref"), given("upstream_repo")),
        excludes(is("use_local_context", json!(true)), given("upstream_repo")),
        excludes(is("context_from", json!("repository")), given("upstream_repo")),
        needs(is("manual_build", json!(true)), given("manual_images")),
        needs(given("manual_images"), given("manual_build")),
        excludes(given("target"), given("targets")),
        { "properties": { "targets": { "items": needs(json!({ "type": "object" }), given("target")) } } },
        excludes(given("version_from"), given("upstream_repo")),
        needs(given("version_from"), json!({ "properties": { "version_from": given("file") } })),
    ])
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

/// What a sort of text matches, and what it does not.
fn patterns(sort: &Text) -> Map<String, Value> {
    let mut schema = Map::new();
    if let Some(pattern) = sort.pattern {
        schema.insert("pattern".into(), json!(pattern));
    }
    if let Some(refused) = sort.refused {
        // A pattern says nothing about numbers, so the refusal must not either.
        schema.insert("not".into(), json!({ "type": "string", "pattern": refused }));
    }
    schema
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
            schema.insert(
                "type".into(),
                if sort.only_text { types(&["string"]) } else { types(&["string", "number", "boolean"]) },
            );
            schema.extend(patterns(sort));
        }
        Kind::Choice(words) => {
            // Editors that follow YAML 1.1 read `off` as false.
            let off = words.contains(&"off").then_some(Value::Bool(false));
            let words = words.iter().map(|word| json!(word)).chain(off).chain(nullable.then_some(Value::Null));
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
            if matches!(item, Kind::Text(sort) if sort.word == "platform") {
                schema.insert("minItems".into(), json!(1));
                schema.insert("uniqueItems".into(), json!(true));
            }
        }
        Kind::Mapping(key, value) => {
            schema.insert("type".into(), types(&["object"]));
            schema.insert("propertyNames".into(), Value::Object(patterns(key)));
            schema.insert("additionalProperties".into(), Value::Object(kind(value, false)));
            schema.insert("maxProperties".into(), json!(MAX_ENTRIES));
            if key.word == "architecture" {
                schema.insert("minProperties".into(), json!(1));
            }
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
