//! Why the server can't start.

use std::io;
use std::path::PathBuf;

use wharf_auth::administration;
use wharf_auth::seal;
use wharf_storage::metadata::postgres;
use wharf_storage::metadata::{self, sqlite};
use wharf_storage::{disk, s3};

use crate::http::listener::tls;
use crate::registry;

/// Why the server can't start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data folder can't be used.
    #[error("the data folder can not be used")]
    Disk(#[from] disk::OpenError),
    /// The database belongs to the blobs of another data folder.
    #[error(
        "the blobs of this database lie in another data folder than {}: several servers on one \
         PostgreSQL keep their blobs in a bucket (s3.bucket); where the other folder is lost for good, \
         write {known} into {} to go on without its blobs",
        folder.display(),
        folder.join(crate::app::pairing::FILE).display()
    )]
    OtherFolder {
        /// The folder that was given.
        folder: PathBuf,
        /// The name of the one that the database knows.
        known: String,
    },
    /// The name of the data folder can't be read or written.
    #[error("failed to read or write {}", path.display())]
    FolderName {
        /// The file with the name.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The bucket can't be used.
    #[error("the bucket can not be used")]
    Bucket(#[from] s3::OpenError),
    /// The database can't be used.
    #[error("the metadata can not be used")]
    Database(#[from] sqlite::OpenError),
    /// The PostgreSQL database can't be used.
    #[error("the metadata can not be used")]
    Postgres(#[from] postgres::OpenError),
    /// The server's key can't be used.
    #[error("the server's key can not be used")]
    Key(#[from] seal::KeyError),
    /// There is nothing in the folder.
    #[error("there is no registry in {}: wharf serve makes one", .0.display())]
    NoRegistry(PathBuf),
    /// The server's key is gone.
    #[error(
        "the server's key {} is missing, and what the database holds is sealed with it: put it back, \
         or give up what it sealed with wharf key drop-unreadable",
        .0.display()
    )]
    KeyLost(PathBuf),
    /// What lies sealed in the database could not be opened: it was set up with another key.
    #[error(
        "the database was set up with another key than the one in {}: servers and command lines on \
         one database share one key (auth.secret_key_file); where that one is lost, wharf key \
          drop-unreadable gives up what it sealed",
        .0.display()
    )]
    OtherKey(PathBuf),
    /// The first principals can't be made.
    #[error("failed to set up who may do what")]
    Administration(#[from] administration::Error),
    /// The metadata can't be read.
    #[error("failed to read the metadata")]
    Metadata(#[from] metadata::Error),
    /// Certificates can't be used.
    #[error("TLS can not be set up")]
    Tls(#[from] tls::Error),
    /// Requests to the outside can't be made.
    #[error("failed to set up requests to the outside")]
    Outbound(#[from] reqwest::Error),
    /// What an earlier run left can't be put in order.
    #[error("failed to put in order what the last run left")]
    Sweep(#[from] registry::Error),
    /// The address can't be listened on.
    #[error("failed to listen on {address}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}
