//! One module a subcommand: gather, let the pure rooms decide, act.

pub mod local_registry;
pub mod manifest;
