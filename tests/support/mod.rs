//! Servers and other programs that tests start.
//!
//! Each is ended by its process id when its test is over, and, should the test itself be killed,
//! by the kernel with its parent.

mod process;
mod registry;

pub(crate) use process::Process;
pub(crate) use registry::Registry;
