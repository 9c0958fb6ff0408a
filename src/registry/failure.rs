//! What a registry's refusal becomes: the kind, one sentence, the request, the registry's own words, a hint.
//! Pure.
//!
//! URLs are shown without query (upload sessions and redirects carry signatures there); everything a registry
//! says is escaped and cut.

use std::fmt;

use oci_client::errors::{OciEnvelope, OciErrorCode};
use reqwest::{Method, StatusCode, Url};

use crate::diagnostic::{escape, escape_cut};
use crate::error::{Error, ErrorKind};

/// As many characters of a registry's words as are shown.
const SHOWN_WORDS: usize = 300;

/// An answer that is not what was asked for.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) status: StatusCode,
    pub(super) words: Vec<(String, String)>,
    said: Option<Said>,
}

impl Refusal {
    pub(super) fn new(method: Method, url: Url, status: StatusCode, body: &[u8]) -> Self {
        let envelope = serde_json::from_slice::<OciEnvelope>(body).ok();
        let words = envelope.map(|it| it.errors).unwrap_or_default();
        let words: Vec<_> = words.into_iter().map(|error| (code(&error.code), error.message)).collect();
        let text = String::from_utf8_lossy(body).lines().next().unwrap_or_default().trim().to_owned();
        // A proxy's HTML page tells nothing on its first line.
        let listed: Vec<_> = words.iter().map(|(code, message)| format!("{code}: {message}")).collect();
        let text = match listed.is_empty() {
            true if text.starts_with('<') => String::new(),
            true => text,
            false => listed.join("; "),
        };
        let said = (!text.is_empty()).then(|| Said(escape_cut(&text, SHOWN_WORDS)));
        Self { method, url, status, words, said }
    }

    /// The request and its status, such as `PUT https://host/v2/… answered 403`.
    pub(super) fn request(&self) -> String {
        format!("{} {} answered {}", self.method, shown(&self.url), self.status.as_u16())
    }

    /// Whether the registry gave this code.
    pub(super) fn says(&self, code: &str) -> bool {
        self.words.iter().any(|(word, _)| word == code)
    }

    /// Whether a push under a tag was refused because of the tag, and not because of what was pushed: registries have
    /// no common code for the former (ECR says `TAG_INVALID`, Harbor answers 412), but they have for the latter
    /// (OCI distribution-spec, "Error Codes").
    pub(super) fn is_about_the_tag(&self) -> bool {
        const CONTENT: [&str; 8] = [
            "MANIFEST_BLOB_UNKNOWN",
            "MANIFEST_INVALID",
            "MANIFEST_UNKNOWN",
            "MANIFEST_UNVERIFIED",
            "BLOB_UNKNOWN",
            "DIGEST_INVALID",
            "NAME_INVALID",
            "SIZE_INVALID",
        ];
        matches!(self.status.as_u16(), 400 | 405 | 409 | 412) && !CONTENT.iter().any(|code| self.says(code))
    }

    /// The failure: `what` completes "the registry refused …", `credential` tells where a credential came from.
    pub(super) fn into_error(self, what: &str, credential: &str) -> Error {
        let (kind, verb) = match self.status.as_u16() {
            401 | 403 => (ErrorKind::AuthError, "refused"),
            429 => (ErrorKind::RegistryError, "is overloaded and refused"),
            status if status >= 500 => (ErrorKind::RegistryError, "failed at"),
            _ => (ErrorKind::RegistryError, "refused"),
        };
        let hint = self.hint(credential);
        let error = Error::new(kind, format!("the registry {verb} {what}")).cause(anyhow::Error::new(self));
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    fn hint(&self, credential: &str) -> Option<String> {
        let host = escape(self.url.host_str().unwrap_or_default());
        match self.status.as_u16() {
            401 | 403 => Some(format!("{credential}; they need the right to do this in {host}")),
            404 if self.says("NAME_UNKNOWN") || self.says("REPOSITORY_NOT_FOUND") => Some(
                "this repository does not exist; registries such as ECR want it created before the first push".into(),
            ),
            429 => Some("the registry limits requests: try again later, or sign in for a higher limit".into()),
            status if status >= 500 => Some("the registry is in trouble: run the job again once it is well".into()),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.request())
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.said.as_ref().map(|said| said as _)
    }
}

/// The registry's own words as the next cause in the chain.
#[derive(Debug)]
struct Said(String);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the registry says: {}", self.0)
    }
}

impl std::error::Error for Said {}

fn code(code: &OciErrorCode) -> String {
    match serde_json::to_value(code) {
        Ok(serde_json::Value::String(text)) => text,
        _ => "UNKNOWN".to_owned(),
    }
}

/// A URL for people: no user, no query, no fragment.
pub(super) fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let host = url.host_str().unwrap_or_default();
    escape_cut(&format!("{}://{host}{port}{}", url.scheme(), url.path()), 300)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, body: &str) -> Error {
        let url = Url::parse("https://user:secret@h.example:5000/v2/acme/manifests/x?sig=SECRET#f").unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        Refusal::new(Method::PUT, url, status, body.as_bytes())
            .into_error("the push of curl-20251015", "the credentials came from config.json")
    }

    #[test]
    fn a_refusal_keeps_method_redacted_url_status_and_the_registrys_words() {
        let error =
            refusal(403, r#"{"errors":[{"code":"DENIED","message":"not authorized\u001b[2J","detail":{"a":1}}]}"#);
        assert_eq!(error.kind(), ErrorKind::AuthError);
        assert_eq!(error.message(), "the registry refused the push of curl-20251015");
        assert_eq!(
            error.causes(),
            [
                "PUT https://h.example:5000/v2/acme/manifests/x answered 403",
                "the registry says: DENIED: not authorized\\u{1b}[2J"
            ]
        );
        let hint = error.hint_text().unwrap();
        assert!(hint.starts_with("the credentials came from config.json"), "{hint}");
    }

    #[test]
    fn kinds_follow_the_status() {
        for (status, kind) in [
            (401, ErrorKind::AuthError),
            (403, ErrorKind::AuthError),
            (400, ErrorKind::RegistryError),
            (404, ErrorKind::RegistryError),
            (429, ErrorKind::RegistryError),
            (500, ErrorKind::RegistryError),
            (503, ErrorKind::RegistryError),
        ] {
            assert_eq!(refusal(status, "").kind(), kind, "{status}");
        }
    }

    #[test]
    fn words_that_are_no_envelope_are_cut_and_pages_left_out() {
        assert_eq!(refusal(400, &"x".repeat(9999)).causes()[1].chars().count(), 300 + 1 + "the registry says: ".len());
        assert_eq!(refusal(502, "<html><body>bad gateway</body></html>").causes().len(), 1);
        let odd = refusal(400, r#"{"errors":[{"code":"ARTIFACT_LOCKED"}]}"#);
        assert_eq!(odd.causes()[1], "the registry says: ARTIFACT_LOCKED: ");
    }
}
