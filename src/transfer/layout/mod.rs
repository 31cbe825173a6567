//! OCI image layouts, as folders and as tar files.
//!
//! ```text
//! oci-layout                 {"imageLayoutVersion": "1.0.0"}
//! index.json                 what the layout has, each with its tag and its full name
//! blobs/sha256/<hex>         blobs and manifests alike
//! blobs/sha512/<hex>
//! ```
//!
//! An entry of `index.json` names its tag as `org.opencontainers.image.ref.name` and its full name,
//! `HOST/REPOSITORY:TAG`, as `io.containerd.image.name`. What refers to an image stands there too,
//! without a name, which is where `oras` looks for it.
//!
//! <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>
//!
//! | module | job |
//! |---|---|
//! | `document` | `index.json` |
//! | `read` | a layout as a source |
//! | `write` | a layout as a target |
//! | `pieces` | bytes from files and into them, on blocking threads |

mod document;
mod pieces;
mod read;
mod write;

use wharf_storage::oci::Digest;

#[cfg(any(test, fuzzing))]
pub(crate) use document::Index;
#[cfg(any(test, fuzzing))]
pub(crate) use read::places;
pub use read::{Named, Reader};
pub use write::{Layout, Writer};

/// Where a blob lies inside a layout.
fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}
