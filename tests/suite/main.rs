//! The integration suite: one module a stage, real parts only.

mod build;
mod change;
mod check;
mod config;
mod manifest;
mod registry;
mod source;
mod support;
