//! Policies: JSON documents in the form of AWS IAM that say who may do what.
//!
//! A policy is attached to the registry, to a repository, or to a principal. All that concern a
//! request are looked at: a statement that denies wins, else one that allows is needed.
//!
//! | module | job |
//! |---|---|
//! | `document` | reading a document, and telling what is wrong with it |

//! | `condition` | what a statement asks of the call besides |
//! | `evaluate` | the answer, and its explanation |

mod condition;
mod document;
mod evaluate;

pub use document::{Attachment, Document, DocumentError, Effect, Statement};
pub use evaluate::{Attached, Mismatch, Request, Step, could_allow, decide, explain};
pub use wharf_storage::pattern::Pattern;
