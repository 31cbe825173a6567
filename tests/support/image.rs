//! Images to push, made of local files: busybox, a greeting, and bytes that no other test has.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Command, tools};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// What `/bin/greet` in every image prints.
pub(crate) const GREETING: &str = "landed, stored and picked up";

/// The digest of bytes.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

/// Bytes that nobody has seen before, and that do not compress.
pub(crate) fn random_bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut random = File::open("/dev/urandom").expect("randomness");
    random.read_exact(&mut bytes).expect("randomness");
    bytes
}

/// Makes a root file system at `path` that runs: some of busybox, `/bin/greet`, and a random file.
pub(crate) fn root(path: &Path) {
    let bin = path.join("bin");
    fs::create_dir_all(&bin).expect("a folder");
    fs::copy(tools::find("busybox"), bin.join("busybox")).expect("busybox is copied");
    for applet in ["cat", "echo", "id", "sh", "sha256sum", "true"] {
        symlink("busybox", bin.join(applet)).expect("a link");
    }
    script(&bin.join("greet"), &format!("#!/bin/sh\necho {GREETING}\n"));
    fs::write(path.join("random"), random_bytes(3 << 20)).expect("a file");
}

/// Writes an executable file.
pub(crate) fn script(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, text).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
}

/// Packs a folder as a tar file.
pub(crate) fn tar(folder: &Path, file: &Path) {
    Command::tool("tar")
        .arg("-cf")
        .arg(file)
        .arg("-C")
        .arg(folder)
        .arg(".")
        .succeeds();
}

/// The context of `docker build` for an image `FROM scratch` with two layers: a root file system,
/// and a random file.
pub(crate) fn build_context(folder: &Path) {
    let tree = folder.join("tree");
    root(&tree);
    tar(&tree, &folder.join("root.tar"));
    fs::remove_dir_all(&tree).expect("the tree is removed");
    fs::write(folder.join("more"), random_bytes(1 << 20)).expect("a file");
    let lines = "FROM scratch\nADD root.tar /\nCOPY more /more\nCMD [\"/bin/greet\"]\n";
    fs::write(folder.join("Dockerfile"), lines).expect("a file");
}

/// An OCI image layout that is being written.
#[derive(Debug)]
pub(crate) struct Layout {
    folder: PathBuf,
}

impl Layout {
    /// A layout in a new folder.
    pub(crate) fn new(folder: PathBuf) -> Self {
        fs::create_dir_all(folder.join("blobs/sha256")).expect("a folder");
        let version = json!({"imageLayoutVersion": "1.0.0"}).to_string();
        fs::write(folder.join("oci-layout"), version).expect("a file");
        Self { folder }
    }

    /// Writes an image with two layers for an architecture, and gives its descriptor.
    pub(crate) fn image(&self, architecture: &str) -> Value {
        let scratch = self.folder.join("scratch");
        let (tree, more) = (scratch.join("tree"), scratch.join("more"));
        root(&tree);
        fs::create_dir_all(&more).expect("a folder");
        fs::write(more.join("more"), random_bytes(1 << 20)).expect("a file");
        let layers = [tree, more].map(|folder| self.layer(&folder));
        fs::remove_dir_all(&scratch).expect("the scratch folder is removed");

        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/bin/greet"]},
            "rootfs": {"type": "layers", "diff_ids": layers.each_ref().map(|(id, _)| id)},
        });
        let config = self.blob(CONFIG, config.to_string().as_bytes());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": layers.map(|(_, descriptor)| descriptor),
        });
        let mut descriptor = self.blob(MANIFEST, manifest.to_string().as_bytes());
        descriptor["platform"] = json!({"architecture": architecture, "os": "linux"});
        descriptor
    }

    /// Writes an index of images, and gives its descriptor.
    pub(crate) fn index(&self, images: &[Value]) -> Value {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": images});
        self.blob(INDEX, index.to_string().as_bytes())
    }

    /// Ends the layout: names the one thing that it holds, and gives its digest.
    pub(crate) fn finish(self, mut entry: Value, name: &str) -> (PathBuf, String) {
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]});
        fs::write(self.folder.join("index.json"), index.to_string()).expect("a file");
        let digest = entry["digest"]
            .as_str()
            .expect("a descriptor has a digest")
            .to_owned();
        (self.folder, digest)
    }

    /// Packs a folder as a layer, and gives its uncompressed digest and its descriptor.
    fn layer(&self, folder: &Path) -> (String, Value) {
        let file = folder.with_extension("tar");
        tar(folder, &file);
        let id = digest(&fs::read(&file).expect("the tar file is read"));
        Command::tool("gzip")
            .args(["-n", "-1"])
            .arg(&file)
            .succeeds();
        let bytes = fs::read(folder.with_extension("tar.gz")).expect("the layer is read");
        (id, self.blob(LAYER, &bytes))
    }

    fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = digest(bytes);
        let (_, hex) = digest.split_once(':').expect("a digest has a colon");
        fs::write(self.folder.join("blobs/sha256").join(hex), bytes).expect("a blob");
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }
}

/// A layout of one image, tagged `name`: its folder and the digest of the manifest.
pub(crate) fn layout(folder: PathBuf, name: &str) -> (PathBuf, String) {
    let layout = Layout::new(folder);
    let image = layout.image("amd64");
    layout.finish(image, name)
}

/// A layout of one index with two architectures, tagged `name`: its folder and the digest of the
/// index.
pub(crate) fn two_architectures(folder: PathBuf, name: &str) -> (PathBuf, String) {
    let layout = Layout::new(folder);
    let images = ["amd64", "arm64"].map(|architecture| layout.image(architecture));
    let index = layout.index(&images);
    layout.finish(index, name)
}

/// Whether two layouts hold the same blobs, byte for byte.
pub(crate) fn same_blobs(one: &Path, other: &Path) -> bool {
    blobs(one) == blobs(other)
}

fn blobs(layout: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(layout.join("blobs/sha256")).expect("a layout has blobs");
    let mut blobs: Vec<_> = entries
        .map(|entry| {
            let entry = entry.expect("an entry");
            let bytes = fs::read(entry.path()).expect("a blob is read");
            (entry.file_name().to_string_lossy().into_owned(), bytes)
        })
        .collect();
    blobs.sort();
    blobs
}
