//! The integration suite: one module a stage, real parts only.

mod manifest;
mod registry;
mod support;
