//! Certificates for the tests, made when they are needed. Invariant: every test has a folder of its own, which goes with it.

#![allow(dead_code, clippy::unwrap_used)] // reason: each test binary uses its part of this module, and all of it is test code

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

/// The files of a certificate.
#[derive(Debug, Clone)]
pub(crate) struct Pem {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// A folder with certificates that sign themselves, and the trust in all of them.
pub(crate) struct Certificates {
    folder: PathBuf,
    roots: RootCertStore,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        static FOLDERS: AtomicU32 = AtomicU32::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("gannet-tls-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self { folder, roots: RootCertStore::empty() }
    }

    /// Where the files of `stem` are.
    pub(crate) fn files(&self, stem: &str) -> Pem {
        Pem {
            certificate: self.folder.join(format!("{stem}.pem")),
            key: self.folder.join(format!("{stem}.key")),
        }
    }

    /// Writes a certificate with these names as `stem`, in the place of a former one.
    pub(crate) fn make(&mut self, stem: &str, names: &[&str]) -> Pem {
        self.make_with(stem, names, |_| {}).0
    }

    /// The same, with other parameters changed; returns the certificate as well.
    pub(crate) fn make_with(
        &mut self,
        stem: &str,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> (Pem, CertificateDer<'static>) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let files = self.files(stem);
        fs::write(&files.certificate, certificate.pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        let der = certificate.der().clone();
        self.roots.add(der.clone()).unwrap();
        (files, der)
    }

    /// A client that trusts every certificate made so far.
    pub(crate) fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_protocol_versions(versions).unwrap();
        let mut config = builder.with_root_certificates(self.roots.clone()).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).ok();
    }
}
