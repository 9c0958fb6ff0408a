//! The integration suite: one module a stage, real parts only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod manifest;
mod registry;
mod support;
