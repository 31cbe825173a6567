//! oras.
