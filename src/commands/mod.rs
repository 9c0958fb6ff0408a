//! One file a subcommand: gather, let the pure rooms decide, act.

pub mod check;
