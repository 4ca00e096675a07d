//! The certificates of an engine: read from files, checked, and read again while it runs.
//!
//! Invariant: what is offered to clients was checked as a whole. A set with one bad file is not used, so a failed reload
//! leaves the former set as it was. The session tickets survive a reload, because the settings around the set stay.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use x509_parser::prelude::{ASN1Time, FromDer, GeneralName, X509Certificate};

use super::resolver::{Certificate, Resolver};

/// The PEM files of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate of the server, then those that lead to its root.
    pub certificate: PathBuf,
    /// Its private key: PKCS #8, PKCS #1 or SEC 1, not encrypted.
    pub key: PathBuf,
}

/// Why certificates are not used. The text names the file and the reason in one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// No files were given.
    #[error("TLS needs at least 1 certificate, and 0 were given: name its file and that of its key")]
    NoCertificate,
    /// A file cannot be read.
    #[error("{}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the kernel says.
        source: std::io::Error,
    },
    /// A file has no section of the kind that is needed.
    #[error("{}: no {wanted} in it: a PEM file has a section BEGIN {begin}", file.display())]
    Empty {
        /// The file.
        file: PathBuf,
        /// What it should hold.
        wanted: &'static str,
        /// How that begins.
        begin: &'static str,
    },
    /// A file is not what it should be.
    #[error("{}: {reason}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate is no longer valid.
    #[error("{}: the certificate expired on {not_after}: renew it", file.display())]
    Expired {
        /// The file.
        file: PathBuf,
        /// Its last second.
        not_after: String,
    },
    /// A certificate is not valid yet.
    #[error("{}: the certificate is not valid before {not_before}: check the clock of this machine", file.display())]
    NotYetValid {
        /// The file.
        file: PathBuf,
        /// Its first second.
        not_before: String,
    },
    /// The key is that of another certificate.
    #[error("{}: not the key of the certificate in {}", key.display(), certificate.display())]
    KeyMismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
}

/// The TLS of a listener: certificates by name, TLS 1.2 and 1.3, session tickets. Clones are handles of the same one.
///
/// A client that names a server (SNI) gets the certificate with that name, and is refused with an alert if there is none; a
/// client that names no server gets the first certificate.
#[derive(Clone)]
pub struct Tls {
    files: Arc<[CertificateFiles]>,
    resolver: Arc<Resolver>,
    config: Arc<ServerConfig>,
}

impl Tls {
    /// Reads and checks certificates. The names of each are those in its subject alternative names.
    ///
    /// # Errors
    /// The first file that cannot be used, and why.
    pub fn from_files(files: &[CertificateFiles]) -> Result<Self, TlsError> {
        let resolver = Arc::new(Resolver::new(read_all(files)?));
        let config = server_config(resolver.clone())?;
        Ok(Self { files: files.into(), resolver, config: Arc::new(config) })
    }

    /// Reads and checks the files again; connections that are opened from now on get what is in them. Open connections go
    /// on as they are, and clients can still resume their sessions.
    ///
    /// # Errors
    /// The first file that cannot be used, and why. The certificates stay as they were then, all of them.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.resolver.replace(read_all(&self.files)?);
        Ok(())
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

fn server_config(resolver: Arc<Resolver>) -> Result<ServerConfig, TlsError> {
    // No file is to blame for these: the provider has no random numbers, or no cipher for a version.
    let broken =
        |error: rustls::Error| TlsError::Malformed { file: PathBuf::from("TLS"), reason: error.to_string() };
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(broken)?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Tickets hold the state of a session at the client; a cache would hold it here.
    config.ticketer = ring::Ticketer::new().map_err(broken)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

fn read_all(files: &[CertificateFiles]) -> Result<Vec<Certificate>, TlsError> {
    if files.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    files.iter().map(read_one).collect()
}

fn read_one(files: &CertificateFiles) -> Result<Certificate, TlsError> {
    let chain = read_chain(&files.certificate)?;
    let mut names = Vec::new();
    for (place, der) in chain.iter().enumerate() {
        let certificate = parse(der, &files.certificate)?;
        check_validity(&certificate, &files.certificate)?;
        if place == 0 {
            names = dns_names(&certificate);
        }
    }
    let key = ring::default_provider()
        .key_provider
        .load_private_key(read_key(&files.key)?)
        .map_err(|error| TlsError::Malformed { file: files.key.clone(), reason: error.to_string() })?;
    let key = CertifiedKey::new(chain, key);
    match key.keys_match() {
        // A key that cannot tell its public half has to be believed.
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(rustls::Error::InconsistentKeys(_)) => {
            let CertificateFiles { certificate, key } = files.clone();
            return Err(TlsError::KeyMismatch { certificate, key });
        }
        Err(error) => {
            return Err(TlsError::Malformed { file: files.certificate.clone(), reason: error.to_string() });
        }
    }
    Ok(Certificate { names, key: Arc::new(key) })
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|source| TlsError::Unreadable { file: file.to_owned(), source })
}

fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(file)?).collect();
    let chain =
        chain.map_err(|error| TlsError::Malformed { file: file.to_owned(), reason: error.to_string() })?;
    if chain.is_empty() {
        return Err(TlsError::Empty { file: file.to_owned(), wanted: "certificate", begin: "CERTIFICATE" });
    }
    Ok(chain)
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(file)?).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => {
            TlsError::Empty { file: file.to_owned(), wanted: "private key", begin: "PRIVATE KEY" }
        }
        error => TlsError::Malformed { file: file.to_owned(), reason: error.to_string() },
    })
}

fn parse<'a>(der: &'a CertificateDer<'_>, file: &Path) -> Result<X509Certificate<'a>, TlsError> {
    match X509Certificate::from_der(der) {
        Ok((_, certificate)) => Ok(certificate),
        Err(error) => Err(TlsError::Malformed {
            file: file.to_owned(),
            reason: format!("not an X.509 certificate: {error}"),
        }),
    }
}

fn check_validity(certificate: &X509Certificate<'_>, file: &Path) -> Result<(), TlsError> {
    let (validity, now) = (certificate.validity(), ASN1Time::now());
    if now < validity.not_before {
        return Err(TlsError::NotYetValid {
            file: file.to_owned(),
            not_before: validity.not_before.to_string(),
        });
    }
    if now > validity.not_after {
        return Err(TlsError::Expired { file: file.to_owned(), not_after: validity.not_after.to_string() });
    }
    Ok(())
}

/// The DNS names of a certificate in lower case, wildcards as they are.
fn dns_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    names.collect()
}
