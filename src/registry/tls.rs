//! TLS: rustls with ring. Roots come from the system, `SSL_CERT_FILE` and `SSL_CERT_DIR` honoured; where none are
//! found (a scratch or Kaniko image) Mozilla's list, which is part of the binary, takes their place.

use std::error::Error as StdError;
use std::sync::Arc;

use crate::error::{Error, Result};

/// A client configuration; `roots` is false where only plain HTTP is spoken.
pub(crate) fn config(roots: bool) -> Result<rustls::ClientConfig> {
    let mut store = rustls::RootCertStore::empty();
    if roots {
        // Unreadable files are skipped: one bad bundle must not hide the good ones.
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if store.is_empty() {
            store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::internal("no TLS configuration could be made").cause(error))?;
    Ok(builder.with_root_certificates(store).with_no_client_auth())
}

/// Why TLS was refused, where waiting does not help.
pub(super) enum Refused {
    /// The certificate is not trusted, expired, or another host's.
    Certificate,
    /// The other side does not speak TLS.
    NotTls,
}

/// Finds a TLS failure in the causes of a transport error.
pub(super) fn refusal(error: &reqwest::Error) -> Option<Refused> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref::<rustls::Error>() {
            Some(rustls::Error::InvalidMessage(_)) => return Some(Refused::NotTls),
            Some(rustls::Error::InvalidCertificate(_)) => return Some(Refused::Certificate),
            _ => {}
        }
        // An I/O error's `source` passes over the error that it wraps, and one may wrap another.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = wrapped.map(|inner| inner as &(dyn StdError + 'static)).or_else(|| error.source());
    }
    None
}
