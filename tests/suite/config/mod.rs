//! Configuration files as a whole: the messages of each rule, limits, schemas against the parser, the reference.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper that fails, fails the test")]

mod accepted;
mod corpus;
mod limits;
mod messages;
mod schemas;

use hephy::config::*;
use hephy::diagnostic::{Diagnostic, Severity, Span};
use hephy::oci::Platform;

/// The findings of a `build-config.yaml`, rendered.
fn image(text: &str) -> String {
    rendered(&parse_image("app/build-config.yaml", text.as_bytes(), &RootConfig::default()).findings)
}

/// The findings of a `hephy.yaml`, rendered.
fn root(text: &str) -> String {
    rendered(&parse_root("hephy.yaml", text.as_bytes()).findings)
}

fn rendered(findings: &[Diagnostic]) -> String {
    findings.iter().map(Diagnostic::render).collect()
}

/// The configuration of a file without findings.
fn accepted(text: &str) -> ImageConfig {
    let parsed = parse_image("app/build-config.yaml", text.as_bytes(), &RootConfig::default());
    assert!(parsed.findings.is_empty(), "{text}\n{}", rendered(&parsed.findings));
    parsed.value.unwrap()
}

/// The names of a schema's fields.
fn fields(schema: &serde_json::Value) -> Vec<String> {
    schema["properties"].as_object().unwrap().keys().cloned().collect()
}
