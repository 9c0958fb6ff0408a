//! What several modules of the suite use.

pub(crate) mod repo;
