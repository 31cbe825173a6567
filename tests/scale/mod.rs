//! Stores that servers share.

mod s3;
