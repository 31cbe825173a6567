//! Where the clients lie.

use std::path::{Path, PathBuf};

/// The folders that `.ci/tools` fills, before what else a machine may have under the same names.
const FOLDERS: [&str; 6] = [
    "/usr/bin",
    "/usr/sbin",
    "/bin",
    "/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
];

/// A program by its name, such as `skopeo`.
///
/// # Panics
/// When it is missing, for a test without its client has shown nothing.
pub(crate) fn find(name: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/bin");
    let mut folders = std::iter::once(own).chain(FOLDERS.map(PathBuf::from));
    folders
        .find_map(|folder| Some(folder.join(name)).filter(|path| path.is_file()))
        .unwrap_or_else(|| panic!("{name} is missing: run make tools"))
}
