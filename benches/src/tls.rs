//! A certificate chain like Amazon's: RSA-2048 throughout, a trusted root, an intermediate and a leaf below it, and the root
//! once more, signed by an older root. Servers send that one, too; clients that trust the root do not need it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::output::Result;

/// The files in which Debian, Amazon Linux and Fedora keep the roots that the system trusts.
const SYSTEM_ROOTS: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// The certificates and their files.
pub struct Material {
    /// The bench's root alone.
    pub root: PathBuf,
    /// The roots that the functions trust: Amazon's, which are built into them, and the bench's. Reading them is a part of
    /// their start.
    pub functions: PathBuf,
    /// The roots that other clients trust: the system's and the bench's.
    pub system: PathBuf,
    /// The server's configuration.
    pub acceptor: TlsAcceptor,
}

/// One certificate: a file name, a subject, its extension, and its signer.
struct Certificate {
    file: &'static str,
    /// The certificate whose key it shares; if absent, its key is new.
    key_of: Option<&'static str>,
    subject: &'static str,
    extension: &'static str,
    signer: Option<&'static str>,
}

/// The settings of openssl: empty. With the system's own, every certificate would be an authority.
const CONFIG: &str = "openssl.cnf";

const AUTHORITY: &str = "basicConstraints=critical,CA:TRUE";

const CERTIFICATES: [Certificate; 5] = [
    Certificate { file: "old", key_of: None, subject: "/O=Bench/CN=Old Root", extension: AUTHORITY, signer: None },
    Certificate { file: "root", key_of: None, subject: "/O=Bench/CN=Root 1", extension: AUTHORITY, signer: None },
    Certificate {
        file: "cross",
        key_of: Some("root"),
        subject: "/O=Bench/CN=Root 1",
        extension: AUTHORITY,
        signer: Some("old"),
    },
    Certificate {
        file: "intermediate",
        key_of: None,
        subject: "/O=Bench/CN=RSA 2048 M01",
        extension: AUTHORITY,
        signer: Some("root"),
    },
    Certificate {
        file: "leaf",
        key_of: None,
        subject: "/CN=localhost",
        extension: "subjectAltName=DNS:localhost",
        signer: Some("intermediate"),
    },
];

fn make(folder: &Path, certificate: &Certificate) -> Result<()> {
    let file = |name: &str, ending: &str| folder.join(format!("{name}.{ending}"));
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-sha256", "-days", "30", "-subj", certificate.subject]);
    command
        .arg("-config")
        .arg(folder.join(CONFIG))
        .args(["-addext", certificate.extension])
        .arg("-out")
        .arg(file(certificate.file, "pem"));
    match certificate.key_of {
        Some(other) => command.arg("-key").arg(file(other, "key")),
        None => command.args(["-newkey", "rsa:2048", "-nodes", "-keyout"]).arg(file(certificate.file, "key")),
    };
    if let Some(signer) = certificate.signer {
        command.arg("-CA").arg(file(signer, "pem")).arg("-CAkey").arg(file(signer, "key"));
    }
    let output = command.output().map_err(|error| format!("openssl (Debian package openssl) is needed: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("openssl created no certificate: {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// Creates the certificates. They are new each time and valid for a month, so that no key has to be stored.
pub fn material(folder: &Path) -> Result<Material> {
    let folder = folder.join("tls");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(CONFIG), "[req]\ndistinguished_name = name\n[name]\n")?;
    for certificate in &CERTIFICATES {
        make(&folder, certificate)?;
    }
    let read = |name: &str| CertificateDer::from_pem_file(folder.join(format!("{name}.pem")));
    let chain = vec![read("leaf")?, read("intermediate")?, read("cross")?];
    let key = PrivateKeyDer::from_pem_file(folder.join("leaf.key"))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    // DynamoDB only supports HTTP/1.1.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];

    let root = folder.join("root.pem");
    let with_root = |name: &str, mut trusted: Vec<u8>| -> Result<PathBuf> {
        trusted.extend(std::fs::read(&root)?);
        let file = folder.join(name);
        std::fs::write(&file, trusted)?;
        Ok(file)
    };
    let system = SYSTEM_ROOTS.iter().find_map(|path| std::fs::read(path).ok());
    let system = system.ok_or("the system has no file of trusted roots: install ca-certificates")?;
    Ok(Material {
        functions: with_root("functions.pem", ratchet_store::trust_roots::AMAZON.to_vec())?,
        system: with_root("system.pem", system)?,
        root,
        acceptor: TlsAcceptor::from(Arc::new(config)),
    })
}
