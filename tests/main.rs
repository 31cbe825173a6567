//! The integration tests, one binary: real servers on free ports, and real clients.
//!
//! | module | what it asks |
//! |---|---|
//! | `api` | what the API does with requests that no library mends |
//! | `operation` | starting, stopping, logs, metrics, the command line |
//! | `support` | servers and other programs that tests start |

mod api;
mod operation;
mod support;
