//! Which part may know of which, read from the sources.

use std::fs;
use std::path::{Path, PathBuf};

/// The crates of ours that a crate depends on.
fn dependencies(folder: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(folder)
        .join("Cargo.toml");
    let text = fs::read_to_string(path).expect("a manifest");
    let package = text
        .split_once("[package]")
        .map_or("", |(_, package)| package);
    let ours = package.lines().filter(|line| line.starts_with("wharf-"));
    ours.map(|line| {
        line.split(['.', ' ', '='])
            .next()
            .unwrap_or_default()
            .to_owned()
    })
    .collect()
}

/// The source files below a folder.
fn sources(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has sources");
    found
}

/// Asserts that no code below a folder holds one of the words; comments may.
fn never_names(folder: &str, words: &[&str]) {
    never_names_outside(None, folder, words);
}

/// The same, but for one folder in it.
fn never_names_outside(exception: Option<&str>, folder: &str, words: &[&str]) {
    for path in sources(folder) {
        if exception.is_some_and(|part| path.components().any(|name| name.as_os_str() == part)) {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a source");
        for line in text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
        {
            let named = words.iter().find(|word| line.contains(**word));
            assert_eq!(named, None, "{}: {line}", path.display());
        }
    }
}

#[test]
fn crates_depend_one_way() {
    assert_eq!(dependencies("storage"), [""; 0]);
    assert_eq!(dependencies("auth"), ["wharf-storage"]);
    assert_eq!(dependencies("conformance"), [""; 0]);
    assert_eq!(dependencies("runner"), [""; 0]);
    assert_eq!(dependencies("."), ["wharf-auth", "wharf-storage"]);
}

#[test]
fn the_domain_knows_no_http() {
    never_names(
        "src/registry",
        &["axum", "hyper", "http::", "crate::http", "crate::app"],
    );
    never_names("src/lifecycle", &["crate::", "tokio", "axum"]);
    // A bucket is spoken to over HTTP, as a client does.
    never_names_outside(Some("s3"), "storage/src", &["axum", "hyper", "http::"]);
    never_names("storage/src", &["axum", "hyper"]);
    never_names("auth/src", &["axum", "hyper", "http::"]);
}

#[test]
fn jobs_and_doors_do_not_know_each_other() {
    never_names("src/jobs", &["crate::http"]);
    never_names("src/http", &["crate::jobs", "rusqlite"]);
}

#[test]
fn every_module_says_what_it_is_for() {
    for folder in [
        "src",
        "storage/src",
        "auth/src",
        "conformance/src",
        "runner/src",
        "runner/tests",
        "runner/examples",
        "tests",
    ] {
        for path in sources(folder) {
            let text = fs::read_to_string(&path).expect("a source");
            assert!(
                text.starts_with("//!"),
                "{} starts with its purpose",
                path.display()
            );
        }
    }
}
