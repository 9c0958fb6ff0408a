//! Kaniko for real.
