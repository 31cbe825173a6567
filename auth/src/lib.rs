//! Who is calling, and what they may do.
//!
//! | module | job |
//! |---|---|
//! | [`authority`] | who calls, by what they show, and what they may do |
//! | [`administration`] | making and removing principals, keys, policies and trusts |
//! | [`directory`] | all of them as one picture in memory |
//! | [`identity`] | principals, and what is known of a call |
//! | [`action`] | what can be done, in the names that Amazon ECR gives |
//! | [`authorizer`] | the decision, allowed or not |
//! | [`policy`] | documents in the form of AWS IAM |
//! | [`scope`] | what a docker client asks a token for |
//! | [`token`] | tokens of our own |
//! | [`oidc`] | tokens of other issuers |
//! | [`sigv4`] | requests signed with an AWS-style key |
//! | [`password`], [`secret`], [`seal`], [`random`] | what is kept of secrets |
//! | [`lockout`], [`rate`] | who tries too often |
//!
//! Both doors, `/v2` and the ECR API, ask here with the same actions, so that one policy rules
//! both. Nothing here knows HTTP.

pub mod action;
pub mod administration;
pub mod authority;
pub mod authorizer;
pub mod directory;
pub mod identity;
pub mod lockout;
pub mod oidc;
pub mod password;
pub mod policy;
pub mod random;
pub mod rate;
pub mod scope;
pub mod seal;
pub mod secret;
pub mod sigv4;
pub mod token;
