//! crane.
