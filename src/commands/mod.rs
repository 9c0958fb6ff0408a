//! One module a subcommand: gather, let the pure rooms decide, act.

mod binaries;
pub mod build;
pub mod builders;
pub mod check;
mod dispatch;
pub mod explain;
pub mod generate;
pub mod graph;
pub mod local_registry;
pub mod manifest;
pub mod out_dir;
mod outputs;
mod own_commit;
mod own_registry;
pub mod plan;
pub mod planning;
pub mod prepare;
pub mod published;
pub mod resolution;
pub mod run;
pub mod session;
pub mod stale;
pub mod summary;
pub mod survey;

pub use dispatch::{main, run};
