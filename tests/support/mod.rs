//! Servers, clients and images that tests are made of.
//!
//! Each program is ended by its process id when its test is over, and, should the test itself be
//! killed, with it.
//!
//! | module | job |
//! |---|---|
//! | `registry` | Wharf, or Debian's docker-registry, on a free port |
//! | `postgres` | a PostgreSQL of the tests' own |
//! | `process` | a program that runs while its test does |
//! | `command` | a client's command line, with a deadline |
//! | `docker` | the one Docker daemon of the tests |
//! | `image` | images to push |
//! | `s3` | a bucket, and ways to it that fail |
//! | `tools` | where the clients lie |
//! | `wait` | waiting for a condition |

pub(crate) mod command;
pub(crate) mod docker;
pub(crate) mod image;
pub(crate) mod postgres;
mod process;
mod registry;
pub(crate) mod s3;
pub(crate) mod tools;
pub(crate) mod wait;

pub(crate) use command::Command;
pub(crate) use process::Process;
pub(crate) use registry::Registry;

/// A folder of a test's own, gone with it.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}
