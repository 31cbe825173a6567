//! Whoever tries to get in, or to learn what is not theirs.
//!
//! | module | rows |
//! |---|---|
//! | `doors`, `byways`, `routes` | 24: who opens which door, with what |
//! | `strangers` | 25: the digest of a private blob |
//! | `tokens`, `forgeries`, `jwt` | 26: forged tokens |
//! | `signatures`, `sigv4` | 27: requests that are signed as AWS's are |
//! | `inside`, `resolver` | 28: addresses that lead the server inside |
//! | `forwarded` | 29: what a caller says of the way it came |
//! | `pages` | 31: script |
//! | `log_lines` | 32: line ends and escapes |
//! | `canaries`, `canary_files` | 38: secrets |
//! | `manifests` | 39: manifests that read in two ways |
//! | `uploads` | 41: uploads in other hands |
//! | `realms` | 44: upstreams that send logins elsewhere |
//! | `first_start` | 45: no administrator |
//! | `people`, `site` | who comes, and who is asked |
//!
//! Row 37 is in the tests of the runner, `hostile`.

mod byways;
mod canaries;
mod canary_files;
mod doors;
mod first_start;
mod forgeries;
mod forwarded;
mod inside;
mod jwt;
mod log_lines;
mod manifests;
mod pages;
mod people;
mod realms;
mod resolver;
mod routes;
mod signatures;
mod sigv4;
mod site;
mod strangers;
mod tokens;
mod uploads;

use super::{Form, row};
