//! `hephy stale` and `--only-stale` (specification §12): the real binary, real registries, bases that are moved.

mod rebuild;
mod show;
mod unreadable;
pub(crate) mod world;
