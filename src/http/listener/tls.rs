//! TLS, with certificates that can change while the server runs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Why connections can't be encrypted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file can't be read.
    #[error("failed to read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: pem::Error,
    },
    /// A file holds no certificate.
    #[error("{} holds no certificate", .0.display())]
    Empty(PathBuf),
    /// The certificate and the key don't go together, or aren't of a kind that can be used.
    #[error("the certificate or its key can not be used")]
    Unusable(#[from] rustls::Error),
    /// No client could be known by the authorities.
    #[error("the authorities of clients can not be used")]
    Authorities(#[from] rustls::server::VerifierBuilderError),
}

/// What connections are encrypted with at present.
#[derive(Debug)]
pub struct Tls {
    files: config::Tls,
    present: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// When they can't be used.
    pub fn load(files: &config::Tls) -> Result<Self, Error> {
        Ok(Self {
            present: RwLock::new(Arc::new(read(files)?)),
            files: files.clone(),
        })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let present = self.present.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&present))
    }

    /// Reads the files again whenever they have changed, until `stop`. What can't be used is told
    /// of, and what was used before stays.
    pub async fn keep_fresh(self: Arc<Self>, stop: CancellationToken) {
        let mut turns = tokio::time::interval(LOOK_EVERY);
        let mut seen = self.changed_at();
        while stop.run_until_cancelled(turns.tick()).await.is_some() {
            let changed_at = self.changed_at();
            if changed_at == seen {
                continue;
            }
            seen = changed_at;
            match read(&self.files) {
                Ok(config) => {
                    let mut present = self.present.write().unwrap_or_else(PoisonError::into_inner);
                    *present = Arc::new(config);
                    tracing::info!("read the certificates again");
                }
                Err(error) => tracing::error!(%error, "the new certificates are not used"),
            }
        }
    }

    fn changed_at(&self) -> Vec<Option<SystemTime>> {
        let time = |path: &PathBuf| {
            std::fs::metadata(path)
                .and_then(|data| data.modified())
                .ok()
        };
        let config::Tls {
            certificate,
            key,
            client_ca,
        } = &self.files;
        [certificate, key, client_ca].map(time).into()
    }
}

fn read(files: &config::Tls) -> Result<ServerConfig, Error> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| Error::File {
        path: files.key.clone(),
        source,
    })?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let builder = if files.client_ca.as_os_str().is_empty() {
        builder.with_no_client_auth()
    } else {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&files.client_ca)? {
            roots.add(certificate)?;
        }
        // Who has no certificate may still have a password.
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
            .allow_unauthenticated()
            .build()?;
        builder.with_client_cert_verifier(verifier)
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let failed = |source| Error::File {
        path: path.to_owned(),
        source,
    };
    let found = CertificateDer::pem_file_iter(path).map_err(failed)?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(failed)?;
    match found.is_empty() {
        true => Err(Error::Empty(path.to_owned())),
        false => Ok(found),
    }
}

/// The name in a client's certificate: its first URI (as SPIFFE has it) or DNS name, else its
/// common name.
pub(super) fn name(certificate: &CertificateDer<'_>) -> io::Result<Arc<str>> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "no name in the certificate");
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(|_| malformed())?;
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let names = alternative
        .iter()
        .flat_map(|names| &names.value.general_names);
    let mut uris = names.clone().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let mut hosts = names.filter_map(|name| match name {
        GeneralName::DNSName(host) => Some(*host),
        _ => None,
    });
    let mut common = certificate
        .subject()
        .iter_common_name()
        .filter_map(|name| name.as_str().ok());
    let name = uris.next().or(hosts.next()).or(common.next());
    name.map(Into::into).ok_or_else(malformed)
}
