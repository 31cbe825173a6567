//! What people use a registry with: one file for each client.

mod buildah;
pub(crate) mod containerd;
mod crane;
pub(crate) mod docker;
mod helm;
mod oras;
pub(crate) mod podman;
mod skopeo;

use std::path::Path;

use crate::support::Command;

/// Copies an OCI layout, tagged `v1` there, to a registry.
fn push_layout(layout: &Path, name: &str) {
    copy(&layout_name(layout), &format!("docker://{name}"));
}

/// Copies what a registry has to a new OCI layout.
fn pull_layout(name: &str, layout: &Path) {
    copy(&format!("docker://{name}"), &layout_name(layout));
}

fn layout_name(layout: &Path) -> String {
    format!("oci:{}:v1", layout.display())
}

fn copy(from: &str, to: &str) {
    Command::tool("skopeo")
        .args(["--insecure-policy", "copy", "--all"])
        .args(["--src-tls-verify=false", "--dest-tls-verify=false"])
        .args([from, to])
        .succeeds();
}
