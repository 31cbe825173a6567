//! Signature Version 4: requests signed with an AWS-style key, as `aws` and boto3 send them.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>
//!
//! | module | job |
//! |---|---|
//! | `authorization` | reading the header |
//! | `canonical` | the text that is signed |
//! | `verify` | whether the signature is right, and recent |

mod authorization;
mod canonical;
mod verify;

pub use authorization::{Authorization, AuthorizationError};
pub use canonical::SignedRequest;
pub use verify::{SignatureError, WINDOW, verify};
