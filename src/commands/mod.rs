//! One room a subcommand: gather, let the pure rooms decide, act.

pub mod build;
