//! The integration suite: one module a stage, real parts only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod attack;
mod build;
mod change;
mod check;
mod config;
mod manifest;
mod registry;
mod source;
mod support;
