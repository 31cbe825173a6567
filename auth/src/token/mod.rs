//! Tokens: what a caller shows instead of its password, for a while.
//!
//! They are JSON Web Tokens, signed with a key of the registry's own, so any server that knows the
//! public key can check one. What makes a token good is its signature, its time and its kind; what
//! its owner may do is asked of the policies at each request, so revoking doesn't wait for a token
//! to end.
//!
//! | module | job |
//! |---|---|
//! | `keys` | the keys that sign, and their public parts |
//! | `claims` | what a token says |
//! | `verify` | whether to believe it |

mod claims;
mod keys;
mod verify;

pub(crate) use claims::plain;
pub use claims::{Access, Claims, Kind};
pub use keys::{KeyError, SigningKey};
pub(crate) use verify::brings_its_own_key;
pub use verify::{Cache, TokenError, verify};
