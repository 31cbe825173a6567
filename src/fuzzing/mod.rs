//! The parsers of the server, each as a function that takes any bytes and asserts what has to hold.
//!
//! As in `wharf_storage::fuzzing`, the list is used by the tests and by cargo-fuzz.
//!
//! | module | job |
//! |---|---|
//! | `access` | tokens, signatures, policies, scopes, names of principals |
//! | `documents` | lifecycle policies, ECR's inputs, configuration, events |
//! | `requests` | paths, ranges, headers of proxies and of callers |
//! | `transfer` | what other registries and layouts say |

mod access;
mod documents;
#[cfg(test)]
#[path = "../../tests/support/fuzzer.rs"]
mod fuzzer;
mod requests;
mod transfer;

use std::fmt::{Debug, Display};
use std::str::FromStr;

/// A parser's name, and what takes bytes to it.
pub type Target = (&'static str, fn(&[u8]));

/// All parsers.
pub const TARGETS: &[Target] = &[
    ("challenge", transfer::challenge),
    ("configuration", documents::configuration),
    ("content-range", requests::content_range),
    ("cursor", requests::cursor),
    ("docker-tree", transfer::docker_tree),
    ("ecr-input", documents::ecr_input),
    ("event", documents::event),
    ("forwarded", requests::forwarded),
    ("layout-index", transfer::layout_index),
    ("layout-tar", transfer::layout_tar),
    ("lifecycle-policy", documents::lifecycle_policy),
    ("link", transfer::link),
    ("page-number", requests::page_number),
    ("place", transfer::place),
    ("policy-document", access::policy_document),
    ("principal", access::principal),
    ("question", access::question),
    ("range", requests::range),
    ("repository-path", requests::repository_path),
    ("scope", access::scope),
    ("signature", access::signature),
    ("token", access::token),
    ("trust", access::trust),
    ("units", documents::units),
    ("webhook-secret", documents::webhook_secret),
];

/// Runs a target on texts.
fn text(bytes: &[u8], run: impl FnOnce(&str)) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        run(text);
    }
}

/// What is accepted is the same when it is written and read again.
fn reads_back<T: FromStr<Err: Debug> + Display + PartialEq + Debug>(text: &str) {
    let Ok(value) = text.parse::<T>() else {
        return;
    };
    let written = value.to_string();
    let again: T = written.parse().expect("what was written can be read");
    assert_eq!(again, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bytes_upset_a_parser_of_the_server() {
        fuzzer::run("server", TARGETS);
    }
}
