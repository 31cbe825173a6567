//! Lifecycle policies: which images may go, and why the others stay.
//!
//! Deciding is apart from doing: [`select`] is a pure function of a policy, images and a time, and
//! both the preview and the run use it, so a preview tells what a run would do.
//!
//! | module | job |
//! |---|---|
//! | `document` | reading a policy, in the form of Amazon ECR, with extensions of our own |
//! | `groups` | an index, its images and what refers to them, as one |
//! | `select` | the decision about each image |
//! | `plan` | what was decided, in the order in which it is done |
//!
//! <https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html>

mod document;
mod groups;
mod plan;
mod select;

pub use document::{Action, Count, Error, Policy, Rule, Tags};
pub use plan::{Step, steps};
pub use select::{Decision, Outcome, Reason, select};
