//! The schemas against the parser, the table against the parser, the reference against the committed file.

use jsonschema::Validator;
use serde_json::Value;

use super::corpus;
use super::*;

/// A document as an editor reads it: YAML 1.2 with the core schema. None for what is no single plain document.
fn as_editor(text: &str) -> Option<Value> {
    serde_yaml::from_str(text.trim_start_matches('\u{feff}')).ok()
}

fn validator(schema: &Value) -> Validator {
    assert!(jsonschema::draft202012::meta::is_valid(schema));
    jsonschema::draft202012::new(schema).unwrap()
}

/// What no schema can say: rules over several values, over what an editor has read in its own way (`yes`, `012`),
/// grammars that a pattern cannot hold, and what is refused only until its issue.
const BEYOND_A_SCHEMA: [&str; 34] = [
    "needs a builder that reads a Dockerfile",
    "`targets` excludes `manual_build: true`",
    "hephy.yaml does not let builds see",
    "a secret has",
    "the builder `spin`",
    "not supported yet",
    "must be true or false",
    "the file names no source",
    "is given twice",
    "a custom tag",
    "tag `!",
    "YAML 1.1",
    "merge keys",
    "a byte order mark",
    "is not a reference of an image",
    "`wasi/wasm` is a platform of the builder",
    "names no host",
    "is a host without a repository",
    "is not a glob",
    "is not a whole number",
    "is not a duration",
    "is not an address",
    "has no proper host",
    "holds a password",
    "has a query",
    "has a fragment",
    "names a host and no repository",
    "is a shortened commit id",
    "uses a transport",
    "for none of the `platforms`",
    "has no image for",
    "uses `${X}`",
    "is no regular expression",
    "a key that is no rule",
];

#[derive(Default)]
struct Tally {
    accepted: usize,
    refused: usize,
    /// Refused by the parser for a reason that a schema can express, and not by the schema.
    lax: Vec<String>,
}

fn compare(text: &str, accepted: bool, validator: &Validator, findings: &[Diagnostic], tally: &mut Tally) {
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    assert_eq!(errors == 0, accepted, "{text}\n{}", rendered(findings));
    let Some(value) = as_editor(text) else { return };
    match (accepted, validator.is_valid(&value)) {
        (true, valid) => {
            let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
            assert!(valid, "the schema is stricter than the parser: {text}\n{errors:?}");
            tally.accepted += 1;
        }
        (false, false) => tally.refused += 1,
        (false, true) => {
            let known = |finding: &Diagnostic| BEYOND_A_SCHEMA.iter().any(|reason| finding.message.contains(reason));
            if !findings.iter().any(known) {
                tally.lax.push(format!("{text}\n{}", rendered(findings)));
            }
        }
    }
}

#[test]
fn the_image_schema_agrees_with_the_parser() {
    let validator = validator(&image_schema());
    let mut tally = Tally::default();
    let mut judge = |text: &str, accepted: bool| {
        let parsed = parse_image("f", text.as_bytes(), &RootConfig::default());
        compare(text, accepted, &validator, &parsed.findings, &mut tally);
    };
    for (field, accepted, refused) in corpus::IMAGE {
        accepted.iter().for_each(|value| judge(&format!("use_local_context: true\n{field}: {value}\n"), true));
        refused.iter().for_each(|value| judge(&format!("use_local_context: true\n{field}: {value}\n"), false));
    }
    corpus::SOURCES.0.iter().for_each(|text| judge(text, true));
    corpus::SOURCES.1.iter().for_each(|text| judge(text, false));
    assert!(tally.accepted > 60, "{}", tally.accepted);
    assert!(tally.lax.is_empty(), "{}", tally.lax.join("\n"));
    assert!(tally.refused > 80, "{}", tally.refused);
}

#[test]
fn the_root_schema_agrees_with_the_parser() {
    let validator = validator(&root_schema());
    let mut tally = Tally::default();
    for (field, accepted, refused) in corpus::ROOT {
        for (values, good) in [(accepted, true), (refused, false)] {
            for value in *values {
                let text = format!("{field}: {value}\n");
                compare(&text, good, &validator, &parse_root("f", text.as_bytes()).findings, &mut tally);
            }
        }
    }
    assert!(tally.lax.is_empty(), "{}", tally.lax.join("\n"));
    assert!(tally.accepted > 15 && tally.refused > 15, "{} {}", tally.accepted, tally.refused);
}

#[test]
fn schemas_have_what_editors_show() {
    for schema in [image_schema(), root_schema()] {
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["additionalProperties"], false);
        for (name, field) in schema["properties"].as_object().unwrap() {
            assert_eq!(field["title"], *name);
            assert!(field["description"].as_str().is_some_and(|text| text.len() > 10), "{name}");
        }
    }
    assert_eq!(image_schema()["properties"]["build_backend"]["enum"][0], "kaniko");
    assert_eq!(image_schema()["properties"]["ko_config"]["additionalProperties"], false);
}

#[test]
fn every_field_of_the_table_is_in_the_corpus_and_is_read() {
    let sources = ["use_local_context", "upstream_repo", "upstream_ref", "keep_git", "submodules"];
    for (schema, corpus, prefix) in
        [(image_schema(), corpus::IMAGE, "use_local_context: true\n"), (root_schema(), corpus::ROOT, "")]
    {
        for field in fields(&schema).iter().filter(|field| !sources.contains(&field.as_str())) {
            let (_, accepted, _) = corpus.iter().find(|(name, ..)| name == field).expect(field);
            let later = schema["properties"][field]["description"].as_str().unwrap().ends_with("Not supported yet.");
            // `secrets` needs a hephy.yaml that allows some.
            if later || field.starts_with("manual_") || field == "secrets" {
                continue;
            }
            // A field that is read changes what comes out of the file for at least one of its values.
            let of = |text: &str| match prefix {
                "" => serde_json::to_value(parse_root("f", text.as_bytes()).value).unwrap(),
                _ => serde_json::to_value(parse_image("f", text.as_bytes(), &RootConfig::default()).value).unwrap(),
            };
            let without = of(prefix);
            let read = accepted.iter().any(|value| of(&format!("{prefix}{}: {value}", field)) != without);
            assert!(read, "{} is in the table, and the parser ignores it", field);
        }
    }
}

#[test]
fn the_reference_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    let wanted = reference_markdown();
    if std::env::var_os("HEPHY_BLESS").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).unwrap();
        std::fs::write(path, &wanted).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == wanted,
        "docs/configuration.md is not what the table of fields says; write it anew with\n\
         HEPHY_BLESS=1 cargo test --test suite config::"
    );
}
