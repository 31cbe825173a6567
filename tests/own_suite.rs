//! own_suite
