//! podman.
