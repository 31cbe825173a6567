//! Encrypted connections to the database.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Why connections can't be encrypted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of certificates can't be read.
    #[error("failed to read certificates from {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
    },
    /// There is not one authority.
    #[error("there is no authority to check certificates with")]
    Empty,
    /// TLS can't be set up with it.
    #[error("TLS can not be set up")]
    Setup(#[from] rustls::Error),
}

/// Whether connections are encrypted.
#[derive(Clone)]
pub(super) enum Tls {
    /// They are not.
    Off,
    /// They are.
    On(MakeRustlsConnect),
}

impl Tls {
    /// Encrypted, whoever answers.
    pub(super) fn unverified() -> Result<Self, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth();
        Ok(Self::On(MakeRustlsConnect::new(config)))
    }

    /// Encrypted, with who has a certificate for the host's name of one of these authorities, or of
    /// the system's.
    pub(super) fn verified(authorities: Option<&Path>) -> Result<Self, Error> {
        let certificates = match authorities {
            Some(path) => {
                let failed = |source| Error::File {
                    path: path.to_owned(),
                    source,
                };
                let found = CertificateDer::pem_file_iter(path).map_err(failed)?;
                found.collect::<Result<Vec<_>, _>>().map_err(failed)?
            }
            None => rustls_native_certs::load_native_certs().certs,
        };
        let mut roots = RootCertStore::empty();
        // A system's store may hold some that nobody can read.
        roots.add_parsable_certificates(certificates);
        if roots.is_empty() {
            return Err(Error::Empty);
        }
        let config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self::On(MakeRustlsConnect::new(config)))
    }
}

/// Takes any certificate, as `sslmode=require` says: it keeps listeners out, and nobody who can
/// answer in the database's place. That they have the key of what they show is still checked, and a
/// SCRAM login binds itself to it.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
