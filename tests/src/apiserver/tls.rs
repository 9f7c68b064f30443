//! TLS by an authority of the server's own, which exists as long as the server.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// How the server shows who it is.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Names and addresses that it goes by.
    pub names: Vec<String>,
    /// Where its authority's certificate is written, for those who are to trust it.
    pub authority: PathBuf,
}

impl Tls {
    /// Makes the authority, the server's key and its certificate.
    pub(super) fn acceptor(&self) -> io::Result<TlsAcceptor> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "lab authority");
        let authority_key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = authority.self_signed(&authority_key).map_err(io::Error::other)?;
        std::fs::write(&self.authority, certificate.pem())?;
        let issuer = Issuer::new(authority, authority_key);

        let server = CertificateParams::new(self.names.clone()).map_err(io::Error::other)?;
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = server.signed_by(&key, &issuer).map_err(io::Error::other)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into())
            .map_err(io::Error::other)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}
