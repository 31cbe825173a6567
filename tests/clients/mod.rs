//! What people use a registry with: one file for each client.

mod buildah;
mod containerd;
mod crane;
mod docker;
mod helm;
mod oras;
mod podman;
mod skopeo;
