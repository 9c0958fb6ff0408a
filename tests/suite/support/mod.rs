//! What several modules of the suite use.

pub(crate) mod builders;
pub(crate) mod proxy;
pub(crate) mod registry;
pub(crate) mod repo;
