//! Where the servers of a test keep what they are given: a database, and a bucket or a disk.

use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tempfile::TempDir;

use crate::support::postgres::Postgres;
use crate::support::s3::{ACCESS_KEY_ID, Bucket, SECRET_ACCESS_KEY};
use crate::support::{Registry, folder, image};

/// A place for any number of servers.
#[derive(Debug)]
pub(crate) struct Place {
    variables: Vec<(&'static str, String)>,
    _folder: TempDir,
}

impl Place {
    /// SQLite and the disk, which one server can have.
    pub(crate) fn alone() -> Self {
        Self {
            variables: Vec::new(),
            _folder: folder(),
        }
    }

    /// The shared PostgreSQL, with a key that all servers on it show.
    pub(crate) fn on_postgres() -> Self {
        Self::on_database(Postgres::shared().database())
    }

    /// A PostgreSQL at an address.
    pub(crate) fn on_database(address: String) -> Self {
        let folder = folder();
        let key = folder.path().join("key");
        let text = BASE64_STANDARD.encode(image::random_bytes(32));
        std::fs::write(&key, text).expect("a file");
        let owner_only = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&key, owner_only).expect("a mode");
        let key = key.to_str().expect("a name in UTF-8").to_owned();
        Self {
            variables: vec![
                ("WHARF__DATABASE__URL", address),
                ("WHARF__AUTH__SECRET_KEY_FILE", key),
            ],
            _folder: folder,
        }
    }

    /// The same with a bucket, which may lie behind something.
    pub(crate) fn in_bucket(mut self, bucket: &Bucket) -> Self {
        self.variables.extend([
            ("WHARF__S3__BUCKET", bucket.name.clone()),
            ("WHARF__S3__ENDPOINT", bucket.endpoint.clone()),
            ("WHARF__S3__ACCESS_KEY_ID", ACCESS_KEY_ID.to_owned()),
            ("WHARF__S3__SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.to_owned()),
            ("WHARF__S3__PART_SIZE", "5MiB".to_owned()),
        ]);
        self
    }

    /// A server there, with further variables.
    pub(crate) fn server(&self, more: &[(&str, &str)]) -> Registry {
        let own = self.variables.iter();
        let mut variables: Vec<_> = own.map(|(name, value)| (*name, value.as_str())).collect();
        variables.extend(more);
        Registry::wharf_with(&variables)
    }
}
