//! What several modules of the suite use.

pub(crate) mod proxy;
pub(crate) mod registry;
pub(crate) mod repo;
