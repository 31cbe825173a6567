//! Kills, races, outages and clocks.
//!
//! | module | rows |
//! |---|---|
//! | `clocks` | 8: the clock jumps |
//! | `collecting` | 9: a collection in a loop |
//! | `database` | 7: PostgreSQL restarts, and loses connections |
//! | `kills` | 1: `kill -9` in the middle of pushes |
//! | `one_tag` | 43: many pushes to one immutable tag |
//! | `simulation` | 12: an order that a seed gives |
//! | `store_faults` | 6: the store of buckets fails |
//! | `two_servers` | 10: two servers, one repository |
//!
//! They share `caller`, a client whose server may go; `ledger`, what it was told; `dice`, chance with
//! a seed; `place`, where servers keep things; `clock`, a clock that is set; `cutter` and
//! `faulty_store`, ways to other servers that fail.

mod caller;
mod clock;
mod clocks;
mod collecting;
mod cutter;
mod database;
mod dice;
mod faulty_store;
mod kills;
mod ledger;
mod one_tag;
mod place;
mod simulation;
mod store_faults;
mod two_servers;

use super::{Form, row};
