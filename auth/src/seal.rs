//! Sealing what has to be read again: secrets of access keys, and the keys that sign tokens.
//!
//! AES-256-GCM under the server's own key, a file that only its user may read. The name of what is
//! sealed is part of the seal, so nobody can put one row's secret into another.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};
use wharf_storage::folder;
use zeroize::Zeroizing;

use crate::random;

const NONCE_BYTES: usize = 12;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file can't be read or written.
    #[error("failed to use the key file {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Others may read the file.
    #[error("the key file {0} can be read by others: chmod 600 it")]
    Exposed(PathBuf),
    /// The file holds no key.
    #[error("the key file {0} does not hold 32 bytes in base64")]
    Malformed(PathBuf),
}

/// Why something can't be opened: it was sealed with another key, or changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret was sealed with another key than the server's")]
pub struct OpenError;

/// The server's own key.
pub struct Sealer {
    key: LessSafeKey,
    /// A key for what only has to be told apart.
    derived: [u8; 32],
}

impl Sealer {
    /// The key in a file.
    ///
    /// # Errors
    ///
    /// When the file is missing or can't be used, or others could read it.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        Ok(Self::new(&*read(path)?))
    }

    /// The key in a file, before anything is sealed with it. Where there is none it is made, so
    /// that only its owner can read it. It is durable then, even if a crash left it.
    ///
    /// # Errors
    ///
    /// When the file can't be used, or others could read it.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::Io {
            path: path.to_owned(),
            source,
        };
        match read(path) {
            Ok(bytes) => {
                settle(path).map_err(failed)?;
                return Ok(Self::new(&bytes));
            }
            Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // Two servers may start at once: one of them gets the name.
        let text = Zeroizing::new(BASE64_STANDARD.encode(random::bytes::<32>()) + "\n");
        folder::create_file(path, text.as_bytes()).map_err(failed)?;
        let bytes = read(path)?;
        Ok(Self::new(&bytes))
    }

    /// The key itself.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, bytes).expect("the key has 32 bytes");
        let derived = Sha256::new()
            .chain_update(b"wharf derived key\0")
            .chain_update(bytes)
            .finalize();
        Self {
            key: LessSafeKey::new(key),
            derived: derived.into(),
        }
    }

    /// Seals a secret for a name.
    #[must_use]
    pub fn seal(&self, name: &str, secret: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_BYTES] = random::bytes();
        let mut sealed = secret.to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(name.as_bytes()),
                &mut sealed,
            )
            .expect("a secret is short enough to be sealed");
        [&nonce, sealed.as_slice()].concat()
    }

    /// Opens what was sealed for a name.
    ///
    /// # Errors
    ///
    /// When it was not, or not with this key.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES).ok_or(OpenError)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| OpenError)?;
        let mut secret = Zeroizing::new(sealed.to_vec());
        let length = self
            .key
            .open_in_place(nonce, Aad::from(name.as_bytes()), &mut secret)
            .map_err(|_| OpenError)?
            .len();
        secret.truncate(length);
        Ok(secret)
    }

    /// A text that stands for another one, and tells nothing of it without the key.
    #[must_use]
    pub fn fingerprint(&self, text: &str) -> [u8; 32] {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &self.derived);
        let tag = aws_lc_rs::hmac::sign(&key, text.as_bytes());
        tag.as_ref().try_into().expect("it has 32 bytes")
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Sealer")
    }
}

/// Makes the name of a key that is there durable; where it was put by others, as far as we may.
fn settle(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| folder.as_os_str() != "");
    let folder = folder.unwrap_or(Path::new("."));
    match folder::make(folder).and_then(|()| folder::sync(folder)) {
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => Err(error),
        _ => Ok(()),
    }
}

fn read(path: &Path) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let failed = |source| KeyError::Io {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(failed)?;
    if is_exposed(&file.metadata().map_err(failed)?) {
        return Err(KeyError::Exposed(path.to_owned()));
    }
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text).map_err(failed)?;
    let malformed = || KeyError::Malformed(path.to_owned());
    let bytes = BASE64_STANDARD
        .decode(text.trim())
        .map_err(|_| malformed())?;
    let bytes = Zeroizing::new(bytes);
    let bytes: [u8; 32] = bytes.as_slice().try_into().map_err(|_| malformed())?;
    Ok(Zeroizing::new(bytes))
}

/// Whether others may read a file, or change it. A group may read what is root's: so secrets are
/// handed to a container whose user is another one.
fn is_exposed(file: &Metadata) -> bool {
    let mode = file.permissions().mode();
    let is_roots = file.uid() == 0;
    mode & 0o037 != 0 || mode & 0o040 != 0 && !is_roots
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_sealed_opens_under_its_own_name_and_key_only() {
        let sealer = Sealer::new(&[7; 32]);
        let sealed = sealer.seal("a", b"secret");
        assert_eq!(
            sealer.open("a", &sealed).expect("it opens").as_slice(),
            b"secret"
        );
        assert_eq!(sealer.open("b", &sealed).err(), Some(OpenError));
        assert_eq!(
            Sealer::new(&[8; 32]).open("a", &sealed).err(),
            Some(OpenError)
        );
        for place in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[place] ^= 1;
            assert_eq!(sealer.open("a", &flipped).err(), Some(OpenError));
        }
        assert_eq!(sealer.open("a", b"short").err(), Some(OpenError));
    }

    #[test]
    fn the_key_is_made_once_and_kept_from_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys/secret.key");
        let first = Sealer::load_or_create(&path).expect("it is made");
        let second = Sealer::load_or_create(&path).expect("it is read");
        assert!(second.open("a", &first.seal("a", b"x")).is_ok());
        let mode = fs::metadata(&path)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("it is ours");
        assert!(matches!(
            Sealer::load_or_create(&path),
            Err(KeyError::Exposed(_))
        ));
        // The tests run as root, whose file a group may read.
        let is_roots = fs::metadata(&path).expect("it is there").uid() == 0;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).expect("it is ours");
        assert_eq!(Sealer::load_or_create(&path).is_ok(), is_roots);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
        fs::write(&path, "short").expect("it is ours");
        assert!(matches!(
            Sealer::load_or_create(&path),
            Err(KeyError::Malformed(_))
        ));
    }
}
