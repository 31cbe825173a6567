//! Load, long lists, and input that is made to exhaust its reader.
//!
//! | module | rows | what it asks |
//! |---|---|---|
//! | `backlog` | 15 | a webhook's target that is down for long |
//! | `bodies` | 19 | bodies that hardly come, and answers that nobody reads |
//! | `caches` | 42 | a delete here, a read there, on one server and on two |
//! | `documents` | 21 | JSON that is made to exhaust its reader |
//! | `heads` | 17, 20 | heads that never end, and heads that are too long |
//! | `http2` | 17 | half open connections, and floods of frames |
//! | `idle` | 18 | ten thousand connections that say nothing |
//! | `lists` | 33, 36 | long lists, and a start with a large database |
//! | `memory` | 22 | many pushes at once in little memory |
//! | `names` | 30 | names that lead elsewhere |
//! | `numbers` | 40 | sizes of pages that nobody means |
//! | `sinks` | 14 | a sink of events that fails, and a server that is killed |
//! | `stopping` | 34 | a server that is told to stop while it works |
//! | `uploads` | 23 | uploads that are begun and left |
//!
//! What they are made of: `fill` (large databases), `frames` (HTTP/2 by hand), `line` (a connection
//! that is kept), `sink` (a receiver of webhooks that fails).

mod backlog;
mod bodies;
mod caches;
mod documents;
mod fill;
mod frames;
mod heads;
mod http2;
mod idle;
mod line;
mod lists;
mod memory;
mod names;
mod numbers;
mod sink;
mod sinks;
mod stopping;
mod uploads;

use super::{Form, row};
