//! The integration suite: one module a stage, real parts only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod architecture;
mod attack;
mod build;
mod change;
mod check;
mod cli;
mod config;
mod exact;
mod examples;
mod forge;
mod ignorefile;
mod lint;
mod manifest;
mod model;
mod pack;
mod published;
mod registry;
mod source;
mod stale;
mod support;
mod tags;
