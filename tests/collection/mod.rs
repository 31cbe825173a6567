//! What nothing needs any more, collected while everything goes on; what was deleted, restored.
//!
//! | module | what it asks |
//! |---|---|
//! | `online` | ten thousand images pushed, mounted and deleted under a collection that never rests |
//! | `rebuild` | a lost database, made anew |
//! | `scrub` | bytes that change on the disk are found, and mended by the next push |
//! | `commands` | `wharf gc`, `wharf why`, `wharf trash`, `wharf tag history` and `rollback` |

mod commands;
mod online;
mod rebuild;
mod scrub;

use std::path::Path;

/// How many blobs have bytes on the disk.
fn stored_blobs(data: &Path) -> usize {
    let mut count = 0;
    for prefix in std::fs::read_dir(data.join("blobs/sha256")).expect("a folder") {
        let folder = prefix.expect("an entry").path();
        count += std::fs::read_dir(folder).expect("a folder").count();
    }
    count
}
