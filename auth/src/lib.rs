//! Who is calling, and what they may do.
//!
//! | module | job |
//! |---|---|
//! | [`action`] | what can be done to a repository, in the names that Amazon ECR gives |
//! | [`identity`] | who is calling |
//! | [`scope`] | what a docker client asks a token for |
//! | [`authorizer`] | the decision, allowed or not |
//!
//! Both doors, `/v2` and the ECR API, ask here with the same actions, so that one policy rules
//! both. Nothing here knows HTTP.

pub mod action;
pub mod authorizer;
pub mod identity;
pub mod scope;
