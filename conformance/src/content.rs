//! Blobs and manifests that no registry has seen before.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};

pub(crate) const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(crate) const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
pub(crate) const DOCKER_IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// What a client that knows every kind of manifest accepts.
pub(crate) const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, \
     application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json";

/// A number that differs from every other.
pub(crate) fn random() -> u64 {
    // Each state is keyed anew from the system's randomness.
    RandomState::new().build_hasher().finish()
}

/// Bytes that differ from every other's, and don't compress.
pub(crate) fn random_bytes(length: usize) -> Bytes {
    let mut state = random() | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // xorshift64*: good enough to tell blobs apart, and fast.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend(state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

/// The sha256 digest of bytes.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// The sha512 digest of bytes.
pub(crate) fn digest_512(bytes: &[u8]) -> String {
    format!("sha512:{}", hex(&Sha512::digest(bytes)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A descriptor of bytes.
pub(crate) fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
}

/// An OCI image of a config and layers.
pub(crate) fn image(config: &[u8], layers: &[&[u8]]) -> Value {
    let layers: Vec<Value> = layers
        .iter()
        .map(|layer| descriptor(OCI_LAYER, layer))
        .collect();
    json!({
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE,
        "config": descriptor(OCI_CONFIG, config),
        "layers": layers,
    })
}

/// An OCI index of manifests.
pub(crate) fn index(manifests: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_have_their_length_and_differ() {
        for length in [0, 1, 7, 8, 1000] {
            assert_eq!(random_bytes(length).len(), length);
        }
        assert_ne!(random_bytes(32), random_bytes(32));
    }

    #[test]
    fn digests_are_the_known_ones() {
        assert!(digest(b"").ends_with("7852b855"));
        assert!(digest_512(b"").ends_with("da3e"));
    }
}
