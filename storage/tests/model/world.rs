//! What the steps are about: few names and documents, so that they meet often.

use bytes::Bytes;
use serde_json::{Value, json};
use wharf_storage::oci::{Algorithm, ContentKind, Digest, Manifest, RepositoryName, Tag};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A blob's content.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// A manifest.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) manifest: Manifest,
    pub(crate) digest: Digest,
}

impl Document {
    /// The digests that it names as one of these kinds.
    pub(crate) fn names(&self, kinds: &[ContentKind]) -> Vec<Digest> {
        let references = self.manifest.references().iter();
        let named = references.filter(|reference| kinds.contains(&reference.kind));
        named.map(|reference| reference.digest.clone()).collect()
    }
}

/// All names and documents.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) repositories: Vec<RepositoryName>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) contents: Vec<Content>,
    pub(crate) documents: Vec<Document>,
}

impl World {
    /// The same one each time.
    pub(crate) fn new() -> Self {
        let contents: Vec<Content> = (0..10).map(content).collect();
        let mut documents = Vec::new();
        images(&contents, &mut documents);
        indexes(&contents, &mut documents);
        referrers(&contents, &mut documents);
        let names = ["a", "a-b", "a/b", "b", "team/app"];
        let subject = documents[0].digest.hex();
        let signed = documents[1].digest.hex();
        let mut tags: Vec<Tag> = ["1", "10", "9", "A", "_x", "a.b", "latest"]
            .map(|tag| tag.parse().expect("a tag"))
            .to_vec();
        tags.push(format!("sha256-{subject}").parse().expect("a tag"));
        tags.push(format!("sha256-{signed}.sig").parse().expect("a tag"));
        Self {
            repositories: names.map(|name| name.parse().expect("a name")).to_vec(),
            tags,
            contents,
            documents,
        }
    }

    /// The document of this digest.
    pub(crate) fn document(&self, digest: &Digest) -> &Document {
        let mut documents = self.documents.iter();
        let found = documents.find(|document| document.digest == *digest);
        found.expect("only documents of this world are pushed")
    }
}

fn content(number: usize) -> Content {
    let bytes = format!("content {number}");
    Content {
        digest: Digest::of(Algorithm::Sha256, bytes.as_bytes()),
        size: bytes.len() as u64,
    }
}

fn blob(content: &Content, media_type: &str) -> Value {
    json!({"mediaType": media_type, "digest": content.digest, "size": content.size})
}

fn named(document: &Document) -> Value {
    let media_type = document.manifest.media_type();
    let size = document.manifest.bytes().len();
    json!({"mediaType": media_type, "digest": document.digest, "size": size})
}

fn image(config: &Content, layers: &[Value]) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": blob(config, "application/vnd.oci.image.config.v1+json"),
        "layers": layers,
    })
}

fn add(documents: &mut Vec<Document>, value: &Value, algorithm: Algorithm) {
    let bytes = Bytes::from(value.to_string());
    let manifest = Manifest::parse(bytes, None).expect("a manifest");
    let digest = manifest.digest(algorithm);
    documents.push(Document { manifest, digest });
}

/// Seven images, of which the last two are the same bytes under two digests; one has a layer that
/// lies elsewhere.
fn images(contents: &[Content], documents: &mut Vec<Document>) {
    for number in 0..6 {
        let mut layers = vec![
            blob(&contents[(number + 1) % 7], LAYER),
            blob(&contents[(number + 3) % 7], LAYER),
        ];
        if number == 3 {
            layers.push(blob(&contents[9], FOREIGN));
        }
        let value = image(&contents[number % 4], &layers);
        add(documents, &value, Algorithm::Sha256);
        if number == 5 {
            add(documents, &value, Algorithm::Sha512);
        }
    }
}

/// Indexes: of images, of one that another names too, of an index, of a blob, and of nothing.
fn indexes(contents: &[Content], documents: &mut Vec<Document>) {
    let index = |manifests: Vec<Value>| json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
    let values = [
        index(vec![named(&documents[0]), named(&documents[1])]),
        index(vec![named(&documents[1]), named(&documents[2])]),
        index(vec![named(&documents[3]), blob(&contents[8], LAYER)]),
        index(Vec::new()),
    ];
    for value in values {
        add(documents, &value, Algorithm::Sha256);
    }
    let nested = documents.len() - 4;
    let value = index(vec![named(&documents[nested]), named(&documents[4])]);
    add(documents, &value, Algorithm::Sha256);
}

/// Artifacts that refer to images, to an index and to another artifact.
fn referrers(contents: &[Content], documents: &mut Vec<Document>) {
    let subjects = [0, 0, 1, 7, 12];
    for (number, subject) in subjects.into_iter().enumerate() {
        let mut value = image(&contents[7], &[blob(&contents[number % 3], LAYER)]);
        let kind = ["application/x.sbom", "application/x.signature"][number % 2];
        value["artifactType"] = json!(kind);
        value["subject"] = named(&documents[subject]);
        value["annotations"] = json!({"number": number.to_string()});
        add(documents, &value, Algorithm::Sha256);
    }
}
