//! The registry, over its public API: `/v2`, GetAuthorizationToken, `/events`, `/leases`.
//!
//! | module | job |
//! |---|---|
//! | `client` | requests with credentials, tags to digests |
//! | `login` | credentials, asked for anew before they end |
//! | `image` | names of images |
//! | `follower` | what was pushed, from a cursor that is kept |
//! | `leases` | a lease on every digest that something runs |

mod client;
mod follower;
mod image;
mod leases;
mod login;

pub(crate) use client::{Client, Error};
pub(crate) use follower::{Follower, Handler, Told};
pub(crate) use image::Pinned;
#[cfg(any(test, fuzzing))]
pub(crate) use image::fuzz;
pub(crate) use leases::Leases;
