//! Which certificate a client gets: by the name that it asks for.
//!
//! Invariant: a client never gets a certificate without the name that it asked for. The set is replaced as a whole, and a
//! handshake sees one set.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// A checked certificate and its key.
#[derive(Debug)]
pub(super) struct Certificate {
    /// In lower case; a wildcard stands for one label.
    pub(super) names: Vec<String>,
    pub(super) key: Arc<CertifiedKey>,
}

/// The certificates of an engine, by name.
#[derive(Debug)]
pub(super) struct Resolver {
    set: RwLock<Arc<Set>>,
}

#[derive(Debug)]
struct Set {
    /// For clients that name no server.
    first: Vec<Arc<CertifiedKey>>,
    /// By name; several where a name has keys of several kinds. A wildcard is kept with its star.
    by_name: HashMap<String, Vec<Arc<CertifiedKey>>>,
}

impl Resolver {
    pub(super) fn new(certificates: Vec<Certificate>) -> Self {
        Self { set: RwLock::new(Arc::new(Set::new(certificates))) }
    }

    /// What clients get from now on.
    pub(super) fn replace(&self, certificates: Vec<Certificate>) {
        let set = Arc::new(Set::new(certificates));
        // Nobody panics while holding the lock, and a whole set would be in it even then.
        *self.set.write().unwrap_or_else(PoisonError::into_inner) = set;
    }
}

impl Set {
    fn new(certificates: Vec<Certificate>) -> Self {
        let first = certificates.iter().take(1).map(|certificate| certificate.key.clone()).collect();
        let mut by_name = HashMap::<_, Vec<_>>::new();
        for Certificate { names, key } in certificates {
            for name in names {
                by_name.entry(name).or_default().push(key.clone());
            }
        }
        Self { first, by_name }
    }

    fn find(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let candidates = match name {
            None => &self.first,
            Some(name) => {
                let name = name.to_ascii_lowercase();
                // RFC 6125 §6.4.3: a star stands for the leftmost label, and for one only.
                let wildcard = || name.split_once('.').map(|(_, parent)| format!("*.{parent}"));
                self.by_name.get(&name).or_else(|| self.by_name.get(&wildcard()?))?
            }
        };
        let usable = candidates.iter().find(|key| key.key.choose_scheme(schemes).is_some());
        // With no scheme in common the handshake fails, with an alert that says so.
        usable.or_else(|| candidates.first()).cloned()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let set = self.set.read().unwrap_or_else(PoisonError::into_inner).clone();
        set.find(client_hello.server_name(), client_hello.signature_schemes())
    }
}
