//! Certificates: what is checked, who gets which, and what a reload changes.

use std::fs;
use std::sync::Arc;

use gannet_driver::sim::Faults;
use rcgen::date_time_ymd;
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, ClientConfig, Error, HandshakeKind};

use super::certificates::{Certificates, Pem};
use super::client::{Client, End};
use super::rig::{Caller, Rig};
use crate::edge::{CertificateFiles, Edge, Tls, TlsError};

fn rig(tls: &Tls) -> Rig {
    let edge = Edge { tls: Some(tls.clone()), proxy_protocol: false };
    Rig::with_edge(Caller::Echoes, 0, Faults::none(), edge, None)
}

/// Connects for `name`; returns the client when it has an echo or was refused.
fn visit(rig: &mut Rig, config: &Arc<ClientConfig>, name: &'static str) -> Client {
    rig.clients = vec![Client::new(rig.network.connect(), config, name)];
    rig.clients[0].send(b"1234567");
    rig.until("an echo or an end", |rig| rig.clients[0].read.len() == 7 || rig.clients[0].end.is_some());
    rig.clients.remove(0)
}

fn certificate(client: &Client) -> Vec<u8> {
    client.tls.peer_certificates().expect("no certificate came")[0].to_vec()
}

fn error_of(pem: Pem) -> String {
    let text = Tls::from_files(&[pem.into()]).unwrap_err().to_string();
    assert!(!text.contains('\n'), "{text:?}");
    text
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_the_reason_in_one_line() {
    let mut certificates = Certificates::new();
    let good = certificates.make("good", &["a.test"]);
    let path = |pem: &Pem| (pem.certificate.display().to_string(), pem.key.display().to_string());
    let (certificate, key) = path(&good);

    let missing = Pem { key: certificates.files("missing").key, ..good.clone() };
    let text = error_of(missing.clone());
    assert!(text.starts_with(&format!("{}: No such file", path(&missing).1)), "{text}");

    let swapped = Pem { certificate: good.key.clone(), key: good.key.clone() };
    assert!(error_of(swapped).starts_with(&format!("{key}: no certificate in it")));
    let swapped = Pem { certificate: good.certificate.clone(), key: good.certificate.clone() };
    assert!(error_of(swapped).starts_with(&format!("{certificate}: no private key in it")));

    let other = certificates.make("other", &["a.test"]);
    let text = error_of(Pem { key: other.key.clone(), ..good.clone() });
    assert_eq!(text, format!("{}: not the key of the certificate in {certificate}", path(&other).1));

    fs::write(&other.certificate, "-----BEGIN CERTIFICATE-----\n@@\n-----END CERTIFICATE-----\n").unwrap();
    assert!(error_of(other.clone()).starts_with(&path(&other).0));
    fs::write(&other.certificate, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let text = error_of(other.clone());
    assert!(text.starts_with(&format!("{}: not an X.509 certificate", path(&other).0)), "{text}");
    fs::write(&other.key, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
    assert!(error_of(Pem { key: other.key.clone(), ..good }).starts_with(&path(&other).1));

    assert!(matches!(Tls::from_files(&[]), Err(TlsError::NoCertificate)));
}

#[test]
fn a_certificate_out_of_its_time_is_refused() {
    let mut certificates = Certificates::new();
    let (expired, _) = certificates.make_with("expired", &["a.test"], |params| {
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
    });
    let text = error_of(expired);
    assert!(text.contains("expired.pem: the certificate expired on Jan  1 00:00:00 2001"), "{text}");
    let (early, _) = certificates.make_with("early", &["a.test"], |params| {
        params.not_before = date_time_ymd(4000, 1, 1);
        params.not_after = date_time_ymd(4001, 1, 1);
    });
    let text = error_of(early);
    assert!(text.contains("early.pem: the certificate is not valid before Jan  1 00:00:00 4000"), "{text}");
}

#[test]
fn a_client_gets_the_certificate_with_the_name_that_it_asks_for() {
    let mut certificates = Certificates::new();
    let (first, first_der) = certificates.make_with("first", &["a.test", "10.1.2.3"], |_| {});
    let (second, second_der) = certificates.make_with("second", &["B.test", "*.c.test"], |_| {});
    let tls = Tls::from_files(&[first.into(), second.into()]).unwrap();
    let mut rig = rig(&tls);
    let config = certificates.client(&[&TLS13, &TLS12]);
    for (name, expected) in [
        ("a.test", &first_der),
        ("b.test", &second_der),
        ("x.c.test", &second_der),
        // An address is no name, so the client sends none.
        ("10.1.2.3", &first_der),
    ] {
        let client = visit(&mut rig, &config, name);
        assert_eq!((client.end.clone(), certificate(&client)), (None, expected.to_vec()), "{name}");
    }
    for name in ["c.test", "x.y.c.test", "other.test"] {
        let client = visit(&mut rig, &config, name);
        assert!(matches!(client.end, Some(End::Failed(Error::AlertReceived(_)))), "{name}: {:?}", client.end);
    }
}

#[test]
fn a_client_without_a_common_protocol_or_version_is_refused_with_an_alert() {
    let mut certificates = Certificates::new();
    let tls = Tls::from_files(&[certificates.make("a", &["a.test"]).into()]).unwrap();
    let mut rig = rig(&tls);
    let mut config = (*certificates.client(&[&TLS13])).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let client = visit(&mut rig, &Arc::new(config.clone()), "a.test");
    let alert = End::Failed(Error::AlertReceived(AlertDescription::NoApplicationProtocol));
    assert_eq!(client.end, Some(alert));
    config.alpn_protocols.clear();
    assert_eq!(visit(&mut rig, &Arc::new(config), "a.test").end, None);
}

#[test]
fn a_reload_changes_the_certificate_and_sessions_are_still_resumed() {
    let mut certificates = Certificates::new();
    let (files, old) = certificates.make_with("a", &["a.test"], |_| {});
    let tls = Tls::from_files(&[files.into()]).unwrap();
    let mut rig = rig(&tls);
    let returning = certificates.client(&[&TLS13]);
    assert_eq!(certificate(&visit(&mut rig, &returning, "a.test")), old.to_vec());
    let (_, new) = certificates.make_with("a", &["a.test"], |_| {});
    tls.reload().unwrap();
    let resumed = visit(&mut rig, &returning, "a.test");
    assert_eq!(resumed.tls.handshake_kind(), Some(HandshakeKind::Resumed));
    let fresh = visit(&mut rig, &certificates.client(&[&TLS13]), "a.test");
    assert_eq!(certificate(&fresh), new.to_vec());
}

#[test]
fn a_failed_reload_keeps_every_certificate() {
    let mut certificates = Certificates::new();
    let (first, first_der) = certificates.make_with("first", &["a.test"], |_| {});
    let (second, second_der) = certificates.make_with("second", &["b.test"], |_| {});
    let files: [CertificateFiles; 2] = [first.into(), second.clone().into()];
    let tls = Tls::from_files(&files).unwrap();
    certificates.make("first", &["a.test"]);
    fs::write(&second.certificate, "no certificate").unwrap();
    assert!(matches!(tls.reload(), Err(TlsError::Empty { file, .. }) if file == second.certificate));
    let mut rig = rig(&tls);
    let config = certificates.client(&[&TLS13]);
    for (name, expected) in [("a.test", first_der), ("b.test", second_der)] {
        assert_eq!(certificate(&visit(&mut rig, &config, name)), expected.to_vec());
    }
}

#[test]
fn what_is_printed_of_tls_names_files_and_no_key() {
    let mut certificates = Certificates::new();
    let files = certificates.make("a", &["a.test"]);
    let text = format!("{:?}", Tls::from_files(&[files.clone().into()]).unwrap());
    assert_eq!(text, format!("Tls {{ files: {:?}, .. }}", [CertificateFiles::from(files)]));
}
