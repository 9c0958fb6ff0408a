//! What the modules of the suite share: real parts that are started and stopped.

pub(crate) mod proxy;
pub(crate) mod registry;
