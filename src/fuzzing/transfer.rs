//! What other registries say, and what lies in folders of others.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::Url;
use wharf_storage::blob::Location;
use wharf_storage::metadata::Blob;
use wharf_storage::oci::Digest;

use super::text;
use crate::transfer::adopt::{How, Old, Tree};
use crate::transfer::layout::{self, Index};
use crate::transfer::remote::{Challenge, next_of};
use crate::transfer::{Error, Place};

pub(super) fn challenge(bytes: &[u8]) {
    text(bytes, |text| {
        let base = Url::parse("https://h.example/").expect("an address");
        if let Some(Challenge::Bearer { realm, .. }) = Challenge::parse(text) {
            let _ = base.join(&realm);
        }
    });
}

pub(super) fn link(bytes: &[u8]) {
    text(bytes, |text| {
        if let Some(target) = next_of(text) {
            assert!(text.contains(&target) && !target.contains('>'));
        }
    });
}

pub(super) fn place(bytes: &[u8]) {
    text(bytes, |text| {
        let _ = text.parse::<Place>();
    });
}

pub(super) fn layout_index(bytes: &[u8]) {
    let Ok(mut index) = serde_json::from_slice::<Index>(bytes) else {
        return;
    };
    let written: Index = serde_json::from_slice(&index.text()).expect("what was written is read");
    assert_eq!(written.text(), index.text());
    for entry in index.manifests.clone() {
        let _ = (entry.tag(), entry.name());
        index.put(entry.clone());
        let same = index.manifests.iter().filter(|other| {
            other.is_named() && (other.name(), other.tag()) == (entry.name(), entry.tag())
        });
        assert!(same.count() == 1 || !entry.is_named(), "a name stands once");
    }
}

pub(super) fn layout_tar(bytes: &[u8]) {
    let Ok(places) = layout::places(&mut Cursor::new(bytes)) else {
        return;
    };
    for (name, (start, _)) in places {
        assert!(!name.starts_with("./"));
        assert!(
            start <= bytes.len() as u64 + 512,
            "{name} begins behind the end"
        );
    }
}

/// A folder of docker-registry in memory: a path, `=` and a content in each line.
#[derive(Debug)]
struct Lines(BTreeMap<String, String>);

#[async_trait]
impl Old for Lines {
    fn shown(&self) -> PathBuf {
        "lines".into()
    }

    async fn folders(&self, path: &str) -> Result<Vec<String>, Error> {
        let below = format!("{}/", path.trim_end_matches('/'));
        let inside = self.0.keys().filter_map(|name| name.strip_prefix(&below));
        let folders: BTreeSet<&str> = inside
            .filter_map(|rest| Some(rest.split_once('/')?.0))
            .collect();
        // As a file system has them: no empty names, none that lead elsewhere.
        let real = folders
            .into_iter()
            .filter(|name| !matches!(*name, "" | "." | ".."));
        Ok(real.map(ToOwned::to_owned).collect())
    }

    async fn file(&self, path: &str) -> Result<Option<Bytes>, Error> {
        Ok(self.0.get(path).map(|text| Bytes::from(text.clone())))
    }

    async fn has(&self, path: &str) -> Result<bool, Error> {
        Ok(self.0.contains_key(path))
    }

    async fn take_in(&self, path: &str, _: &Digest, _: How) -> Result<Result<Blob, String>, Error> {
        Ok(Err(path.to_owned()))
    }

    async fn sync(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn still_has(&self, _: &Blob) -> Result<bool, Error> {
        Ok(false)
    }

    async fn give_back(&self, _: &Location) -> Result<(), Error> {
        Ok(())
    }
}

pub(super) fn docker_tree(bytes: &[u8]) {
    text(bytes, |text| {
        let lines = text.lines().filter_map(|line| line.split_once('='));
        let lines = lines.map(|(path, content)| (path.to_owned(), content.to_owned()));
        let lines = Lines(lines.collect());
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime").block_on(async {
            let Ok(tree) = Tree::open(Arc::new(lines)).await else {
                return;
            };
            let found = tree.repositories().await;
            let (repositories, _) = found.expect("lines can be read");
            assert!(repositories.is_sorted());
            for repository in repositories {
                let contents = tree.contents(&repository).await.expect("lines can be read");
                for (_, digest) in contents.tags {
                    assert!(Tree::data(&digest).contains(digest.hex()));
                }
            }
        });
    });
}
