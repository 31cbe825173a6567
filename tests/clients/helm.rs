//! helm: charts as artifacts.

use std::fs;
use std::path::Path;

use crate::support::{Command, Registry, folder};

/// A plus cannot be in a tag: helm writes an underscore there.
const VERSIONS: [&str; 2] = ["1.2.3", "1.3.0+build.5"];

fn helm<'a>(folder: &Path, words: impl IntoIterator<Item = &'a str>) -> Command {
    Command::tool("helm")
        .env("HELM_CACHE_HOME", folder.join("cache"))
        .env("HELM_CONFIG_HOME", folder.join("config"))
        .env("HELM_DATA_HOME", folder.join("data"))
        .directory(folder)
        .args(words)
}

/// Packs a chart, and gives the name of its file.
fn package(folder: &Path, version: &str) -> String {
    let chart = folder.join("small");
    fs::create_dir_all(chart.join("templates")).expect("a folder");
    let lines = format!("apiVersion: v2\nname: small\nversion: {version}\n");
    fs::write(chart.join("Chart.yaml"), lines).expect("a file");
    let template = "kind: ConfigMap\napiVersion: v1\nmetadata: {name: {{ .Chart.Version }}}\n";
    fs::write(chart.join("templates/map.yaml"), template).expect("a file");
    helm(folder, ["package", "small"]).succeeds();
    format!("small-{version}.tgz")
}

#[test]
fn helm_pushes_pulls_and_renders_a_chart() {
    let (registry, folder) = (Registry::chosen(), folder());
    let folder = folder.path();
    let charts = format!("oci://{}", registry.image("charts"));
    let chart = format!("{charts}/small");
    for version in VERSIONS {
        let file = package(folder, version);
        helm(folder, ["push", "--plain-http", &file, &charts]).succeeds();

        let to = ["--destination", "pulled", "--version", version];
        let pull = helm(folder, ["pull", "--plain-http", &chart]);
        fs::create_dir_all(folder.join("pulled")).expect("a folder");
        pull.args(to).succeeds();
        let pulled = fs::read(folder.join("pulled").join(&file)).expect("a chart");
        let packed = fs::read(folder.join(&file)).expect("a chart");
        assert!(pulled == packed, "{file} differs");

        let template = ["template", "--plain-http", &chart, "--version", version];
        let rendered = helm(folder, template).succeeds();
        assert!(rendered.contains(&format!("name: {version}")), "{rendered}");
    }

    // A range of versions is resolved over the list of tags.
    let show = [
        "show",
        "chart",
        "--plain-http",
        &chart,
        "--version",
        "^1.0.0",
    ];
    let shown = helm(folder, show).succeeds();
    assert!(shown.contains("version: 1.3.0+build.5"), "{shown}");
    let none = [
        "show",
        "chart",
        "--plain-http",
        &chart,
        "--version",
        "^2.0.0",
    ];
    helm(folder, none).fails();
}
