//! Documents that platforms make jobs of, out of a plan. Pure: names out of a plan are data of a serializer, never
//! pasted into a text.

pub mod github;
pub mod gitlab;
