//! `docs/security-cases.md` names tests; they are there.

use std::fs;
use std::path::Path;

#[test]
fn the_tests_that_stand_against_known_faults_are_in_the_source() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut source = String::new();
    for folder in [
        "src",
        "storage/src",
        "auth/src",
        "runner/src",
        "runner/tests",
        "tests",
    ] {
        gather(&root.join(folder), &mut source);
    }
    let mut named = 0;
    for document in ["docs/security-cases.md", "SECURITY.md"] {
        let text = fs::read_to_string(root.join(document)).expect("a document");
        let rows = text
            .lines()
            .filter(|line| line.starts_with("| ") && !line.starts_with("|---"));
        for row in rows {
            let last = row
                .trim_end_matches(" |")
                .rsplit(" | ")
                .next()
                .expect("a cell");
            for name in last.split('`').skip(1).step_by(2) {
                let is_test = name.contains('_') && !name.contains(['.', '/', ' ']);
                assert!(is_test, "{document}: {name} is no name of a test");
                let written = format!("#[test]\nfn {name}()");
                let nested = format!("#[test]\n    fn {name}()");
                let is_there = source.contains(&written) || source.contains(&nested);
                assert!(is_there, "{document}: there is no test {name}");
                named += 1;
            }
        }
    }
    assert!(named >= 30, "{named} tests are named");
}

/// All Rust below a folder.
fn gather(folder: &Path, source: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            gather(&path, source);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            source.push_str(&fs::read_to_string(&path).expect("a text"));
        }
    }
}
