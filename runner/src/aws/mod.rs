//! The front door: the JSON and REST-JSON APIs of AWS on one listener.
//!
//! | module | job |
//! |---|---|
//! | `door` | requests to services, by target, path and signature |
//! | `sigv4` | Signature Version 4: verified, and made |
//! | `error` | errors in the form of each protocol |
//! | `input` | members of an input |
//! | `names` | ARNs, ids and times |

pub(crate) mod door;
mod error;
mod input;
mod names;
pub(crate) mod sigv4;

pub(crate) use error::Error;
pub(crate) use input::{Input, texts};
pub(crate) use names::{Names, id, iso, now};

/// A page of a list: those behind the token, and the next token.
pub(crate) fn page<T>(
    items: Vec<T>,
    token: Option<&str>,
    most: Option<u64>,
) -> (Vec<T>, Option<String>) {
    let start: usize = token.and_then(|token| token.parse().ok()).unwrap_or(0);
    let most = usize::try_from(most.unwrap_or(100).clamp(1, 1000)).unwrap_or(100);
    let next = (items.len() > start + most).then(|| (start + most).to_string());
    (items.into_iter().skip(start).take(most).collect(), next)
}
