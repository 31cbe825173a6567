//! buildah.
