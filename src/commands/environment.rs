//! The variables of this process.

use std::ffi::OsString;

/// The variables as text. `std::env::vars` panics where one is no Unicode, as a stranger's may be;
/// one of ours would still be refused by what reads it.
pub(super) fn variables() -> impl Iterator<Item = (String, String)> {
    let text = |text: OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (text(name), text(value)))
}
