//! How many files and connections the process may have open, and who may read what it makes.

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};

/// Keeps what the process makes from all users but its own: the database has hashes of passwords,
/// the blobs are private images.
pub(super) fn keep_to_ourselves() {
    umask(Mode::from_raw_mode(0o077));
}

/// Raises the limit to what the system allows. Most systems start programs with 1,024, far fewer
/// than `server.max_connections`; the low number is kept only for programs that use `select`.
pub(super) fn allow_most() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    let most = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, most) {
        tracing::warn!(%error, ?current, "the limit on open files could not be raised");
    }
}
