//! Trusted certificate authorities: the roots at which the certificate chain of DynamoDB may end (docs/adr/0008).

use aws_smithy_http_client::tls::TrustStore;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// Amazon Trust Services' roots, in PEM.
pub const AMAZON: &[u8] = include_bytes!("amazon_roots.pem");

/// The partitions, by the prefixes of their regions' names, for which it is not certain that DynamoDB's certificates
/// come from Amazon Trust Services: China, the European sovereign cloud, and those that are closed to the public.
const OTHER_PARTITIONS: [&str; 4] = ["cn-", "eusc-", "us-iso", "eu-isoe"];

/// The domain of DynamoDB and of its VPC endpoints in all other regions.
const AMAZON_DOMAIN: &str = ".amazonaws.com";

/// The trusted certificate authorities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustRoots {
    /// Amazon Trust Services alone: five, known at compile time. Reading the system's 140 costs a cold start more than
    /// everything else together.
    Amazon,
    /// Those that the system trusts.
    System,
    /// These and no others, in PEM.
    Bundle(Vec<u8>),
}

impl TrustRoots {
    /// The roots for DynamoDB in a region, or at an endpoint that is configured: Amazon's where the server is Amazon's.
    #[must_use]
    pub fn for_endpoint(region: &str, endpoint: Option<&str>) -> Self {
        let amazon = match endpoint {
            Some(endpoint) => host(endpoint).ends_with(AMAZON_DOMAIN),
            None => !OTHER_PARTITIONS.iter().any(|partition| region.starts_with(partition)),
        };
        if amazon { Self::Amazon } else { Self::System }
    }

    /// The roots in a bundle: certificates in PEM, among anything else.
    ///
    /// A certificate that is not usable as a root is left out, as with the system's: bundles have some that only other
    /// programs can use. The TLS library would end the process because of one.
    ///
    /// # Errors
    ///
    /// Why it has no root that can be used.
    pub fn bundle(pem: &[u8]) -> Result<Self, String> {
        let mut usable = Vec::new();
        for (index, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
            let certificate = certificate.map_err(|error| format!("certificate {} is damaged: {error}", index + 1))?;
            if webpki::anchor_from_trusted_cert(&certificate).is_ok() {
                write_pem(&mut usable, &certificate);
            }
        }
        if usable.is_empty() {
            return Err("it has no certificate in PEM that can be a root".to_owned());
        }
        Ok(Self::Bundle(usable))
    }

    /// The roots in the form that the TLS library takes.
    pub(crate) fn trust_store(&self) -> TrustStore {
        match self {
            Self::Amazon => TrustStore::empty().with_pem_certificate(AMAZON),
            Self::System => TrustStore::default(),
            Self::Bundle(pem) => TrustStore::empty().with_pem_certificate(pem.clone()),
        }
    }
}

fn write_pem(pem: &mut Vec<u8>, certificate: &CertificateDer<'_>) {
    pem.extend_from_slice(b"-----BEGIN CERTIFICATE-----\n");
    for line in STANDARD.encode(certificate).as_bytes().chunks(64) {
        pem.extend_from_slice(line);
        pem.push(b'\n');
    }
    pem.extend_from_slice(b"-----END CERTIFICATE-----\n");
}

/// The host of a URL, in lower case.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    host.split(':').next().unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    /// As Amazon Trust Services publishes them, SHA-256 of each whole certificate: Amazon Root CA 1 to 4, and Starfield
    /// Services Root Certificate Authority - G2.
    const FINGERPRINTS: [&str; 5] = [
        "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e",
        "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4",
        "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4",
        "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092",
        "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5",
    ];

    fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(pem).map(|certificate| certificate.unwrap()).collect()
    }

    #[test]
    fn the_roots_are_those_that_amazon_publishes_and_the_tls_library_can_read_each() {
        let found = certificates(AMAZON);
        let hex = |certificate: &CertificateDer<'_>| {
            Sha256::digest(certificate).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
        };
        assert_eq!(found.iter().map(hex).collect::<Vec<_>>(), FINGERPRINTS);
        assert!(found.iter().all(|certificate| webpki::anchor_from_trusted_cert(certificate).is_ok()));
    }

    #[test]
    fn amazon_is_trusted_where_amazon_answers() {
        for region in ["us-east-1", "eu-central-1", "us-gov-west-1", "ap-southeast-7", "eu-isle-1"] {
            assert_eq!(TrustRoots::for_endpoint(region, None), TrustRoots::Amazon, "{region}");
        }
        for region in ["cn-north-1", "eusc-de-east-1", "us-iso-east-1", "us-isob-east-1", "eu-isoe-west-1"] {
            assert_eq!(TrustRoots::for_endpoint(region, None), TrustRoots::System, "{region}");
        }
        for endpoint in [
            "https://dynamodb.eu-central-1.amazonaws.com",
            "https://vpce-1a2b-3c4d.dynamodb.us-east-1.vpce.amazonaws.com:443/",
            "HTTPS://DYNAMODB.EU-CENTRAL-1.AMAZONAWS.COM",
        ] {
            assert_eq!(TrustRoots::for_endpoint("us-east-1", Some(endpoint)), TrustRoots::Amazon, "{endpoint}");
        }
        for endpoint in [
            "https://localhost:8000",
            "https://dynamodb.cn-north-1.amazonaws.com.cn",
            "https://amazonaws.com.example",
            "https://db.example/.amazonaws.com",
            "https://dynamodb.us-east-1.amazonaws.com@db.example",
            "https://db.example?.amazonaws.com",
        ] {
            assert_eq!(TrustRoots::for_endpoint("us-east-1", Some(endpoint)), TrustRoots::System, "{endpoint}");
        }
    }

    #[test]
    fn a_bundle_keeps_its_usable_roots_and_says_what_is_wrong() {
        let noisy =
            [b"# a comment\r\n".as_slice(), AMAZON, b"\n-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"];
        let Ok(TrustRoots::Bundle(pem)) = TrustRoots::bundle(&noisy.concat()) else { panic!("a bundle of roots") };
        assert_eq!(certificates(&pem), certificates(AMAZON));
        // Base64, and no certificate.
        let nonsense = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".as_slice();
        let Ok(TrustRoots::Bundle(pem)) = TrustRoots::bundle(&[nonsense, AMAZON].concat()) else {
            panic!("a bundle of roots")
        };
        assert_eq!(certificates(&pem), certificates(AMAZON));

        assert_eq!(TrustRoots::bundle(b"").unwrap_err(), "it has no certificate in PEM that can be a root");
        assert_eq!(TrustRoots::bundle(nonsense).unwrap_err(), "it has no certificate in PEM that can be a root");
        let broken = b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
        assert!(TrustRoots::bundle(broken).unwrap_err().starts_with("certificate 1 is damaged: "));
        let truncated = &AMAZON[..AMAZON.len() / 2];
        assert!(TrustRoots::bundle(truncated).unwrap_err().contains(" is damaged: "));
    }
}
