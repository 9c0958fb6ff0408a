//! Plain HTTP only where it is allowed, and whom TLS trusts.

use super::*;

/// A registry at an address that is this machine but not loopback.
fn not_loopback(registry: &Registry) -> Repository {
    Repository::parse(&format!("0.0.0.0:{}/acme", registry.address.port())).unwrap()
}

#[test]
fn a_host_that_is_not_loopback_is_spoken_to_without_tls_only_when_it_is_named() {
    let registry = Registry::start();
    let to = not_loopback(&registry);
    block_on(async {
        let error = client().ping(&to).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RegistryError);
        assert_eq!(error.message(), "no secure connection to 0.0.0.0 for the greeting (is this a registry?)");
        assert!(error.hint_text().unwrap().contains("HEPHY_INSECURE_REGISTRIES=0.0.0.0"), "{:?}", error.hint_text());
        let named = Settings { insecure: vec!["0.0.0.0".into()], ..settings() };
        Client::new(named).ping(&to).await.unwrap();
        Client::new(Settings { insecure_all: true, ..settings() }).ping(&to).await.unwrap();
    });
}

#[test]
fn tls_trusts_what_ssl_cert_file_names_and_nothing_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let openssl = |args: &str| {
        let done = std::process::Command::new("openssl").args(args.split(' ')).current_dir(dir.path()).output();
        let done = done.unwrap_or_else(|error| panic!("openssl: {error}; apt-get install openssl"));
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca"));
    openssl(&format!("req {key} -keyout tls.key -out tls.csr -subj /CN=registry"));
    std::fs::write(dir.path().join("ext"), "subjectAltName=IP:0.0.0.0\nbasicConstraints=CA:FALSE\n").unwrap();
    openssl("x509 -req -in tls.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out tls.pem -days 1 -extfile ext");
    let registry = Registry::with_tls(&dir.path().join("tls.pem"), &dir.path().join("tls.key"));
    let to = not_loopback(&registry).to_string();
    let ca = dir.path().join("ca.pem");
    let run = |trusted: &str, file: &str| {
        let env = [("TEST_REGISTRY", to.as_str()), ("TEST_TRUSTED", trusted), ("SSL_CERT_FILE", file)];
        child("registry::tls::tls_in_a_process_of_its_own", &env);
    };
    run("yes", ca.to_str().unwrap());
    // No roots at all: the list in the binary takes their place, and does not know this authority.
    run("no", "/nonexistent");
}

#[test]
#[ignore = "run by tls_trusts_what_ssl_cert_file_names_and_nothing_unknown"]
fn tls_in_a_process_of_its_own() {
    let Ok(to) = std::env::var("TEST_REGISTRY") else { return };
    let to = Repository::parse(&to).unwrap();
    let retries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&retries);
    let client = Client::with_retries(settings(), move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let answer = block_on(async { client.head_manifest(&to, By::Tag(&tag("x"))).await });
    if std::env::var("TEST_TRUSTED").unwrap() == "yes" {
        assert_eq!(answer.unwrap(), None);
    } else {
        let error = answer.unwrap_err();
        assert!(error.hint_text().unwrap().starts_with("SSL_CERT_FILE"), "{error:?}");
        assert_eq!(retries.load(Ordering::SeqCst), 0, "a certificate does not get better by asking again");
    }
}
