//! The trusted certificate authorities: the store only calls a server whose certificate chain ends at one of them.

use std::sync::Arc;

use ratchet_model::clock::SystemClock;
use ratchet_model::error::Error;
use ratchet_model::id::ExecutionId;
use ratchet_model::scope::Scopes;
use ratchet_store::Store;
use ratchet_store::client::config;
use ratchet_store::trust_roots::TrustRoots;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Starts a DynamoDB for `name` without any item, on TLS with a self-signed certificate. Its port, and the certificate, which
/// is its root.
async fn empty_dynamodb(name: &str) -> (u16, String) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("a server");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust it closes the connection in the handshake.
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = [0; 16_384];
                while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    let answer =
                        b"HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: 2\r\n\r\n{}";
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (port, cert.pem())
}

/// The error of a read of an execution there.
async fn read(port: u16, roots: &TrustRoots) -> Error {
    let credentials = aws_sdk_dynamodb::config::Credentials::new("local", "local", None, None, "test");
    let endpoint = format!("https://localhost:{port}");
    let store =
        Store::new(config("us-east-1".to_owned(), credentials, Some(endpoint), roots), "t", Arc::new(SystemClock));
    let caller = tests::caller("acme", "key-1", Scopes::parse("read").expect("a scope"));
    let id = ExecutionId::parse("018f3a5e-7b7c-7d4e-9a3b-5c1d2e3f4a5b").expect("an id");
    store.execution(&caller, &id).await.expect_err("there is none")
}

/// The log must show the operator why nothing can be read (docs/operations.md).
#[track_caller]
fn assert_distrusts(error: Error, why: &str) {
    let Error::StoreUnavailable { reason } = error else { panic!("{error:?}") };
    assert!(reason.contains("invalid peer certificate") && reason.contains(why), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_trusted_root_is_not_dynamodb() {
    let (port, pem) = empty_dynamodb("localhost").await;
    let its_own = TrustRoots::bundle(pem.as_bytes()).expect("a root");
    assert!(matches!(read(port, &its_own).await, Error::NotFound));
    // On Lambda no other certificate is accepted, whoever signed it.
    for roots in [TrustRoots::Amazon, TrustRoots::System] {
        assert_distrusts(read(port, &roots).await, "UnknownIssuer");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_trusted_root_and_another_name_is_not_dynamodb() {
    let (port, pem) = empty_dynamodb("dynamodb.example").await;
    let its_own = TrustRoots::bundle(pem.as_bytes()).expect("a root");
    assert_distrusts(read(port, &its_own).await, "not valid for name");
}
