//! What the tests of several stages share.

pub(crate) mod builders;
