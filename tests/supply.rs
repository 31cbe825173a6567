//! What is built into Wharf: from where it comes, and that the list of it leaves nothing out.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// A package of `Cargo.lock`: its name, its version, and the sum of what is downloaded.
type Package = (String, String);

fn locked(root: &Path) -> BTreeMap<Package, Option<(String, String)>> {
    let text = std::fs::read_to_string(root.join("Cargo.lock")).expect("the lock file");
    let lock: toml::Table = text.parse().expect("TOML");
    let packages = lock["package"].as_array().expect("a list");
    let of = |package: &toml::Value| {
        let text = |name: &str| {
            package
                .get(name)
                .and_then(toml::Value::as_str)
                .map(str::to_owned)
        };
        let named = text("name")
            .zip(text("version"))
            .expect("a name and a version");
        (named, text("source").zip(text("checksum")))
    };
    packages.iter().map(of).collect()
}

#[test]
fn every_crate_comes_from_the_registry_and_none_brings_another_tls() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packages = locked(root);
    for ((name, version), source) in &packages {
        let is_ours = name == "wharf" || name.starts_with("wharf-");
        let from = source.as_ref().map(|(source, _)| source.as_str());
        let registry = Some("registry+https://github.com/rust-lang/crates.io-index");
        assert_eq!(from, registry.filter(|_| !is_ours), "{name} {version}");
        let refused = ["openssl", "openssl-sys", "native-tls"];
        assert!(!refused.contains(&name.as_str()), "{name} is not for us");
    }
}

#[test]
fn the_bill_of_materials_has_every_crate_of_the_lock_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = || {
        let mut command = Command::new(root.join(".ci/sbom"));
        let output = command.env("SOURCE_DATE_EPOCH", "1800000000").output();
        let output = output.expect("the script starts");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    };
    let text = made();
    assert_eq!(made(), text, "the same source gives the same bill");
    let bill: Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!(bill["bomFormat"], "CycloneDX");
    assert_eq!(bill["metadata"]["timestamp"], "2027-01-15T08:00:00Z");

    let components = bill["components"].as_array().expect("a list");
    let mut listed: BTreeMap<Package, &Value> = BTreeMap::new();
    for component in components {
        let text = |name: &str| component[name].as_str().unwrap_or_default().to_owned();
        let before = listed.insert((text("name"), text("version")), component);
        assert!(before.is_none(), "{component} stands once");
        assert!(
            component["licenses"][0]["expression"].is_string(),
            "{component} has a licence"
        );
    }
    let packages = locked(root);
    let names: Vec<&Package> = packages.keys().collect();
    assert_eq!(listed.keys().collect::<Vec<_>>(), names);
    for (package, source) in &packages {
        let component = listed[package];
        let sum = component["hashes"][0]["content"].as_str();
        assert_eq!(
            sum,
            source.as_ref().map(|(_, sum)| sum.as_str()),
            "{package:?}"
        );
    }
    let scope = |name: &str| {
        let mut found = components
            .iter()
            .filter(|component| component["name"] == name);
        found.next().map(|component| &component["scope"])
    };
    assert_eq!(scope("rustls"), Some(&"required".into()));
    assert_ne!(
        scope("ring"),
        Some(&"required".into()),
        "there is one provider of cryptography"
    );
    assert_eq!(
        scope("proptest"),
        Some(&"excluded".into()),
        "only tests need it"
    );
    let inner = listed
        .values()
        .find(|component| component["name"] == "libsqlite3-sys");
    let sqlite = inner.map(|component| &component["components"][0]["name"]);
    assert_eq!(sqlite, Some(&"sqlite".into()), "C code is told of");
}
