//! TLS with the rules of libpq, on rustls.
//!
//! If the root certificate file exists, the certificate chain is verified in every mode but
//! `disable`; only `verify-check_name` compares names. Two cases that rustls refuses and users of libpq
//! rely on are allowed: a server certificate that is itself in the root file (self-signed), and a
//! host name that is only in the common name of a certificate without alternative names. A server
//! certificate of X.509 version 1 can be used for encryption, but cannot be verified.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer,
    UnixTime,
};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};
use tokio_postgres_rustls::MakeRustlsConnect;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode, Encode};

use super::conninfo::Host;
use super::{ConnInfo, Error, Result};

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const ALTERNATIVE_NAMES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");

/// The files with the trusted authorities of the system, for `sslrootcert=system`.
const SYSTEM_BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// The values of `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl Mode {
    pub(super) fn of(info: &ConnInfo) -> Result<Self> {
        let system = info.setting("sslrootcert") == Some("system");
        match info.setting("sslmode") {
            None if system => Ok(Self::VerifyFull),
            Some("verify-full") => Ok(Self::VerifyFull),
            Some(_) if system => Err(Error::conninfo("sslrootcert=system needs sslmode=verify-full")),
            Some("disable") => Ok(Self::Disable),
            Some("allow") => Ok(Self::Allow),
            None | Some("prefer") => Ok(Self::Prefer),
            Some("require") => Ok(Self::Require),
            Some("verify-ca") => Ok(Self::VerifyCa),
            Some(_) => Err(Error::conninfo("unknown value of sslmode")),
        }
    }
}

/// Creates the connector for a host. Fails if a certificate or key file cannot be used.
pub(super) fn connector(info: &ConnInfo, host: &Host, mode: Mode) -> Result<MakeRustlsConnect> {
    if mode == Mode::VerifyFull && host.name().is_empty() {
        return Err(tls("sslmode=verify-full needs a host name, not only an address"));
    }
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(Verifier {
        chain: chain_verifier(info, mode, &provider)?,
        check_name: mode == Mode::VerifyFull,
        provider: Arc::clone(&provider),
    });
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(info)?)
        .map_err(|error| tls(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match client_certificate(info, &provider)? {
        Some(certified) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified))),
        None => builder.with_no_client_auth(),
    };
    config.enable_sni = info.setting("sslsni") != Some("0");
    if info.setting("sslnegotiation") == Some("direct") {
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(MakeRustlsConnect::new(config))
}

fn versions(info: &ConnInfo) -> Result<Vec<&'static SupportedProtocolVersion>> {
    let number = |keyword: &str, default: u8| match info.setting(keyword) {
        None => Ok(default),
        Some("TLSv1") => Ok(0),
        Some("TLSv1.1") => Ok(1),
        Some("TLSv1.2") => Ok(2),
        Some("TLSv1.3") => Ok(3),
        Some(_) => Err(Error::conninfo(format!("unknown value of {keyword}"))),
    };
    let range = number("ssl_min_protocol_version", 0)?..=number("ssl_max_protocol_version", 3)?;
    let known = [(3, &rustls::version::TLS13), (2, &rustls::version::TLS12)];
    let versions: Vec<_> =
        known.into_iter().filter(|(n, _)| range.contains(n)).map(|(_, version)| version).collect();
    if versions.is_empty() {
        return Err(tls("the allowed protocol versions contain neither TLSv1.2 nor TLSv1.3"));
    }
    Ok(versions)
}

/// Returns the verifier of the certificate chain, or `None` if the chain is not verified.
fn chain_verifier(info: &ConnInfo, mode: Mode, provider: &Arc<CryptoProvider>) -> Result<Option<Chain>> {
    let file = match info.setting("sslrootcert") {
        Some("system") => SYSTEM_BUNDLES.into_iter().find(|path| Path::new(path).exists()),
        other => other.filter(|path| Path::new(path).exists()),
    };
    let Some(file) = file else {
        if matches!(mode, Mode::VerifyCa | Mode::VerifyFull) {
            let name = info.setting("sslrootcert").unwrap_or("~/.postgresql/root.crt");
            return Err(tls(format!("sslmode needs a root certificate file, and {name} does not exist")));
        }
        return Ok(None);
    };
    let certificates = read_certificates(file)?;
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates.iter().cloned());
    if added == 0 {
        return Err(tls(format!("no usable certificate in root certificate file {file}")));
    }
    let crls = match info.setting("sslcrl").filter(|path| Path::new(path).exists()) {
        Some(path) => CertificateRevocationListDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| tls(format!("revocation list {path}: {error}")))?,
        None => Vec::new(),
    };
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .with_crls(crls)
        .build()
        .map_err(|error| tls(format!("root certificate file {file}: {error}")))?;
    Ok(Some(Chain { verifier, roots: certificates }))
}

fn read_certificates(path: &str) -> Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    certificates.map_err(|error| tls(format!("certificate file {path}: {error}")))
}

fn client_certificate(info: &ConnInfo, provider: &CryptoProvider) -> Result<Option<CertifiedKey>> {
    let wanted = info.setting("sslcertmode") != Some("disable");
    let file = info.setting("sslcert").filter(|path| wanted && Path::new(path).exists());
    let Some(file) = file else { return Ok(None) };
    let path =
        info.setting("sslkey").ok_or_else(|| tls(format!("certificate {file} has no private key file")))?;
    check_key_access(path).map_err(|error| tls(format!("private key file {path}: {error}")))?;
    let key = PrivateKeyDer::from_pem_file(path).map_err(|error| {
        tls(format!("private key file {path}: {error} (encrypted keys are not supported)"))
    })?;
    let key = provider.key_provider.load_private_key(key);
    let key = key.map_err(|error| tls(format!("private key file {path}: {error}")))?;
    // Unlike `with_client_auth_cert`, this accepts X.509 version 1, which `openssl x509 -req`
    // creates.
    Ok(Some(CertifiedKey::new(read_certificates(file)?, key)))
}

/// Fails if the key file is accessible to other users. A key of root may be readable by a group, as
/// in libpq.
fn check_key_access(path: &str) -> io::Result<()> {
    let meta = fs::metadata(path)?;
    let forbidden = if meta.uid() == 0 { 0o037 } else { 0o077 };
    if !meta.is_file() || meta.mode() & forbidden != 0 {
        return Err(io::Error::other("group or others may access it"));
    }
    Ok(())
}

fn tls(detail: impl Into<String>) -> Error {
    Error::Tls { detail: detail.into() }
}

#[derive(Debug)]
struct Chain {
    verifier: Arc<WebPkiServerVerifier>,
    roots: Vec<CertificateDer<'static>>,
}

#[derive(Debug)]
struct Verifier {
    chain: Option<Chain>,
    check_name: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        server: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        let outcome = match chain.verifier.verify_server_cert(server, intermediates, name, ocsp, now) {
            // webpki checks the dates before it returns this error.
            Err(error)
                if is_webpki_error(&error, "CaUsedAsEndEntity")
                    && chain.roots.iter().any(|root| root == server) =>
            {
                let parsed = ParsedCertificate::try_from(server)?;
                rustls::client::verify_server_name(&parsed, name).map(|()| ServerCertVerified::assertion())
            }
            other => other,
        };
        match outcome {
            // webpki compares the name last, so everything else is valid.
            Err(error) if is_name_mismatch(&error) && (!self.check_name || common_name_is(server, name)) => {
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        match verify_tls13_signature(message, certificate, signed, known) {
            // Only reached if the chain is not verified. The server must still prove that it has
            // the key, because channel binding of the password exchange uses this certificate.
            Err(error) if is_webpki_error(&error, "UnsupportedCertVersion") => {
                let key = public_key(certificate).ok_or(error)?;
                verify_tls13_signature_with_raw_key(message, &key, signed, known)
            }
            other => other,
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn is_name_mismatch(error: &rustls::Error) -> bool {
    use CertificateError::{NotValidForName, NotValidForNameContext};
    matches!(error, rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }))
}

/// Returns true if the error is the error of webpki with this name.
fn is_webpki_error(error: &rustls::Error, name: &str) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) = error else {
        return false;
    };
    inner.to_string() == name
}

fn public_key(certificate: &CertificateDer<'_>) -> Option<SubjectPublicKeyInfoDer<'static>> {
    let parsed = x509_cert::Certificate::from_der(certificate).ok()?;
    parsed.tbs_certificate.subject_public_key_info.to_der().ok().map(Into::into)
}

/// Returns true if the certificate has no alternative names and its common name matches.
fn common_name_is(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
    let ServerName::DnsName(name) = name else { return false };
    let Ok(parsed) = x509_cert::Certificate::from_der(certificate) else { return false };
    let subject = parsed.tbs_certificate;
    if subject.extensions.iter().flatten().any(|extension| extension.extn_id == ALTERNATIVE_NAMES) {
        return false;
    }
    let attributes = subject.subject.0.iter().flat_map(|names| names.0.iter());
    let mut common = attributes.filter(|attribute| attribute.oid == COMMON_NAME);
    common.any(|attribute| {
        std::str::from_utf8(attribute.value.value()).is_ok_and(|cn| host_matches(cn, name.as_ref()))
    })
}

/// Compares host names as libpq does: a leading `*.` stands for one label.
fn host_matches(pattern: &str, host: &str) -> bool {
    if let Some(domain) = pattern.strip_prefix("*.") {
        return host
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(domain));
    }
    pattern.eq_ignore_ascii_case(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_one_label() {
        let cases = [
            ("db.example.org", "DB.example.org", true),
            ("*.example.org", "db.example.org", true),
            ("*.example.org", "a.b.example.org", false),
            ("*.example.org", "example.org", false),
            ("*", "example", false),
            ("", "", true),
        ];
        for (pattern, host, matches) in cases {
            assert_eq!(host_matches(pattern, host), matches, "{pattern} {host}");
        }
    }
}
