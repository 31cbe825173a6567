//! A disk that fails, fills up, or loses what was not synced.
//!
//! | module | what it asks |
//! |---|---|
//! | `acknowledged` | what a repository was told to keep, and whether it is there |
//! | `calls` | 4: the disk fails at its Nth call |
//! | `faulty_disk` | a disk that loses what was not synced, and fails when it is told to |
//! | `full` | 3: the disk is full |
//! | `layouts` | 35: a kill in the middle of a migration |
//! | `power` | 2: the power fails |
//! | `rot` | 13: a bit flips in a stored blob |
//! | `syncs` | 5: a sync fails |

mod acknowledged;
mod calls;
mod faulty_disk;
mod full;
mod layouts;
mod power;
mod rot;
mod syncs;

use super::{Form, row};
